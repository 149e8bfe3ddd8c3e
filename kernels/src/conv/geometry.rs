//! The place of every value of a convolution after its input was laid out in planes.

use burn::backend::ops::ConvOptions;

/// Values that a kernel may read or write after the end of a run: a whole tile of the widest vectors.
pub(super) const SLACK: usize = 64;

/// Sizes of a two-dimensional convolution.
///
/// A stride of s takes every s-th row and column. The padded input is laid out as s·s planes, one for each remainder. Neighbours in the output are then
/// neighbours in a plane, and one loop over contiguous values serves every stride, dilation and padding. Output `(y, x)` of tap `(i, j)` reads
///
/// ```text
/// plane[(i d) mod s, (j d) mod s][y + (i d) / s][x + (j d) / s]
/// ```
///
/// Rows of the output have the length of a plane's rows, and the few values between two rows are dropped. On small images these would be many. There,
/// each column of the kernel gets its own planes, already shifted and as wide as the output, so that nothing is dropped.
#[derive(Clone, Debug)]
pub(super) struct Geometry {
    pub(super) batch: usize,
    pub(super) channels_in: usize,
    pub(super) channels_out: usize,
    pub(super) groups: usize,
    /// Height and width.
    pub(super) input: [usize; 2],
    pub(super) output: [usize; 2],
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) dilation: [usize; 2],
    /// Padding before the first row and column.
    pub(super) before: [usize; 2],
}

/// The place at which a tap reads along one axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tap {
    /// The remainder, which selects the plane.
    pub(super) phase: usize,
    /// The offset within the plane.
    pub(super) shift: usize,
}

impl Geometry {
    /// The sizes of `input ⊛ weight`; `None` if the output would be empty or a size does not fit.
    pub(super) fn new(
        input: [usize; 4],
        weight: [usize; 4],
        options: &ConvOptions<2>,
    ) -> Option<Self> {
        let [batch, channels_in, height, width] = input;
        let [channels_out, per_group, kernel_height, kernel_width] = weight;
        let groups = options.groups;
        let kernel = [kernel_height, kernel_width];
        if channels_in != per_group * groups || channels_out % groups != 0 {
            return None;
        }
        let mut output = [0; 2];
        for axis in 0..2 {
            let (before, after) = options.padding[axis];
            let padded = [height, width][axis] + before + after;
            let reach = options.dilation[axis] * kernel[axis].checked_sub(1)? + 1;
            output[axis] = padded.checked_sub(reach)? / options.stride[axis] + 1;
        }
        Some(Self {
            batch,
            channels_in,
            channels_out,
            groups,
            input: [height, width],
            output,
            kernel,
            stride: options.stride,
            dilation: options.dilation,
            before: options.padding_begin(),
        })
    }

    pub(super) fn inputs_per_group(&self) -> usize {
        self.channels_in / self.groups
    }

    pub(super) fn outputs_per_group(&self) -> usize {
        self.channels_out / self.groups
    }

    pub(super) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    pub(super) fn input_pixels(&self) -> usize {
        self.input[0] * self.input[1]
    }

    pub(super) fn output_pixels(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// Remainder and shift of tap `index` of `axis`.
    pub(super) fn tap(&self, axis: usize, index: usize) -> Tap {
        let at = index * self.dilation[axis];
        Tap {
            phase: at % self.stride[axis],
            shift: at / self.stride[axis],
        }
    }

    /// The largest shift of an axis.
    pub(super) fn reach(&self, axis: usize) -> usize {
        (self.kernel[axis] - 1) * self.dilation[axis] / self.stride[axis]
    }
}

/// The planes of one image's input.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planes {
    /// Rows and columns of a plane.
    rows: usize,
    pub(super) columns: usize,
    /// Number of remainders of rows, and of remainders (or taps) of columns.
    phases: [usize; 2],
    /// Whether planes are shifted, with one plane for each tap of a row.
    shifted: bool,
}

impl Planes {
    /// The layout for a product over taps.
    pub(super) fn new(geometry: &Geometry) -> Self {
        // Compares the dropped values with one more copy of the input per tap. The copies are faster if at least an eighth would be dropped.
        let shifted = geometry.output[0] > 1 && 8 * geometry.reach(1) > geometry.output[1];
        Self::with_columns(geometry, shifted)
    }

    /// The smallest layout, for loops that process one row at a time.
    pub(super) fn compact(geometry: &Geometry) -> Self {
        Self::with_columns(geometry, false)
    }

    fn with_columns(geometry: &Geometry, shifted: bool) -> Self {
        let size = |axis: usize| geometry.output[axis] + geometry.reach(axis);
        // If the stride is larger than the kernel, some remainders are read by no tap.
        let phases = |axis: usize| {
            (0..geometry.kernel[axis])
                .map(|index| geometry.tap(axis, index).phase + 1)
                .max()
                .unwrap_or(1)
        };
        Self {
            rows: size(0),
            columns: match shifted {
                true => geometry.output[1],
                false => size(1),
            },
            phases: match shifted {
                true => [phases(0), geometry.kernel[1]],
                false => [phases(0), phases(1)],
            },
            shifted,
        }
    }

    fn plane(&self) -> usize {
        self.rows * self.columns
    }

    /// Number of values of one channel.
    fn channel(&self) -> usize {
        self.phases[0] * self.phases[1] * self.plane()
    }

