//! Convolutions of 3 × 3 taps with minimal filtering.
//!
//! Four outputs, two by two, are computed from sixteen products instead of thirty-six:
//!
//! ```text
//! Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A          d 4 × 4 inputs, g 3 × 3 taps, Y 2 × 2 outputs
//!
//!      1  0 -1  0           1    0    0            1  1  1  0
//! Bᵀ = 0  1  1  0       G = 1/2  1/2  1/2     Aᵀ = 0  1 -1 -1
//!      0 -1  1  0           1/2 -1/2  1/2
//!      0  1  0 -1           0    0    1
//! ```
//!
//! Each of the sixteen is summed over channels by a product of matrices, `[outputs, inputs] × [inputs, tiles]`. The products take 4/9 of the
//! operations. The transforms are a fixed number of additions per input and output, so the method is faster from about a dozen channels on. Results
//! differ from those of single taps by roundings, in the last one or two bits. A value that is not finite would spread over its tile, so images
//! with such an output are computed again tap by tap.
//!
//! # Source
//! Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016, section 4.1: F(2 × 2, 3 × 3).

use std::array;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::epilogue::Epilogue;
use super::forward::direct;
use super::geometry::{Geometry, SLACK, deinterleave};
use super::product::{BLOCK, Product, padded};
use crate::fresh::zeros;
use crate::parts::even_parts;
use crate::workspace::with_workspace;

/// Number of products of a tile.
const POINTS: usize = 16;

/// Tiles that are processed at a time, if there are as many: enough to make use of every loaded weight, and few enough for their inputs to stay in the
/// second-level cache.
const TILES: usize = 64;

/// From this number of channels on, the method is faster.
const CHANNELS: usize = 12;

/// Whether a convolution has this form and is large enough.
pub(super) fn suits(geometry: &Geometry) -> bool {
    geometry.kernel == [3, 3]
        && geometry.stride == [1, 1]
        && geometry.dilation == [1, 1]
        && geometry.groups == 1
        && geometry.channels_in.min(geometry.channels_out) >= CHANNELS
        && geometry.output.iter().all(|size| *size >= 4)
}

/// How the outputs of a batch are divided into tiles, and the tiles into blocks.
struct Tiling {
    /// Number of tiles of an image, down and across.
    grid: [usize; 2],
    /// Number of images of a block. It is more than one if images have few tiles.
    images: usize,
    /// Most rows of tiles of a block.
    rows: usize,
}

impl Tiling {
    fn new(geometry: &Geometry) -> Self {
        let grid = geometry.output.map(|size| size.div_ceil(2));
        let [down, across] = grid;
        Self {
            grid,
            images: TILES.div_ceil(down * across).min(geometry.batch.max(1)),
            rows: TILES.div_ceil(across).min(down),
        }
    }

    /// Most tiles of a block.
    fn tiles(&self) -> usize {
        self.images * self.rows * self.grid[1]
    }

    /// Number of values of one half of a line of inputs: its even or its odd columns.
    fn half(&self) -> usize {
        self.grid[1] + 1
    }
}

/// Transformed weights of a few output channels.
struct Block {
    first: usize,
    channels: usize,
    /// `[points, inputs, channels]`.
    weights: Vec<f32>,
}

fn blocks(geometry: &Geometry, weights: &[f32]) -> Vec<Block> {
    let inputs = geometry.channels_in;
    even_parts(geometry.channels_out, BLOCK)
        .map(|(first, channels)| {
            let mut packed = vec![0.0; POINTS * inputs * channels];
            for channel in 0..channels {
                let taps = &weights[(first + channel) * inputs * 9..][..inputs * 9];
                for (input, taps) in taps.chunks_exact(9).enumerate() {
                    for (point, value) in transformed(taps).into_iter().enumerate() {
                        packed[(point * inputs + input) * channels + channel] = value;
                    }
                }
            }
            Block {
                first,
                channels,
                weights: packed,
            }
        })
        .collect()
}

/// `G g Gᵀ`.
fn transformed(taps: &[f32]) -> [f32; POINTS] {
    let filter = |[a, b, c]: [f64; 3]| [a, 0.5 * (a + b + c), 0.5 * (a - b + c), c];
    let columns: [[f64; 4]; 3] =
        array::from_fn(|x| filter(array::from_fn(|y| f64::from(taps[3 * y + x]))));
    let rows: [[f64; 4]; 4] = array::from_fn(|y| filter(array::from_fn(|x| columns[x][y])));
    array::from_fn(|point| rows[point / 4][point % 4] as f32)
}

