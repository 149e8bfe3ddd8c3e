//! Pools: the largest or the mean of a window, or of all.

use burn::backend::Dispatch;
use burn::backend::ops::FloatTensorOps;
use burn::nn::PaddingConfig2d;
use burn::nn::pool::{AvgPool2d, MaxPool2d};
use burn::tensor::Tensor;
use crossburn_kernels::{avg_pool2d, max_pool2d};

use super::super::dense::Dense;
use super::super::node::{Failure, Node};
use super::super::value::{Call, Value};
use super::window::{Padding, Window};
use super::{Operator, one};

pub(super) const KINDS: &[&str] = &[
    "AveragePool",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "MaxPool",
];

pub(super) fn build(node: &mut Node<'_, '_>) -> Result<Option<Box<dyn Operator>>, Failure> {
    let kind = match node.proto.op_type.as_str() {
        "GlobalAveragePool" => {
            return Ok(Some(Box::new(Global(Kind::Mean {
                counts_padding: false,
            }))));
        }
        "GlobalMaxPool" => return Ok(Some(Box::new(Global(Kind::Largest)))),
        "MaxPool" => {
            if node.attributes.int("storage_order", 0)? != 0 || node.proto.output.len() > 1 {
                return Err(
                    "places of the largest values are not given: export it without them"
                        .to_string()
                        .into(),
                );
            }
            Kind::Largest
        }
        _ => Kind::Mean {
            counts_padding: node.attributes.flag("count_include_pad", false)?,
        },
    };
    let kernel = node.attributes.ints("kernel_shape")?.unwrap_or_default();
    Ok(Some(match kernel.len() {
        1 => Box::new(Pool::<1>::build(node, kind)?),
        2 => Box::new(Pool::<2>::build(node, kind)?),
        3 => Box::new(Pool::<3>::build(node, kind)?),
        _ => return Err(format!("kernel_shape = {kernel:?} is not one of 1 to 3 axes").into()),
    }))
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Largest,
    Mean { counts_padding: bool },
}

/// A pool over `N` axes.
#[derive(Debug)]
struct Pool<const N: usize> {
    kind: Kind,
    window: Window<N>,
    /// Whether a last window that reaches over the end counts.
    ceil: bool,
}

impl<const N: usize> Pool<N> {
    fn build(node: &Node<'_, '_>, kind: Kind) -> Result<Self, Failure> {
        let attributes = &node.attributes;
        let kernel = attributes.sizes("kernel_shape", 1)?;
        let window = Window::read(attributes, kernel)?;
        if let Padding::Explicit(pads) = window.padding {
            for axis in 0..N {
                if pads[axis].0.max(pads[axis].1) >= window.reach(axis) {
                    return Err(format!("pads = {pads:?} are larger than the window").into());
                }
            }
        }
        if matches!(kind, Kind::Mean { .. }) && window.dilation != [1; N] {
            return Err("dilations of a mean are not known".to_string().into());
        }
        Ok(Self {
            kind,
            window,
            ceil: attributes.flag("ceil_mode", false)?,
        })
    }

    /// The padding, and how much more after the end a last window over the end needs.
    fn around(&self, size: [usize; N]) -> [(usize, usize, usize); N] {
        let pads = self.window.around(size);
        std::array::from_fn(|axis| {
            let (before, after) = pads[axis];
            let stride = self.window.stride[axis];
            let room = size[axis] + before + after - self.window.reach(axis);
            let over = (stride - room % stride) % stride;
            // A window that starts in the padding after the input does not count.
            let last = (room + over) / stride * stride;
            let counts = self.ceil && over > 0 && last < size[axis] + before;
            (before, after, if counts { over } else { 0 })
        })
    }

    /// The pool of images of one channel: `[images, 1, height, width]`.
    fn images(
        &self,
        x: Tensor<4>,
        kernel: [usize; 2],
        stride: [usize; 2],
        dilation: [usize; 2],
        padding: PaddingConfig2d,
    ) -> Tensor<4> {
        match self.kind {
            Kind::Largest => max_pool2d(
                &MaxPool2d {
                    stride,
                    kernel_size: kernel,
                    padding,
                    dilation,
                    ceil_mode: false,
                },
                x,
            ),
            Kind::Mean { .. } => avg_pool2d(
                &AvgPool2d {
                    stride,
                    kernel_size: kernel,
                    padding,
                    count_include_pad: true,
                    ceil_mode: false,
                },
                x,
            ),
        }
    }

