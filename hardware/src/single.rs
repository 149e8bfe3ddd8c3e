//! Numbers of descriptions that are kept in 32 bits.

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::HardwareError;

/// `number` in 32 bits. An infinite number stays one, for the check of its field.
///
/// # Errors
/// [`HardwareError::Limit`] with the number as it is written, where it is finite and 32 bits cannot hold it.
pub(crate) fn single(field: &str, number: f64) -> Result<f32, HardwareError> {
    match fits(number) {
        true => Ok(number as f32),
        false => Err(HardwareError::limit(
            field,
            format!("{number:e}"),
            "what 32 bits hold",
            "use a number below 3.4e38",
        )),
    }
}

/// The same for a field that serde names by its place in the text.
///
/// # Errors
/// The number as it is written, where it is finite and 32 bits cannot hold it.
pub(crate) fn of_field<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
    let number = f64::deserialize(deserializer)?;
    match fits(number) {
        true => Ok(number as f32),
        false => Err(D::Error::custom(format!(
            "{number:e} is more than 32 bits hold: use a number below 3.4e38"
        ))),
    }
}

fn fits(number: f64) -> bool {
    !number.is_finite() || (number as f32).is_finite()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_too_large_is_named_as_written() {
        assert_eq!(single("x", 3.4e38), Ok(3.4e38));
        assert_eq!(single("x", f64::INFINITY), Ok(f32::INFINITY));
        let message = single("x", -1e39).map_err(|error| error.to_string());
        let expected = "x = -1e39 is outside what 32 bits hold: use a number below 3.4e38";
        assert_eq!(message, Err(expected.to_string()));
    }
}
