//! A uniform grid: levels and the numbers they stand for.

use super::WeightBits;

/// A uniform grid.
///
/// ```text
/// level(x) = clamp(round(x / step), low, high)        value(level) = level * step
/// ```
///
/// Every grid has a level for zero but that of signs, whose levels are -1 and 1: zero is rounded up to 1 there.
///
/// Rounding is to the nearest level, halves to the even one. Symmetric grids have `low = -high`. An asymmetric grid is
/// the usual `(q - zero_point) * step` with `q = 0..2^bits`: its levels are `q - zero_point`, so that level 0 is zero in
/// both and sums of products need no correction.
///
/// ```
/// use crossburn_hardware::quantize::{Grid, WeightBits};
///
/// let grid = Grid::asymmetric(WeightBits::new(4)?, -0.5, 1.0);
/// assert_eq!((grid.low, grid.high), (-5, 10));
/// assert_eq!(grid.value(grid.level(0.04)), 0.0);
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid {
    /// The distance of two levels; above zero.
    pub step: f32,
    /// The lowest level.
    pub low: i32,
    /// The highest level.
    pub high: i32,
    /// Whether -1 and 1 are the only levels.
    pub signs: bool,
}

impl Grid {
    /// `2^bits - 1` levels from `-largest` to `largest`, and of one bit these two alone. Where `largest` is zero, the step is the smallest
    /// normal number, so that values are zero or next to it.
    pub fn symmetric(bits: WeightBits, largest: f32) -> Self {
        let max_level = bits.max_level();
        Self {
            // The smallest normal number keeps zeros away from 0 / 0.
            step: largest.abs().max(f32::MIN_POSITIVE * max_level) / max_level,
            low: -(max_level as i32),
            high: max_level as i32,
            signs: bits.is_sign(),
        }
    }

    /// `2^bits` levels over `low..=high`, widened to hold zero and moved by less than a step so that zero is a level.
    pub fn asymmetric(bits: WeightBits, low: f32, high: f32) -> Self {
        let (low, high) = (low.min(0.0), high.max(0.0));
        let steps = (1i32 << bits.get()) - 1;
        let width = high - low;
        let step = match width.is_finite() {
            true => width.max(f32::MIN_POSITIVE * steps as f32) / steps as f32,
            // Ends that are further apart than the largest number.
            false => high / steps as f32 - low / steps as f32,
        };
        let zero_point = (-low / step).round_ties_even() as i32;
        Self {
            step,
            low: -zero_point,
            high: steps - zero_point,
            signs: false,
        }
    }

    /// The level of `x`. A NaN has level 0: refuse it before.
    pub fn level(&self, x: f32) -> i32 {
        if self.signs {
            return if x < 0.0 { -1 } else { 1 };
        }
        ((x / self.step).round_ties_even() as i32).clamp(self.low, self.high)
    }

    /// The number that `level` stands for.
    pub fn value(&self, level: i32) -> f32 {
        level as f32 * self.step
    }

    /// `x` on the grid; a NaN stays one.
    pub fn quantize(&self, x: f32) -> f32 {
        if self.signs && !x.is_nan() {
            return self.value(self.level(x));
        }
        let level = (x / self.step).round_ties_even();
        level.clamp(self.low as f32, self.high as f32) * self.step
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn values_inside_the_range_move_by_half_a_step_at_most(
            bits in 2u8..=12, low in -5.0f32..5.0, width in 0.01f32..5.0, at in 0.0f32..=1.0,
        ) {
            let bits = WeightBits::new(bits).unwrap();
            let (high, x) = (low + width, low + at * width);
            for grid in [Grid::asymmetric(bits, low, high), Grid::symmetric(bits, low.abs().max(high.abs()))] {
                prop_assert_eq!(grid.quantize(x), grid.value(grid.level(x)));
                prop_assert_eq!(grid.quantize(0.0), 0.0);
                prop_assert_eq!(grid.level(grid.quantize(x)), grid.level(x));
                // Moving zero onto a level moves the ends by up to half a step, so an end may be one step away.
                prop_assert!((grid.quantize(x) - x).abs() <= 1.01 * grid.step);
                let inside = grid.value(grid.low) <= x && x <= grid.value(grid.high);
                // Half a step, and the rounding of a quotient of up to 2^12 levels.
                prop_assert!(!inside || (grid.quantize(x) - x).abs() <= 0.5 * grid.step + 1e-6 * x.abs());
            }
        }
    }

    #[test]
    fn one_bit_is_the_sign() {
        let grid = Grid::symmetric(WeightBits::new(1).unwrap(), 0.25);
        let found = [-3.0, -0.1, -0.0, 0.0, 0.1].map(|x| grid.quantize(x));
        assert_eq!(found, [-0.25, -0.25, 0.25, 0.25, 0.25]);
        assert_eq!((grid.level(-0.1), grid.level(0.0)), (-1, 1));
        assert!(grid.quantize(f32::NAN).is_nan());
    }

    #[test]
    fn widths_give_their_levels_and_zeros_stay_zero() {
        let bits = WeightBits::new(4).unwrap();
        let symmetric = Grid::symmetric(bits, 1.4);
        assert_eq!(
            (symmetric.low, symmetric.high, symmetric.quantize(9.0)),
            (-7, 7, 1.4)
        );
        let asymmetric = Grid::asymmetric(bits, 0.0, 3.0);
        assert_eq!(
            (asymmetric.low, asymmetric.high, asymmetric.step),
            (0, 15, 0.2)
        );
        for grid in [Grid::symmetric(bits, 0.0), Grid::asymmetric(bits, 0.0, 0.0)] {
            assert_eq!(grid.quantize(0.0), 0.0);
        }
        assert!(symmetric.quantize(f32::NAN).is_nan());
        // Ends that are further apart than the largest number have a step all the same.
        let widest = Grid::asymmetric(bits, -f32::MAX, f32::MAX);
        assert_eq!(widest.quantize(0.0), 0.0);
        assert!(widest.quantize(1e38).is_finite() && widest.quantize(-1e38) < 0.0);
    }
}
