//! The gradients of the attention, one head of keys after the other, for one block of scores at a time.
//!
//! With `P` the shares, `dP = dO Vᵗ`, `D` the sum of `dO · O` over a row and `dS = scale · P (dP - D)`:
//! `dV = Pᵗ dO`, `dQ = dS K`, `dK = dSᵗ Q`. The shares are computed again from the scores and the saved logarithm of their sum. This takes five
//! products where the forward pass takes two, and is bound by arithmetic. All heads of the query that share a head of keys run on one thread, so
//! that no sum depends on the number of threads.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::forward::{QUERIES, Scores, key_blocks, transposed};
use super::geometry::Geometry;
use super::product::{BLOCK, Left, Product, pad, padded, room, take, transpose};
use crate::fresh::zeros;
use crate::softmax::powers;
use crate::workspace::with_workspace;

/// The inputs and results of the forward pass, and the gradient of the output.
#[derive(Clone, Copy)]
pub(super) struct Saved<'a> {
    pub(super) query: &'a [f32],
    pub(super) key: &'a [f32],
    pub(super) value: &'a [f32],
    pub(super) output: &'a [f32],
    pub(super) normalizer: &'a [f32],
    pub(super) gradient: &'a [f32],
}

/// The heads of the query that share a head of keys.
struct Group<'a> {
    geometry: &'a Geometry,
    saved: Saved<'a>,
    query: &'a mut [f32],
    key: &'a mut [f32],
    value: &'a mut [f32],
    scratch: &'a mut [f32],
}

fn scratch_length(geometry: &Geometry) -> usize {
    let (keys, queries) = (geometry.keys, geometry.queries);
    let (width, value_width) = (padded(geometry.width), padded(geometry.value_width));
    room(transposed(keys, geometry.width))
        + room(transposed(keys, geometry.value_width))
        + 2 * room(keys * width)
        + room(keys * value_width)
        + room(queries * width)
        + room(queries * value_width)
        + 2 * room(QUERIES * BLOCK)
        + room(QUERIES * width)
}

/// Copies `sums` to `out` without the padding of rows.
fn unpad(sums: &[f32], width: usize, out: &mut [f32]) {
    for (out, sums) in out
        .chunks_exact_mut(width)
        .zip(sums.chunks_exact(padded(width)))
    {
        out.copy_from_slice(&sums[..width]);
    }
}

/// `row = scale · shares (row - dot)`.
#[inline(always)]
fn score_gradient<S: Simd>(simd: S, shares: &[f32], row: &mut [f32], dot: f32, scale: f32) {
    let dot = simd.splat_f32s(dot);
    let scale = simd.splat_f32s(scale);
    let shares = S::as_simd_f32s(shares).0;
    for (value, share) in S::as_mut_simd_f32s(row).0.iter_mut().zip(shares) {
        let difference = simd.sub_f32s(*value, dot);
        *value = simd.mul_f32s(difference, simd.mul_f32s(*share, scale));
    }
}

