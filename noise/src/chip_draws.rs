//! Where the uniform draws behind a chip come from.

use crate::{ChipSeed, Philox};

/// A source of the uniform draws of one chip: a [`ChipSeed`], or what makes chips that no seed alone would give.
///
/// Every distribution is a quantile function of one uniform draw per element, so a chip is known when its draws are.
pub trait ChipDraws: Sync {
    /// The draws of the parameter at `path`.
    fn parameter(&self, path: &str) -> Box<dyn ParameterDraws + '_>;
}

/// The uniform draws of one parameter of one chip.
pub trait ParameterDraws: Sync {
    /// Fills `out` with the draws of the elements `first`, `first + 1`, …, each in the open interval (0, 1). `first` is
    /// a multiple of four.
    fn fill(&self, first: usize, out: &mut [f64]);
}

impl ParameterDraws for Philox {
    fn fill(&self, first: usize, out: &mut [f64]) {
        self.fill_uniform_from((first / 4) as u64, out);
    }
}

impl ChipDraws for ChipSeed {
    fn parameter(&self, path: &str) -> Box<dyn ParameterDraws + '_> {
        Box::new(self.generator(path))
    }
}

impl<S: ChipDraws + ?Sized> ChipDraws for &S {
    fn parameter(&self, path: &str) -> Box<dyn ParameterDraws + '_> {
        (**self).parameter(path)
    }
}
