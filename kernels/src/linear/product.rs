//! The three products of a linear layer.

use pulp::Arch;
use rayon::prelude::*;

use crate::matrix::{Matrix, multiply};

/// `input · weight + bias`: `[rows, outputs]` from `[rows, inputs]`, `[inputs, outputs]` and `[outputs]`.
pub(super) fn forward(
    input: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    [rows, inputs, outputs]: [usize; 3],
) -> Vec<f32> {
    let input = Matrix::new(input, rows, inputs);
    let weight = Matrix::new(weight, inputs, outputs);
    multiply(Arch::new(), input, weight, bias)
}

/// `gradient · weightᵀ`: `[rows, inputs]`.
pub(super) fn input_gradient(
    weight: &[f32],
    gradient: &[f32],
    [rows, inputs, outputs]: [usize; 3],
) -> Vec<f32> {
    let gradient = Matrix::new(gradient, rows, outputs);
    let weight = Matrix::new(weight, inputs, outputs);
    multiply(Arch::new(), gradient, weight.transposed(), None)
}

/// `inputᵀ · gradient`: `[inputs, outputs]`.
pub(super) fn weight_gradient(
    input: &[f32],
    gradient: &[f32],
    [rows, inputs, outputs]: [usize; 3],
) -> Vec<f32> {
    let input = Matrix::new(input, rows, inputs);
    let gradient = Matrix::new(gradient, rows, outputs);
    multiply(Arch::new(), input.transposed(), gradient, None)
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