/// `[batch, channels_out, height, width]` from `[batch, channels_in, height, width]`.
pub(super) fn forward(
    arch: Arch,
    geometry: &Geometry,
    input: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
    epilogue: Epilogue,
) -> Vec<f32> {
    let tiling = Tiling::new(geometry);
    let blocks = blocks(geometry, weights);
    let [inputs, outputs] = [geometry.channels_in, geometry.channels_out];
    let (image_in, image_out) = (
        inputs * geometry.input_pixels(),
        outputs * geometry.output_pixels(),
    );
    let most = tiling.tiles();
    let lengths = [
        // Memory for one channel of a block of one image, and for the four lines that are added.
        (2 * tiling.rows + 2 + 4) * 2 * tiling.half(),
        POINTS * inputs * most + SLACK,
        POINTS * BLOCK * padded(most),
        4 * padded(most),
    ];
    let mut output = zeros(geometry.batch * image_out);
    output
        .par_chunks_mut(tiling.images * image_out)
        .zip(input.par_chunks(tiling.images * image_in))
        .for_each(|(output, input)| {
            with_workspace(lengths.iter().sum(), |scratch| {
                let (lines, scratch) = scratch.split_at_mut(lengths[0]);
                let (planes, scratch) = scratch.split_at_mut(lengths[1]);
                let (sums, quarters) = scratch.split_at_mut(lengths[2]);
                for (row, rows) in even_parts(tiling.grid[0], tiling.rows) {
                    let images = input.len() / image_in;
                    let tiles = images * rows * tiling.grid[1];
                    arch.dispatch(Scatter {
                        geometry,
                        tiling: &tiling,
                        input,
                        rows: [row, rows],
                        tiles,
                        lines,
                        planes,
                    });
                    let offsets: Vec<usize> = (0..inputs).map(|input| input * tiles).collect();
                    for block in &blocks {
                        let size = block.channels * padded(tiles);
                        let weights = block.weights.chunks_exact(inputs * block.channels);
                        for (point, (weights, sums)) in
                            weights.zip(sums.chunks_exact_mut(size)).enumerate()
                        {
                            arch.dispatch(Product {
                                planes: &planes[point * inputs * tiles..],
                                offsets: &offsets,
                                weights,
                                channels: block.channels,
                                run: tiles,
                                bias: [0.0; BLOCK],
                                epilogue: Epilogue::Identity,
                                out: sums,
                                stride: padded(tiles),
                            });
                        }
                        arch.dispatch(Gather {
                            geometry,
                            tiling: &tiling,
                            block,
                            bias,
                            rows: [row, rows],
                            stride: padded(tiles),
                            sums,
                            quarters,
                            output: &mut *output,
                        });
                    }
                }
            });
            if !finite(output) {
                let geometry = Geometry {
                    batch: input.len() / image_in,
                    ..geometry.clone()
                };
                let taps = direct(arch, &geometry, input, weights, bias, Epilogue::Identity);
                output.copy_from_slice(&taps);
            }
            // The epilogue comes last, because relu would hide a negative infinity.
            epilogue.apply(arch, output);
        });
    output
}

/// Whether all `values` are finite: only then their product with zero is zero.
fn finite(values: &[f32]) -> bool {
    let mut lanes = [0.0f32; 16];
    let mut chunks = values.chunks_exact(lanes.len());
    for chunk in &mut chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += 0.0 * value;
        }
    }
    lanes
        .iter()
        .chain(chunks.remainder())
        .all(|value| value.is_finite())
}

/// Transforms the inputs of a block to `[points, channels, tiles]`: `Bᵀ d B`.
struct Scatter<'a> {
    geometry: &'a Geometry,
    tiling: &'a Tiling,
    input: &'a [f32],
    /// The first row of tiles, and how many.
    rows: [usize; 2],
    /// Number of tiles of the block.
    tiles: usize,
    lines: &'a mut [f32],
    planes: &'a mut [f32],
}

impl WithSimd for Scatter<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self {
            geometry,
            tiling,
            input,
            rows: [first, rows],
            tiles,
            lines,
            planes,
        } = self;
        let (across, half) = (tiling.grid[1], tiling.half());
        let (lines, sums) = lines.split_at_mut((2 * tiling.rows + 2) * 2 * half);
        let [height, width] = geometry.input;
        for (index, channel) in input.chunks_exact(height * width).enumerate() {
            let (image, channel_in) = (index / geometry.channels_in, index % geometry.channels_in);
            for (line, out) in lines
                .chunks_exact_mut(2 * half)
                .take(2 * rows + 2)
                .enumerate()
            {
                let row = (2 * first + line).checked_sub(geometry.before[0]);
                let row = row.filter(|row| *row < height);
                let row = row.map(|row| &channel[row * width..(row + 1) * width]);
                let (even, odd) = out.split_at_mut(half);
                deinterleave(row.unwrap_or_default(), geometry.before[1], even, odd);
            }
            for row in 0..rows {
                let four = &lines[2 * row * 2 * half..][..4 * 2 * half];
                add_lines(four, sums);
                let at = (image * rows + row) * across;
                for (point_row, line) in sums.chunks_exact(2 * half).enumerate() {
                    let (even, odd) = line.split_at(half);
                    let (e0, e1) = (&even[..across], &even[1..]);
                    let (o0, o1) = (&odd[..across], &odd[1..]);
                    let mut point = |column: usize| {
                        let point = 4 * point_row + column;
                        (point * geometry.channels_in + channel_in) * tiles + at
                    };
                    let starts: [usize; 4] = array::from_fn(&mut point);
                    difference(&mut planes[starts[0]..][..across], e0, e1);
                    sum(&mut planes[starts[1]..][..across], o0, e1);
                    difference(&mut planes[starts[2]..][..across], e1, o0);
                    difference(&mut planes[starts[3]..][..across], o0, o1);
                }
            }
        }
    }
}

