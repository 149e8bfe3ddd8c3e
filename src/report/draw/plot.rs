//! A plot: two axes, and lines, steps, bands, points and a legend between them.

use super::axis::Axis;
use super::drawing::{
    ADVANCE, Drawing, NARROW_SCALE, RIGHT, TEXT, WIDTH, class, escape, fitting, marker, put,
    shorten,
};

const FRAME_HEIGHT: f64 = 280.0;
const LEFT: f64 = 86.0;

/// A plot: what it shows, its axes, and its layers.
pub struct Plot {
    /// Identifier, unique on a page and usable as a file stem.
    pub id: &'static str,
    /// Heading.
    pub title: String,
    /// Line below the heading: what was measured on how many.
    pub note: String,
    /// What the plot shows, for readers who do not see it.
    pub description: String,
    /// What a reader takes away from it, in a sentence or two.
    pub meaning: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// What is drawn, from back to front.
    pub layers: Vec<Layer>,
    /// Names of series, with their index.
    pub legend: Vec<(usize, String)>,
}

/// Something drawn in the frame, in axis units. `series` selects colour, dash pattern and marker.
pub enum Layer {
    /// Straight lines through points.
    Line {
        /// Which series it belongs to.
        series: usize,
        /// The corners, as (x, y).
        points: Vec<(f64, f64)>,
    },
    /// A right-continuous step function: the value changes at each point's x.
    Steps {
        /// Which series it belongs to.
        series: usize,
        /// Where it changes and to what, as (x, y).
        points: Vec<(f64, f64)>,
    },
    /// The area between two curves.
    Band {
        /// Which series it belongs to.
        series: usize,
        /// The curves, as (x, low, high).
        points: Vec<(f64, f64, f64)>,
    },
    /// A marker at each point.
    Points {
        /// Which series it belongs to.
        series: usize,
        /// The points, as (x, y).
        points: Vec<(f64, f64)>,
    },
    /// A horizontal bar at a height, with a cap at each end; `None` runs to the edge of the frame without a cap.
    HorizontalBar {
        /// Which series it belongs to.
        series: usize,
        /// The left end.
        low: Option<f64>,
        /// The right end.
        high: Option<f64>,
        /// The height.
        y: f64,
    },
    /// A vertical line over the whole frame, named above it.
    VerticalMark {
        /// Where it stands.
        x: f64,
        /// Its name.
        label: String,
    },
    /// A horizontal rule over the whole frame.
    Rule {
        /// The height.
        y: f64,
    },
}

impl Plot {
    /// The plot as a picture.
    pub fn drawing(&self) -> Drawing {
        let mut drawing = Drawing::new(self.id, WIDTH, &self.title, &self.note, &self.description);
        let named = self
            .layers
            .iter()
            .any(|layer| matches!(layer, Layer::VerticalMark { .. }));
        let line = TEXT * NARROW_SCALE * 1.3;
        let top = drawing.height + if named { line } else { 0.0 } + 12.0;
        let frame = Frame { plot: self, top };
        let body = &mut drawing.body;
        self.draw_axes(body, &frame);
        for layer in &self.layers {
            draw_layer(body, &frame, layer);
        }
        drawing.height = self.draw_legend(body, frame.bottom() + 72.0);
        drawing.meaning(&self.meaning)
    }

