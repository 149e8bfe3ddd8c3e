//! The report: one HTML file that needs nothing else, for screens and paper, light and dark.

use super::percentiles::{percentile_definitions, percentile_measures};
use super::plots::plots;
use super::results::Results;
use super::summary::{Cell, DEFINITIONS, Measure, describe, hardware_measures, headline, measures};
use super::svg;

const PAGE_STYLE: &str = "\
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);line-height:1.55;\
font-family:system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;font-size:16px}
main{max-width:1160px;margin:0 auto;padding:40px 24px 64px}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 4px;letter-spacing:-.01em}
h2{font-size:1.15rem;margin:44px 0 12px}
p{margin:0 0 12px;max-width:74ch}
.lead{font-size:1.15rem;margin:20px 0 8px}
.muted,.about,footer{color:var(--muted)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 20px;margin:20px 0 0}
dt{color:var(--muted)}dd{margin:0;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:9px 10px;vertical-align:top;border-bottom:1px solid var(--rule)}
th:first-child{text-align:left;padding-left:0;overflow-wrap:anywhere}
tfoot th,tfoot td{border-bottom:0;font-weight:600}
thead th{font-weight:600;color:var(--muted);font-size:.9rem;vertical-align:bottom}
tbody th{font-weight:600}
.training,.interval{display:block;color:var(--muted);font-weight:400;font-size:.82rem}
td,thead th{white-space:nowrap}
thead th:first-child,tbody th{min-width:11em}
.costs{font-size:.9rem}.costs thead th{font-size:.85rem;min-width:0}.costs tbody th{white-space:nowrap;min-width:0}.claims tbody th{white-space:normal}.costs .words{text-align:left;white-space:normal;width:40%}
.wide{overflow-x:auto}
.plots{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:28px 32px;align-items:start}
figure{margin:0}
.plot{display:block;width:100%;height:auto}
.broad{overflow-x:auto;margin-top:32px}.broad .plot{min-width:860px;font-size:13px}.broad .name{font-size:16px}
.about{font-size:.92rem}.about h3{font-size:1rem;color:var(--ink);margin:18px 0 10px}
.about ul{margin:0;padding-left:1.1em}.about li{margin-bottom:8px;max-width:70ch}
pre{margin:0;padding:12px 14px;border:1px solid var(--rule);border-radius:6px;overflow-x:auto;font-size:.88rem;\
font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;line-height:1.45}
summary{cursor:pointer;font-weight:600;font-size:1.15rem;margin:44px 0 12px}
footer{margin-top:44px;padding-top:14px;border-top:1px solid var(--rule);font-size:.9rem}
@media screen and (max-width:900px){.plots{grid-template-columns:minmax(0,1fr)}}
@media screen and (max-width:640px){main{padding:24px 16px 48px}h1{font-size:1.5rem}.lead{font-size:1.05rem}
dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:8px}}
@media screen and (max-width:860px){
table,tbody,tfoot,tr,th,td{display:block;width:auto}thead{display:none}
tbody{display:grid;grid-template-columns:repeat(auto-fill,minmax(250px,1fr));column-gap:32px}
tr{border-bottom:1px solid var(--rule);padding:12px 0}
th,td{border:0;padding:3px 0;text-align:left}
td{display:grid;grid-template-columns:8.5em 1fr;column-gap:8px}
td:has(span:empty){display:none}
td::before{content:attr(data-label);color:var(--muted);grid-row:span 2}.interval{grid-column:2}}
@media print{main{max-width:none;padding:0}body{font-size:10.5pt}pre{white-space:pre-wrap;overflow-wrap:anywhere}
figure,tr,.about{break-inside:avoid}h2,summary{break-after:avoid}details::details-content{content-visibility:visible}}
";

