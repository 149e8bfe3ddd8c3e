//! How chips are used once they are programmed.

use serde::{Deserialize, Serialize};

use crate::device::DriftCompensation;
use crate::units::Second;

/// The meaning of full scale of the input converters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputRange {
    /// The largest magnitude that a layer's inputs have on calibration data.
    #[default]
    Calibrated,
    /// `array.input.x_max`, the same for all layers.
    Fixed,
}

/// How chips are used: the section `[operation]`, everything optional.
///
/// ```toml
/// after = "1 d"
/// drift_compensation = "global"
/// read_noise = true
/// input_range = "calibrated"
/// rescale = 0.5
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Operation {
    /// Time since programming.
    pub after: Second,
    /// Digital scaling against drift; [`DriftCompensation`] says what its readouts see.
    pub drift_compensation: DriftCompensation,
    /// Whether reads are noisy; by default, they are if the device has read noise. The fast part of the noise is drawn at
    /// each read, at array fidelity. The slow part is held by a chip at its time, at both fidelities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_noise: Option<bool>,
    /// The meaning of full scale of an input.
    pub input_range: InputRange,
    /// The exponent `a` of a rescaling of input channels, from 0 to 1; by default there is none. Cells hold weights times
    /// `s_j = max|x_j|^a / max|w_j|^(1 - a)` of their channel j, and inputs are divided by `s_j` before their converters.
    /// The largest inputs are those of calibration data (NORA, Hou et al., DATE 2025).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rescale: Option<f64>,
}
