//! The plotting layer: axes with round numbers, lines, steps, bands, points and a legend, as SVG text.
//!
//! Coordinates are user units of a 560-wide view box, which scales with the page. Text is measured by an estimate that
//! errs on the wide side and leaves room for [`NARROW_SCALE`], the enlargement on narrow screens. Colour never carries
//! meaning alone: each series also has its own dash pattern and marker.

use std::fmt::Write;

/// Colours and strokes as CSS custom properties: a palette that stays distinct in the common colour-vision
/// deficiencies, with one set for light and one for dark surroundings; paper is always light.
///
/// # Source
///
/// Hues after Okabe and Ito, "Color Universal Design" (2008), darkened on white and lightened on black for contrast.
pub(crate) const STYLE: &str = "\
:root{color-scheme:light dark;--paper:#fff;--ink:#1c2128;--muted:#57606a;--rule:#d5dae0;--grid:#e8ebef;\
--s0:#0069a8;--s1:#c24e00;--s2:#00795c;--s3:#a63d87;--s4:#7d6200;--s5:#4b5563}
@media screen and (prefers-color-scheme:dark){:root{--paper:#14171c;--ink:#e6e9ee;--muted:#a2abb7;--rule:#3a414b;\
--grid:#262c34;--s0:#5bb8f0;--s1:#ff9152;--s2:#35cba0;--s3:#ea9dcc;--s4:#e8d24a;--s5:#c0c7d0}}
.plot{font-family:system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;font-size:13px}
.plot text{fill:var(--ink)}
.plot .name{font-size:16px;font-weight:600}
.plot .note,.plot .tick{fill:var(--muted)}
.plot .grid{stroke:var(--grid);stroke-width:1}
.plot .frame{stroke:var(--muted);stroke-width:1;fill:none}
.plot .mark{stroke:var(--muted);stroke-width:1.25;stroke-dasharray:3 3}
.plot .s0{--c:var(--s0)}.plot .s1{--c:var(--s1);--d:7 3}.plot .s2{--c:var(--s2);--d:2 2.5}
.plot .s3{--c:var(--s3);--d:9 3 2 3}.plot .s4{--c:var(--s4);--d:12 4}.plot .s5{--c:var(--s5);--d:5 2 1 2 1 2}
.plot .line{fill:none;stroke:var(--c);stroke-width:2;stroke-linejoin:round;stroke-dasharray:var(--d,none)}
.plot .bar{fill:none;stroke:var(--c);stroke-width:2}
.plot .band{fill:var(--c);fill-opacity:.13;stroke:var(--c);stroke-opacity:.45;stroke-width:.75}
.plot .dot{fill:var(--c);stroke:var(--paper);stroke-width:1}
.plot .again .dot{fill:var(--paper);stroke:var(--c);stroke-width:1.5}.plot .again.line,.plot .again .line{stroke-width:1.1}
.plot .segment{fill:var(--c);stroke:var(--paper);stroke-width:.75}
.plot .again.segment,.plot .again .segment{fill-opacity:.3;stroke:var(--c)}
.plot .whole{fill:var(--c);fill-opacity:.2}.plot .again .whole{fill-opacity:.1}
.plot .used{fill:var(--c)}.plot .again .used{fill-opacity:.5}
.plot .free{fill:none;stroke:var(--rule);stroke-width:.75}
@media screen and (max-width:640px){.plot{font-size:16px}.plot .name{font-size:19px}}
";

/// How much larger text is on narrow screens, where the whole plot shrinks (see [`STYLE`]).
pub(super) const NARROW_SCALE: f64 = 16.0 / 13.0;
pub(super) const WIDTH: f64 = 560.0;
const FRAME_HEIGHT: f64 = 280.0;
const LEFT: f64 = 86.0;
pub(super) const RIGHT: f64 = 22.0;
/// Space before the leftmost text, which a page has by itself.
pub(super) const MARGIN: f64 = 10.0;
pub(super) const TEXT: f64 = 13.0;
const NAME: f64 = 16.0;
/// Estimated advance of a character relative to the font size, wide fonts included.
pub(super) const ADVANCE: f64 = 0.6;
/// Distinct colours, dash patterns and markers; further series start over, see [`class`].
const SERIES_STYLES: usize = 6;

/// A plot: what it shows, its axes, and its layers from back to front.
pub(crate) struct Plot {
    /// Identifier, unique on a page and usable as a file stem.
    pub(crate) id: &'static str,
    /// Heading.
    pub(crate) title: String,
    /// Line below the heading: what was measured on how many.
    pub(crate) note: String,
    /// What the plot shows, for readers who do not see it.
    pub(crate) description: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) layers: Vec<Layer>,
    /// Names of series, with their index.
    pub(crate) legend: Vec<(usize, String)>,
}

/// One axis: its range and where it has numbers.
pub(crate) struct Axis {
    pub(crate) label: String,
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// Positions with their text.
    pub(crate) ticks: Vec<(f64, String)>,
}

/// Something drawn in the frame, in axis units. `series` selects colour, dash pattern and marker.
pub(crate) enum Layer {
    /// Straight lines through points.
    Line {
        series: usize,
        points: Vec<(f64, f64)>,
    },
    /// A right-continuous step function: the value changes at each point's x.
    Steps {
        series: usize,
        points: Vec<(f64, f64)>,
    },
    /// The area between two curves, as (x, low, high).
    Band {
        series: usize,
        points: Vec<(f64, f64, f64)>,
    },
    /// A marker at each point.
    Points {
        series: usize,
        points: Vec<(f64, f64)>,
    },
    /// A horizontal bar at a height, with a cap at each end; `None` runs to the edge of the frame without a cap.
    HorizontalBar {
        series: usize,
        low: Option<f64>,
        high: Option<f64>,
        y: f64,
    },
    /// A vertical line over the whole frame, named above it.
    VerticalMark { x: f64, label: String },
    /// A horizontal rule over the whole frame.
    Rule { y: f64 },
}

impl Axis {
    /// An axis over `values` with round ends and about six ticks, kept within `bounds`. `min_step` is the smallest
    /// distance of ticks, 1 for counts.
    pub(crate) fn covering(
        label: &str,
        values: impl IntoIterator<Item = f64>,
        bounds: (f64, f64),
        min_step: f64,
    ) -> Self {
        let finite = values.into_iter().filter(|value| value.is_finite());
        let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| {
            (a.min(v), b.max(v))
        });
        let (low, high) = if low <= high {
            (low.max(bounds.0), high.min(bounds.1))
        } else {
            bounds
        };
        let step = nice_step((high - low) / 6.0).max(min_step);
        let mut low = ((low / step + 1e-9).floor() * step).max(bounds.0);
        let mut high = ((high / step - 1e-9).ceil() * step).min(bounds.1);
        if high - low < step / 2.0 {
            low = (low - step).max(bounds.0);
            high = (high + step).min(bounds.1).max(low + step);
        }
        Self {
            label: label.into(),
            low,
            high,
            ticks: ticks(low, high, step),
        }
    }
}

