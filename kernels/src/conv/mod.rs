//! Convolutions.
mod autodiff;
mod backend;
mod forward;
mod geometry;
mod input_gradient;
mod product;
mod weight_gradient;

use burn::backend::Dispatch;
use burn::backend::ops::ConvOptions;
use burn::tensor::Tensor;

use backend::ConvKernel;

/// Two-dimensional convolution of Burn's semantics.
pub fn conv2d(
    input: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<2>,
) -> Tensor<4> {
    let (input, weight) = (input.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(match bias {
        Some(bias) => Dispatch::convolution_with_bias(input, weight, bias.into_dispatch(), options),
        None => Dispatch::convolution(input, weight, options),
    })
}

/// One-dimensional convolution of Burn's semantics.
pub fn conv1d(
    input: Tensor<3>,
    weight: Tensor<3>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<1>,
) -> Tensor<3> {
    let row = |tensor: Tensor<3>| tensor.unsqueeze_dim::<4>(2);
    let options = ConvOptions::new_with_padding(
        [1, options.stride[0]],
        [(0, 0), options.padding[0]],
        [1, options.dilation[0]],
        options.groups,
    );
    conv2d(row(input), row(weight), bias, options).squeeze_dim(2)
}

#[cfg(test)]
mod tests;
