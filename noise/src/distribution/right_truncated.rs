//! Right-truncated normal deviation.

use super::{Deviate, Moments, cumulative, density, require, require_sigma};
use crate::NoiseError;
use crate::philox::normal_quantile;

/// `d = s Z` given `Z <= c`: as if values above c were drawn again. Not censoring: no mass sits at c.
///
/// ```text
/// with λ = φ(c) / Φ(c):   mean -λ,   second moment 1 - c λ
/// ```
///
/// # Source
/// Noise-shape ablation in the authors' code of Yan et al., ICCAD 2023 (arXiv 2307.15853).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RightTruncated {
    /// s: standard deviation of the underlying normal, relative to the reference magnitude.
    pub sigma_rel_wmax: f64,
    /// c: the truncation point, in standard deviations.
    pub censor: f64,
}

impl Deviate for RightTruncated {
    const NAME: &'static str = "right-truncated";

    fn check(&self) -> Result<(), NoiseError> {
        require_sigma(Self::NAME, "sigma_rel_wmax", self.sigma_rel_wmax)?;
        // Below -6 the remaining probability is under 1e-9, and a 32-bit uniform no longer resolves it.
        require(
            Self::NAME,
            "censor",
            self.censor,
            self.censor >= -6.0,
            "a finite number from -6 on",
        )
    }

    fn moments(&self) -> Moments {
        let (s, c) = (self.sigma_rel_wmax, self.censor);
        let ratio = density(c) / cumulative(c);
        Moments {
            mean: -s * ratio,
            second: s * s * (1.0 - c * ratio),
        }
    }

    #[inline]
    fn deviation(&self, u: f64, _relative: f64) -> f64 {
        self.sigma_rel_wmax * normal_quantile(u * cumulative(self.censor))
    }
}
