//! A store of passages, term by term.

use super::document::{StoreQuestions, StoreReport};
use crate::report::draw::listed;
use crate::report::draw::quantity::{Shown, count, share};

/// The terms for the terminal.
pub(super) fn text(store: &StoreReport) -> String {
    listed(&terms(store))
}

/// What is stored, what it costs, and how often a question finds its passage.
pub(super) fn terms(store: &StoreReport) -> Vec<(&'static str, String)> {
    let number = |value: usize| count(value as u64);
    let changes = &store.changes;
    let mut changed = format!(
        "{} added, {} erased",
        number(changes.added),
        number(changes.erased)
    );
    if changes.duplicates > 0 {
        changed.push_str(&format!(
            ", {} not stored again, since they repeat another",
            number(changes.duplicates)
        ));
    }
    if changes.left_out > 0 {
        changed.push_str(&format!(
            ", {} left out, since the encoder finds no word in them",
            number(changes.left_out)
        ));
    }
    let mut terms = vec![
        (
            "Passages",
            format!(
                "{} of {} documents",
                number(store.passages),
                number(store.documents)
            ),
        ),
        ("Changes", changed),
        ("Encoder", store.encoder.clone()),
        (
            "Vectors",
            format!(
                "{} numbers of {} bits each, in {}, arrays of {}",
                store.dimension, store.bits, store.device, store.hardware
            ),
        ),
    ];
    if let Some(cost) = &store.cost {
        terms.extend([
            (
                "Arrays",
                format!("{}, {}", count(cost.arrays), cost.area.shown()),
            ),
            (
                "Storing all",
                format!(
                    "{} and {}",
                    cost.programming.time.shown(),
                    cost.programming.energy.shown()
                ),
            ),
            (
                "A question",
                format!(
                    "{} and {}, of which converters {}",
                    cost.query_latency.shown(),
                    cost.query_energy.shown(),
                    share(cost.adc_share_of_energy)
                ),
            ),
        ]);
    }
    let metric = StoreQuestions::metric();
    let Some(questions) = &store.questions else {
        terms.push((
            "Questions",
            "none: no passage has a second sentence, or --questions is 0".to_string(),
        ));
        return terms;
    };
    terms.push((
        "Questions",
        format!("{}, first sentences of passages", number(questions.count)),
    ));
    terms.push((
        "Ideal search",
        format!("{} find their passage first", metric.show(questions.ideal)),
    ));
    if let Some(chips) = &questions.chips {
        terms.push((
            "On chips",
            format!(
                "{} on average over {} chips, standard deviation {}, {} on the worst",
                metric.show(chips.mean),
                chips.chips,
                metric.show(chips.std),
                metric.show(chips.worst)
            ),
        ));
    }
    terms
}
