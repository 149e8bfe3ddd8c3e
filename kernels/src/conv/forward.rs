//! The convolution itself.

use pulp::Arch;
use rayon::prelude::*;

use super::geometry::{Geometry, Planes};
use super::product::{BLOCK, Product, padded};
use super::winograd;
use crate::parts::even_parts;
use crate::workspace::with_workspace;

/// Weights of a few output channels, tap by tap.
struct Block {
    group: usize,
    first: usize,
    channels: usize,
    /// `[taps, channels]`.
    weights: Vec<f32>,
}

fn blocks(geometry: &Geometry, weights: &[f32]) -> Vec<Block> {
    let taps = geometry.inputs_per_group() * geometry.taps();
    let per_group = geometry.outputs_per_group();
    (0..geometry.groups)
        .flat_map(|group| even_parts(per_group, BLOCK).map(move |part| (group, part)))
        .map(|(group, (first, channels))| {
            let first = group * per_group + first;
            let rows = &weights[first * taps..(first + channels) * taps];
            let mut packed = vec![0.0; rows.len()];
            for (c, row) in rows.chunks_exact(taps).enumerate() {
                for (k, weight) in row.iter().enumerate() {
                    packed[k * channels + c] = *weight;
                }
            }
            Block {
                group,
                first,
                channels,
                weights: packed,
            }
        })
        .collect()
}

/// `[batch, channels_out, height, width]` from `[batch, channels_in, height, width]`.
pub(super) fn forward(
    arch: Arch,
    geometry: &Geometry,
    input: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
) -> Vec<f32> {
    match winograd::suits(geometry) {
        true => winograd::forward(arch, geometry, input, weights, bias),
        false => direct(arch, geometry, input, weights, bias),
    }
}

/// The same, tap by tap.
pub(super) fn direct(
    arch: Arch,
    geometry: &Geometry,
    input: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let layout = Planes::new(geometry);
    let offsets = layout.offsets(geometry);
    let blocks = blocks(geometry, weights);
    let run = layout.run(geometry);
    let image = geometry.channels_out * geometry.output_pixels();
    let mut output = vec![0.0; geometry.batch * image];
    output
        .par_chunks_exact_mut(image)
        .zip(input.par_chunks_exact(geometry.channels_in * geometry.input_pixels()))
        .for_each(|(output, input)| {
            let length = layout.len(geometry);
            with_workspace(length + BLOCK * padded(run), |scratch| {
                let (planes, sums) = scratch.split_at_mut(length);
                layout.fill(geometry, input, planes);
                for block in &blocks {
                    let sums = &mut sums[..block.channels * padded(run)];
                    arch.dispatch(Product {
                        planes: &planes[layout.group(geometry, block.group)..],
                        offsets: &offsets,
                        weights: &block.weights,
                        channels: block.channels,
                        run,
                        out: &mut *sums,
                    });
                    for (c, sums) in sums.chunks_exact(padded(run)).enumerate() {
                        let channel = block.first + c;
                        let bias = bias.map_or(0.0, |bias| bias[channel]);
                        let pixels = geometry.output_pixels();
                        let output = &mut output[channel * pixels..(channel + 1) * pixels];
                        for (out, sums) in output
                            .chunks_exact_mut(geometry.output[1])
                            .zip(sums.chunks(layout.columns))
                        {
                            out.iter_mut()
                                .zip(sums)
                                .for_each(|(out, sum)| *out = sum + bias);
                        }
                    }
                }
            });
        });
    output
}
