//! Refused values, in one wording.

use std::fmt::Display;

use crate::HardwareError;

/// `field = value` outside `limit`.
pub(super) fn refuse(
    field: impl Display,
    value: impl Display,
    limit: impl Display,
    remedy: impl Display,
) -> HardwareError {
    HardwareError::Limit {
        field: field.to_string(),
        value: value.to_string(),
        limit: limit.to_string(),
        remedy: remedy.to_string(),
    }
}

/// A whole number within `least..=most`.
pub(super) fn require_count(
    field: impl Display,
    value: usize,
    least: usize,
    most: usize,
) -> Result<(), HardwareError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let limit = format!("{least}..={most}");
    Err(refuse(field, value, limit, "give a number in that range"))
}

/// A finite quantity above zero; `shown` is `value` with its unit.
pub(super) fn require_positive(
    field: impl Display,
    shown: impl Display,
    value: f64,
) -> Result<(), HardwareError> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(refuse(
        field,
        shown,
        "the finite values above zero",
        "give a positive value",
    ))
}

/// A finite quantity from zero on; `shown` is `value` with its unit.
pub(super) fn require_not_negative(
    field: impl Display,
    shown: impl Display,
    value: f64,
) -> Result<(), HardwareError> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(refuse(
        field,
        shown,
        "the finite values from zero on",
        "give zero or a positive value",
    ))
}
