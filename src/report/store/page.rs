//! The page of a store of passages.

use super::document::{StoreQuestions, StoreReport};
use super::table::terms;
use crate::report::draw::{Drawing, Page, Table};

/// How the numbers are defined, one sentence each.
const DEFINITIONS: [&str; 5] = [
    "A question is the first sentence of a passage, of two words or more, and its answer is that passage. Passages of one sentence ask nothing, since \
     they would ask for themselves.",
    "The ideal search compares the integers that are stored, without noise. A chip holds one draw of its cells for all questions.",
    "KPP(k), the k-th percentile performance, is what (100 - k) % of chips reach. Its interval covers the draw of chips. It does not cover the choice of \
     questions, nor how realistic the noise is.",
    "Costs are estimates from the figures of the hardware. The cost of a question is that of one search over all passages.",
    "A scan is an exact search in integers on the processor that wrote this report, one query on all threads of the run. Its time is measured once.",
];

/// What is stored and found, term by term, then the percentiles of chips.
pub(super) fn page(store: &StoreReport, plots: &[Drawing]) -> Page {
    let page = Page::new().terms(&terms(store));
    let chips = store
        .questions
        .as_ref()
        .and_then(|questions| questions.chips.as_ref());
    let page = match chips {
        None => page,
        Some(chips) => {
            let metric = StoreQuestions::metric();
            let end =
                |end: Option<f64>| end.map_or_else(|| "…".to_string(), |end| metric.show(end));
            let rows = chips.kpp.iter().map(|(k, entry)| {
                [
                    format!("KPP({k})"),
                    metric.show(entry.value),
                    format!("{} to {}", end(entry.low), end(entry.high)),
                ]
            });
            page.heading("Chips").table(
                &Table::new(["Percentile", "Passage comes first", "95 % interval"]).rows(rows),
            )
        }
    };
    match plots.is_empty() {
        true => page.definitions(&DEFINITIONS),
        false => page.plots(plots, &DEFINITIONS),
    }
}
