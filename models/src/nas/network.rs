//! The network of a candidate.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{AvgPool2d, AvgPool2dConfig, MaxPool2d, MaxPool2dConfig};
use burn::nn::{
    BatchNorm, BatchNormConfig, Dropout, DropoutConfig, GroupNorm, Linear, LinearConfig,
    PaddingConfig2d,
};
use burn::tensor::{Device, Tensor};
use crossburn_hardware::enclosure::Tensors;
use crossburn_hardware::layer::{conv2d, linear};
use crossburn_kernels::{avg_pool2d, batch_norm, group_norm, max_pool2d};

use super::convolutional::PlacedLayer;
use super::{Block, CandidateNorm, CandidatePool, ConvolutionalCandidate};
use crate::dropout::dropout;
use crate::unet::group_norm_of;
use crate::{Activation, Classifier, Network};

/// Any [`ConvolutionalCandidate`] as a module.
#[derive(Module, Debug)]
pub struct CandidateNetwork {
    layers: Vec<CandidateBlock>,
    hidden: Option<Linear>,
    hidden_act: Activation,
    output: Linear,
    dropout: Dropout,
}

/// One layer of a candidate: one convolution, two, or two beside a shortcut, each with a norm and an activation; then pooling.
#[derive(Module, Debug)]
struct CandidateBlock {
    first: Step,
    second: Option<Step>,
    shortcut: Option<Step>,
    /// Whether what goes in is added before the last activation.
    residual: bool,
    acts: Vec<Activation>,
    max_pool: Option<MaxPool2d>,
    avg_pool: Option<AvgPool2d>,
}

/// A convolution with its norm.
#[derive(Module, Debug)]
struct Step {
    conv: Conv2d,
    batch_norm: Option<BatchNorm>,
    group_norm: Option<GroupNorm>,
}

impl ConvolutionalCandidate {
    /// The network on `device`, for `[batch, channels, height, width]`. [`check`](Self::check) says whether the sizes fit.
    pub fn init(&self, device: &Device) -> CandidateNetwork {
        let units = self.units();
        let wide = LinearConfig::new(units[units.len() - 2], self.outputs);
        let blocks = self.placed().map(|layer| self.block(&layer, device));
        CandidateNetwork {
            layers: blocks.collect(),
            hidden: self
                .hidden
                .map(|hidden| LinearConfig::new(units[0], hidden).init(device)),
            hidden_act: Activation::new(self.bits, device),
            output: wide.init(device),
            dropout: DropoutConfig::new(self.dropout).init(),
        }
    }

    fn block(&self, placed: &PlacedLayer, device: &Device) -> CandidateBlock {
        let (from, to, kernel) = (placed.from, placed.layer.channels, placed.layer.kernel);
        let stride = placed.stride();
        let step = |channels, kernel, stride, groups| {
            self.step(channels, [kernel, stride, groups], device)
        };
        let block = placed.layer.block;
        let (first, second) = match block {
            Block::Conv => (step([from, to], kernel, stride, 1), None),
            Block::DepthwiseSeparable => (
                step([from, from], kernel, stride, from),
                Some(step([from, to], 1, 1, 1)),
            ),
            Block::Residual => (
                step([from, to], kernel, stride, 1),
                Some(step([to, to], kernel, 1, 1)),
            ),
        };
        let residual = block == Block::Residual;
        let pools = |pool| placed.pools() && self.pool == pool;
        CandidateBlock {
            shortcut: (residual && placed.projects()).then(|| step([from, to], 1, stride, 1)),
            residual,
            acts: (0..1 + usize::from(second.is_some()))
                .map(|_| Activation::new(self.bits, device))
                .collect(),
            first,
            second,
            max_pool: pools(CandidatePool::Max)
                .then(|| MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init()),
            avg_pool: pools(CandidatePool::Avg)
                .then(|| AvgPool2dConfig::new([2, 2]).with_strides([2, 2]).init()),
        }
    }

