//! A page of HTML that needs nothing else, for screens and paper, light and dark.

use std::collections::BTreeSet;

use super::confusion::ConfusionMatrix;
use super::drawing::{Drawing, STYLE, escape};
use super::table::Table;
use super::table_layout::{cards, rules};

const PAGE_STYLE: &str = "\
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);line-height:1.55;\
font-family:system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;font-size:16px}
main{max-width:1160px;margin:0 auto;padding:40px 24px 64px}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 4px;letter-spacing:-.01em}
h2{font-size:1.15rem;margin:44px 0 12px}
p{margin:0 0 12px;max-width:74ch;overflow-wrap:break-word}
.lead{font-size:1.15rem;margin:20px 0 8px}
.muted,.about,footer{color:var(--muted)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 20px;margin:20px 0 0}
dt{color:var(--muted)}dd{margin:0;overflow-wrap:anywhere}
.plots{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:28px 32px;align-items:start}
figure{margin:0}
figcaption{font-size:.92rem;max-width:74ch;margin-top:6px}figcaption strong{font-weight:600}
.plot{display:block;width:100%;height:auto}
.broad{margin-top:32px}.slim{display:none;max-width:640px}
.about{font-size:.92rem}.about h3{font-size:1rem;color:var(--ink);margin:18px 0 10px}
.about ul{margin:0;padding-left:1.1em}.about li{margin-bottom:8px;max-width:70ch}
pre{margin:0;padding:12px 14px;border:1px solid var(--rule);border-radius:6px;font-size:.88rem;\
white-space:pre-wrap;overflow-wrap:anywhere;\
font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;line-height:1.45}
summary{cursor:pointer;font-weight:600;font-size:1.15rem;margin:44px 0 12px}
footer{margin-top:44px;padding-top:14px;border-top:1px solid var(--rule);font-size:.9rem}
@media screen and (max-width:900px){.plots{grid-template-columns:minmax(0,1fr)}}
@media screen and (max-width:640px){main{padding:24px 16px 48px}h1{font-size:1.5rem}.lead{font-size:1.05rem}
dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:8px}}
@media screen and (max-width:860px){.wide{display:none}.slim{display:block}}
@media print{:root{font-size:10pt}main{max-width:none;padding:0}body{font-size:1rem}
figure,tr,.about li{break-inside:avoid}h2,h3,summary{break-after:avoid}details::details-content{content-visibility:visible}}
";

/// What a page shows between its summary and the command that repeats the run, part by part.
#[derive(Debug, Clone, Default)]
pub struct Page {
    body: String,
}

impl Page {
    /// A page without parts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Its HTML.
    #[cfg(test)]
    pub(super) fn body(&self) -> &str {
        &self.body
    }

    fn push(mut self, html: &str) -> Self {
        self.body.push_str(html);
        self
    }

    /// A list of terms and what is said of them.
    pub fn terms<T: AsRef<str>>(self, facts: &[(T, String)]) -> Self {
        let rows: String = facts
            .iter()
            .map(|(term, fact)| {
                let term = escape(term.as_ref());
                format!("<dt>{term}</dt><dd>{}</dd>\n", escape(fact))
            })
            .collect();
        self.push(&format!("<dl>\n{rows}</dl>\n"))
    }

    /// The heading of what follows.
    pub fn heading(self, text: &str) -> Self {
        self.push(&format!("<h2>{}</h2>\n", escape(text)))
    }

    /// A paragraph.
    pub fn paragraph(self, text: &str) -> Self {
        self.push(&format!("<p>{}</p>\n", escape(text)))
    }

    /// A paragraph of less weight.
    pub fn remark(self, text: &str) -> Self {
        self.push(&format!("<p class=\"muted\">{}</p>\n", escape(text)))
    }

    /// A table.
    pub fn table(self, table: &Table) -> Self {
        self.push(&table.html())
    }

