//! Functions of single values: relu, both forms of gelu, silu, sigmoid, tanh, the exponential and the error function.
//!
//! Forward and backward are one pass each. If Burn's own function does not need its argument afterwards and nothing else holds it, the result
//! overwrites it. The gradient always overwrites the incoming gradient.

mod autodiff;
mod backend;
mod elementwise;
mod error_function;
mod exponential;
mod gelu;
mod gelu_tanh;
mod relu;
mod sigmoid;
mod silu;
mod tanh;

use burn::backend::Dispatch;
use burn::tensor::Tensor;

pub(crate) use backend::{ActivationKernel, in_place};
pub(crate) use elementwise::{Elementwise, PIECE, chain, map, map_in_place};
pub(crate) use relu::Relu;

/// The functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Relu,
    Gelu,
    GeluTanh,
    Silu,
    Sigmoid,
    Tanh,
    Exponential,
    Erf,
}

impl Function {
    /// Whether the derivative is computed from the result rather than from the argument.
    fn derives_from_result(self) -> bool {
        !matches!(self, Self::Gelu | Self::GeluTanh | Self::Silu | Self::Erf)
    }
}

fn apply<const D: usize>(tensor: Tensor<D>, function: Function) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::activation(tensor.into_dispatch(), function))
}

/// `max(x, 0)`, as [`burn::tensor::activation::relu`]. NaN stays NaN.
///
/// # Shapes
/// Any shape to the same shape.
///
/// ```
/// use burn::tensor::{Device, Tensor};
///
/// let x = Tensor::<1>::from_floats([-1.0, 2.0], &Device::flex());
/// assert_eq!(crossburn_kernels::relu(x).into_data().try_to_vec::<f32>().unwrap(), [0.0, 2.0]);
/// ```
pub fn relu<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    apply(tensor, Function::Relu)
}

/// `x Φ(x)` with the normal distribution function Φ, as [`burn::tensor::activation::gelu`]: the exact form of gelu.
///
/// # Shapes
/// Any shape to the same shape.
///
/// ```
/// use burn::tensor::{Device, Tensor};
///
/// let x = Tensor::<1>::from_floats([1.0], &Device::flex());
/// let y = crossburn_kernels::gelu(x).into_data().try_to_vec::<f32>().unwrap();
/// assert!((y[0] - 0.841_345).abs() < 1e-6);
/// ```
pub fn gelu<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    apply(tensor, Function::Gelu)
}

/// `x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2`, as [`burn::tensor::activation::gelu_approximate`]: the form of gelu that GPT-2 and Gemma use.
///
/// # Shapes
/// Any shape to the same shape.
///
/// ```
/// use burn::tensor::{Device, Tensor};
///
/// let x = Tensor::<1>::from_floats([1.0], &Device::flex());
/// let y = crossburn_kernels::gelu_tanh(x).into_data().try_to_vec::<f32>().unwrap();
/// assert!((y[0] - 0.841_192).abs() < 1e-6);
/// ```
pub fn gelu_tanh<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    apply(tensor, Function::GeluTanh)
}

/// `x / (1 + e^-x)`, as [`burn::tensor::activation::silu`].
///
/// # Shapes
/// Any shape to the same shape.
///
/// ```
/// use burn::tensor::{Device, Tensor};
///
/// let x = Tensor::<1>::from_floats([1.0], &Device::flex());
/// let y = crossburn_kernels::silu(x).into_data().try_to_vec::<f32>().unwrap();
/// assert!((y[0] - 0.731_059).abs() < 1e-6);
/// ```
pub fn silu<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    apply(tensor, Function::Silu)
}

/// `1 / (1 + e^-x)`, as [`burn::tensor::activation::sigmoid`].
///
/// # Shapes
/// Any shape to the same shape.
///
/// ```
/// use burn::tensor::{Device, Tensor};
///
/// let x = Tensor::<1>::from_floats([0.0], &Device::flex());
/// assert_eq!(crossburn_kernels::sigmoid(x).into_scalar::<f32>(), 0.5);
/// ```
pub fn sigmoid<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    apply(tensor, Function::Sigmoid)
}

/// The hyperbolic tangent, as [`burn::tensor::activation::tanh`].
///
/// # Shapes
/// Any shape to the same shape.
///
/// ```
/// use burn::tensor::{Device, Tensor};
///
/// let x = Tensor::<1>::from_floats([20.0], &Device::flex());
/// assert_eq!(crossburn_kernels::tanh(x).into_scalar::<f32>(), 1.0);
/// ```
pub fn tanh<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    apply(tensor, Function::Tanh)
}

/// `e^x`, as [`Tensor::exp`].
///
/// # Shapes
/// Any shape to the same shape.
///
/// ```
/// use burn::tensor::{Device, Tensor};
///
/// let x = Tensor::<1>::from_floats([0.0], &Device::flex());
/// assert_eq!(crossburn_kernels::exp(x).into_scalar::<f32>(), 1.0);
/// ```
pub fn exp<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    apply(tensor, Function::Exponential)
}

/// The error function, as [`Tensor::erf`].
///
/// # Shapes
/// Any shape to the same shape.
///
/// ```
/// use burn::tensor::{Device, Tensor};
///
/// let x = Tensor::<1>::from_floats([1.0], &Device::flex());
/// assert!((crossburn_kernels::erf(x).into_scalar::<f32>() - 0.842_700_8).abs() < 1e-6);
/// ```
pub fn erf<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    apply(tensor, Function::Erf)
}

#[cfg(test)]
mod tests;
