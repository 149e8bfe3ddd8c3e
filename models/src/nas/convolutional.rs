//! A stack of convolutional blocks with linear layers at its end: the networks of LCDA and FL-NAS.

use crossburn_hardware::cost::LayerShape;

/// What a layer of a candidate is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Block {
    /// One convolution.
    #[default]
    Conv,
    /// A convolution of every channel by itself, and one over channels with a kernel of 1.
    DepthwiseSeparable,
    /// Two convolutions beside a shortcut, which is a convolution with a kernel of 1 where the channels change.
    Residual,
}

impl Block {
    /// The block of this name.
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "conv" => Some(Self::Conv),
            "depthwise-separable" => Some(Self::DepthwiseSeparable),
            "residual" => Some(Self::Residual),
            _ => None,
        }
    }
}

/// One layer of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CandidateLayer {
    /// Channels that it gives.
    pub channels: usize,
    /// Its kernel is as high as wide.
    pub kernel: usize,
    /// What it is made of.
    pub block: Block,
}

/// A stack of blocks, padded so that they keep the size of their input, with a halving of the size after every second layer, then one hidden linear
/// layer where asked for, and the linear layer of the outputs.
///
/// ```
/// use crossburn_models::nas::{Block, CandidateLayer, ConvolutionalCandidate};
///
/// let layer = |channels| CandidateLayer { channels, kernel: 3, block: Block::Conv };
/// let candidate = ConvolutionalCandidate {
///     input: [3, 32, 32],
///     outputs: 10,
///     hidden: Some(1024),
///     layers: vec![layer(32); 6],
/// };
/// let shapes = candidate.shapes();
/// assert_eq!((shapes[2].inputs, shapes[2].positions), (9 * 32, 16 * 16));
/// // The size was halved three times: 16 pixels of 32 channels.
/// assert_eq!(shapes[6].inputs, 16 * 32);
/// ```
///
/// # Source
/// LCDA (arXiv 2306.06923) has six layers of the block `conv` and 1024 hidden units; FL-NAS (arXiv 2402.06696) chooses depth and blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvolutionalCandidate {
    /// Channels, height and width of an input.
    pub input: [usize; 3],
    /// Outputs.
    pub outputs: usize,
    /// Units of a hidden linear layer.
    pub hidden: Option<usize>,
    /// The layers in their order.
    pub layers: Vec<CandidateLayer>,
}

impl ConvolutionalCandidate {
    /// Channels, height and width of what goes into every layer, and of what the last one gives.
    fn sizes(&self) -> Vec<[usize; 3]> {
        let [_, mut height, mut width] = self.input;
        let mut sizes = vec![self.input];
        for (number, layer) in self.layers.iter().enumerate() {
            if number % 2 == 1 {
                (height, width) = (height.div_ceil(2), width.div_ceil(2));
            }
            sizes.push([layer.channels, height, width]);
        }
        sizes
    }

    /// Units of the linear layers, beginning with the numbers that go into the first of them.
    fn units(&self) -> Vec<usize> {
        let inputs: usize = self.sizes()[self.layers.len()].iter().product();
        let units = [inputs].into_iter().chain(self.hidden);
        units.chain([self.outputs]).collect()
    }

    /// The matrices of all layers, in their order.
    pub fn shapes(&self) -> Vec<LayerShape> {
        let mut shapes = Vec::new();
        let sizes = self.sizes().into_iter().enumerate();
        for ((number, [channels, height, width]), layer) in sizes.zip(&self.layers) {
            let size = [height, width];
            let conv = |name: &str, from: usize, to: usize, kernel: usize, groups: usize| {
                let path = format!("layers.{number}.{name}weight");
                LayerShape::convolution(path, [from, to], [kernel; 2], groups, size)
            };
            let (to, kernel) = (layer.channels, layer.kernel);
            match layer.block {
                Block::Conv => shapes.push(conv("", channels, to, kernel, 1)),
                Block::DepthwiseSeparable => {
                    shapes.push(conv("depthwise.", channels, channels, kernel, channels));
                    shapes.push(conv("pointwise.", channels, to, 1, 1));
                }
                Block::Residual => {
                    shapes.push(conv("conv1.", channels, to, kernel, 1));
                    shapes.push(conv("conv2.", to, to, kernel, 1));
                    if channels != to {
                        shapes.push(conv("shortcut.", channels, to, 1, 1));
                    }
                }
            }
        }
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

    /// Weights of all layers, without biases and norms.
    pub fn weights(&self) -> u64 {
        self.shapes().iter().map(LayerShape::weights).sum()
    }

    /// The most numbers that are held at a time while one input passes: those that go into a layer and those that come out of it.
    pub fn peak_activations(&self) -> u64 {
        let layers = self.sizes().into_iter().zip(&self.layers);
        let layers = layers.map(|([channels, height, width], layer)| {
            (channels + layer.channels) as u64 * (height * width) as u64
        });
        let units = self.units();
        let linear = units.windows(2).map(|pair| (pair[0] + pair[1]) as u64);
        layers.chain(linear).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(layers: &[(usize, usize, Block)]) -> ConvolutionalCandidate {
        ConvolutionalCandidate {
            input: [3, 8, 8],
            outputs: 10,
            hidden: None,
            layers: layers
                .iter()
                .map(|&(channels, kernel, block)| CandidateLayer {
                    channels,
                    kernel,
                    block,
                })
                .collect(),
        }
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
}
