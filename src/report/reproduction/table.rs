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

/// What is measured with its label, the mean, what was expected, and the verdict. Two decimals: some claims are decided by tenths of a point.
pub(in crate::report) fn claim_cells(claim: &Claim) -> [String; 4] {
    let interval = claim
        .interval
        .map(|[low, high]| format!(" [{low:.2}, {high:.2}]"))
        .unwrap_or_default();
    [
        claim.heading(),
        format!("{:.2}{interval}", claim.mean),
        claim.expected.clone(),
        claim.verdict.name().to_string(),
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use crate::report::document::html;
    use crate::report::{Document, Reproduction, example};

    #[test]
    fn a_claim_follows_its_label_and_one_of_an_earlier_document_has_none() {
        let mut document: Value =
            serde_json::from_str(&example::reproduction().to_json().unwrap()).unwrap();
        let read = |document: &Value| -> Result<Reproduction, _> {
            Reproduction::from_json(&document.to_string(), Path::new("run/results.json"))
        };
        let shown = |found: &Reproduction| [found.table().unwrap(), html(found, &[]).unwrap()];
        let labelled = read(&document).unwrap();
        assert_eq!(labelled.claims[0].label.as_deref(), Some("A1"));
        for text in shown(&labelled) {
            assert!(text.contains("A1: gaussian over none"), "{text}");
        }
        assert!(shown(&labelled)[1].contains("A label before a claim"));
        let claim = document["claims"][0].as_object_mut().unwrap();
        claim.remove("label").unwrap();
        let earlier = read(&document).unwrap();
        for text in shown(&earlier) {
            assert!(text.contains("gaussian over none"), "{text}");
            assert!(
                !text.contains("A1:") && !text.contains("A label before"),
                "{text}"
            );
        }
        assert!(!earlier.to_json().unwrap().contains("\"label\""));
        document["claims"][0]["label"] = json!(" ");
        let message = read(&document).unwrap_err().to_string();
        assert!(message.contains("blank label"), "{message}");
    }
}
