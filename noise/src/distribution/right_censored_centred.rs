//! Right-censored normal deviation without its mean.

use crossburn_kernels::normal_quantiles;
use serde::{Deserialize, Serialize};

use super::right_censored::standard_moments;
use super::{Deviate, Moments, require};
use crate::NoiseError;

/// `d = s (min(Z, c) - m(c))` with `m(c) = E[min(Z, c)]`: the right-censored deviation minus its mean.
///
/// ```text
/// mean 0,   second moment  v(c) - m(c)²      (m and v of the right-censored deviation)
/// ```
///
/// # Source
/// Noise-shape ablation in the authors' code of Yan et al., ICCAD 2023 (arXiv 2307.15853).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RightCensoredCentred {
    /// s: standard deviation of the underlying normal, relative to the reference magnitude.
    pub sigma_rel_wmax: f64,
    /// c: the censoring point before the mean is subtracted, in standard deviations.
    pub censor: f64,
}

impl Deviate for RightCensoredCentred {
    const NAME: &'static str = "right-censored-centred";

    fn sigma_mut(&mut self) -> &mut f64 {
        &mut self.sigma_rel_wmax
    }

    fn check(&self) -> Result<(), NoiseError> {
        require(Self::NAME, "censor", self.censor, true, "a finite number")
    }

    fn moments(&self) -> Moments {
        let (mean, second) = standard_moments(self.censor);
        let s = self.sigma_rel_wmax;
        Moments::new(0.0, s * s * (second - mean * mean))
    }

    fn deviate(&self, draws: &mut [f64], _relative: &[f64]) {
        let (mean, _) = standard_moments(self.censor);
        normal_quantiles(draws);
        draws
            .iter_mut()
            .for_each(|d| *d = self.sigma_rel_wmax * (d.min(self.censor) - mean));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::RightCensored;

    #[test]
    fn it_is_the_censored_deviation_less_its_mean() {
        let (sigma_rel_wmax, censor) = (0.3, 0.7);
        let censored = RightCensored {
            sigma_rel_wmax,
            censor,
        };
        let centred = RightCensoredCentred {
            sigma_rel_wmax,
            censor,
        };
        assert!((centred.moments().std - censored.moments().std).abs() < 1e-12);
        // 0.7: the mean of the papers' table is -0.1429.
        let uniforms: Vec<f64> = (1..100).map(|step| f64::from(step) / 100.0).collect();
        let (mut with, mut without) = (uniforms.clone(), uniforms);
        censored.deviate(&mut with, &[]);
        centred.deviate(&mut without, &[]);
        for (with, without) in with.iter().zip(without) {
            assert!((without - with - 0.3 * 0.1429).abs() < 0.3 * 6e-5);
        }
    }
}
