//! The page of a reproduction.

use super::document::Reproduction;
use super::table::{judged_claims, trainings};
use crate::report::draw::Page;

/// How the numbers are defined, one sentence each.
const DEFINITIONS: [&str; 4] = [
    "Values of the metric are means over the seeds of training; a range is that from seed to seed.",
    "Budget: items that went forward and backward in training, relative to a training without noise.",
    "Strengths that a method does not find by itself are chosen on validation items and chips of their own; every number of \
     the tables is of test items and fresh chips.",
    "Intervals are Student's t over seeds, of differences within a seed where two trainings are compared. A claim holds if its \
     whole interval is what was expected, fails if none of it is, and is unresolved otherwise.",
];

/// Claims, and the trainings that they are about.
pub(super) fn page(results: &Reproduction) -> Page {
    let seeds: Vec<String> = results.seeds.iter().map(u64::to_string).collect();
    Page::new()
        .terms(&[("Data", results.data.clone()), ("Seeds", seeds.join(", "))])
        .heading("Claims")
        .table(&judged_claims(results))
        .heading(&results.metric.heading())
        .table(&trainings(results))
        .definitions(&DEFINITIONS)
}
