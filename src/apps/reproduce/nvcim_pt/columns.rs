//! The numbers that the table shows.

use std::collections::BTreeMap;

use crossburn_noise::Metric;

use super::super::cells::Cells;
use super::arms::FULL;
use super::chips::Answers;
use super::conditions::{CELLS, Condition, MAIN, SIGMAS};
use crate::report::draw::ConfusionMatrix;
use crate::report::{ReproductionColumn, ReproductionConfusion};

/// How many times faster the arrays are, by both models.
pub(super) const FASTER: &str = "faster";

/// The share of right answers, mean over cells; σ = 0 stands for ideal cells.
pub(super) fn answers(sigma: f64) -> String {
    format!("right, σ = {sigma}")
}

/// The share of questions whose prompt is one of their domain, mean over cells.
pub(super) fn hits(sigma: f64) -> String {
    format!("fetched, σ = {sigma}")
}

/// How many questions of a domain fetched a prompt of a domain at the main setting, over all cells and chips.
pub(super) fn fetched_for(asked: usize, fetched: usize) -> String {
    format!("asked {asked}, fetched {fetched}")
}

/// The share of right answers on one cell at the main setting.
pub(super) fn on_cell(cell: &str) -> String {
    format!("right, {cell}")
}

/// The columns of the table, in order.
pub(super) fn columns() -> Vec<ReproductionColumn> {
    let sigmas = || std::iter::once(0.0).chain(SIGMAS);
    let names = sigmas().map(answers).chain(sigmas().map(hits));
    let names = names.chain(CELLS.map(|(cell, _)| on_cell(cell)));
    let metrics = names.map(Metric::share).chain([Metric::from_zero(FASTER)]);
    metrics.map(ReproductionColumn::of).collect()
}

/// The numbers of one method: its columns, and which prompts were fetched.
pub(super) fn numbers(conditions: &[Condition], found: &[Answers]) -> BTreeMap<String, f64> {
    let mut numbers = BTreeMap::new();
    for sigma in std::iter::once(0.0).chain(SIGMAS) {
        let own = conditions.iter().zip(found);
        let own = own.filter(|(condition, _)| condition.sigma == sigma);
        let own: Vec<&Answers> = own.map(|(_, found)| found).collect();
        let mean = |of: &dyn Fn(&Answers) -> f64| {
            own.iter().map(|found| of(found)).sum::<f64>() / own.len() as f64
        };
        numbers.insert(answers(sigma), mean(&|found| found.right));
        numbers.insert(hits(sigma), mean(&|found| found.fetched));
    }
    for (condition, found) in conditions.iter().zip(found) {
        let (Some((cell, _)), true) = (condition.cell, condition.sigma == MAIN) else {
            continue;
        };
        numbers.insert(on_cell(cell), found.right);
        for (asked, row) in found.fetched_for.iter().enumerate() {
            for (fetched, count) in row.iter().enumerate() {
                *numbers.entry(fetched_for(asked, fetched)).or_insert(0.0) += *count as f64;
            }
        }
    }
    numbers
}

/// Which prompts the full method fetched at the main setting for questions of which domain; `None` where a seed lacks these counts.
pub(super) fn confusion(cells: &Cells, domains: &[String]) -> Option<ReproductionConfusion> {
    let count = |asked, fetched| {
        let counts = cells.of_every_seed(FULL, &fetched_for(asked, fetched))?;
        Some(counts.iter().sum::<f64>() as u64)
    };
    let row = |asked| {
        (0..domains.len())
            .map(|fetched| count(asked, fetched))
            .collect()
    };
    let rows: Vec<Vec<u64>> = (0..domains.len()).map(row).collect::<Option<_>>()?;
    Some(ReproductionConfusion {
        title: format!(
            "Domains of questions, and of the prompts that the full method fetched, σ = {MAIN}"
        ),
        matrix: ConfusionMatrix::of_rows(domains.to_vec(), &rows),
    })
}
