//! The three products of a linear layer, cut into pieces of rows.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::fresh::{repeated, zeros};
use crate::matrix::{Matrix, multiply};

/// Rows of a piece if there are `rows`: an eighth of them but at least 64, in whole tiles of six.
///
/// Each piece packs the other operand once, which costs about one part in its number of rows. The forward pass of a GPT of width 256 took 68.9, 58.3
/// and 60.3 ms with pieces of 64, 132 and 258 of 1,024 rows (two threads of a busy machine, smallest of five alternating rounds). With 48 rows,
/// `gemm` does not pack, and it took 66.2 ms.
fn piece(rows: usize) -> usize {
    (rows / 8).max(64).next_multiple_of(6)
}

/// From this many weights on, a few rows are cut into pieces of outputs. A smaller product is not worth a thread.
const LARGE: usize = 1 << 16;

/// Weights that a piece of outputs reads.
const READ: usize = 1 << 15;

/// `input · weight + bias`: `[rows, outputs]` from `[rows, inputs]`, `[inputs, outputs]` and `[outputs]`.
pub(super) fn forward(
    input: &[f32],
    weight: Matrix<'_>,
    bias: Option<&[f32]>,
    [rows, inputs, outputs]: [usize; 3],
) -> Vec<f32> {
    // The output starts as the bias instead of zeros.
    let output = match bias {
        Some(bias) => repeated(bias, rows),
        None => zeros(rows * outputs),
    };
    // Only if each output's weights are contiguous, as in the files of language models. Another cut rounds differently, and trainings of earlier versions,
    // whose weights are contiguous by inputs, must be reproduced exactly.
    if let Some(lines) = weight.lines()
        && (1..=piece(rows)).contains(&rows)
        && inputs * outputs >= LARGE
    {
        let sizes = [rows, inputs, outputs];
        return by_outputs(input, lines, bias.is_some(), output, sizes);
    }
    let input = Matrix::new(input, rows, inputs);
    by_rows(rows, output, |first, count, out| {
        multiply(out, input.rows(first, count), weight, bias.is_some());
    })
}

/// A few rows, which are one piece of [`by_rows`], on all cores. Each core computes some outputs and reads its part of the weight once. With one row
/// this is bound by memory: 4 bytes of weight for two operations.
fn by_outputs(
    input: &[f32],
    lines: &[f32],
    add: bool,
    mut output: Vec<f32>,
    [rows, inputs, outputs]: [usize; 3],
) -> Vec<f32> {
    let count = (READ / inputs).max(16);
    if rows == 1 {
        let arch = Arch::new();
        output
            .par_chunks_mut(count)
            .zip(lines.par_chunks(count * inputs))
            .for_each(|(out, lines)| arch.dispatch(Dots { input, lines, out }));
        return output;
    }
    let pieces: Vec<Vec<f32>> = (0..outputs.div_ceil(count))
        .into_par_iter()
        .map(|index| {
            let first = index * count;
            let count = count.min(outputs - first);
            let mut out: Vec<f32> = output
                .chunks_exact(outputs)
                .flat_map(|row| &row[first..first + count])
                .copied()
                .collect();
            let lines = &lines[first * inputs..(first + count) * inputs];
            let weight = Matrix::new(lines, count, inputs).transposed();
            multiply(&mut out, Matrix::new(input, rows, inputs), weight, add);
            out
        })
        .collect();
    for (index, piece) in pieces.iter().enumerate() {
        let (first, count) = (index * count, piece.len() / rows);
        for (row, values) in output
            .chunks_exact_mut(outputs)
            .zip(piece.chunks_exact(count))
        {
            row[first..first + count].copy_from_slice(values);
        }
    }
    output
}

/// `out[i] += input · line i`, for a weight with contiguous lines, one for each output.
struct Dots<'a> {
    input: &'a [f32],
    lines: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { input, lines, out } = self;
        let (vectors, rest) = S::as_simd_f32s(input);
        for (out, line) in out.iter_mut().zip(lines.chunks_exact(input.len())) {
            let (line, line_rest) = S::as_simd_f32s(line);
            // Four sums, so that an addition does not wait for the one before.
            let mut sums = [simd.splat_f32s(0.0); 4];
            let (fours, ones) = line.as_chunks::<4>();
            let (input_fours, input_ones) = vectors.as_chunks::<4>();
            for (line, input) in fours.iter().zip(input_fours) {
                for i in 0..4 {
                    sums[i] = simd.mul_add_e_f32s(line[i], input[i], sums[i]);
                }
            }
            for (line, input) in ones.iter().zip(input_ones) {
                sums[0] = simd.mul_add_e_f32s(*line, *input, sums[0]);
            }
            let [a, b, c, d] = sums;
            let sum = simd.add_f32s(simd.add_f32s(a, b), simd.add_f32s(c, d));
            let tail = line_rest.iter().zip(rest);
            let tail: f32 = tail.map(|(line, input)| line * input).sum();
            *out += simd.reduce_sum_f32s(sum) + tail;
        }
    }
}

/// `gradient · weightᵀ`: `[rows, inputs]`.
pub(super) fn input_gradient(
    weight: Matrix<'_>,
    gradient: &[f32],
    [rows, inputs, outputs]: [usize; 3],
) -> Vec<f32> {
    let gradient = Matrix::new(gradient, rows, outputs);
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

/// Computes `out [rows, columns]`, after `fill(first row, rows, values)` has filled each piece.
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
