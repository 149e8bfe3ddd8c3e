//! A picture as SVG text: its colours, its heading, how much text fits, and what is drawn in it.
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
pub(super) const STYLE: &str = "\
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
pub(crate) const NARROW_SCALE: f64 = 16.0 / 13.0;
/// Width of a picture that takes half of a page.
pub(crate) const WIDTH: f64 = 560.0;
/// Width of a picture that takes the whole width of a page.
pub(super) const BROAD: f64 = 1120.0;
pub(super) const RIGHT: f64 = 22.0;
/// Space before the leftmost text, which a page has by itself.
pub(crate) const MARGIN: f64 = 10.0;
pub(crate) const TEXT: f64 = 13.0;
const NAME: f64 = 16.0;
/// Height of a further line of a heading.
const HEADING: f64 = 24.0;
/// Estimated advance of a character relative to the font size, wide fonts included.
pub(crate) const ADVANCE: f64 = 0.6;
/// Distinct colours, dash patterns and markers; further series start over, see [`class`].
const SERIES_STYLES: usize = 6;

/// A picture with a heading and a note: what a [`Plot`](super::Plot), a [`RowChart`](super::RowChart) and a
/// [`ConfusionMatrix`](super::ConfusionMatrix) become.
pub struct Drawing {
    /// Identifier, unique on a page and usable as a file stem.
    pub(super) id: &'static str,
    title: String,
    description: String,
    /// What a reader takes away from it, for the line below it on a page.
    pub(super) meaning: String,
    /// The same for narrow screens, of a picture over the whole width of a page.
    slim: Option<Box<Self>>,
    width: f64,
    /// Space on the left that the picture does without on a page.
    cut: f64,
    /// Elements, drawn from `height` down.
    pub(crate) body: String,
    /// How far down the picture reaches.
    pub(crate) height: f64,
}

impl Drawing {
    /// Identifier, unique on a page and the file stem.
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// A picture with its heading, its note and nothing else.
    pub(crate) fn new(
        id: &'static str,
        width: f64,
        title: &str,
        note: &str,
        description: &str,
    ) -> Self {
        let fits = |size| fitting(width - 2.0 * MARGIN, size);
        let line = TEXT * NARROW_SCALE * 1.3;
        let mut body = String::new();
        let heading = wrap(title, fits(NAME));
        for (index, text) in heading.iter().enumerate() {
            put(
                &mut body,
                format_args!(
                    "<text class=\"name\" x=\"{MARGIN}\" y=\"{}\">{}</text>\n",
                    25.0 + HEADING * index as f64,
                    escape(text)
                ),
            );
        }
        let below = HEADING * heading.len().saturating_sub(1) as f64;
        let note = wrap(note, fits(TEXT));
        for (index, text) in note.iter().enumerate() {
            let y = 30.0 + below + line * (index as f64 + 0.9);
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
            meaning: String::new(),
            slim: None,
            width,
            cut: MARGIN,
            body,
            height: 34.0 + below + line * note.len() as f64,
        }
    }

    /// With what a reader takes away from it.
    pub(crate) fn meaning(mut self, sentence: impl Into<String>) -> Self {
        self.meaning = sentence.into();
        self
    }

    /// With the same picture for narrow screens.
    pub(crate) fn with_slim(mut self, slim: Self) -> Self {
        self.slim = Some(Box::new(slim));
        self
    }

    /// The picture for a page, which holds the colours.
    pub fn inline(&self) -> String {
        match &self.slim {
            None => self.element("", "plot", self.id, "", self.cut),
            Some(slim) => {
                let narrow = format!("{}-slim", slim.id);
                self.element("", "plot wide", self.id, "", self.cut)
                    + &slim.element("", "plot slim", &narrow, "", slim.cut)
            }
        }
    }

    /// The picture as a file of its own.
    pub fn standalone(&self) -> String {
        let background = "<rect width=\"100%\" height=\"100%\" fill=\"var(--paper)\"/>\n";
        let element = self.element(
            " xmlns=\"http://www.w3.org/2000/svg\"",
            "plot",
            self.id,
            &format!("<style>{STYLE}</style>\n{background}"),
            0.0,
        );
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{element}")
    }

    /// The whole element, without the leftmost `cut` units.
    fn element(&self, namespace: &str, class: &str, id: &str, head: &str, cut: f64) -> String {
        let Self { body, height, .. } = self;
        format!(
            "<svg{namespace} class=\"{class}\" id=\"{id}\" viewBox=\"{cut} 0 {} {height:.0}\" role=\"img\" \
             aria-labelledby=\"{id}-title {id}-desc\">\n<title id=\"{id}-title\">{}</title>\n\
             <desc id=\"{id}-desc\">{}</desc>\n{head}{body}</svg>\n",
            self.width - cut,
            escape(&self.title),
            escape(&self.description)
        )
    }
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
pub(crate) fn shorten(text: &str, characters: usize) -> String {
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

/// The class of a series; every second round of styles is drawn with thin lines and hollow markers.
pub(crate) fn class(series: usize) -> String {
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
pub(crate) fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        assert_eq!(
            escape("a<b> & \"c\" 'd'\u{0}"),
            "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;"
        );
        assert_eq!(escape("σ ± 5 %"), "σ ± 5 %");
    }

    #[test]
    fn lines_break_at_spaces() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("unbreakable", 5), ["unbr…"]);
        assert!(wrap(" ", 5).is_empty());
    }
}
