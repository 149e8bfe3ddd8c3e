//! Batch normalisation as an extension of Burn's backends.
#![allow(deprecated, reason = "Burn's ndarray backend stays selectable")]

use burn::backend::ops::ModuleOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, TensorMetadata, backend_extension};
use burn::tensor::Shape;
use pulp::Arch;

use super::{columns, planes};
use crate::flex::{FlexTensor, all_f32, dense, into_values, tensor, values};
use crate::plain::sum_per_channel;

/// Batch normalisation and its gradients. The bodies here are the backend's own operations.
///
/// `x` and `gradient` are `[batch, channels, ..]`, all others `[channels]`.
#[backend_extension(Flex, NdArray: cfg(feature = "ndarray"), Cube: cfg(feature = "wgpu"), Autodiff)]
pub(crate) trait BatchNormKernel: Backend {
    /// Output, mean and variance.
    fn batch_norm_training(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let result = <Self as ModuleOps<Self>>::batch_norm_train(x, gamma, beta, epsilon);
        (result.output, result.mean, result.variance)
    }

    /// Gradients of `x`, `gamma` and `beta`.
    fn batch_norm_training_gradients(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let result = <Self as ModuleOps<Self>>::batch_norm_train_backward(
            x, gamma, mean, variance, epsilon, gradient,
        );
        (result.x_grad, result.gamma_grad, result.beta_grad)
    }

    /// The output with given statistics.
    fn batch_norm_fixed(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        <Self as ModuleOps<Self>>::batch_norm(x, gamma, beta, mean, variance, epsilon)
    }

    /// The gradient of `x` with given statistics.
    fn batch_norm_fixed_input_gradient(
        gamma: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        input_gradient::<Self>(gamma, variance, gradient, epsilon)
    }

    /// The gradients of `gamma` and `beta` with given statistics.
    fn batch_norm_fixed_parameter_gradients(
        x: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        parameter_gradients::<Self>(x, mean, variance, gradient, epsilon)
    }
}

/// `[1, channels, 1, ..]` of the rank of `like`.
fn per_channel<B: Backend>(tensor: FloatTensor<B>, like: &Shape) -> FloatTensor<B> {
    let mut sizes = vec![1; like.num_dims()];
    sizes[1] = like[1];
    B::float_reshape(tensor, Shape::from(sizes))
}

/// `1 / √(variance + ε)`.
fn inverse_deviation<B: Backend>(variance: FloatTensor<B>, epsilon: f64) -> FloatTensor<B> {
    B::float_recip(B::float_sqrt(B::float_add_scalar(variance, epsilon.into())))
}

fn input_gradient<B: Backend>(
    gamma: FloatTensor<B>,
    variance: FloatTensor<B>,
    gradient: FloatTensor<B>,
    epsilon: f64,
) -> FloatTensor<B> {
    let scale = B::float_mul(gamma, inverse_deviation::<B>(variance, epsilon));
    let scale = per_channel::<B>(scale, &gradient.shape());
    B::float_mul(gradient, scale)
}

fn parameter_gradients<B: Backend>(
    x: FloatTensor<B>,
    mean: FloatTensor<B>,
    variance: FloatTensor<B>,
    gradient: FloatTensor<B>,
    epsilon: f64,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let mean = per_channel::<B>(mean, &x.shape());
    let products = B::float_mul(B::float_sub(x, mean), gradient.clone());
    let gamma = B::float_mul(
        sum_per_channel::<B>(products),
        inverse_deviation::<B>(variance, epsilon),
    );
    (gamma, sum_per_channel::<B>(gradient))
}

#[cfg(feature = "ndarray")]
impl BatchNormKernel for burn::backend::NdArray {}

#[cfg(feature = "wgpu")]
impl BatchNormKernel for burn::backend::Cube {}

/// Sizes of a batch.
#[derive(Clone, Copy, Debug)]
pub(in crate::norm) struct Sizes {
    pub(in crate::norm) channels: usize,
    /// Values of one channel of one image.
    pub(super) pixels: usize,
    /// Values of one channel over all images.
    pub(in crate::norm) count: f64,
}

impl Sizes {
    pub(in crate::norm) fn new(batch: usize, channels: usize, pixels: usize) -> Self {
        Self {
            channels,
            pixels,
            count: (batch * pixels) as f64,
        }
    }

