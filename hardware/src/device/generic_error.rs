//! An error of programming that is stated in one of two ways: as a standard deviation or as a full width.

use super::programming::Shape;
use super::refusal::{conflict, not_negative};
use crate::HardwareError;

/// Form and standard deviation of an error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct GenericError {
    pub(super) shape: Shape,
    pub(super) sigma: f64,
}

impl GenericError {
    /// The normal error of standard deviation `sigma` or the uniform one of full width `full_width`.
    ///
    /// A uniform error of full width w lies between -w/2 and w/2 and has the standard deviation w / √12.
    pub(super) fn new(
        sigma: (&str, Option<f64>),
        full_width: (&str, Option<f64>),
    ) -> Result<Self, HardwareError> {
        match (sigma, full_width) {
            ((name, Some(sigma)), (_, None)) => Ok(Self {
                shape: Shape::Normal,
                sigma: not_negative(name, sigma)?,
            }),
            ((_, None), (name, Some(width))) => Ok(Self {
                shape: Shape::Uniform,
                sigma: not_negative(name, width)? / 12f64.sqrt(),
            }),
            ((sigma, _), (width, _)) => Err(conflict(
                format!("`{sigma}` is a normal error and `{width}` a uniform one"),
                "give exactly one of them",
            )),
        }
    }
}
