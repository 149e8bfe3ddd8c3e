//! Relaxation: a shift of the mean and a spread that time adds to a written cell.

use super::ageing::Ageing;
use super::moments::{Bounds, RawMoments};
use super::programming::Spread;

/// The change that a fixed time adds.
pub(super) trait Added: Sync {
    /// Shift of the mean, and standard deviation, of the change, by target, in uS.
    fn added(&self, target: f64) -> Spread;

    fn bounds(&self) -> Bounds {
        Bounds::NOT_NEGATIVE
    }
}

/// `g(t) = clamp(g_p + shift + sigma ξ)`, where ξ is drawn once per cell: at a later time it moves on along the same draw.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relaxation<R>(pub(super) R);

impl<R: Added> Ageing for Relaxation<R> {
    #[inline(always)]
    fn age(&self, programmed: f64, target: f64, draw: f64) -> f64 {
        let Spread { mean, sigma } = self.0.added(target);
        self.0.bounds().clamp(programmed + mean + sigma * draw)
    }

    fn moments(&self, programmed: f64, target: f64) -> RawMoments {
        let Spread { mean, sigma } = self.0.added(target);
        self.0.bounds().of_normal(programmed + mean, sigma)
    }
}
