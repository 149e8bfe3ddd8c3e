//! The tables of a reproduction.

use super::document::{Claim, Reproduction, ReproductionColumn, ReproductionRow};
use crate::report::draw::{Cell, Table};

/// One row per way of training.
pub(super) fn trainings(results: &Reproduction) -> Table {
    let columns = results
        .columns
        .iter()
        .map(|column| match one_metric(results) {
            true => column.name.clone(),
            false => with_unit(column),
        });
    let ends = |text: &str| std::iter::once(text.to_string());
    let headers = ends("Training").chain(columns).chain(ends("Budget"));
    let rows = results.rows.iter();
    Table::new(headers).rows(rows.map(|row| row_cells(row, &results.columns)))
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

/// Whether all columns measure the same.
pub(super) fn one_metric(results: &Reproduction) -> bool {
    let mut metrics = results.columns.iter().map(|column| &column.metric);
    metrics
        .next()
        .is_some_and(|first| metrics.all(|metric| metric == first))
}

fn with_unit(column: &ReproductionColumn) -> String {
    match column.metric.unit.as_ref() {
        "" => column.name.clone(),
        unit => format!("{} ({unit})", column.name),
    }
}

/// Its name, the mean over seeds with its range column by column, and its budget.
fn row_cells(row: &ReproductionRow, columns: &[ReproductionColumn]) -> Vec<Cell> {
    let mut cells = vec![Cell::from(row.name.as_str())];
    let values = row.values.iter().zip(columns);
    cells.extend(values.map(|(values, column)| {
        let shown = |value: f64| format!("{:.1}", column.metric.scale() * value);
        let mean = shown(values.iter().sum::<f64>() / values.len() as f64);
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        match values.len() {
            0 => Cell::missing(),
            1 => mean.into(),
            _ if shown(low) == shown(high) => mean.into(),
            _ => Cell::with_detail(mean, format!("({} to {})", shown(low), shown(high))),
        }
    }));
    cells.push(format!("{:.1}", row.budget).into());
    cells
}

/// Two decimals: some claims are decided by tenths of a point.
pub(in crate::report) fn claim_cells(claim: &Claim) -> [String; 4] {
    let interval = claim
        .interval
        .map(|[low, high]| format!(" [{low:.2}, {high:.2}]"))
        .unwrap_or_default();
    [
        claim.what.clone(),
        format!("{:.2}{interval}", claim.mean),
        claim.expected.clone(),
        claim.verdict.name().to_string(),
    ]
}
