//! Softmax of rows in place, and its gradient.
//!
//! A row is read three times, but memory is read once if the row fits into the first-level cache: 8 bytes and about 26 operations per value. The
//! exponential is therefore the floor (11 cycles for eight values). The gradient is four operations for 12 bytes, bound by memory. The gradient of
//! the logarithm needs the exponential again, because only the logarithms are kept.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::activation::PIECE;
use crate::exp::{exp, exp_of_difference};

/// Probabilities, or their logarithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    Linear,
    Logarithmic,
}

/// Rows that a thread works on at a time.
pub(super) fn rows_per_piece(width: usize) -> usize {
    (PIECE / width.max(1)).max(1)
}

/// The last values of a row, with minus infinity in the lanes after them.
#[inline(always)]
fn tail<S: Simd>(simd: S, rest: &[f32]) -> S::f32s {
    let lanes = simd.mask_between_m32s(0, rest.len() as u32).mask();
    let nothing = simd.splat_f32s(f32::NEG_INFINITY);
    simd.select_f32s(lanes, simd.partial_load_f32s(rest), nothing)
}

/// The largest value, ignoring NaN; minus infinity if there is none.
#[inline(always)]
pub(crate) fn largest<S: Simd>(simd: S, row: &[f32]) -> f32 {
    let (vectors, rest) = S::as_simd_f32s(row);
    let mut largest = simd.splat_f32s(f32::NEG_INFINITY);
    for x in vectors {
        // With this order of arguments the second is kept if the first is NaN.
        largest = simd.max_f32s(*x, largest);
    }
    if !rest.is_empty() {
        largest = simd.max_f32s(tail(simd, rest), largest);
    }
    simd.reduce_max_f32s(largest)
}

/// `Σ e^(x - shift)`.
#[inline(always)]
pub(super) fn sum_of_powers<S: Simd>(simd: S, row: &[f32], shift: f32) -> f32 {
    let (vectors, rest) = S::as_simd_f32s(row);
    let shift = simd.splat_f32s(shift);
    let mut sum = simd.splat_f32s(0.0);
    for x in vectors {
        sum = simd.add_f32s(sum, exp_of_difference(simd, simd.sub_f32s(*x, shift)));
    }
    if !rest.is_empty() {
        let power = exp_of_difference(simd, simd.sub_f32s(tail(simd, rest), shift));
        sum = simd.add_f32s(sum, power);
    }
    simd.reduce_sum_f32s(sum)
}

/// Overwrites `x` with `e^(x - shift)`, and gives the sum.
#[inline(always)]
pub(crate) fn powers<S: Simd>(simd: S, row: &mut [f32], shift: f32) -> f32 {
    let (vectors, rest) = S::as_mut_simd_f32s(row);
    let shift = simd.splat_f32s(shift);
    let mut sum = simd.splat_f32s(0.0);
    for x in vectors {
        *x = exp_of_difference(simd, simd.sub_f32s(*x, shift));
        sum = simd.add_f32s(sum, *x);
    }
    if !rest.is_empty() {
        let power = exp_of_difference(simd, simd.sub_f32s(tail(simd, rest), shift));
        sum = simd.add_f32s(sum, power);
        simd.partial_store_f32s(rest, power);
    }
    simd.reduce_sum_f32s(sum)
}

/// Softmax of every row, in place.
struct Normalize<'a> {
    rows: &'a mut [f32],
    width: usize,
    scale: Scale,
}

impl WithSimd for Normalize<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for row in self.rows.chunks_exact_mut(self.width) {
            let shift = largest(simd, row);
            match self.scale {
                Scale::Linear => {
                    let share = 1.0 / powers(simd, row, shift);
                    row.iter_mut().for_each(|x| *x *= share);
                }
                Scale::Logarithmic => {
                    let logarithm = sum_of_powers(simd, row, shift).ln();
                    row.iter_mut().for_each(|x| *x = *x - shift - logarithm);
                }
            }
        }
    }
}

/// The gradient of every row, which overwrites the incoming gradient.
struct Chain<'a> {
    outputs: &'a [f32],
    gradients: &'a mut [f32],
    width: usize,
    scale: Scale,
}

impl WithSimd for Chain<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let rows = self.gradients.chunks_exact_mut(self.width);
        for (gradient, output) in rows.zip(self.outputs.chunks_exact(self.width)) {
            match self.scale {
                Scale::Linear => linear(simd, output, gradient),
                Scale::Logarithmic => logarithmic(simd, output, gradient),
            }
        }
    }
}

/// `g = y (g - Σ g y)`.
#[inline(always)]
fn linear<S: Simd>(simd: S, output: &[f32], gradient: &mut [f32]) {
    let (outputs, outputs_rest) = S::as_simd_f32s(output);
    let (gradients, gradients_rest) = S::as_mut_simd_f32s(gradient);
    let last = simd.partial_load_f32s(outputs_rest);
    let last_gradient = simd.partial_load_f32s(gradients_rest);
    let mut sum = simd.mul_f32s(last, last_gradient);
    for (g, y) in gradients.iter().zip(outputs) {
        sum = simd.mul_add_e_f32s(*g, *y, sum);
    }
    let sum = simd.splat_f32s(simd.reduce_sum_f32s(sum));
    for (g, y) in gradients.iter_mut().zip(outputs) {
        *g = simd.mul_f32s(*y, simd.sub_f32s(*g, sum));
    }
    let last = simd.mul_f32s(last, simd.sub_f32s(last_gradient, sum));
    simd.partial_store_f32s(gradients_rest, last);
}

/// `g = g - e^y Σ g`.
#[inline(always)]
fn logarithmic<S: Simd>(simd: S, output: &[f32], gradient: &mut [f32]) {
    let (outputs, outputs_rest) = S::as_simd_f32s(output);
    let (gradients, gradients_rest) = S::as_mut_simd_f32s(gradient);
    let last = simd.partial_load_f32s(gradients_rest);
    let mut sum = last;
    for g in gradients.iter() {
        sum = simd.add_f32s(sum, *g);
    }
    let sum = simd.splat_f32s(-simd.reduce_sum_f32s(sum));
    for (g, y) in gradients.iter_mut().zip(outputs) {
        *g = simd.mul_add_e_f32s(exp(simd, *y), sum, *g);
    }
    let power = exp(simd, simd.partial_load_f32s(outputs_rest));
    let last = simd.mul_add_e_f32s(power, sum, last);
    simd.partial_store_f32s(gradients_rest, last);
}

/// Softmax of every row of `width` values, in place.
pub(super) fn normalize(arch: Arch, scale: Scale, width: usize, rows: &mut [f32]) {
    if rows.is_empty() {
        return;
    }
    let work = |rows| arch.dispatch(Normalize { rows, width, scale });
    let piece = rows_per_piece(width) * width;
    if rows.len() <= piece {
        work(rows);
    } else {
        rows.par_chunks_mut(piece).for_each(work);
    }
}

/// The gradient by the input of [`normalize`], computed from its result. It overwrites the incoming gradient.
pub(super) fn chain(
    arch: Arch,
    scale: Scale,
    width: usize,
    outputs: &[f32],
    gradients: &mut [f32],
) {
    if gradients.is_empty() {
        return;
    }
    let work = |(gradients, outputs)| {
        arch.dispatch(Chain {
            outputs,
            gradients,
            width,
            scale,
        });
    };
    let piece = rows_per_piece(width) * width;
    if gradients.len() <= piece {
        work((gradients, outputs));
    } else {
        gradients
            .par_chunks_mut(piece)
            .zip(outputs.par_chunks(piece))
            .for_each(work);
    }
}