    /// A padded convolution of `[kernel, stride, groups]` with the norm of the candidate, which takes the place of a bias.
    fn step(&self, channels: [usize; 2], form: [usize; 3], device: &Device) -> Step {
        let [kernel, stride, groups] = form;
        let pad = kernel / 2;
        let conv = Conv2dConfig::new(channels, [kernel, kernel])
            .with_stride([stride, stride])
            .with_groups(groups)
            .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
            .with_bias(self.norm == CandidateNorm::None);
        let [_, to] = channels;
        Step {
            conv: conv.init(device),
            batch_norm: (self.norm == CandidateNorm::Batch)
                .then(|| BatchNormConfig::new(to).init(device)),
            group_norm: (self.norm == CandidateNorm::Group).then(|| group_norm_of(to, device)),
        }
    }
}

impl Step {
    /// The convolution with its norm.
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = conv2d(&self.conv, x);
        match (&self.batch_norm, &self.group_norm) {
            (Some(norm), _) => batch_norm(norm, x),
            (None, Some(norm)) => group_norm(norm, x),
            (None, None) => x,
        }
    }

    /// The same with an activation after it.
    fn activated(&self, activation: &Activation, x: Tensor<4>) -> Tensor<4> {
        match self.batch_norm.is_some() || self.group_norm.is_some() {
            true => activation.apply::<Tensors, 4>(self.forward(x)),
            false => activation.after_conv2d::<Tensors>(&self.conv, x),
        }
    }
}

impl CandidateBlock {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let first = self.first.activated(&self.acts[0], x.clone());
        let computed = match (&self.second, self.residual) {
            (None, _) => first,
            (Some(second), false) => second.activated(&self.acts[1], first),
            (Some(second), true) => {
                let second = second.forward(first);
                let shortcut = match &self.shortcut {
                    Some(shortcut) => shortcut.forward(x),
                    None => x,
                };
                self.acts[1].apply::<Tensors, 4>(second + shortcut)
            }
        };
        match (&self.max_pool, &self.avg_pool) {
            (Some(pool), _) => max_pool2d(pool, computed),
            (None, Some(pool)) => avg_pool2d(pool, computed),
            (None, None) => computed,
        }
    }

    fn with_activations(self, change: &dyn Fn(Activation) -> Activation) -> Self {
        let activations = self.acts.into_iter();
        Self {
            acts: activations.map(change).collect(),
            ..self
        }
    }
}

impl Network for CandidateNetwork {
    fn with_activations(self, change: &dyn Fn(Activation) -> Activation) -> Self {
        let layers = self.layers.into_iter();
        Self {
            layers: layers.map(|layer| layer.with_activations(change)).collect(),
            hidden_act: change(self.hidden_act),
            ..self
        }
    }
}

impl Classifier for CandidateNetwork {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let blocks = self.layers.iter();
        let x = blocks.fold(images, |x, block| block.forward(x));
        let mut x = dropout(&self.dropout, x.flatten::<2>(1, 3));
        if let Some(hidden) = &self.hidden {
            x = self.hidden_act.apply::<Tensors, 2>(linear(hidden, x));
            x = dropout(&self.dropout, x);
        }
        linear(&self.output, x)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::super::CandidateLayer;
    use super::*;
    use crate::initialize;
    use burn::tensor::TensorData;
    use crossburn_hardware::cost::LayerShape;
    use crossburn_hardware::deploy::{Fab, Fidelity, Hardware, MappedNetwork};
    use crossburn_noise::{ChipSeed, host_weights};

    const BLOCKS: [Block; 3] = [Block::Conv, Block::DepthwiseSeparable, Block::Residual];
    const NORMS: [CandidateNorm; 3] = [
        CandidateNorm::None,
        CandidateNorm::Batch,
        CandidateNorm::Group,
    ];
    const POOLS: [CandidatePool; 3] = [
        CandidatePool::Max,
        CandidatePool::Avg,
        CandidatePool::Stride,
    ];

    /// Every block with every kind of norm and of halving, on pixels of odd numbers.
    fn candidates() -> Vec<ConvolutionalCandidate> {
        let mut found = Vec::new();
        for (at, block) in BLOCKS.into_iter().enumerate() {
            for (place, pool) in POOLS.into_iter().enumerate() {
                // The third layer keeps its channels, so that its shortcut has no weights.
                let layers = [(4, 3), (6, 5), (6, 1), (6, 7)];
                let layers = layers.map(|(channels, kernel)| CandidateLayer {
                    block,
                    ..CandidateLayer::new(channels, kernel)
                });
                found.push(ConvolutionalCandidate {
                    norm: NORMS[(at + place) % 3],
                    pool,
                    hidden: (place > 0).then_some(9),
                    dropout: 0.25,
                    ..ConvolutionalCandidate::new([2, 7, 9], 5, layers.to_vec())
                });
            }
        }
        found
    }

