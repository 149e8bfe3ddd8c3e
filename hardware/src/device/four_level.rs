//! Two-bit cells whose inner levels scatter more than the outer ones.

use crossburn_noise::{FEFET2, FEFET3, FEFET6, FourLevel as Deviation, RRAM1, RRAM4};
use serde::{Deserialize, Serialize};

use super::ConductanceRange;
use super::ageing::NoAgeing;
use super::law::Law;
use super::programming::{Programming, Spread};
use super::read_noise::NoReadNoise;
use super::refusal::not_negative;
use crate::HardwareError;
use crate::units::Siemens;

/// The cells of the papers, told apart by the ratio of inner to outer standard deviation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FourLevelCell {
    /// Resistive, ratio 1 (measured).
    Rram1,
    /// Ferroelectric, ratio 2 (measured).
    Fefet2,
    /// Ferroelectric, ratio 3 (extrapolated).
    Fefet3,
    /// Resistive, ratio 4 (measured).
    Rram4,
    /// Ferroelectric, ratio 6 (extrapolated).
    Fefet6,
}

impl FourLevelCell {
    /// Inner over outer standard deviation.
    pub const fn ratio(self) -> f64 {
        match self {
            Self::Rram1 => RRAM1,
            Self::Fefet2 => FEFET2,
            Self::Fefet3 => FEFET3,
            Self::Rram4 => RRAM4,
            Self::Fefet6 => FEFET6,
        }
    }
}

/// A cell of four levels.
///
/// ```text
/// g = max(0, g_T + s_level (g_max - g_min) ξ)              d = (g_T - g_min) / (g_max - g_min)
/// outer, d <= 0.25 or d >= 0.75:   s_outer = s / sqrt(0.4 r² + 0.6)
/// inner, strictly between:         s_inner = r s_outer
/// ```
///
/// The papers state s in two ways; exactly one of the keys is given:
///
/// | key | s is relative to | `noise::SigmaConvention` |
/// |---|---|---|
/// | `sigma_rel_range` | the full range of the cell | `FullRange` |
/// | `sigma_rel_lsb` | one of its three steps, so `s = sigma_rel_lsb / 3` | `CellLsb` |
///
/// The papers do not clamp; here a conductance is not negative. Keep `g_min` some standard deviations above zero to
/// reproduce them.
///
/// # Source
/// Authors' code of Yan et al. (arXiv 2307.15853, 2312.06137), which gives deviations relative to the range and no
/// conductances; the standard deviations are those of RoCR, table 2.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FourLevelConfig {
    /// Which cell.
    pub cell: FourLevelCell,
    /// s as a fraction of the full range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sigma_rel_range: Option<f64>,
    /// s as a fraction of one of the three steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sigma_rel_lsb: Option<f64>,
    /// Lowest level.
    pub g_min: Siemens,
    /// Highest level.
    pub g_max: Siemens,
}

/// Steps between four levels.
const STEPS: u8 = 3;

/// The checked form: standard deviations in uS.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct FourLevel {
    range: ConductanceRange,
    g_min: f64,
    per_span: f64,
    outer: f64,
    inner: f64,
}

impl FourLevelConfig {
    pub(super) fn check(&self) -> Result<FourLevel, HardwareError> {
        let range = ConductanceRange::new(self.g_min, self.g_max)?;
        let sigma = match (self.sigma_rel_range, self.sigma_rel_lsb) {
            (Some(sigma), None) => not_negative("sigma_rel_range", sigma)?,
            (None, Some(sigma)) => not_negative("sigma_rel_lsb", sigma)? / f64::from(STEPS),
            _ => {
                return Err(HardwareError::conflict(
                    "`sigma_rel_range` and `sigma_rel_lsb` state the same thing",
                    "give exactly one of them: a fraction of the full range, or of one of the three steps",
                ));
            }
        };
        let (outer, inner) = Deviation {
            sigma_rel_wmax: sigma,
            ratio: self.cell.ratio(),
        }
        .level_sigmas();
        let span = f64::from(range.span());
        Ok(FourLevel {
            range,
            g_min: f64::from(range.g_min),
            per_span: 1.0 / span,
            outer: outer * span,
            inner: inner * span,
        })
    }
}

impl Programming for FourLevel {
    #[inline(always)]
    fn spread(&self, target: f64) -> Spread {
        let digit = (target - self.g_min) * self.per_span;
        Spread {
            mean: target,
            sigma: if digit > 0.25 && digit < 0.75 {
                self.inner
            } else {
                self.outer
            },
        }
    }
}

impl Law for FourLevel {
    type Ageing = NoAgeing;
    type Read = NoReadNoise;

    fn range(&self) -> ConductanceRange {
        self.range
    }

    fn levels(&self) -> Option<Vec<f32>> {
        let ConductanceRange { g_min, g_max } = self.range;
        let level = |step: u8| g_min + self.range.span() * f32::from(step) / f32::from(STEPS);
        // The last one is `g_max` itself, without rounding.
        Some((0..STEPS).map(level).chain([g_max]).collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn cell(cell: FourLevelCell) -> FourLevelConfig {
        FourLevelConfig {
            cell,
            sigma_rel_range: Some(0.01),
            sigma_rel_lsb: None,
            g_min: Siemens::new(10e-6),
            g_max: Siemens::new(110e-6),
        }
    }

    #[test]
    fn levels_scatter_as_in_the_papers_table() {
        for (kind, outer, inner) in [
            (FourLevelCell::Rram1, 1.00, 1.00),
            (FourLevelCell::Fefet2, 0.67, 1.35),
            (FourLevelCell::Fefet3, 0.49, 1.46),
            (FourLevelCell::Rram4, 0.38, 1.51),
            (FourLevelCell::Fefet6, 0.26, 1.55),
        ] {
            let law = cell(kind).check().unwrap();
            let levels = law.levels().unwrap();
            assert_eq!(levels.len(), 4);
            assert_eq!((levels[0], levels[3]), (10.0, 110.0));
            for (level, expected) in levels.into_iter().zip([outer, inner, inner, outer]) {
                // A range of 100 uS, and two decimals in the table.
                let found = law.spread(f64::from(level)).sigma;
                assert!(
                    (found - expected).abs() < 5.1e-3,
                    "{kind:?} {level}: {found}"
                );
            }
        }
    }

    #[test]
    fn both_conventions_name_the_same_cell() {
        let by_range = cell(FourLevelCell::Rram4);
        let by_step = FourLevelConfig {
            sigma_rel_range: None,
            sigma_rel_lsb: Some(0.03),
            ..by_range
        };
        for target in [10.0, 40.0, 80.0] {
            let sigmas = [by_range, by_step].map(|c| c.check().unwrap().spread(target).sigma);
            assert!((sigmas[0] - sigmas[1]).abs() < 1e-15);
        }
        let both = FourLevelConfig {
            sigma_rel_lsb: Some(0.03),
            ..by_range
        };
        assert_eq!(
            both.check().unwrap_err().to_string(),
            "`sigma_rel_range` and `sigma_rel_lsb` state the same thing: give exactly one of them: a fraction of the full \
             range, or of one of the three steps"
        );
    }
}
