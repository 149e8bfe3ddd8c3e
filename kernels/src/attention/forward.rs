//! The attention of one head after the other, for one block of scores at a time.
//!
//! Two products of `queries · keys · width` multiply-adds, for `queries + 2 · keys + queries` rows of memory. With 128 places these are 64 operations
//! per byte, so arithmetic is the floor. Causal attention needs half of the operations. Blocks that no query sees are skipped, which leaves 63 % at
//! 128 places. Scores exist only for one block of [`QUERIES`] by [`BLOCK`] at a time, in the first-level cache beside their keys and values. The
//! largest score of each row so far, and its sum of exponentials, are carried from block to block.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::geometry::Geometry;
use super::product::{BLOCK, COLUMNS, Left, Product, pad, padded, room, take, transpose};
use crate::fresh::zeros;
use crate::softmax::{largest, powers};
use crate::workspace::with_workspace;

/// Queries of a block of scores.
pub(super) const QUERIES: usize = 24;

/// The scores of a block of queries with a block of keys.
#[derive(Clone, Copy)]
pub(super) struct Scores<'a> {
    pub(super) geometry: &'a Geometry,
    /// `[rows, width]`.
    pub(super) query: &'a [f32],
    /// The place of the first query.
    pub(super) first: usize,
    pub(super) rows: usize,
    /// `[width, BLOCK]`, scaled.
    pub(super) key: &'a [f32],
    /// The place of the first key of the block.
    pub(super) start: usize,
    /// Number of keys, from the first on, that any query of the block sees.
    pub(super) count: usize,
}

impl Scores<'_> {
    /// Fills `out [rows, BLOCK]` up to `count`, rounded up to whole vectors, with minus infinity where a query does not see a key.
    #[inline(always)]
    pub(super) fn fill<S: Simd>(self, simd: S, out: &mut [f32]) {
        simd.vectorize(Product {
            rows: self.rows,
            depth: self.geometry.width,
            columns: padded(self.count),
            left: self.query,
            left_stride: self.geometry.width,
            layout: Left::Rows,
            right: self.key,
            right_stride: BLOCK,
            out: &mut *out,
            out_stride: BLOCK,
            keep: false,
        });
        for (row, scores) in out.chunks_exact_mut(BLOCK).take(self.rows).enumerate() {
            let scores = &mut scores[..padded(self.count)];
            let visible = self.geometry.visible(self.first + row);
            let within = |place: usize| place.saturating_sub(self.start).min(self.count);
            let (from, to) = (within(visible.start), within(visible.end));
            scores[..from].fill(f32::NEG_INFINITY);
            scores[to..].fill(f32::NEG_INFINITY);
        }
    }
}

/// The blocks of keys that the queries `first..first + rows` see: the index of each, its first key, and the number of its keys.
pub(super) fn key_blocks(
    geometry: &Geometry,
    first: usize,
    rows: usize,
) -> impl Iterator<Item = (usize, usize, usize)> {
    let start = geometry.visible(first).start;
    let end = geometry.visible(first + rows - 1).end;
    (start / BLOCK..end.div_ceil(BLOCK)).map(move |block| {
        let start = block * BLOCK;
        (block, start, (end - start).min(BLOCK))
    })
}

/// Number of values of one head's keys, transposed in blocks.
pub(super) fn transposed(keys: usize, width: usize) -> usize {
    keys.next_multiple_of(BLOCK) * width
}

/// One head.
struct Head<'a> {
    geometry: &'a Geometry,
    query: &'a [f32],
    key: &'a [f32],
    value: &'a [f32],
    output: &'a mut [f32],
    normalizer: &'a mut [f32],
    scratch: &'a mut [f32],
}

fn scratch_length(geometry: &Geometry) -> usize {
    let width = padded(geometry.value_width);
    room(transposed(geometry.keys, geometry.width))
        + room(geometry.keys * width)
        + room(QUERIES * BLOCK)
        + room(QUERIES * width)
}