    fn input([channels, height, width]: [usize; 3]) -> Tensor<4> {
        let values = (0..3 * channels * height * width).map(|i| (i % 17) as f32 / 16.0);
        let data = TensorData::new(values.collect::<Vec<f32>>(), [3, channels, height, width]);
        Tensor::from_data(data, &Device::flex())
    }

    #[test]
    fn modules_have_the_shapes_that_costs_are_counted_by() {
        let hardware = Hardware::preset("isaac").unwrap();
        for candidate in candidates() {
            candidate.check().unwrap();
            let network = initialize(candidate.init(&Device::flex()), 1);
            let stored = host_weights(&network);
            let shapes = candidate.shapes();
            let paths: Vec<&String> = shapes.iter().map(|shape| &shape.path).collect();
            let mut sorted = paths.clone();
            sorted.sort();
            assert!(sorted.into_iter().eq(stored.keys()), "{paths:?}");
            for shape in &shapes {
                let values = stored[&shape.path].values.len() as u64;
                assert_eq!(shape.weights(), values, "{}", shape.path);
            }
            // What a pass of three inputs shows of every layer, positions included.
            let x = input(candidate.input);
            let run = |network: &CandidateNetwork| {
                network.forward(x.clone());
            };
            let mapped = MappedNetwork::new(&network, &hardware, 3, run).unwrap();
            assert!(mapped.unseen().is_empty());
            assert_eq!(mapped.shapes(), shapes);
            let chip = mapped.fab(Fidelity::Weight).unwrap();
            let chip = chip.chip(ChipSeed::new(1, 0)).unwrap();
            let logits: Vec<f32> = chip.forward(x).into_data().try_to_vec().unwrap();
            assert_eq!(logits.len(), 3 * 5);
            assert!(logits.iter().all(|value| value.is_finite()));
        }
    }

    #[test]
    fn the_network_of_the_paper_has_its_parameters() {
        let layer = CandidateLayer::new(32, 3);
        let candidate = ConvolutionalCandidate {
            hidden: Some(64),
            ..ConvolutionalCandidate::new([3, 32, 32], 10, vec![layer; 6])
        };
        let biases = 6 * 32 + 64 + 10;
        let network = candidate.init(&Device::flex());
        let weights: u64 = candidate.shapes().iter().map(LayerShape::weights).sum();
        assert_eq!(network.num_params() as u64, weights + biases);
        assert_eq!(weights, 27 * 32 + 5 * 9 * 32 * 32 + 512 * 64 + 640);
    }

    #[test]
    fn one_layer_by_hand() {
        // A residual layer whose convolutions hand on the middle of their kernels, doubled: relu(2 relu(2 x) + x) = 5 x for x > 0.
        let layer = CandidateLayer {
            block: Block::Residual,
            ..CandidateLayer::new(1, 3)
        };
        let candidate = ConvolutionalCandidate::new([1, 1, 2], 1, vec![layer]);
        let mut network = candidate.init(&Device::flex());
        let set = |param: &burn::module::Param<Tensor<4>>| {
            let mut kernel = [0.0f32; 9];
            kernel[4] = 2.0;
            let data = TensorData::new(kernel.to_vec(), [1, 1, 3, 3]);
            param
                .clone()
                .map(|_| Tensor::from_data(data, &Device::flex()))
        };
        let block = &mut network.layers[0];
        for step in [Some(&mut block.first), block.second.as_mut()] {
            let conv = &mut step.unwrap().conv;
            conv.weight = set(&conv.weight);
            let zero = conv.bias.take().unwrap();
            conv.bias = Some(zero.map(|bias| bias.zeros_like()));
        }
        let x = Tensor::from_data(
            TensorData::new(vec![3.0f32, -4.0], [1, 1, 1, 2]),
            &Device::flex(),
        );
        let found: Vec<f32> = network.layers[0]
            .forward(x)
            .into_data()
            .try_to_vec()
            .unwrap();
        assert_eq!(found, [15.0, 0.0]);
    }
}
