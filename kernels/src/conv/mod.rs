//! Convolutions, computed as products over taps, and their gradients.
//!
//! With k taps per output, 2 k operations are done per output and channel, for 4 bytes of each input and output. The networks here need 50 to 2,300
//! operations per output, so arithmetic is the floor. Only the first layer of LeNet (25 taps, six channels) is close to the floor of memory.
//!
//! | part | how | file |
//! |---|---|---|
//! | output | six channels by two vectors of neighbouring outputs over all taps, from the planes of `geometry.rs` | `forward.rs` |
//! | output of 3 × 3 taps, many channels | four outputs from sixteen products instead of thirty-six | `winograd.rs` |
//! | input gradient | the same with reversed weights, for each remainder of the stride | `input_gradient.rs` |
//! | weight gradient | six taps by a block of channels over all outputs; images are cut into parts that are added in order | `weight_gradient.rs` |
//!
//! An output is written once. Bias and relu (`epilogue.rs`) are applied while the sum is in a register. If no values lie between rows, the sums are
//! written to the output directly. For convolutions on lines (`cnn1d_b64` of `benches/networks.rs`), three changes reduced the forward pass from
//! 9.98 to 7.23 ms (two threads, smallest of three alternating rounds): writing directly, filling zeros on all cores, and laying out both planes of
//! stride two in one pass. Of the remaining time, five sixths go to products. One twelfth goes to the planes, which is the time to read the input
//! from the third-level cache.
//!
//! Threads share the images of a batch, so a batch of one image runs on one thread. The workspace of a thread holds the planes of one image, or of as
//! many images as fit into a second-level cache.
//!
//! Tried: without blocks of channels, the weight gradient was 10 to 33 % slower on layers of LeNet and on lines (one run each). The first version
//! computed weight gradients as correlations of rows, with a sum across vectors at the end. It was not compared cleanly with the present one.

mod autodiff;
mod backend;
mod epilogue;
mod forward;
mod geometry;
mod input_gradient;
mod product;
mod rounding;
mod weight_gradient;
mod winograd;

use burn::backend::Dispatch;
use burn::backend::ops::ConvOptions;
use burn::nn::conv::{Conv1d, Conv2d};
use burn::nn::{PaddingConfig1d, PaddingConfig2d};
use burn::tensor::Tensor;

use backend::ConvKernel;
use epilogue::Epilogue;
pub use rounding::Rounding;

/// The result of `layer.forward(input)`.
///
/// # Shapes
/// `[batch, channels_in, height, width] → [batch, channels_out, height, width]`.
///
/// ```
/// use burn::nn::conv::Conv2dConfig;
/// use burn::tensor::{Device, Tensor};
///
/// let device = Device::flex();
/// let layer = Conv2dConfig::new([3, 8], [3, 3]).init(&device);
/// let output = crossburn_kernels::conv2d(&layer, Tensor::ones([2, 3, 32, 32], &device));
/// assert_eq!(output.dims(), [2, 8, 30, 30]);
/// ```
pub fn conv2d(layer: &Conv2d, input: Tensor<4>) -> Tensor<4> {
    layer2d(layer, input, Epilogue::Identity)
}

/// The result of [`relu`](crate::relu)` (layer.forward(input))`, without a separate pass for the relu.
///
/// # Shapes
/// `[batch, channels_in, height, width] → [batch, channels_out, height, width]`.
///
/// ```
/// use burn::nn::conv::Conv2dConfig;
/// use burn::tensor::{Device, Tensor};
/// use crossburn_kernels::{conv2d, conv2d_relu, relu};
///
/// let device = Device::flex();
/// let layer = Conv2dConfig::new([3, 8], [3, 3]).init(&device);
/// let images = Tensor::ones([2, 3, 8, 8], &device);
/// let output = conv2d_relu(&layer, images.clone());
/// output.into_data().assert_eq(&relu(conv2d(&layer, images)).into_data(), true);
/// ```
pub fn conv2d_relu(layer: &Conv2d, input: Tensor<4>) -> Tensor<4> {
    layer2d(layer, input, Epilogue::Relu)
}

fn layer2d(layer: &Conv2d, input: Tensor<4>, epilogue: Epilogue) -> Tensor<4> {
    let [_, _, height, width] = input.dims();
    let padding = padding2d(layer, [height, width]);
    let options =
        ConvOptions::new_with_padding(layer.stride, padding, layer.dilation, layer.groups);
    let bias = layer.bias.as_ref().map(|bias| bias.val());
    images(input, layer.weight.val(), bias, options, epilogue)
}

