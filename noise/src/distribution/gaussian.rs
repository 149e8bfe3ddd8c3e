//! Normal deviation.

use super::{Deviate, Moments, require_sigma};
use crate::NoiseError;
use crate::philox::normal_quantile;

/// `d = s Z`, Z standard normal: the deviation of a weight programmed to many independent cells.
///
/// # Source
/// The common model of programming error; Yan et al., ICCAD 2022 (arXiv 2207.07626), section on device variation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gaussian {
    /// s: standard deviation relative to the reference magnitude.
    pub sigma_rel_wmax: f64,
}

impl Deviate for Gaussian {
    const NAME: &'static str = "gaussian";

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
        self.sigma_rel_wmax * normal_quantile(u)
    }
}
