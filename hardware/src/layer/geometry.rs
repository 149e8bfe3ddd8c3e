//! A layer as matrix products: which inputs every output position multiplies with.

use std::ops::Range;

/// The geometry of a convolution on `[batch, channels, depth, height, width]`. Images have a depth of 1, lines also a height of 1. A linear
/// layer is a convolution of images with one pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// Input channels of all groups.
    pub(crate) channels: usize,
    /// Output channels of all groups.
    pub(crate) outputs: usize,
    /// Depth, height and width of the input.
    pub(crate) size: [usize; 3],
    pub(crate) kernel: [usize; 3],
    pub(crate) stride: [usize; 3],
    /// Before and after: added to the input, or taken off the output of a transposed convolution.
    pub(crate) padding: [(usize, usize); 3],
    pub(crate) dilation: [usize; 3],
    pub(crate) groups: usize,
    pub(crate) direction: Direction,
}

/// Which way a convolution goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Output `o` meets input `o · stride + tap · dilation - padding`.
    Forward,
    /// Input `i` meets output `i · stride + tap · dilation - padding`. The output has `extra` positions more at its end. Inputs
    /// that a position does not meet are zero: their lines of the array carry nothing.
    Transposed { extra: [usize; 3] },
}

impl Geometry {
    pub(crate) fn linear(inputs: usize, outputs: usize) -> Self {
        Self {
            channels: inputs,
            outputs,
            size: [1; 3],
            kernel: [1; 3],
            stride: [1; 3],
            padding: [(0, 0); 3],
            dilation: [1; 3],
            groups: 1,
            direction: Direction::Forward,
        }
    }

    /// Depth, height and width of the output.
    pub(crate) fn output_size(&self) -> [usize; 3] {
        [0, 1, 2].map(|axis| {
            let (before, after) = self.padding[axis];
            let reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
            match self.direction {
                Direction::Forward => {
                    let room = (self.size[axis] + before + after).checked_sub(reach);
                    room.map_or(0, |room| room / self.stride[axis] + 1)
                }
                Direction::Transposed { extra } => {
                    let last = self.size[axis].saturating_sub(1) * self.stride[axis];
                    (last + reach + extra[axis]).saturating_sub(before + after)
                }
            }
        })
    }

    /// Output positions of an image.
    pub(crate) fn positions(&self) -> usize {
        self.output_size().iter().product()
    }

    /// Inputs that one position of one group multiplies with: channels of the group times taps.
    pub(crate) fn inputs(&self) -> usize {
        self.channels / self.groups * self.taps()
    }

    fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// The inputs of every position of `group` in `images`: `[images · positions, inputs]`, taps of a channel next to each
    /// other as in Burn's weights, zeros where a tap lies in the padding.
    pub(crate) fn patches<T: Copy + Default>(
        &self,
        x: &[T],
        images: Range<usize>,
        group: usize,
    ) -> Vec<T> {
        if *self == Self::linear(self.channels, self.outputs) {
            return x[images.start * self.channels..images.end * self.channels].to_vec();
        }
        let mut out = vec![T::default(); images.len() * self.positions() * self.inputs()];
        match (self.direction, self.kernel[2]) {
            (Direction::Transposed { .. }, _) => self.spread(x, images, group, &mut out),
            (Direction::Forward, 1) => self.fill::<1, T>(x, images, group, &mut out),
            (Direction::Forward, 3) => self.fill::<3, T>(x, images, group, &mut out),
            (Direction::Forward, 5) => self.fill::<5, T>(x, images, group, &mut out),
            (Direction::Forward, _) => self.fill::<0, T>(x, images, group, &mut out),
        }
        out
    }

    /// The places in an image of the inputs of every position of `group`: the number of an element, from 1, by channel,
    /// depth, height and width, or 0 for the padding. In the order of [`Self::patches`].
    pub(crate) fn places(&self, group: usize) -> Vec<i32> {
        let elements = self.channels * self.size.iter().product::<usize>();
        let numbers: Vec<i32> = (1..=elements as i32).collect();
        self.patches(&numbers, 0..1, group)
    }

