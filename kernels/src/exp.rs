//! The exponential and functions built on it, for vectors of the processor.
//!
//! Every function reads and writes registers. An exponential takes about 22 operations. A loop over memory moves 8 bytes per value, so it does
//! 2.7 operations per byte and is bound by arithmetic as long as the values come from a cache. Its floor is 11 cycles per vector at two
//! operations per cycle. The power of two is built from the bits of the rounded quotient, without a conversion to integers. It is built in two
//! halves, so that subnormal results and results near the largest number are right without a branch. A table of powers was not tried.

use pulp::Simd;

/// `Σ_k coefficients[k] x^k`.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(simd: S, x: S::f32s, coefficients: [f32; N]) -> S::f32s {
    let mut sum = simd.splat_f32s(coefficients[N - 1]);
    for coefficient in coefficients[..N - 1].iter().rev() {
        sum = simd.mul_add_e_f32s(sum, x, simd.splat_f32s(*coefficient));
    }
    sum
}

/// Splits `x = n ln 2 + r` with an integer `n`. The first result has `n + bias` in its low bits; the second is `e^r`, to within one unit in
/// the last place.
#[inline(always)]
fn reduced<S: Simd>(simd: S, x: S::f32s, bias: f32) -> (S::u32s, S::f32s) {
    let splat = |value: f32| simd.splat_f32s(value);
    // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
    let round = splat(12_582_912.0 + bias);
    let rounded = simd.mul_add_e_f32s(x, splat(std::f32::consts::LOG2_E), round);
    let n = simd.sub_f32s(rounded, round);
    // ln 2 in two parts. The first part has so few bits that its product with n is exact.
    let r = simd.mul_add_e_f32s(n, splat(-0.693_359_4), x);
    let r = simd.mul_add_e_f32s(n, splat(2.121_944_4e-4), r);

    // (e^r - 1 - r) / r² for |r| <= ln 2 / 2. The fit minimizes the largest error.
    let tail = polynomial(
        simd,
        r,
        [
            0.499_999_94,
            0.166_665_21,
            0.041_668_39,
            0.008_368_736,
            0.001_381_456_1,
        ],
    );
    let power = simd.mul_add_e_f32s(simd.mul_f32s(r, r), tail, r);
    let power = simd.add_f32s(power, splat(1.0));
    (simd.transmute_u32s_f32s(rounded), power)
}

/// Two to the power of the low bits minus 127. The shift to the exponent drops all higher bits.
#[inline(always)]
fn power_of_two<S: Simd>(simd: S, exponent: S::u32s) -> S::f32s {
    simd.transmute_f32s_u32s(simd.wrapping_dyn_shl_u32s(exponent, simd.splat_u32s(23)))
}

/// `e^x` to within one and a half units in the last place. Above 88.73 it is infinite, below -103.98 zero. NaN stays NaN.
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let splat = |value: f32| simd.splat_f32s(value);
    // A comparison with NaN is false, so NaN is kept.
    let high = simd.greater_than_f32s(x, splat(89.0));
    let x = simd.select_f32s(high, splat(89.0), x);
    let low = simd.less_than_f32s(x, splat(-104.0));
    let x = simd.select_f32s(low, splat(-104.0), x);
    // The two factors share the exponent.
    let (bits, power) = reduced(simd, x, 254.0);
    let half = simd.wrapping_dyn_shr_u32s(bits, simd.splat_u32s(1));
    let other = simd.sub_u32s(bits, half);
    let power = simd.mul_f32s(power, power_of_two(simd, half));
    simd.mul_f32s(power, power_of_two(simd, other))
}

/// [`exp`] of arguments below 88, but zero where the result would be subnormal (below -87.33). It takes a quarter fewer operations, and serves
/// sums of powers.
#[inline(always)]
pub(crate) fn exp_of_difference<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let (bits, power) = reduced(simd, x, 127.0);
    let power = simd.mul_f32s(power, power_of_two(simd, bits));
    let low = simd.less_than_f32s(x, simd.splat_f32s(-87.33));
    simd.select_f32s(low, simd.splat_f32s(0.0), power)
}

