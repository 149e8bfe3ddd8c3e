//! Left-censored normal deviation: the mirror image of the right-censored one.

use crossburn_kernels::normal_quantiles;
use serde::{Deserialize, Serialize};

use super::right_censored::standard_moments;
use super::{Deviate, Moments, require};
use crate::NoiseError;

/// `d = s max(Z, -c)`: everything below -c piles up at -c.
///
/// # Source
/// Noise-shape ablation in the authors' code of Yan et al., ICCAD 2023 (arXiv 2307.15853).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftCensored {
    /// s: standard deviation of the underlying normal, relative to the reference magnitude.
    pub sigma_rel_wmax: f64,
    /// c: values below -c are set to -c, in standard deviations.
    pub censor: f64,
}

impl Deviate for LeftCensored {
    const NAME: &'static str = "left-censored";

    fn sigma_mut(&mut self) -> &mut f64 {
        &mut self.sigma_rel_wmax
    }

    fn check(&self) -> Result<(), NoiseError> {
        require(Self::NAME, "censor", self.censor, true, "a finite number")
    }

    fn moments(&self) -> Moments {
        let (mean, second) = standard_moments(self.censor);
        let s = self.sigma_rel_wmax;
        Moments::new(-s * mean, s * s * second)
    }

    fn deviate(&self, draws: &mut [f64], _relative: &[f64]) {
        normal_quantiles(draws);
        draws
            .iter_mut()
            .for_each(|d| *d = self.sigma_rel_wmax * d.max(-self.censor));
    }
}
