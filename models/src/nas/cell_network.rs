//! The network of equal cells.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{AvgPool2d, AvgPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor};
use crossburn_hardware::WeightBits;
use crossburn_hardware::enclosure::{Arithmetic, Tensors};
use crossburn_hardware::layer::{conv2d, linear};
use crossburn_kernels::{avg_pool2d, batch_norm};

use super::cell::{EDGES, NODES};
use super::cell_candidate::PlacedStage;
use super::{CellCandidate, CellOperation, NasCell};
use crate::{Activation, Classifier, Network};

/// Any [`CellCandidate`] as a module.
#[derive(Module, Debug)]
pub struct CellNetwork {
    stem: Conv2d,
    stem_norm: BatchNorm,
    stages: Vec<Stage>,
    norm: BatchNorm,
    act: Activation,
    output: Linear,
}

/// Equal cells, after a residual block that halves the size where the stage has one.
#[derive(Module, Debug)]
struct Stage {
    reduction: Option<Reduction>,
    cells: Vec<Cell>,
}

/// Two convolutions beside an average of 2 × 2 pixels with a convolution of its own.
#[derive(Module, Debug)]
struct Reduction {
    first: Step,
    second: Step,
    pool: AvgPool2d,
    shortcut: Conv2d,
}

/// One cell: its edges in their order.
#[derive(Module, Debug)]
struct Cell {
    edges: Vec<Edge>,
}

/// What an edge computes: a convolution, an average, its input, or nothing.
#[derive(Module, Debug)]
struct Edge {
    step: Option<Step>,
    pool: Option<AvgPool2d>,
    /// Whether it hands on its input as it is.
    passes: bool,
}

/// A convolution with an activation before it and a norm after it.
#[derive(Module, Debug)]
struct Step {
    act: Activation,
    conv: Conv2d,
    norm: BatchNorm,
}

impl CellCandidate {
    /// The network on `device`, for `[batch, channels, height, width]`. [`check`](Self::check) says whether the sizes fit.
    pub fn init(&self, device: &Device) -> CellNetwork {
        let stages = self.stages();
        CellNetwork {
            stem: convolution([self.input[0], self.channels], 3, 1, device),
            stem_norm: BatchNormConfig::new(self.channels).init(device),
            stages: stages.map(|stage| self.stage(&stage, device)).collect(),
            norm: BatchNormConfig::new(self.features()).init(device),
            act: Activation::new(self.bits, device),
            output: LinearConfig::new(self.features(), self.outputs).init(device),
        }
    }

    fn stage(&self, placed: &PlacedStage, device: &Device) -> Stage {
        let (from, to, bits) = (placed.from, placed.channels, self.bits);
        let cells = 0..self.cells;
        Stage {
            reduction: placed.reduces.then(|| Reduction {
                first: Step::new([from, to], 3, 2, bits, device),
                second: Step::new([to, to], 3, 1, bits, device),
                pool: AvgPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
                shortcut: convolution([from, to], 1, 1, device),
            }),
            cells: cells
                .map(|_| Cell::new(&self.cell, to, bits, device))
                .collect(),
        }
    }
}

/// A padded convolution without a bias.
fn convolution(channels: [usize; 2], kernel: usize, stride: usize, device: &Device) -> Conv2d {
    let pad = kernel / 2;
    Conv2dConfig::new(channels, [kernel, kernel])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
        .with_bias(false)
        .init(device)
}

impl Step {
    fn new(
        channels: [usize; 2],
        kernel: usize,
        stride: usize,
        bits: Option<WeightBits>,
        device: &Device,
    ) -> Self {
        Self {
            act: Activation::new(bits, device),
            conv: convolution(channels, kernel, stride, device),
            norm: BatchNormConfig::new(channels[1]).init(device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.act.apply::<Tensors, 4>(x);
        batch_norm(&self.norm, conv2d(&self.conv, x))
    }

    fn with_activations(self, change: &dyn Fn(Activation) -> Activation) -> Self {
        Self {
            act: change(self.act),
            ..self
        }
    }
}

impl Reduction {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.second.forward(self.first.forward(x.clone()));
        y + conv2d(&self.shortcut, avg_pool2d(&self.pool, x))
    }

    fn with_activations(self, change: &dyn Fn(Activation) -> Activation) -> Self {
        Self {
            first: self.first.with_activations(change),
            second: self.second.with_activations(change),
            ..self
        }
    }
}

impl Cell {
    fn new(cell: &NasCell, channels: usize, bits: Option<WeightBits>, device: &Device) -> Self {
        let average = AvgPool2dConfig::new([3, 3])
            .with_strides([1, 1])
            .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
            .with_count_include_pad(false);
        let edge = |operation: &CellOperation| Edge {
            step: operation
                .kernel()
                .map(|kernel| Step::new([channels, channels], kernel, 1, bits, device)),
            pool: (*operation == CellOperation::AveragePool).then(|| average.init()),
            passes: *operation == CellOperation::Skip,
        };
        Self {
            edges: cell.edges.iter().map(edge).collect(),
        }
    }