/// `1 / (1 + e^-x)`. Small results keep all their digits.
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    let small = exp(simd, simd.neg_f32s(simd.abs_f32s(x)));
    let negative = simd.less_than_f32s(x, simd.splat_f32s(0.0));
    let numerator = simd.select_f32s(negative, small, one);
    simd.div_f32s(numerator, simd.add_f32s(one, small))
}

/// `value` with the sign of `sign`; `value` must not be negative.
#[inline(always)]
fn signed<S: Simd>(simd: S, value: S::f32s, sign: S::f32s) -> S::f32s {
    simd.or_f32s(value, simd.and_f32s(sign, simd.splat_f32s(-0.0)))
}

/// The hyperbolic tangent.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let splat = |value: f32| simd.splat_f32s(value);
    let size = simd.abs_f32s(x);
    let square = simd.mul_f32s(x, x);
    // (tanh x - x) / x³ for |x| <= 0.65.
    let cubic = polynomial(
        simd,
        square,
        [
            -0.333_332_6,
            0.133_308_3,
            -0.053_688_027,
            0.020_469_429,
            -0.005_515_170_3,
        ],
    );
    let near = simd.mul_add_e_f32s(simd.mul_f32s(size, square), cubic, size);
    let power = exp(simd, simd.add_f32s(size, size));
    let share = simd.div_f32s(splat(2.0), simd.add_f32s(power, splat(1.0)));
    let far = simd.sub_f32s(splat(1.0), share);
    let is_near = simd.less_than_f32s(size, splat(0.65));
    signed(simd, simd.select_f32s(is_near, near, far), x)
}

/// `Φ(-z) e^(z²/2)` for `z >= 0`, where Φ is the normal distribution function.
#[inline(always)]
fn tail_ratio<S: Simd>(simd: S, z: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    let t = simd.div_f32s(one, simd.mul_add_e_f32s(z, simd.splat_f32s(0.25), one));
    // Divided by t, and fitted for z <= 15. Beyond, the exponential is zero.
    let ratio = polynomial(
        simd,
        t,
        [
            0.099_788_65,
            0.098_662_8,
            0.102_731_645,
            0.036_810_566,
            0.192_807_58,
            -0.193_022_28,
            0.285_109_07,
            -0.147_537_19,
            0.024_649_124,
        ],
    );
    simd.mul_f32s(ratio, t)
}

/// `Φ(x)` and `e^(-x²/2)`: the normal distribution function (zero below -13.2) and its density times √(2π).
#[inline(always)]
pub(crate) fn normal<S: Simd>(simd: S, x: S::f32s) -> (S::f32s, S::f32s) {
    let half = simd.mul_f32s(x, simd.splat_f32s(-0.5));
    let bell = exp_of_difference(simd, simd.mul_f32s(half, x));
    let tail = simd.mul_f32s(bell, tail_ratio(simd, simd.abs_f32s(x)));
    let negative = simd.less_than_f32s(x, simd.splat_f32s(0.0));
    let rest = simd.sub_f32s(simd.splat_f32s(1.0), tail);
    (simd.select_f32s(negative, tail, rest), bell)
}

/// The error function.
#[inline(always)]
pub(crate) fn erf<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let splat = |value: f32| simd.splat_f32s(value);
    let size = simd.abs_f32s(x);
    let square = simd.mul_f32s(x, x);
    // erf x / x for |x| <= 1.
    let slope = polynomial(
        simd,
        square,
        [
            std::f32::consts::FRAC_2_SQRT_PI,
            -0.376_126_26,
            0.112_835_854,
            -0.026_853_811,
            0.005_188_327_3,
            -0.000_801_019_1,
            7.853_854e-5,
        ],
    );
    let near = simd.mul_f32s(size, slope);
    let bell = exp_of_difference(simd, simd.neg_f32s(square));
    let ratio = tail_ratio(simd, simd.mul_f32s(size, splat(std::f32::consts::SQRT_2)));
    let far = simd.mul_add_e_f32s(simd.mul_f32s(bell, ratio), splat(-2.0), splat(1.0));
    let is_near = simd.less_than_f32s(size, splat(1.0));
    signed(simd, simd.select_f32s(is_near, near, far), x)
}

#[cfg(test)]
mod tests;
