//! Rare deviations of one size and either sign.

use serde::{Deserialize, Serialize};

use super::{Deviate, Moments, require};
use crate::NoiseError;

/// `d = ± s / sqrt(p)` with probability p, as often up as down; 0 otherwise.
///
/// ```text
/// mean 0,   second moment  s²
/// ```
///
/// # Source
/// Noise-shape ablation in the authors' code of Yan et al., ICCAD 2023 (arXiv 2307.15853). There the size of a deviation is
/// the parameter; here it is the standard deviation, as for every other shape, so that shapes of one `sigma_rel_wmax`
/// compare.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SaltAndPepper {
    /// s: standard deviation relative to the reference magnitude.
    pub sigma_rel_wmax: f64,
    /// p: how often a weight deviates at all, above 0 and at most 1.
    pub probability: f64,
}

impl Deviate for SaltAndPepper {
    const NAME: &'static str = "salt-and-pepper";

    fn sigma_mut(&mut self) -> &mut f64 {
        &mut self.sigma_rel_wmax
    }

    fn check(&self) -> Result<(), NoiseError> {
        require(
            Self::NAME,
            "probability",
            self.probability,
            self.probability > 0.0 && self.probability <= 1.0,
            "a number above 0 and at most 1",
        )
    }

    fn moments(&self) -> Moments {
        Moments::new(0.0, self.sigma_rel_wmax * self.sigma_rel_wmax)
    }

    fn deviate(&self, draws: &mut [f64], _relative: &[f64]) {
        let (tail, size) = (
            0.5 * self.probability,
            self.sigma_rel_wmax / self.probability.sqrt(),
        );
        draws.iter_mut().for_each(|d| {
            *d = if *d < tail {
                -size
            } else if *d >= 1.0 - tail {
                size
            } else {
                0.0
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_of_the_weights_deviates_by_one_size() {
        let mut draws: Vec<f64> = (0..1000).map(|i| (f64::from(i) + 0.5) / 1000.0).collect();
        SaltAndPepper {
            sigma_rel_wmax: 0.2,
            probability: 0.04,
        }
        .deviate(&mut draws, &[]);
        let count = |value: f64| draws.iter().filter(|d| (**d - value).abs() < 1e-12).count();
        assert_eq!((count(-1.0), count(0.0), count(1.0)), (20, 960, 20));
    }
}
