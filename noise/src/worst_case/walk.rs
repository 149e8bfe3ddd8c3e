//! One walk through the box: from a point, a gradient at a time.

use super::state::Memory;
use super::{Apgd, DeviationBounds, Deviations, Judged, Momentum, RawGradient};

use super::apgd::Descent;
use super::momentum::Velocity;
use super::raw_gradient::Hidden;

/// How a walk moves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Walk {
    Apgd(Apgd),
    Momentum(Momentum),
    RawGradient(RawGradient),
}

impl Walk {
    pub(super) fn steps(self) -> usize {
        match self {
            Self::Apgd(search) => search.steps,
            Self::Momentum(search) => search.steps,
            Self::RawGradient(search) => search.steps,
        }
    }

    /// A setting that is not allowed.
    pub(super) fn wrong(self) -> Option<(&'static str, f64, &'static str)> {
        let (decay, key, value) = match self {
            Self::Apgd(search) => (0.0, "step", search.step),
            Self::Momentum(search) => (search.decay, "step", search.step),
            Self::RawGradient(search) => (0.0, "rate", search.rate),
        };
        if !(0.0..1.0).contains(&decay) {
            return Some(("decay", decay, "a number from 0, below 1"));
        }
        let allowed = value.is_finite() && value > 0.0;
        (!allowed).then_some((key, value, "a number above 0"))
    }

    /// Moves `current`, at which `judged` and `gradient` were found. `memory` is that of this walk, or `None` at its first
    /// step.
    pub(super) fn step(
        self,
        memory: &mut Option<Memory>,
        bounds: &DeviationBounds,
        current: &mut Deviations,
        judged: Judged,
        gradient: &Deviations,
    ) {
        match (self, memory) {
            (Self::Apgd(search), Some(Memory::Descent(descent))) => {
                descent.step(&search, bounds, current, judged.loss, gradient);
            }
            (Self::Momentum(search), Some(Memory::Velocity(velocity))) => {
                velocity.step(&search, bounds, current, gradient);
            }
            (Self::RawGradient(search), Some(Memory::Hidden(hidden))) => {
                hidden.step(&search, bounds, current, gradient);
            }
            (_, memory) => {
                *memory = Some(match self {
                    Self::Apgd(search) => Memory::Descent(Descent::new(&search, current)),
                    Self::Momentum(_) => Memory::Velocity(Velocity::new(bounds)),
                    Self::RawGradient(_) => Memory::Hidden(Hidden::new(current)),
                });
                self.step(memory, bounds, current, judged, gradient);
            }
        }
    }
}