    /// `None` if the kernels do not apply: no values, other types, or parameters of another length.
    fn of(x: &FlexTensor, others: &[&FlexTensor]) -> Option<Self> {
        let shape = x.shape();
        let [batch, channels, rest @ ..] = shape.as_slice() else {
            return None;
        };
        let pixels = rest.iter().product();
        let fits = others
            .iter()
            .all(|other| other.shape().as_slice() == [*channels]);
        let usable = fits && shape.num_elements() > 0 && all_f32(others.iter().copied().chain([x]));
        usable.then(|| Self::new(*batch, *channels, pixels))
    }

    /// Whether a channel has too few pixels to fill vectors.
    fn narrow(&self) -> bool {
        self.pixels < 32
    }
}

impl BatchNormKernel for Flex {
    fn batch_norm_training(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let Some(sizes) = Sizes::of(&x, &[&gamma, &beta]) else {
            let result = <Self as ModuleOps<Self>>::batch_norm_train(x, gamma, beta, epsilon);
            return (result.output, result.mean, result.variance);
        };
        let (x, gamma, beta) = (dense(x), dense(gamma), dense(beta));
        let training = match sizes.narrow() {
            true => columns::training,
            false => planes::training,
        };
        let (output, mean, variance) = training(
            Arch::new(),
            sizes,
            values(&x),
            values(&gamma),
            values(&beta),
            epsilon,
        );
        let channels = [sizes.channels];
        (
            tensor(output, x.shape()),
            tensor(mean, channels),
            tensor(variance, channels),
        )
    }

    fn batch_norm_training_gradients(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let sizes = Sizes::of(&x, &[&gamma, &mean, &variance]);
        let Some(sizes) = sizes.filter(|_| all_f32([&gradient])) else {
            let result = <Self as ModuleOps<Self>>::batch_norm_train_backward(
                x, gamma, mean, variance, epsilon, gradient,
            );
            return (result.x_grad, result.gamma_grad, result.beta_grad);
        };
        let (x, gamma, mean, variance) = (dense(x), dense(gamma), dense(mean), dense(variance));
        let mut gradient = into_values(gradient);
        let gradients = match sizes.narrow() {
            true => columns::training_gradients,
            false => planes::training_gradients,
        };
        let (gamma, beta) = gradients(
            Arch::new(),
            sizes,
            values(&x),
            [values(&gamma), values(&mean), values(&variance)],
            &mut gradient,
            epsilon,
        );
        let channels = [sizes.channels];
        (
            tensor(gradient, x.shape()),
            tensor(gamma, channels),
            tensor(beta, channels),
        )
    }

    fn batch_norm_fixed(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let Some(sizes) = Sizes::of(&x, &[&gamma, &beta, &mean, &variance]) else {
            return <Self as ModuleOps<Self>>::batch_norm(x, gamma, beta, mean, variance, epsilon);
        };
        let (gamma, beta) = (dense(gamma), dense(beta));
        let (x, mean, variance) = (dense(x), dense(mean), dense(variance));
        let fixed = match sizes.narrow() {
            true => columns::fixed,
            false => planes::fixed,
        };
        let output = fixed(
            Arch::new(),
            sizes,
            values(&x),
            [
                values(&gamma),
                values(&beta),
                values(&mean),
                values(&variance),
            ],
            epsilon,
        );
        tensor(output, x.shape())
    }

    fn batch_norm_fixed_input_gradient(
        gamma: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let Some(sizes) = Sizes::of(&gradient, &[&gamma, &variance]) else {
            return input_gradient::<Self>(gamma, variance, gradient, epsilon);
        };
        let (gamma, variance, shape) = (dense(gamma), dense(variance), gradient.shape());
        let mut gradient = into_values(gradient);
        let scale = match sizes.narrow() {
            true => columns::fixed_input_gradient,
            false => planes::fixed_input_gradient,
        };
        scale(
            Arch::new(),
            sizes,
            [values(&gamma), values(&variance)],
            &mut gradient,
            epsilon,
        );
        tensor(gradient, shape)
    }

    fn batch_norm_fixed_parameter_gradients(
        x: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let sizes = Sizes::of(&x, &[&mean, &variance]);
        let Some(sizes) = sizes.filter(|_| all_f32([&gradient])) else {
            return parameter_gradients::<Self>(x, mean, variance, gradient, epsilon);
        };
        let (x, mean, variance, gradient) =
            (dense(x), dense(mean), dense(variance), dense(gradient));
        let gradients = match sizes.narrow() {
            true => columns::parameter_gradients,
            false => planes::parameter_gradients,
        };
        let (gamma, beta) = gradients(
            Arch::new(),
            sizes,
            values(&x),
            [values(&mean), values(&variance)],
            values(&gradient),
            epsilon,
        );
        (
            tensor(gamma, [sizes.channels]),
            tensor(beta, [sizes.channels]),
        )
    }
}
