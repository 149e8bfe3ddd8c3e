//! Convolutions of lines, images and volumes.

use burn::nn::PaddingConfig3d;
use burn::nn::conv::{Conv1d, Conv2d, Conv3d};
use burn::tensor::Tensor;
use crossburn_kernels::{padding1d, padding2d, relu};

use super::stack::Stacked;
use super::{Direction, Geometry, OnArray, padded_axes};

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
    let [_, channels, length] = input.dims();
    let [outputs, ..] = layer.weight.lazy_shape().dims::<3>();
    let geometry = Geometry {
        channels,
        outputs,
        size: padded_axes([length], 1),
        kernel: padded_axes([layer.kernel_size], 1),
        stride: padded_axes([layer.stride], 1),
        padding: padded_axes([padding1d(layer, length)], (0, 0)),
        dilation: padded_axes([layer.dilation], 1),
        groups: layer.groups,
        direction: Direction::Forward,
    };
    let bias = layer.bias.as_ref().map(|bias| bias.val());
    on_array.product(&geometry, input, &layer.weight, bias, |input| {
        crossburn_kernels::conv1d(layer, input)
    })
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
    let [outputs, ..] = layer.weight.lazy_shape().dims::<4>();
    let geometry = Geometry {
        channels,
        outputs,
        size: padded_axes([height, width], 1),
        kernel: padded_axes(layer.kernel_size, 1),
        stride: padded_axes(layer.stride, 1),
        padding: padded_axes(padding2d(layer, [height, width]), (0, 0)),
        dilation: padded_axes(layer.dilation, 1),
        groups: layer.groups,
        direction: Direction::Forward,
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

/// `layer.forward(input)`, on arrays where the weight has one.
///
/// # Shapes
/// `[batch, channels_in, depth, height, width] → [batch, channels_out, depth, height, width]`.
pub fn conv3d(layer: &Conv3d, input: Tensor<5>) -> Tensor<5> {
    let Some(on_array) = layer.weight.reparameterization::<OnArray>() else {
        return layer.forward(input);
    };
    let [_, channels, size @ ..] = input.dims();
    let [outputs, ..] = layer.weight.lazy_shape().dims::<5>();
    let padding = match layer.padding {
        PaddingConfig3d::Valid => [(0, 0); 3],
        PaddingConfig3d::Explicit(depth, height, width) => {
            [depth, height, width].map(|pad| (pad, pad))
        }
        // As Burn pads; it refuses what cannot be the same before and after.
        PaddingConfig3d::Same => std::array::from_fn(|axis| {
            let (size, stride) = (size[axis], layer.stride[axis]);
            let reach = (size.div_ceil(stride).max(1) - 1) * stride + layer.kernel_size[axis];
            let both = reach.saturating_sub(size);
            (both / 2, both - both / 2)
        }),
    };
    let geometry = Geometry {
        channels,
        outputs,
        size,
        kernel: layer.kernel_size,
        stride: layer.stride,
        padding,
        dilation: layer.dilation,
        groups: layer.groups,
        direction: Direction::Forward,
    };
    let bias = layer.bias.as_ref().map(|bias| bias.val());
    on_array.product(&geometry, input, &layer.weight, bias, |input| {
        layer.forward(input)
    })
}
