//! Normal deviation.

use crossburn_kernels::normal_quantiles;
use serde::{Deserialize, Serialize};

use super::{Deviate, Moments};

/// `d = s Z`, Z standard normal: the deviation of a weight programmed to many independent cells.
///
/// # Source
/// The common model of programming error; Yan et al., ICCAD 2022 (arXiv 2207.07626), section on device variation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gaussian {
    /// s: standard deviation relative to the reference magnitude.
    pub sigma_rel_wmax: f64,
}

impl Deviate for Gaussian {
    const NAME: &'static str = "gaussian";

    fn sigma_mut(&mut self) -> &mut f64 {
        &mut self.sigma_rel_wmax
    }

    fn moments(&self) -> Moments {
        Moments::new(0.0, self.sigma_rel_wmax * self.sigma_rel_wmax)
    }

    fn deviate(&self, draws: &mut [f64], _relative: &[f64]) {
        normal_quantiles(draws);
        draws.iter_mut().for_each(|d| *d *= self.sigma_rel_wmax);
    }
}
