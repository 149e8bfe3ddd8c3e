//! Cells whose error does not depend on their conductance.

use serde::{Deserialize, Serialize};

use super::ConductanceRange;
use super::generic_error::{GenericCell, GenericError, Scaling};
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
pub(super) type Additive = GenericCell<Constant>;

/// The same error at every conductance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Constant;

impl Scaling for Constant {
    #[inline(always)]
    fn scaled(sigma: f64, _conductance: f64, g_max: f64) -> f64 {
        sigma * g_max
    }
}

impl AdditiveConfig {
    pub(super) fn check(&self) -> Result<Additive, HardwareError> {
        let range = ConductanceRange::new(self.g_min, self.g_max)?;
        let error = GenericError::new(
            ("sigma_rel_gmax", self.sigma_rel_gmax),
            ("full_width_rel_gmax", self.full_width_rel_gmax),
        )?;
        GenericCell::new(
            range,
            error,
            ("read_sigma_rel_gmax", self.read_sigma_rel_gmax),
        )
    }
}
