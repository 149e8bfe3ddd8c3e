//! Projected gradient descent that sets its own step.

use serde::{Deserialize, Serialize};

use super::momentum::sign;
use super::state::bits;
use super::{DeviationBounds, Deviations};

/// Auto-PGD: steps against the sign of the gradient, with momentum, whose size is halved at checkpoints where the loss no
/// longer falls; after each halving the walk goes on from the point of the lowest loss:
///
/// ```text
/// z  = clip(d - step h sign(g))                          h: half of the width of the box
/// d' = clip(d + 0.75 (z - d) + 0.25 (d - d_before))
/// ```
///
/// The first checkpoint comes after 0.22 of the steps, and the gaps between checkpoints shrink by 0.03 of the steps down to
/// 0.06 of them. A checkpoint halves the step in two cases: fewer than three quarters of the steps since the last checkpoint
/// lowered the loss; or the last checkpoint changed nothing, and the lowest loss is still the same.
///
/// # Source
/// Croce and Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks", ICML
/// 2020 (arXiv 2003.01690), algorithm 1, on weights: one deviation for all items, a box per entry.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Apgd {
    /// Steps.
    pub steps: usize,
    /// The first step, in half widths of the box: 2 crosses the box.
    pub step: f64,
}

impl Default for Apgd {
    fn default() -> Self {
        Self {
            steps: 100,
            step: 2.0,
        }
    }
}

/// Weight of a new step; the rest is momentum.
const FRESH: f32 = 0.75;
/// The share of steps that must lower the loss.
const IMPROVING: f64 = 0.75;
/// First gap between checkpoints, by how much the gaps shrink, and the smallest, as parts of the steps.
const GAPS: [f64; 3] = [0.22, 0.03, 0.06];

/// The memory of the search between two evaluations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Descent {
    /// Current step, in half widths.
    step: f64,
    taken: usize,
    /// Steps since the last checkpoint, and how many of them lowered the loss.
    since: [usize; 2],
    gap: usize,
    /// Whether the last checkpoint halved the step.
    halved: bool,
    best_at_checkpoint: f64,
    /// Loss at the point before the current one.
    loss: f64,
    best_loss: f64,
    #[serde(with = "bits")]
    before: Deviations,
    #[serde(with = "bits")]
    best: Deviations,
    #[serde(with = "bits")]
    best_gradient: Deviations,
}

impl Descent {
    /// Begins at `start`.
    pub(super) fn new(search: &Apgd, start: &Deviations) -> Self {
        Self {
            step: search.step,
            taken: 0,
            since: [0, 0],
            gap: part(search.steps, GAPS[0]),
            halved: true,
            best_at_checkpoint: f64::MAX,
            loss: f64::MAX,
            best_loss: f64::MAX,
            before: start.clone(),
            best: start.clone(),
            best_gradient: start.clone(),
        }
    }

    pub(super) fn fits(&self, bounds: &DeviationBounds) -> bool {
        [&self.before, &self.best, &self.best_gradient]
            .into_iter()
            .all(|deviations| bounds.fit(deviations))
    }

    /// Moves `current`, at which the loss is `loss`.
    pub(super) fn step(
        &mut self,
        search: &Apgd,
        bounds: &DeviationBounds,
        current: &mut Deviations,
        loss: f64,
        gradient: &Deviations,
    ) {
        if loss < self.best_loss {
            self.best_loss = loss;
            self.best.clone_from(current);
            self.best_gradient.clone_from(gradient);
        }
        if self.taken > 0 {
            self.since[0] += 1;
            self.since[1] += usize::from(loss < self.loss);
        }
        self.loss = loss;
        let restarts = self.since[0] >= self.gap && self.checkpoint(search.steps);
        if restarts {
            current.clone_from(&self.best);
            self.before.clone_from(current);
            self.loss = self.best_loss;
        }
        let gradient = if restarts {
            &self.best_gradient
        } else {
            gradient
        };
        let fresh = if self.taken == 0 { 1.0 } else { FRESH };
        let step = self.step as f32;
        for (path, deviation) in current.iter_mut() {
            let (entries, gradient) = (&bounds.weights()[path], &gradient[path]);
            let before = self.before.get_mut(path).into_iter().flatten();
            let values = deviation.iter_mut().zip(before).zip(gradient);
            for (index, ((d, before), g)) in values.enumerate() {
                let (low, high) = (entries.low[index], entries.high[index]);
                let straight = *d - step * entries.half_width(index) * sign(*g);
                let straight = straight.clamp(low, high);
                let next = *d + fresh * (straight - *d) + (1.0 - fresh) * (*d - *before);
                *before = *d;
                *d = next.clamp(low, high);
            }
        }
        self.taken += 1;
    }

    /// Whether the step was halved, so that the walk goes on from the best point.
    fn checkpoint(&mut self, steps: usize) -> bool {
        let [taken, lowered] = self.since;
        let rarely = (lowered as f64) < IMPROVING * taken as f64;
        let stuck = !self.halved && self.best_at_checkpoint <= self.best_loss;
        self.halved = rarely || stuck;
        if self.halved {
            self.step /= 2.0;
        }
        self.best_at_checkpoint = self.best_loss;
        self.since = [0, 0];
        let shrunk = self.gap.saturating_sub(part(steps, GAPS[1]));
        self.gap = shrunk.max(part(steps, GAPS[2]));
        self.halved
    }
}

/// A part of the steps, at least one.
fn part(steps: usize, part: f64) -> usize {
    ((steps as f64 * part).ceil() as usize).max(1)
}
