//! Deviations whose size follows a power law.

use serde::{Deserialize, Serialize};

use super::{Deviate, Moments, require};
use crate::NoiseError;

/// `d = ± s sqrt((a + 2) / a) X`, either sign as likely, where X has the density `a x^(a - 1)` on 0..1.
///
/// ```text
/// mean 0,   second moment  s²        (E[X²] = a / (a + 2))
/// ```
///
/// With `a = 1` this is the uniform deviation; a larger a puts more weight at the ends, a smaller one at zero.
///
/// # Source
/// Noise-shape ablation in the authors' code of Yan et al., ICCAD 2023 (arXiv 2307.15853). There the largest deviation is
/// the parameter; here it is the standard deviation, as for every other shape.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PowerLaw {
    /// s: standard deviation relative to the reference magnitude.
    pub sigma_rel_wmax: f64,
    /// a: the exponent of the distribution function `x^a`, above 0.
    pub exponent: f64,
}

impl Deviate for PowerLaw {
    const NAME: &'static str = "power-law";

    fn sigma_mut(&mut self) -> &mut f64 {
        &mut self.sigma_rel_wmax
    }

    fn check(&self) -> Result<(), NoiseError> {
        require(
            Self::NAME,
            "exponent",
            self.exponent,
            self.exponent > 0.0,
            "a number above 0",
        )
    }

    fn moments(&self) -> Moments {
        Moments::new(0.0, self.sigma_rel_wmax * self.sigma_rel_wmax)
    }

    fn deviate(&self, draws: &mut [f64], _relative: &[f64]) {
        let most = self.sigma_rel_wmax * ((self.exponent + 2.0) / self.exponent).sqrt();
        draws.iter_mut().for_each(|d| {
            let signed = 2.0 * *d - 1.0;
            *d = (most * libm::pow(signed.abs(), 1.0 / self.exponent)).copysign(signed);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::Uniform;

    #[test]
    fn an_exponent_of_one_is_uniform() {
        let mut law: Vec<f64> = (1..100).map(|step| f64::from(step) / 100.0).collect();
        let mut uniform = law.clone();
        let sigma_rel_wmax = 0.3;
        PowerLaw {
            sigma_rel_wmax,
            exponent: 1.0,
        }
        .deviate(&mut law, &[]);
        Uniform { sigma_rel_wmax }.deviate(&mut uniform, &[]);
        assert!(law.iter().zip(uniform).all(|(a, b)| (a - b).abs() < 1e-12));
    }

    #[test]
    fn sizes_follow_the_distribution_function() {
        let mut draws: Vec<f64> = (0..2000).map(|i| (f64::from(i) + 0.5) / 2000.0).collect();
        let law = PowerLaw {
            sigma_rel_wmax: 0.2,
            exponent: 3.0,
        };
        law.deviate(&mut draws, &[]);
        let most = 0.2 * (5.0f64 / 3.0).sqrt();
        for x in [0.3, 0.5, 0.9] {
            let below = draws.iter().filter(|d| d.abs() <= x * most).count() as f64 / 2000.0;
            // A grid of 2000 draws has steps of 1/1000 in size.
            assert!((below - x * x * x).abs() <= 1e-3, "{x} {below}");
        }
    }
}
