//! Comparators whose zero is wrong.

use serde::{Deserialize, Serialize};

use super::adc::check_sigma;
use crate::HardwareError;

/// Which lines have the same offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OffsetSharing {
    /// Every line has a comparator of its own, as with a ramp that all lines share.
    PerColumn,
    /// Lines that share a converter share its comparator.
    #[default]
    PerConverter,
}

/// Every comparator decides `sigma_lsb ξ` steps too early or late: codes shift by that much before they are rounded.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComparatorOffset {
    /// Standard deviation in steps of the converter.
    #[serde(deserialize_with = "crate::single::of_field")]
    pub sigma_lsb: f32,
    /// Which lines share an offset.
    #[serde(default)]
    pub sharing: OffsetSharing,
}

impl ComparatorOffset {
    pub(super) fn check(&self) -> Result<(), HardwareError> {
        check_sigma("comparator_offset sigma_lsb", self.sigma_lsb)
    }

    /// The offset of the standard normal `draw`, in steps.
    pub(super) fn steps(&self, draw: f32) -> f32 {
        self.sigma_lsb * draw
    }
}
