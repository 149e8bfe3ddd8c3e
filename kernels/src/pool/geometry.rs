//! Which values are in each window of a pool.

use std::ops::Range;

use burn::nn::{PaddingConfig1d, PaddingConfig2d};

/// Values that are worth a thread.
const GRAIN: usize = 16 << 10;

/// One axis of a pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub(super) input: usize,
    pub(super) output: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
    pub(super) dilation: usize,
}

impl Axis {
    /// `None` if no window fits.
    fn new(
        input: usize,
        [kernel, stride, padding, dilation]: [usize; 4],
        ceil_mode: bool,
    ) -> Option<Self> {
        let reach = dilation * kernel.checked_sub(1)? + 1;
        let free = (input + 2 * padding).checked_sub(reach)?;
        let mut output = match ceil_mode {
            false => free.checked_div(stride)? + 1,
            true => free.div_ceil(stride) + 1,
        };
        // A last window that would start after the end of the input is not counted.
        if ceil_mode && (output - 1) * stride >= input + padding {
            output -= 1;
        }
        (input > 0 && output > 0).then_some(Self {
            input,
            output,
            kernel,
            stride,
            padding,
            dilation,
        })
    }

    /// The taps of a window that are inside the input.
    pub(super) fn taps(&self, window: usize) -> Range<usize> {
        let start = window * self.stride;
        let before = self.padding.saturating_sub(start).div_ceil(self.dilation);
        let until = (self.input + self.padding)
            .saturating_sub(start)
            .div_ceil(self.dilation);
        let end = until.min(self.kernel);
        before.min(end)..end
    }

    /// The windows whose tap `tap` is inside the input.
    pub(super) fn windows(&self, tap: usize) -> Range<usize> {
        let start = tap * self.dilation;
        let before = self.padding.saturating_sub(start).div_ceil(self.stride);
        let until = (self.input + self.padding)
            .saturating_sub(start)
            .div_ceil(self.stride);
        let end = until.min(self.output);
        before.min(end)..end
    }

    /// The index that a tap reads. The tap must be inside the input.
    pub(super) fn at(&self, window: usize, tap: usize) -> usize {
        window * self.stride + tap * self.dilation - self.padding
    }

    /// Number of values of a window, including padding.
    pub(super) fn padded(&self, window: usize) -> usize {
        (self.input + 2 * self.padding)
            .saturating_sub(window * self.stride)
            .min(self.kernel)
    }

    /// Whether windows are adjacent pairs.
    fn pairs(&self) -> bool {
        let Self {
            kernel,
            stride,
            padding,
            dilation,
            ..
        } = *self;
        [kernel, stride, padding, dilation] == [2, 2, 0, 1] && 2 * self.output <= self.input
    }
}

/// Rows and columns of a pool. They are the same for every plane (a channel of an image).
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    pub(super) rows: Axis,
    pub(super) columns: Axis,
}

impl Geometry {
    /// For an input `[batch, channels, height, width]`; `None` if there is nothing to pool.
    pub(super) fn new(
        input: [usize; 4],
        kernel: [usize; 2],
        stride: [usize; 2],
        padding: [(usize, usize); 2],
        dilation: [usize; 2],
        ceil_mode: bool,
    ) -> Option<Self> {
        let axis = |axis: usize| {
            let sizes = [kernel[axis], stride[axis], padding[axis].0, dilation[axis]];
            Axis::new(input[2 + axis], sizes, ceil_mode)
        };
        let same = padding.iter().all(|(before, after)| before == after);
        let geometry = Self {
            rows: axis(0)?,
            columns: axis(1)?,
        };
        (same && input[0] * input[1] > 0).then_some(geometry)
    }

    pub(super) fn input(&self) -> usize {
        self.rows.input * self.columns.input
    }

    pub(super) fn output(&self) -> usize {
        self.rows.output * self.columns.output
    }

    /// Number of planes that a thread takes at once.
    pub(super) fn planes_at_once(&self) -> usize {
        (GRAIN / self.input()).max(1)
    }

    /// Whether windows are adjacent squares of two by two.
    pub(super) fn squares(&self) -> bool {
        self.rows.pairs() && self.columns.pairs()
    }
}

/// Every `stride`-th value of a line, `count` of them.
///
/// Strides of 1 and 2 are compiled separately, so that loops over them become vector instructions.
#[inline(always)]
pub(super) fn strided(
    line: &[f32],
    stride: usize,
    count: usize,
    mut visit: impl FnMut(usize, f32),
) {
    if count == 0 {
        return;
    }
    match stride {
        1 => {
            for (index, value) in line[..count].iter().enumerate() {
                visit(index, *value);
            }
        }
        2 => {
            let last = count - 1;
            let pairs = &line[..2 * last].as_chunks::<2>().0[..last];
            for (index, pair) in pairs.iter().enumerate() {
                visit(index, pair[0]);
            }
            visit(last, line[2 * last]);
        }
        _ => {
            for (index, value) in line.iter().step_by(stride).take(count).enumerate() {
                visit(index, *value);
            }
        }
    }
}

/// Padding of `[height, width]`, if it is the same on both sides of each axis.
pub(super) fn symmetric(
    padding: &PaddingConfig2d,
    input: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
) -> Option<[usize; 2]> {
    match padding {
        PaddingConfig2d::Valid => Some([0, 0]),
        PaddingConfig2d::Same => {
            let axis = |axis: usize| same(input[axis], kernel[axis], stride[axis]);
            Some([axis(0)?, axis(1)?])
        }
        PaddingConfig2d::Explicit(top, left, bottom, right) => {
            (top == bottom && left == right).then_some([*top, *left])
        }
    }
}

/// The same as [`symmetric`] for a line.
pub(super) fn symmetric_line(
    padding: &PaddingConfig1d,
    input: usize,
    kernel: usize,
    stride: usize,
) -> Option<usize> {
    match padding {
        PaddingConfig1d::Valid => Some(0),
        PaddingConfig1d::Same => same(input, kernel, stride),
        PaddingConfig1d::Explicit(left, right) => (left == right).then_some(*left),
    }
}

/// Padding with which every `stride`-th value gets a window.
fn same(input: usize, kernel: usize, stride: usize) -> Option<usize> {
    let windows = input
        .checked_add(stride)?
        .checked_sub(1)?
        .checked_div(stride)?;
    let needed = windows.saturating_sub(1) * stride + kernel;
    let total = match windows {
        0 => 0,
        _ => needed.saturating_sub(input),
    };
    (total % 2 == 0).then_some(total / 2)
}