impl Axis {
    /// An axis over positive `values` in decades: positions are common logarithms, `name` writes the power of ten of a tick.
    pub(super) fn decades(
        label: &str,
        values: impl IntoIterator<Item = f64>,
        name: impl Fn(i32) -> String,
    ) -> Self {
        let logs = values.into_iter().map(f64::log10);
        let (low, high) = logs
            .filter(|log| log.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| {
                (a.min(v), b.max(v))
            });
        let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
        let low = (low + 1e-9).floor();
        let high = (high - 1e-9).ceil().max(low + 1.0);
        Self {
            label: label.into(),
            low,
            high,
            ticks: (low as i32..=high as i32)
                .map(|power| (f64::from(power), name(power)))
                .collect(),
        }
    }
}

/// The smallest of 1, 2 and 5 times a power of ten that is at least `step`; 1 if `step` is not positive.
fn nice_step(step: f64) -> f64 {
    if !(step.is_finite() && step > f64::MIN_POSITIVE) {
        return 1.0;
    }
    let power = 10_f64.powf(step.log10().floor());
    let multiple = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|multiple| multiple * power >= step * (1.0 - 1e-9));
    multiple.unwrap_or(10.0) * power
}

/// The multiples of `step` in `low..=high`, each with as many decimals as the step has.
fn ticks(low: f64, high: f64, step: f64) -> Vec<(f64, String)> {
    let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last)
        .map(|multiple| {
            let at = multiple as f64 * step;
            (at, format!("{at:.decimals$}").replace('-', "−"))
        })
        .collect()
}

/// Text for XML content and attributes. Characters that XML forbids are dropped.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => escaped.push(c),
        }
    }
    escaped
}

