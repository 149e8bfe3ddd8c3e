//! Normal deviation censored on both sides.

use crossburn_kernels::normal_quantiles;
use serde::{Deserialize, Serialize};

use super::{Deviate, Moments, require};
use crate::NoiseError;
use crate::normal::{cumulative, density};

/// `d = s min(max(Z, -c), c)`.
///
/// ```text
/// mean 0,   E = 1 - 2 Φ(-c) - 2 c φ(c) + 2 c² Φ(-c)
/// ```
///
/// # Source
/// Noise-shape ablation in the authors' code of Yan et al., ICCAD 2023 (arXiv 2307.15853).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TwoSidedCensored {
    /// s: standard deviation of the underlying normal, relative to the reference magnitude.
    pub sigma_rel_wmax: f64,
    /// c: the largest magnitude, in standard deviations.
    pub censor: f64,
}

impl Deviate for TwoSidedCensored {
    const NAME: &'static str = "two-sided-censored";

    fn sigma_mut(&mut self) -> &mut f64 {
        &mut self.sigma_rel_wmax
    }

    fn check(&self) -> Result<(), NoiseError> {
        require(
            Self::NAME,
            "censor",
            self.censor,
            self.censor >= 0.0,
            "a finite number from 0 on",
        )
    }

    fn moments(&self) -> Moments {
        let (s, c) = (self.sigma_rel_wmax, self.censor);
        let beyond = cumulative(-c);
        Moments::new(
            0.0,
            s * s * (1.0 - 2.0 * beyond - 2.0 * c * density(c) + 2.0 * c * c * beyond),
        )
    }

    fn deviate(&self, draws: &mut [f64], _relative: &[f64]) {
        normal_quantiles(draws);
        draws
            .iter_mut()
            .for_each(|d| *d = self.sigma_rel_wmax * d.max(-self.censor).min(self.censor));
    }
}
