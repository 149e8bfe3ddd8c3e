//! Level-dependent normal deviation of four-level cells.

use crossburn_kernels::normal_quantiles;
use serde::{Deserialize, Serialize};

use super::{Deviate, Moments, require};
use crate::NoiseError;

/// Ratio of inner to outer deviation of the resistive cell RRAM1 (measured).
pub const RRAM1: f64 = 1.0;
/// Ratio of the ferroelectric cell FeFET2 (measured).
pub const FEFET2: f64 = 2.0;
/// Ratio of the ferroelectric cell FeFET3 (extrapolated).
pub const FEFET3: f64 = 3.0;
/// Ratio of the resistive cell RRAM4 (measured).
pub const RRAM4: f64 = 4.0;
/// Ratio of the ferroelectric cell FeFET6 (extrapolated).
pub const FEFET6: f64 = 6.0;

/// Normal, with one standard deviation for the outer and another for the inner levels.
///
/// ```text
/// outer, |w| / max <= 0.25 or >= 0.75:   s_outer = s / sqrt(0.4 r² + 0.6)
/// inner, strictly between:               s_inner = r s_outer
/// ```
///
/// The normaliser keeps the power at s² for a population with 40 % inner weights; the moments are those of that
/// population.
///
/// # Source
/// Authors' code of Yan et al. (arXiv 2307.15853, 2312.06137); the end points 0.0026 and 0.0155 at s = 0.01 are those of
/// RoCR, table 2.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FourLevel {
    /// s: standard deviation over the reference population, relative to the reference magnitude.
    pub sigma_rel_wmax: f64,
    /// r: inner over outer standard deviation.
    pub ratio: f64,
}

impl FourLevel {
    /// Standard deviations of outer and inner levels.
    pub fn level_sigmas(&self) -> (f64, f64) {
        let outer = self.sigma_rel_wmax / (0.4 * self.ratio * self.ratio + 0.6).sqrt();
        (outer, self.ratio * outer)
    }
}

impl Deviate for FourLevel {
    const READS_WEIGHTS: bool = true;
    const NAME: &'static str = "four-level";

    fn sigma_mut(&mut self) -> &mut f64 {
        &mut self.sigma_rel_wmax
    }

    fn check(&self) -> Result<(), NoiseError> {
        require(
            Self::NAME,
            "ratio",
            self.ratio,
            self.ratio >= 0.0,
            "a finite number from 0 on",
        )
    }

    fn moments(&self) -> Moments {
        Moments::new(0.0, self.sigma_rel_wmax * self.sigma_rel_wmax)
    }

    fn deviate(&self, draws: &mut [f64], relative: &[f64]) {
        let (outer, inner) = self.level_sigmas();
        normal_quantiles(draws);
        for (d, relative) in draws.iter_mut().zip(relative) {
            let magnitude = relative.abs();
            *d *= if magnitude > 0.25 && magnitude < 0.75 {
                inner
            } else {
                outer
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_deviate_as_in_the_papers_table() {
        for (ratio, outer, inner) in [
            (RRAM1, 0.0100, 0.0100),
            (FEFET2, 0.0067, 0.0135),
            (FEFET3, 0.0049, 0.0146),
            (RRAM4, 0.0038, 0.0151),
            (FEFET6, 0.0026, 0.0155),
        ] {
            let cell = FourLevel {
                sigma_rel_wmax: 0.01,
                ratio,
            };
            let (a, b) = cell.level_sigmas();
            // The table has four decimals.
            assert!(
                (a - outer).abs() < 5.1e-5 && (b - inner).abs() < 5.1e-5,
                "{ratio}: {a} {b}"
            );
            // One draw at a weight of each level; the boundaries 0.25 and 0.75 are outer.
            let mut draws = [0.975; 5];
            cell.deviate(&mut draws, &[0.1, -0.5, 1.0, 0.25, 0.75]);
            let z = draws[0] / a;
            // The 97.5 % quantile of the standard normal.
            assert!((z - 1.959_963_984_540_054).abs() < 1e-12, "{z}");
            let expected = [a, b, a, a, a].map(|sigma| sigma * z);
            assert!(
                draws
                    .iter()
                    .zip(expected)
                    .all(|(d, e)| (d - e).abs() < 1e-12),
                "{draws:?}"
            );
        }
    }
}
