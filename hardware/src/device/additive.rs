//! Cells whose error does not depend on their conductance.

use serde::{Deserialize, Serialize};

use super::ConductanceRange;
use super::ageing::NoAgeing;
use super::generic_error::GenericError;
use super::law::Law;
use super::programming::{Programming, Shape, Spread};
use super::read_noise::ReadNoise;
use super::refusal::not_negative;
use crate::HardwareError;
use crate::units::Siemens;

/// A cell with the same error at every conductance.
///
/// ```text
/// g = max(0, g_T + g_max e)          e normal with `sigma_rel_gmax`, or uniform with `full_width_rel_gmax`
/// ```
///
/// # Source
/// The generic devices of Sandia's CrossSim, where one word names a standard deviation and a full width; here two keys do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdditiveConfig {
    /// Lowest conductance.
    pub g_min: Siemens,
    /// Highest conductance.
    pub g_max: Siemens,
    /// Standard deviation of a normal error, relative to `g_max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sigma_rel_gmax: Option<f64>,
    /// Full width of a uniform error, relative to `g_max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_width_rel_gmax: Option<f64>,
    /// Standard deviation of one read, relative to `g_max`; 0 is none.
    #[serde(default)]
    pub read_sigma_rel_gmax: f64,
}

/// The checked form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Additive {
    range: ConductanceRange,
    g_max: f64,
    error: GenericError,
    read: f64,
}

impl AdditiveConfig {
    pub(super) fn check(&self) -> Result<Additive, HardwareError> {
        let range = ConductanceRange::new(self.g_min, self.g_max)?;
        let error = GenericError::new(
            ("sigma_rel_gmax", self.sigma_rel_gmax),
            ("full_width_rel_gmax", self.full_width_rel_gmax),
        )?;
        Ok(Additive {
            range,
            g_max: f64::from(range.g_max),
            error,
            read: not_negative("read_sigma_rel_gmax", self.read_sigma_rel_gmax)?,
        })
    }
}

impl Additive {
    /// What a relative standard deviation is at a conductance, uS.
    #[inline(always)]
    fn scaled(&self, sigma: f64, _conductance: f64) -> f64 {
        sigma * self.g_max
    }
}

impl Programming for Additive {
    #[inline(always)]
    fn spread(&self, target: f64) -> Spread {
        Spread {
            mean: target,
            sigma: self.scaled(self.error.sigma, target),
        }
    }

    fn shape(&self) -> Shape {
        self.error.shape
    }
}

impl ReadNoise for Additive {
    #[inline(always)]
    fn sigma(&self, conductance: f64) -> f64 {
        self.scaled(self.read, conductance)
    }
}

impl Law for Additive {
    type Ageing = NoAgeing;
    type Read = Self;

    fn range(&self) -> ConductanceRange {
        self.range
    }

    fn ageing(&self, _after: f64) -> Result<Option<NoAgeing>, HardwareError> {
        Ok(None)
    }

    fn read(&self, _after: f64) -> Option<Self> {
        (self.read > 0.0).then_some(*self)
    }
}