/// The result of `layer.forward(input)`.
///
/// # Shapes
/// `[batch, channels_in, length] → [batch, channels_out, length]`.
pub fn conv1d(layer: &Conv1d, input: Tensor<3>) -> Tensor<3> {
    layer1d(layer, input, Epilogue::Identity)
}

/// The result of [`relu`](crate::relu)` (layer.forward(input))`, without a separate pass for the relu.
///
/// # Shapes
/// `[batch, channels_in, length] → [batch, channels_out, length]`.
pub fn conv1d_relu(layer: &Conv1d, input: Tensor<3>) -> Tensor<3> {
    layer1d(layer, input, Epilogue::Relu)
}

fn layer1d(layer: &Conv1d, input: Tensor<3>, epilogue: Epilogue) -> Tensor<3> {
    let padding = padding1d(layer, input.dims()[2]);
    let options =
        ConvOptions::new_with_padding([layer.stride], [padding], [layer.dilation], layer.groups);
    let bias = layer.bias.as_ref().map(|bias| bias.val());
    lines(input, layer.weight.val(), bias, options, epilogue)
}

/// Padding before and after the rows, and before and after the columns, of images `[height, width]`.
pub fn padding2d(layer: &Conv2d, [height, width]: [usize; 2]) -> [(usize, usize); 2] {
    match layer.padding {
        PaddingConfig2d::Valid => [(0, 0); 2],
        PaddingConfig2d::Same => [
            same_padding(height, layer.kernel_size[0], layer.stride[0]),
            same_padding(width, layer.kernel_size[1], layer.stride[1]),
        ],
        PaddingConfig2d::Explicit(top, left, bottom, right) => [(top, bottom), (left, right)],
    }
}

/// Padding before and after lines of `length`.
pub fn padding1d(layer: &Conv1d, length: usize) -> (usize, usize) {
    match layer.padding {
        PaddingConfig1d::Valid => (0, 0),
        PaddingConfig1d::Same => same_padding(length, layer.kernel_size, layer.stride),
        PaddingConfig1d::Explicit(left, right) => (left, right),
    }
}

/// Padding on both sides that gives `ceil(size / stride)` outputs. As in Burn, an odd one goes to the end.
fn same_padding(size: usize, kernel: usize, stride: usize) -> (usize, usize) {
    let outputs = size.div_ceil(stride);
    let total = ((outputs.max(1) - 1) * stride + kernel).saturating_sub(size);
    (total / 2, total - total / 2)
}

/// Two-dimensional cross-correlation, as Burn's `conv2d`.
///
/// # Shapes
/// input `[batch, channels_in, height, width]`, weight `[channels_out, channels_in / groups, height, width]`,
/// bias `[channels_out]`.
pub fn convolve2d(
    input: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<2>,
) -> Tensor<4> {
    images(input, weight, bias, options, Epilogue::Identity)
}

fn images(
    input: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<2>,
    epilogue: Epilogue,
) -> Tensor<4> {
    let (input, weight) = (input.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(match bias {
        Some(bias) => {
            let bias = bias.into_dispatch();
            Dispatch::convolution_with_bias(input, weight, bias, options, epilogue)
        }
        None => Dispatch::convolution(input, weight, options, epilogue),
    })
}

/// One-dimensional cross-correlation, as Burn's `conv1d`: lines count as images of one row.
///
/// # Shapes
/// input `[batch, channels_in, length]`, weight `[channels_out, channels_in / groups, length]`, bias `[channels_out]`.
pub fn convolve1d(
    input: Tensor<3>,
    weight: Tensor<3>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<1>,
) -> Tensor<3> {
    lines(input, weight, bias, options, Epilogue::Identity)
}

fn lines(
    input: Tensor<3>,
    weight: Tensor<3>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<1>,
    epilogue: Epilogue,
) -> Tensor<3> {
    let row = |tensor: Tensor<3>| tensor.unsqueeze_dim::<4>(2);
    let options = ConvOptions::new_with_padding(
        [1, options.stride[0]],
        [(0, 0), options.padding[0]],
        [1, options.dilation[0]],
        options.groups,
    );
    images(row(input), row(weight), bias, options, epilogue).squeeze_dim(2)
}

#[cfg(test)]
mod tests;
