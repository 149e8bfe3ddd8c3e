//! A signal over time, and below it bands with words: what is known or was decided of each stretch.

use super::axis::Axis;
use super::drawing::{
    ADVANCE, BROAD, Drawing, MARGIN, NARROW_SCALE, RIGHT, TEXT, WIDTH, class, escape, put, shorten,
    wrap,
};

/// Height of the signal.
const SIGNAL: f64 = 150.0;
/// Height of a band, and what is left free above it.
const BAND: f64 = 24.0;
const GAP: f64 = 6.0;
/// Distances of two numbers of the axis of time that a line on a narrow screen shows.
const STRETCHES: usize = 3;
/// Height of a line of the name of the axis of time.
const LINE: f64 = 20.0;
/// Space on the left for the numbers of the vertical axis and its name.
const LEFT: f64 = 86.0;
/// How deep a piece is coloured: its words are read on it.
const DEPTH: f64 = 0.2;

/// A signal with bands below it, over the whole width of a page.
pub(crate) struct SignalStrip {
    /// Identifier, unique on a page and usable as a file stem.
    pub(crate) id: &'static str,
    /// Heading.
    pub(crate) title: String,
    /// Line below the heading.
    pub(crate) note: String,
    /// What the picture shows, for readers who do not see it.
    pub(crate) description: String,
    /// What a reader takes away from it.
    pub(crate) meaning: String,
    /// The time of signal and bands.
    pub(crate) x: Axis,
    /// The values of the signal.
    pub(crate) y: Axis,
    /// The signal as lines through (time, value); nothing connects two of them.
    pub(crate) lines: Vec<Vec<(f64, f64)>>,
    /// The bands, from the top.
    pub(crate) tracks: Vec<Track>,
}

/// A band.
pub(crate) struct Track {
    /// Name, on its left.
    pub(crate) name: String,
    /// What is in it.
    pub(crate) pieces: Vec<Piece>,
}

/// A stretch of a band.
pub(crate) struct Piece {
    /// Where it begins.
    pub(crate) from: f64,
    /// Where it ends.
    pub(crate) to: f64,
    /// Which series it belongs to: its colour.
    pub(crate) series: usize,
    /// What it says.
    pub(crate) text: String,
    /// Whether a frame calls the eye to it.
    pub(crate) marked: bool,
}

impl SignalStrip {
    /// The strip as a picture.
    pub(crate) fn drawing(&self) -> Drawing {
        let whole = self.x.ticks.len().max(2) - 1;
        let slim = self.drawn(WIDTH, TEXT * ADVANCE * NARROW_SCALE, STRETCHES.min(whole));
        self.drawn(BROAD, TEXT * ADVANCE, whole)
            .with_slim(slim)
            .meaning(&self.meaning)
    }

    /// Lines below each other, each of `stretches` distances of two numbers of the axis of time.
    fn drawn(&self, width: f64, character: f64, stretches: usize) -> Drawing {
        let mut drawing = Drawing::new(self.id, width, &self.title, &self.note, &self.description);
        let names = self.tracks.iter().map(|track| track.name.chars().count());
        let longest = names.max().unwrap_or(0) as f64 * character;
        let mut place = Place {
            left: LEFT.max(MARGIN + longest + 8.0),
            right: width - RIGHT,
            top: drawing.height + 12.0,
            from: self.x.low,
            to: self.x.high,
            character,
        };
        let mut ends: Vec<f64> = self.x.ticks.iter().map(|tick| tick.0).collect();
        if ends.len() < 2 {
            ends = vec![self.x.low, self.x.high];
        }
        for first in (0..ends.len() - 1).step_by(stretches) {
            let start = ends[first];
            // A last line that is not full keeps the scale.
            let end = ends.get(first + stretches).copied();
            let end = end.unwrap_or(start + (place.to - place.from));
            (place.from, place.to) = (start, end);
            self.line(&mut drawing.body, &place);
            place.top = place.end(self) + 44.0;
        }
        let fits = ((place.right - place.left) / character) as usize;
        for line in wrap(&self.x.label, fits) {
            put(
                &mut drawing.body,
                format_args!(
                    "<text x=\"{:.2}\" y=\"{:.2}\" text-anchor=\"middle\">{}</text>\n",
                    f64::midpoint(place.left, place.right),
                    place.top,
                    escape(&line)
                ),
            );
            place.top += LINE;
        }
        drawing.height = place.top - LINE + 12.0;
        drawing
    }

