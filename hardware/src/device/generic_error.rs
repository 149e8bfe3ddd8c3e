//! The common part of the generic families: an error that is given as a standard deviation or as a full width, and a cell
//! that scales it with its conductance.

use super::ConductanceRange;
use super::ageing::NoAgeing;
use super::law::Law;
use super::programming::{Programming, Shape, Spread};
use super::read_noise::ReadNoise;
use super::refusal::not_negative;
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
            ((sigma, _), (width, _)) => Err(HardwareError::conflict(
                format!("`{sigma}` is a normal error and `{width}` a uniform one"),
                "give exactly one of them",
            )),
        }
    }
}

/// How an error depends on the conductance: one file each.
pub(super) trait Scaling: Copy + std::fmt::Debug + Send + Sync + 'static {
    /// The standard deviation in uS that a relative one is at a conductance, both in uS.
    fn scaled(sigma: f64, conductance: f64, g_max: f64) -> f64;
}

/// A cell whose errors of programming and reading scale in the same way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct GenericCell<S> {
    range: ConductanceRange,
    error: GenericError,
    read: f64,
    scaling: std::marker::PhantomData<S>,
}

impl<S: Scaling> GenericCell<S> {
    /// `read` is the name and the relative standard deviation of a read; 0 is none.
    pub(super) fn new(
        range: ConductanceRange,
        error: GenericError,
        read: (&str, f64),
    ) -> Result<Self, HardwareError> {
        Ok(Self {
            range,
            error,
            read: not_negative(read.0, read.1)?,
            scaling: std::marker::PhantomData,
        })
    }

    #[inline(always)]
    fn scaled(&self, sigma: f64, conductance: f64) -> f64 {
        S::scaled(sigma, conductance, f64::from(self.range.g_max))
    }
}

impl<S: Scaling> Programming for GenericCell<S> {
    #[inline(always)]
    fn spread(&self, target: f64) -> Spread {
        Spread {
            mean: target,
            sigma: self.scaled(self.error.sigma, target),
        }
    }

    fn shape(&self) -> Shape {
        self.error.shape
    }
}

impl<S: Scaling> ReadNoise for GenericCell<S> {
    #[inline(always)]
    fn sigma(&self, conductance: f64) -> f64 {
        self.scaled(self.read, conductance)
    }
}

impl<S: Scaling> Law for GenericCell<S> {
    type Ageing = NoAgeing;
    type Read = Self;

    fn range(&self) -> ConductanceRange {
        self.range
    }

    fn read(&self, _after: f64) -> Option<Self> {
        (self.read > 0.0).then_some(*self)
    }
}
