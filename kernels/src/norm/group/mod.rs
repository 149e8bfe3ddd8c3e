//! Group normalisation: `γ (x - μ) / √(σ² + ε) + β`, with mean and variance over a few neighbouring channels of one image.
//!
//! It reads and writes as much as batch normalisation and shares its loops. A run (a channel of an image) uses the statistics of its group; in batch
//! normalisation it uses those of its channel.
#![allow(deprecated, reason = "Burn's ndarray backend stays selectable")]

#[cfg(test)]
mod tests;

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::nn::GroupNorm;
use burn::tensor::{DType, Shape, Tensor};
use pulp::Arch;

use super::batch::planes::{self, Sizes};
use super::lanes::{Moments, inverse_deviation};
use crate::flex::{FlexTensor, all_f32, dense, into_values, tensor, values};
use crate::plain::sum_per_channel;

/// The result of [`GroupNorm::forward`], computed faster.
///
/// # Shapes
///
/// `[batch, channels, ..] → [batch, channels, ..]`
///
/// # Panics
///
/// As the layer: if the input has another number of channels.
///
/// # Example
///
/// ```
/// use burn::nn::GroupNormConfig;
/// use burn::tensor::{Device, Distribution, Tensor};
///
/// let device = Device::flex();
/// let layer = GroupNormConfig::new(2, 6).init(&device);
/// let images = Tensor::<4>::random([3, 6, 8, 8], Distribution::Default, &device);
/// assert_eq!(crossburn_kernels::group_norm(&layer, images).dims(), [3, 6, 8, 8]);
/// ```
pub fn group_norm<const D: usize>(layer: &GroupNorm, input: Tensor<D>) -> Tensor<D> {
    let fits = D > 2 && input.dims()[1] == layer.num_channels && input.dtype() == DType::F32;
    let (Some(gamma), Some(beta), true) = (&layer.gamma, &layer.beta, fits) else {
        return layer.forward(input);
    };
    let (output, _, _) = Dispatch::group_norm(
        input.into_dispatch(),
        gamma.val().into_dispatch(),
        beta.val().into_dispatch(),
        layer.num_groups,
        layer.epsilon,
    );
    Tensor::from_dispatch(output)
}

/// Group normalisation and its gradients. The bodies here are the backend's own operations.
///
/// `x` and `gradient` are `[batch, channels, ..]`, `gamma` and `beta` `[channels]`, `mean` and `variance` `[batch, groups]`.
#[backend_extension(Flex, NdArray: cfg(feature = "ndarray"), Cube: cfg(feature = "wgpu"), Autodiff)]
pub(crate) trait GroupNormKernel: Backend {
    /// Output, mean and variance.
    fn group_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        groups: usize,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        forward::<Self>(x, gamma, beta, groups, epsilon)
    }

    /// Gradients of `x`, `gamma` and `beta`.
    fn group_norm_gradients(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        gradients::<Self>(x, gamma, [mean, variance], gradient, epsilon)
    }
}

/// `[channels]` as `[1, channels, 1, ..]` of the rank of `like`.
fn per_channel<B: Backend>(tensor: FloatTensor<B>, like: &Shape) -> FloatTensor<B> {
    let mut sizes = vec![1; like.num_dims()];
    sizes[1] = like[1];
    B::float_reshape(tensor, Shape::from(sizes))
}

/// `x` as `[batch, groups, values]`.
fn grouped<B: Backend>(x: FloatTensor<B>, groups: usize) -> FloatTensor<B> {
    let shape = x.shape();
    let each = shape[1..].iter().product::<usize>() / groups;
    B::float_reshape(x, Shape::from([shape[0], groups, each]))
}

fn forward<B: Backend>(
    x: FloatTensor<B>,
    gamma: FloatTensor<B>,
    beta: FloatTensor<B>,
    groups: usize,
    epsilon: f64,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let shape = x.shape();
    let x = grouped::<B>(x, groups);
    let mean = B::float_mean_dim(x.clone(), 2);
    let centred = B::float_sub(x, mean.clone());
    let variance = B::float_mean_dim(B::float_mul(centred.clone(), centred.clone()), 2);
    let deviation = B::float_sqrt(B::float_add_scalar(variance.clone(), epsilon.into()));
    let normal = B::float_reshape(B::float_div(centred, deviation), shape.clone());
    let scaled = B::float_mul(normal, per_channel::<B>(gamma, &shape));
    let output = B::float_add(scaled, per_channel::<B>(beta, &shape));
    let statistics = |value| B::float_reshape(value, Shape::from([shape[0], groups]));
    (output, statistics(mean), statistics(variance))
}