impl WithSimd for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let geometry = self.geometry;
        let (keys, width, value_width) = (geometry.keys, geometry.width, geometry.value_width);
        let wide = padded(value_width);
        let (key, scratch) = take(self.scratch, transposed(keys, width));
        let (value, scratch) = take(scratch, keys * wide);
        let (scores, scratch) = take(scratch, QUERIES * BLOCK);
        let (sums, _) = take(scratch, QUERIES * wide);
        transpose(self.key, width, geometry.scale as f32, key);
        let value = pad(self.value, value_width, value);

        let queries = self.query.chunks(QUERIES * width);
        let outputs = self.output.chunks_mut(QUERIES * value_width);
        let normalizers = self.normalizer.chunks_mut(QUERIES);
        for (block, ((query, output), normalizer)) in
            queries.zip(outputs).zip(normalizers).enumerate()
        {
            let (first, rows) = (block * QUERIES, normalizer.len());
            let sums = &mut sums[..rows * wide];
            sums.fill(0.0);
            let mut highest = [f32::NEG_INFINITY; QUERIES];
            let mut totals = [0.0; QUERIES];
            for (block, start, count) in key_blocks(geometry, first, rows) {
                Scores {
                    geometry,
                    query,
                    first,
                    rows,
                    key: &key[block * BLOCK * width..],
                    start,
                    count,
                }
                .fill(simd, scores);
                for (row, scores) in scores.chunks_exact_mut(BLOCK).take(rows).enumerate() {
                    let scores = &mut scores[..padded(count)];
                    let before = highest[row];
                    let now = largest(simd, scores).max(before);
                    highest[row] = now;
                    // If nothing was seen so far, any finite shift gives exponentials of zero.
                    let shift = if now == f32::NEG_INFINITY { 0.0 } else { now };
                    let total = powers(simd, scores, shift);
                    let fade = (before - shift).exp();
                    totals[row] = totals[row] * fade + total;
                    if fade != 1.0 && before != f32::NEG_INFINITY {
                        let sums = &mut sums[row * wide..(row + 1) * wide];
                        sums.iter_mut().for_each(|sum| *sum *= fade);
                    }
                }
                simd.vectorize(Product {
                    rows,
                    depth: count,
                    columns: wide,
                    left: &*scores,
                    left_stride: BLOCK,
                    layout: Left::Rows,
                    right: &value[start * wide..],
                    right_stride: wide,
                    out: &mut *sums,
                    out_stride: wide,
                    keep: true,
                });
            }
            for (row, output) in output.chunks_exact_mut(value_width).enumerate() {
                let total = totals[row];
                let (share, logarithm) = match total == 0.0 {
                    true => (0.0, f32::INFINITY),
                    false => (1.0 / total, highest[row] + total.ln()),
                };
                normalizer[row] = logarithm;
                for (output, sum) in output.iter_mut().zip(&sums[row * wide..]) {
                    *output = sum * share;
                }
            }
        }
    }
}

/// `[batch, heads, queries, value_width]`, and `[batch, heads, queries]`: the logarithm of each query's sum of exponentials, infinite if the query
/// sees no key.
pub(super) fn forward(
    arch: Arch,
    geometry: &Geometry,
    query: &[f32],
    key: &[f32],
    value: &[f32],
) -> (Vec<f32>, Vec<f32>) {
    let Geometry {
        batch,
        heads,
        queries,
        keys,
        width,
        value_width,
        ..
    } = *geometry;
    let mut output = zeros(batch * heads * queries * value_width);
    let mut normalizer = vec![f32::INFINITY; batch * heads * queries];
    if output.is_empty() || keys == 0 || width == 0 {
        return (output, normalizer);
    }
    output
        .par_chunks_exact_mut(queries * value_width)
        .zip(normalizer.par_chunks_exact_mut(queries))
        .zip(query.par_chunks_exact(queries * width))
        .enumerate()
        .for_each(|(head, ((output, normalizer), query))| {
            let head = head / geometry.group();
            with_workspace(scratch_length(geometry), |scratch| {
                arch.dispatch(Head {
                    geometry,
                    query,
                    key: &key[head * keys * width..(head + 1) * keys * width],
                    value: &value[head * keys * value_width..(head + 1) * keys * value_width],
                    output,
                    normalizer,
                    scratch,
                });
            });
        });
    (output, normalizer)
}

const _: () = assert!(BLOCK.is_multiple_of(COLUMNS));
