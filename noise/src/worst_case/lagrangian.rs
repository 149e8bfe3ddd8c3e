//! Minimizes the loss and the size of the deviation together.

use serde::{Deserialize, Serialize};

use super::search::Next;
use super::state::{Memory, bits};
use super::{DeviationBounds, Deviations, SearchState};

/// Adam minimizes loss and size of the deviation together, with a binary search over the weight of the loss:
///
/// ```text
/// minimize  c F(d) + sqrt(mean u²),          u = d / bound, entry by entry
/// ```
///
/// After every run of `steps` steps, `c` is raised if the whole deviation is admissible, and lowered if not: by a factor of
/// ten until both cases have occurred, then to the geometric mean of the nearest values of either kind. Each run begins
/// anew. Only admissible deviations count; the end of each run is clipped to the box and counts too.
///
/// # Source
/// Yan, Hu and Shi, ICCAD 2022 (arXiv 2207.07626), the search for a perturbation of weights, with the root mean square as
/// the distance; about ten values of c. There F is a sum over items. Here it is their mean, so values of c differ by that factor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lagrangian {
    /// Steps per value of c.
    pub steps: usize,
    /// Step size of Adam, in bounds.
    pub learning_rate: f64,
    /// Values of c.
    pub rounds: usize,
    /// The first value of c.
    pub c: f64,
    /// Starting points.
    pub restarts: usize,
}

impl Default for Lagrangian {
    fn default() -> Self {
        Self {
            steps: 20,
            learning_rate: 0.1,
            rounds: 10,
            c: 1.0,
            restarts: 1,
        }
    }
}

/// What the search remembers between two evaluations of a restart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Multiplier {
    c: f64,
    /// The largest c whose deviation was admissible.
    inside: Option<f64>,
    /// The smallest c whose deviation was not admissible.
    outside: Option<f64>,
    /// Values of c that are done.
    rounds: usize,
    /// Steps of the present one.
    steps: usize,
    /// Adam's mean of gradients.
    #[serde(with = "bits")]
    first: Deviations,
    /// Adam's mean of squared gradients.
    #[serde(with = "bits")]
    second: Deviations,
    /// Set if the present deviation was clipped to be judged: whether it was admissible before.
    ended: Option<bool>,
}

/// Decay of Adam's means.
const BETAS: (f32, f32) = (0.9, 0.999);
/// Keeps Adam's quotient finite. It is tiny because gradients by one of n entries are of the order of 1/n.
const EPSILON: f32 = 1e-20;

impl Multiplier {
    fn new(search: &Lagrangian, bounds: &DeviationBounds) -> Self {
        Self {
            c: search.c,
            inside: None,
            outside: None,
            rounds: 0,
            steps: 0,
            first: bounds.zero(),
            second: bounds.zero(),
            ended: None,
        }
    }

    pub(super) fn fits(&self, bounds: &DeviationBounds) -> bool {
        bounds.fit(&self.first) && bounds.fit(&self.second)
    }

    /// The next value of c.
    fn turn(&mut self, bounds: &DeviationBounds, inside: bool) {
        match inside {
            true => self.inside = Some(self.c),
            false => self.outside = Some(self.c),
        }
        self.c = match (self.inside, self.outside) {
            (Some(low), Some(high)) => (low * high).sqrt(),
            (Some(low), None) => 10.0 * low,
            (None, Some(high)) => high / 10.0,
            (None, None) => self.c,
        };
        self.rounds += 1;
        self.steps = 0;
        self.first = bounds.zero();
        self.second = bounds.zero();
        self.ended = None;
    }

    /// One step of Adam.
    fn step(
        &mut self,
        learning_rate: f64,
        current: &mut Deviations,
        bounds: &DeviationBounds,
        gradient: &Deviations,
    ) {
        self.steps += 1;
        let size = distance(current, bounds);
        let entries = bounds.entries().max(1) as f64;
        let pull = if size > 0.0 {
            1.0 / (entries * size)
        } else {
            0.0
        };
        let correct = |beta: f32| 1.0 - beta.powi(self.steps.min(1 << 20) as i32);
        let (correct_first, correct_second) = (correct(BETAS.0), correct(BETAS.1));
        for (path, deviation) in current {
            let entries = &bounds.weights()[path];
            let firsts = self.first.get_mut(path).into_iter().flatten();
            let seconds = self.second.get_mut(path).into_iter().flatten();
            let means = firsts.zip(seconds);
            let values = deviation.iter_mut().zip(&gradient[path]).zip(means);
            for (index, ((d, g), (first, second))) in values.enumerate() {
                let bound = entries.half_width(index);
                if bound == 0.0 {
                    continue;
                }
                let u = f64::from(*d / bound);
                let g = (self.c * f64::from(*g) * f64::from(bound) + pull * u) as f32;
                *first = BETAS.0 * *first + (1.0 - BETAS.0) * g;
                *second = BETAS.1 * *second + (1.0 - BETAS.1) * g * g;
                let mean = *first / correct_first;
                let scale = (*second / correct_second).sqrt() + EPSILON;
                *d -= learning_rate as f32 * bound * mean / scale;
            }
        }
    }
}

/// Root mean square of `d / bound`.
fn distance(current: &Deviations, bounds: &DeviationBounds) -> f64 {
    let mut sum = 0.0;
    for (path, deviation) in current {
        let entries = &bounds.weights()[path];
        for (index, d) in deviation.iter().enumerate() {
            let bound = entries.half_width(index);
            if bound > 0.0 {
                sum += f64::from(*d / bound).powi(2);
            }
        }
    }
    (sum / bounds.entries().max(1) as f64).sqrt()
}

impl Lagrangian {
    pub(super) fn counts(&self) -> [(&'static str, usize); 3] {
        [
            ("steps", self.steps),
            ("rounds", self.rounds),
            ("restarts", self.restarts),
        ]
    }

    /// A setting that is no positive number.
    pub(super) fn wrong(&self) -> Option<(&'static str, f64, &'static str)> {
        [("learning_rate", self.learning_rate), ("c", self.c)]
            .into_iter()
            .find(|(_, value)| !(value.is_finite() && *value > 0.0))
            .map(|(key, value)| (key, value, "a number above 0"))
    }

    pub(super) fn evaluations(&self) -> usize {
        let round = self.steps.saturating_add(1);
        round
            .saturating_mul(self.rounds)
            .saturating_mul(self.restarts)
    }

    pub(super) fn wants_gradient(&self, state: &SearchState) -> bool {
        match &state.memory {
            Some(Memory::Multiplier(multiplier)) => multiplier.ended.is_none(),
            _ => true,
        }
    }

    pub(super) fn advance(
        &self,
        state: &mut SearchState,
        bounds: &DeviationBounds,
        gradient: Option<&Deviations>,
        start: impl Fn(usize) -> Deviations,
    ) -> Next {
        let memory = state
            .memory
            .get_or_insert_with(|| Memory::Multiplier(Multiplier::new(self, bounds)));
        let Memory::Multiplier(multiplier) = memory else {
            return Next::End;
        };
        if let Some(inside) = multiplier.ended {
            multiplier.turn(bounds, inside);
            if multiplier.rounds == self.rounds {
                return Next::End;
            }
            state.current = start(state.restart);
            return Next::Evaluate;
        }
        let Some(gradient) = gradient else {
            return Next::End;
        };
        multiplier.step(self.learning_rate, &mut state.current, bounds, gradient);
        if multiplier.steps == self.steps {
            multiplier.ended = Some(bounds.contain(&state.current));
            bounds.clip(&mut state.current);
        }
        Next::Evaluate
    }
}
