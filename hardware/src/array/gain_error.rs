//! Converters whose slope is wrong.

use serde::{Deserialize, Serialize};

use super::adc::check_sigma;
use crate::HardwareError;

/// Every converter sees its currents times `1 + sigma ξ`, with one ξ per converter: the slope of a ramp, or the reference
/// and the amplifier of a converter by successive approximation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GainError {
    /// Standard deviation, relative.
    #[serde(deserialize_with = "crate::single::of_field")]
    pub sigma: f32,
}

impl GainError {
    pub(super) fn check(&self) -> Result<(), HardwareError> {
        check_sigma("gain_error sigma", self.sigma)
    }

    /// The factor of the standard normal `draw`.
    pub(super) fn factor(&self, draw: f32) -> f32 {
        1.0 + self.sigma * draw
    }
}
