//! Refusals of device settings, worded one way.

use crate::HardwareError;
use crate::units::Siemens;

/// Refuses a number that is not finite or negative.
pub(super) fn not_negative(field: &str, value: f64) -> Result<f64, HardwareError> {
    if value.is_finite() && value >= 0.0 {
        Ok(value)
    } else {
        Err(HardwareError::limit(
            field,
            value,
            "0 and above",
            "give a finite number from 0 on",
        ))
    }
}

/// Refuses a number that is not finite or not above zero, both stated in the unit of `text`.
pub(super) fn positive(
    field: &str,
    value: f64,
    text: impl std::fmt::Display,
) -> Result<f64, HardwareError> {
    if value.is_finite() && value > 0.0 {
        Ok(value)
    } else {
        Err(HardwareError::limit(
            field,
            text,
            "values above 0",
            "give a finite value above 0",
        ))
    }
}

/// Microsiemens as a text with its unit, in the digits that tell the 32-bit number from its neighbours.
pub(super) fn microsiemens(value: f32) -> String {
    let digits = value.to_string().parse().unwrap_or(f64::from(value));
    Siemens::new(digits * 1e-6).to_string()
}
