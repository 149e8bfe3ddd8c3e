//! A worst-case search for the terminal.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};

use super::worst_case_certificate::{CERTIFICATE_HEADERS, CertificateResults};
use super::worst_case_results::WorstCaseResults;
use super::worst_case_summary::{LAYER_HEADERS, facts, layer_rows, rows};

/// What was found, the budget and layers as tables of characters. No colour, no final newline.
pub fn worst_case_table(results: &WorstCaseResults) -> String {
    let mut found = Table::new();
    found.load_style(UTF8_FULL_CONDENSED);
    found.set_header([results.metric.heading(), String::new()]);
    for (term, value) in rows(results) {
        found.add_row([term, value]);
    }
    let mut layers = Table::new();
    layers.load_style(UTF8_FULL_CONDENSED);
    layers.set_header(LAYER_HEADERS);
    for row in layer_rows(results) {
        layers.add_row(row);
    }
    let mut certified = Table::new();
    certified.load_style(UTF8_FULL_CONDENSED);
    certified.set_header(CERTIFICATE_HEADERS);
    for row in results
        .certificate
        .iter()
        .flat_map(CertificateResults::layer_rows)
    {
        certified.add_row(row);
    }
    for table in [&mut found, &mut layers, &mut certified] {
        for index in 1..LAYER_HEADERS.len() {
            if let Some(column) = table.column_mut(index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    let facts: Vec<String> = facts(results)
        .into_iter()
        .map(|(term, text)| format!("{term:13} {text}"))
        .collect();
    let tables = format!("{found}\n\n{}\n\n{layers}", facts.join("\n"));
    match results.certificate {
        Some(_) => format!("{tables}\n\n{certified}"),
        None => tables,
    }
}