    /// Signal and bands from `place.from` to `place.to`.
    fn line(&self, body: &mut String, place: &Place) {
        let Place {
            left, right, top, ..
        } = *place;
        let (bottom, end) = (place.bottom(), place.end(self));
        let y = |value: f64| bottom - (value - self.y.low) / (self.y.high - self.y.low) * SIGNAL;
        for (at, text) in self.x.ticks.iter().filter(|tick| place.holds(tick.0)) {
            let x = place.x(*at);
            put(
                body,
                format_args!(
                    "<path class=\"grid\" d=\"M{x:.2} {top:.2}V{end:.2}\"/><text class=\"tick\" x=\"{x:.2}\" y=\"{:.2}\" \
                     text-anchor=\"middle\">{}</text>\n",
                    end + 20.0,
                    escape(text)
                ),
            );
        }
        for (at, text) in &self.y.ticks {
            let y = y(*at);
            put(
                body,
                format_args!(
                    "<path class=\"grid\" d=\"M{left:.2} {y:.2}H{right:.2}\"/><text class=\"tick\" x=\"{:.2}\" y=\"{y:.2}\" \
                     dy=\".35em\" text-anchor=\"end\">{}</text>\n",
                    left - 7.0,
                    escape(text)
                ),
            );
        }
        for line in &self.lines {
            let mut path = String::new();
            let shown = line.iter().filter(|point| place.holds(point.0));
            for (index, (time, value)) in shown.enumerate() {
                let verb = if index == 0 { "M" } else { "L" };
                put(
                    &mut path,
                    format_args!("{verb}{:.2} {:.2}", place.x(*time), y(*value)),
                );
            }
            if !path.is_empty() {
                put(body, format_args!("<path class=\"frame\" d=\"{path}\"/>\n"));
            }
        }
        for (index, track) in self.tracks.iter().enumerate() {
            self.band(body, place, index, track);
        }
        put(
            body,
            format_args!(
                "<path class=\"frame\" d=\"M{left:.2} {top:.2}V{bottom:.2}H{right:.2}\"/>\n\
                 <text transform=\"translate(26 {:.2})rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
                f64::midpoint(top, bottom),
                escape(&self.y.label)
            ),
        );
    }

    /// The band that is number `index` below the signal.
    fn band(&self, body: &mut String, place: &Place, index: usize, track: &Track) {
        let above = place.bottom() + GAP + (GAP + BAND) * index as f64;
        let middle = above + BAND / 2.0;
        put(
            body,
            format_args!(
                "<text x=\"{:.2}\" y=\"{middle:.2}\" dy=\".35em\" text-anchor=\"end\">{}</text>\n",
                place.left - 8.0,
                escape(&track.name)
            ),
        );
        for piece in &track.pieces {
            let (from, to) = (piece.from.max(place.from), piece.to.min(place.to));
            if from >= to {
                continue;
            }
            let (from, to) = (place.x(from) + 1.0, place.x(to) - 1.0);
            let rect = |class: &str, more: &str| {
                format!(
                    "<rect class=\"{class}\" x=\"{from:.2}\" y=\"{above:.2}\" width=\"{:.2}\" height=\"{BAND}\"{more}/>",
                    (to - from).max(0.0)
                )
            };
            let frame = match piece.marked {
                true => rect("bar", ""),
                false => String::new(),
            };
            let fits = ((to - from) / place.character).max(0.0) as usize;
            put(
                body,
                format_args!(
                    "<g class=\"{}\">{}{frame}<text x=\"{:.2}\" y=\"{middle:.2}\" dy=\".35em\" text-anchor=\"middle\">{}</text></g>\n",
                    class(piece.series),
                    rect("used", &format!(" fill-opacity=\"{DEPTH}\"")),
                    f64::midpoint(from, to),
                    escape(&shorten(&piece.text, fits))
                ),
            );
        }
    }
}

