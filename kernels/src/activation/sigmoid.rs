//! The logistic function: one exponential and one quotient per value for 8 bytes. The gradient is three operations on the result for 12 bytes, bound
//! by memory.

use pulp::Simd;

use super::elementwise::Elementwise;

#[derive(Clone, Copy)]
pub(super) struct Sigmoid;

impl Elementwise for Sigmoid {
    #[inline(always)]
    fn value<S: Simd>(self, simd: S, x: S::f32s) -> S::f32s {
        crate::exp::sigmoid(simd, x)
    }

    #[inline(always)]
    fn gradient<S: Simd>(self, simd: S, result: S::f32s, gradient: S::f32s) -> S::f32s {
        let rest = simd.sub_f32s(simd.splat_f32s(1.0), result);
        simd.mul_f32s(gradient, simd.mul_f32s(result, rest))
    }
}
