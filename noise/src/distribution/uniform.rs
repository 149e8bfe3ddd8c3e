//! Uniform deviation.

use serde::{Deserialize, Serialize};

use super::{Deviate, Moments};

/// `d = s sqrt(3) (2U - 1)`: uniform, with standard deviation s.
///
/// # Source
/// Noise-shape ablation in the authors' code of Yan et al., ICCAD 2023 (arXiv 2307.15853).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uniform {
    /// s: standard deviation relative to the reference magnitude; the half width is sqrt(3) times that.
    pub sigma_rel_wmax: f64,
}

impl Deviate for Uniform {
    const NAME: &'static str = "uniform";

    fn sigma_mut(&mut self) -> &mut f64 {
        &mut self.sigma_rel_wmax
    }

    fn moments(&self) -> Moments {
        Moments::new(0.0, self.sigma_rel_wmax * self.sigma_rel_wmax)
    }

    fn deviate(&self, draws: &mut [f64], _relative: &[f64]) {
        let half_width = self.sigma_rel_wmax * 3.0f64.sqrt();
        draws
            .iter_mut()
            .for_each(|d| *d = half_width * (2.0 * *d - 1.0));
    }
}
