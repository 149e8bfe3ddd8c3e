//! A chart of named rows over one axis: stacked bars, or dots.

use super::axis::Axis;
use super::drawing::{
    ADVANCE, Drawing, MARGIN, NARROW_SCALE, RIGHT, TEXT, WIDTH, class, escape, fitting, marker,
    put, shorten,
};

/// Height of a row.
const ROW: f64 = 24.0;
/// Height of a bar in it.
const BAR: f64 = 15.0;

/// What is drawn, and on which axis.
pub struct RowChart {
    /// Identifier, unique on a page and usable as a file stem.
    pub id: &'static str,
    /// Heading.
    pub title: String,
    /// Line below the heading: what was measured on how many.
    pub note: String,
    /// What the chart shows, for readers who do not see it.
    pub description: String,
    /// What a reader takes away from it, in a sentence or two.
    pub meaning: String,
    /// The axis.
    pub x: Axis,
    /// The rows, from the top.
    pub rows: Vec<Row>,
    /// Names of series, with their index.
    pub legend: Vec<(usize, String)>,
}

/// One row.
pub struct Row {
    /// Name, left of the frame.
    pub name: String,
    /// What is drawn in axis units.
    pub marks: Vec<Mark>,
    /// Words after the marks.
    pub text: String,
}

/// Something in a row.
pub enum Mark {
    /// A piece of a bar.
    Segment {
        /// Which series it belongs to.
        series: usize,
        /// Its left end.
        from: f64,
        /// Its right end.
        to: f64,
    },
    /// A marker.
    Dot {
        /// Which series it belongs to.
        series: usize,
        /// Where it stands.
        at: f64,
    },
}

impl RowChart {
    /// The chart as a picture.
    pub fn drawing(&self) -> Drawing {
        let mut drawing = Drawing::new(self.id, WIDTH, &self.title, &self.note, &self.description);
        let character = TEXT * ADVANCE * NARROW_SCALE;
        let longest = self.rows.iter().map(|row| row.name.chars().count()).max();
        let left = MARGIN + (longest.unwrap_or(0) as f64 * character).clamp(60.0, 236.0) + 8.0;
        let right = WIDTH - RIGHT;
        let top = drawing.height + 12.0;
        let bottom = top + ROW * self.rows.len() as f64;
        let x =
            |value: f64| left + (value - self.x.low) / (self.x.high - self.x.low) * (right - left);
        let body = &mut drawing.body;
        for (at, text) in &self.x.ticks {
            let x = x(*at);
            put(
                body,
                format_args!(
                    "<path class=\"grid\" d=\"M{x:.2} {top:.2}V{bottom:.2}\"/><text class=\"tick\" x=\"{x:.2}\" \
                     y=\"{:.2}\" text-anchor=\"middle\">{}</text>\n",
                    bottom + 20.0,
                    escape(text)
                ),
            );
        }
        for (index, row) in self.rows.iter().enumerate() {
            let y = top + ROW * (index as f64 + 0.5);
            let name = shorten(&row.name, fitting(left - 8.0 - MARGIN, TEXT));
            put(
                body,
                format_args!(
                    "<text x=\"{:.2}\" y=\"{y:.2}\" dy=\".35em\" text-anchor=\"end\">{}</text>\n",
                    left - 8.0,
                    escape(&name)
                ),
            );
            let mut end = left;
            for mark in &row.marks {
                match *mark {
                    Mark::Segment { series, from, to } => {
                        put(
                            body,
                            format_args!(
                                "<rect class=\"segment {}\" x=\"{:.2}\" y=\"{:.2}\" width=\"{:.2}\" height=\"{BAR}\"/>\n",
                                class(series),
                                x(from),
                                y - BAR / 2.0,
                                x(to) - x(from)
                            ),
                        );
                        end = f64::max(end, x(to) + 6.0);
                    }
                    Mark::Dot { series, at } => {
                        put(
                            body,
                            format_args!(
                                "<g class=\"{}\">{}</g>\n",
                                class(series),
                                marker(series, x(at), y)
                            ),
                        );
                        end = f64::max(end, x(at) + 11.0);
                    }
                }
            }
            // Words stay inside the picture: behind the marks, or before them where there is no room.
            let width = row.text.chars().count() as f64 * character;
            let (at, anchor) = match row.marks.last() {
                Some(Mark::Dot { at, .. }) if end + width > WIDTH => (x(*at) - 11.0, "end"),
                _ => (end.min(WIDTH - width).max(left + 4.0), "start"),
            };
            put(
                body,
                format_args!(
                    "<text class=\"note\" x=\"{at:.2}\" y=\"{y:.2}\" dy=\".35em\" text-anchor=\"{anchor}\">{}</text>\n",
                    escape(&row.text)
                ),
            );
        }
        put(
            body,
            format_args!(
                "<path class=\"frame\" d=\"M{left:.2} {top:.2}V{bottom:.2}H{right}\"/>\n\
                 <text x=\"{:.2}\" y=\"{:.2}\" text-anchor=\"middle\">{}</text>\n",
                f64::midpoint(left, right),
                bottom + 44.0,
                escape(&self.x.label)
            ),
        );
        drawing.height = bottom + 56.0;
        self.draw_legend(&mut drawing);
        drawing.meaning(&self.meaning)
    }

