//! A network that gives faces vectors, by whose angles two faces are compared.

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::{BatchNorm, Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};
use crossburn_hardware::WeightBits;
use crossburn_hardware::enclosure::{Arithmetic, Tensors};
use crossburn_hardware::layer::{conv2d, linear};
use crossburn_kernels::batch_norm;
use serde::{Deserialize, Serialize};

use crate::resnet::{convolution, norm};
use crate::{Activation, ModelError, Network};

/// A network that gives inputs vectors to compare, and learns them by telling identities apart.
pub trait Recognizer: Network {
    /// # Shapes
    /// `[batch, channels, height, width] → [batch, numbers]`.
    fn embed(&self, inputs: Tensor<4>) -> Tensor<2>;

    /// One vector for each identity that it learns by: `[identities, numbers]`. Only training needs them.
    fn class_vectors(&self) -> Tensor<2>;
}

/// Halvings of height and width after the first layer: one in each block.
const BLOCKS: usize = 3;

/// Configuration of [`FaceNet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FaceNetConfig {
    /// Channels of an image.
    pub channels: usize,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// Channels of the first block; the next two have two and four times as many.
    pub features: usize,
    /// Pixels that the first layer moves by: 1, or 2 where time matters more.
    pub stride: usize,
    /// By how much squeeze and excitation narrows the channels of a block; 0 leaves it out.
    pub squeeze: usize,
    /// Numbers of a vector.
    pub numbers: usize,
    /// Identities that can be learned from: one class vector each.
    pub identities: usize,
    /// Width of weights and activations; full precision where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bits: Option<WeightBits>,
}

impl Default for FaceNetConfig {
    fn default() -> Self {
        Self {
            channels: 1,
            height: 32,
            width: 32,
            features: 16,
            stride: 2,
            squeeze: 4,
            numbers: 64,
            identities: 1000,
            bits: None,
        }
    }
}

/// A small residual network with squeeze and excitation. Three blocks halve height and width; a linear layer and a norm make the vector.
///
/// Class vectors and norms are digital. A class vector is read in training alone.
///
/// # Source
/// Deng et al., "ArcFace", CVPR 2019 (arXiv 1801.07698), section 3.2.1 (the block of IR networks: norm, convolution, norm, activation,
/// convolution of stride 2, norm; norm before and after the last linear layer), with Hu, Shen and Sun, "Squeeze-and-excitation networks",
/// CVPR 2018. Blocks here are three, activations rectify without a slope, and there is no dropout.
#[derive(Module, Debug)]
pub struct FaceNet {
    conv1: Conv2d,
    bn1: BatchNorm,
    act: Activation,
    blocks: Vec<FaceBlock>,
    bn2: BatchNorm,
    output: Linear,
    bn3: BatchNorm,
    identities: Embedding,
}

/// A block that halves height and width.
#[derive(Module, Debug)]
struct FaceBlock {
    bn1: BatchNorm,
    conv1: Conv2d,
    bn2: BatchNorm,
    act: Activation,
    conv2: Conv2d,
    bn3: BatchNorm,
    excite: Option<Excitation>,
    shortcut: Conv2d,
    bn4: BatchNorm,
}

/// A factor between 0 and 1 for each channel, by the means of all channels.
#[derive(Module, Debug)]
struct Excitation {
    down: Linear,
    act: Activation,
    up: Linear,
}

impl FaceNetConfig {
    /// Checks every size.
    ///
    /// # Errors
    /// [`ModelError::Zero`] and [`ModelError::Sizes`].
    pub fn check(&self) -> Result<(), ModelError> {
        for (key, value) in [
            ("channels", self.channels),
            ("height", self.height),
            ("width", self.width),
            ("features", self.features),
            ("numbers", self.numbers),
            ("identities", self.identities),
        ] {
            if value == 0 {
                return Err(ModelError::Zero { key });
            }
        }
        match self.stride {
            1 | 2 => Ok(()),
            stride => Err(ModelError::Sizes {
                problem: format!("stride = {stride}"),
                remedy: "use 1 or 2",
            }),
        }
    }

