//! Right-truncated normal deviation.

use crossburn_kernels::normal_quantiles;
use serde::{Deserialize, Serialize};

use super::{Deviate, Moments, require};
use crate::NoiseError;
use crate::normal::{cumulative, density};

/// `d = s Z` given `Z <= c`: as if values above c were drawn again. Not censoring: no mass sits at c.
///
/// ```text
/// with λ = φ(c) / Φ(c):   mean -λ,   second moment 1 - c λ
/// ```
///
/// # Source
/// Noise-shape ablation in the authors' code of Yan et al., ICCAD 2023 (arXiv 2307.15853).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RightTruncated {
    /// s: standard deviation of the underlying normal, relative to the reference magnitude.
    pub sigma_rel_wmax: f64,
    /// c: the truncation point, in standard deviations.
    pub censor: f64,
}

impl Deviate for RightTruncated {
    const NAME: &'static str = "right-truncated";

    fn sigma_mut(&mut self) -> &mut f64 {
        &mut self.sigma_rel_wmax
    }

    fn check(&self) -> Result<(), NoiseError> {
        // Below -6, fewer than one draw in 1e9 would be kept: such a value is a mistake.
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
        Moments::new(-s * ratio, s * s * (1.0 - c * ratio))
    }

    fn deviate(&self, draws: &mut [f64], _relative: &[f64]) {
        let kept = cumulative(self.censor);
        draws.iter_mut().for_each(|d| *d *= kept);
        normal_quantiles(draws);
        draws.iter_mut().for_each(|d| *d *= self.sigma_rel_wmax);
    }
}