    /// `[batch, channels, height, width]`, kept.
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let nothing = x.zeros_like();
        let mut nodes = vec![x];
        for to in 1..NODES {
            let edges = EDGES.iter().zip(&self.edges);
            let arriving = edges.filter(|((_, end), _)| *end == to);
            let computed = arriving.filter_map(|((from, _), edge)| edge.forward(&nodes[*from]));
            let sum = computed.reduce(|sum, one| sum + one);
            nodes.push(sum.unwrap_or_else(|| nothing.clone()));
        }
        nodes.pop().unwrap_or(nothing)
    }

    fn with_activations(self, change: &dyn Fn(Activation) -> Activation) -> Self {
        let changed = |edge: Edge| Edge {
            step: edge.step.map(|step| step.with_activations(change)),
            ..edge
        };
        Self {
            edges: self.edges.into_iter().map(changed).collect(),
        }
    }
}

impl Edge {
    /// Nothing of an edge that is none.
    fn forward(&self, x: &Tensor<4>) -> Option<Tensor<4>> {
        match (&self.step, &self.pool) {
            (Some(step), _) => Some(step.forward(x.clone())),
            (None, Some(pool)) => Some(avg_pool2d(pool, x.clone())),
            (None, None) => self.passes.then(|| x.clone()),
        }
    }
}

impl Network for CellNetwork {
    fn with_activations(self, change: &dyn Fn(Activation) -> Activation) -> Self {
        let stage = |stage: Stage| Stage {
            reduction: stage.reduction.map(|block| block.with_activations(change)),
            cells: stage
                .cells
                .into_iter()
                .map(|cell| cell.with_activations(change))
                .collect(),
        };
        Self {
            stages: self.stages.into_iter().map(stage).collect(),
            act: change(self.act),
            ..self
        }
    }
}

impl Classifier for CellNetwork {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let mut x = batch_norm(&self.stem_norm, conv2d(&self.stem, images));
        for stage in &self.stages {
            if let Some(reduction) = &stage.reduction {
                x = reduction.forward(x);
            }
            x = stage.cells.iter().fold(x, |x, cell| cell.forward(x));
        }
        let x = self.act.apply::<Tensors, 4>(batch_norm(&self.norm, x));
        linear(&self.output, Tensors::mean_over_pixels(x))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::CellOperation::{AveragePool, Conv1x1, Conv3x3, None as Nothing, Skip};
    use super::*;
    use crate::initialize;
    use burn::tensor::TensorData;
    use crossburn_hardware::cost::LayerShape;
    use crossburn_hardware::deploy::{Fab, Fidelity, Hardware, MappedNetwork};
    use crossburn_noise::{ChipSeed, host_weights};

    fn candidate(edges: [CellOperation; 6]) -> CellCandidate {
        CellCandidate {
            input: [2, 8, 12],
            outputs: 5,
            channels: 3,
            cells: 2,
            ..CellCandidate::new(NasCell { edges })
        }
    }

    fn input([channels, height, width]: [usize; 3]) -> Tensor<4> {
        let values = (0..3 * channels * height * width).map(|i| (i % 17) as f32 / 16.0);
        let data = TensorData::new(values.collect::<Vec<f32>>(), [3, channels, height, width]);
        Tensor::from_data(data, &Device::flex())
    }

    #[test]
    fn parameters_are_those_that_the_benchmark_publishes() {
        // 1.531546 million for 3 x 3 convolutions alone, 0.073306 million for cells without weights, and two running statistics of every norm:
        // of the stem, the residual blocks, the end, and the 30 convolutions of each stage.
        let norms = 16 + 2 * (32 + 64) + 64;
        for (operation, published, channels) in [
            (Conv3x3, 1_531_546, norms + 30 * (16 + 32 + 64)),
            (AveragePool, 73_306, norms),
            (Nothing, 73_306, norms),
        ] {
            let cell = NasCell {
                edges: [operation; 6],
            };
            let network = CellCandidate::new(cell).init(&Device::flex());
            assert_eq!(network.num_params(), published + 2 * channels);
        }
    }

