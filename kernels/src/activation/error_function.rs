//! The error function: one exponential, one quotient and two polynomials per value, about 55 operations for 8 bytes. The gradient is one exponential
//! for 12 bytes. Both are bound by arithmetic from any cache.

use pulp::Simd;

use super::elementwise::Elementwise;
use crate::exp::{erf, exp_of_difference};

#[derive(Clone, Copy)]
pub(super) struct ErrorFunction;

impl Elementwise for ErrorFunction {
    #[inline(always)]
    fn value<S: Simd>(self, simd: S, x: S::f32s) -> S::f32s {
        erf(simd, x)
    }

    #[inline(always)]
    fn gradient<S: Simd>(self, simd: S, argument: S::f32s, gradient: S::f32s) -> S::f32s {
        let square = simd.mul_f32s(argument, argument);
        let bell = exp_of_difference(simd, simd.neg_f32s(square));
        let height = simd.splat_f32s(std::f32::consts::FRAC_2_SQRT_PI);
        simd.mul_f32s(gradient, simd.mul_f32s(bell, height))
    }
}
