//! From a sum to the code of an activation.

use serde::{Deserialize, Serialize};

use crate::HardwareError;

/// An integer factor and a shift: what takes the sum of an output channel to the scale of its activations.
///
/// ```text
/// rescale(sum) = (sum multiplier + round) >> shift        round = 2^(shift - 1), 0 where shift = 0
/// ```
///
/// The shift is arithmetic, so halves are rounded up. A sum of 24 bits times a multiplier of 16 fits 40 bits.
///
/// ```
/// use crossburn_hardware::accelerator::Rescale;
///
/// let rescale = Rescale::nearest(0.1)?;
/// assert_eq!((rescale.multiplier, rescale.shift), (52429, 19));
/// assert_eq!(rescale.apply(1000), 100);
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rescale {
    /// The factor, not negative.
    pub multiplier: u16,
    /// Bits that the product is shifted to the right, at most [`Self::LARGEST_SHIFT`].
    pub shift: u8,
}

impl Rescale {
    /// The largest shift.
    pub const LARGEST_SHIFT: u8 = 47;

    /// The pair nearest to the real `factor`, with all 16 bits of the multiplier in use where the shift allows it.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for a factor that is not finite, is negative, or lies above 65535. A factor below the
    /// smallest pair becomes the nearest pair, which may be 0.
    pub fn nearest(factor: f64) -> Result<Self, HardwareError> {
        if !(0.0..=f64::from(u16::MAX)).contains(&factor) {
            return Err(HardwareError::limit(
                "the factor of a rescale",
                factor,
                "0..=65535",
                "choose the scale of the activations nearer to that of the sums",
            ));
        }
        let at = |shift: u8| (factor * f64::from(shift).exp2()).round_ties_even();
        // From the finest shift on: the first whose multiplier fits. Shift 0 always fits.
        let shift = (0..=Self::LARGEST_SHIFT)
            .rev()
            .find(|shift| at(*shift) <= f64::from(u16::MAX))
            .unwrap_or(0);
        Ok(Self {
            multiplier: at(shift) as u16,
            shift,
        })
    }

    /// The real factor that the pair stands for.
    pub fn factor(self) -> f64 {
        f64::from(self.multiplier) / f64::from(self.shift).exp2()
    }

    /// The rescaled sum.
    pub fn apply(self, sum: i32) -> i64 {
        (i64::from(sum) * i64::from(self.multiplier) + self.round()) >> self.shift
    }

    /// The number that is added before the shift.
    pub(super) fn round(self) -> i64 {
        (1 << self.shift) >> 1
    }

    pub(super) fn check(self) -> Result<(), HardwareError> {
        if self.shift <= Self::LARGEST_SHIFT {
            return Ok(());
        }
        Err(HardwareError::limit(
            "rescale.shift",
            self.shift,
            format!("0..={}", Self::LARGEST_SHIFT),
            "take the pair that `Rescale::nearest` gives",
        ))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn halves_are_rounded_up_on_either_side_of_zero() {
        let quarter = Rescale {
            multiplier: 1,
            shift: 2,
        };
        let rescaled = [-7, -6, -5, -2, -1, 0, 1, 2, 5, 6].map(|sum| quarter.apply(sum));
        assert_eq!(rescaled, [-2, -1, -1, 0, 0, 0, 0, 1, 1, 2]);
        let whole = Rescale {
            multiplier: 3,
            shift: 0,
        };
        assert_eq!(whole.apply(-5), -15);
        // The largest product that there is: nothing overflows.
        let widest = Rescale {
            multiplier: u16::MAX,
            shift: 0,
        };
        assert_eq!(widest.apply(-(1 << 23)), -(65_535i64 << 23));
    }

    #[test]
    fn factors_that_no_pair_has_are_refused() {
        for factor in [f64::NAN, f64::INFINITY, -1e-9, 65_535.5] {
            assert!(Rescale::nearest(factor).is_err(), "{factor}");
        }
        let pair = |factor| Rescale::nearest(factor).unwrap();
        assert_eq!(
            pair(65_535.0),
            Rescale {
                multiplier: 65_535,
                shift: 0
            }
        );
        assert_eq!(pair(0.0).multiplier, 0);
        assert_eq!(pair(0.5).factor(), 0.5);
        let message = Rescale {
            multiplier: 1,
            shift: 48,
        }
        .check()
        .unwrap_err()
        .to_string();
        assert!(
            message.starts_with("rescale.shift = 48 is outside 0..=47"),
            "{message}"
        );
    }

    proptest! {
        #[test]
        fn the_nearest_pair_is_within_half_a_unit_of_sixteen_bits(exponent in -30f64..15.9) {
            let factor = exponent.exp2();
            let pair = Rescale::nearest(factor).unwrap();
            // A multiplier of 2^15 or more, so half a unit is 2^-16 of it.
            prop_assert!((pair.factor() / factor - 1.0).abs() <= 2f64.powi(-16));
        }
    }
}
