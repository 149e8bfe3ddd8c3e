//! Cells that are what they were written to be.

use serde::{Deserialize, Serialize};

use super::ConductanceRange;
use super::ageing::NoAgeing;
use super::law::Law;
use super::moments::Bounds;
use super::programming::{Programming, Spread};
use super::read_noise::NoReadNoise;
use crate::HardwareError;
use crate::units::Siemens;

/// An ideal cell: a range and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IdealConfig {
    /// Lowest conductance.
    pub g_min: Siemens,
    /// Highest conductance.
    pub g_max: Siemens,
}

impl Default for IdealConfig {
    fn default() -> Self {
        Self {
            g_min: Siemens::new(1e-6),
            g_max: Siemens::new(100e-6),
        }
    }
}

/// The checked form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ideal {
    range: ConductanceRange,
}

impl IdealConfig {
    pub(super) fn check(&self) -> Result<Ideal, HardwareError> {
        Ok(Ideal {
            range: ConductanceRange::new(self.g_min, self.g_max)?,
        })
    }
}

impl Programming for Ideal {
    #[inline(always)]
    fn spread(&self, target: f64) -> Spread {
        Spread {
            mean: target,
            sigma: 0.0,
        }
    }

    fn bounds(&self) -> Bounds {
        Bounds::NONE
    }
}

impl Law for Ideal {
    type Ageing = NoAgeing;
    type Read = NoReadNoise;

    fn range(&self) -> ConductanceRange {
        self.range
    }
}
