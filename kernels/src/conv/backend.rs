//! The convolution as an extension of Burn's backends.
#![allow(deprecated, reason = "Burn's ndarray backend stays selectable")]

use burn::backend::ops::{ConvOptions, ModuleOps};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, backend_extension};
use pulp::Arch;

use super::epilogue::Epilogue;
use super::forward::forward;
use super::geometry::Geometry;
use super::input_gradient::input_gradient;
use super::weight_gradient::{bias_gradient, weight_gradient};
use crate::activation::{ActivationKernel, Function};
use crate::flex::{FlexTensor, all_f32, dense, sizes, tensor, values};
use crate::plain::sum_per_channel;

/// Convolution and its gradients. The bodies here are the backend's own operations.
#[backend_extension(Flex, NdArray: cfg(feature = "ndarray"), Cube: cfg(feature = "wgpu"), Autodiff)]
pub(crate) trait ConvKernel: Backend {
    fn convolution(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: ConvOptions<2>,
        epilogue: Epilogue,
    ) -> FloatTensor<Self> {
        plain::<Self>(input, weight, None, options, epilogue)
    }

    fn convolution_with_bias(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: ConvOptions<2>,
        epilogue: Epilogue,
    ) -> FloatTensor<Self> {
        plain::<Self>(input, weight, Some(bias), options, epilogue)
    }

    /// The gradient of the epilogue's input, computed from its output.
    fn convolution_epilogue_gradient(
        output: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epilogue: Epilogue,
    ) -> FloatTensor<Self> {
        match epilogue {
            Epilogue::Identity => gradient,
            Epilogue::Relu => Self::relu_backward(output, gradient),
        }
    }

    fn convolution_input_gradient(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        <Self as ModuleOps<Self>>::conv2d_x_backward(input, weight, gradient, options)
    }

    fn convolution_weight_gradient(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        <Self as ModuleOps<Self>>::conv2d_weight_backward(input, weight, gradient, options)
    }

    /// `[channels]`: the sum of `gradient` over images and pixels.
    fn convolution_bias_gradient(gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        sum_per_channel::<Self>(gradient)
    }
}

fn plain<B: Backend>(
    input: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
    options: ConvOptions<2>,
    epilogue: Epilogue,
) -> FloatTensor<B> {
    let output = <B as ModuleOps<B>>::conv2d(input, weight, bias, options);
    match epilogue {
        Epilogue::Identity => output,
        Epilogue::Relu => B::relu(output),
    }
}

#[cfg(feature = "ndarray")]
impl ConvKernel for burn::backend::NdArray {}

#[cfg(feature = "wgpu")]
impl ConvKernel for burn::backend::Cube {}

/// For 32-bit floats. Other types, and sizes that do not fit, are passed to Burn, whose errors say what is wrong.
fn convolve(
    input: FlexTensor,
    weight: FlexTensor,
    bias: Option<FlexTensor>,
    options: ConvOptions<2>,
    epilogue: Epilogue,
) -> FlexTensor {
    let geometry = Geometry::new(sizes(&input), sizes(&weight), &options);
    let Some(geometry) = geometry.filter(|_| all_f32([&input, &weight].into_iter().chain(&bias)))
    else {
        return plain::<Flex>(input, weight, bias, options, epilogue);
    };
    let (input, weight, bias) = (dense(input), dense(weight), bias.map(dense));
    let output = forward(
        Arch::new(),
        &geometry,
        values(&input),
        values(&weight),
        bias.as_ref().map(values),
        epilogue,
    );
    let [height, width] = geometry.output;
    tensor(
        output,
        [geometry.batch, geometry.channels_out, height, width],
    )
}

impl ConvKernel for Flex {
    fn convolution(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: ConvOptions<2>,
        epilogue: Epilogue,
    ) -> FloatTensor<Self> {
        convolve(input, weight, None, options, epilogue)
    }

    fn convolution_with_bias(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: ConvOptions<2>,
        epilogue: Epilogue,
    ) -> FloatTensor<Self> {
        convolve(input, weight, Some(bias), options, epilogue)
    }

    fn convolution_epilogue_gradient(
        output: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epilogue: Epilogue,
    ) -> FloatTensor<Self> {
        match epilogue {
            Epilogue::Identity => gradient,
            Epilogue::Relu => Self::activation_gradient(output, gradient, Function::Relu),
        }
    }

    fn convolution_input_gradient(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        let shape: [usize; 4] = sizes(&input);
        let geometry = Geometry::new(shape, sizes(&weight), &options);
        let Some(geometry) = geometry.filter(|_| all_f32([&weight, &gradient])) else {
            return <Self as ModuleOps<Self>>::conv2d_x_backward(input, weight, gradient, options);
        };
        let (weight, gradient) = (dense(weight), dense(gradient));
        tensor(
            input_gradient(Arch::new(), &geometry, values(&weight), values(&gradient)),
            shape,
        )
    }

    fn convolution_weight_gradient(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        let shape: [usize; 4] = sizes(&weight);
        let (input, gradient) = (dense(input), dense(gradient));
        let geometry =
            Geometry::new(sizes(&input), shape, &options).filter(|_| all_f32([&input, &gradient]));
        if let Some(geometry) = geometry {
            let sums = weight_gradient(Arch::new(), &geometry, values(&input), values(&gradient));
            return tensor(sums, shape);
        }
        <Self as ModuleOps<Self>>::conv2d_weight_backward(input, weight, gradient, options)
    }

    fn convolution_bias_gradient(gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        let [_, channels, height, width] = sizes(&gradient);
        let gradient = dense(gradient);
        match all_f32([&gradient]) {
            true => tensor(
                bias_gradient(channels, height * width, values(&gradient)),
                [channels],
            ),
            false => sum_per_channel::<Self>(gradient),
        }
    }
}