    /// The pool without padding.
    fn slide(&self, x: Dense) -> Result<Dense, String> {
        self.slide_padded(x, PaddingConfig2d::Valid)
    }

    /// The pool with the `padding` of images.
    fn slide_padded(&self, x: Dense, padding: PaddingConfig2d) -> Result<Dense, String> {
        let shape = x.shape().to_vec();
        let (batch, channels) = (shape[0], shape[1]);
        let Window {
            kernel,
            stride,
            dilation,
            ..
        } = self.window;
        match N {
            1 => {
                let x = x
                    .reshaped(vec![batch, channels, 1, shape[2]])?
                    .with_axes()?;
                let y = self.images(x, [1, kernel[0]], [1, stride[0]], [1, dilation[0]], padding);
                let y = Dense::new(y);
                let length = y.shape()[3];
                y.reshaped(vec![batch, channels, length])
            }
            2 => {
                let pair = |values: [usize; N]| [values[0], values[N - 1]];
                let x = x.with_axes()?;
                let y = self.images(x, pair(kernel), pair(stride), pair(dilation), padding);
                Ok(Dense::new(y))
            }
            _ => {
                // Rows and columns of every layer first, then the layers: both the largest and the mean of a box are those of
                // its layers.
                let last = |values: [usize; N]| [values[N - 2], values[N - 1]];
                let flat = vec![batch, channels * shape[2], shape[3], shape[4]];
                let x = x.reshaped(flat)?.with_axes()?;
                let y = Dense::new(self.images(
                    x,
                    last(kernel),
                    last(stride),
                    last(dilation),
                    padding.clone(),
                ));
                let (height, width) = (y.shape()[2], y.shape()[3]);
                let y = y.reshaped(vec![batch, channels, shape[2], height * width])?;
                let y = self.images(
                    y.with_axes()?,
                    [kernel[0], 1],
                    [stride[0], 1],
                    [dilation[0], 1],
                    padding,
                );
                let y = Dense::new(y);
                let depth = y.shape()[2];
                y.reshaped(vec![batch, channels, depth, height, width])
            }
        }
    }
}

impl<const N: usize> Operator for Pool<N> {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let x = call.dense(0)?;
        let size = self.window.sizes(&x)?;
        let around = self.around(size);
        let none = around
            .iter()
            .all(|(before, after, over)| before + after + over == 0);
        if none {
            return one(Value::Dense(self.slide(x)?));
        }
        let pads = around.map(|(before, after, over)| (before, after + over));
        let counts_padding = match self.kind {
            // The pool of images pads by itself.
            Kind::Largest if N == 2 => {
                let [(top, bottom), (left, right)] = [pads[0], pads[N - 1]];
                let padding = PaddingConfig2d::Explicit(top, left, bottom, right);
                return one(Value::Dense(self.slide_padded(x, padding)?));
            }
            Kind::Largest => {
                let padded = Window::filled(x, pads, f32::NEG_INFINITY)?;
                return one(Value::Dense(self.slide(padded)?));
            }
            Kind::Mean { counts_padding } => counts_padding,
        };
        // The mean over what counts is the mean over the whole window by the share that counts, which is a mean itself.
        let ones = |shape: Vec<usize>| {
            let count: usize = shape.iter().product();
            Dense::flat(Tensor::ones([count], &x.device()), shape)
        };
        let mut plane = vec![1, 1];
        plane.extend(size);
        let share = match counts_padding {
            true => {
                let asked = around.map(|(before, after, _)| (before, after));
                let counted = Window::filled(ones(plane), asked, 1.0)?;
                Window::filled(counted, around.map(|(_, _, over)| (0, over)), 0.0)?
            }
            false => Window::filled(ones(plane), pads, 0.0)?,
        };
        let mean = self.slide(Window::filled(x, pads, 0.0)?)?;
        let mean = mean.with(self.slide(share)?, Dispatch::float_div)?;
        one(Value::Dense(mean))
    }
}

/// One value of a whole channel.
#[derive(Debug)]
struct Global(Kind);

impl Operator for Global {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let x = call.dense(0)?;
        let axes: Vec<usize> = (2..x.rank()).collect();
        let reduced = match self.0 {
            Kind::Largest => x.reduced(&axes, Dispatch::float_max_dim),
            Kind::Mean { .. } => x.reduced(&axes, Dispatch::float_mean_dim),
        };
        one(Value::Dense(reduced?))
    }
}