    /// The shape `[channels, height, width]` of its images.
    pub fn shape(&self) -> [usize; 3] {
        [self.channels, self.height, self.width]
    }

    fn block(&self, from: usize, to: usize, device: &Device) -> FaceBlock {
        let squeezed = |by: usize| to.div_ceil(by);
        FaceBlock {
            bn1: norm(from, device),
            conv1: convolution(from, to, 3, 1, device),
            bn2: norm(to, device),
            act: Activation::new(self.bits, device),
            conv2: convolution(to, to, 3, 2, device),
            bn3: norm(to, device),
            excite: (self.squeeze > 0).then(|| Excitation {
                down: LinearConfig::new(to, squeezed(self.squeeze)).init(device),
                act: Activation::new(self.bits, device),
                up: LinearConfig::new(squeezed(self.squeeze), to).init(device),
            }),
            shortcut: convolution(from, to, 1, 2, device),
            bn4: norm(to, device),
        }
    }

    /// A network on `device`; [`ModelConfig`](crate::ModelConfig) checks the sizes.
    pub fn init(&self, device: &Device) -> FaceNet {
        let widths: Vec<usize> = (0..BLOCKS).map(|level| self.features << level).collect();
        let last = widths[BLOCKS - 1];
        let first = std::iter::once(self.features);
        let blocks = first.chain(widths.iter().copied()).zip(&widths);
        let halved = |length: usize| {
            (0..BLOCKS).fold(length.div_ceil(self.stride), |length, _| length.div_ceil(2))
        };
        let pixels = halved(self.height) * halved(self.width);
        FaceNet {
            conv1: convolution(self.channels, self.features, 3, self.stride, device),
            bn1: norm(self.features, device),
            act: Activation::new(self.bits, device),
            blocks: blocks
                .map(|(from, to)| self.block(from, *to, device))
                .collect(),
            bn2: norm(last, device),
            output: LinearConfig::new(last * pixels, self.numbers)
                .with_bias(false)
                .init(device),
            bn3: norm(self.numbers, device),
            identities: EmbeddingConfig::new(self.identities, self.numbers).init(device),
        }
    }
}

impl Excitation {
    /// # Shapes
    /// `[batch, channels, height, width]`, kept.
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, channels, _, _] = x.dims();
        let means = linear(&self.down, Tensors::mean_over_pixels(x.clone()));
        let factors = sigmoid(linear(&self.up, self.act.apply::<Tensors, 2>(means)));
        x * factors.reshape([batch, channels, 1, 1])
    }
}

impl FaceBlock {
    /// # Shapes
    /// `[batch, from, h, w] → [batch, to, ⌈h / 2⌉, ⌈w / 2⌉]`.
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let shortcut = batch_norm(&self.bn4, conv2d(&self.shortcut, x.clone()));
        let y = conv2d(&self.conv1, batch_norm(&self.bn1, x));
        let y = self.act.apply::<Tensors, 4>(batch_norm(&self.bn2, y));
        let y = batch_norm(&self.bn3, conv2d(&self.conv2, y));
        match &self.excite {
            Some(excite) => excite.forward(y) + shortcut,
            None => y + shortcut,
        }
    }

    fn with_activations(self, change: &dyn Fn(Activation) -> Activation) -> Self {
        Self {
            act: change(self.act),
            excite: self.excite.map(|excite| Excitation {
                act: change(excite.act),
                ..excite
            }),
            ..self
        }
    }
}

impl Network for FaceNet {
    fn with_activations(self, change: &dyn Fn(Activation) -> Activation) -> Self {
        let blocks = self.blocks.into_iter();
        Self {
            act: change(self.act),
            blocks: blocks.map(|block| block.with_activations(change)).collect(),
            ..self
        }
    }
}

