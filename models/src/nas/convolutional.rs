//! A stack of convolutional blocks with linear layers at its end: the networks of LCDA and FL-NAS.

use std::collections::BTreeMap;

use crossburn_hardware::WeightBits;
use crossburn_hardware::cost::LayerShape;
use serde::de::value::{Error, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer};
use serde::{Deserialize, Serialize};

use crate::ModelError;

/// The kind of block of a candidate's layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Block {
    /// One convolution.
    #[default]
    Conv,
    /// A convolution of every channel by itself, and one over channels with a kernel of 1.
    DepthwiseSeparable,
    /// Two convolutions beside a shortcut, which is a convolution with a kernel of 1 where channels or sizes change.
    Residual,
}

/// The norm after each convolution of a candidate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CandidateNorm {
    /// Nothing.
    #[default]
    None,
    /// A batch norm. It stays digital.
    Batch,
    /// A group norm, of up to eight groups of channels. It stays digital.
    Group,
}

/// The operation that halves height and width after every second layer of a candidate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CandidatePool {
    /// The largest of 2 × 2 values; of an odd size, the last row or column is left out.
    #[default]
    Max,
    /// The mean of 2 × 2 values; of an odd size, the last row or column is left out.
    Avg,
    /// The first convolution of the layer, by a stride of 2; an odd size is rounded up.
    Stride,
}

/// The choice of this name.
fn named<T: DeserializeOwned>(name: &str) -> Option<T> {
    let name: StrDeserializer<'_, Error> = name.into_deserializer();
    T::deserialize(name).ok()
}

impl Block {
    /// The block of this name: `conv`, `depthwise-separable`, `residual`.
    pub fn of(name: &str) -> Option<Self> {
        named(name)
    }
}

impl CandidateNorm {
    /// The norm of this name: `none`, `batch`, `group`.
    pub fn of(name: &str) -> Option<Self> {
        named(name)
    }
}

impl CandidatePool {
    /// The halving of this name: `max`, `avg`, `stride`.
    pub fn of(name: &str) -> Option<Self> {
        named(name)
    }
}

/// One layer of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CandidateLayer {
    /// Channels that it gives.
    pub channels: usize,
    /// Its kernel is as high as wide.
    pub kernel: usize,
    /// The kind of block.
    #[serde(default)]
    pub block: Block,
    /// Width of its weights; that of the network where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<WeightBits>,
}

impl CandidateLayer {
    /// A layer of the block `conv`, whose weights are as wide as those of the network.
    pub fn new(channels: usize, kernel: usize) -> Self {
        Self {
            channels,
            kernel,
            block: Block::default(),
            bits: None,
        }
    }
}

/// A stack of blocks, padded so that they keep the size of their input, with a halving of the size after every second layer, then one hidden linear
/// layer where asked for, and the linear layer of the outputs.
///
/// ```
/// use crossburn_models::nas::{CandidateLayer, ConvolutionalCandidate};
///
/// let layers = vec![CandidateLayer::new(32, 3); 6];
/// let candidate = ConvolutionalCandidate {
///     hidden: Some(1024),
///     ..ConvolutionalCandidate::new([3, 32, 32], 10, layers)
/// };
/// let shapes = candidate.shapes();
/// assert_eq!((shapes[2].inputs, shapes[2].positions), (9 * 32, 16 * 16));
/// // The size was halved three times: 16 pixels of 32 channels.
/// assert_eq!(shapes[6].inputs, 16 * 32);
/// ```
///
/// # Source
/// LCDA (arXiv 2306.06923) has six layers of the block `conv` and 1024 hidden units; FL-NAS (arXiv 2402.06696) chooses depth and blocks. Where norms and
/// dropout are is this project's choice: norms before each activation, dropout before each linear layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvolutionalCandidate {
    /// Channels, height and width of an input.
    pub input: [usize; 3],
    /// Outputs.
    pub outputs: usize,
    /// The layers in their order.
    pub layers: Vec<CandidateLayer>,
    /// Units of a hidden linear layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<usize>,
    /// What scales the channels after each convolution.
    #[serde(default)]
    pub norm: CandidateNorm,
    /// The share of values that a training step drops before each linear layer.
    #[serde(default)]
    pub dropout: f64,
    /// The operation that halves the size after every second layer.
    #[serde(default)]
    pub pool: CandidatePool,
    /// Width of activations, and of weights in layers without a width of their own; full precision where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<WeightBits>,
}

