//! The summary table for the terminal.

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;

use super::percentiles::percentile_measures;
use super::results::Results;
use super::summary::{Measure, hardware_measures, measures};

/// Methods beside each other at the most; more of them are listed below each other.
const COLUMNS: usize = 4;

/// The summary as a table of characters: one row per quantity and one column per method, so that a few methods fit into
/// 80 columns; many methods are rows instead, without details. Values of the metric stand in its unit, brackets hold 95 % intervals. No colour, no
/// final newline.
pub fn table(results: &Results) -> String {
    let names = results.methods.iter().map(|method| method.name.clone());
    let mut rows = vec![
        std::iter::once(results.metric.heading())
            .chain(names)
            .collect(),
    ];
    let listed = results.methods.len() > COLUMNS;
    let mut all = measures(results);
    all.extend(percentile_measures(results));
    if let Some((name, measures)) = hardware_measures(results) {
        all.extend(measures.into_iter().map(|measure| Measure {
            label: match listed {
                true => measure.label,
                false => format!("On {name}: {}", measure.label),
            },
            ..measure
        }));
    }
    for measure in all {
        if listed && measure.detail {
            continue;
        }
        let cells = measure.cells.into_iter().map(|cell| match cell {
            None => "–".to_owned(),
            Some(cell) => match cell.interval {
                None => cell.value,
                Some(interval) => format!("{} {interval}", cell.value),
            },
        });
        rows.push(
            std::iter::once(measure.label)
                .chain(cells)
                .collect::<Vec<_>>(),
        );
    }
    if listed {
        rows = (0..=results.methods.len())
            .map(|column| rows.iter().map(|row| row[column].clone()).collect())
            .collect();
    }
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    let mut rows = rows.into_iter();
    table.set_header(rows.next().unwrap_or_default());
    table.add_rows(rows);
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn shows_each_quantity_of_each_method() {
        let expected = "\
┌──────────────┬─────────────────────┬─────────────────────┐
│ Accuracy (%) ┆ plain               ┆ gaussian            │
╞══════════════╪═════════════════════╪═════════════════════╡
│ Clean        ┆ 98.00               ┆ 98.00               │
│ Mean ± std   ┆ 72.45 ± 1.44        ┆ 92.45 ± 1.44        │
│ KPP(1)       ┆ 70.10 [70.00–70.60] ┆ 90.10 [90.00–90.60] │
│ KPP(5)       ┆ 70.25 [70.15–70.75] ┆ 90.25 [90.15–90.75] │
│ KPP(10)      ┆ 70.50 [70.40–71.00] ┆ 90.50 [90.40–91.00] │
│ KPP(50)      ┆ 72.45 [72.35–72.95] ┆ 92.45 [92.35–92.95] │
│ Worst of 50  ┆ 70.00               ┆ 90.00               │
└──────────────┴─────────────────────┴─────────────────────┘";
        assert_eq!(table(&example::results()), expected);
    }

    #[test]
    fn many_methods_are_rows() {
        let mut results = example::results();
        for name in ["a", "b", "c"] {
            let mut method = results.methods[0].clone();
            method.name = name.to_string();
            results.methods.push(method);
        }
        let text = table(&results);
        let header = text.lines().nth(1).unwrap_or_default();
        assert!(
            header.contains("KPP(1)") && header.contains("Worst of 50"),
            "{text}"
        );
        assert_eq!(
            text.lines()
                .filter(|line| line.contains("70.10 [70.00–70.60]"))
                .count(),
            4
        );
    }

    #[test]
    fn without_chips_it_shows_training() {
        let mut results = example::results();
        results.methods[0].population = None;
        results.methods[1].population = None;
        let text = table(&results);
        assert!(
            text.contains("Last validation") && text.contains("86.00") && !text.contains("KPP"),
            "{text}"
        );
    }
}
