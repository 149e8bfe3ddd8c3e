//! The tables of a mapping.

use crossburn_hardware::cost::FloorPlan;

use super::document::Mapping;
use super::summary::{
    ESTIMATE_HEADERS, HEADERS, converter, estimate_rows, rows, total_row, totals,
};
use crate::report::draw::{Table, listed};

/// One row per layer, and their sum.
pub(super) fn layers(mapping: &Mapping) -> Table {
    Table::new(HEADERS)
        .rows(rows(mapping))
        .total(total_row(mapping))
        .numbers(HEADERS.len() - 1)
}

/// The tables of the terminal: layers, totals and estimators of converters.
pub(super) fn tables(mapping: &Mapping, plan: &FloorPlan) -> String {
    let mut refusals = String::new();
    let mut estimates = estimate_rows(&mapping.cost);
    for row in &mut estimates {
        if row[1] == "–" {
            refusals.push_str(&format!("\n{} refuses: {}", row[0], row[5]));
            row[5] = "refuses, see below".to_string();
        }
    }
    let estimates = Table::new(ESTIMATE_HEADERS).rows(estimates).numbers(4);
    format!(
        "{}\n\n{}\n\nWhat the converter ({}) costs by every estimator\n{}{refusals}",
        layers(mapping).text(),
        listed(&totals(mapping, plan)),
        converter(&mapping.cost),
        estimates.text()
    )
}