impl Recognizer for FaceNet {
    fn embed(&self, inputs: Tensor<4>) -> Tensor<2> {
        let x = batch_norm(&self.bn1, conv2d(&self.conv1, inputs));
        let first = self.act.apply::<Tensors, 4>(x);
        let x = (self.blocks.iter()).fold(first, |x, block| block.forward(x));
        let x = linear(&self.output, Tensors::flatten(batch_norm(&self.bn2, x)));
        // A batch norm of vectors is one of images of one pixel.
        let [batch, numbers] = x.dims();
        let x = batch_norm(&self.bn3, x.reshape([batch, numbers, 1, 1]));
        x.reshape([batch, numbers])
    }

    fn class_vectors(&self) -> Tensor<2> {
        self.identities.weight.val()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::initialize;

    fn config(text: &str) -> FaceNetConfig {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn sizes_are_those_worked_by_hand() {
        let small = config(
            r#"{"height":9,"width":6,"features":2,"stride":1,"squeeze":2,"numbers":5,"identities":7}"#,
        );
        small.check().unwrap();
        let network = small.init(&Device::flex());
        // Scale, shift, mean and variance of every channel.
        let norm = |channels: usize| 4 * channels;
        let block = |from: usize, to: usize| {
            let convolutions = 9 * from * to + 9 * to * to + from * to;
            let squeezed = to / 2;
            let excitation = to * squeezed + squeezed + squeezed * to + to;
            convolutions + excitation + norm(from) + 3 * norm(to)
        };
        let stem = 9 * 2 + norm(2);
        let blocks = block(2, 2) + block(2, 4) + block(4, 8);
        // 9 → 5 → 3 → 2 rows, 6 → 3 → 2 → 1 columns.
        let end = norm(8) + 8 * 2 * 5 + norm(5) + 7 * 5;
        assert_eq!(network.num_params(), stem + blocks + end);
        let vectors = network.embed(Tensor::ones([3, 1, 9, 6], &Device::flex()));
        assert_eq!(vectors.dims(), [3, 5]);
        assert_eq!(network.class_vectors().dims(), [7, 5]);
        let plain = config(r#"{"squeeze":0,"identities":1}"#).init(&Device::flex());
        let vectors = plain.embed(Tensor::ones([1, 1, 32, 32], &Device::flex()));
        assert_eq!(vectors.dims(), [1, 64]);
    }

    #[test]
    fn excitation_scales_channels_as_worked_by_hand() {
        let device = Device::flex();
        let excite = Excitation {
            down: LinearConfig::new(2, 1).init(&device),
            act: Activation::new(None, &device),
            up: LinearConfig::new(1, 2).init(&device),
        };
        let excite = initialize(excite, 1);
        let value = |tensor: Tensor<2>| -> Vec<f32> { tensor.into_data().try_to_vec().unwrap() };
        let bias = |layer: &Linear| -> Vec<f32> {
            let bias = layer.bias.as_ref().unwrap().val();
            bias.into_data().try_to_vec().unwrap()
        };
        let (down, up) = (
            value(excite.down.weight.val()),
            value(excite.up.weight.val()),
        );
        let x = Tensor::<4>::from_floats([[[[1.0, 3.0]], [[-1.0, 0.0]]]], &device);
        let found: Vec<f32> = excite.forward(x).into_data().try_to_vec().unwrap();
        let squeezed = (2.0 * down[0] - 0.5 * down[1] + bias(&excite.down)[0]).max(0.0);
        let factor = |channel: usize| {
            1.0 / (1.0 + (-(squeezed * up[channel] + bias(&excite.up)[channel])).exp())
        };
        let expected = [factor(0), 3.0 * factor(0), -factor(1), 0.0];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        for (text, start) in [
            (r#"{"numbers":0}"#, "model.numbers = 0"),
            (r#"{"stride":3}"#, "model: stride = 3: use 1 or 2"),
        ] {
            let message = config(text).check().unwrap_err().to_string();
            assert!(message.starts_with(start), "{message}");
        }
    }
}
