//! Normal deviation with the mean of a right-censored one.

use crossburn_kernels::normal_quantiles;
use serde::{Deserialize, Serialize};

use super::right_censored::standard_moments;
use super::{Deviate, Moments, require};
use crate::NoiseError;

/// `d = s (Z + m(c))` with `m(c) = E[min(Z, c)]`: the mean shift of the right-censored deviation without its shape.
///
/// ```text
/// mean s m(c),   second moment  s² (1 + m(c)²)
/// ```
///
/// # Source
/// Noise-shape ablation in the authors' code of Yan et al., ICCAD 2023 (arXiv 2307.15853).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShiftedGaussian {
    /// s: standard deviation relative to the reference magnitude.
    pub sigma_rel_wmax: f64,
    /// c: the censoring point that determines the mean, in standard deviations.
    pub censor: f64,
}

impl Deviate for ShiftedGaussian {
    const NAME: &'static str = "shifted-gaussian";

    fn sigma_mut(&mut self) -> &mut f64 {
        &mut self.sigma_rel_wmax
    }

    fn check(&self) -> Result<(), NoiseError> {
        require(Self::NAME, "censor", self.censor, true, "a finite number")
    }

    fn moments(&self) -> Moments {
        let (mean, _) = standard_moments(self.censor);
        let s = self.sigma_rel_wmax;
        Moments::new(s * mean, s * s * (1.0 + mean * mean))
    }

    fn deviate(&self, draws: &mut [f64], _relative: &[f64]) {
        let (mean, _) = standard_moments(self.censor);
        normal_quantiles(draws);
        draws
            .iter_mut()
            .for_each(|d| *d = self.sigma_rel_wmax * (*d + mean));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_that_of_the_papers_table_and_the_spread_that_of_the_normal() {
        for (c, m) in [
            (0.5, -0.1978),
            (0.7, -0.1429),
            (1.0, -0.0833),
            (2.0, -0.0085),
        ] {
            let moments = ShiftedGaussian {
                sigma_rel_wmax: 0.5,
                censor: c,
            }
            .moments();
            assert!(
                (moments.mean - 0.5 * m).abs() < 0.5 * 6e-5,
                "{c} {moments:?}"
            );
            assert!((moments.std - 0.5).abs() < 1e-12, "{c} {moments:?}");
        }
    }
}
