//! The page of a reproduction.

use super::document::Reproduction;
use super::table::{judged_claims, one_metric, trainings};
use crate::report::draw::{Drawing, Page};

/// How the numbers are defined, one sentence each.
const DEFINITIONS: [&str; 4] = [
    "Values are means over the seeds of training, with the range over seeds in parentheses.",
    "Budget: items that went forward and backward in training, with those of the training that it starts from, or evaluations of a search, relative to the first row.",
    "Strengths that a method does not find by itself are chosen on validation items, and on chips of their own where chips are judged; every \
     number of the tables is of test items and fresh chips.",
    "Intervals are Student's t over seeds, of differences within a seed where two trainings are compared; those of rank correlations are \
     bootstrap intervals over rows. A claim holds if its \
     whole interval is what was expected, fails if none of it is, and is unresolved otherwise.",
];

/// The definition for a page whose claims have labels.
const LABELS: &str = "A label before a claim, such as A3, is the number of a statement on the list of what the experiment should show. Several claims may \
     measure one statement; claims without a label are beyond that list.";

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
    let definitions: Vec<&str> = DEFINITIONS
        .into_iter()
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
