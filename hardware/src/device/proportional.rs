//! Cells whose error is proportional to their conductance.

use serde::{Deserialize, Serialize};

use super::ConductanceRange;
use super::generic_error::{GenericCell, GenericError, Scaling};
use crate::HardwareError;
use crate::units::Siemens;

/// A cell with the same relative error at every conductance.
///
/// ```text
/// g = max(0, g_T (1 + e))          e normal with `sigma_rel_g`, or uniform with `full_width_rel_g`
/// ```
///
/// # Source
/// The generic devices of Sandia's CrossSim, where one word names a standard deviation and a full width; here two keys do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProportionalConfig {
    /// Lowest conductance.
    pub g_min: Siemens,
    /// Highest conductance.
    pub g_max: Siemens,
    /// Standard deviation of a normal error, relative to the conductance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sigma_rel_g: Option<f64>,
    /// Full width of a uniform error, relative to the conductance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_width_rel_g: Option<f64>,
    /// Standard deviation of one read, relative to the conductance; 0 is none.
    #[serde(default)]
    pub read_sigma_rel_g: f64,
}

/// The checked form.
pub(super) type Proportional = GenericCell<Linear>;

/// An error proportional to the conductance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Linear;

impl Scaling for Linear {
    #[inline(always)]
    fn scaled(sigma: f64, conductance: f64, _g_max: f64) -> f64 {
        sigma * conductance
    }
}

impl ProportionalConfig {
    pub(super) fn check(&self) -> Result<Proportional, HardwareError> {
        let range = ConductanceRange::new(self.g_min, self.g_max)?;
        let error = GenericError::new(
            ("sigma_rel_g", self.sigma_rel_g),
            ("full_width_rel_g", self.full_width_rel_g),
        )?;
        GenericCell::new(range, error, ("read_sigma_rel_g", self.read_sigma_rel_g))
    }
}
