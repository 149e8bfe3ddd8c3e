//! Uniform deviation.

use super::{Deviate, Moments, require_sigma};
use crate::NoiseError;

/// `d = s sqrt(3) (2U - 1)`: uniform, with standard deviation s.
///
/// # Source
/// Noise-shape ablation in the authors' code of Yan et al., ICCAD 2023 (arXiv 2307.15853).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Uniform {
    /// s: standard deviation relative to the reference magnitude; the half width is sqrt(3) times that.
    pub sigma_rel_wmax: f64,
}

impl Deviate for Uniform {
    const NAME: &'static str = "uniform";

    fn check(&self) -> Result<(), NoiseError> {
        require_sigma(Self::NAME, "sigma_rel_wmax", self.sigma_rel_wmax)
    }

    fn moments(&self) -> Moments {
        Moments {
            mean: 0.0,
            second: self.sigma_rel_wmax * self.sigma_rel_wmax,
        }
    }

    #[inline]
    fn deviation(&self, u: f64, _relative: f64) -> f64 {
        self.sigma_rel_wmax * 3.0f64.sqrt() * (2.0 * u - 1.0)
    }
}
