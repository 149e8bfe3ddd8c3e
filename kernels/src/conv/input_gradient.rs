//! The gradient of the input: a convolution of the output gradient for each remainder of the stride.

use pulp::Arch;
use rayon::prelude::*;

use super::epilogue::Epilogue;
use super::forward::forward;
use super::geometry::{Geometry, SLACK};
use super::product::{BLOCK, Product, padded};
use crate::fresh::zeros;
use crate::parts::even_parts;
use crate::workspace::with_workspace;

/// The inputs whose padded row and column have the same remainders. The same taps read them.
struct Phase {
    /// The remainders of the padded row and column.
    remainder: [usize; 2],
    /// The first row and column of the phase inside the input, counted in strides.
    first: [usize; 2],
    /// Number of rows and columns inside the input.
    count: [usize; 2],
    /// The index in the gradient's plane at which each tap of each output channel starts.
    offsets: Vec<usize>,
    blocks: Vec<Block>,
}

/// Weights of a few input channels, tap by tap.
struct Block {
    group: usize,
    /// The first of these channels within the group.
    first: usize,
    channels: usize,
    /// `[output channel, tap] × channels`.
    weights: Vec<f32>,
}

/// The output gradient of one image, with zeros around it.
struct Frame {
    /// Number of zeros before the first row and column.
    before: [usize; 2],
    rows: usize,
    columns: usize,
}

impl Frame {
    /// Output `y` of a tap with shift `e` contributes to row `q = y + e` of a phase, so a phase reads rows from `-e` on.
    fn new(geometry: &Geometry) -> Self {
        let [height, width] = geometry.input;
        // The last row inside the input, rounded up over all phases.
        let last =
            |axis: usize, size: usize| (size - 1 + geometry.before[axis]) / geometry.stride[axis];
        let before = [geometry.reach(0), geometry.reach(1)];
        Self {
            before,
            rows: before[0] + geometry.output[0].max(last(0, height) + 1),
            columns: before[1] + geometry.output[1].max(last(1, width) + 1),
        }
    }

    fn plane(&self) -> usize {
        self.rows * self.columns
    }

    fn len(&self, geometry: &Geometry) -> usize {
        geometry.channels_out * self.plane() + SLACK
    }

    fn fill(&self, geometry: &Geometry, gradient: &[f32], frame: &mut [f32]) {
        frame.fill(0.0);
        let width = geometry.output[1];
        for (gradient, plane) in gradient
            .chunks_exact(geometry.output_pixels())
            .zip(frame.chunks_exact_mut(self.plane()))
        {
            let rows = plane.chunks_exact_mut(self.columns).skip(self.before[0]);
            for (line, out) in gradient.chunks_exact(width).zip(rows) {
                out[self.before[1]..self.before[1] + width].copy_from_slice(line);
            }
        }
    }
}

impl Phase {
    fn new(
        geometry: &Geometry,
        frame: &Frame,
        remainder: [usize; 2],
        weights: &[f32],
    ) -> Option<Self> {
        let mut first = [0; 2];
        let mut count = [0; 2];
        for axis in 0..2 {
            let (at, inside) = super::geometry::first_inside(
                remainder[axis],
                geometry.stride[axis],
                geometry.before[axis],
            );
            first[axis] = at;
            count[axis] = geometry.input[axis]
                .checked_sub(inside)
                .filter(|left| *left > 0)
                .map(|left| left.div_ceil(geometry.stride[axis]))?;
        }
        let taps = |axis: usize| {
            (0..geometry.kernel[axis])
                .map(move |index| (index, geometry.tap(axis, index)))
                .filter(move |(_, tap)| tap.phase == remainder[axis])
        };
        let taps: Vec<(usize, usize)> = taps(0)
            .flat_map(|(row, y)| taps(1).map(move |(column, x)| (row, y, column, x)))
            .map(|(row, y, column, x)| {
                let at = (first[0] + frame.before[0] - y.shift) * frame.columns
                    + first[1]
                    + frame.before[1]
                    - x.shift;
                (row * geometry.kernel[1] + column, at)
            })
            .collect();
        let outputs = geometry.outputs_per_group();
        let offsets = (0..outputs)
            .flat_map(|channel| taps.iter().map(move |(_, at)| channel * frame.plane() + at))
            .collect();
        let inputs = geometry.inputs_per_group();
        let blocks = (0..geometry.groups)
            .flat_map(|group| even_parts(inputs, BLOCK).map(move |part| (group, part)))
            .map(|(group, (first, channels))| {
                let mut packed = Vec::with_capacity(outputs * taps.len() * channels);
                for output in 0..outputs {
                    for (tap, _) in &taps {
                        packed.extend((first..first + channels).map(|input| {
                            let row = (group * outputs + output) * inputs + input;
                            weights[row * geometry.taps() + tap]
                        }));
                    }
                }
                Block {
                    group,
                    first,
                    channels,
                    weights: packed,
                }
            })
            .collect();
        Some(Self {
            remainder,
            first,
            count,
            offsets,
            blocks,
        })
    }

