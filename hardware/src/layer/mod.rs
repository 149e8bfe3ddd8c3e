//! Layers that run on arrays where one is attached to their weight, and as ever where none is.
//!
//! [`linear`], [`conv1d`] and [`conv2d`] take Burn's layers. They look for an [`OnArray`] at the layer's weight: with one,
//! inputs go through the whole path of the hardware (patches, converters, partial sums); without one, they are the
//! functions of the same name in `crossburn_kernels`, as [`conv2d_relu`] is. Bias, norms and activations are digital in any case.
//! The weights of several chips may lie in one layer: [`stack`]. [`about_items`] tells arrays whose reads a pass is.

mod geometry;
mod images;
mod layer_use;
mod on_array;
mod stack;

use burn::nn::Linear;
use burn::nn::conv::{Conv1d, Conv2d};
use burn::tensor::Tensor;
use crossburn_kernels::{padding1d, padding2d, relu};

use geometry::Geometry;
pub use images::about_items;
pub use layer_use::LayerUse;
pub use on_array::OnArray;
pub(crate) use on_array::{in_layout, in_layout_of};
use stack::Stacked;
pub use stack::stack;

/// `layer.forward(input)`, on arrays where the weight has one.
///
/// # Shapes
/// `[..., inputs] → [..., outputs]`.
pub fn linear<const D: usize>(layer: &Linear, input: Tensor<D>) -> Tensor<D> {
    if let Some(stacked) = layer.weight.reparameterization::<Stacked>() {
        return stacked.linear(layer, input);
    }
    let Some(on_array) = layer.weight.reparameterization::<OnArray>() else {
        return crossburn_kernels::linear(layer, input);
    };
    let mut shape = input.dims();
    let [inputs, outputs] = layer.weight.lazy_shape().dims();
    let rows = shape[..D - 1].iter().product();
    let bias = layer.bias.as_ref().map(|bias| bias.val());
    let product = on_array.product(
        &Geometry::linear(inputs),
        input.reshape([rows, inputs, 1, 1]),
        &layer.weight,
        bias,
        |input| {
            let input: Tensor<2> = input.reshape([rows, inputs]);
            crossburn_kernels::linear(layer, input).reshape([rows, outputs, 1, 1])
        },
    );
    shape[D - 1] = outputs;
    product.reshape(shape)
}

/// `layer.forward(input)`, on arrays where the weight has one.
///
/// # Shapes
/// `[batch, channels_in, length] → [batch, channels_out, length]`.
pub fn conv1d(layer: &Conv1d, input: Tensor<3>) -> Tensor<3> {
    if let Some(stacked) = layer.weight.reparameterization::<Stacked>() {
        return stacked.conv1d(layer, input);
    }
    let Some(on_array) = layer.weight.reparameterization::<OnArray>() else {
        return crossburn_kernels::conv1d(layer, input);
    };
    let length = input.dims()[2];
    let geometry = Geometry {
        channels: input.dims()[1],
        size: [1, length],
        kernel: [1, layer.kernel_size],
        stride: [1, layer.stride],
        padding: [(0, 0), padding1d(layer, length)],
        dilation: [1, layer.dilation],
        groups: layer.groups,
    };
    let bias = layer.bias.as_ref().map(|bias| bias.val());
    let weight = &layer.weight;
    let product = on_array.product(&geometry, input.unsqueeze_dim(2), weight, bias, |input| {
        crossburn_kernels::conv1d(layer, input.squeeze_dim(2)).unsqueeze_dim(2)
    });
    product.squeeze_dim(2)
}

/// `layer.forward(input)`, on arrays where the weight has one.
///
/// # Shapes
/// `[batch, channels_in, height, width] → [batch, channels_out, height, width]`.
pub fn conv2d(layer: &Conv2d, input: Tensor<4>) -> Tensor<4> {
    if let Some(stacked) = layer.weight.reparameterization::<Stacked>() {
        return stacked.conv2d(layer, input);
    }
    let Some(on_array) = layer.weight.reparameterization::<OnArray>() else {
        return crossburn_kernels::conv2d(layer, input);
    };
    let [_, channels, height, width] = input.dims();
    let geometry = Geometry {
        channels,
        size: [height, width],
        kernel: layer.kernel_size,
        stride: layer.stride,
        padding: padding2d(layer, [height, width]),
        dilation: layer.dilation,
        groups: layer.groups,
    };
    let bias = layer.bias.as_ref().map(|bias| bias.val());
    on_array.product(&geometry, input, &layer.weight, bias, |input| {
        crossburn_kernels::conv2d(layer, input)
    })
}

/// [`relu`] after [`conv2d`], without a pass of its own where nothing is attached.
///
/// # Shapes
/// `[batch, channels_in, height, width] → [batch, channels_out, height, width]`.
pub fn conv2d_relu(layer: &Conv2d, input: Tensor<4>) -> Tensor<4> {
    let weight = &layer.weight;
    let attached = weight.reparameterization::<OnArray>().is_some()
        || weight.reparameterization::<Stacked>().is_some();
    match attached {
        true => relu(conv2d(layer, input)),
        false => crossburn_kernels::conv2d_relu(layer, input),
    }
}
