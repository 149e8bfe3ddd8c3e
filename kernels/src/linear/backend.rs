//! The linear layer as an extension of Burn's backends.
#![allow(deprecated, reason = "Burn's ndarray backend stays selectable")]

use burn::backend::ops::ModuleOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, backend_extension};

use super::product;
use crate::flex::{FlexTensor, all_f32, dense, sizes, tensor, values};
use crate::matrix::Matrix;

/// `input · weight + bias` on matrices, and its gradients. The bodies here are the backend's own operations.
#[backend_extension(Flex, NdArray: cfg(feature = "ndarray"), Cube: cfg(feature = "wgpu"), Autodiff)]
pub(crate) trait LinearKernel: Backend {
    fn product(input: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        <Self as ModuleOps<Self>>::linear(input, weight, None)
    }

    fn product_with_bias(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        <Self as ModuleOps<Self>>::linear(input, weight, Some(bias))
    }

    fn product_input_gradient(
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        <Self as ModuleOps<Self>>::linear_x_backward(weight, gradient)
    }

    fn product_weight_gradient(
        input: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        <Self as ModuleOps<Self>>::linear_weight_backward(input, gradient)
    }

    fn product_bias_gradient(gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        <Self as ModuleOps<Self>>::linear_bias_backward(gradient)
    }
}

#[cfg(feature = "ndarray")]
impl LinearKernel for burn::backend::NdArray {}

#[cfg(feature = "wgpu")]
impl LinearKernel for burn::backend::Cube {}

/// A weight whose inputs, or whose outputs, are contiguous, and which of the two are. A transposed view is not copied.
struct InLines {
    lines: FlexTensor,
    transposed: bool,
}

fn in_lines(weight: FlexTensor) -> InLines {
    if !weight.is_contiguous() {
        let lines = weight.transpose(0, 1);
        if lines.is_contiguous() {
            return InLines {
                lines,
                transposed: true,
            };
        }
    }
    InLines {
        lines: dense(weight),
        transposed: false,
    }
}

/// The weight as `[inputs, outputs]`.
fn matrix(weight: &InLines, inputs: usize, outputs: usize) -> Matrix<'_> {
    let values = values(&weight.lines);
    match weight.transposed {
        true => Matrix::new(values, outputs, inputs).transposed(),
        false => Matrix::new(values, inputs, outputs),
    }
}

/// For 32-bit floats. Other types are passed to Burn.
fn forward(input: FlexTensor, weight: FlexTensor, bias: Option<FlexTensor>) -> FlexTensor {
    if !all_f32([&input, &weight].into_iter().chain(&bias)) {
        return <Flex as ModuleOps<Flex>>::linear(input, weight, bias);
    }
    let ([rows, inputs], [_, outputs]) = (sizes(&input), sizes::<2>(&weight));
    let (input, weight, bias) = (dense(input), in_lines(weight), bias.map(dense));
    let output = product::forward(
        values(&input),
        matrix(&weight, inputs, outputs),
        bias.as_ref().map(values),
        [rows, inputs, outputs],
    );
    tensor(output, [rows, outputs])
}

impl LinearKernel for Flex {
    fn product(input: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        forward(input, weight, None)
    }

    fn product_with_bias(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        forward(input, weight, Some(bias))
    }

    fn product_input_gradient(
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        if !all_f32([&weight, &gradient]) {
            return <Self as ModuleOps<Self>>::linear_x_backward(weight, gradient);
        }
        let ([inputs, outputs], [rows, _]) = (sizes(&weight), sizes::<2>(&gradient));
        let (weight, gradient) = (in_lines(weight), dense(gradient));
        let weight = matrix(&weight, inputs, outputs);
        tensor(
            product::input_gradient(weight, values(&gradient), [rows, inputs, outputs]),
            [rows, inputs],
        )
    }

    fn product_weight_gradient(
        input: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        if !all_f32([&input, &gradient]) {
            return <Self as ModuleOps<Self>>::linear_weight_backward(input, gradient);
        }
        let (input, gradient) = (dense(input), dense(gradient));
        let ([rows, inputs], [_, outputs]) = (sizes(&input), sizes::<2>(&gradient));
        tensor(
            product::weight_gradient(values(&input), values(&gradient), [rows, inputs, outputs]),
            [inputs, outputs],
        )
    }

    fn product_bias_gradient(gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        if !all_f32([&gradient]) {
            return <Self as ModuleOps<Self>>::linear_bias_backward(gradient);
        }
        let gradient = dense(gradient);
        let [_, outputs] = sizes(&gradient);
        tensor(
            product::bias_gradient(values(&gradient), outputs),
            [outputs],
        )
    }
}
