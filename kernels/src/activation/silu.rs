//! Silu: one exponential and one quotient per value, about 30 operations for 8 bytes forward and 12 backward. Bound by arithmetic from any cache.

use pulp::Simd;

use super::elementwise::Elementwise;
use crate::exp::sigmoid;

#[derive(Clone, Copy)]
pub(super) struct Silu;

impl Elementwise for Silu {
    #[inline(always)]
    fn value<S: Simd>(self, simd: S, x: S::f32s) -> S::f32s {
        simd.mul_f32s(x, sigmoid(simd, x))
    }

    #[inline(always)]
    fn gradient<S: Simd>(self, simd: S, argument: S::f32s, gradient: S::f32s) -> S::f32s {
        let share = sigmoid(simd, argument);
        let one = simd.splat_f32s(1.0);
        let slope = simd.mul_add_e_f32s(argument, simd.sub_f32s(one, share), one);
        simd.mul_f32s(gradient, simd.mul_f32s(share, slope))
    }
}
