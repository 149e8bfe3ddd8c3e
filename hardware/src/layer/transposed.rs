//! Transposed convolutions of lines, images and volumes.
//!
//! On arrays every output channel is a line, and an output position one product: with the inputs that reach it, and zeros in
//! place of those that its stride passes over.

use burn::nn::conv::{ConvTranspose1d, ConvTranspose2d, ConvTranspose3d};
use burn::tensor::Tensor;

use super::{Direction, Geometry, OnArray, padded_axes};

/// `layer.forward(input)`, on arrays where the weight has one.
///
/// # Shapes
/// `[batch, channels_in, length] → [batch, channels_out, length]`.
pub fn conv_transpose1d(layer: &ConvTranspose1d, input: Tensor<3>) -> Tensor<3> {
    let Some(on_array) = layer.weight.reparameterization::<OnArray>() else {
        return layer.forward(input);
    };
    let [_, channels, length] = input.dims();
    let [_, outputs, _] = layer.weight.lazy_shape().dims::<3>();
    let geometry = Geometry {
        channels,
        outputs: outputs * layer.groups,
        size: padded_axes([length], 1),
        kernel: padded_axes([layer.kernel_size], 1),
        stride: padded_axes([layer.stride], 1),
        padding: padded_axes([(layer.padding, layer.padding)], (0, 0)),
        dilation: padded_axes([layer.dilation], 1),
        groups: layer.groups,
        direction: Direction::Transposed {
            extra: padded_axes([layer.padding_out], 0),
        },
    };
    let bias = layer.bias.as_ref().map(|bias| bias.val());
    on_array.product(&geometry, input, &layer.weight, bias, |input| {
        layer.forward(input)
    })
}

/// `layer.forward(input)`, on arrays where the weight has one.
///
/// # Shapes
/// `[batch, channels_in, height, width] → [batch, channels_out, height, width]`.
pub fn conv_transpose2d(layer: &ConvTranspose2d, input: Tensor<4>) -> Tensor<4> {
    let Some(on_array) = layer.weight.reparameterization::<OnArray>() else {
        return layer.forward(input);
    };
    let [_, channels, size @ ..] = input.dims();
    let [_, outputs, _, _] = layer.weight.lazy_shape().dims::<4>();
    let geometry = Geometry {
        channels,
        outputs: outputs * layer.groups,
        size: padded_axes(size, 1),
        kernel: padded_axes(layer.kernel_size, 1),
        stride: padded_axes(layer.stride, 1),
        padding: padded_axes(layer.padding.map(|pad| (pad, pad)), (0, 0)),
        dilation: padded_axes(layer.dilation, 1),
        groups: layer.groups,
        direction: Direction::Transposed {
            extra: padded_axes(layer.padding_out, 0),
        },
    };
    let bias = layer.bias.as_ref().map(|bias| bias.val());
    on_array.product(&geometry, input, &layer.weight, bias, |input| {
        layer.forward(input)
    })
}

/// `layer.forward(input)`, on arrays where the weight has one.
///
/// # Shapes
/// `[batch, channels_in, depth, height, width] → [batch, channels_out, depth, height, width]`.
pub fn conv_transpose3d(layer: &ConvTranspose3d, input: Tensor<5>) -> Tensor<5> {
    let Some(on_array) = layer.weight.reparameterization::<OnArray>() else {
        return layer.forward(input);
    };
    let [_, channels, size @ ..] = input.dims();
    let [_, outputs, _, _, _] = layer.weight.lazy_shape().dims::<5>();
    let geometry = Geometry {
        channels,
        outputs: outputs * layer.groups,
        size,
        kernel: layer.kernel_size,
        stride: layer.stride,
        padding: layer.padding.map(|pad| (pad, pad)),
        dilation: layer.dilation,
        groups: layer.groups,
        direction: Direction::Transposed {
            extra: layer.padding_out,
        },
    };
    let bias = layer.bias.as_ref().map(|bias| bias.val());
    on_array.product(&geometry, input, &layer.weight, bias, |input| {
        layer.forward(input)
    })
}
