//! Phase-change memory of the HERMES chip, as analog foundation models are judged with.

use serde::{Deserialize, Serialize};

use super::ConductanceRange;
use super::ageing::NoAgeing;
use super::law::Law;
use super::programming::{Programming, Spread};
use super::read_noise::NoReadNoise;
use crate::HardwareError;
use crate::units::Siemens;

/// A cell with the error of one weight of the HERMES chip, programming and reading together, and nothing else.
///
/// ```text
/// x = 180 g_T / g_max                 g = max(0, g_T + σ ξ)
/// σ = 0 where x < 0.6
/// σ = (g_max / 180) (2.57974 + 0.224197 x - 3.7158e-3 x² + 2.9398e-5 x³) where x < 52.5
/// σ = (g_max / 180) (2.110296 + 0.245349 x - 3.05499e-3 x² + 1.23298e-5 x³) from there on
/// ```
///
/// The source adds the error to weights, whose signs it may turn; a cell has no conductance below zero. Weights are one-sided
/// pairs, scaled per channel.
///
/// # Validity
/// Any `g_max`: the error is known relative to it.
///
/// # Source
/// Büchel et al., NeurIPS 2025 (arXiv 2505.09663), the fit of its published code to measurements of HERMES.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HermesAfmConfig {
    /// Lowest conductance.
    pub g_min: Siemens,
    /// Highest conductance.
    pub g_max: Siemens,
}

impl Default for HermesAfmConfig {
    fn default() -> Self {
        Self {
            g_min: Siemens::new(0.0),
            g_max: Siemens::new(20.7e-6),
        }
    }
}

/// The highest conductance in the units of the fit.
const FULL: f64 = 180.0;
/// Below it a cell is off, and exact.
const OFF: f64 = 0.6;
/// Where the second cubic begins.
const SPLIT: f64 = 52.5;
const LOW: [f64; 4] = [2.57974, 0.224_197, -3.7158e-3, 2.9398e-5];
const HIGH: [f64; 4] = [2.110_296, 0.245_349, -3.054_99e-3, 1.232_98e-5];

/// The checked form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct HermesAfm {
    range: ConductanceRange,
    unit: f64,
}

impl HermesAfmConfig {
    pub(super) fn check(&self) -> Result<HermesAfm, HardwareError> {
        let range = ConductanceRange::new(self.g_min, self.g_max)?;
        Ok(HermesAfm {
            range,
            unit: f64::from(range.g_max) / FULL,
        })
    }
}

impl Programming for HermesAfm {
    #[inline(always)]
    fn spread(&self, target: f64) -> Spread {
        let x = target / self.unit;
        let [c0, c1, c2, c3] = if x < SPLIT { LOW } else { HIGH };
        let sigma = c0 + x * (c1 + x * (c2 + x * c3));
        Spread {
            mean: target,
            sigma: if x < OFF { 0.0 } else { sigma * self.unit },
        }
    }
}

impl Law for HermesAfm {
    type Ageing = NoAgeing;
    type Read = NoReadNoise;

    fn range(&self) -> ConductanceRange {
        self.range
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn errors_are_those_of_the_two_cubics() {
        for g_max in [20.7e-6, 180e-6] {
            let config = HermesAfmConfig {
                g_max: Siemens::new(g_max),
                ..HermesAfmConfig::default()
            };
            let law = config.check().unwrap();
            // Worked by hand: at 30, 2.57974 + 6.72591 - 3.34422 + 0.793746; at 100, 2.110296 + 24.5349 - 30.5499 + 12.3298.
            for (x, expected) in [(0.5, 0.0), (30.0, 6.755176), (100.0, 8.425096)] {
                let unit = g_max * 1e6 / 180.0;
                let found = law.spread(x * unit).sigma / unit;
                assert!((found - expected).abs() < 1e-4, "{x}: {found}");
            }
        }
    }

    #[test]
    fn the_cubics_meet() {
        let law = HermesAfmConfig::default().check().unwrap();
        let at = |x: f64| law.spread(x * law.unit).sigma / law.unit;
        // The fit leaves a step of a hundredth of its value.
        assert!((at(SPLIT - 1e-9) - at(SPLIT)).abs() < 0.01 * at(SPLIT));
    }
}
