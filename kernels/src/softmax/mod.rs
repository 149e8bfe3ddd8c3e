//! Softmax over the last axis, its logarithm, the cross-entropy of classes, and the distance between two networks' probabilities.

mod autodiff;
mod backend;
mod distillation;
mod loss;
mod rows;

use burn::backend::Dispatch;
use burn::tensor::{Int, Tensor, assert_shape};

use backend::SoftmaxKernel;
pub use distillation::distillation_loss;
use rows::Scale;
pub(crate) use rows::{largest, powers};

/// `e^x_i / Σ_j e^x_j` over the last axis, as [`burn::tensor::activation::softmax`].
///
/// # Shapes
/// `[..., classes]` to the same shape.
///
/// ```
/// use burn::tensor::{Device, Tensor};
///
/// let x = Tensor::<2>::from_floats([[0.0, 0.0]], &Device::flex());
/// assert_eq!(crossburn_kernels::softmax(x).into_data().to_vec::<f32>().unwrap(), [0.5, 0.5]);
/// ```
pub fn softmax<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::normalized(tensor.into_dispatch(), Scale::Linear))
}

/// `x_i - ln Σ_j e^x_j` over the last axis, as [`burn::tensor::activation::log_softmax`].
///
/// # Shapes
/// `[..., classes]` to the same shape.
///
/// ```
/// use burn::tensor::{Device, Tensor};
///
/// let x = Tensor::<2>::from_floats([[3.0, 3.0]], &Device::flex());
/// let y = crossburn_kernels::log_softmax(x).into_data().to_vec::<f32>().unwrap();
/// assert!((y[0] + std::f32::consts::LN_2).abs() < 1e-6);
/// ```
pub fn log_softmax<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::normalized(
        tensor.into_dispatch(),
        Scale::Logarithmic,
    ))
}

/// The mean of `ln Σ_j e^x_j - x_target` over the batch, as Burn's `CrossEntropyLoss` with its default settings.
///
/// # Shapes
/// `[batch, classes]` and `[batch]` to `[1]`.
///
/// # Panics
/// If the number of targets is not that of rows, or if a target is no class.
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
///
/// let device = Device::flex();
/// let logits = Tensor::<2>::from_floats([[1.0, 1.0]], &device);
/// let targets = Tensor::<1, Int>::from_ints([1], &device);
/// let loss = crossburn_kernels::cross_entropy(logits, targets).into_scalar::<f32>();
/// assert!((loss - std::f32::consts::LN_2).abs() < 1e-6);
/// ```
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    let [batch, _] = logits.dims();
    assert_shape!(targets, [batch]);
    let targets = targets.into_dispatch();
    Tensor::from_dispatch(Dispatch::mean_cross_entropy(
        logits.into_dispatch(),
        targets,
    ))
}

#[cfg(test)]
mod tests;
