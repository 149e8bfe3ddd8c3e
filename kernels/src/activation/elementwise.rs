//! Applies a function, or its gradient, to every value in one pass over memory.
//!
//! Each value moves 8 bytes forward and 12 backward. A function of a few operations is therefore bound by memory, and one with an exponential by
//! arithmetic as long as the values come from a cache.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::fresh::filled;

/// A function of one value and its gradient.
pub(crate) trait Elementwise: Copy + Send + Sync {
    /// The function.
    fn value<S: Simd>(self, simd: S, x: S::f32s) -> S::f32s;

    /// `gradient` times the derivative. `saved` is the result of [`value`](Self::value), or its argument.
    fn gradient<S: Simd>(self, simd: S, saved: S::f32s, gradient: S::f32s) -> S::f32s;
}

/// Values that a thread works on at a time.
pub(crate) const PIECE: usize = 16 << 10;

/// `out = f(input)`.
struct Value<'a, F>(F, &'a [f32], &'a mut [f32]);

impl<F: Elementwise> WithSimd for Value<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self(function, input, out) = self;
        let (vectors, rest) = S::as_simd_f32s(input);
        let (out, out_rest) = S::as_mut_simd_f32s(out);
        for (out, x) in out.iter_mut().zip(vectors) {
            *out = function.value(simd, *x);
        }
        if !rest.is_empty() {
            let y = function.value(simd, simd.partial_load_f32s(rest));
            simd.partial_store_f32s(out_rest, y);
        }
    }
}

/// `values = f(values)`.
struct ValueInPlace<'a, F>(F, &'a mut [f32]);

impl<F: Elementwise> WithSimd for ValueInPlace<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (vectors, rest) = S::as_mut_simd_f32s(self.1);
        for x in vectors {
            *x = self.0.value(simd, *x);
        }
        if !rest.is_empty() {
            let y = self.0.value(simd, simd.partial_load_f32s(rest));
            simd.partial_store_f32s(rest, y);
        }
    }
}

/// `gradient = gradient f'(saved)`.
struct Gradient<'a, F>(F, &'a [f32], &'a mut [f32]);

impl<F: Elementwise> WithSimd for Gradient<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self(function, saved, gradient) = self;
        let (vectors, rest) = S::as_simd_f32s(saved);
        let (out, out_rest) = S::as_mut_simd_f32s(gradient);
        for (out, x) in out.iter_mut().zip(vectors) {
            *out = function.gradient(simd, *x, *out);
        }
        if !rest.is_empty() {
            let x = simd.partial_load_f32s(rest);
            let y = function.gradient(simd, x, simd.partial_load_f32s(out_rest));
            simd.partial_store_f32s(out_rest, y);
        }
    }
}

/// `f(input)` in a new vector.
pub(crate) fn map(arch: Arch, function: impl Elementwise, input: &[f32]) -> Vec<f32> {
    filled(input.len(), |first, chunk| {
        let input = &input[first..first + chunk.len()];
        arch.dispatch(Value(function, input, chunk));
    })
}

/// `values = f(values)`.
pub(crate) fn map_in_place(arch: Arch, function: impl Elementwise, values: &mut [f32]) {
    if values.len() <= PIECE {
        arch.dispatch(ValueInPlace(function, values));
    } else {
        values
            .par_chunks_mut(PIECE)
            .for_each(|values| arch.dispatch(ValueInPlace(function, values)));
    }
}

/// `gradient = gradient f'(saved)`.
pub(crate) fn chain(arch: Arch, function: impl Elementwise, saved: &[f32], gradient: &mut [f32]) {
    if gradient.len() <= PIECE {
        arch.dispatch(Gradient(function, saved, gradient));
    } else {
        gradient
            .par_chunks_mut(PIECE)
            .zip(saved.par_chunks(PIECE))
            .for_each(|(gradient, saved)| arch.dispatch(Gradient(function, saved, gradient)));
    }
}
