//! The page of a reproduction.

use super::document::{RANK_CORRELATIONS, Reproduction};
use super::table::{judged_claims, one_metric, trainings};
use crate::report::draw::{Drawing, Page};

/// How the numbers are defined, one sentence each.
const DEFINITIONS: [&str; 4] = [
    "Values are means over the seeds of training, with the range over seeds in parentheses.",
    "Budget: items that went forward and backward in training, with those of the training that it starts from, or evaluations of a search, relative to the first row.",
    "Strengths that a method does not find by itself are chosen on validation items, and on chips of their own where chips are judged; every \
     number of the tables is of test items and fresh chips.",
    "Intervals are Student's t over seeds, of differences within a seed where two trainings are compared. A claim holds if its whole interval is \
     what was expected, fails if none of it is, and is unresolved otherwise.",
];

/// The definition for a page whose claims have labels.
const LABELS: &str = "A label before a claim, such as A3, is the number of a statement on the list of what the experiment should show. Several claims may \
     measure one statement; claims without a label are beyond that list.";

/// The definition for a page whose claims are about rank correlations.
const RANKS: &str = "Intervals of rank correlations are bootstrap intervals over rows.";

/// Claims, the trainings that they are about, and curves.
pub(super) fn page(results: &Reproduction, plots: &[Drawing]) -> Page {
    let seeds: Vec<String> = results.seeds.iter().map(u64::to_string).collect();
    let page = Page::new()
        .terms(&[("Data", results.data.clone()), ("Seeds", seeds.join(", "))])
        .heading("Claims")
        .table(&judged_claims(results))
        .heading(&heading(results))
        .table(&trainings(results));
    let page = match &results.confusion {
        Some(confusion) => page.confusion(&confusion.title, &confusion.matrix),
        None => page,
    };
    let labels = results.claims.iter().any(|claim| claim.label.is_some());
    let ranks = results.claims.iter().any(|claim| {
        let mut names = RANK_CORRELATIONS.iter();
        names.any(|name| claim.what.contains(name))
    });
    let definitions: Vec<&str> = DEFINITIONS
        .into_iter()
        .chain(ranks.then_some(RANKS))
        .chain(labels.then_some(LABELS))
        .collect();
    match plots.is_empty() {
        true => page.definitions(&definitions),
        false => page.plots(plots, &definitions),
    }
}

/// What all columns measure, where that is the same.
fn heading(results: &Reproduction) -> String {
    match results.columns.first() {
        Some(first) if one_metric(results) => first.metric.heading(),
        _ => "Trainings".to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::report::{Document, example};

    #[test]
    fn intervals_of_rank_correlations_are_explained_where_a_claim_has_one() {
        let mut results = example::reproduction();
        let explained = |results: &Reproduction| results.html().unwrap().contains(RANKS);
        assert!(!explained(&results));
        results.claims[0].what = "Kendall's τ of `a` and `b`; interval over cells".into();
        assert!(explained(&results));
    }
}