fn gradients<B: Backend>(
    x: FloatTensor<B>,
    gamma: FloatTensor<B>,
    statistics: [FloatTensor<B>; 2],
    gradient: FloatTensor<B>,
    epsilon: f64,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let shape = x.shape();
    let [batch, groups] = statistics[0].shape().dims();
    let [mean, variance] =
        statistics.map(|value| B::float_reshape(value, Shape::from([batch, groups, 1])));
    let group = |value| grouped::<B>(value, groups);
    let inverse = B::float_recip(B::float_sqrt(B::float_add_scalar(variance, epsilon.into())));
    let normal = B::float_mul(B::float_sub(group(x), mean), inverse.clone());
    let weighted = group(B::float_mul(
        gradient.clone(),
        per_channel::<B>(gamma, &shape),
    ));
    let mean_of = |value| B::float_mean_dim(value, 2);
    let slope = mean_of(B::float_mul(weighted.clone(), normal.clone()));
    let rest = B::float_sub(weighted.clone(), mean_of(weighted));
    let rest = B::float_sub(rest, B::float_mul(normal.clone(), slope));
    let normal = B::float_reshape(normal, shape.clone());
    (
        B::float_reshape(B::float_mul(rest, inverse), shape),
        sum_per_channel::<B>(B::float_mul(gradient.clone(), normal)),
        sum_per_channel::<B>(gradient),
    )
}

#[cfg(feature = "ndarray")]
impl GroupNormKernel for burn::backend::NdArray {}

#[cfg(feature = "wgpu")]
impl GroupNormKernel for burn::backend::Cube {}

/// The grouping of channels.
#[derive(Clone, Copy, Debug)]
struct Groups {
    channels: usize,
    groups: usize,
    runs: Sizes,
}

impl Groups {
    /// `None` if the kernels do not apply: no values, other types, parameters of another length, or channels that do not divide into groups.
    fn of(x: &FlexTensor, parameters: &[&FlexTensor], groups: usize) -> Option<Self> {
        let shape = x.shape();
        let [batch, channels, rest @ ..] = shape.as_slice() else {
            return None;
        };
        let (batch, channels) = (*batch, *channels);
        let fits = parameters
            .iter()
            .all(|parameter| parameter.shape().as_slice() == [channels]);
        let fits = fits && groups > 0 && channels.is_multiple_of(groups);
        let usable = shape.num_elements() > 0 && all_f32(parameters.iter().copied().chain([x]));
        // The runs as channels of one image: each run is a channel of its own.
        let runs = Sizes::new(1, batch * channels, rest.iter().product());
        (fits && usable).then_some(Self {
            channels,
            groups,
            runs,
        })
    }

    /// Number of channels of a group.
    fn width(&self) -> usize {
        self.channels / self.groups
    }

    /// Number of values of a group.
    fn count(&self) -> f64 {
        self.width() as f64 * self.runs.count
    }

    /// Repeats one value per group for each of its runs.
    fn of_group(&self, values: &[f32]) -> Vec<f32> {
        let runs = 0..self.runs.channels;
        runs.map(|run| values[run / self.width()]).collect()
    }

    /// Repeats one value per channel for each of its runs.
    fn of_channel(&self, values: &[f32]) -> Vec<f32> {
        let runs = 0..self.runs.channels;
        runs.map(|run| values[run % self.channels]).collect()
    }

    /// Mean and variance of each group.
    fn statistics(&self, arch: Arch, input: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let runs = planes::moments(arch, self.runs, input);
        let groups = runs.chunks_exact(self.width()).map(|runs| {
            let mut group = Moments::default();
            runs.iter().for_each(|run| group.merge(run));
            (group.mean as f32, (group.squares / group.count) as f32)
        });
        groups.unzip()
    }

