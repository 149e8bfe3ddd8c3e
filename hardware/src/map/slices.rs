//! Cutting an integer into digits that a cell can hold.

use super::mapped_matrix::Slice;
use super::mapping::Mapping;
use crate::HardwareError;

/// Digits of `width` bits, the lowest first:
///
/// ```text
/// d_s = (n >> width s) & (2^width - 1)        n = Σ_s 2^(width s) d_s        cell = d_s / (2^width - 1) of the range
/// ```
///
/// Without slices one digit holds the integer. The highest digit may use fewer bits than its cell has.
///
/// # Source
/// Shafiee et al., "ISAAC", ISCA 2016, section IV (digits of shifted weights over several cells); Xiao et al.,
/// "On the accuracy of analog neural network inference accelerators", IEEE Circuits and Systems Magazine 2022 (digits of
/// magnitudes over pairs).
#[derive(Clone, Copy, Debug)]
pub(super) struct Digits {
    width: u32,
    count: usize,
}

impl Digits {
    /// The digits that `mapping` cuts integers of `bits` bits into.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] where slices have no width from 1 to 4, do not cover the integer, or need more levels
    /// than a cell has.
    pub(super) fn new(mapping: &Mapping, bits: u32) -> Result<Self, HardwareError> {
        let limit = |field: &str, value: String, limit: String, remedy: String| {
            Err(HardwareError::limit(field, value, limit, remedy))
        };
        let digits = match mapping.slice_bits {
            None => Self {
                width: bits,
                count: 1,
            },
            Some(width @ 1..=4) => Self {
                width: width.into(),
                count: bits.div_ceil(width.into()) as usize,
            },
            Some(width) => {
                let remedy = "use a width in that range, or leave it out for one cell".to_string();
                return limit("slice_bits", width.to_string(), "1..=4".to_string(), remedy);
            }
        };
        let digits = match mapping.slices {
            None => digits,
            Some(count) if usize::from(count) >= digits.count => Self {
                count: count.into(),
                ..digits
            },
            Some(count) => {
                let needed = digits.count;
                return limit(
                    "slices",
                    count.to_string(),
                    format!("{needed}.., the digits of {bits} bits in {}", digits.width),
                    format!("use {needed} slices, or fewer weight_bits"),
                );
            }
        };
        match mapping.cell_levels {
            Some(levels) if levels < 1 << digits.width => limit(
                "cell_levels",
                levels.to_string(),
                format!(
                    "{}.., the values of {} bits",
                    1 << digits.width,
                    digits.width
                ),
                format!(
                    "use slice_bits up to {}, or fewer weight_bits",
                    levels.max(2).ilog2().min(4)
                ),
            ),
            _ => Ok(digits),
        }
    }

    /// Largest digit.
    pub(super) fn largest(&self) -> u32 {
        (1 << self.width) - 1
    }

    /// The digits from the lowest.
    pub(super) fn range(&self) -> std::ops::Range<usize> {
        0..self.count
    }

    /// Digit `slice` of `integer` as a fraction of the largest digit.
    #[inline(always)]
    pub(super) fn fraction(&self, integer: i32, slice: usize) -> f32 {
        // Digits after the last bit of an integer are zero.
        let shift = (self.width * slice as u32).min(31);
        let digit = (integer as u32 >> shift) & self.largest();
        digit as i32 as f32 / self.largest() as i32 as f32
    }

    /// The factors of the slices, in units of the integer.
    pub(super) fn slices(&self) -> Vec<Slice> {
        self.range()
            .map(|slice| Slice {
                factor: (self.largest() as f32) * ((self.width * slice as u32) as f32).exp2(),
                steps: Some(self.largest()),
            })
            .collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::{Scheme, WeightBits};
    use proptest::prelude::*;

    fn mapping(bits: u8) -> Mapping {
        Mapping::new(Scheme::OneSidedPair, WeightBits::new(bits).unwrap())
    }

    proptest! {
        #[test]
        fn digits_add_up_to_the_integer(bits in 1u32..=16, width in 0u8..=4, seed: u32, more in 0u8..3) {
            let integer = (seed % (1 << bits)) as i32;
            let mut mapping = Mapping { slice_bits: Some(width).filter(|w| *w > 0), ..mapping(8) };
            if width > 0 {
                mapping.slices = Some(bits.div_ceil(width.into()) as u8 + more);
            }
            let digits = Digits::new(&mapping, bits).unwrap();
            let sum: f32 = digits.slices().iter().zip(digits.range())
                .map(|(slice, s)| slice.factor * digits.fraction(integer, s)).sum();
            // Exact but for the division and product of every digit.
            prop_assert!((sum - integer as f32).abs() <= 4.0 * f32::EPSILON * integer as f32);
        }
    }

    #[test]
    fn what_cells_cannot_hold_is_refused() {
        let refused = |mapping: Mapping| Digits::new(&mapping, 7).unwrap_err().to_string();
        assert_eq!(
            refused(Mapping {
                slice_bits: Some(5),
                ..mapping(8)
            }),
            "slice_bits = 5 is outside 1..=4: use a width in that range, or leave it out for one cell"
        );
        assert_eq!(
            refused(Mapping {
                slice_bits: Some(2),
                slices: Some(3),
                ..mapping(8)
            }),
            "slices = 3 is outside 4.., the digits of 7 bits in 2: use 4 slices, or fewer weight_bits"
        );
        assert_eq!(
            refused(Mapping {
                cell_levels: Some(16),
                ..mapping(8)
            }),
            "cell_levels = 16 is outside 128.., the values of 7 bits: use slice_bits up to 4, or fewer weight_bits"
        );
    }
}