    /// Number of values of one image's input, including the slack.
    pub(super) fn len(&self, geometry: &Geometry) -> usize {
        geometry.channels_in * self.channel() + SLACK
    }

    /// Number of contiguous values from the first to the last output, including those between rows.
    pub(super) fn run(&self, geometry: &Geometry) -> usize {
        (geometry.output[0] - 1) * self.columns + geometry.output[1]
    }

    /// The first index of each tap, in the order of the weights: channel, row, column.
    pub(super) fn offsets(&self, geometry: &Geometry) -> Vec<usize> {
        let mut offsets = Vec::with_capacity(geometry.inputs_per_group() * geometry.taps());
        for channel in 0..geometry.inputs_per_group() {
            for row in 0..geometry.kernel[0] {
                for column in 0..geometry.kernel[1] {
                    let y = geometry.tap(0, row);
                    let x = match self.shifted {
                        true => Tap {
                            phase: column,
                            shift: 0,
                        },
                        false => geometry.tap(1, column),
                    };
                    let plane = y.phase * self.phases[1] + x.phase;
                    offsets.push(
                        channel * self.channel()
                            + plane * self.plane()
                            + y.shift * self.columns
                            + x.shift,
                    );
                }
            }
        }
        offsets
    }

    /// The index at which the channels of `group` start.
    pub(super) fn group(&self, geometry: &Geometry, group: usize) -> usize {
        group * geometry.inputs_per_group() * self.channel()
    }

    /// Lays out the channels of one image. `planes` has [`len`](Self::len) values; the slack at its end is not written.
    pub(super) fn fill(&self, geometry: &Geometry, image: &[f32], planes: &mut [f32]) {
        let [height, width] = geometry.input;
        let [stride_y, stride_x] = geometry.stride;
        let [top, left] = geometry.before;
        // Both remainders are laid out in one pass over a line.
        let pairs = !self.shifted && stride_x == 2 && self.phases[1] == 2;
        for (image, planes) in image
            .chunks_exact(height * width)
            .zip(planes.chunks_exact_mut(self.channel()))
        {
            let rows_of_planes = planes.chunks_exact_mut(self.phases[1] * self.plane());
            for (phase_y, planes) in rows_of_planes.enumerate() {
                for row in 0..self.rows {
                    let y = (row * stride_y + phase_y).checked_sub(top);
                    let line = match y.filter(|y| *y < height) {
                        Some(y) => &image[y * width..(y + 1) * width],
                        None => &[],
                    };
                    let at = row * self.columns;
                    if pairs {
                        let (even, odd) = planes.split_at_mut(self.plane());
                        let even = &mut even[at..at + self.columns];
                        deinterleave(line, left, even, &mut odd[at..at + self.columns]);
                        continue;
                    }
                    for (phase_x, plane) in planes.chunks_exact_mut(self.plane()).enumerate() {
                        let column = match self.shifted {
                            true => phase_x * geometry.dilation[1],
                            false => phase_x,
                        };
                        let (first, source) = first_inside(column, stride_x, left);
                        let line = line.get(source..).unwrap_or_default();
                        let out = behind_zeros(&mut plane[at..at + self.columns], first);
                        take_every(stride_x, line, out);
                    }
                }
            }
        }
    }
}

/// Fills the first `count` values of `out` with zeros, and gives the rest.
#[inline(always)]
fn behind_zeros(out: &mut [f32], count: usize) -> &mut [f32] {
    let (before, out) = out.split_at_mut(count.min(out.len()));
    before.fill(0.0);
    out
}

/// Copies every `stride`-th value of `line`, and fills the rest with zeros.
fn take_every(stride: usize, line: &[f32], out: &mut [f32]) {
    let (out, behind) = out.split_at_mut(out.len().min(line.len().div_ceil(stride)));
    behind.fill(0.0);
    if stride == 1 {
        out.copy_from_slice(&line[..out.len()]);
        return;
    }
    for (out, value) in out.iter_mut().zip(line.iter().step_by(stride)) {
        *out = *value;
    }
}

/// The even and the odd columns of `line`, with `before` columns of zeros before it and zeros after it.
#[inline(always)]
pub(super) fn deinterleave(line: &[f32], before: usize, even: &mut [f32], odd: &mut [f32]) {
    let halves = match before.is_multiple_of(2) {
        true => [even, odd],
        false => [odd, even],
    };
    // The first value is in column `before`, the second in the next.
    let [first, second] = halves;
    let first = behind_zeros(first, before / 2);
    let second = behind_zeros(second, before.div_ceil(2));
    let pairs = first.len().min(second.len()).min(line.len() / 2);
    for ((first, second), pair) in first[..pairs]
        .iter_mut()
        .zip(&mut second[..pairs])
        .zip(line.chunks_exact(2))
    {
        (*first, *second) = (pair[0], pair[1]);
    }
    take_every(2, &line[2 * pairs..], &mut first[pairs..]);
    let line = line.get(2 * pairs + 1..).unwrap_or_default();
    take_every(2, line, &mut second[pairs..]);
}

/// The first index of remainder `phase` after `padding`, and its place in the unpadded line.
pub(super) fn first_inside(phase: usize, stride: usize, padding: usize) -> (usize, usize) {
    let first = padding.saturating_sub(phase).div_ceil(stride);
    (first, first * stride + phase - padding)
}
