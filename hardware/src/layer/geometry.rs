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
    /// Before and after.
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
            let (before, after) = self.padding[axis];
            let reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
            let room = (self.size[axis] + before + after).checked_sub(reach);
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
        if *self == Self::linear(self.channels) {
            return x[images.start * self.channels..images.end * self.channels].to_vec();
        }
        let mut out = vec![0.0; images.len() * self.positions() * self.inputs()];
        match self.kernel[1] {
            1 => self.fill::<1>(x, images, group, &mut out),
            3 => self.fill::<3>(x, images, group, &mut out),
            5 => self.fill::<5>(x, images, group, &mut out),
            _ => self.fill::<0>(x, images, group, &mut out),
        }
        out
    }

    /// Fills in what is not padding. Kernels are `WIDE` taps wide, or of any width where that is 0: runs of a known length
    /// are copied without a call.
    fn fill<const WIDE: usize>(
        &self,
        x: &[f32],
        images: Range<usize>,
        group: usize,
        out: &mut [f32],
    ) {
        let [height, width] = self.size;
        let [rows, columns] = self.output_size();
        let [tap_rows, tap_columns] = self.kernel;
        let (taps, channels) = (tap_rows * tap_columns, self.channels / self.groups);
        if channels * taps == 0 {
            return;
        }
        let inside =
            |axis, count| -> Vec<Taps> { (0..count).map(|at| self.inside(axis, at)).collect() };
        let (rows, columns) = (inside(0, rows), inside(1, columns));
        let [down, right] = self.dilation;
        let mut positions = out.chunks_exact_mut(channels * taps);
        for image in images {
            let first = (image * self.channels + group * channels) * height * width;
            let planes = &x[first..first + channels * height * width];
            for row in &rows {
                for (column, patch) in columns.iter().zip(&mut positions) {
                    if column.taps.is_empty() {
                        continue;
                    }
                    let whole = WIDE > 0 && column.taps.len() == WIDE && right == 1;
                    let channels = patch
                        .chunks_exact_mut(taps)
                        .zip(planes.chunks_exact(height * width));
                    for (patch, plane) in channels {
                        let mut at = row.first * width + column.first;
                        for tap_row in row.taps.clone() {
                            let patch = &mut patch[tap_row * tap_columns..][..tap_columns];
                            let run = plane[at..].first_chunk::<WIDE>();
                            match (run, patch.first_chunk_mut::<WIDE>()) {
                                (Some(run), Some(patch)) if whole => *patch = *run,
                                _ => {
                                    let run = plane[at..].iter().step_by(right);
                                    for (value, x) in patch[column.taps.clone()].iter_mut().zip(run)
                                    {
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
}

/// Taps inside the input.
struct Taps {
    taps: Range<usize>,
    /// Where in the input the first of them lies.
    first: usize,
}
