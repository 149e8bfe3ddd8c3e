//! The conductances that a cell is programmed to.

use std::fmt;

use super::refusal::microsiemens;
use crate::HardwareError;
use crate::units::Siemens;

/// The smallest span, S: beyond any cell, and far enough from the smallest 32-bit number for sums and reciprocals of parts
/// of it.
const SMALLEST_SPAN: f64 = 1e-24;
/// The smallest span relative to `g_max`: 32 distances between neighbouring 32-bit numbers.
const SMALLEST_RELATIVE_SPAN: f64 = 32.0 * f32::EPSILON as f64;
/// The largest conductance, S: beyond any cell, and far enough from the largest 32-bit number for squares of ratios.
const LARGEST: f64 = 1e12;

/// Lowest and highest conductance that weights are mapped to, in microsiemens.
///
/// ```
/// use crossburn_hardware::device::ConductanceRange;
/// use crossburn_hardware::units::Siemens;
///
/// let range = ConductanceRange::new("1 uS".parse()?, "100 uS".parse()?)?;
/// assert_eq!((range.g_min, range.g_max, range.on_off_ratio()), (1.0, 100.0, 100.0));
/// assert!(ConductanceRange::new(Siemens::new(2e-6), Siemens::new(1e-6)).is_err());
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConductanceRange {
    /// Lowest conductance, uS, 0 or more.
    pub g_min: f32,
    /// Highest conductance, uS, above `g_min`.
    pub g_max: f32,
}

impl ConductanceRange {
    /// A checked range.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] unless 0 <= `g_min` < `g_max`, both finite, with a span that 32-bit conductances and their
    /// reciprocals resolve: at least 1e-24 S and 4e-6 of `g_max`, with `g_max` at most 1e12 S.
    pub fn new(g_min: Siemens, g_max: Siemens) -> Result<Self, HardwareError> {
        let [low, high] = [g_min, g_max].map(|g| (g.get() * 1e6) as f32);
        if !(low.is_finite() && low >= 0.0) {
            return Err(HardwareError::limit(
                "g_min",
                g_min,
                "0 S and above",
                "a conductance is not negative",
            ));
        }
        if g_max.get() > LARGEST {
            return Err(HardwareError::limit(
                "g_max",
                format!("{:e} S", g_max.get()),
                format!("the conductances up to {LARGEST:e} S"),
                "give the conductance of one cell",
            ));
        }
        if g_max.get() <= g_min.get() || g_max.get().is_nan() {
            return Err(HardwareError::limit(
                "g_max",
                g_max,
                format!("the values above g_min = {g_min}"),
                "choose g_max larger than g_min",
            ));
        }
        let smallest = SMALLEST_SPAN.max(SMALLEST_RELATIVE_SPAN * g_max.get());
        let span = g_max.get() - g_min.get();
        if span < smallest {
            return Err(HardwareError::limit(
                "g_max - g_min",
                format!("{span:.3e} S"),
                format!("the spans from {smallest:.3e} S on, which 32-bit conductances resolve"),
                "choose g_min and g_max farther apart",
            ));
        }
        Ok(Self {
            g_min: low,
            g_max: high,
        })
    }

    /// `g_max / g_min`; infinite where `g_min` is 0.
    pub fn on_off_ratio(&self) -> f32 {
        self.g_max / self.g_min
    }

    /// `g_max - g_min`, uS.
    pub fn span(&self) -> f32 {
        self.g_max - self.g_min
    }

    /// Whether a target lies in the range, both ends included.
    pub fn contains(&self, conductance: f32) -> bool {
        (self.g_min..=self.g_max).contains(&conductance)
    }

    /// The same range, if it lies in the one that a model was fitted on.
    ///
    /// # Errors
    /// [`HardwareError::Limit`].
    pub(super) fn within(self, fitted: (f32, f32), source: &str) -> Result<Self, HardwareError> {
        let (low, high) = fitted;
        let refuse = |field, value| {
            Err(HardwareError::limit(
                field,
                microsiemens(value),
                format!(
                    "the fitted range {}..{} of {source}",
                    microsiemens(low),
                    microsiemens(high)
                ),
                "choose conductances inside it, or describe the device by a table",
            ))
        };
        if self.g_min < low {
            refuse("g_min", self.g_min)
        } else if self.g_max > high {
            refuse("g_max", self.g_max)
        } else {
            Ok(self)
        }
    }
}

impl fmt::Display for ConductanceRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { g_min, g_max } = *self;
        write!(f, "{}..{}", microsiemens(g_min), microsiemens(g_max))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(
        "-1 uS",
        "25 uS",
        "g_min = -1 uS is outside 0 S and above: a conductance is not negative"
    )]
    #[case(
        "24.99999 uS",
        "25 uS",
        "g_max - g_min = 1.000e-11 S is outside the spans from 9.537e-11 S on, which 32-bit conductances resolve: choose g_min and \
         g_max farther apart"
    )]
    #[case(
        "0 S",
        "1e-43 S",
        "g_max - g_min = 1.000e-43 S is outside the spans from 1.000e-24 S on, which 32-bit conductances resolve: choose g_min and \
         g_max farther apart"
    )]
    #[case(
        "0 S",
        "1e33 S",
        "g_max = 1e33 S is outside the conductances up to 1e12 S: give the conductance of one cell"
    )]
    #[case(
        "25 uS",
        "25 uS",
        "g_max = 25 uS is outside the values above g_min = 25 uS: choose g_max larger than g_min"
    )]
    fn ranges_that_are_none_are_refused(#[case] low: &str, #[case] high: &str, #[case] text: &str) {
        let refused = ConductanceRange::new(low.parse().unwrap(), high.parse().unwrap());
        assert_eq!(refused.unwrap_err().to_string(), text);
    }

    #[test]
    fn the_ratio_of_a_range_from_zero_is_infinite() {
        let range = ConductanceRange::new(Siemens::new(0.0), Siemens::new(25e-6)).unwrap();
        assert_eq!(range.on_off_ratio(), f32::INFINITY);
        assert_eq!(range.span(), 25.0);
        assert!(range.contains(0.0) && range.contains(25.0) && !range.contains(25.1));
    }
}