/// Text cut to a number of characters, the last of them `…`.
pub(super) fn shorten(text: &str, characters: usize) -> String {
    if text.chars().count() <= characters {
        return text.into();
    }
    let kept: String = text.chars().take(characters.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// Lines of at most `characters`, broken at spaces.
pub(super) fn wrap(text: &str, characters: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= characters => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(shorten(word, characters)),
        }
    }
    lines
}

/// Characters of a font size that fit into a width, on narrow screens too.
pub(super) fn fitting(width: f64, size: f64) -> usize {
    (width / (size * ADVANCE * NARROW_SCALE)) as usize
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

/// A picture in the dress of a plot: a heading and a note, and below them whatever is drawn in `body` from `height` down.
pub(crate) struct Drawing {
    /// Identifier, unique on a page and usable as a file stem.
    pub(crate) id: &'static str,
    title: String,
    description: String,
    width: f64,
    /// Space on the left that the picture does without on a page.
    cut: f64,
    /// Elements.
    pub(super) body: String,
    /// How far down the picture reaches.
    pub(super) height: f64,
}

impl Drawing {
    /// A picture with its heading, its note and nothing else.
    pub(super) fn new(
        id: &'static str,
        width: f64,
        title: &str,
        note: &str,
        description: &str,
    ) -> Self {
        let fits = |size| fitting(width - 2.0 * MARGIN, size);
        let line = TEXT * NARROW_SCALE * 1.3;
        let mut body = String::new();
        put(
            &mut body,
            format_args!(
                "<text class=\"name\" x=\"{MARGIN}\" y=\"25\">{}</text>\n",
                escape(&shorten(title, fits(NAME)))
            ),
        );
        let note = wrap(note, fits(TEXT));
        for (index, text) in note.iter().enumerate() {
            let y = 30.0 + line * (index as f64 + 0.9);
            put(
                &mut body,
                format_args!(
                    "<text class=\"note\" x=\"{MARGIN}\" y=\"{y:.1}\">{}</text>\n",
                    escape(text)
                ),
            );
        }
        Self {
            id,
            title: title.into(),
            description: description.into(),
            width,
            cut: MARGIN,
            body,
            height: 34.0 + line * note.len() as f64,
        }
    }

    /// The picture for a page that holds [`STYLE`].
    pub(crate) fn inline(&self) -> String {
        self.element("", "", self.cut)
    }

    /// The picture as a file of its own.
    pub(crate) fn standalone(&self) -> String {
        let background = "<rect width=\"100%\" height=\"100%\" fill=\"var(--paper)\"/>\n";
        let element = self.element(
            " xmlns=\"http://www.w3.org/2000/svg\"",
            &format!("<style>{STYLE}</style>\n{background}"),
            0.0,
        );
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{element}")
    }

    /// The whole element, without the leftmost `cut` units.
    fn element(&self, namespace: &str, head: &str, cut: f64) -> String {
        let Self {
            id, body, height, ..
        } = self;
        format!(
            "<svg{namespace} class=\"plot\" id=\"{id}\" viewBox=\"{cut} 0 {} {height:.0}\" role=\"img\" \
             aria-labelledby=\"{id}-title {id}-desc\">\n<title id=\"{id}-title\">{}</title>\n\
             <desc id=\"{id}-desc\">{}</desc>\n{head}{body}</svg>\n",
            self.width - cut,
            escape(&self.title),
            escape(&self.description)
        )
    }
}

impl Plot {
    /// The plot for a page that holds [`STYLE`].
    pub(crate) fn inline(&self) -> String {
        self.drawing().inline()
    }

    /// The plot as a file of its own.
    pub(crate) fn standalone(&self) -> String {
        self.drawing().standalone()
    }

    /// The plot as a picture.
    pub(super) fn drawing(&self) -> Drawing {
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
        drawing
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

/// The class of a series; every second round of styles is drawn with thin lines and hollow markers.
pub(super) fn class(series: usize) -> String {
    let again = if series / SERIES_STYLES % 2 == 1 {
        " again"
    } else {
        ""
    };
    format!("s{}{again}", series % SERIES_STYLES)
}

pub(super) fn marker(series: usize, x: f64, y: f64) -> String {
    let path = match series % SERIES_STYLES {
        0 => return format!("<circle class=\"dot\" cx=\"{x:.2}\" cy=\"{y:.2}\" r=\"4.5\"/>"),
        1 => "m-4 -4h8v8h-8z",
        2 => "m0 -5.5l5.5 9.5h-11z",
        3 => "m0 -6l6 6l-6 6l-6 -6z",
        4 => "m0 5.5l5.5 -9.5h-11z",
        _ => "m-1.7 -5h3.4v3.3h3.3v3.4h-3.3v3.3h-3.4v-3.3h-3.3v-3.4h3.3z",
    };
    format!("<path class=\"dot\" d=\"M{x:.2} {y:.2}{path}\"/>")
}

/// Appends formatted text; writing to a string cannot fail.
pub(super) fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|tick| tick.1.as_str()).collect()
    }

    fn unit_plot() -> Plot {
        Plot {
            id: "p",
            title: "<t>".into(),
            note: String::new(),
            description: "d".into(),
            x: Axis::covering("x", [0.0, 1.0], (0.0, 1.0), 0.0),
            y: Axis::covering("y", [0.0, 1.0], (0.0, 1.0), 0.0),
            layers: vec![],
            legend: vec![(0, "a & b".into())],
        }
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(
            escape("a<b> & \"c\" 'd'\u{0}"),
            "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;"
        );
        assert_eq!(escape("σ ± 5 %"), "σ ± 5 %");
    }

    #[test]
    fn steps_are_one_two_or_five() {
        for (rough, nice) in [
            (0.03, 0.05),
            (0.2, 0.2),
            (0.21, 0.5),
            (1.0, 1.0),
            (3.0, 5.0),
            (7.0, 10.0),
            (180.0, 200.0),
        ] {
            assert!(
                (nice_step(rough) - nice).abs() < 1e-12 * nice,
                "{rough} gave {}",
                nice_step(rough)
            );
        }
        for rough in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(nice_step(rough), 1.0);
        }
    }

    #[test]
    fn axes_have_round_ends_that_cover_the_values() {
        let axis = Axis::covering("", [71.3, 96.2], (0.0, 100.0), 0.0);
        assert_eq!(labels(&axis), ["70", "75", "80", "85", "90", "95", "100"]);
        let axis = Axis::covering("", [0.0, 0.3], (0.0, 10.0), 0.0);
        assert_eq!(
            labels(&axis),
            ["0.00", "0.05", "0.10", "0.15", "0.20", "0.25", "0.30"]
        );
        let axis = Axis::covering("", [1.0, 3.0], (1.0, 3.0), 1.0);
        assert_eq!(labels(&axis), ["1", "2", "3"]);
        let axis = Axis::covering("", [-0.5, 0.5], (-1.0, 1.0), 0.0);
        assert_eq!(
            labels(&axis),
            ["−0.6", "−0.4", "−0.2", "0.0", "0.2", "0.4", "0.6"]
        );
    }

    #[test]
    fn degenerate_values_still_have_an_axis() {
        for values in [
            vec![],
            vec![97.0],
            vec![100.0, 100.0],
            vec![0.0],
            vec![f64::NAN],
            vec![97.0, 97.0 + 1e-13],
        ] {
            let axis = Axis::covering("", values.clone(), (0.0, 100.0), 0.0);
            assert!(
                axis.low < axis.high && !axis.ticks.is_empty() && axis.ticks.len() < 12,
                "{values:?}"
            );
            assert!(axis.low >= 0.0 && axis.high <= 100.0, "{values:?}");
        }
    }

    #[test]
    fn lines_break_at_spaces() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("unbreakable", 5), ["unbr…"]);
        assert!(wrap(" ", 5).is_empty());
    }

    #[test]
    fn steps_change_at_the_point() {
        let mut plot = unit_plot();
        plot.layers = vec![Layer::Steps {
            series: 0,
            points: vec![(0.0, 0.0), (0.5, 1.0)],
        }];
        let svg = plot.standalone();
        // Frame: x 86..538, y 46..326.
        assert!(
            svg.contains("d=\"M86.00 326.00L312.00 326.00L312.00 46.00\""),
            "{svg}"
        );
        assert!(
            svg.contains("<title id=\"p-title\">&lt;t&gt;</title>") && svg.contains("a &amp; b")
        );
        assert!(svg.contains("xmlns=") && !plot.inline().contains("<style>"));
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
            plot.inline()
        };
        let closed = bar(Some(0.0), Some(0.5));
        assert!(closed.contains(
            "class=\"bar s1 again\" d=\"M86.00 186.00H312.00M86.00 182.00v8M312.00 182.00v8\""
        ));
        assert!(bar(None, Some(0.5)).contains("d=\"M86.00 186.00H312.00M312.00 182.00v8\""));
        assert!(bar(Some(0.5), None).contains("d=\"M312.00 186.00H538.00M312.00 182.00v8\""));
    }
}
