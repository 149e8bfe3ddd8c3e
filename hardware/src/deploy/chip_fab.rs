//! Types that turn seeds into chips.

use burn::module::Module;
use crossburn_noise::{ChipDraws, ChipSeed, Variation};

use crate::{HardwareError, WeightPlan, manufacture};

/// Turns seeds into chips of one network: the same seed gives the same chip, on any thread.
pub trait Fab<M>: Sync {
    /// The chip of these draws, ready to compute: that of a seed, or one that no seed alone would give.
    ///
    /// # Errors
    /// [`HardwareError`] where this hardware cannot make it.
    fn drawn(&self, draws: &dyn ChipDraws) -> Result<M, HardwareError>;

    /// The chip of `seed`.
    ///
    /// # Errors
    /// Those of [`Self::drawn`].
    fn chip(&self, seed: ChipSeed) -> Result<M, HardwareError> {
        self.drawn(&seed)
    }
}

/// Chips whose weights deviate by a [`Variation`]: no hardware but the deviation.
#[derive(Clone, Copy, Debug)]
pub struct VariationFab<'a, M> {
    /// The network in evaluation mode.
    pub network: &'a M,
    /// Which of its weights lie on arrays, and how they are quantized.
    pub plan: &'a WeightPlan,
    /// How they deviate.
    pub variation: &'a Variation,
}

impl<M: Module + Sync> Fab<M> for VariationFab<'_, M> {
    fn drawn(&self, draws: &dyn ChipDraws) -> Result<M, HardwareError> {
        Ok(manufacture(self.network, self.plan, self.variation, draws))
    }
}