/// The report as one HTML document, without scripts and without anything loaded from elsewhere. Durations are left
/// out, so that two runs with one seed give the same bytes.
pub fn html(results: &Results) -> String {
    let mut body = facts(results);
    if !results.methods.is_empty() {
        body.push_str(&format!(
            "<h2>{}</h2>\n{}",
            svg::escape(&results.metric.heading()),
            methods_table(results, &measures(results), Noise::Shown)
        ));
    }
    let percentiles = percentile_measures(results);
    if !percentiles.is_empty() {
        body.push_str(&format!(
            "<h2>Percentiles of chips</h2>\n{}",
            methods_table(results, &percentiles, Noise::Hidden)
        ));
    }
    if let Some((name, measures)) = hardware_measures(results) {
        body.push_str(&format!(
            "<h2>On the hardware {}: {} and cost</h2>\n<p class=\"muted\">{}</p>\n{}",
            svg::escape(&name),
            svg::escape(&results.metric.name),
            svg::escape(&hardware_facts(results)),
            methods_table(results, &measures, Noise::Hidden)
        ));
    }
    body.push_str("<h2>Plots and definitions</h2>\n<div class=\"plots\">\n");
    for plot in plots(results) {
        body.push_str(&figure(&plot.inline()));
    }
    let of_percentiles = percentile_definitions(results);
    let sentences: Vec<&str> = DEFINITIONS
        .into_iter()
        .chain(of_percentiles.iter().map(String::as_str))
        .collect();
    body.push_str(&definitions(&sentences));
    body.push_str("</div>\n");
    page(&Page {
        title: format!(
            "Crossburn {}: {}",
            results.command.as_str(),
            results.data.source
        ),
        lead: headline(results),
        body,
        reproduce: &results.reproduce,
        configuration: format!("{:#}", results.config),
        version: &results.version,
        commit: results.commit.as_deref(),
    })
}

/// What differs between two pages.
pub(super) struct Page<'a> {
    pub(super) title: String,
    /// The outcome in a sentence.
    pub(super) lead: String,
    /// HTML.
    pub(super) body: String,
    pub(super) reproduce: &'a str,
    pub(super) configuration: String,
    pub(super) version: &'a str,
    pub(super) commit: Option<&'a str>,
}

/// A whole document.
pub(super) fn page(page: &Page<'_>) -> String {
    let title = svg::escape(&page.title);
    let commit = page.commit.map_or_else(String::new, |commit| {
        format!(", commit {}", svg::escape(commit))
    });
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{}{PAGE_STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n<p class=\"lead\">{}</p>\n{}\
         <h2>Reproduce</h2>\n<pre><code>{}</code></pre>\n\
         <details>\n<summary>Configuration</summary>\n<pre><code>{}</code></pre>\n</details>\n\
         <footer>Crossburn {}{commit}. The numbers of this page are in results.json beside it.</footer>\n\
         </main>\n</body>\n</html>\n",
        svg::STYLE,
        svg::escape(&page.lead),
        page.body,
        svg::escape(page.reproduce),
        svg::escape(&page.configuration),
        svg::escape(page.version),
    )
}

/// A picture of its own.
pub(super) fn figure(svg: &str) -> String {
    format!("<figure>\n{svg}</figure>\n")
}

/// How the numbers are defined, as a list.
pub(super) fn definitions(sentences: &[&str]) -> String {
    let items: String = sentences
        .iter()
        .map(|sentence| format!("<li>{}</li>\n", svg::escape(sentence)))
        .collect();
    format!(
        "<section class=\"about\">\n<h3>How the numbers are defined</h3>\n<ul>\n{items}</ul>\n</section>\n"
    )
}

/// What was run, as a list of terms.
fn facts(results: &Results) -> String {
    let data = &results.data;
    let mut facts = vec![(
        "Data",
        format!(
            "{}: {} training, {} validation, {} test items",
            data.source, data.train, data.validation, data.test
        ),
    )];
    if let Some(deployment) = &results.deployment {
        facts.push(("Deployment", describe(deployment)));
    }
    let mut chips: Vec<String> = results
        .methods
        .iter()
        .filter_map(|method| method.population.as_ref())
        .map(|p| {
            format!(
                "{} from number {} of seed {}, {} items each",
                p.chips, p.first, p.seed, p.items
            )
        })
        .collect();
    chips.dedup();
    if !chips.is_empty() {
        facts.push(("Chips", chips.join("; ")));
    }
    terms(&facts)
}