    /// Plots beside each other, and after them how the numbers are defined, one sentence each.
    pub fn plots<'a, S: AsRef<str>>(
        self,
        plots: impl IntoIterator<Item = &'a Drawing>,
        definitions: &[S],
    ) -> Self {
        let figures: String = plots.into_iter().map(figure).collect();
        let definitions = list(definitions);
        if figures.is_empty() && definitions.is_empty() {
            return self;
        }
        self.push(&format!(
            "<h2>Plots and definitions</h2>\n<div class=\"plots\">\n{figures}{definitions}</div>\n"
        ))
    }

    /// The same with the last plot above the definitions, for definitions that are long.
    pub fn plots_in_columns<S: AsRef<str>>(self, plots: &[Drawing], definitions: &[S]) -> Self {
        let (others, last) = plots.split_at(plots.len().saturating_sub(1));
        let others: String = others.iter().map(figure).collect();
        let last: String = last.iter().map(figure).collect();
        let definitions = list(definitions);
        self.push(&format!(
            "<h2>Plots and definitions</h2>\n<div class=\"plots\">\n{others}<div>\n{last}{definitions}</div>\n</div>\n"
        ))
    }

    /// A plot over the whole width.
    pub fn broad(self, plot: &Drawing) -> Self {
        self.push(&figure_of("broad", plot))
    }

    /// A confusion matrix under a heading: drawn for a few labels, and the most confused pairs.
    pub fn confusion(self, heading: &str, matrix: &ConfusionMatrix) -> Self {
        let page = self.heading(heading).paragraph(&matrix.summary());
        let page = match matrix.drawing() {
            None => page,
            Some(drawing) if matrix.is_broad() => page.broad(&drawing),
            Some(drawing) => page.push(&format!(
                "<div class=\"plots\">\n{}</div>\n",
                figure(&drawing)
            )),
        };
        match matrix.pairs() {
            pairs if pairs.is_empty() => page,
            pairs => page.heading("Most confused pairs").table(&pairs),
        }
    }

    /// How the numbers are defined, one sentence each.
    pub fn definitions<S: AsRef<str>>(self, sentences: &[S]) -> Self {
        self.push(&list(sentences))
    }
}

fn figure(plot: &Drawing) -> String {
    figure_of("beside", plot)
}

/// A plot with what it means below it.
fn figure_of(class: &str, plot: &Drawing) -> String {
    let meaning = match plot.meaning.as_str() {
        "" => String::new(),
        meaning => format!(
            "<figcaption><strong>What this means:</strong> {}</figcaption>\n",
            escape(meaning)
        ),
    };
    format!(
        "<figure class=\"{class}\">\n{}{meaning}</figure>\n",
        plot.inline()
    )
}

/// The rules of the tables of a page, which are cards where there is less space than they need.
fn table_rules(body: &str) -> String {
    let of_tables = body.split("<div class=\"table").skip(1);
    let letters = of_tables.filter_map(|table| {
        let (classes, _) = table.split_once('"')?;
        classes.rsplit_once(" fit")?.1.parse().ok()
    });
    let letters: BTreeSet<usize> = letters.collect();
    rules() + &letters.into_iter().map(cards).collect::<String>()
}

/// Nothing where there is no sentence.
fn list<S: AsRef<str>>(sentences: &[S]) -> String {
    if sentences.is_empty() {
        return String::new();
    }
    let items: String = sentences
        .iter()
        .map(|sentence| format!("<li>{}</li>\n", escape(sentence.as_ref())))
        .collect();
    format!(
        "<section class=\"about\">\n<h3>How the numbers are defined</h3>\n<ul>\n{items}</ul>\n</section>\n"
    )
}

/// What surrounds the parts of a page.
pub(crate) struct Frame<'a> {
    pub(crate) title: &'a str,
    /// The outcome in a sentence.
    pub(crate) summary: &'a str,
    /// The command that repeats the run.
    pub(crate) reproduce: &'a str,
    pub(crate) configuration: &'a str,
    pub(crate) version: &'a str,
    pub(crate) commit: Option<&'a str>,
}

/// A whole document of HTML.
pub(crate) fn whole(frame: &Frame<'_>, page: &Page) -> String {
    let title = escape(frame.title);
    let commit = frame
        .commit
        .map_or_else(String::new, |commit| format!(", commit {}", escape(commit)));
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}{PAGE_STYLE}{}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n<p class=\"lead\">{}</p>\n{}\
         <h2>Reproduce</h2>\n<pre><code>{}</code></pre>\n\
         <details>\n<summary>Configuration</summary>\n<pre><code>{}</code></pre>\n</details>\n\
         <footer>Crossburn {}{commit}. The numbers of this page are in results.json beside it.</footer>\n\
         </main>\n</body>\n</html>\n",
        table_rules(&page.body),
        escape(frame.summary),
        page.body,
        escape(frame.reproduce),
        escape(frame.configuration),
        escape(frame.version),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plots_keep_their_order_and_the_last_stands_above_the_definitions() {
        let plots = ["a", "b", "c"].map(|id| Drawing::new(id, 560.0, id, "", ""));
        let page = Page::new().plots_in_columns(&plots, &["x < y"]);
        let place = |part: &str| page.body().find(part);
        let order = ["id=\"a\"", "id=\"b\"", "<div>", "id=\"c\"", "x &lt; y"].map(place);
        assert!(order.is_sorted() && order[0].is_some(), "{order:?}");
        let page = Page::new().plots_in_columns(&[], &["x"]);
        assert!(!page.body().contains("<figure"));
    }
}