    fn run(&self, frame: &Frame) -> usize {
        (self.count[0] - 1) * frame.columns + self.count[1]
    }
}

/// `[batch, channels_in, height, width]` from the output gradient.
pub(super) fn input_gradient(
    arch: Arch,
    geometry: &Geometry,
    weights: &[f32],
    gradient: &[f32],
) -> Vec<f32> {
    if let Some(turned) = turned(geometry) {
        return forward(
            arch,
            &turned,
            gradient,
            &turned_weights(geometry, weights),
            None,
            Epilogue::Identity,
        );
    }
    let frame = Frame::new(geometry);
    let phases: Vec<Phase> = (0..geometry.stride[0])
        .flat_map(|y| (0..geometry.stride[1]).map(move |x| [y, x]))
        .filter_map(|remainder| Phase::new(geometry, &frame, remainder, weights))
        .collect();
    let run = phases.iter().map(|phase| phase.run(&frame)).max();
    let run = run.unwrap_or(0);
    let image = geometry.channels_in * geometry.input_pixels();
    let mut output = zeros(geometry.batch * image);
    output
        .par_chunks_exact_mut(image)
        .zip(gradient.par_chunks_exact(geometry.channels_out * geometry.output_pixels()))
        .for_each(|(output, gradient)| {
            let length = frame.len(geometry);
            with_workspace(length + BLOCK * padded(run), |scratch| {
                let (values, sums) = scratch.split_at_mut(length);
                frame.fill(geometry, gradient, values);
                for phase in &phases {
                    phase.add(arch, geometry, &frame, values, sums, output);
                }
            });
        });
    output
}

/// With stride one, the gradient is itself a convolution, with reversed weights. `None` if the padding is larger than the kernel.
fn turned(geometry: &Geometry) -> Option<Geometry> {
    if geometry.stride != [1, 1] {
        return None;
    }
    let mut before = [0; 2];
    for (axis, before) in before.iter_mut().enumerate() {
        *before = geometry.reach(axis).checked_sub(geometry.before[axis])?;
    }
    Some(Geometry {
        channels_in: geometry.channels_out,
        channels_out: geometry.channels_in,
        input: geometry.output,
        output: geometry.input,
        before,
        ..geometry.clone()
    })
}

/// `[groups, outputs, inputs, taps]`, converted to `[groups, inputs, outputs, reversed taps]`.
fn turned_weights(geometry: &Geometry, weights: &[f32]) -> Vec<f32> {
    let (inputs, outputs, taps) = (
        geometry.inputs_per_group(),
        geometry.outputs_per_group(),
        geometry.taps(),
    );
    let mut turned = Vec::with_capacity(weights.len());
    for group in weights.chunks_exact(outputs * inputs * taps) {
        for input in 0..inputs {
            for output in group.chunks_exact(inputs * taps) {
                turned.extend(output[input * taps..(input + 1) * taps].iter().rev());
            }
        }
    }
    turned
}

impl Phase {
    fn add(
        &self,
        arch: Arch,
        geometry: &Geometry,
        frame: &Frame,
        values: &[f32],
        sums: &mut [f32],
        output: &mut [f32],
    ) {
        let run = self.run(frame);
        let inputs = geometry.inputs_per_group();
        for block in &self.blocks {
            let sums = &mut sums[..block.channels * padded(run)];
            arch.dispatch(Product {
                planes: &values[block.group * geometry.outputs_per_group() * frame.plane()..],
                offsets: &self.offsets,
                weights: &block.weights,
                channels: block.channels,
                run,
                bias: [0.0; BLOCK],
                epilogue: Epilogue::Identity,
                out: &mut *sums,
                stride: padded(run),
            });
            for (c, sums) in sums.chunks_exact(padded(run)).enumerate() {
                let pixels = geometry.input_pixels();
                let channel = block.group * inputs + block.first + c;
                let output = &mut output[channel * pixels..(channel + 1) * pixels];
                for (row, sums) in sums.chunks(frame.columns).take(self.count[0]).enumerate() {
                    let place = |axis: usize, index: usize| {
                        (self.first[axis] + index) * geometry.stride[axis] + self.remainder[axis]
                            - geometry.before[axis]
                    };
                    let line =
                        &mut output[place(0, row) * geometry.input[1]..][..geometry.input[1]];
                    line[place(1, 0)..]
                        .iter_mut()
                        .step_by(geometry.stride[1])
                        .zip(sums)
                        .for_each(|(out, sum)| *out = *sum);
                }
            }
        }
    }
}