/// One layer with what goes into it and what it gives.
pub(super) struct PlacedLayer {
    pub(super) layer: CandidateLayer,
    /// Channels that go into it.
    pub(super) from: usize,
    /// Height and width of what goes into it.
    pub(super) given: [usize; 2],
    /// Height and width of what its convolutions give.
    pub(super) computed: [usize; 2],
    /// Height and width of what goes on.
    pub(super) left: [usize; 2],
}

impl PlacedLayer {
    /// The stride of its first convolution.
    pub(super) fn stride(&self) -> usize {
        match self.computed == self.given {
            true => 1,
            false => 2,
        }
    }

    /// Whether it pools what its convolutions give.
    pub(super) fn pools(&self) -> bool {
        self.left != self.computed
    }

    /// Whether a shortcut past it needs a convolution.
    pub(super) fn projects(&self) -> bool {
        self.from != self.layer.channels || self.stride() > 1
    }

    /// Its matrices as the layer of this number, in their order.
    fn shapes(&self, number: usize) -> Vec<LayerShape> {
        let conv = |name: &str, from: usize, to: usize, kernel: usize, groups: usize| {
            let path = format!("layers.{number}.{name}.conv.weight");
            LayerShape::convolution(path, [from, to], [kernel; 2], groups, self.computed)
        };
        let (from, to) = (self.from, self.layer.channels);
        let kernel = self.layer.kernel;
        match self.layer.block {
            Block::Conv => vec![conv("first", from, to, kernel, 1)],
            Block::DepthwiseSeparable => vec![
                conv("first", from, from, kernel, from),
                conv("second", from, to, 1, 1),
            ],
            Block::Residual => {
                let both = [
                    conv("first", from, to, kernel, 1),
                    conv("second", to, to, kernel, 1),
                ];
                let shortcut = self.projects().then(|| conv("shortcut", from, to, 1, 1));
                both.into_iter().chain(shortcut).collect()
            }
        }
    }
}

impl ConvolutionalCandidate {
    /// Layers without norms, dropout, a hidden layer and quantization, whose sizes are halved by their maximum.
    pub fn new(input: [usize; 3], outputs: usize, layers: Vec<CandidateLayer>) -> Self {
        Self {
            input,
            outputs,
            layers,
            hidden: None,
            norm: CandidateNorm::default(),
            dropout: 0.0,
            pool: CandidatePool::default(),
            bits: None,
        }
    }

