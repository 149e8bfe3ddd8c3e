//! The three products of a linear layer, cut into pieces of rows.

use rayon::prelude::*;

use crate::fresh::{repeated, zeros};
use crate::matrix::{Matrix, multiply};

/// Rows of a piece of `rows`: whole tiles of six, for most of them an eighth.
///
/// A piece packs the other operand once, which costs one part in about its rows of its product. With 64, 132 and 258 of
/// 1,024 rows the forward pass of a GPT of width 256 took 68.9, 58.3 and 60.3 ms (two threads of a busy machine, the least of
/// five rounds in turn); with 48 `gemm` does not pack, 66.2 ms.
fn piece(rows: usize) -> usize {
    (rows / 8).max(64).next_multiple_of(6)
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
    // The bias is what the output holds at first, in place of zeros.
    let output = match bias {
        Some(bias) => repeated(bias, rows),
        None => zeros(rows * outputs),
    };
    by_rows(rows, output, |first, count, out| {
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
    by_rows(rows, zeros(rows * inputs), |first, count, out| {
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
    by_rows(inputs, zeros(inputs * outputs), |first, count, out| {
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

/// `out [rows, columns]` after `fill(first row, rows, values)` of every piece.
fn by_rows(
    rows: usize,
    mut out: Vec<f32>,
    fill: impl Fn(usize, usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    let columns = out.len() / rows.max(1);
    let count = piece(rows);
    out.par_chunks_mut((count * columns).max(1))
        .enumerate()
        .for_each(|(index, out)| fill(index * count, out.len() / columns, out));
    out
}
