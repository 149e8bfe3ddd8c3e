//! Logarithm and exponential as plain arithmetic, so that a loop over cells runs on vectors of the processor and gives
//! the same bits on every one.
//!
//! Additions, multiplications, one division and shifts of bits in a written order; nothing is fused and nothing is looked
//! up. Errors stay below 1e-14 of the result, which is far below what any device model is known to.

use std::f64::consts::{LN_2, LOG2_E};

/// Bits of 1/√2 and of 1.
const SQRT_HALF: u64 = 0x3FE6_A09E_667F_3BCD;
const ONE: u64 = 0x3FF0_0000_0000_0000;
/// 2^52: an integer below it, or-ed into its bits, becomes a float with one subtraction.
const INTEGERS: u64 = 0x4330_0000_0000_0000;

/// Natural logarithm of a normal number above 0; anything else gives no meaningful result.
///
/// ```text
/// x = 2^e m, 1/√2 <= m < √2,  s = (m - 1) / (m + 1)          ln x = e ln 2 + 2 (s + s³/3 + s⁵/5 + …)
/// ```
#[inline(always)]
pub(super) fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    // One more than the exponent of x / (1/√2), biased.
    let exponent = bits.wrapping_add(ONE - SQRT_HALF) >> 52;
    let m = f64::from_bits(bits.wrapping_sub(exponent << 52).wrapping_add(ONE));
    let e = f64::from_bits(exponent | INTEGERS) - (f64::from_bits(INTEGERS) + 1023.0);
    let s = (m - 1.0) / (m + 1.0);
    let q = s * s;
    // |s| <= 0.172: the first term left out is 2 s^19 / 19 < 4e-16.
    let tail = [15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0]
        .into_iter()
        .fold(1.0 / 17.0, |sum, k| sum * q + 1.0 / k);
    e * LN_2 + 2.0 * (s + s * q * tail)
}

/// `e^x`; arguments beyond ±700 count as ±700.
///
/// ```text
/// x = k ln 2 + r, |r| <= ln 2 / 2                             e^x = 2^k (1 + r + r²/2! + … + r¹²/12!)
/// ```
#[inline(always)]
pub(super) fn exp(x: f64) -> f64 {
    // ln 2 in two parts, the first so short that its product with k is exact.
    const HIGH: f64 = 0.693_147_180_369_123_8;
    const LOW: f64 = 1.908_214_929_270_587_7e-10;
    // Adding 1.5 · 2^52 rounds to an integer and leaves it in the low bits.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let x = x.clamp(-700.0, 700.0);
    let shifted = x * LOG2_E + ROUND;
    let k = shifted - ROUND;
    let r = (x - k * HIGH) - k * LOW;
    // Horner's rule on the series: divided by 12, 11, … 1 on the way.
    let mut power = 1.0 + r * (1.0 / 12.0);
    for n in [11.0, 10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0] {
        power = 1.0 + r * power * (1.0 / n);
    }
    power * f64::from_bits((shifted.to_bits() << 52).wrapping_add(ONE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_are_those_of_an_independent_library(mantissa in 1.0f64..10.0, power in -30i32..30, x in -690.0f64..690.0) {
            let argument = mantissa * 10f64.powi(power);
            let (found, expected) = (ln(argument), libm::log(argument));
            prop_assert!((found - expected).abs() <= 1e-14 * expected.abs().max(1.0), "ln {argument}: {found} {expected}");
            let (found, expected) = (exp(x), libm::exp(x));
            prop_assert!((found - expected).abs() <= 1e-14 * expected, "exp {x}: {found} {expected}");
        }
    }

    #[test]
    fn special_arguments_are_exact() {
        assert_eq!((ln(1.0), exp(0.0)), (0.0, 1.0));
        assert!((ln(2.0) - LN_2).abs() < 1e-16 && (exp(1.0) - std::f64::consts::E).abs() < 1e-15);
        assert!(exp(-1e9) > 0.0 && exp(1e9).is_finite());
    }
}
