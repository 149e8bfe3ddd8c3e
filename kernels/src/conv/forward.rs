//! The convolution itself.

use pulp::Arch;
use rayon::prelude::*;

use super::epilogue::Epilogue;
use super::geometry::{Geometry, Planes};
use super::product::{BLOCK, Product, padded};
use super::winograd;
use crate::fresh::zeros;
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

impl Block {
    /// The biases of these channels, then zeros.
    fn of_channels(&self, bias: Option<&[f32]>) -> [f32; BLOCK] {
        let mut values = [0.0; BLOCK];
        if let Some(bias) = bias {
            values[..self.channels].copy_from_slice(&bias[self.first..][..self.channels]);
        }
        values
    }
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
    epilogue: Epilogue,
) -> Vec<f32> {
    match winograd::suits(geometry) {
        true => winograd::forward(arch, geometry, input, weights, bias, epilogue),
        false => direct(arch, geometry, input, weights, bias, epilogue),
    }
}

/// The same, computed tap by tap.
pub(super) fn direct(
    arch: Arch,
    geometry: &Geometry,
    input: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
    epilogue: Epilogue,
) -> Vec<f32> {
    let layout = Planes::new(geometry);
    let offsets = layout.offsets(geometry);
    let blocks = blocks(geometry, weights);
    let (run, pixels) = (layout.run(geometry), geometry.output_pixels());
    // If nothing lies between rows, the sums are the output.
    let in_place = run == pixels;
    let room = if in_place { 0 } else { BLOCK * padded(run) };
    let image = geometry.channels_out * pixels;
    let mut output = zeros(geometry.batch * image);
    output
        .par_chunks_exact_mut(image)
        .zip(input.par_chunks_exact(geometry.channels_in * geometry.input_pixels()))
        .for_each(|(output, input)| {
            let length = layout.len(geometry);
            with_workspace(length + room, |scratch| {
                let (planes, sums) = scratch.split_at_mut(length);
                layout.fill(geometry, input, planes);
                for block in &blocks {
                    let output = &mut output[block.first * pixels..][..block.channels * pixels];
                    let (out, stride) = match in_place {
                        true => (&mut *output, pixels),
                        false => (&mut sums[..block.channels * padded(run)], padded(run)),
                    };
                    arch.dispatch(Product {
                        planes: &planes[layout.group(geometry, block.group)..],
                        offsets: &offsets,
                        weights: &block.weights,
                        channels: block.channels,
                        run,
                        bias: block.of_channels(bias),
                        epilogue,
                        out,
                        stride,
                    });
                    if !in_place {
                        drop_between_rows(sums, padded(run), layout.columns, output, geometry);
                    }
                }
            });
        });
    output
}

/// Copies the outputs of a few channels without the values between two rows.
fn drop_between_rows(
    runs: &[f32],
    stride: usize,
    columns: usize,
    output: &mut [f32],
    geometry: &Geometry,
) {
    for (output, run) in output
        .chunks_exact_mut(geometry.output_pixels())
        .zip(runs.chunks_exact(stride))
    {
        for (line, run) in output
            .chunks_exact_mut(geometry.output[1])
            .zip(run.chunks(columns))
        {
            line.copy_from_slice(&run[..line.len()]);
        }
    }
}
