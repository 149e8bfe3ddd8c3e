//! Products of matrices in slices.
//!
//! Six rows by two vectors stay in registers (by four where there are thirty-two), as in a convolution: twelve
//! multiply-adds for two loads and six broadcasts, bound by arithmetic. The right side is packed once into panels as wide
//! as those vectors and [`DEPTH`] deep, which fit the first cache; the left side is packed in blocks of six rows by the
//! thread that uses them. A transposed side is packed from other places and costs the same.
//!
//! Tried before: the `gemm` crate on the same pieces of rows, at about half the rate on AVX2.

use std::array;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::parts::even_parts;
use crate::workspace::with_workspace;

/// A matrix in a slice, of any strides: a transposed matrix is the same slice with the strides exchanged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// `[rows, columns]`, row by row.
    pub(crate) fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns);
        Self {
            values,
            rows,
            columns,
            row_stride: columns,
            column_stride: 1,
        }
    }

    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Writes `rows` × `columns` to `out` with the rows of the part as the last axis: `[columns, rows]`.
    fn pack(&self, rows: (usize, usize), columns: (usize, usize), out: &mut [f32]) {
        let first = rows.0 * self.row_stride + columns.0 * self.column_stride;
        if self.row_stride == 1 {
            for (k, out) in out.chunks_exact_mut(rows.1).enumerate() {
                let at = first + k * self.column_stride;
                out.copy_from_slice(&self.values[at..at + rows.1]);
            }
        } else {
            for r in 0..rows.1 {
                let row = &self.values[first + r * self.row_stride..];
                out[r..]
                    .iter_mut()
                    .step_by(rows.1)
                    .zip(row.iter().step_by(self.column_stride))
                    .for_each(|(out, value)| *out = *value);
            }
        }
    }
}

/// Rows of a block of the left side.
const BLOCK: usize = 6;

/// How deep a panel is: with sixteen columns it takes half of a first-level cache of 32 KiB.
const DEPTH: usize = 256;

/// Rows of a piece that one thread computes.
const ROWS: usize = 66;

/// The widest panel.
const WIDEST: usize = 64;

/// Columns of a panel: what the registers hold.
fn width(arch: Arch) -> usize {
    match arch {
        #[cfg(target_arch = "x86_64")]
        Arch::V4(_) => WIDEST,
        _ => 16,
    }
}

/// `left · right`, row by row, plus `bias` to every row.
pub(crate) fn multiply(
    arch: Arch,
    left: Matrix<'_>,
    right: Matrix<'_>,
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let (rows, inner, columns) = (left.rows, left.columns, right.columns);
    assert_eq!(inner, right.rows);
    let mut out = vec![0.0; rows * columns];
    if out.is_empty() {
        return out;
    }
    let width = width(arch);
    let panels = pack_right(&right, width);
    let parts: Vec<(usize, usize)> = even_parts(rows, ROWS).collect();
    let mut pieces = Vec::with_capacity(parts.len());
    let mut rest = out.as_mut_slice();
    for (first, count) in parts {
        let (piece, behind) = rest.split_at_mut(count * columns);
        pieces.push((first, count, piece));
        rest = behind;
    }
    pieces.into_par_iter().for_each(|(first, count, out)| {
        if let Some(bias) = bias {
            out.chunks_exact_mut(columns)
                .for_each(|row| row.copy_from_slice(bias));
        }
        with_workspace(count * DEPTH, |packed| {
            for (depth, panels) in depths(inner).zip(&panels) {
                let blocks: Vec<(usize, usize)> = even_parts(count, BLOCK).collect();
                for &(row, block) in &blocks {
                    let packed = &mut packed[row * depth.1..(row + block) * depth.1];
                    left.pack((first + row, block), depth, packed);
                }
                arch.dispatch(Panels {
                    left: &*packed,
                    blocks: &blocks,
                    panels,
                    depth: depth.1,
                    width,
                    out: &mut *out,
                    columns,
                });
            }
        });
    });
    out
}

/// `(first, count)` of the parts of the inner axis.
fn depths(inner: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..inner)
        .step_by(DEPTH)
        .map(move |first| (first, DEPTH.min(inner - first)))
}

/// For every depth `[panels, depth, width]`, zeros behind the last column.
fn pack_right(right: &Matrix<'_>, width: usize) -> Vec<Vec<f32>> {
    depths(right.rows)
        .map(|depth| {
            let panel = depth.1 * width;
            let mut panels = vec![0.0; right.columns.div_ceil(width) * panel];
            panels
                .par_chunks_exact_mut(panel)
                .enumerate()
                .for_each(|(index, panel)| {
                    let first = index * width;
                    let count = width.min(right.columns - first);
                    for (k, out) in panel.chunks_exact_mut(width).enumerate() {
                        let at = (depth.0 + k) * right.row_stride + first * right.column_stride;
                        if right.column_stride == 1 {
                            out[..count].copy_from_slice(&right.values[at..at + count]);
                        } else {
                            for (c, out) in out[..count].iter_mut().enumerate() {
                                *out = right.values[at + c * right.column_stride];
                            }
                        }
                    }
                });
            panels
        })
        .collect()
}

