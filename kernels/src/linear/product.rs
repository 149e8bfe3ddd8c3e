//! The three products of a linear layer, cut into pieces of rows.

use rayon::prelude::*;

use crate::matrix::{Matrix, multiply};

/// Rows of a piece of `rows`: a piece packs the other operand once, which costs one part in its rows of its product.
fn piece(rows: usize) -> usize {
    (rows / 16).max(64)
}

/// `input · weight + bias`: `[rows, outputs]` from `[rows, inputs]`, `[inputs, outputs]` and `[outputs]`.
pub(super) fn forward(
    input: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    [rows, inputs, outputs]: [usize; 3],
) -> Vec<f32> {
    let (input, weight) = (
        Matrix::new(input, rows, inputs),
        Matrix::new(weight, inputs, outputs),
    );
    by_rows(rows, outputs, |first, count, out| {
        if let Some(bias) = bias {
            out.chunks_exact_mut(outputs)
                .for_each(|row| row.copy_from_slice(bias));
        }
        multiply(out, input.rows(first, count), weight, bias.is_some());
    })
}

/// `gradient · weightᵀ`: `[rows, inputs]`.
pub(super) fn input_gradient(
    weight: &[f32],
    gradient: &[f32],
    [rows, inputs, outputs]: [usize; 3],
) -> Vec<f32> {
    let (weight, gradient) = (
        Matrix::new(weight, inputs, outputs),
        Matrix::new(gradient, rows, outputs),
    );
    by_rows(rows, inputs, |first, count, out| {
        multiply(out, gradient.rows(first, count), weight.transposed(), false);
    })
}

/// `inputᵀ · gradient`: `[inputs, outputs]`.
pub(super) fn weight_gradient(
    input: &[f32],
    gradient: &[f32],
    [rows, inputs, outputs]: [usize; 3],
) -> Vec<f32> {
    let (input, gradient) = (
        Matrix::new(input, rows, inputs).transposed(),
        Matrix::new(gradient, rows, outputs),
    );
    by_rows(inputs, outputs, |first, count, out| {
        multiply(out, input.rows(first, count), gradient, false);
    })
}

/// `[outputs]`: the sum of the rows of `gradient`.
pub(super) fn bias_gradient(gradient: &[f32], outputs: usize) -> Vec<f32> {
    const COLUMNS: usize = 256;
    let mut sums = vec![0.0f32; outputs];
    sums.par_chunks_mut(COLUMNS)
        .enumerate()
        .for_each(|(piece, sums)| {
            let first = piece * COLUMNS;
            for row in gradient.chunks_exact(outputs) {
                let row = &row[first..first + sums.len()];
                sums.iter_mut()
                    .zip(row)
                    .for_each(|(sum, value)| *sum += value);
            }
        });
    sums
}

/// Fills `[rows, columns]` piece by piece with `fill(first row, rows, values)`.
fn by_rows(
    rows: usize,
    columns: usize,
    fill: impl Fn(usize, usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    let mut out = vec![0.0; rows * columns];
    let count = piece(rows);
    out.par_chunks_mut((count * columns).max(1))
        .enumerate()
        .for_each(|(index, out)| fill(index * count, out.len() / columns, out));
    out
}
