//! Steps against the sign of the gradient.

use serde::{Deserialize, Serialize};

use super::search::Next;
use super::{Corners, DeviationBounds, Deviations, MonteCarlo, SearchState};
use crate::ChipSeed;

/// Every entry moves by a fixed step against the sign of its gradient, and stops at the ends of its box:
///
/// ```text
/// d <- clip(d - sign(∂F/∂d) bound / steps),      steps * expand times at most
/// ```
///
/// The lowest score of the path is kept. A restart ends early when nothing moves. The first restart begins without a
/// deviation, and every further one at a point drawn from (seed, restart). A larger `expand` continues the same path.
///
/// After the restarts come `random` draws of [`Corners`] and then `random` draws of [`MonteCarlo`], counted as one more
/// restart. The search therefore finds everything that either of them finds with that many draws of the same seed, or fewer.
///
/// # Source
/// The authors' later code of Yan, Hu and Shi (arXiv 2312.06137). It stops everything when one entry reaches the bound;
/// here that entry rests and the others go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SignGradient {
    /// Steps from zero to the bound.
    pub steps: usize,
    /// At most this many times `steps` are taken.
    pub expand: usize,
    /// Starting points.
    pub restarts: usize,
    /// Number of random corners, and of random chips, that are judged after the restarts.
    pub random: usize,
}

impl Default for SignGradient {
    fn default() -> Self {
        Self {
            steps: 20,
            expand: 2,
            restarts: 1,
            random: 0,
        }
    }
}

/// An entry counts as at the end of its box if it is nearer than this part of a step, because roundings add up over the
/// steps.
const REACHED: f32 = 1e-3;

impl SignGradient {
    pub(super) fn counts(&self) -> [(&'static str, usize); 3] {
        [
            ("steps", self.steps),
            ("expand", self.expand),
            ("restarts", self.restarts),
        ]
    }

    /// The most steps of one restart.
    pub(super) fn iterations(&self) -> usize {
        self.steps.saturating_mul(self.expand)
    }

    pub(super) fn evaluations(&self) -> usize {
        let one = self.iterations().saturating_add(1);
        let draws = self.random.saturating_mul(2);
        one.saturating_mul(self.restarts).saturating_add(draws)
    }

    pub(super) fn wants_gradient(&self, state: &SearchState) -> bool {
        state.restart < self.restarts && state.iteration < self.iterations()
    }

    pub(super) fn advance(
        &self,
        state: &mut SearchState,
        bounds: &DeviationBounds,
        seed: u64,
        gradient: Option<&Deviations>,
    ) -> Next {
        if state.restart < self.restarts {
            let next = self.step(state, bounds, gradient);
            let last = state.restart + 1 == self.restarts;
            if !(matches!(next, Next::End) && last && self.random > 0) {
                return next;
            }
            state.restart += 1;
            state.iteration = 0;
        }
        self.draw(state, bounds, seed)
    }

    /// Without a gradient, the end of the path was judged.
    fn step(
        &self,
        state: &mut SearchState,
        bounds: &DeviationBounds,
        gradient: Option<&Deviations>,
    ) -> Next {
        let Some(gradient) = gradient else {
            return Next::End;
        };
        let mut moved = false;
        for (path, deviation) in &mut state.current {
            let entries = &bounds.weights()[path];
            for (index, (d, g)) in deviation.iter_mut().zip(&gradient[path]).enumerate() {
                let step = entries.half_width(index) / self.steps as f32;
                let (low, high) = (entries.low[index], entries.high[index]);
                let next = match g {
                    g if *g > 0.0 => *d - step,
                    g if *g < 0.0 => *d + step,
                    _ => continue,
                };
                let next = match next {
                    next if next - low < REACHED * step => low,
                    next if high - next < REACHED * step => high,
                    next => next,
                };
                moved |= next != *d;
                *d = next;
            }
        }
        match moved {
            true => Next::Evaluate,
            false => Next::End,
        }
    }

    /// Corners first, then chips.
    fn draw(&self, state: &mut SearchState, bounds: &DeviationBounds, seed: u64) -> Next {
        let chip = |index: usize| ChipSeed::new(seed, index as u64);
        state.current = match state.iteration.checked_sub(self.random) {
            None => Corners::draw(bounds, chip(state.iteration)),
            Some(index) if index < self.random => MonteCarlo::draw(bounds, chip(index)),
            Some(_) => return Next::End,
        };
        Next::Evaluate
    }
}
