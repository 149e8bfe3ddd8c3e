//! A layer as matrix products: which inputs every output position multiplies with.

use std::ops::Range;

/// The geometry of a convolution on `[batch, channels, height, width]`; a linear layer is one of images of one pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// Input channels of all groups.
    pub(crate) channels: usize,
    /// Height and width of the input.
    pub(crate) size: [usize; 2],
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    /// Before and behind.
    pub(crate) padding: [(usize, usize); 2],
    pub(crate) dilation: [usize; 2],
    pub(crate) groups: usize,
}

impl Geometry {
    pub(crate) fn linear(inputs: usize) -> Self {
        Self {
            channels: inputs,
            size: [1, 1],
            kernel: [1, 1],
            stride: [1, 1],
            padding: [(0, 0); 2],
            dilation: [1, 1],
            groups: 1,
        }
    }

    /// Height and width of the output.
    pub(crate) fn output_size(&self) -> [usize; 2] {
        [0, 1].map(|axis| {
            let (before, behind) = self.padding[axis];
            let reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
            let room = (self.size[axis] + before + behind).checked_sub(reach);
            room.map_or(0, |room| room / self.stride[axis] + 1)
        })
    }

    /// Output positions of an image.
    pub(crate) fn positions(&self) -> usize {
        self.output_size().iter().product()
    }

    /// Inputs that one position of one group multiplies with: channels of the group times taps.
    pub(crate) fn inputs(&self) -> usize {
        self.channels / self.groups * self.kernel[0] * self.kernel[1]
    }

    /// The inputs of every position of `group` in `images`: `[images · positions, inputs]`, taps of a channel next to each
    /// other as in Burn's weights, zeros where a tap lies in the padding.
    pub(crate) fn patches(&self, x: &[f32], images: Range<usize>, group: usize) -> Vec<f32> {
        let [height, width] = self.size;
        let [rows, columns] = self.output_size();
        let (taps, channels) = (self.kernel[0] * self.kernel[1], self.channels / self.groups);
        let mut out = vec![0.0; images.len() * self.positions() * self.inputs()];
        if self.inputs() == 0 {
            return out;
        }
        let mut positions = out.chunks_exact_mut(channels * taps);
        for image in images {
            let first = (image * self.channels + group * channels) * height * width;
            let planes = &x[first..first + channels * height * width];
            for row in 0..rows {
                for column in 0..columns {
                    let Some(patch) = positions.next() else {
                        return out;
                    };
                    self.patch(planes, [row, column], patch);
                }
            }
        }
        out
    }

    /// The inputs of one position from the planes of one image and group.
    fn patch(&self, planes: &[f32], position: [usize; 2], patch: &mut [f32]) {
        let [height, width] = self.size;
        let taps = self.kernel[0] * self.kernel[1];
        let place = |axis: usize, tap: usize| {
            let at = position[axis] * self.stride[axis] + tap * self.dilation[axis];
            at.checked_sub(self.padding[axis].0)
                .filter(|at| *at < self.size[axis])
        };
        for tap_row in 0..self.kernel[0] {
            let Some(row) = place(0, tap_row) else {
                continue;
            };
            for tap_column in 0..self.kernel[1] {
                let Some(column) = place(1, tap_column) else {
                    continue;
                };
                let tap = tap_row * self.kernel[1] + tap_column;
                let plane = planes
                    .iter()
                    .skip(row * width + column)
                    .step_by(height * width);
                patch
                    .iter_mut()
                    .skip(tap)
                    .step_by(taps)
                    .zip(plane)
                    .for_each(|(value, x)| *value = *x);
            }
        }
    }
}
