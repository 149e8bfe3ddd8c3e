//! Relu: one comparison per value, bound by memory (8 bytes forward, 12 backward).

use pulp::Simd;

use super::elementwise::Elementwise;

#[derive(Clone, Copy)]
pub(crate) struct Relu;

impl Elementwise for Relu {
    #[inline(always)]
    fn value<S: Simd>(self, simd: S, x: S::f32s) -> S::f32s {
        let zero = simd.splat_f32s(0.0);
        // The comparison is false for NaN, which is therefore kept.
        simd.select_f32s(simd.less_than_or_equal_f32s(x, zero), zero, x)
    }

    #[inline(always)]
    fn gradient<S: Simd>(self, simd: S, result: S::f32s, gradient: S::f32s) -> S::f32s {
        let zero = simd.splat_f32s(0.0);
        simd.select_f32s(simd.less_than_or_equal_f32s(result, zero), zero, gradient)
    }
}