    /// The factors from which [`planes::combine_runs`] computes the input gradient of each run, and the gradients of γ and β.
    ///
    /// ```text
    /// ∂x = (γ g - mean(γ g) - d mean(γ g d) / s²) / s,   s = √(σ² + ε),   d = x - μ
    /// ```
    fn factors(
        &self,
        sums: &[[f64; 2]],
        gamma: &[f32],
        variance: &[f32],
        epsilon: f64,
    ) -> (Vec<[f32; 3]>, [Vec<f32>; 2]) {
        let mut factors = Vec::with_capacity(sums.len());
        let mut of_channels = vec![[0.0; 2]; self.channels];
        for (group, sums) in sums.chunks_exact(self.width()).enumerate() {
            let inverse = inverse_deviation(variance[group], epsilon);
            let first = group % self.groups * self.width();
            let gamma = &gamma[first..][..self.width()];
            let mut weighted = [0.0; 2];
            let channels = of_channels[first..].iter_mut();
            for ((gamma, [sum, products]), channel) in gamma.iter().zip(sums).zip(channels) {
                weighted[0] += f64::from(*gamma) * sum;
                weighted[1] += f64::from(*gamma) * products;
                channel[0] += products * inverse;
                channel[1] += sum;
            }
            let [offset, slope] = weighted.map(|sum| sum / self.count() * inverse);
            let slope = slope * inverse * inverse;
            factors.extend(gamma.iter().map(|gamma| {
                [f64::from(*gamma) * inverse, -slope, -offset].map(|factor| factor as f32)
            }));
        }
        let channels = of_channels.iter();
        let (gamma, beta) = channels.map(|[g, b]| (*g as f32, *b as f32)).unzip();
        (factors, [gamma, beta])
    }
}

impl GroupNormKernel for Flex {
    fn group_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        groups: usize,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let Some(of) = Groups::of(&x, &[&gamma, &beta], groups) else {
            return forward::<Self>(x, gamma, beta, groups, epsilon);
        };
        let (x, gamma, beta) = (dense(x), dense(gamma), dense(beta));
        let arch = Arch::new();
        let (mean, variance) = of.statistics(arch, values(&x));
        let parameters = [
            of.of_channel(values(&gamma)),
            of.of_channel(values(&beta)),
            of.of_group(&mean),
            of.of_group(&variance),
        ];
        let parameters = parameters.each_ref().map(Vec::as_slice);
        let output = planes::fixed(arch, of.runs, values(&x), parameters, epsilon);
        let groups = [x.shape()[0], groups];
        (
            tensor(output, x.shape()),
            tensor(mean, groups),
            tensor(variance, groups),
        )
    }

    fn group_norm_gradients(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let of = Groups::of(&x, &[&gamma], mean.shape()[1]);
        let Some(of) = of.filter(|_| all_f32([&gradient, &mean, &variance])) else {
            return gradients::<Self>(x, gamma, [mean, variance], gradient, epsilon);
        };
        let (x, gamma, mean, variance) = (dense(x), dense(gamma), dense(mean), dense(variance));
        let mut gradient = into_values(gradient);
        let (arch, mean) = (Arch::new(), of.of_group(values(&mean)));
        let sums = planes::products_of_runs(arch, of.runs, values(&x), &mean, &gradient);
        let (factors, [gamma, beta]) =
            of.factors(&sums, values(&gamma), values(&variance), epsilon);
        planes::combine_runs(arch, of.runs, values(&x), &mut gradient, &mean, &factors);
        (
            tensor(gradient, x.shape()),
            tensor(gamma, [of.channels]),
            tensor(beta, [of.channels]),
        )
    }
}

#[derive(Debug)]
struct Normalisation;

impl<B: GroupNormKernel> Backward<B, 3> for Normalisation {
    /// Nodes of the input and of γ; mean, variance and ε.
    type State = (NodeId, NodeId, FloatTensor<B>, FloatTensor<B>, f64);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let gradient = grads.consume::<B>(&ops.node);
        let (x, gamma, mean, variance, epsilon) = ops.state;
        let x = checkpointer.retrieve_node_output::<FloatTensor<B>>(x);
        let gamma = checkpointer.retrieve_node_output::<FloatTensor<B>>(gamma);
        let (x, gamma, beta) = B::group_norm_gradients(x, gamma, mean, variance, gradient, epsilon);
        for (node, value) in ops.parents.into_iter().zip([x, gamma, beta]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, value);
            }
        }
    }
}

impl<B: GroupNormKernel, C: CheckpointStrategy> GroupNormKernel for Autodiff<B, C> {
    fn group_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        groups: usize,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (output, mean, variance) = B::group_norm(
            x.primitive().clone(),
            gamma.primitive().clone(),
            beta.primitive().clone(),
            groups,
            epsilon,
        );
        let statistics = [mean.clone(), variance.clone()].map(FloatTensor::<Self>::new);
        let output = match Normalisation
            .prepare::<C>([x.node(), gamma.node(), beta.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(mut prep) => {
                let (x, gamma) = (prep.checkpoint(&x), prep.checkpoint(&gamma));
                prep.finish((x, gamma, mean, variance, epsilon), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        };
        let [mean, variance] = statistics;
        (output, mean, variance)
    }
}