/// Adds the product of packed blocks and panels of one depth to `out`.
struct Panels<'a> {
    /// Blocks one behind the other, each `[depth, rows of the block]`.
    left: &'a [f32],
    /// First row and rows of each block.
    blocks: &'a [(usize, usize)],
    /// `[panels, depth, width]`.
    panels: &'a [f32],
    depth: usize,
    width: usize,
    /// `[rows, columns]`.
    out: &'a mut [f32],
    columns: usize,
}

impl WithSimd for Panels<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        for (index, panel) in self
            .panels
            .chunks_exact(self.depth * self.width)
            .enumerate()
        {
            let first = index * self.width;
            for &(row, block) in self.blocks {
                let left = &self.left[row * self.depth..(row + block) * self.depth];
                match block {
                    1 => self.tile::<S, 1>(simd, left, panel, row, first),
                    2 => self.tile::<S, 2>(simd, left, panel, row, first),
                    3 => self.tile::<S, 3>(simd, left, panel, row, first),
                    4 => self.tile::<S, 4>(simd, left, panel, row, first),
                    5 => self.tile::<S, 5>(simd, left, panel, row, first),
                    _ => self.tile::<S, BLOCK>(simd, left, panel, row, first),
                }
            }
        }
    }
}

impl Panels<'_> {
    #[inline(always)]
    fn tile<S: Simd, const C: usize>(
        &mut self,
        simd: S,
        left: &[f32],
        panel: &[f32],
        row: usize,
        first: usize,
    ) {
        if S::REGISTER_COUNT >= 32 {
            self.vectors::<S, C, 4>(simd, left, panel, row, first);
        } else {
            self.vectors::<S, C, 2>(simd, left, panel, row, first);
        }
    }

    #[inline(always)]
    fn vectors<S: Simd, const C: usize, const V: usize>(
        &mut self,
        simd: S,
        left: &[f32],
        panel: &[f32],
        row: usize,
        first: usize,
    ) {
        let length = V * S::F32_LANES;
        for start in (0..self.width).step_by(length) {
            let count = self.columns.saturating_sub(first + start).min(length);
            if count == 0 {
                return;
            }
            let mut sums = [[simd.splat_f32s(0.0); V]; C];
            for (left, right) in left.chunks_exact(C).zip(panel.chunks_exact(self.width)) {
                let values = S::as_simd_f32s(&right[start..start + length]).0;
                let values: [S::f32s; V] = array::from_fn(|v| values[v]);
                for c in 0..C {
                    let factor = simd.splat_f32s(left[c]);
                    for v in 0..V {
                        sums[c][v] = simd.mul_add_e_f32s(factor, values[v], sums[c][v]);
                    }
                }
            }
            for (c, sums) in sums.into_iter().enumerate() {
                let at = (row + c) * self.columns + first + start;
                let out = &mut self.out[at..at + count];
                if count == length {
                    for (out, sum) in S::as_mut_simd_f32s(out).0.iter_mut().zip(sums) {
                        *out = simd.add_f32s(*out, sum);
                    }
                } else {
                    let mut line = [0.0; WIDEST];
                    S::as_mut_simd_f32s(&mut line[..length])
                        .0
                        .copy_from_slice(&sums);
                    out.iter_mut().zip(line).for_each(|(out, sum)| *out += sum);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{agree, numbers, paths, pool};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn products_of_any_strides_are_sums(
            (rows, inner, columns) in (0usize..150, 0usize..600, 0usize..80),
            turn_left: bool,
            turn_right: bool,
            with_bias: bool,
        ) {
            let (left, right) = (numbers(1, rows * inner), numbers(2, inner * columns));
            let bias = numbers(3, columns);
            let left_at = |r: usize, k: usize| f64::from(if turn_left { left[k * rows + r] } else { left[r * inner + k] });
            let right_at = |k: usize, c: usize| f64::from(if turn_right { right[c * inner + k] } else { right[k * columns + c] });
            let expected: Vec<f64> = (0..rows)
                .flat_map(|r| (0..columns).map(move |c| (r, c)))
                .map(|(r, c)| {
                    let start = if with_bias { f64::from(bias[c]) } else { 0.0 };
                    start + (0..inner).map(|k| left_at(r, k) * right_at(k, c)).sum::<f64>()
                })
                .collect();
            let left = match turn_left {
                true => Matrix::new(&left, inner, rows).transposed(),
                false => Matrix::new(&left, rows, inner),
            };
            let right = match turn_right {
                true => Matrix::new(&right, columns, inner).transposed(),
                false => Matrix::new(&right, inner, columns),
            };
            for arch in paths() {
                let found = multiply(arch, left, right, with_bias.then_some(&bias));
                agree(&found, &expected, 1e-4);
            }
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let (left, right) = (numbers(1, 300 * 400), numbers(2, 400 * 130));
        let all = || {
            let (left, right) = (Matrix::new(&left, 300, 400), Matrix::new(&right, 400, 130));
            multiply(Arch::new(), left, right, None)
        };
        assert!(pool(1).install(all) == pool(2).install(all));
    }
}