    fn draw_axes(&self, body: &mut String, frame: &Frame<'_>) {
        let (right, bottom, top) = (WIDTH - RIGHT, frame.bottom(), frame.top);
        for (at, text) in &self.x.ticks {
            let x = frame.x(*at);
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
        for (at, text) in &self.y.ticks {
            let y = frame.y(*at);
            put(
                body,
                format_args!(
                    "<path class=\"grid\" d=\"M{LEFT} {y:.2}H{right}\"/><text class=\"tick\" x=\"{:.2}\" y=\"{y:.2}\" \
                     dy=\".35em\" text-anchor=\"end\">{}</text>\n",
                    LEFT - 7.0,
                    escape(text)
                ),
            );
        }
        let (middle_x, middle_y) = (f64::midpoint(LEFT, right), f64::midpoint(top, bottom));
        put(
            body,
            format_args!(
                "<path class=\"frame\" d=\"M{LEFT} {top:.2}V{bottom:.2}H{right}\"/>\n\
                 <text x=\"{middle_x:.2}\" y=\"{:.2}\" text-anchor=\"middle\">{}</text>\n\
                 <text transform=\"translate(24 {middle_y:.2})rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
                bottom + 44.0,
                escape(&self.x.label),
                escape(&self.y.label)
            ),
        );
    }

    /// Draws the names of the series in rows from `y` down and gives the height of the whole plot.
    fn draw_legend(&self, body: &mut String, y: f64) -> f64 {
        const SAMPLE: f64 = 34.0;
        let (mut x, mut y) = (LEFT, y);
        for (series, name) in &self.legend {
            let name = shorten(name, fitting(WIDTH - LEFT - RIGHT - SAMPLE - 8.0, TEXT));
            let width =
                SAMPLE + 8.0 + name.chars().count() as f64 * TEXT * ADVANCE * NARROW_SCALE + 14.0;
            if x > LEFT && x + width > WIDTH {
                x = LEFT;
                y += 24.0;
            }
            put(
                body,
                format_args!(
                    "<g class=\"{}\"><path class=\"line\" d=\"M{x:.2} {y:.2}h{SAMPLE}\"/>{}</g>\
                     <text x=\"{:.2}\" y=\"{y:.2}\" dy=\".35em\">{}</text>\n",
                    class(*series),
                    marker(*series, x + SAMPLE / 2.0, y),
                    x + SAMPLE + 8.0,
                    escape(&name)
                ),
            );
            x += width;
        }
        y + 18.0
    }
}

/// Where axis units lie in the view box.
struct Frame<'a> {
    plot: &'a Plot,
    top: f64,
}

impl Frame<'_> {
    fn bottom(&self) -> f64 {
        self.top + FRAME_HEIGHT
    }

    fn x(&self, value: f64) -> f64 {
        let axis = &self.plot.x;
        LEFT + (value - axis.low) / (axis.high - axis.low) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        let axis = &self.plot.y;
        self.bottom() - (value - axis.low) / (axis.high - axis.low) * FRAME_HEIGHT
    }

    fn path(&self, points: impl IntoIterator<Item = (f64, f64)>) -> String {
        let mut path = String::new();
        for (index, (x, y)) in points.into_iter().enumerate() {
            let verb = if index == 0 { "M" } else { "L" };
            put(
                &mut path,
                format_args!("{verb}{:.2} {:.2}", self.x(x), self.y(y)),
            );
        }
        path
    }
}

