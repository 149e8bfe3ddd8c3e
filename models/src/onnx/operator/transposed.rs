//! Transposed convolutions of lines, images and volumes.

use burn::nn::conv::{ConvTranspose1d, ConvTranspose2d, ConvTranspose3d};
use burn::tensor::Device;
use crossburn_hardware::layer::{conv_transpose1d, conv_transpose2d, conv_transpose3d};

use super::super::dense::Dense;
use super::super::host::{Host, elements_of};
use super::super::layer::Layer;
use super::super::node::{Failure, Node, Reuse};
use super::super::value::{Call, Value};
use super::convolution::{StoredKernel, channels_and_kernel};
use super::window::{Padding, Window};
use super::{Operator, one};

pub(super) const KINDS: &[&str] = &["ConvTranspose"];

pub(super) fn build(node: &mut Node<'_, '_>) -> Result<Option<Box<dyn Operator>>, Failure> {
    let weight = node.weight(1, "weight")?;
    Ok(Some(match weight.shape() {
        [_, _, _] => Box::new(Transposed::<1>::build(node, &weight, line)?),
        [_, _, _, _] => Box::new(Transposed::<2>::build(node, &weight, image)?),
        [_, _, _, _, _] => Box::new(Transposed::<3>::build(node, &weight, volume)?),
        shape => return Err(format!("its weight has the shape {shape:?}").into()),
    }))
}

/// A transposed convolution over `N` axes. The layer computes the whole output; what padding takes off is cut afterwards.
#[derive(Debug)]
struct Transposed<const N: usize> {
    layer: usize,
    window: Window<N>,
    channels: usize,
    outputs: usize,
    /// Taken off before and after each axis.
    cut: [(usize, usize); N],
}

/// What a layer over `N` axes is made of.
struct Settings<'a, const N: usize> {
    kernel: StoredKernel<'a, N>,
    /// Elements that the output has after the last that a window reaches.
    extra: [usize; N],
}

impl<const N: usize> Settings<'_, N> {
    fn channels(&self) -> [usize; 2] {
        let shape = self.kernel.weight.shape();
        [shape[0], shape[1] * self.kernel.groups]
    }
}

fn line(settings: &Settings<'_, 1>, device: &Device) -> Layer {
    Layer::ConvTranspose1d(ConvTranspose1d {
        weight: settings.kernel.weight(device),
        bias: settings.kernel.bias(device),
        stride: settings.kernel.window.stride[0],
        kernel_size: settings.kernel.window.kernel[0],
        dilation: settings.kernel.window.dilation[0],
        groups: settings.kernel.groups,
        padding: 0,
        padding_out: settings.extra[0],
        channels: settings.channels(),
    })
}

fn image(settings: &Settings<'_, 2>, device: &Device) -> Layer {
    Layer::ConvTranspose2d(ConvTranspose2d {
        weight: settings.kernel.weight(device),
        bias: settings.kernel.bias(device),
        stride: settings.kernel.window.stride,
        kernel_size: settings.kernel.window.kernel,
        dilation: settings.kernel.window.dilation,
        groups: settings.kernel.groups,
        padding: [0; 2],
        padding_out: settings.extra,
        channels: settings.channels(),
    })
}

fn volume(settings: &Settings<'_, 3>, device: &Device) -> Layer {
    Layer::ConvTranspose3d(ConvTranspose3d {
        weight: settings.kernel.weight(device),
        bias: settings.kernel.bias(device),
        stride: settings.kernel.window.stride,
        kernel_size: settings.kernel.window.kernel,
        dilation: settings.kernel.window.dilation,
        groups: settings.kernel.groups,
        padding: [0; 3],
        padding_out: settings.extra,
        channels: settings.channels(),
    })
}

impl<const N: usize> Transposed<N> {
    fn build(
        node: &mut Node<'_, '_>,
        weight: &Host,
        make: fn(&Settings<'_, N>, &Device) -> Layer,
    ) -> Result<Self, Failure> {
        let ([inputs, outputs], kernel) = channels_and_kernel::<N>(weight)?;
        let attributes = &node.attributes;
        let window = Window::<N>::read(attributes, kernel)?;
        let Padding::Explicit(cut) = window.padding else {
            return Err(
                "auto_pad of a transposed convolution is not known: export pads"
                    .to_string()
                    .into(),
            );
        };
        if attributes.ints("output_shape")?.is_some() {
            return Err("output_shape is not known: export pads and output_padding"
                .to_string()
                .into());
        }
        let extra: [usize; N] = attributes.sizes("output_padding", 0)?;
        let groups = usize::try_from(attributes.int("group", 1)?).unwrap_or_default();
        if groups == 0 || inputs % groups != 0 {
            return Err(format!("{groups} groups do not share {inputs} inputs").into());
        }
        for axis in 0..N {
            if extra[axis] > 0 && extra[axis] >= window.stride[axis].max(window.dilation[axis]) {
                return Err(format!("output_padding = {extra:?} is not below the stride").into());
            }
        }
        let bias = node.vector(2, "bias", outputs * groups)?;
        let settings = Settings {
            kernel: StoredKernel {
                weight,
                bias: bias.as_deref(),
                window,
                groups,
            },
            extra,
        };
        let fields = settings.kernel.fields();
        let way = format!("transposed {window:?} {groups} {extra:?}");
        let layer = node.layer(fields, &way, Reuse::Refused, |device| {
            make(&settings, device)
        })?;
        Ok(Self {
            layer,
            window: Window {
                padding: Padding::Explicit([(0, 0); N]),
                ..window
            },
            channels: inputs,
            outputs: outputs * groups,
            cut,
        })
    }
}

impl<const N: usize> Operator for Transposed<N> {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let x = call.dense(0)?;
        let unfit = format!(
            "its weight takes {} channels and {N} axes more, the input has the shape {:?}",
            self.channels,
            x.shape()
        );
        let [batch, channels, size @ ..] = x.shape() else {
            return Err(unfit);
        };
        if *channels != self.channels || size.len() != N || x.shape().contains(&0) {
            return Err(unfit);
        }
        let mut shape = vec![*batch, self.outputs];
        for (axis, size) in size.iter().enumerate() {
            shape.push(size.saturating_mul(self.window.stride[axis]) + self.window.reach(axis));
        }
        elements_of(&shape)?;
        let mut y = match call.layer(self.layer) {
            Layer::ConvTranspose1d(layer) => Dense::new(conv_transpose1d(layer, x.with_axes()?)),
            Layer::ConvTranspose2d(layer) => Dense::new(conv_transpose2d(layer, x.with_axes()?)),
            Layer::ConvTranspose3d(layer) => Dense::new(conv_transpose3d(layer, x.with_axes()?)),
            _ => return Err("its layer is no transposed convolution".to_string()),
        };
        for (axis, (before, after)) in self.cut.iter().enumerate() {
            let size = y.shape()[axis + 2];
            let left = size.saturating_sub(before + after);
            y = y.every(axis + 2, *before, left, 1)?;
        }
        one(Value::Dense(y))
    }
}
