//! Log-normal, multiplicative deviation.

use crossburn_kernels::normal_quantiles;
use serde::{Deserialize, Serialize};

use super::{Deviate, Moments, require};
use crate::NoiseError;

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
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogNormal {
    /// σ: standard deviation of the logarithm of the factor. Dimensionless, not relative to the largest weight.
    pub sigma_log: f64,
}

impl Deviate for LogNormal {
    const READS_WEIGHTS: bool = true;
    const NAME: &'static str = "log-normal";
    const SIGMA: &'static str = "sigma_log";

    fn sigma_mut(&mut self) -> &mut f64 {
        &mut self.sigma_log
    }

    fn check(&self) -> Result<(), NoiseError> {
        // The largest draw of 6.34 then still has a factor that an f32 holds.
        let allowed = self.sigma_log <= 10.0;
        require(
            Self::NAME,
            Self::SIGMA,
            self.sigma_log,
            allowed,
            "a number from 0 to 10",
        )
    }

    fn moments(&self) -> Moments {
        let v = self.sigma_log * self.sigma_log;
        Moments::new(
            libm::exp(0.5 * v) - 1.0,
            libm::exp(2.0 * v) - 2.0 * libm::exp(0.5 * v) + 1.0,
        )
    }

    fn deviate(&self, draws: &mut [f64], relative: &[f64]) {
        normal_quantiles(draws);
        for (d, relative) in draws.iter_mut().zip(relative) {
            *d = relative * libm::expm1(self.sigma_log * *d);
        }
    }
}
