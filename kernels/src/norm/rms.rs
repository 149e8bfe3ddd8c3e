//! Root-mean-square normalisation: `γ x / √(mean(x²) + ε)` for each row of the last axis.
//!
//! The arithmetic, its floor and what bounds it are in [`super::rows`].
#![allow(deprecated, reason = "Burn's ndarray backend stays selectable")]

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::nn::RmsNorm;
use burn::tensor::{DType, Tensor};
use pulp::Arch;

use super::{layer::applies, rows};
use crate::flex::{all_f32, dense, into_values, tensor, values};

/// The result of [`RmsNorm::forward`], computed faster.
///
/// # Shapes
///
/// `[.., d_model] → [.., d_model]`
///
/// # Panics
///
/// As the layer: if the last axis has another length.
///
/// # Example
///
/// ```
/// use burn::nn::RmsNormConfig;
/// use burn::tensor::{Device, Distribution, Tensor};
///
/// let device = Device::flex();
/// let layer = RmsNormConfig::new(16).init(&device);
/// let tokens = Tensor::<3>::random([2, 5, 16], Distribution::Default, &device);
/// assert_eq!(crossburn_kernels::rms_norm(&layer, tokens).dims(), [2, 5, 16]);
/// ```
pub fn rms_norm<const D: usize>(layer: &RmsNorm, input: Tensor<D>) -> Tensor<D> {
    let [width] = layer.gamma.shape().dims();
    let gamma = layer.gamma.val();
    let f32 = input.dtype() == DType::F32 && gamma.dtype() == DType::F32;
    if input.dims().last() != Some(&width) || !f32 {
        return layer.forward(input);
    }
    Tensor::from_dispatch(Dispatch::root_mean_square_norm(
        input.into_dispatch(),
        gamma.into_dispatch(),
        layer.epsilon,
    ))
}

/// [`rms_norm`] with weights outside of Burn's layer.
///
/// # Shapes
///
/// `[.., width] → [.., width]`, `gamma` is `[width]`
///
/// # Panics
///
/// If the last axis is not as long as `gamma`.
pub fn rms_normalize<const D: usize>(
    input: Tensor<D>,
    gamma: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    let [width] = gamma.dims();
    assert_eq!(
        input.dims().last(),
        Some(&width),
        "rms_normalize: the last axis is not that of gamma"
    );
    Tensor::from_dispatch(Dispatch::root_mean_square_norm(
        input.into_dispatch(),
        gamma.into_dispatch(),
        epsilon,
    ))
}

/// Root-mean-square normalisation and its gradients. The bodies here are the backend's own operations.
///
/// `x` and `gradient` are `[.., d_model]`, `gamma` is `[d_model]`.
#[backend_extension(Flex, NdArray: cfg(feature = "ndarray"), Cube: cfg(feature = "wgpu"), Autodiff)]
pub(crate) trait RmsNormKernel: Backend {
    fn root_mean_square_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        normalise::<Self>(x, gamma, epsilon)
    }

    /// Gradients of `x` and `gamma`.
    fn root_mean_square_norm_gradients(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        gradients::<Self>(x, gamma, gradient, epsilon)
    }
}

/// The root of the mean square of each row, `[.., 1]`.
fn root_mean_square<B: Backend>(x: FloatTensor<B>, epsilon: f64) -> FloatTensor<B> {
    let last = x.shape().num_dims() - 1;
    let mean = B::float_mean_dim(B::float_mul(x.clone(), x), last);
    B::float_sqrt(B::float_add_scalar(mean, epsilon.into()))
}

/// `[1, .., d_model]` of the rank of `like`.
fn per_column<B: Backend>(gamma: FloatTensor<B>, like: &FloatTensor<B>) -> FloatTensor<B> {
    let mut sizes = vec![1; like.shape().num_dims() - 1];
    sizes.push(gamma.shape()[0]);
    B::float_reshape(gamma, sizes.into())
}

fn normalise<B: Backend>(x: FloatTensor<B>, gamma: FloatTensor<B>, epsilon: f64) -> FloatTensor<B> {
    let gamma = per_column::<B>(gamma, &x);
    let root = root_mean_square::<B>(x.clone(), epsilon);
    B::float_mul(B::float_div(x, root), gamma)
}

fn gradients<B: Backend>(
    x: FloatTensor<B>,
    gamma: FloatTensor<B>,
    gradient: FloatTensor<B>,
    epsilon: f64,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let (last, width) = (x.shape().num_dims() - 1, gamma.shape());
    let gamma = per_column::<B>(gamma, &x);
    let root = root_mean_square::<B>(x.clone(), epsilon);
    let normalised = B::float_div(x, root.clone());
    let weighted = B::float_mul(gradient.clone(), gamma);
    let projected = B::float_mean_dim(B::float_mul(weighted.clone(), normalised.clone()), last);
    let rest = B::float_sub(weighted, B::float_mul(normalised.clone(), projected));
    let sum = (0..last).fold(B::float_mul(gradient, normalised), B::float_sum_dim);
    (B::float_div(rest, root), B::float_reshape(sum, width))
}