    /// What a cell gives for the four pixels 1, 2, 3, 4.
    fn on_four_pixels(edges: [CellOperation; 6]) -> Vec<f32> {
        let device = Device::flex();
        let data = TensorData::new(vec![1.0f32, 2.0, 3.0, 4.0], [1, 1, 2, 2]);
        let cell = Cell::new(&NasCell { edges }, 1, None, &device);
        let found = cell.forward(Tensor::from_data(data, &device));
        found.into_data().try_to_vec().unwrap()
    }

    #[test]
    fn cells_without_weights_by_hand() {
        // An average of nine pixels, of which four are there, is the mean of the four: 2.5.
        let averages = on_four_pixels([Nothing, Nothing, AveragePool, Nothing, Nothing, Nothing]);
        assert_eq!(averages, [2.5; 4]);
        // Node 1 is the average, node 2 that and the input, node 3 node 2 and the input.
        let found = on_four_pixels([AveragePool, Skip, Skip, Skip, Nothing, Skip]);
        assert_eq!(found, [4.5, 6.5, 8.5, 10.5]);
        // By way of node 1 alone.
        let found = on_four_pixels([Skip, Nothing, Nothing, Nothing, Skip, Nothing]);
        assert_eq!(found, [1.0, 2.0, 3.0, 4.0]);
        // Two edges that do not meet.
        let found = on_four_pixels([Nothing, Skip, Nothing, Nothing, Skip, Nothing]);
        assert_eq!(found, [0.0; 4]);
    }

    #[test]
    fn a_convolution_has_an_activation_before_it_and_a_norm_after_it() {
        let device = Device::flex();
        let mut step = Step::new([1, 1], 1, 1, None, &device);
        let data = TensorData::new(vec![-3.0f32], [1, 1, 1, 1]);
        let weight = step.conv.weight.clone();
        step.conv.weight = weight.map(|_| Tensor::from_data(data, &device));
        // With a running mean of 0 and a variance of 1, a norm divides by the root of 1 + 1e-5.
        let data = TensorData::new(vec![-1.0f32, 2.0], [1, 1, 1, 2]);
        let found = step.forward(Tensor::from_data(data, &device));
        let found: Vec<f32> = found.into_data().try_to_vec().unwrap();
        assert!(
            found[0] == 0.0 && (found[1] + 6.0).abs() < 1e-3,
            "{found:?}"
        );
    }

    #[test]
    fn modules_have_the_shapes_that_costs_are_counted_by() {
        let hardware = Hardware::preset("isaac").unwrap();
        for edges in [
            [Conv3x3, Conv1x1, Skip, AveragePool, Conv1x1, Conv3x3],
            // Nothing leads to the output, and the convolution of a dead end has its arrays nevertheless.
            [Conv3x3, Nothing, Nothing, Nothing, Nothing, Nothing],
            [Conv1x1; 6],
        ] {
            let candidate = candidate(edges);
            candidate.check().unwrap();
            let network = initialize(candidate.init(&Device::flex()), 1);
            let stored = host_weights(&network);
            let by_path = |mut shapes: Vec<LayerShape>| {
                shapes.sort_by(|a, b| a.path.cmp(&b.path));
                shapes
            };
            let shapes = by_path(candidate.shapes());
            let paths = shapes.iter().map(|shape| &shape.path);
            assert!(paths.eq(stored.keys()), "{shapes:?}");
            for shape in &shapes {
                let values = stored[&shape.path].values.len() as u64;
                assert_eq!(shape.weights(), values, "{}", shape.path);
            }
            // What a pass of three inputs shows of every layer, positions included.
            let x = input(candidate.input);
            let run = |network: &CellNetwork| {
                network.forward(x.clone());
            };
            let mapped = MappedNetwork::new(&network, &hardware, 3, run).unwrap();
            assert!(mapped.unseen().is_empty());
            assert_eq!(by_path(mapped.shapes()), shapes);
            let chip = mapped.fab(Fidelity::Weight).unwrap();
            let chip = chip.chip(ChipSeed::new(1, 0)).unwrap();
            let logits: Vec<f32> = chip.forward(x).into_data().try_to_vec().unwrap();
            assert_eq!(logits.len(), 3 * 5);
            assert!(logits.iter().all(|value| value.is_finite()));
            // Only what is connected tells inputs apart.
            let differ = logits[..5] != logits[5..10];
            assert_eq!(differ, candidate.cell.is_connected(), "{logits:?}");
        }
    }
}
