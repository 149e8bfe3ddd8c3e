//! The costs of a mapping for the terminal.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};

use super::ReportError;
use super::cost_results::Mapping;
use super::cost_summary::{
    ESTIMATE_HEADERS, HEADERS, converter, estimate_rows, rows, total_row, totals,
};

/// Layers, totals and estimators of converters as tables of characters. No colour, no final newline.
///
/// # Errors
///
/// [`ReportError::Invalid`] for a mapping that cannot be.
pub fn mapping_table(mapping: &Mapping) -> Result<String, ReportError> {
    let mut layers = table(&HEADERS, 10);
    for row in rows(mapping).into_iter().chain([total_row(mapping)]) {
        layers.add_row(row);
    }
    let totals: Vec<String> = totals(mapping, &mapping.floor_plan()?)
        .into_iter()
        .map(|(term, text)| format!("{term:13} {text}"))
        .collect();
    let mut estimates = table(&ESTIMATE_HEADERS, 5);
    let mut refusals = String::new();
    for mut row in estimate_rows(&mapping.cost) {
        if row[1] == "–" {
            refusals.push_str(&format!("\n{} refuses: {}", row[0], row[5]));
            row[5] = "refuses, see below".to_string();
        }
        estimates.add_row(row);
    }
    Ok(format!(
        "{layers}\n\n{}\n\nWhat the converter ({}) costs by every estimator\n{estimates}{refusals}",
        totals.join("\n"),
        converter(&mapping.cost)
    ))
}

/// A table whose columns from the second to `numbers` hold numbers.
fn table(headers: &[&str], numbers: usize) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(headers.to_vec());
    for index in 1..numbers {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
