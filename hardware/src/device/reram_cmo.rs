//! Analog resistive memory of conductive metal oxide on HfOx.

use std::f64::consts::LOG10_E;

use serde::{Deserialize, Serialize};

use super::ConductanceRange;
use super::elementary::ln;
use super::flicker::{Part, accumulated};
use super::law::Law;
use super::moments::Bounds;
use super::programming::{Programming, Spread};
use super::read_noise::ReadNoise;
use super::relaxation::{Added, Relaxation};
use crate::HardwareError;
use crate::units::{Second, Siemens};

/// A CMO/HfOx cell that was written until it lay within an acceptance range around its target.
///
/// ```text
/// programming   g_p  = [g_T + σ_p ξ] in the range     acceptance 2 %: σ_p = 0.01122 + 0.01129 g_T;  0.2 %: 0.00081 + 0.00107 g_T
/// relaxation    g(t) = [g_p - 0.0890 ln t + (0.0420 ln t + 0.4118) ξ] in the range           t in s
/// read noise    σ_r  = 0.02773 log10(g) sqrt(ln((t + 1 us) / 2 us))                          uS, g in uS
/// ```
///
/// # Validity
/// 9 to 88.2 uS; times from 1 s on, and at writing. At writing no read noise has accumulated yet.
///
/// # Source
/// Falcone et al. and Lombardo et al., IBM Research Zurich (DRC 2024), with the coefficients of IBM's analog hardware
/// acceleration kit. Its default acceptance is a key that its own table lacks, so that it uses 0.2 %; here another key
/// is refused.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReramCmoConfig {
    /// Lowest conductance.
    pub g_min: Siemens,
    /// Highest conductance.
    pub g_max: Siemens,
    /// Acceptance range around the target, in percent of it: 2 or 0.2.
    pub acceptance_percent: f64,
}

impl Default for ReramCmoConfig {
    fn default() -> Self {
        Self {
            g_min: Siemens::new(9e-6),
            g_max: Siemens::new(88.2e-6),
            acceptance_percent: 2.0,
        }
    }
}

/// The checked form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ReramCmo {
    range: ConductanceRange,
    bounds: Bounds,
    sigma: [f64; 2],
}

impl ReramCmoConfig {
    pub(super) fn check(&self) -> Result<ReramCmo, HardwareError> {
        let range = ConductanceRange::new(self.g_min, self.g_max)?
            .within((9.0, 88.2), "the CMO/HfOx cell")?;
        let sigma = if self.acceptance_percent == 2.0 {
            [0.01122, 0.01129]
        } else if self.acceptance_percent == 0.2 {
            [0.00081, 0.00107]
        } else {
            return Err(HardwareError::limit(
                "acceptance_percent",
                self.acceptance_percent,
                "the measured settings 2 and 0.2",
                "choose one of them",
            ));
        };
        Ok(ReramCmo {
            range,
            bounds: Bounds {
                low: f64::from(range.g_min),
                high: f64::from(range.g_max),
            },
            sigma,
        })
    }
}

impl Programming for ReramCmo {
    #[inline(always)]
    fn spread(&self, target: f64) -> Spread {
        Spread {
            mean: target,
            sigma: self.sigma[0] + self.sigma[1] * target,
        }
    }

    fn bounds(&self) -> Bounds {
        self.bounds
    }
}

/// The change that a time adds, the same for every target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decay {
    bounds: Bounds,
    spread: Spread,
}

impl Added for Decay {
    #[inline(always)]
    fn added(&self, _target: f64) -> Spread {
        self.spread
    }

    fn bounds(&self) -> Bounds {
        self.bounds
    }
}

/// `0.02773 log10(g)` times what has accumulated.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogLevel {
    accumulated: f64,
}

impl ReadNoise for LogLevel {
    #[inline(always)]
    fn sigma(&self, conductance: f64) -> f64 {
        0.02773 * LOG10_E * ln(conductance.max(1.0)) * self.accumulated
    }
}

impl Law for ReramCmo {
    type Ageing = Relaxation<Decay>;
    type Read = LogLevel;

    fn range(&self) -> ConductanceRange {
        self.range
    }

    fn ageing(&self, after: f64) -> Result<Option<Relaxation<Decay>>, HardwareError> {
        if after < 1.0 {
            return Err(HardwareError::limit(
                "after",
                Second::new(after),
                "the times that the CMO/HfOx law holds for, 0 s and 1 s on",
                "choose 0 s, or 1 s and more",
            ));
        }
        let log = libm::log(after);
        Ok(Some(Relaxation(Decay {
            bounds: self.bounds,
            spread: Spread {
                mean: -0.0890 * log,
                sigma: 0.0420 * log + 0.4118,
            },
        })))
    }

    fn read(&self, after: f64) -> Option<LogLevel> {
        Some(LogLevel {
            accumulated: accumulated(after, 1e-6, Part::Fast),
        })
    }

    fn held(&self, after: f64) -> Option<LogLevel> {
        Some(LogLevel {
            accumulated: accumulated(after, 1e-6, Part::Slow),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn both_acceptance_settings_have_their_fit() {
        for (acceptance_percent, expected) in [
            (2.0, 0.01122 + 0.01129 * 50.0),
            (0.2, 0.00081 + 0.00107 * 50.0),
        ] {
            let config = ReramCmoConfig {
                acceptance_percent,
                ..ReramCmoConfig::default()
            };
            assert_eq!(config.check().unwrap().spread(50.0).sigma, expected);
        }
    }

    #[test]
    fn other_settings_and_times_are_refused() {
        let config = ReramCmoConfig {
            acceptance_percent: 0.02,
            ..ReramCmoConfig::default()
        };
        assert_eq!(
            config.check().unwrap_err().to_string(),
            "acceptance_percent = 0.02 is outside the measured settings 2 and 0.2: choose one of them"
        );
        let law = ReramCmoConfig::default().check().unwrap();
        assert_eq!(
            law.ageing(0.5).unwrap_err().to_string(),
            "after = 500 ms is outside the times that the CMO/HfOx law holds for, 0 s and 1 s on: choose 0 s, or 1 s and more"
        );
    }

    #[test]
    fn reads_scatter_with_the_logarithm_of_conductance_and_time() {
        let law = ReramCmoConfig::default().check().unwrap();
        // At 10 uS log10 is 1; ln((1 s + 1 us) / 2 us) = ln 500000.5 = 13.1224.
        let sigma = law.read(1.0).unwrap().sigma(10.0);
        assert!(
            (sigma - 0.02773 * 13.122_364f64.sqrt()).abs() < 1e-7,
            "{sigma}"
        );
        assert_eq!(law.read(0.0).unwrap().sigma(10.0), 0.0);
    }
}
