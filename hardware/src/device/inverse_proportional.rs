//! Cells whose error is inversely proportional to their conductance.

use serde::{Deserialize, Serialize};

use super::ConductanceRange;
use super::generic_error::{GenericCell, GenericError, Scaling};
use crate::HardwareError;
use crate::units::Siemens;

/// A cell whose error grows as its conductance falls.
///
/// ```text
/// g = max(0, g_T + g_max² / g_T e)          e normal with `sigma_at_gmax_rel_gmax`, or uniform with `full_width_at_gmax_rel_gmax`
/// ```
///
/// A target of 0 has no error, as in the source.
///
/// # Source
/// The generic devices of Sandia's CrossSim, where one word names a standard deviation and a full width; here two keys do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InverseProportionalConfig {
    /// Lowest conductance.
    pub g_min: Siemens,
    /// Highest conductance.
    pub g_max: Siemens,
    /// Standard deviation of a normal error at `g_max`, relative to `g_max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sigma_at_gmax_rel_gmax: Option<f64>,
    /// Full width of a uniform error at `g_max`, relative to `g_max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_width_at_gmax_rel_gmax: Option<f64>,
    /// Standard deviation of one read at `g_max`, relative to `g_max`; 0 is none.
    #[serde(default)]
    pub read_sigma_at_gmax_rel_gmax: f64,
}

/// The checked form.
pub(super) type InverseProportional = GenericCell<Inverse>;

/// An error inversely proportional to the conductance; none at 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Inverse;

impl Scaling for Inverse {
    #[inline(always)]
    fn scaled(sigma: f64, conductance: f64, g_max: f64) -> f64 {
        if conductance > 0.0 {
            sigma * g_max * g_max / conductance
        } else {
            0.0
        }
    }
}

impl InverseProportionalConfig {
    pub(super) fn check(&self) -> Result<InverseProportional, HardwareError> {
        let range = ConductanceRange::new(self.g_min, self.g_max)?;
        let error = GenericError::new(
            ("sigma_at_gmax_rel_gmax", self.sigma_at_gmax_rel_gmax),
            (
                "full_width_at_gmax_rel_gmax",
                self.full_width_at_gmax_rel_gmax,
            ),
        )?;
        GenericCell::new(
            range,
            error,
            (
                "read_sigma_at_gmax_rel_gmax",
                self.read_sigma_at_gmax_rel_gmax,
            ),
        )
    }
}
