//! Right-censored normal deviation.

use crossburn_kernels::normal_quantiles;
use serde::{Deserialize, Serialize};

use super::{Deviate, Moments, require};
use crate::NoiseError;
use crate::normal::{cumulative, density};

/// `d = s min(Z, c)`: everything above c piles up at c. Censoring, not truncation: nothing is drawn again.
///
/// ```text
/// E[min(Z, c)]  = (1 - Φ(c)) c - φ(c)
/// E[min(Z, c)²] = Φ(c) - c φ(c) + c² (1 - Φ(c))
/// ```
///
/// # Source
/// Yan et al., "Improving Realistic Worst-Case Performance of NVCiM DNN Accelerators through Training with
/// Right-Censored Gaussian Noise", ICCAD 2023 (arXiv 2307.15853).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RightCensored {
    /// s: standard deviation of the underlying normal, relative to the reference magnitude.
    pub sigma_rel_wmax: f64,
    /// c: the censoring point, in standard deviations.
    pub censor: f64,
}

/// Mean and second moment of `min(Z, c)`.
pub(super) fn standard_moments(c: f64) -> (f64, f64) {
    let above = cumulative(-c);
    (
        above * c - density(c),
        cumulative(c) - c * density(c) + c * c * above,
    )
}

impl Deviate for RightCensored {
    const NAME: &'static str = "right-censored";

    fn sigma_mut(&mut self) -> &mut f64 {
        &mut self.sigma_rel_wmax
    }

    fn check(&self) -> Result<(), NoiseError> {
        require(Self::NAME, "censor", self.censor, true, "a finite number")
    }

    fn moments(&self) -> Moments {
        let (mean, second) = standard_moments(self.censor);
        let s = self.sigma_rel_wmax;
        Moments::new(s * mean, s * s * second)
    }

    fn deviate(&self, draws: &mut [f64], _relative: &[f64]) {
        normal_quantiles(draws);
        draws
            .iter_mut()
            .for_each(|d| *d = self.sigma_rel_wmax * d.min(self.censor));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_papers_table() {
        // c, mean, second moment, standard deviation of min(Z, c).
        for (c, m, v, s) in [
            (0.5, -0.1978, 0.5926, 0.744),
            (0.7, -0.1429, 0.6580, 0.799),
            (1.0, -0.0833, 0.7580, 0.867),
            (2.0, -0.0085, 0.9603, 0.980),
        ] {
            let moments = RightCensored {
                sigma_rel_wmax: 1.0,
                censor: c,
            }
            .moments();
            assert!((moments.mean - m).abs() < 6e-5, "{c} {moments:?}");
            assert!((moments.second - v).abs() < 6e-5, "{c} {moments:?}");
            assert!((moments.std - s).abs() < 6e-4, "{c} {moments:?}");
        }
    }

    #[test]
    fn the_mass_above_the_point_sits_at_it() {
        let n = 1_000_000;
        let mut draws = vec![0.0; n];
        crate::Philox::new(3, 9).fill_uniform(&mut draws);
        RightCensored {
            sigma_rel_wmax: 1.0,
            censor: 1.0,
        }
        .deviate(&mut draws, &[]);
        let at = draws.iter().filter(|d| **d == 1.0).count() as f64 / n as f64;
        let expected = cumulative(-1.0);
        // Three standard errors of a proportion.
        assert!(
            (at - expected).abs() < 3.0 * (expected * (1.0 - expected) / n as f64).sqrt(),
            "{at} {expected}"
        );
    }
}