/// Where a line of a strip lies, and which time it shows.
struct Place {
    left: f64,
    right: f64,
    top: f64,
    from: f64,
    to: f64,
    /// Estimated width of a character.
    character: f64,
}

impl Place {
    fn x(&self, time: f64) -> f64 {
        self.left + (time - self.from) / (self.to - self.from) * (self.right - self.left)
    }

    fn holds(&self, time: f64) -> bool {
        (self.from..=self.to).contains(&time)
    }

    /// The lower end of the signal.
    fn bottom(&self) -> f64 {
        self.top + SIGNAL
    }

    /// The lower end of the bands.
    fn end(&self, strip: &SignalStrip) -> f64 {
        self.bottom() + (GAP + BAND) * strip.tracks.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strip() -> SignalStrip {
        let piece = |from, to, text: &str, marked| Piece {
            from,
            to,
            series: 1,
            text: text.into(),
            marked,
        };
        SignalStrip {
            id: "s",
            title: "t".into(),
            note: String::new(),
            description: "d".into(),
            meaning: "m".into(),
            x: Axis::covering("Seconds", [0.0, 10.0], (0.0, 10.0), 5.0),
            y: Axis::covering("Codes", [-100.0, 100.0], (-100.0, 100.0), 100.0),
            lines: vec![vec![(0.0, -100.0), (5.0, 100.0)], vec![(5.0, 0.0)]],
            tracks: vec![
                Track {
                    name: "Label".into(),
                    pieces: vec![piece(0.0, 5.0, "<VA>", false)],
                },
                Track {
                    name: "Vote".into(),
                    pieces: vec![piece(5.0, 10.0, "Other, wrong", true)],
                },
            ],
        }
    }

    #[test]
    fn signal_and_bands_share_their_time() {
        let svg = strip().drawn(BROAD, TEXT * ADVANCE, 2).inline();
        // Time: x 86 to 1098, so 592 after five seconds. The signal: y 46 to 196; bands from 202 and from 232 on, 24 high.
        for part in [
            "d=\"M86.00 196.00L592.00 46.00\"",
            "d=\"M592.00 121.00\"",
            "x=\"87.00\" y=\"202.00\" width=\"504.00\" height=\"24\" fill-opacity=\"0.2\"",
            "<rect class=\"bar\" x=\"593.00\" y=\"232.00\" width=\"504.00\" height=\"24\"/>",
            "viewBox=\"10 0 1110 312\"",
        ] {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        assert_eq!(svg.matches("class=\"bar\"").count(), 1);
    }

    #[test]
    fn a_narrow_screen_has_a_line_for_a_few_stretches() {
        let svg = strip().drawn(WIDTH, TEXT * ADVANCE, 1).inline();
        // Two lines of five seconds from x 86 to 538: a signal each, and each band in the line of its time.
        assert_eq!(svg.matches("rotate(-90)").count(), 2);
        assert!(svg.contains("d=\"M86.00 196.00L538.00 46.00\""), "{svg}");
        assert_eq!(svg.matches("class=\"used\"").count(), 2);
        // The bands of the first line end at 256, so that the second begins at 300.
        assert!(
            svg.contains("x=\"87.00\" y=\"486.00\" width=\"450.00\""),
            "{svg}"
        );
    }

    #[test]
    fn words_are_text_and_stay_in_their_piece() {
        let mut strip = strip();
        assert!(strip.drawing().inline().contains(">&lt;VA&gt;<"));
        // A fiftieth of the time is 20 units wide, of which 18 hold two characters.
        strip.tracks[0].pieces[0].to = 0.2;
        assert!(strip.drawing().inline().contains(">&lt;…<"));
    }
}
