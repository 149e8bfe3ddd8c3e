//! The summary table for the terminal.

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;

use super::results::Results;
use super::summary::measures;

/// The summary as a table of characters, one row per quantity and one column per method, so that a few methods fit
/// into 80 columns. Accuracies are in per cent, brackets hold 95 % intervals. No colour, no final newline.
pub fn table(results: &Results) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    let names = results.methods.iter().map(|method| method.name.clone());
    table.set_header(std::iter::once("Accuracy (%)".to_owned()).chain(names));
    for measure in measures(results) {
        let cells = measure.cells.into_iter().map(|cell| match cell {
            None => "–".to_owned(),
            Some(cell) => match cell.interval {
                None => cell.value,
                Some(interval) => format!("{} {interval}", cell.value),
            },
        });
        table.add_row(std::iter::once(measure.label).chain(cells));
    }
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
