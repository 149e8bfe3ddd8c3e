//! Log-normal, multiplicative deviation.

use super::{Deviate, Moments, require_sigma};
use crate::NoiseError;
use crate::philox::normal_quantile;

/// `w + d = w exp(σ Z)`: the weight is multiplied, so zero stays zero and the sign is kept.
///
/// For a weight at the reference magnitude:
///
/// ```text
/// E[d] = exp(σ²/2) - 1        E[d²] = exp(2σ²) - 2 exp(σ²/2) + 1
/// ```
///
/// # Source
/// Log-normal conductance spread, as in device-to-device models of resistive memory; median-preserving form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogNormal {
    /// σ: standard deviation of the logarithm of the factor. Dimensionless, not relative to the largest weight.
    pub sigma_log: f64,
}

impl Deviate for LogNormal {
    const NAME: &'static str = "log-normal";

    fn check(&self) -> Result<(), NoiseError> {
        require_sigma(Self::NAME, "sigma_log", self.sigma_log)
    }

    fn moments(&self) -> Moments {
        let v = self.sigma_log * self.sigma_log;
        Moments {
            mean: (0.5 * v).exp() - 1.0,
            second: (2.0 * v).exp() - 2.0 * (0.5 * v).exp() + 1.0,
        }
    }

    #[inline]
    fn deviation(&self, u: f64, relative: f64) -> f64 {
        relative * libm::expm1(self.sigma_log * normal_quantile(u))
    }
}