    fn draw_legend(&self, drawing: &mut Drawing) {
        if self.legend.is_empty() {
            return;
        }
        let (mut x, mut y) = (MARGIN, drawing.height + 16.0);
        for (series, name) in &self.legend {
            let width = 22.0 + name.chars().count() as f64 * TEXT * ADVANCE * NARROW_SCALE + 12.0;
            if x > MARGIN && x + width > WIDTH {
                x = MARGIN;
                y += 24.0;
            }
            put(
                &mut drawing.body,
                format_args!(
                    "<rect class=\"segment {}\" x=\"{x:.2}\" y=\"{:.2}\" width=\"14\" height=\"14\"/>\
                     <text x=\"{:.2}\" y=\"{y:.2}\" dy=\".35em\">{}</text>\n",
                    class(*series),
                    y - 7.0,
                    x + 20.0,
                    escape(name)
                ),
            );
            x += width;
        }
        drawing.height = y + 18.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(rows: Vec<Row>) -> RowChart {
        RowChart {
            id: "c",
            title: "t".into(),
            note: String::new(),
            description: "d".into(),
            meaning: "m".into(),
            x: Axis::covering("x", [0.0, 10.0], (0.0, 10.0), 0.0),
            rows,
            legend: vec![(0, "a & b".into())],
        }
    }

    #[test]
    fn bars_are_as_long_as_their_values() {
        let row = Row {
            name: "one".into(),
            marks: vec![
                Mark::Segment {
                    series: 0,
                    from: 0.0,
                    to: 5.0,
                },
                Mark::Segment {
                    series: 7,
                    from: 5.0,
                    to: 10.0,
                },
            ],
            text: "10 <J>".into(),
        };
        let svg = chart(vec![row]).drawing().inline();
        // The frame reaches from 10 + 60 + 8 to 560 - 22: a half is 230.
        assert!(
            svg.contains("class=\"segment s0\" x=\"78.00\"") && svg.contains("width=\"230.00\"")
        );
        assert!(
            svg.contains("class=\"segment s1 again\" x=\"308.00\""),
            "{svg}"
        );
        assert!(svg.contains("10 &lt;J&gt;") && svg.contains("a &amp; b"));
    }

    #[test]
    fn decades_have_a_tick_each() {
        let axis = Axis::decades("x", [2e-13, 4e-11], |power| format!("{power}"));
        assert_eq!((axis.low, axis.high), (-13.0, -10.0));
        let names: Vec<&str> = axis.ticks.iter().map(|tick| tick.1.as_str()).collect();
        assert_eq!(names, ["-13", "-12", "-11", "-10"]);
        let one = Axis::decades("x", [1e-12], |power| format!("{power}"));
        assert!(one.low < one.high);
    }
}
