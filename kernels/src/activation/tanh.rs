//! The hyperbolic tangent: one exponential, one quotient and a short polynomial per value for 8 bytes. The gradient is two operations on the result
//! for 12 bytes, bound by memory.

use pulp::Simd;

use super::elementwise::Elementwise;

#[derive(Clone, Copy)]
pub(super) struct Tanh;

impl Elementwise for Tanh {
    #[inline(always)]
    fn value<S: Simd>(self, simd: S, x: S::f32s) -> S::f32s {
        crate::exp::tanh(simd, x)
    }

    #[inline(always)]
    fn gradient<S: Simd>(self, simd: S, result: S::f32s, gradient: S::f32s) -> S::f32s {
        let one = simd.splat_f32s(1.0);
        let slope = simd.mul_add_e_f32s(simd.neg_f32s(result), result, one);
        simd.mul_f32s(gradient, slope)
    }
}
