//! Layer normalisation: `γ (x - μ) / √(σ² + ε) + β` for each row of the last axis.
//!
//! The arithmetic, its floor and what bounds it are in [`super::rows`].
#![allow(deprecated, reason = "Burn's ndarray backend stays selectable")]

use std::sync::OnceLock;

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::ModuleOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::module::{Content, DisplaySettings, ModuleDisplay};
use burn::nn::{LayerNorm, LayerNormConfig};
use burn::tensor::{DType, Device, Tensor};
use pulp::Arch;

use super::rows;
use crate::flex::{FlexTensor, all_f32, dense, into_values, tensor, values};

/// The result of [`LayerNorm::forward`], computed faster.
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
/// use burn::nn::LayerNormConfig;
/// use burn::tensor::{Device, Distribution, Tensor};
///
/// let device = Device::flex();
/// let layer = LayerNormConfig::new(16).init(&device);
/// let tokens = Tensor::<3>::random([2, 5, 16], Distribution::Default, &device);
/// assert_eq!(crossburn_kernels::layer_norm(&layer, tokens).dims(), [2, 5, 16]);
/// ```
pub fn layer_norm<const D: usize>(layer: &LayerNorm, input: Tensor<D>) -> Tensor<D> {
    let [width] = layer.gamma.shape().dims();
    let fits = input.dims().last() == Some(&width) && input.dtype() == DType::F32;
    let Some(epsilon) = epsilon(layer).filter(|_| fits) else {
        return layer.forward(input);
    };
    let beta = layer.beta.as_ref().map(|beta| beta.val());
    layer_normalize(input, layer.gamma.val(), beta, epsilon)
}

/// [`layer_norm`] with weights outside of Burn's layer.
///
/// # Shapes
///
/// `[.., width] → [.., width]`, `gamma` and `beta` are `[width]`
///
/// # Panics
///
/// If the last axis is not as long as `gamma`.
pub fn layer_normalize<const D: usize>(
    input: Tensor<D>,
    gamma: Tensor<1>,
    beta: Option<Tensor<1>>,
    epsilon: f64,
) -> Tensor<D> {
    let [width] = gamma.dims();
    assert_eq!(
        input.dims().last(),
        Some(&width),
        "layer_normalize: the last axis is not that of gamma"
    );
    let (input, gamma) = (input.into_dispatch(), gamma.into_dispatch());
    Tensor::from_dispatch(match beta {
        Some(beta) => Dispatch::layer_norm_with_bias(input, gamma, beta.into_dispatch(), epsilon),
        None => Dispatch::layer_norm_without_bias(input, gamma, epsilon),
    })
}

/// ε of the layer; `None` if it cannot be read exactly. Burn's own layer must then compute.
///
/// In Burn 0.22 the field is private, without a getter, and neither records nor visitors show it. But the text of a displayed layer contains it, with
/// enough digits to be exact. A test layer with a known ε shows whether a later release shortens it; if so, no layer is read any more.
fn epsilon(layer: &LayerNorm) -> Option<f64> {
    static EXACT: OnceLock<bool> = OnceLock::new();
    let exact = *EXACT.get_or_init(|| {
        [0.1 + 0.2, 1.0 / 3.0 * 1e-30].into_iter().all(|known| {
            let layer = LayerNormConfig::new(1).with_epsilon(known);
            shown_epsilon(&layer.init(&Device::flex())) == Some(known)
        })
    });
    exact.then(|| shown_epsilon(layer)).flatten()
}

/// ε as it appears in the displayed layer.
fn shown_epsilon(layer: &LayerNorm) -> Option<f64> {
    let content = layer.custom_content(Content::new(DisplaySettings::new()))?;
    let attribute = content
        .attributes
        .iter()
        .find(|attribute| attribute.name == "epsilon")?;
    attribute.value.parse().ok()
}

/// Layer normalisation and its gradients. The bodies here are the backend's own operations.
///
/// `x` and `gradient` are `[.., d_model]`, `gamma` and `beta` `[d_model]`.
#[backend_extension(Flex, NdArray: cfg(feature = "ndarray"), Cube: cfg(feature = "wgpu"), Autodiff)]
pub(crate) trait LayerNormKernel: Backend {
    fn layer_norm_with_bias(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        <Self as ModuleOps<Self>>::layer_norm(x, gamma, Some(beta), epsilon)
    }

    fn layer_norm_without_bias(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        <Self as ModuleOps<Self>>::layer_norm(x, gamma, None, epsilon)
    }

    /// Gradients of `x`, `gamma` and `beta`.
    fn layer_norm_gradients(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        gradients::<Self>(x, gamma, gradient, epsilon)
    }
}

