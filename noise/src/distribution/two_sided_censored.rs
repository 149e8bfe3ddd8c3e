//! Normal deviation censored on both sides.

use super::{Deviate, Moments, cumulative, density, require, require_sigma};
use crate::NoiseError;
use crate::philox::normal_quantile;

/// `d = s min(max(Z, -c), c)`.
///
/// ```text
/// mean 0,   E = 1 - 2 Φ(-c) - 2 c φ(c) + 2 c² Φ(-c)
/// ```
///
/// # Source
/// Noise-shape ablation in the authors' code of Yan et al., ICCAD 2023 (arXiv 2307.15853).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TwoSidedCensored {
    /// s: standard deviation of the underlying normal, relative to the reference magnitude.
    pub sigma_rel_wmax: f64,
    /// c: the largest magnitude, in standard deviations.
    pub censor: f64,
}

impl Deviate for TwoSidedCensored {
    const NAME: &'static str = "two-sided-censored";

    fn check(&self) -> Result<(), NoiseError> {
        require_sigma(Self::NAME, "sigma_rel_wmax", self.sigma_rel_wmax)?;
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
        Moments {
            mean: 0.0,
            second: s * s * (1.0 - 2.0 * beyond - 2.0 * c * density(c) + 2.0 * c * c * beyond),
        }
    }

    #[inline]
    fn deviation(&self, u: f64, _relative: f64) -> f64 {
        self.sigma_rel_wmax * normal_quantile(u).max(-self.censor).min(self.censor)
    }
}
