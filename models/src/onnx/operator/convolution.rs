//! Convolutions of lines, images and volumes. Those of lines and images may lie on arrays.

use burn::module::Param;
use burn::nn::conv::{Conv1d, Conv2d, Conv3d};
use burn::nn::{PaddingConfig1d, PaddingConfig2d, PaddingConfig3d};
use burn::tensor::{Device, Tensor, TensorData};
use crossburn_hardware::layer::{conv1d, conv2d, conv2d_relu, conv3d};

use super::super::dense::Dense;
use super::super::host::{Host, elements_of};
use super::super::layer::Layer;
use super::super::node::{Failure, Node, Reuse, vector};
use super::super::origin::Field;
use super::super::value::{Call, Value};
use super::window::{Padding, Window};
use super::{Operator, one};

pub(super) const KINDS: &[&str] = &["Conv"];

pub(super) fn build(node: &mut Node<'_, '_>) -> Result<Option<Box<dyn Operator>>, Failure> {
    let weight = node.weight(1, "weight")?;
    Ok(Some(match weight.shape() {
        [_, _, _] => Box::new(Convolution::<1>::build(node, &weight, line)?),
        [_, _, _, _] => Box::new(Convolution::<2>::build(node, &weight, image)?),
        [_, _, _, _, _] => Box::new(Convolution::<3>::build(node, &weight, volume)?),
        shape => return Err(format!("its weight has the shape {shape:?}").into()),
    }))
}

/// A convolution over `N` axes.
#[derive(Debug)]
struct Convolution<const N: usize> {
    layer: usize,
    window: Window<N>,
    /// Input channels.
    channels: usize,
    /// Output channels.
    outputs: usize,
    /// Whether a relu follows.
    relu: bool,
}

/// The stored kernel of a convolution over `N` axes, transposed or not.
pub(super) struct StoredKernel<'a, const N: usize> {
    pub(super) weight: &'a Host,
    pub(super) bias: Option<&'a Host>,
    pub(super) window: Window<N>,
    pub(super) groups: usize,
}

impl<const N: usize> StoredKernel<'_, N> {
    pub(super) fn weight<const D: usize>(&self, device: &Device) -> Param<Tensor<D>> {
        let shape = self.weight.shape().to_vec();
        Param::from_data(TensorData::new(self.weight.floats(), shape), device)
    }

    pub(super) fn bias(&self, device: &Device) -> Option<Param<Tensor<1>>> {
        self.bias.map(|bias| vector(&bias.floats(), device))
    }

    /// The tensors of its layer.
    pub(super) fn fields(&self) -> &'static [Field] {
        const FIELDS: &[Field] = &[Field::new("weight", 1), Field::new("bias", 2)];
        match self.bias {
            Some(_) => FIELDS,
            None => &FIELDS[..1],
        }
    }

    /// Padding that the layer does; none where the input is padded before it.
    fn pads(&self) -> [(usize, usize); N] {
        match self.window.padding {
            Padding::Explicit(pads) => pads,
            Padding::Same { .. } => [(0, 0); N],
        }
    }
}

fn line(kernel: &StoredKernel<'_, 1>, device: &Device) -> Layer {
    let [(before, after)] = kernel.pads();
    Layer::Conv1d(Conv1d {
        weight: kernel.weight(device),
        bias: kernel.bias(device),
        stride: kernel.window.stride[0],
        kernel_size: kernel.window.kernel[0],
        dilation: kernel.window.dilation[0],
        groups: kernel.groups,
        padding: PaddingConfig1d::Explicit(before, after),
    })
}

fn image(kernel: &StoredKernel<'_, 2>, device: &Device) -> Layer {
    let [(top, bottom), (left, right)] = kernel.pads();
    Layer::Conv2d(Conv2d {
        weight: kernel.weight(device),
        bias: kernel.bias(device),
        stride: kernel.window.stride,
        kernel_size: kernel.window.kernel,
        dilation: kernel.window.dilation,
        groups: kernel.groups,
        padding: PaddingConfig2d::Explicit(top, left, bottom, right),
    })
}

fn volume(kernel: &StoredKernel<'_, 3>, device: &Device) -> Layer {
    Layer::Conv3d(Conv3d {
        weight: kernel.weight(device),
        bias: kernel.bias(device),
        stride: kernel.window.stride,
        kernel_size: kernel.window.kernel,
        dilation: kernel.window.dilation,
        groups: kernel.groups,
        // The input is padded before the layer.
        padding: PaddingConfig3d::Valid,
    })
}

impl<const N: usize> Convolution<N> {
    fn build(
        node: &mut Node<'_, '_>,
        weight: &Host,
        make: fn(&StoredKernel<'_, N>, &Device) -> Layer,
    ) -> Result<Self, Failure> {
        let ([outputs, inputs], size) = channels_and_kernel::<N>(weight)?;
        let window = Window::read(&node.attributes, size)?;
        let groups = usize::try_from(node.attributes.int("group", 1)?).unwrap_or_default();
        if groups == 0 || outputs % groups != 0 {
            return Err(format!("{groups} groups do not share {outputs} outputs").into());
        }
        let bias = node.vector(2, "bias", outputs)?;
        let kernel = StoredKernel {
            weight,
            bias: bias.as_deref(),
            window,
            groups,
        };
        let way = format!("{window:?} {groups}");
        let layer = node.layer(kernel.fields(), &way, Reuse::Refused, |device| {
            make(&kernel, device)
        })?;
        Ok(Self {
            layer,
            window,
            channels: inputs * groups,
            outputs,
            relu: N == 2 && node.merges("Relu"),
        })
    }

    /// The input, padded where the layer does not do it.
    fn input(&self, call: &Call<'_>) -> Result<Dense, String> {
        let x = call.dense(0)?;
        let size = self.window.sizes(&x)?;
        let channels = x.shape()[1];
        if channels != self.channels {
            return Err(format!(
                "its weight takes {} channels, the input has {channels}",
                self.channels
            ));
        }
        let pads = self.window.around(size);
        let mut shape = vec![x.shape()[0], self.outputs];
        shape.extend((0..N).map(|axis| size[axis] + pads[axis].0 + pads[axis].1));
        elements_of(&shape)?;
        match (self.window.padding, N) {
            (Padding::Explicit(_), 1 | 2) => Ok(x),
            _ => Window::filled(x, pads, 0.0),
        }
    }
}

/// Channels, outputs first where the weight has them first, and the size of the window.
pub(super) fn channels_and_kernel<const N: usize>(
    weight: &Host,
) -> Result<([usize; 2], [usize; N]), String> {
    let unfit = || format!("its weight has the shape {:?}", weight.shape());
    let [first, second, kernel @ ..] = weight.shape() else {
        return Err(unfit());
    };
    let kernel = kernel.try_into().map_err(|_| unfit())?;
    Ok(([*first, *second], kernel))
}

impl<const N: usize> Operator for Convolution<N> {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let x = self.input(call)?;
        let y = match call.layer(self.layer) {
            Layer::Conv1d(layer) => Dense::new(conv1d(layer, x.with_axes()?)),
            Layer::Conv2d(layer) if self.relu => Dense::new(conv2d_relu(layer, x.with_axes()?)),
            Layer::Conv2d(layer) => Dense::new(conv2d(layer, x.with_axes()?)),
            Layer::Conv3d(layer) => Dense::new(conv3d(layer, x.with_axes()?)),
            _ => return Err("its layer is no convolution".to_string()),
        };
        one(Value::Dense(y))
    }
}