fn draw_layer(body: &mut String, frame: &Frame<'_>, layer: &Layer) {
    match layer {
        Layer::Line { series, points } => {
            let path = frame.path(points.iter().copied());
            put(
                body,
                format_args!("<path class=\"line {}\" d=\"{path}\"/>\n", class(*series)),
            );
        }
        Layer::Steps { series, points } => {
            let heights = std::iter::once(None).chain(points.iter().map(|point| Some(point.1)));
            let corners = points.iter().zip(heights).flat_map(|(&(x, y), before)| {
                before.map(|before| (x, before)).into_iter().chain([(x, y)])
            });
            let path = frame.path(corners);
            put(
                body,
                format_args!("<path class=\"line {}\" d=\"{path}\"/>\n", class(*series)),
            );
        }
        Layer::Band { series, points } => {
            let low = points.iter().map(|&(x, low, _)| (x, low));
            let high = points.iter().rev().map(|&(x, _, high)| (x, high));
            let path = frame.path(low.chain(high));
            put(
                body,
                format_args!("<path class=\"band {}\" d=\"{path}Z\"/>\n", class(*series)),
            );
        }
        Layer::Points { series, points } => {
            put(body, format_args!("<g class=\"{}\">", class(*series)));
            for &(x, y) in points {
                body.push_str(&marker(*series, frame.x(x), frame.y(y)));
            }
            body.push_str("</g>\n");
        }
        Layer::HorizontalBar {
            series,
            low,
            high,
            y,
        } => {
            let y = frame.y(*y);
            let from = frame.x(low.unwrap_or(frame.plot.x.low));
            let to = frame.x(high.unwrap_or(frame.plot.x.high));
            let cap = |end: &Option<f64>, x: f64| {
                end.map_or_else(String::new, |_| format!("M{x:.2} {:.2}v8", y - 4.0))
            };
            put(
                body,
                format_args!(
                    "<path class=\"bar {}\" d=\"M{from:.2} {y:.2}H{to:.2}{}{}\"/>\n",
                    class(*series),
                    cap(low, from),
                    cap(high, to)
                ),
            );
        }
        Layer::VerticalMark { x, label } => {
            // The name stays within the frame wherever the line is.
            let at = frame.x(*x);
            let half = label.chars().count() as f64 * TEXT * ADVANCE * NARROW_SCALE / 2.0;
            let text_x = at.min(WIDTH - RIGHT - half).max(LEFT + half);
            put(
                body,
                format_args!(
                    "<path class=\"mark\" d=\"M{at:.2} {:.2}V{:.2}\"/>\
                     <text class=\"note\" x=\"{text_x:.2}\" y=\"{:.2}\" text-anchor=\"middle\">{}</text>\n",
                    frame.top,
                    frame.bottom(),
                    frame.top - 6.0,
                    escape(label)
                ),
            );
        }
        Layer::Rule { y } => {
            let y = frame.y(*y);
            put(
                body,
                format_args!(
                    "<path class=\"frame\" d=\"M{LEFT} {y:.2}H{}\"/>\n",
                    WIDTH - RIGHT
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit_plot() -> Plot {
        Plot {
            id: "p",
            title: "<t>".into(),
            note: String::new(),
            description: "d".into(),
            meaning: "m".into(),
            x: Axis::covering("x", [0.0, 1.0], (0.0, 1.0), 0.0),
            y: Axis::covering("y", [0.0, 1.0], (0.0, 1.0), 0.0),
            layers: vec![],
            legend: vec![(0, "a & b".into())],
        }
    }

    #[test]
    fn steps_change_at_the_point() {
        let mut plot = unit_plot();
        plot.layers = vec![Layer::Steps {
            series: 0,
            points: vec![(0.0, 0.0), (0.5, 1.0)],
        }];
        let svg = plot.drawing().standalone();
        // Frame: x 86..538, y 46..326.
        assert!(
            svg.contains("d=\"M86.00 326.00L312.00 326.00L312.00 46.00\""),
            "{svg}"
        );
        assert!(
            svg.contains("<title id=\"p-title\">&lt;t&gt;</title>") && svg.contains("a &amp; b")
        );
        assert!(svg.contains("xmlns=") && !plot.drawing().inline().contains("<style>"));
    }

    #[test]
    fn an_open_end_has_no_cap() {
        let bar = |low, high| {
            let mut plot = unit_plot();
            plot.layers = vec![Layer::HorizontalBar {
                series: 7,
                low,
                high,
                y: 0.5,
            }];
            plot.drawing().inline()
        };
        let closed = bar(Some(0.0), Some(0.5));
        assert!(closed.contains(
            "class=\"bar s1 again\" d=\"M86.00 186.00H312.00M86.00 182.00v8M312.00 182.00v8\""
        ));
        assert!(bar(None, Some(0.5)).contains("d=\"M86.00 186.00H312.00M312.00 182.00v8\""));
        assert!(bar(Some(0.5), None).contains("d=\"M312.00 186.00H538.00M312.00 182.00v8\""));
    }
}
