//! The tables of a run: one of the terminal, and those of its page.

use super::document::Results;
use super::percentiles::percentile_measures;
use super::summary::{Measure, describe, further_measures, hardware_measures, measures};
use crate::report::draw::{Cell, Table};

/// Methods beside each other at the most; more of them are listed below each other.
const COLUMNS: usize = 4;

/// The table of the terminal: one row per quantity and one column per method, so that a few methods fit into 80 columns;
/// many methods are rows instead, without details. Values of the metric stand in its unit, brackets hold 95 % intervals.
pub(super) fn summary(results: &Results) -> Table {
    let listed = results.methods.len() > COLUMNS;
    let mut all = measures(results);
    // What else the clean network was judged by stands beside it.
    all.splice(1..1, further_measures(results));
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
    let names = results.methods.iter().map(|method| method.name.clone());
    let headers = std::iter::once(results.metric.heading()).chain(names);
    let shown = all.iter().filter(|measure| !(listed && measure.detail));
    let table = Table::new(headers).rows(shown.map(|measure| {
        let cells = measure.cells.iter().cloned();
        let cells = cells.map(|cell| cell.unwrap_or_else(Cell::missing));
        std::iter::once(Cell::from(measure.label.as_str())).chain(cells)
    }));
    match listed {
        true => table.transposed(),
        false => table,
    }
}

/// Whether a table says what noise a method was trained with.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Noise {
    Shown,
    Hidden,
}

/// A table of the page: one row per method, one column per quantity.
pub(super) fn by_method(results: &Results, measures: &[Measure], noise: Noise) -> Table {
    let labels = measures.iter().map(|measure| measure.label.as_str());
    let methods = results.methods.iter().enumerate();
    let rows = methods.map(|(index, method)| {
        let name = match noise {
            Noise::Hidden => Cell::from(method.name.as_str()),
            Noise::Shown => {
                let noise = format!("training noise: {}", describe(&method.training_noise));
                Cell::with_detail(&method.name, noise)
            }
        };
        let cells = measures.iter().map(move |measure| {
            let cell = measure.cells[index].clone();
            cell.unwrap_or_else(Cell::missing)
        });
        std::iter::once(name).chain(cells)
    });
    Table::new(std::iter::once("Method").chain(labels))
        .rows(rows)
        .large()
}

/// A table of the page: one row per quantity without variation, one column per method, or one for all methods where they share every value.
pub(super) fn further_by_method(results: &Results, measures: &[Measure]) -> Table {
    if !measures.iter().all(Measure::is_shared) {
        // There may be a dozen: they are rows, so that the table is as wide as the page.
        return by_method(results, measures, Noise::Hidden).transposed();
    }
    let rows = measures.iter().map(|measure| {
        let cell = measure.cells[0].clone();
        [
            Cell::from(measure.label.as_str()),
            cell.unwrap_or_else(Cell::missing),
        ]
    });
    Table::new(["Method", "All of them"]).rows(rows).large()
}

#[cfg(test)]
mod tests {
    use crossburn_noise::Metric;

    use super::*;
    use crate::report::{AlsoMeasured, example};

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
        assert_eq!(summary(&example::results()).text(), expected);
    }

    #[test]
    fn many_methods_are_rows() {
        let mut results = example::results();
        for name in ["a", "b", "c"] {
            let mut method = results.methods[0].clone();
            method.name = name.to_string();
            results.methods.push(method);
        }
        let text = summary(&results).text();
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
    fn what_all_methods_share_is_no_column_of_many_and_one_column_of_the_page() {
        let mut results = example::results();
        let bac = |value| AlsoMeasured {
            metric: Metric::share("BAC"),
            value,
        };
        for method in &mut results.methods {
            method.also = vec![bac(0.5)];
        }
        let further = further_measures(&results);
        let text = further_by_method(&results, &further).text();
        assert!(
            text.contains("All of them") && text.matches("50.00").count() == 1,
            "{text}"
        );
        assert!(summary(&results).text().contains("BAC"));
        for name in ["a", "b", "c"] {
            let mut method = results.methods[0].clone();
            method.name = name.to_string();
            results.methods.push(method);
        }
        assert!(!summary(&results).text().contains("BAC"));
        // One that differs brings all of them back.
        results.methods[0].also = vec![bac(0.25)];
        let further = further_measures(&results);
        let text = further_by_method(&results, &further).text();
        assert!(
            text.contains("25.00") && text.matches("50.00").count() == 4,
            "{text}"
        );
        assert!(summary(&results).text().contains("BAC"));
    }

    #[test]
    fn without_chips_it_shows_training() {
        let mut results = example::results();
        results.methods[0].population = None;
        results.methods[1].population = None;
        let text = summary(&results).text();
        assert!(
            text.contains("Last validation") && text.contains("86.00") && !text.contains("KPP"),
            "{text}"
        );
    }
}