    /// Refuses sizes of which one is zero, kernels of an even size, a dropout outside 0 to below 1, and more halvings than the input has.
    ///
    /// # Errors
    /// [`ModelError::Zero`], [`ModelError::Sizes`].
    pub fn check(&self) -> Result<(), ModelError> {
        let mut counts = vec![
            ("outputs", self.outputs),
            ("layers", self.layers.len()),
            ("hidden", self.hidden.unwrap_or(1)),
        ];
        counts.extend(self.input.map(|size| ("input", size)));
        for layer in &self.layers {
            counts.extend([
                ("layers.channels", layer.channels),
                ("layers.kernel", layer.kernel),
            ]);
        }
        if let Some((key, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(ModelError::Zero { key });
        }
        let sizes = |problem: String, remedy| Err(ModelError::Sizes { problem, remedy });
        if let Some(layer) = self
            .layers
            .iter()
            .find(|layer| layer.kernel.is_multiple_of(2))
        {
            return sizes(
                format!("layers.kernel = {} is even", layer.kernel),
                "use an odd size, which has a middle",
            );
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return sizes(
                format!("dropout = {} is no share from 0 to below 1", self.dropout),
                "use 0.1, or 0 for none",
            );
        }
        match self.placed().any(|layer| layer.left.contains(&0)) {
            false => Ok(()),
            true => {
                let ([_, height, width], layers) = (self.input, self.layers.len());
                sizes(
                    format!("{layers} layers halve {height}x{width} pixels to nothing"),
                    "use fewer layers, or larger inputs",
                )
            }
        }
    }

    /// The layers in their order.
    pub(super) fn placed(&self) -> impl Iterator<Item = PlacedLayer> {
        let [mut from, mut height, mut width] = self.input;
        let layers = self.layers.iter().enumerate();
        layers.map(move |(number, layer)| {
            let given = [height, width];
            // Every second layer.
            let (computed, left) = match (number % 2, self.pool) {
                (0, _) => (given, given),
                (_, CandidatePool::Stride) => {
                    let halved = given.map(|size| size.div_ceil(2));
                    (halved, halved)
                }
                _ => (given, given.map(|size| size / 2)),
            };
            [height, width] = left;
            PlacedLayer {
                layer: *layer,
                from: std::mem::replace(&mut from, layer.channels),
                given,
                computed,
                left,
            }
        })
    }

    /// Units of the linear layers, beginning with the numbers that go into the first of them.
    pub(super) fn units(&self) -> Vec<usize> {
        let last = self.placed().last();
        let inputs = last.map_or(self.input.iter().product(), |layer| {
            layer.layer.channels * layer.left.iter().product::<usize>()
        });
        let units = [inputs].into_iter().chain(self.hidden);
        units.chain([self.outputs]).collect()
    }

    /// The matrices of all layers, in their order, by the paths that [`CandidateNetwork`](super::CandidateNetwork) has for them.
    pub fn shapes(&self) -> Vec<LayerShape> {
        let layers = self.placed().enumerate();
        let mut shapes: Vec<LayerShape> = layers
            .flat_map(|(number, placed)| placed.shapes(number))
            .collect();
        let units = self.units();
        // The last linear layer is the output; the one before it, where there is one, is hidden.
        for (place, pair) in units.windows(2).enumerate() {
            let path = match place + 2 == units.len() {
                true => "output.weight",
                false => "hidden.weight",
            };
            shapes.push(LayerShape::linear(path, pair[0], pair[1]));
        }
        shapes
    }

    /// The widths of weights in layers that have one of their own, by path.
    ///
    /// ```
    /// use crossburn_hardware::WeightBits;
    /// use crossburn_models::nas::{CandidateLayer, ConvolutionalCandidate};
    ///
    /// let four = Some(WeightBits::new(4)?);
    /// let layers = vec![CandidateLayer::new(8, 3), CandidateLayer { bits: four, ..CandidateLayer::new(8, 3) }];
    /// let candidate = ConvolutionalCandidate::new([1, 28, 28], 10, layers);
    /// assert_eq!(candidate.bits_by_path(), [("layers.1.first.conv.weight".to_string(), WeightBits::new(4)?)]);
    /// # Ok::<(), crossburn_hardware::HardwareError>(())
    /// ```
    pub fn bits_by_path(&self) -> Vec<(String, WeightBits)> {
        let layers = self.placed().enumerate();
        let of_layer =
            layers.filter_map(|(number, placed)| Some((number, placed.layer.bits?, placed)));
        of_layer
            .flat_map(|(number, bits, placed)| {
                let shapes = placed.shapes(number).into_iter();
                shapes.map(move |shape| (shape.path, bits))
            })
            .collect()
    }

    /// Bytes that the weights of all layers take in their widths; 32 bits each in full precision. Biases and norms are left out.
    pub fn weight_bytes(&self) -> u64 {
        let usual = self.bits.map_or(32, |bits| u64::from(bits.get()));
        let own: BTreeMap<String, WeightBits> = self.bits_by_path().into_iter().collect();
        let bits = self.shapes().into_iter().map(|shape| {
            let each = own.get(&shape.path);
            let each = each.map_or(usual, |bits| u64::from(bits.get()));
            shape.weights().saturating_mul(each)
        });
        bits.fold(0, u64::saturating_add).div_ceil(8)
    }

    /// Weights of all layers, without biases and norms.
    pub fn weights(&self) -> u64 {
        self.shapes().iter().map(LayerShape::weights).sum()
    }

    /// Bytes of memory that a training in batches of `batch` inputs takes, as predicted before anything is allocated.
    ///
    /// ```text
    /// 4 bytes · (8 · weights + batch · (input + 4 · outputs of all convolutions and linear layers))
    /// ```
    ///
    /// A weight is held as it is stored, deviated and with its deviation, as it began and as it was best, with its gradient and the two moments of
    /// Adam. An output is held before and after its norm, after its activation, and as a gradient. An upper estimate, since not all
    /// of it is held at the same time: six layers of 64 and of 128 channels took 0.6 to 0.7 of it.
    pub fn training_bytes(&self, batch: usize) -> u64 {
        let numbers = |sizes: &[usize]| -> u64 {
            let sizes = sizes.iter().map(|size| *size as u64);
            sizes.fold(1, u64::saturating_mul)
        };
        let shapes = self.shapes();
        let outputs = shapes
            .iter()
            .map(|shape| numbers(&[shape.outputs, shape.groups, shape.positions]));
        let outputs = outputs.fold(0, u64::saturating_add);
        let held = numbers(&self.input).saturating_add(outputs.saturating_mul(4));
        let weights = self.weights().saturating_mul(8);
        let all = weights.saturating_add(held.saturating_mul(batch as u64));
        all.saturating_mul(4)
    }

    /// The most numbers that are held at a time while one input passes: those that go into a layer and those that come out of it.
    pub fn peak_activations(&self) -> u64 {
        let numbers = |channels: usize, [height, width]: [usize; 2]| {
            channels as u64 * height as u64 * width as u64
        };
        let layers = self.placed().map(|layer| {
            numbers(layer.from, layer.given) + numbers(layer.layer.channels, layer.computed)
        });
        let units = self.units();
        let linear = units.windows(2).map(|pair| (pair[0] + pair[1]) as u64);
        layers.chain(linear).max().unwrap_or(0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn candidate(layers: &[(usize, usize, Block)]) -> ConvolutionalCandidate {
        let layer = |&(channels, kernel, block): &_| CandidateLayer {
            block,
            ..CandidateLayer::new(channels, kernel)
        };
        ConvolutionalCandidate::new([3, 8, 8], 10, layers.iter().map(layer).collect())
    }

    #[test]
    fn blocks_have_their_matrices_by_hand() {
        let found = candidate(&[
            (4, 3, Block::Conv),
            (6, 5, Block::DepthwiseSeparable),
            (6, 3, Block::Residual),
            (8, 3, Block::Residual),
        ]);
        let sizes: Vec<(usize, usize, usize, usize)> = found
            .shapes()
            .iter()
            .map(|shape| (shape.inputs, shape.outputs, shape.groups, shape.positions))
            .collect();
        assert_eq!(
            sizes,
            [
                (27, 4, 1, 64),
                (25, 1, 4, 64),
                (4, 6, 1, 64),
                (54, 6, 1, 16),
                (54, 6, 1, 16),
                (54, 8, 1, 16),
                (72, 8, 1, 16),
                (6, 8, 1, 16),
                (8 * 4, 10, 1, 1),
            ]
        );
        let weights = 108 + 100 + 24 + 324 + 324 + 432 + 576 + 48 + 320;
        assert_eq!(found.weights(), weights);
        // The second layer: 4 and 6 channels of 64 pixels.
        assert_eq!(found.peak_activations(), 640);
    }

    #[test]
    fn widths_of_layers_and_their_bytes_by_hand() {
        let mut found = candidate(&[
            (4, 3, Block::Conv),
            (6, 5, Block::DepthwiseSeparable),
            (6, 3, Block::Residual),
        ]);
        // 108, 100 + 24 and 324 + 324 weights of the layers, and 6 · 4 · 4 · 10 = 960 of the output.
        assert_eq!(found.weight_bytes(), 4 * (108 + 124 + 648 + 960));
        assert!(found.bits_by_path().is_empty());
        let bits = |bits| Some(WeightBits::new(bits).unwrap());
        found.layers[1].bits = bits(3);
        found.layers[2].bits = bits(2);
        found.bits = bits(8);
        let own: Vec<(String, u8)> = found
            .bits_by_path()
            .into_iter()
            .map(|(path, bits)| (path, bits.get()))
            .collect();
        let expected = [
            ("layers.1.first.conv.weight", 3),
            ("layers.1.second.conv.weight", 3),
            ("layers.2.first.conv.weight", 2),
            ("layers.2.second.conv.weight", 2),
        ];
        assert_eq!(own, expected.map(|(path, bits)| (path.to_string(), bits)));
        let bits = 8 * 108 + 3 * 124 + 2 * 648 + 8 * 960;
        assert_eq!(found.weight_bytes(), u64::div_ceil(bits, 8));
    }

    #[test]
    fn the_memory_of_a_training_by_hand() {
        let found = candidate(&[(4, 3, Block::Conv), (6, 3, Block::DepthwiseSeparable)]);
        // 3 · 8 · 8 inputs; 4, 4 and 6 channels of 64 pixels, and 10 outputs of 6 · 16 inputs.
        let weights = 108 + 36 + 24 + 960;
        let numbers = 8 * weights + 5 * (192 + 4 * (14 * 64 + 10));
        assert_eq!(found.training_bytes(5), 4 * numbers);
        // What cannot be counted is more than any machine has.
        assert_eq!(found.training_bytes(usize::MAX), u64::MAX);
    }

    #[test]
    fn the_smallest_network_of_lcda_by_hand() {
        let mut found = candidate(&[(32, 3, Block::Conv); 6]);
        found.input = [3, 32, 32];
        found.hidden = Some(1024);
        let weights = 27 * 32 + 5 * 9 * 32 * 32 + 512 * 1024 + 10_240;
        assert_eq!(found.weights(), weights);
        assert_eq!(found.peak_activations(), 64 * 1024);
        // Wide linear layers at the end hold the most.
        found.hidden = Some(40_000);
        found.outputs = 50_000;
        assert_eq!(found.peak_activations(), 90_000);
        assert_eq!(Block::of("residual"), Some(Block::Residual));
        assert_eq!(Block::of("dense"), None);
    }
    #[test]
    fn a_stride_computes_fewer_positions_and_rounds_up() {
        let layers = [
            (4, 3, Block::Conv),
            (6, 5, Block::DepthwiseSeparable),
            (6, 3, Block::Conv),
            (6, 3, Block::Residual),
        ];
        let mut found = candidate(&layers);
        found.input = [3, 7, 9];
        let positions = |found: &ConvolutionalCandidate| -> Vec<usize> {
            found.shapes().iter().map(|shape| shape.positions).collect()
        };
        // Pooling leaves 3 x 4 and then 1 x 2 pixels.
        assert_eq!(positions(&found), [63, 63, 63, 12, 12, 12, 1]);
        assert_eq!(found.shapes().last().unwrap().inputs, 6 * 2);
        found.pool = CandidatePool::Stride;
        // 4 x 5 and then 2 x 3; the shortcut of the residual block is a convolution now.
        assert_eq!(positions(&found), [63, 20, 20, 20, 6, 6, 6, 1]);
        assert_eq!(found.shapes().last().unwrap().inputs, 6 * 6);
        assert_eq!(CandidatePool::of("stride"), Some(CandidatePool::Stride));
        assert_eq!(CandidateNorm::of("batch"), Some(CandidateNorm::Batch));
        assert_eq!(CandidateNorm::of("layer"), None);
    }

    #[test]
    fn sizes_that_cannot_be_are_refused_by_name() {
        type Change = fn(&mut ConvolutionalCandidate);
        let of = |change: Change| {
            let mut found = candidate(&[(4, 3, Block::Conv); 6]);
            change(&mut found);
            found.check().map_err(|error| error.to_string())
        };
        of(|_| ()).unwrap();
        let rows: [(Change, &str); 6] = [
            (
                |found| found.layers[1].kernel = 4,
                "model: layers.kernel = 4 is even",
            ),
            (|found| found.layers.clear(), "model.layers = 0"),
            (|found| found.layers[0].channels = 0, "layers.channels = 0"),
            (|found| found.hidden = Some(0), "model.hidden = 0"),
            (|found| found.dropout = 1.0, "dropout = 1 is no share"),
            (
                |found| found.input = [3, 8, 7],
                "6 layers halve 8x7 pixels to nothing",
            ),
        ];
        for (change, part) in rows {
            let message = of(change).unwrap_err();
            assert!(message.contains(part), "{message}");
        }
    }
}
