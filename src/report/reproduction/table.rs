//! The tables of a reproduction.

use crossburn_noise::Metric;

use super::document::{Claim, Reproduction, ReproductionRow};
use crate::report::draw::Table;

/// One row per way of training.
pub(super) fn trainings(results: &Reproduction) -> Table {
    let columns = results.columns.iter().map(String::as_str);
    let headers = std::iter::once("Training").chain(columns).chain(["Budget"]);
    let rows = results.rows.iter();
    Table::new(headers).rows(rows.map(|row| row_cells(row, &results.metric)))
}

/// One row per claim.
pub(super) fn claims(results: &Reproduction) -> Table {
    Table::new(["Claim", "Measured", "Expected", "Verdict"])
        .rows(results.claims.iter().map(claim_cells))
}

/// The same with the verdict beside what was measured, for a page.
pub(super) fn judged_claims(results: &Reproduction) -> Table {
    let rows = results.claims.iter().map(claim_cells);
    let rows = rows.map(|[claim, measured, expected, verdict]| {
        [claim, measured, verdict, format!("expected: {expected}")]
    });
    Table::new(["Claim", "Measured", "Verdict", ""])
        .rows(rows)
        .sentences()
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
