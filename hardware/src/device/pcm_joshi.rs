//! Phase-change memory after iterative programming, without drift.

use serde::{Deserialize, Serialize};

use super::ConductanceRange;
use super::ageing::NoAgeing;
use super::law::Law;
use super::programming::{Programming, Spread};
use super::read_noise::NoReadNoise;
use crate::HardwareError;
use crate::units::Siemens;

/// A phase-change cell whose programming error is known, and nothing else.
///
/// ```text
/// g = max(0, g_T + σ_p ξ)            σ_p = max(0, -0.00178767 g² + 0.07585724 g + 0.28638599) uS, g in uS
/// ```
///
/// # Validity
/// Targets up to 25 uS; an on/off ratio of 100.
///
/// # Source
/// Joshi et al., Nature Communications 2020, Fig. 3b, with the fit of Sandia's CrossSim.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PcmJoshiConfig {
    /// Lowest conductance.
    pub g_min: Siemens,
    /// Highest conductance.
    pub g_max: Siemens,
}

impl Default for PcmJoshiConfig {
    fn default() -> Self {
        Self {
            g_min: Siemens::new(0.25e-6),
            g_max: Siemens::new(25e-6),
        }
    }
}

/// The checked form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PcmJoshi {
    range: ConductanceRange,
}

impl PcmJoshiConfig {
    pub(super) fn check(&self) -> Result<PcmJoshi, HardwareError> {
        let range = ConductanceRange::new(self.g_min, self.g_max)?
            .within((0.0, 25.0), "Joshi et al. 2020")?;
        Ok(PcmJoshi { range })
    }
}

impl Programming for PcmJoshi {
    #[inline(always)]
    fn spread(&self, target: f64) -> Spread {
        let sigma = 0.286_385_99 + target * (0.075_857_24 - target * 0.001_787_67);
        Spread {
            mean: target,
            sigma: sigma.max(0.0),
        }
    }
}

impl Law for PcmJoshi {
    type Ageing = NoAgeing;
    type Read = NoReadNoise;

    fn range(&self) -> ConductanceRange {
        self.range
    }
}
