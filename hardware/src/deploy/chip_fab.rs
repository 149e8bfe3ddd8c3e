//! What turns seeds into chips.

use burn::module::Module;
use crossburn_noise::{ChipSeed, Variation};

use crate::{HardwareError, WeightPlan, manufacture};

/// Turns seeds into chips of one network: the same seed gives the same chip, on any thread.
pub trait Fab<M>: Sync {
    /// The chip of `seed`, ready to compute.
    ///
    /// # Errors
    /// [`HardwareError`] where this hardware cannot make it.
    fn chip(&self, seed: ChipSeed) -> Result<M, HardwareError>;
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
    fn chip(&self, seed: ChipSeed) -> Result<M, HardwareError> {
        Ok(manufacture(self.network, self.plan, self.variation, seed))
    }
}
