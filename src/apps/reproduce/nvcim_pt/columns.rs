//! The numbers that the table shows.

use std::collections::BTreeMap;

use crossburn_noise::Metric;

use super::conditions::{CELLS, Condition, MAIN, SIGMAS};
use crate::report::ReproductionColumn;

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

/// The share of right answers on one cell at the main setting.
pub(super) fn on_cell(cell: &str) -> String {
    format!("right, {cell}")
}

/// The columns of the table, in order.
pub(super) fn columns() -> Vec<ReproductionColumn> {
    let sigmas = || std::iter::once(0.0).chain(SIGMAS);
    let names = sigmas().map(answers).chain(sigmas().map(hits));
    let names = names.chain(CELLS.map(|(cell, _)| on_cell(cell)));
    let column = |name: String| ReproductionColumn {
        metric: Metric::share(name.clone()),
        name,
    };
    let faster = ReproductionColumn {
        metric: Metric::from_zero(FASTER),
        name: FASTER.to_string(),
    };
    names.map(column).chain([faster]).collect()
}

/// The columns of one method.
pub(super) fn numbers(conditions: &[Condition], found: &[[f64; 2]]) -> BTreeMap<String, f64> {
    let mut numbers = BTreeMap::new();
    for sigma in std::iter::once(0.0).chain(SIGMAS) {
        let own = conditions.iter().zip(found);
        let own = own.filter(|(condition, _)| condition.sigma == sigma);
        let own: Vec<&[f64; 2]> = own.map(|(_, found)| found).collect();
        let mean = |part: usize| own.iter().map(|f| f[part]).sum::<f64>() / own.len() as f64;
        numbers.insert(answers(sigma), mean(0));
        numbers.insert(hits(sigma), mean(1));
    }
    for (condition, [right, _]) in conditions.iter().zip(found) {
        if let (Some((cell, _)), true) = (condition.cell, condition.sigma == MAIN) {
            numbers.insert(on_cell(cell), *right);
        }
    }
    numbers
}