fn gradients<B: Backend>(
    x: FloatTensor<B>,
    gamma: FloatTensor<B>,
    gradient: FloatTensor<B>,
    epsilon: f64,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let shape = x.shape();
    let (last, width) = (shape.num_dims() - 1, shape[shape.num_dims() - 1]);
    let mean = |value: FloatTensor<B>| B::float_mean_dim(value, last);
    let sum_of_rows = |value: FloatTensor<B>| {
        let sum = (0..last).fold(value, B::float_sum_dim);
        B::float_reshape(sum, [width].into())
    };
    let centred = B::float_sub(x.clone(), mean(x));
    let variance = mean(B::float_mul(centred.clone(), centred.clone()));
    let inverse = B::float_recip(B::float_sqrt(B::float_add_scalar(variance, epsilon.into())));
    let normalised = B::float_mul(centred, inverse.clone());
    let mut row = vec![1; last];
    row.push(width);
    let weighted = B::float_mul(gradient.clone(), B::float_reshape(gamma, row.into()));
    let projected = mean(B::float_mul(weighted.clone(), normalised.clone()));
    let rest = B::float_sub(weighted.clone(), mean(weighted));
    let rest = B::float_sub(rest, B::float_mul(normalised.clone(), projected));
    (
        B::float_mul(rest, inverse),
        sum_of_rows(B::float_mul(gradient.clone(), normalised)),
        sum_of_rows(gradient),
    )
}

#[cfg(feature = "ndarray")]
impl LayerNormKernel for burn::backend::NdArray {}

#[cfg(feature = "wgpu")]
impl LayerNormKernel for burn::backend::Cube {}

/// Whether there are rows, as long as the parameters, and all tensors are 32-bit floats.
pub(super) fn applies(x: &FlexTensor, parameters: &[&FlexTensor]) -> bool {
    let shape = x.shape();
    let Some(width) = shape.as_slice().last_chunk::<1>() else {
        return false;
    };
    let fits = parameters
        .iter()
        .all(|parameter| parameter.shape().as_slice() == width);
    fits && shape.num_elements() > 0 && all_f32(parameters.iter().copied().chain([x]))
}

fn normalise(
    x: FlexTensor,
    gamma: FlexTensor,
    beta: Option<FlexTensor>,
    epsilon: f64,
) -> FlexTensor {
    let parameters: Vec<&FlexTensor> = [&gamma].into_iter().chain(&beta).collect();
    if !applies(&x, &parameters) {
        return <Flex as ModuleOps<Flex>>::layer_norm(x, gamma, beta, epsilon);
    }
    let (x, gamma, beta) = (dense(x), dense(gamma), beta.map(dense));
    let output = rows::forward::<true>(
        Arch::new(),
        values(&x),
        values(&gamma),
        beta.as_ref().map(values),
        epsilon,
    );
    tensor(output, x.shape())
}

impl LayerNormKernel for Flex {
    fn layer_norm_with_bias(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        normalise(x, gamma, Some(beta), epsilon)
    }

    fn layer_norm_without_bias(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        normalise(x, gamma, None, epsilon)
    }

    fn layer_norm_gradients(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        if !applies(&x, &[&gamma]) || !all_f32([&gradient]) {
            return gradients::<Self>(x, gamma, gradient, epsilon);
        }
        let (x, gamma) = (dense(x), dense(gamma));
        let mut gradient = into_values(gradient);
        let (gamma_gradient, beta_gradient) = rows::gradients::<true>(
            Arch::new(),
            values(&x),
            values(&gamma),
            &mut gradient,
            epsilon,
        );
        (
            tensor(gradient, x.shape()),
            tensor(gamma_gradient, gamma.shape()),
            tensor(beta_gradient, gamma.shape()),
        )
    }
}

#[derive(Debug)]
struct Normalisation;

impl<B: LayerNormKernel, const N: usize> Backward<B, N> for Normalisation {
    /// Nodes of the input and of γ, and ε.
    type State = (NodeId, NodeId, f64);

    fn backward(
        self,
        ops: Ops<Self::State, N>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let gradient = grads.consume::<B>(&ops.node);
        let (x, gamma, epsilon) = ops.state;
        let x = checkpointer.retrieve_node_output::<FloatTensor<B>>(x);
        let gamma = checkpointer.retrieve_node_output::<FloatTensor<B>>(gamma);
        let (x, gamma, beta) = B::layer_norm_gradients(x, gamma, gradient, epsilon);
        for (node, value) in ops.parents.into_iter().zip([x, gamma, beta]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, value);
            }
        }
    }
}

