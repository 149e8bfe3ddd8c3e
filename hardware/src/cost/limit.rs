//! Refused values, in one wording.

use std::fmt::Display;

use crate::HardwareError;

/// A whole number within `least..=most`.
pub(crate) fn require_count(
    field: impl Display,
    value: usize,
    least: usize,
    most: usize,
) -> Result<(), HardwareError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let limit = format!("{least}..={most}");
    Err(HardwareError::limit(
        field,
        value,
        limit,
        "give a number in that range",
    ))
}

/// A finite quantity above zero; `shown` is `value` with its unit.
pub(crate) fn require_positive(
    field: impl Display,
    shown: impl Display,
    value: f64,
) -> Result<(), HardwareError> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(HardwareError::limit(
        field,
        shown,
        "the finite values above zero",
        "give a positive value",
    ))
}

/// A finite quantity from zero on; `shown` is `value` with its unit.
pub(crate) fn require_not_negative(
    field: impl Display,
    shown: impl Display,
    value: f64,
) -> Result<(), HardwareError> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(HardwareError::limit(
        field,
        shown,
        "the finite values from zero on",
        "give zero or a positive value",
    ))
}