#[cfg(feature = "ndarray")]
impl RmsNormKernel for burn::backend::NdArray {}

#[cfg(feature = "wgpu")]
impl RmsNormKernel for burn::backend::Cube {}

impl RmsNormKernel for Flex {
    fn root_mean_square_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        if !applies(&x, &[&gamma]) {
            return normalise::<Self>(x, gamma, epsilon);
        }
        let (x, gamma) = (dense(x), dense(gamma));
        let output = rows::forward::<false>(Arch::new(), values(&x), values(&gamma), None, epsilon);
        tensor(output, x.shape())
    }

    fn root_mean_square_norm_gradients(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        if !applies(&x, &[&gamma]) || !all_f32([&gradient]) {
            return gradients::<Self>(x, gamma, gradient, epsilon);
        }
        let (x, gamma) = (dense(x), dense(gamma));
        let mut gradient = into_values(gradient);
        let (sums, _) = rows::gradients::<false>(
            Arch::new(),
            values(&x),
            values(&gamma),
            &mut gradient,
            epsilon,
        );
        (tensor(gradient, x.shape()), tensor(sums, gamma.shape()))
    }
}

#[derive(Debug)]
struct Normalisation;

impl<B: RmsNormKernel> Backward<B, 2> for Normalisation {
    /// Nodes of the input and of γ, and ε.
    type State = (NodeId, NodeId, f64);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let gradient = grads.consume::<B>(&ops.node);
        let (x, gamma, epsilon) = ops.state;
        let x = checkpointer.retrieve_node_output::<FloatTensor<B>>(x);
        let gamma = checkpointer.retrieve_node_output::<FloatTensor<B>>(gamma);
        let (x, gamma) = B::root_mean_square_norm_gradients(x, gamma, gradient, epsilon);
        for (node, value) in ops.parents.into_iter().zip([x, gamma]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, value);
            }
        }
    }
}

impl<B: RmsNormKernel, C: CheckpointStrategy> RmsNormKernel for Autodiff<B, C> {
    fn root_mean_square_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let output =
            B::root_mean_square_norm(x.primitive().clone(), gamma.primitive().clone(), epsilon);
        match Normalisation
            .prepare::<C>([x.node(), gamma.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&x), prep.checkpoint(&gamma), epsilon);
                prep.finish(state, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use burn::nn::RmsNormConfig;
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::testing::{agree, cpus, numbers};

    fn run(
        layer: &RmsNorm,
        device: &Device,
        forward: fn(&RmsNorm, Tensor<3>) -> Tensor<3>,
    ) -> [TensorData; 3] {
        let data = TensorData::new(numbers(1, 3 * 4 * 21), [3, 4, 21]);
        let input = Tensor::<3>::from_data(data, device).require_grad();
        let output = forward(layer, input.clone());
        let gradients = (output.clone() * output.clone() * output.clone())
            .sum()
            .backward();
        [
            output.inner().into_data(),
            input.grad(&gradients).unwrap().into_data(),
            layer.gamma.val().grad(&gradients).unwrap().into_data(),
        ]
    }

    #[test]
    fn the_layer_trains_as_burns_does() {
        for device in cpus().into_iter().map(Device::autodiff) {
            let layer = RmsNormConfig::new(21).with_epsilon(0.03).init(&device);
            let ours = run(&layer, &device, rms_norm);
            let burns = run(&layer, &device, |layer, input| layer.forward(input));
            for (ours, burns) in ours.into_iter().zip(burns) {
                let burns: Vec<f64> = burns.convert::<f64>().try_to_vec().unwrap();
                agree(&ours.try_to_vec::<f32>().unwrap(), &burns, 1e-4);
            }
        }
    }

    #[test]
    fn what_is_not_finite_spreads_as_burns_does() {
        let device = Device::flex();
        let layer = RmsNormConfig::new(21).init(&device);
        for special in [f32::NAN, f32::INFINITY, 1e30] {
            let mut values = numbers(1, 3 * 21);
            values[25] = special;
            let input = Tensor::<2>::from_data(TensorData::new(values, [3, 21]), &device);
            let ours = rms_norm(&layer, input.clone()).into_data();
            let burns = layer.forward(input).into_data();
            let pairs = ours.try_to_vec::<f32>().unwrap().into_iter();
            for (ours, burns) in pairs.zip(burns.try_to_vec::<f32>().unwrap()) {
                assert_eq!(ours.is_nan(), burns.is_nan(), "{special}");
                assert!(burns.is_nan() || (ours - burns).abs() < 1e-4, "{special}");
            }
        }
    }
}