/// `Bᵀ` from the left: four sums of four lines.
#[inline(always)]
fn add_lines(lines: &[f32], sums: &mut [f32]) {
    let length = lines.len() / 4;
    let [a, b, c, d] = array::from_fn(|line| &lines[line * length..][..length]);
    let (first, rest) = sums.split_at_mut(length);
    let (second, rest) = rest.split_at_mut(length);
    let (third, fourth) = rest.split_at_mut(length);
    difference(first, a, c);
    sum(second, b, c);
    difference(third, c, b);
    difference(&mut fourth[..length], b, d);
}

#[inline(always)]
fn sum(out: &mut [f32], left: &[f32], right: &[f32]) {
    for ((out, left), right) in out.iter_mut().zip(left).zip(right) {
        *out = left + right;
    }
}

#[inline(always)]
fn difference(out: &mut [f32], left: &[f32], right: &[f32]) {
    for ((out, left), right) in out.iter_mut().zip(left).zip(right) {
        *out = left - right;
    }
}

/// Transforms the sums of a few channels, `[points, channels, tiles]`, to their outputs: `Aᵀ M A`.
struct Gather<'a> {
    geometry: &'a Geometry,
    tiling: &'a Tiling,
    block: &'a Block,
    bias: Option<&'a [f32]>,
    /// The first row of tiles, and how many.
    rows: [usize; 2],
    /// Length of the tiles of one channel.
    stride: usize,
    sums: &'a [f32],
    quarters: &'a mut [f32],
    output: &'a mut [f32],
}

impl WithSimd for Gather<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            geometry,
            tiling,
            block,
            bias,
            rows: [first, rows],
            stride,
            sums,
            quarters,
            output,
        } = self;
        let across = tiling.grid[1];
        let (pixels, [height, width]) = (geometry.output_pixels(), geometry.output);
        let image = geometry.channels_out * pixels;
        for channel in 0..block.channels {
            let bias = bias.map_or(0.0, |bias| bias[block.first + channel]);
            let points: [&[f32]; POINTS] = array::from_fn(|point| {
                &sums[(point * block.channels + channel) * stride..][..stride]
            });
            let tiles = output.len() / image * rows * across;
            outputs::<S>(simd, points, bias, tiles, &mut quarters[..4 * stride]);
            for (index, output) in output.chunks_exact_mut(image).enumerate() {
                let output = &mut output[(block.first + channel) * pixels..][..pixels];
                for row in 0..rows {
                    let at = (index * rows + row) * across;
                    for half in 0..2 {
                        let line = 2 * (first + row) + half;
                        if line == height {
                            continue;
                        }
                        let [left, right] = array::from_fn(|column| {
                            &quarters[(2 * half + column) * stride + at..][..across]
                        });
                        interleave(&mut output[line * width..(line + 1) * width], left, right);
                    }
                }
            }
        }
    }
}

/// `Aᵀ M A + bias` of `tiles` tiles, from `[points][stride]` to `[quarters, stride]`. Strides are whole tiles of vectors.
#[inline(always)]
fn outputs<S: Simd>(
    simd: S,
    points: [&[f32]; POINTS],
    bias: f32,
    tiles: usize,
    quarters: &mut [f32],
) {
    let (stride, lanes) = (quarters.len() / 4, S::F32_LANES);
    let bias = simd.splat_f32s(bias);
    for at in (0..tiles).step_by(lanes) {
        let mut m = [bias; POINTS];
        for (m, point) in m.iter_mut().zip(points) {
            *m = S::as_simd_f32s(&point[at..at + lanes]).0[0];
        }
        let (mut up, mut down) = ([bias; 4], [bias; 4]);
        for j in 0..4 {
            up[j] = simd.add_f32s(simd.add_f32s(m[j], m[4 + j]), m[8 + j]);
            down[j] = simd.sub_f32s(simd.sub_f32s(m[4 + j], m[8 + j]), m[12 + j]);
        }
        for (row, [a, b, c, d]) in [up, down].into_iter().enumerate() {
            let left = simd.add_f32s(simd.add_f32s(a, b), simd.add_f32s(c, bias));
            let right = simd.sub_f32s(simd.sub_f32s(b, c), simd.sub_f32s(d, bias));
            for (column, sum) in [left, right].into_iter().enumerate() {
                let out = &mut quarters[(2 * row + column) * stride + at..][..lanes];
                S::as_mut_simd_f32s(out).0[0] = sum;
            }
        }
    }
}

/// Interleaves: `left` at even indices, `right` at odd ones.
#[inline(always)]
fn interleave(out: &mut [f32], left: &[f32], right: &[f32]) {
    let mut pairs = out.chunks_exact_mut(2);
    for ((pair, left), right) in (&mut pairs).zip(left).zip(right) {
        (pair[0], pair[1]) = (*left, *right);
    }
    if let ([last], Some(left)) = (pairs.into_remainder(), left.last()) {
        *last = *left;
    }
}