impl WithSimd for Group<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            geometry,
            saved,
            query: query_out,
            key: key_out,
            value: value_out,
            scratch,
        } = self;
        let Geometry {
            queries,
            keys,
            width,
            value_width,
            ..
        } = *geometry;
        let scale = geometry.scale as f32;
        let (wide, value_wide) = (padded(width), padded(value_width));
        let (key_columns, scratch) = take(scratch, transposed(keys, width));
        let (value_columns, scratch) = take(scratch, transposed(keys, value_width));
        let (key_rows, scratch) = take(scratch, keys * wide);
        let (key_sums, scratch) = take(scratch, keys * wide);
        let (value_sums, scratch) = take(scratch, keys * value_wide);
        let (query_rows, scratch) = take(scratch, queries * wide);
        let (gradient_rows, scratch) = take(scratch, queries * value_wide);
        let (shares, scratch) = take(scratch, QUERIES * BLOCK);
        let (slopes, scratch) = take(scratch, QUERIES * BLOCK);
        let (query_sums, _) = take(scratch, QUERIES * wide);

        transpose(saved.key, width, scale, key_columns);
        transpose(saved.value, value_width, 1.0, value_columns);
        let key_rows = pad(saved.key, width, key_rows);
        key_sums.fill(0.0);
        value_sums.fill(0.0);

        let heads = query_out
            .chunks_exact_mut(queries * width)
            .zip(saved.query.chunks_exact(queries * width))
            .zip(saved.output.chunks_exact(queries * value_width))
            .zip(saved.gradient.chunks_exact(queries * value_width))
            .zip(saved.normalizer.chunks_exact(queries));
        for ((((query_out, query), output), gradient), normalizer) in heads {
            let query_rows = pad(query, width, query_rows);
            let gradient_rows = pad(gradient, value_width, gradient_rows);
            for (block, query_out) in query_out.chunks_mut(QUERIES * width).enumerate() {
                let (first, rows) = (block * QUERIES, query_out.len() / width);
                let query = &query[first * width..];
                let gradient = &gradient[first * value_width..];
                let output = &output[first * value_width..];
                let mut dots = [0.0; QUERIES];
                for (row, dot) in dots[..rows].iter_mut().enumerate() {
                    let at = row * value_width..(row + 1) * value_width;
                    let pairs = gradient[at.clone()].iter().zip(&output[at]);
                    *dot = pairs.map(|(gradient, output)| gradient * output).sum();
                }
                let query_sums = &mut query_sums[..rows * wide];
                query_sums.fill(0.0);
                for (block, start, count) in key_blocks(geometry, first, rows) {
                    let columns = padded(count);
                    Scores {
                        geometry,
                        query,
                        first,
                        rows,
                        key: &key_columns[block * BLOCK * width..],
                        start,
                        count,
                    }
                    .fill(simd, shares);
                    simd.vectorize(Product {
                        rows,
                        depth: value_width,
                        columns,
                        left: gradient,
                        left_stride: value_width,
                        layout: Left::Rows,
                        right: &value_columns[block * BLOCK * value_width..],
                        right_stride: BLOCK,
                        out: &mut *slopes,
                        out_stride: BLOCK,
                        keep: false,
                    });
                    let pairs = shares
                        .chunks_exact_mut(BLOCK)
                        .zip(slopes.chunks_exact_mut(BLOCK));
                    for (row, (shares, slopes)) in pairs.take(rows).enumerate() {
                        powers(simd, &mut shares[..columns], normalizer[first + row]);
                        score_gradient(
                            simd,
                            &shares[..columns],
                            &mut slopes[..columns],
                            dots[row],
                            scale,
                        );
                    }
                    simd.vectorize(Product {
                        rows: count,
                        depth: rows,
                        columns: value_wide,
                        left: &*shares,
                        left_stride: BLOCK,
                        layout: Left::Columns,
                        right: &gradient_rows[first * value_wide..],
                        right_stride: value_wide,
                        out: &mut value_sums[start * value_wide..],
                        out_stride: value_wide,
                        keep: true,
                    });
                    simd.vectorize(Product {
                        rows: count,
                        depth: rows,
                        columns: wide,
                        left: &*slopes,
                        left_stride: BLOCK,
                        layout: Left::Columns,
                        right: &query_rows[first * wide..],
                        right_stride: wide,
                        out: &mut key_sums[start * wide..],
                        out_stride: wide,
                        keep: true,
                    });
                    simd.vectorize(Product {
                        rows,
                        depth: count,
                        columns: wide,
                        left: &*slopes,
                        left_stride: BLOCK,
                        layout: Left::Rows,
                        right: &key_rows[start * wide..],
                        right_stride: wide,
                        out: &mut *query_sums,
                        out_stride: wide,
                        keep: true,
                    });
                }
                unpad(query_sums, width, query_out);
            }
        }
        unpad(key_sums, width, key_out);
        unpad(value_sums, value_width, value_out);
    }
}

/// The gradients of query, key and value, in their shapes.
pub(super) fn backward(arch: Arch, geometry: &Geometry, saved: Saved<'_>) -> [Vec<f32>; 3] {
    let mut gradients = [saved.query, saved.key, saved.value].map(|values| zeros(values.len()));
    let [query, key, value] = &mut gradients;
    if query.is_empty() || key.is_empty() || value.is_empty() {
        return gradients;
    }
    let rows = geometry.group() * geometry.queries;
    let query_length = rows * geometry.width;
    let output_length = rows * geometry.value_width;
    let key_length = geometry.keys * geometry.width;
    let value_length = geometry.keys * geometry.value_width;
    query
        .par_chunks_exact_mut(query_length)
        .zip(key.par_chunks_exact_mut(key_length))
        .zip(value.par_chunks_exact_mut(value_length))
        .enumerate()
        .for_each(|(head, ((query, key), value))| {
            let part = |length: usize| head * length..(head + 1) * length;
            let saved = Saved {
                query: &saved.query[part(query_length)],
                key: &saved.key[part(key_length)],
                value: &saved.value[part(value_length)],
                output: &saved.output[part(output_length)],
                normalizer: &saved.normalizer[part(rows)],
                gradient: &saved.gradient[part(output_length)],
            };
            with_workspace(scratch_length(geometry), |scratch| {
                arch.dispatch(Group {
                    geometry,
                    saved,
                    query,
                    key,
                    value,
                    scratch,
                });
            });
        });
    gradients
}