    /// Fills in what is not padding. Kernels are `WIDE` taps wide, or of any width where that is 0: runs of a known length
    /// are copied without a call.
    fn fill<const WIDE: usize, T: Copy>(
        &self,
        x: &[T],
        images: Range<usize>,
        group: usize,
        out: &mut [T],
    ) {
        let [depth, height, width] = self.size;
        let [_, tap_rows, tap_columns] = self.kernel;
        let (taps, channels) = (self.taps(), self.channels / self.groups);
        if channels * taps == 0 {
            return;
        }
        let [layers, rows, columns] = self.output_size();
        let inside =
            |axis, count| -> Vec<Taps> { (0..count).map(|at| self.inside(axis, at)).collect() };
        let (layers, rows, columns) = (inside(0, layers), inside(1, rows), inside(2, columns));
        let [deep, down, right] = self.dilation;
        let volume = depth * height * width;
        let mut positions = out.chunks_exact_mut(channels * taps);
        for image in images {
            let first = (image * self.channels + group * channels) * volume;
            let planes = &x[first..first + channels * volume];
            for (layer, row) in pairs(&layers, &rows) {
                for (column, patch) in columns.iter().zip(&mut positions) {
                    if column.taps.is_empty() {
                        continue;
                    }
                    let whole = WIDE > 0 && column.taps.len() == WIDE && right == 1;
                    let channels = patch
                        .chunks_exact_mut(taps)
                        .zip(planes.chunks_exact(volume));
                    for (patch, plane) in channels {
                        for (step, tap_layer) in layer.taps.clone().enumerate() {
                            let layer = layer.first + step * deep;
                            let mut at = (layer * height + row.first) * width + column.first;
                            for tap_row in row.taps.clone() {
                                let from = (tap_layer * tap_rows + tap_row) * tap_columns;
                                let patch = &mut patch[from..][..tap_columns];
                                let run = plane[at..].first_chunk::<WIDE>();
                                match (run, patch.first_chunk_mut::<WIDE>()) {
                                    (Some(run), Some(patch)) if whole => *patch = *run,
                                    _ => {
                                        let run = plane[at..].iter().step_by(right);
                                        let patch = patch[column.taps.clone()].iter_mut();
                                        for (value, x) in patch.zip(run) {
                                            *value = *x;
                                        }
                                    }
                                }
                                at += down * width;
                            }
                        }
                    }
                }
            }
        }
    }

    /// The taps along an axis that lie inside the input at the output position `at`.
    fn inside(&self, axis: usize, at: usize) -> Taps {
        let (start, before) = (at * self.stride[axis], self.padding[axis].0);
        let step = self.dilation[axis];
        let from = before.saturating_sub(start).div_ceil(step);
        let to = (self.size[axis] + before)
            .saturating_sub(start)
            .div_ceil(step)
            .min(self.kernel[axis]);
        Taps {
            taps: from..to.max(from),
            first: (start + from * step).saturating_sub(before),
        }
    }

    /// Fills in what the positions of a transposed convolution meet.
    fn spread<T: Copy>(&self, x: &[T], images: Range<usize>, group: usize, out: &mut [T]) {
        let [depth, height, width] = self.size;
        let [_, tap_rows, tap_columns] = self.kernel;
        let (taps, channels) = (self.taps(), self.channels / self.groups);
        if channels * taps == 0 {
            return;
        }
        let [layers, rows, columns] = self.output_size();
        let met =
            |axis, count| -> Vec<Vec<Met>> { (0..count).map(|at| self.met(axis, at)).collect() };
        let (layers, rows, columns) = (met(0, layers), met(1, rows), met(2, columns));
        let volume = depth * height * width;
        let mut positions = out.chunks_exact_mut(channels * taps);
        for image in images {
            let first = (image * self.channels + group * channels) * volume;
            let planes = &x[first..first + channels * volume];
            for (layer, row) in pairs(&layers, &rows) {
                for (column, patch) in columns.iter().zip(&mut positions) {
                    let channels = patch
                        .chunks_exact_mut(taps)
                        .zip(planes.chunks_exact(volume));
                    for (patch, plane) in channels {
                        for (layer, row) in pairs(layer, row) {
                            let to = (layer.tap * tap_rows + row.tap) * tap_columns;
                            let from = (layer.input * height + row.input) * width;
                            for column in column {
                                patch[to + column.tap] = plane[from + column.input];
                            }
                        }
                    }
                }
            }
        }
    }

    /// The inputs and taps that contribute to the output position `at` of a transposed convolution, along an axis.
    fn met(&self, axis: usize, at: usize) -> Vec<Met> {
        let end = at + self.padding[axis].0;
        let of = |tap: usize| {
            let start = end.checked_sub(tap * self.dilation[axis])?;
            let input = start / self.stride[axis];
            let meets = start.is_multiple_of(self.stride[axis]) && input < self.size[axis];
            meets.then_some(Met { tap, input })
        };
        (0..self.kernel[axis]).filter_map(of).collect()
    }
}

/// Every pair of one and the other, the latter faster.
fn pairs<'a, T>(slow: &'a [T], fast: &'a [T]) -> impl Iterator<Item = (&'a T, &'a T)> {
    slow.iter()
        .flat_map(move |slow| fast.iter().map(move |fast| (slow, fast)))
}

/// Taps inside the input.
struct Taps {
    taps: Range<usize>,
    /// The place of the first of them in the input.
    first: usize,
}

/// A tap and the input that it multiplies with.
struct Met {
    tap: usize,
    input: usize,
}
