//! The functions as an extension of Burn's backends.
#![allow(deprecated, reason = "Burn's ndarray backend stays selectable")]

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, TensorMetadata, backend_extension};
use pulp::Arch;

use super::Function;
use super::elementwise::{chain, map, map_in_place};
use super::error_function::ErrorFunction;
use super::exponential::Exponential;
use super::gelu::Gelu;
use super::gelu_tanh::{FIRST, GeluTanh, THIRD};
use super::relu::Relu;
use super::sigmoid::Sigmoid;
use super::silu::Silu;
use super::tanh::Tanh;
use crate::flex::{FlexTensor, all_f32, dense, owned, tensor, values};
use crate::fresh::filled;

/// Applies a function to every value, and its gradient. The bodies here are the backend's own operations.
#[backend_extension(Flex, NdArray: cfg(feature = "ndarray"), Cube: cfg(feature = "wgpu"), Autodiff)]
pub(crate) trait ActivationKernel: Backend {
    fn activation(input: FloatTensor<Self>, function: Function) -> FloatTensor<Self> {
        activate::<Self>(input, function)
    }

    /// `gradient` times the derivative. `saved` is the argument or the result, whichever the derivative is computed from.
    fn activation_gradient(
        saved: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        function: Function,
    ) -> FloatTensor<Self> {
        chain_rule::<Self>(saved, gradient, function)
    }
}

fn activate<B: Backend>(input: FloatTensor<B>, function: Function) -> FloatTensor<B> {
    match function {
        Function::Relu => B::relu(input),
        Function::Gelu => B::gelu(input),
        Function::GeluTanh => {
            let argument = polynomial::<B>(input.clone(), FIRST, THIRD);
            B::float_mul(input, B::sigmoid(argument))
        }
        Function::Silu => B::float_mul(input.clone(), B::sigmoid(input)),
        Function::Sigmoid => B::sigmoid(input),
        Function::Tanh => B::float_tanh(input),
        Function::Exponential => B::float_exp(input),
        Function::Erf => B::float_erf(input),
    }
}

/// `x (first + third x²)`.
fn polynomial<B: Backend>(x: FloatTensor<B>, first: f64, third: f64) -> FloatTensor<B> {
    let square = B::float_mul(x.clone(), x.clone());
    let factor = B::float_add_scalar(B::float_mul_scalar(square, third.into()), first.into());
    B::float_mul(x, factor)
}

fn chain_rule<B: Backend>(
    saved: FloatTensor<B>,
    gradient: FloatTensor<B>,
    function: Function,
) -> FloatTensor<B> {
    let one_minus = |x| B::float_add_scalar(B::float_neg(x), 1.into());
    match function {
        Function::Relu => B::relu_backward(saved, gradient),
        Function::Gelu => B::gelu_backward(saved, gradient),
        Function::GeluTanh => {
            let share = B::sigmoid(polynomial::<B>(saved.clone(), FIRST, THIRD));
            let slope = polynomial::<B>(saved, FIRST, 3.0 * THIRD);
            let slope = B::float_mul(slope, one_minus(share.clone()));
            let slope = B::float_mul(share, B::float_add_scalar(slope, 1.into()));
            B::float_mul(gradient, slope)
        }
        Function::Silu => {
            let share = B::sigmoid(saved.clone());
            let slope = B::float_mul(saved, one_minus(share.clone()));
            let slope = B::float_mul(share, B::float_add_scalar(slope, 1.into()));
            B::float_mul(gradient, slope)
        }
        Function::Sigmoid => B::sigmoid_backward(saved, gradient),
        Function::Tanh => {
            let square = B::float_mul(saved.clone(), saved);
            B::float_mul(gradient, one_minus(square))
        }
        Function::Exponential => B::float_mul(gradient, saved),
        Function::Erf => {
            let square = B::float_mul(saved.clone(), saved);
            let bell = B::float_exp(B::float_neg(square));
            let height = std::f64::consts::FRAC_2_SQRT_PI;
            B::float_mul(gradient, B::float_mul_scalar(bell, height.into()))
        }
    }
}

#[cfg(feature = "ndarray")]
impl ActivationKernel for burn::backend::NdArray {}

#[cfg(feature = "wgpu")]
impl ActivationKernel for burn::backend::Cube {}

/// Applies `work` to the tensor's values in row-major order, in its own memory if nothing else holds it.
pub(crate) fn in_place(input: FlexTensor, work: impl FnOnce(&mut [f32])) -> FlexTensor {
    let mut input = dense(input);
    if owned(&input)
        && let Some(values) = input.try_storage_mut()
    {
        work(values);
        return input;
    }
    let shared = values(&input);
    let mut changed = filled(shared.len(), |first, chunk| {
        chunk.copy_from_slice(&shared[first..first + chunk.len()]);
    });
    work(&mut changed);
    tensor(changed, input.shape())
}

/// Calls `$kernel(arch, function, …)` with the function's own type.
macro_rules! with_function {
    ($function:expr, $kernel:ident($($argument:expr),*)) => {
        match $function {
            Function::Relu => $kernel(Arch::new(), Relu, $($argument),*),
            Function::Gelu => $kernel(Arch::new(), Gelu, $($argument),*),
            Function::GeluTanh => $kernel(Arch::new(), GeluTanh, $($argument),*),
            Function::Silu => $kernel(Arch::new(), Silu, $($argument),*),
            Function::Sigmoid => $kernel(Arch::new(), Sigmoid, $($argument),*),
            Function::Tanh => $kernel(Arch::new(), Tanh, $($argument),*),
            Function::Exponential => $kernel(Arch::new(), Exponential, $($argument),*),
            Function::Erf => $kernel(Arch::new(), ErrorFunction, $($argument),*),
        }
    };
}

impl ActivationKernel for Flex {
    fn activation(input: FloatTensor<Self>, function: Function) -> FloatTensor<Self> {
        if !all_f32([&input]) {
            return activate::<Self>(input, function);
        }
        let input = dense(input);
        if owned(&input) {
            return in_place(input, |values| {
                with_function!(function, map_in_place(values));
            });
        }
        tensor(with_function!(function, map(values(&input))), input.shape())
    }

    fn activation_gradient(
        saved: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        function: Function,
    ) -> FloatTensor<Self> {
        if !all_f32([&saved, &gradient]) {
            return chain_rule::<Self>(saved, gradient, function);
        }
        let saved = dense(saved);
        in_place(gradient, |gradient| {
            with_function!(function, chain(values(&saved), gradient));
        })
    }
}
