//! The product of two small matrices, with vectors of the processor.
//!
//! Six rows by two vectors stay in registers (by four if there are thirty-two registers). Two loads and six broadcasts serve twelve multiply-adds, so
//! arithmetic is the floor as long as the right matrix comes from the first two caches.

use std::array;

use pulp::{Simd, WithSimd};

/// Rows of the right matrix are padded with zeros to a multiple of this: the widest vector.
pub(super) const COLUMNS: usize = 16;

/// How the left matrix is stored.
#[derive(Clone, Copy)]
pub(super) enum Left {
    /// `left[row][k]`
    Rows,
    /// `left[k][row]`
    Columns,
}

/// `out[i][j] += Σ_k left[i][k] right[k][j]`; `=` instead of `+=` if `keep` is false.
pub(super) struct Product<'a> {
    pub(super) rows: usize,
    pub(super) depth: usize,
    /// A multiple of [`COLUMNS`].
    pub(super) columns: usize,
    pub(super) left: &'a [f32],
    pub(super) left_stride: usize,
    pub(super) layout: Left,
    pub(super) right: &'a [f32],
    pub(super) right_stride: usize,
    pub(super) out: &'a mut [f32],
    pub(super) out_stride: usize,
    pub(super) keep: bool,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let lanes = S::F32_LANES;
        let mut column = 0;
        while column < self.columns {
            let left = self.columns - column;
            if S::REGISTER_COUNT >= 32 && left >= 4 * lanes {
                self.panel::<S, 4>(simd, column);
                column += 4 * lanes;
            } else if left >= 2 * lanes {
                self.panel::<S, 2>(simd, column);
                column += 2 * lanes;
            } else {
                self.panel::<S, 1>(simd, column);
                column += lanes;
            }
        }
    }
}

impl Product<'_> {
    /// All rows of a few columns. Their part of the right matrix stays in the first-level cache.
    #[inline(always)]
    fn panel<S: Simd, const V: usize>(&mut self, simd: S, column: usize) {
        let mut row = 0;
        while row < self.rows {
            let count = (self.rows - row).min(6);
            match count {
                1 => self.tile::<S, 1, V>(simd, row, column),
                2 => self.tile::<S, 2, V>(simd, row, column),
                3 => self.tile::<S, 3, V>(simd, row, column),
                4 => self.tile::<S, 4, V>(simd, row, column),
                5 => self.tile::<S, 5, V>(simd, row, column),
                _ => self.tile::<S, 6, V>(simd, row, column),
            }
            row += count;
        }
    }

    #[allow(clippy::needless_range_loop, reason = "one index into several slices")]
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const V: usize>(
        &mut self,
        simd: S,
        row: usize,
        column: usize,
    ) {
        let length = V * S::F32_LANES;
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        if self.keep {
            for (r, sums) in sums.iter_mut().enumerate() {
                let out = &self.out[(row + r) * self.out_stride + column..][..length];
                let out = S::as_simd_f32s(out).0;
                *sums = array::from_fn(|v| out[v]);
            }
        }
        let right = |k: usize| -> [S::f32s; V] {
            let right = &self.right[k * self.right_stride + column..][..length];
            let right = S::as_simd_f32s(right).0;
            array::from_fn(|v| right[v])
        };
        match self.layout {
            Left::Rows => {
                let left: [&[f32]; R] =
                    array::from_fn(|r| &self.left[(row + r) * self.left_stride..][..self.depth]);
                for k in 0..self.depth {
                    let right = right(k);
                    for r in 0..R {
                        let factor = simd.splat_f32s(left[r][k]);
                        for v in 0..V {
                            sums[r][v] = simd.mul_add_e_f32s(factor, right[v], sums[r][v]);
                        }
                    }
                }
            }
            Left::Columns => {
                for k in 0..self.depth {
                    let right = right(k);
                    let left = &self.left[k * self.left_stride + row..][..R];
                    for r in 0..R {
                        let factor = simd.splat_f32s(left[r]);
                        for v in 0..V {
                            sums[r][v] = simd.mul_add_e_f32s(factor, right[v], sums[r][v]);
                        }
                    }
                }
            }
        }
        for (r, sums) in sums.into_iter().enumerate() {
            let out = &mut self.out[(row + r) * self.out_stride + column..][..length];
            S::as_mut_simd_f32s(out).0.copy_from_slice(&sums);
        }
    }
}

/// `width` rounded up to whole vectors.
pub(super) fn padded(width: usize) -> usize {
    width.next_multiple_of(COLUMNS)
}

/// Rows of `width` values, padded with zeros up to [`padded`]; `rows` itself if no padding is needed.
pub(super) fn pad<'a>(rows: &'a [f32], width: usize, out: &'a mut [f32]) -> &'a [f32] {
    if width == padded(width) {
        return rows;
    }
    for (out, row) in out
        .chunks_exact_mut(padded(width))
        .zip(rows.chunks_exact(width))
    {
        out[..width].copy_from_slice(row);
        out[width..].fill(0.0);
    }
    out
}

/// Columns of a block of [`transpose`].
pub(super) const BLOCK: usize = 64;

/// `out[block][column][row within the block] = factor · rows[row][column]`, with zeros after the last row.
pub(super) fn transpose(rows: &[f32], width: usize, factor: f32, out: &mut [f32]) {
    let blocks = rows.chunks(BLOCK * width);
    for (block, out) in blocks.zip(out.chunks_exact_mut(BLOCK * width)) {
        let count = block.len() / width;
        for (column, out) in out.chunks_exact_mut(BLOCK).enumerate() {
            for (row, out) in out[..count].iter_mut().enumerate() {
                *out = factor * block[row * width + column];
            }
            out[count..].fill(0.0);
        }
    }
}

/// The part of `scratch` that starts at a cache line and has `length` values, and the rest.
pub(super) fn take(scratch: &mut [f32], length: usize) -> (&mut [f32], &mut [f32]) {
    let start = scratch.as_ptr().align_offset(64).min(scratch.len());
    scratch[start..].split_at_mut(length)
}

/// Number of values that [`take`] needs to give `length` values.
pub(super) fn room(length: usize) -> usize {
    length + 16
}
