//! The tables of a search.

use super::document::{SearchResults, SearchRun};
use super::summary::{has_volume, looks, mean, reached, shown_after, target, terms};
use crate::report::draw::{Cell, Table, listed};

/// One row per proposer.
pub(super) fn proposers(results: &SearchResults) -> Table {
    let looks = looks(results);
    let what = match results.optimum {
        Some(_) => "Regret after",
        None => "Score after",
    };
    let mut headers = vec!["Proposer".to_string(), "Searches".to_string()];
    headers.extend(looks.iter().map(|look| format!("{what} {look}")));
    let (volume, target) = (has_volume(results), target(results));
    if target.is_some() {
        headers.push("Reached".to_string());
    }
    if volume {
        headers.push("Hypervolume".to_string());
    }
    headers.extend(["Repeated", "Invalid", "Refused"].map(String::from));
    let numbers = headers.len() - 1;
    let cell = |values: Vec<f64>| match mean(&values) {
        (mean, Some(half)) => Cell::with_detail(mean, half),
        (mean, None) => mean.into(),
    };
    let rows = results.proposers.iter().map(|proposer| {
        let runs = &proposer.runs;
        let mut row = vec![
            Cell::from(proposer.name.as_str()),
            runs.len().to_string().into(),
        ];
        row.extend(
            looks
                .iter()
                .map(|look| cell(shown_after(results, proposer, *look))),
        );
        if target.is_some() {
            row.push(match reached(results, proposer) {
                Some(at) => format!("{at:.0}").into(),
                None => Cell::missing(),
            });
        }
        if volume {
            row.push(cell(
                runs.iter().filter_map(|run| run.hypervolume).collect(),
            ));
        }
        let share = |of: fn(&SearchRun) -> usize| {
            let all: usize = runs.iter().map(|run| run.evaluations).sum();
            let part: usize = runs.iter().map(of).sum();
            Cell::from(format!("{:.1} %", 100.0 * part as f64 / all.max(1) as f64))
        };
        row.extend([
            share(|run| run.repeated),
            share(|run| run.invalid),
            share(|run| run.refused),
        ]);
        row
    });
    Table::new(headers).rows(rows).numbers(numbers)
}

/// What the terminal shows.
pub(super) fn tables(results: &SearchResults) -> String {
    format!(
        "{}\n\n{}",
        proposers(results).text(),
        listed(&terms(results))
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    #[test]
    fn the_table_shows_regret_or_score() {
        let mut results = example::search();
        let text = tables(&results);
        for part in [
            "Regret after 20",
            "│ random    ┆        2 ┆",
            "0.3500 ± 0.6353",
            "Reached",
            "Highest score 0.8000, of the whole space",
            "Best score    array=64 channels=4 (score 0.7000; quality 0.7000, energy 2.000e6 pJ), found by reinforce with seed 1 at evaluation 12",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        results.optimum = None;
        results.proposers.truncate(1);
        let text = tables(&results);
        assert!(
            text.contains("Score after 40") && !text.contains("Reached"),
            "{text}"
        );
    }
}