impl<B: LayerNormKernel, C: CheckpointStrategy> LayerNormKernel for Autodiff<B, C> {
    fn layer_norm_with_bias(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let output = B::layer_norm_with_bias(
            x.primitive().clone(),
            gamma.primitive().clone(),
            beta.primitive().clone(),
            epsilon,
        );
        match Backward::<B, 3>::prepare::<C>(Normalisation, [x.node(), gamma.node(), beta.node()])
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

    fn layer_norm_without_bias(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let output =
            B::layer_norm_without_bias(x.primitive().clone(), gamma.primitive().clone(), epsilon);
        match Backward::<B, 2>::prepare::<C>(Normalisation, [x.node(), gamma.node()])
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
    use burn::tensor::TensorData;

    use super::*;
    use crate::testing::{agree, cpus, numbers};
    use proptest::prelude::*;

    /// Output, and gradients of input, γ and β.
    fn run(
        layer: &LayerNorm,
        device: &Device,
        forward: fn(&LayerNorm, Tensor<3>) -> Tensor<3>,
    ) -> Vec<TensorData> {
        let data = TensorData::new(numbers(1, 3 * 4 * 21), [3, 4, 21]);
        let input = Tensor::<3>::from_data(data, device).require_grad();
        let output = forward(layer, input.clone());
        let gradients = (output.clone() * output.clone() * output.clone())
            .sum()
            .backward();
        let mut found = vec![output.inner().into_data()];
        found.extend(input.grad(&gradients).map(Tensor::into_data));
        found.extend(layer.gamma.val().grad(&gradients).map(Tensor::into_data));
        let beta = layer
            .beta
            .as_ref()
            .and_then(|beta| beta.val().grad(&gradients));
        found.extend(beta.map(Tensor::into_data));
        found
    }

    #[test]
    fn the_layer_trains_as_burns_does() {
        for device in cpus().into_iter().map(Device::autodiff) {
            for bias in [true, false] {
                let layer = LayerNormConfig::new(21).with_bias(bias).with_epsilon(0.03);
                let layer = layer.init(&device);
                let ours = run(&layer, &device, layer_norm);
                let burns = run(&layer, &device, |layer, input| layer.forward(input));
                assert_eq!(ours.len(), if bias { 4 } else { 3 });
                assert_eq!(ours.len(), burns.len());
                for (ours, burns) in ours.into_iter().zip(burns) {
                    let burns: Vec<f64> = burns.convert::<f64>().try_to_vec().unwrap();
                    agree(&ours.try_to_vec::<f32>().unwrap(), &burns, 1e-4);
                }
            }
        }
    }

    proptest! {
        /// If this fails, a release of Burn no longer shows ε exactly, and every layer norm is computed by Burn.
        #[test]
        fn the_epsilon_of_a_layer_is_read_to_the_last_bit(value in 1e-38f64..10.0, power in -37i32..2) {
            for value in [value, value * 10f64.powi(power), 1e-5, 1e-12, 0.1 + 0.2] {
                let layer = LayerNormConfig::new(2).with_epsilon(value).init(&Device::flex());
                prop_assert_eq!(epsilon(&layer).map(f64::to_bits), Some(value.to_bits()));
            }
        }
    }

    #[test]
    fn epsilon_decides_what_a_row_without_spread_becomes() {
        let device = Device::flex();
        // The variance of [-a, a] is a²: a / sqrt(a² + ε), with a = 1e-3.
        for epsilon in [1e-12, 1e-6, 3e-6, 0.1] {
            let layer = LayerNormConfig::new(2).with_epsilon(epsilon).init(&device);
            let row = Tensor::<2>::from_floats([[-1e-3, 1e-3]], &device);
            let found: Vec<f32> = layer_norm(&layer, row).into_data().try_to_vec().unwrap();
            let expected = 1e-3 / (1e-6f64 + epsilon).sqrt();
            assert!(
                (f64::from(found[1]) / expected - 1.0).abs() < 1e-5,
                "{found:?} {expected}"
            );
        }
    }

    #[test]
    fn what_is_not_finite_spreads_over_its_row_as_burns_does() {
        let device = Device::flex();
        let layer = LayerNormConfig::new(21).init(&device);
        for special in [f32::NAN, f32::INFINITY, 1e30] {
            let mut values = numbers(1, 3 * 21);
            values[25] = special;
            let input = Tensor::<2>::from_data(TensorData::new(values, [3, 21]), &device);
            let ours = layer_norm(&layer, input.clone()).into_data();
            let burns = layer.forward(input).into_data();
            let pairs = ours.try_to_vec::<f32>().unwrap().into_iter();
            for (ours, burns) in pairs.zip(burns.try_to_vec::<f32>().unwrap()) {
                assert_eq!(ours.is_nan(), burns.is_nan(), "{special}");
                assert!(burns.is_nan() || (ours - burns).abs() < 1e-4, "{special}");
            }
        }
    }

    #[test]
    fn no_rows_give_no_rows() {
        let device = Device::flex();
        let layer = LayerNormConfig::new(4).init(&device);
        assert_eq!(
            layer_norm(&layer, Tensor::<2>::zeros([0, 4], &device)).dims(),
            [0, 4]
        );
    }

    #[test]
    #[should_panic(expected = "axis 1 expected 4, got 3")]
    fn another_width_is_refused_by_the_layer() {
        let device = Device::flex();
        let layer = LayerNormConfig::new(4).init(&device);
        layer_norm(&layer, Tensor::<2>::zeros([2, 3], &device));
    }
}
