//! How a window slides over the axes of an image: what convolutions and pools share.

use super::super::attributes::Attributes;
use super::super::dense::Dense;

/// The window of a node over `N` axes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window<const N: usize> {
    pub(super) kernel: [usize; N],
    pub(super) stride: [usize; N],
    pub(super) dilation: [usize; N],
    pub(super) padding: Padding<N>,
}

/// The padding of the input.
#[derive(Clone, Copy, Debug)]
pub(super) enum Padding<const N: usize> {
    /// As many elements before and after each axis.
    Explicit([(usize, usize); N]),
    /// As many as keep the output as large as the input over the stride; of an odd number, the larger half after the input, or
    /// before it.
    Same { more_before: bool },
}

impl<const N: usize> Window<N> {
    /// The window that the attributes describe, of which `kernel` is the size.
    ///
    /// # Errors
    /// Sizes that no window has.
    pub(super) fn read(attributes: &Attributes<'_>, kernel: [usize; N]) -> Result<Self, String> {
        let given: [usize; N] = attributes.sizes("kernel_shape", 0)?;
        if given != [0; N] && given != kernel {
            return Err(format!(
                "kernel_shape = {given:?}, the weight has {kernel:?}"
            ));
        }
        let window = Self {
            kernel,
            stride: attributes.sizes("strides", 1)?,
            dilation: attributes.sizes("dilations", 1)?,
            padding: Self::padding(attributes)?,
        };
        for (name, sizes) in [
            ("kernel_shape", window.kernel),
            ("strides", window.stride),
            ("dilations", window.dilation),
        ] {
            if sizes.contains(&0) {
                return Err(format!("{name} = {sizes:?} is not above zero"));
            }
        }
        Ok(window)
    }

    fn padding(attributes: &Attributes<'_>) -> Result<Padding<N>, String> {
        let mut explicit = [(0, 0); N];
        if let Some(pads) = attributes.ints("pads")? {
            let sizes = pads.iter().map(|pad| usize::try_from(*pad).ok());
            let sizes: Option<Vec<usize>> = sizes.collect();
            let fits = |sizes: &Vec<usize>| {
                sizes.len() == 2 * N && sizes.iter().all(|size| *size <= 1 << 20)
            };
            let Some(sizes) = sizes.filter(fits) else {
                return Err(format!("pads = {pads:?} are not {} sizes", 2 * N));
            };
            for (axis, pad) in explicit.iter_mut().enumerate() {
                *pad = (sizes[axis], sizes[axis + N]);
            }
        }
        Ok(match attributes.text("auto_pad", "NOTSET")?.as_str() {
            "NOTSET" => Padding::Explicit(explicit),
            "VALID" => Padding::Explicit([(0, 0); N]),
            "SAME_UPPER" => Padding::Same { more_before: false },
            "SAME_LOWER" => Padding::Same { more_before: true },
            other => return Err(format!("auto_pad = {other:?} is not known")),
        })
    }

    /// Elements that the window reaches over along an axis.
    pub(super) fn reach(&self, axis: usize) -> usize {
        self.dilation[axis] * (self.kernel[axis] - 1) + 1
    }

    /// The padding around an input of `size`.
    pub(super) fn around(&self, size: [usize; N]) -> [(usize, usize); N] {
        let more_before = match self.padding {
            Padding::Explicit(pads) => return pads,
            Padding::Same { more_before } => more_before,
        };
        std::array::from_fn(|axis| {
            let outputs = size[axis].div_ceil(self.stride[axis]);
            let covered = outputs.saturating_sub(1) * self.stride[axis] + self.reach(axis);
            let missing = covered.saturating_sub(size[axis]);
            let (small, large) = (missing / 2, missing.div_ceil(2));
            if more_before {
                (large, small)
            } else {
                (small, large)
            }
        })
    }

    /// The axes of `x` after batch and channels.
    ///
    /// # Errors
    /// Another number of axes, and an input that the window does not fit into.
    pub(super) fn sizes(&self, x: &Dense) -> Result<[usize; N], String> {
        let unfit = || {
            format!(
                "its input has the shape {:?}, not batch, channels and {N} axes more",
                x.shape()
            )
        };
        let [batch, channels, sizes @ ..] = x.shape() else {
            return Err(unfit());
        };
        let size: [usize; N] = sizes.try_into().map_err(|_| unfit())?;
        if *batch == 0 || *channels == 0 {
            return Err(format!("its input of shape {:?} is empty", x.shape()));
        }
        let pads = self.around(size);
        for axis in 0..N {
            let room = size[axis] + pads[axis].0 + pads[axis].1;
            if size[axis] == 0 || room < self.reach(axis) {
                return Err(format!(
                    "a window over {} elements does not fit into an input of {size:?}",
                    self.reach(axis)
                ));
            }
        }
        Ok(size)
    }

    /// `x` with `value` around it, so that no padding is left to do.
    ///
    /// # Errors
    /// A tensor that is too large.
    pub(super) fn filled(x: Dense, pads: [(usize, usize); N], value: f32) -> Result<Dense, String> {
        let axes = pads.into_iter().enumerate();
        axes.filter(|(_, pad)| *pad != (0, 0))
            .try_fold(x, |x, (axis, (before, after))| {
                x.padded(axis + 2, before, after, value)
            })
    }
}
