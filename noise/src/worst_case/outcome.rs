//! The result of a search.

use serde::{Deserialize, Serialize};

use super::{DeviationBounds, Deviations, Leg, PathPoint, SearchState};

/// The part of one weight tensor in the worst case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerSensitivity {
    /// Path of the weight.
    pub path: String,
    /// Its entries.
    pub entries: usize,
    /// The first-order fall of the loss per item of the clean network when every entry of this weight moves to the worse end
    /// of its box: `Σ |gradient| * bound`.
    pub first_order: f64,
    /// Share of its entries at an end of their box in the deviation that was found.
    pub fraction_at_bound: f64,
}

impl LayerSensitivity {
    /// The first-order fall of the loss per entry: `mean(|gradient| * bound)`.
    pub fn per_entry(&self) -> f64 {
        self.first_order / self.entries.max(1) as f64
    }
}

/// What a search found: an upper bound on the worst case.
#[derive(Clone, Debug, PartialEq)]
pub struct WorstCase {
    /// The score without deviation.
    pub clean: f64,
    /// The score at the deviation that was found. It is at most `clean`, because zero deviation is admissible too.
    pub score: f64,
    /// Surrogate loss per item there.
    pub loss: f64,
    /// Number of the surrogate of `loss`.
    pub surrogate: usize,
    /// The deviation, admissible in every entry.
    pub deviations: Deviations,
    /// Restart and iteration that found it.
    pub found: (usize, usize),
    /// Share of all its entries at an end of their box.
    pub fraction_at_bound: f64,
    /// Weight by weight, by path.
    pub layers: Vec<LayerSensitivity>,
    /// The legs of the automatic search, in order and numbered like the restarts of `path`; empty for any other search.
    pub legs: Vec<Leg>,
    /// Every evaluation, in order; the first is the clean network.
    pub path: Vec<PathPoint>,
    /// Evaluations of the objective: the budget that was spent.
    pub evaluations: u64,
    /// How many of them took a gradient.
    pub gradients: u64,
    /// Whether an observer stopped the search before its end.
    pub interrupted: bool,
}

impl WorstCase {
    pub(super) fn of(state: &SearchState, bounds: &DeviationBounds) -> Self {
        let best = &state.best;
        let at_bound = bounds.shares_at_bound(&best.deviations);
        let layers = bounds
            .weights()
            .iter()
            .map(|(path, entries)| LayerSensitivity {
                path: path.clone(),
                entries: entries.low.len(),
                first_order: state.first_order[path],
                fraction_at_bound: at_bound[path.as_str()],
            });
        Self {
            clean: state.path[0].score,
            score: best.score,
            loss: best.loss,
            surrogate: best.surrogate,
            deviations: best.deviations.clone(),
            found: (best.restart, best.iteration),
            fraction_at_bound: bounds.fraction_at_bound(&best.deviations),
            layers: layers.collect(),
            legs: state.legs().to_vec(),
            path: state.path.clone(),
            evaluations: state.evaluations,
            gradients: state.gradients,
            interrupted: !state.finished,
        }
    }
}
