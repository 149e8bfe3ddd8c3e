//! A reproduction for the terminal, for documents and as a page.

use std::path::Path;

use comfy_table::presets::{ASCII_MARKDOWN, UTF8_FULL_CONDENSED};
use comfy_table::{Table, TableStyle};

use crossburn_noise::Metric;

use super::ReportError;
use super::atomic::{create_folder, write_file};
use super::cost_page::table;
use super::document::Document;
use super::html::{Page, definitions, page, terms};
use super::reproduction::{Claim, Reproduction, ReproductionRow, Verdict};
use super::results::RESULTS_FILE;
use super::run_folder::REPORT_FILE;
use super::svg::escape;

/// Name of the tables in Markdown.
const TABLE_FILE: &str = "table.md";

/// How the numbers are defined, one sentence each.
const DEFINITIONS: [&str; 4] = [
    "Values of the metric are means over the seeds of training; a range is that from seed to seed.",
    "Budget: items that went forward and backward in training, relative to a training without noise.",
    "Strengths that a method does not find by itself are chosen on validation items and chips of their own; every number of \
     the tables is of test items and fresh chips.",
    "Intervals are Student's t over seeds, of differences within a seed where two trainings are compared. A claim holds if its \
     whole interval is what was expected, fails if none of it is, and is unresolved otherwise.",
];

/// Writes the run folder of a reproduction: `results.json`, `report.html` and the tables as `table.md`.
///
/// # Errors
/// [`ReportError::Invalid`] before anything is written; [`ReportError::Write`] naming what cannot be written.
pub fn write_reproduction(dir: &Path, results: &Reproduction) -> Result<(), ReportError> {
    results.check()?;
    create_folder(dir)?;
    results.write(&dir.join(RESULTS_FILE))?;
    write_file(&dir.join(REPORT_FILE), &reproduction_html(results))?;
    write_file(&dir.join(TABLE_FILE), &tables(results, ASCII_MARKDOWN))
}

/// The tables of a reproduction, of characters. No colour, no final newline.
pub fn reproduction_table(results: &Reproduction) -> String {
    tables(results, UTF8_FULL_CONDENSED).trim_end().to_string()
}

/// The page of a reproduction as one HTML document.
pub fn reproduction_html(results: &Reproduction) -> String {
    let mut headers = vec!["Training"];
    headers.extend(results.columns.iter().map(String::as_str));
    headers.push("Budget");
    let rows: Vec<Vec<String>> = results
        .rows
        .iter()
        .map(|row| row_cells(row, &results.metric))
        .collect();
    let claims: Vec<[String; 4]> = results
        .claims
        .iter()
        .map(claim_cells)
        .map(|[claim, measured, expected, verdict]| {
            [claim, measured, verdict, format!("expected: {expected}")]
        })
        .collect();
    let seeds: Vec<String> = results.seeds.iter().map(u64::to_string).collect();
    let body = format!(
        "{}<h2>Claims</h2>\n<div class=\"claims\">\n{}</div>\n<h2>{}</h2>\n{}{}",
        terms(&[("Data", results.data.clone()), ("Seeds", seeds.join(", ")),]),
        table(&["Claim", "Measured", "Verdict", ""], &claims, None),
        escape(&results.metric.heading()),
        table(&headers, &rows, None),
        definitions(&DEFINITIONS),
    );
    page(&Page {
        title: format!("Crossburn reproduces {}", results.paper),
        lead: headline(results),
        body,
        reproduce: &results.reproduce,
        configuration: format!("{:#}", results.config),
        version: &results.version,
        commit: results.commit.as_deref(),
    })
}

const CLAIM_HEADERS: [&str; 4] = ["Claim", "Measured", "Expected", "Verdict"];

fn headline(results: &Reproduction) -> String {
    let count = |verdict| {
        let claims = results.claims.iter();
        claims.filter(|claim| claim.verdict == verdict).count()
    };
    format!(
        "Of {} claims {} hold over {} seeds, {} fail, {} are unresolved.",
        results.claims.len(),
        count(Verdict::Holds),
        results.seeds.len(),
        count(Verdict::Fails),
        count(Verdict::Unresolved),
    )
}

fn tables(results: &Reproduction, style: TableStyle) -> String {
    let mut trainings = Table::new();
    trainings.load_style(style);
    let mut header = vec!["Training".to_string()];
    header.extend(results.columns.iter().cloned());
    header.push("Budget".to_string());
    trainings.set_header(header);
    for row in &results.rows {
        trainings.add_row(row_cells(row, &results.metric));
    }
    let mut claims = Table::new();
    claims.load_style(style);
    claims.set_header(CLAIM_HEADERS);
    for claim in &results.claims {
        claims.add_row(claim_cells(claim));
    }
    format!("{trainings}\n\n{claims}\n")
}

/// Its name, the mean over seeds with its range column by column, and its budget.
fn row_cells(row: &ReproductionRow, metric: &Metric) -> Vec<String> {
    let scale = metric.scale();
    let mut cells = vec![row.name.clone()];
    cells.extend(row.values.iter().map(|values| {
        let mean = scale * values.iter().sum::<f64>() / values.len().max(1) as f64;
        let low = scale * values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = scale * values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        match values.len() {
            0 | 1 => format!("{mean:.1}"),
            _ => format!("{mean:.1} [{low:.1}, {high:.1}]"),
        }
    }));
    cells.push(format!("{:.1}", row.budget));
    cells
}

fn claim_cells(claim: &Claim) -> [String; 4] {
    let interval = claim
        .interval
        .map(|[low, high]| format!(" [{low:.1}, {high:.1}]"))
        .unwrap_or_default();
    [
        claim.what.clone(),
        format!("{:.1}{interval}", claim.mean),
        claim.expected.clone(),
        claim.verdict.name().to_string(),
    ]
}