/// A list of terms.
pub(super) fn terms(facts: &[(&str, String)]) -> String {
    let rows: String = facts
        .iter()
        .map(|(term, fact)| format!("<dt>{term}</dt><dd>{}</dd>\n", svg::escape(fact)))
        .collect();
    format!("<dl>\n{rows}</dl>\n")
}

/// What the chips on a hardware are, in a sentence.
fn hardware_facts(results: &Results) -> String {
    let mut facts: Vec<String> = results
        .methods
        .iter()
        .filter_map(|method| method.hardware.as_ref())
        .map(|hardware| {
            let fidelity = match hardware.fidelity.as_str() {
                "array" => "every product on its arrays",
                _ => "the weights that programmed cells hold",
            };
            let cost = hardware.cost.as_ref().map_or_else(String::new, |cost| {
                format!("; energy by the converters of {}", cost.adc_estimator)
            });
            format!(
                "Cells: {}; chips compute with {fidelity}{cost}.",
                hardware.device
            )
        })
        .collect();
    facts.dedup();
    facts.join(" ")
}

/// Whether a table says what noise a method was trained with.
#[derive(Clone, Copy, PartialEq)]
enum Noise {
    Shown,
    Hidden,
}

/// One row per method, one column per quantity.
fn methods_table(results: &Results, measures: &[Measure], noise: Noise) -> String {
    let headers: String = measures
        .iter()
        .map(|measure| format!("<th scope=\"col\">{}</th>", svg::escape(&measure.label)))
        .collect();
    let rows: String = results
        .methods
        .iter()
        .enumerate()
        .map(|(index, method)| {
            let cells: String = measures
                .iter()
                .map(|measure| table_cell(&measure.label, measure.cells[index].as_ref()))
                .collect();
            let noise = match noise {
                Noise::Hidden => String::new(),
                Noise::Shown => format!(
                    "<span class=\"training\">training noise: {}</span>",
                    svg::escape(&describe(&method.training_noise))
                ),
            };
            let name = svg::escape(&method.name);
            format!("<tr><th scope=\"row\">{name}{noise}</th>{cells}</tr>\n")
        })
        .collect();
    format!(
        "<div class=\"wide\">\n<table>\n<thead><tr><th scope=\"col\">Method</th>{headers}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n"
    )
}

fn table_cell(label: &str, cell: Option<&Cell>) -> String {
    let text = match cell {
        None => "<span>–</span>".to_owned(),
        Some(Cell {
            value,
            interval: None,
        }) => format!("<span>{value}</span>"),
        Some(Cell {
            value,
            interval: Some(interval),
        }) => {
            format!("<span>{value}</span><span class=\"interval\">{interval}</span>")
        }
    };
    format!("<td data-label=\"{}\">{text}</td>", svg::escape(label))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::example;
    use super::*;

    #[test]
    fn text_from_the_results_is_escaped() {
        let mut results = example::results();
        let evil = "<script>alert(1)</script>";
        results.methods[0].name = evil.into();
        results.methods[0].training_noise = json!(evil);
        results.data.source = evil.into();
        results.reproduce = evil.into();
        results.version = evil.into();
        results.commit = Some(evil.into());
        results.config = json!({ evil: evil });
        results.deployment = Some(json!({"kind": evil}));
        assert!(!html(&results).contains("<script"));
    }

    #[test]
    fn durations_do_not_change_the_page() {
        let mut results = example::results();
        let before = html(&results);
        results.timing.seconds.clear();
        assert_eq!(html(&results), before);
    }

    #[test]
    fn holds_every_part() {
        let page = html(&example::results());
        for part in [
            "<h1>Crossburn demo: digits",
            "Worst of 50",
            "KPP(50)",
            "type 7",
            "distribution-free",
            "0123abc",
        ] {
            assert!(page.contains(part), "{part}");
        }
        assert_eq!(page.matches("<svg").count(), 3);
        assert!(page.contains("crossburn demo --quick --seed 1") && page.contains("<details>"));
    }

    #[test]
    fn an_empty_run_still_has_a_page() {
        let mut results = example::results();
        results.methods.clear();
        results.deployment = None;
        assert!(html(&results).contains("No method was measured."));
    }
}
