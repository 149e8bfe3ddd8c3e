//! The gradients of the weights and of the bias.

use pulp::Arch;
use rayon::prelude::*;

use super::geometry::{Geometry, Planes};
use super::product::{Outer, block};
use crate::parts::even_parts;
use crate::workspace::with_workspace;

/// The batch is cut into parts. Each part is summed separately, then the parts are added in order, so that the sum does not depend on the number of
/// threads. The number of parts is limited so that their sums fit into 4 MiB.
fn parts(batch: usize, weights: usize) -> Vec<(usize, usize)> {
    let count = ((1 << 20) / weights.max(1)).clamp(4, 16);
    even_parts(batch, batch.div_ceil(count).max(1)).collect()
}

/// Values of a few images that are processed together, so that sums are added up less often. They fill most of a second-level cache of 512 KiB.
const TOGETHER: usize = 96 << 10;

/// `[channels_out, channels_in / groups, kernel, kernel]` from input and output gradient.
pub(super) fn weight_gradient(
    arch: Arch,
    geometry: &Geometry,
    input: &[f32],
    gradient: &[f32],
) -> Vec<f32> {
    let layout = Planes::compact(geometry);
    let offsets = layout.offsets(geometry);
    let per_group = geometry.outputs_per_group();
    let block = block(arch, per_group);
    let channels = per_group.next_multiple_of(block);
    let (plane_stride, row_stride) = (layout.len(geometry), geometry.output_pixels() * channels);
    let (input_image, output_image) = (
        geometry.channels_in * geometry.input_pixels(),
        geometry.channels_out * geometry.output_pixels(),
    );
    let together = (TOGETHER / (plane_stride + row_stride)).clamp(1, 16);
    let part = |(first, count): (usize, usize)| {
        let mut sums = vec![0.0; geometry.groups * offsets.len() * channels];
        with_workspace(together * (plane_stride + row_stride), |scratch| {
            let (planes, rows) = scratch.split_at_mut(together * plane_stride);
            let images = input[first * input_image..(first + count) * input_image]
                .chunks(together * input_image)
                .zip(
                    gradient[first * output_image..(first + count) * output_image]
                        .chunks(together * output_image),
                );
            for (input, gradient) in images {
                let images = input.len() / input_image;
                for (input, planes) in input
                    .chunks_exact(input_image)
                    .zip(planes.chunks_exact_mut(plane_stride))
                {
                    layout.fill(geometry, input, planes);
                }
                for (group, sums) in sums.chunks_exact_mut(offsets.len() * channels).enumerate() {
                    let size = per_group * geometry.output_pixels();
                    for (gradient, rows) in gradient
                        .chunks_exact(output_image)
                        .zip(rows.chunks_exact_mut(row_stride))
                    {
                        let gradient = &gradient[group * size..(group + 1) * size];
                        blocks_of_channels(gradient, per_group, block, rows);
                    }
                    arch.dispatch(Outer {
                        planes: &*planes,
                        plane_stride,
                        start: layout.group(geometry, group),
                        offsets: &offsets,
                        columns: layout.columns,
                        rows: &*rows,
                        row_stride,
                        images,
                        output: geometry.output,
                        block,
                        sums,
                    });
                }
            }
        });
        sums
    };
    let partial: Vec<Vec<f32>> = parts(geometry.batch, geometry.groups * offsets.len() * channels)
        .into_par_iter()
        .map(part)
        .collect();
    let sums = sum_in_order(partial);
    let taps = offsets.len();
    let mut weights = vec![0.0; geometry.channels_out * taps];
    for (row, weights) in weights.chunks_exact_mut(taps).enumerate() {
        let (group, channel) = (row / per_group, row % per_group);
        let sums = &sums[group * taps * channels..];
        for (weight, sums) in weights.iter_mut().zip(sums.chunks_exact(channels)) {
            *weight = sums[channel];
        }
    }
    weights
}

/// `[channels, pixels]` as `[blocks, pixels, block]`; missing channels are zero.
fn blocks_of_channels(gradient: &[f32], channels: usize, block: usize, rows: &mut [f32]) {
    let pixels = gradient.len() / channels;
    for (gradient, rows) in gradient
        .chunks(block * pixels)
        .zip(rows.chunks_exact_mut(block * pixels))
    {
        let present = gradient.len() / pixels;
        // A few pixels at a time, so that what is written stays in the first-level cache.
        for (start, rows) in (0..pixels).step_by(16).zip(rows.chunks_mut(16 * block)) {
            for row in rows.chunks_exact_mut(block) {
                row[present..].fill(0.0);
            }
            for (channel, line) in gradient.chunks_exact(pixels).enumerate() {
                for (row, value) in rows.chunks_exact_mut(block).zip(&line[start..]) {
                    row[channel] = *value;
                }
            }
        }
    }
}

fn sum_in_order(partial: Vec<Vec<f32>>) -> Vec<f32> {
    const PIECE: usize = 1 << 14;
    let mut partial = partial.into_iter();
    let mut total = partial.next().unwrap_or_default();
    let rest: Vec<Vec<f32>> = partial.collect();
    total
        .par_chunks_mut(PIECE)
        .enumerate()
        .for_each(|(piece, total)| {
            for part in &rest {
                total
                    .iter_mut()
                    .zip(&part[piece * PIECE..])
                    .for_each(|(total, value)| *total += value);
            }
        });
    total
}

/// `[channels_out]`: the sum of the output gradient over images and pixels.
pub(super) fn bias_gradient(channels: usize, pixels: usize, gradient: &[f32]) -> Vec<f32> {
    (0..channels)
        .into_par_iter()
        .map(|channel| {
            let sum: f64 = gradient
                .chunks_exact((channels * pixels).max(1))
                .map(|image| {
                    let line = &image[channel * pixels..(channel + 1) * pixels];
                    // Eight sums side by side, which the compiler puts into one vector.
                    let mut sums = [0.0f32; 8];
                    let mut eights = line.chunks_exact(8);
                    for eight in &mut eights {
                        sums.iter_mut().zip(eight).for_each(|(sum, v)| *sum += v);
                    }
                    let rest: f32 = eights.remainder().iter().sum();
                    f64::from(sums.iter().sum::<f32>() + rest)
                })
                .sum();
            sum as f32
        })
        .collect()
}
