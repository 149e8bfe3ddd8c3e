//! ResNets for images of 32×32 pixels: ResNet-20, 32, 44, 56, 110.

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::{BatchNorm, Linear, LinearConfig};
use burn::tensor::{Device, Tensor, s};
use crossburn_hardware::WeightBits;
use crossburn_hardware::enclosure::{Arithmetic, Tensors};
use serde::{Deserialize, Serialize};

use crate::resnet::{convolution, norm};
use crate::{Activation, BasicBlock, Classifier, ModelError, Network};

/// Channels of the three stages.
const WIDTHS: [usize; 3] = [16, 32, 64];

/// The deepest network of the paper.
const DEEPEST: usize = 1202;

/// Configuration of [`CifarResNet`].
///
/// # Source
/// He et al. 2016 (arXiv 1512.03385), section 4.2, with shortcuts of kind A: zeros for the channels that are new, so that
/// shortcuts have no weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CifarResNetConfig {
    /// Layers with weights: 6n + 2 for n blocks in each stage, such as 20, 32, 44, 56 or 110.
    pub depth: usize,
    /// Number of classes.
    #[serde(default = "ten")]
    pub classes: usize,
    /// Width of weights and activations; full precision where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<WeightBits>,
}

fn ten() -> usize {
    10
}

/// A convolution, three stages of blocks, average pooling, one linear layer.
#[derive(Module, Debug)]
pub struct CifarResNet {
    conv1: Conv2d,
    bn1: BatchNorm,
    act: Activation,
    layer1: Vec<BasicBlock>,
    layer2: Vec<BasicBlock>,
    layer3: Vec<BasicBlock>,
    linear: Linear,
}

impl CifarResNetConfig {
    /// A network on `device` for `[batch, 3, h, w]`; [`ModelConfig`](crate::ModelConfig) checks the depth.
    pub fn init(&self, device: &Device) -> CifarResNet {
        let [first, second, third] = WIDTHS;
        let stage = |from, to, stride| {
            (0..self.depth.saturating_sub(2) / 6)
                .map(|index| match index {
                    0 => BasicBlock::new(from, to, stride, self.bits, device),
                    _ => BasicBlock::new(to, to, 1, self.bits, device),
                })
                .collect()
        };
        CifarResNet {
            conv1: convolution(3, first, 3, 1, device),
            bn1: norm(first, device),
            act: Activation::new(self.bits, device),
            layer1: stage(first, first, 1),
            layer2: stage(first, second, 2),
            layer3: stage(second, third, 2),
            linear: LinearConfig::new(third, self.classes).init(device),
        }
    }

    /// Refuses a depth that no network of this kind has.
    ///
    /// # Errors
    /// [`ModelError::Depth`].
    pub(crate) fn check_depth(&self) -> Result<(), ModelError> {
        let depth = self.depth;
        match (8..=DEEPEST).contains(&depth) && depth % 6 == 2 {
            true => Ok(()),
            false => Err(ModelError::Depth { depth }),
        }
    }
}

/// The shortcut of a block that halves the image and has `to` channels in place of `from`: every second pixel, between channels
/// of zeros. Chips side by side in one module have their channels one after the other.
///
/// # Shapes
/// `[batch, chips · from, h, w] → [batch, chips · to, ⌈h / 2⌉, ⌈w / 2⌉]`.
fn shortcut(x: Tensor<4>, from: usize, to: usize) -> Tensor<4> {
    let [batch, channels, _, _] = x.dims();
    let chips = channels / from;
    let x = x.slice(s![.., .., ..;2, ..;2]);
    let [_, _, height, width] = x.dims();
    let x = x.reshape([batch * chips, from, height, width]);
    let before = (to - from) / 2;
    let zeros = |count| Tensor::zeros([batch * chips, count, height, width], &x.device());
    let x = Tensor::cat(vec![zeros(before), x.clone(), zeros(to - from - before)], 1);
    x.reshape([batch, chips * to, height, width])
}

impl Network for CifarResNet {
    const STACKS: bool = true;

    const ALIASES: &'static [(&'static str, &'static str)] = &[("fc", "linear")];

    fn with_activations(self, change: &dyn Fn(Activation) -> Activation) -> Self {
        let stage = |blocks: Vec<BasicBlock>| {
            let blocks = blocks.into_iter();
            blocks.map(|block| block.with_activations(change)).collect()
        };
        Self {
            act: change(self.act),
            layer1: stage(self.layer1),
            layer2: stage(self.layer2),
            layer3: stage(self.layer3),
            ..self
        }
    }
}

impl Classifier for CifarResNet {
    // Its shortcuts are no operation of `Arithmetic`, so that it has no enclosure.
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = Tensors::batch_norm(&self.bn1, Tensors::conv2d(&self.conv1, images));
        let mut x = self.act.apply::<Tensors, 4>(x);
        let stages = [&self.layer1, &self.layer2, &self.layer3];
        for (stage, blocks) in stages.into_iter().enumerate() {
            for (index, block) in blocks.iter().enumerate() {
                let passed = match (stage, index) {
                    (1.., 0) => shortcut(x.clone(), WIDTHS[stage - 1], WIDTHS[stage]),
                    _ => x.clone(),
                };
                x = block.compute_beside::<Tensors>(x, passed);
            }
        }
        Tensors::linear(&self.linear, Tensors::mean_over_pixels(x))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use burn::tensor::TensorData;

    #[test]
    fn parameter_counts_are_the_known_ones() {
        // Trainable parameters of the paper's networks for CIFAR-10 (0.27, 0.46, 0.66, 0.85 and 1.7 million there), plus the running
        // mean and variance of every channel.
        for (depth, known) in [
            (20, 269_722),
            (32, 464_154),
            (44, 658_586),
            (56, 853_018),
            (110, 1_727_962),
        ] {
            let config = CifarResNetConfig {
                depth,
                classes: 10,
                bits: None,
            };
            config.check_depth().unwrap();
            let convolutions = (depth - 2) / 3;
            let channels = 16 + convolutions * (16 + 32 + 64);
            let network = config.init(&Device::flex());
            assert_eq!(network.num_params(), known + 2 * channels, "{depth}");
        }
        for depth in [0, 2, 7, 18, 21, 1208] {
            let config = CifarResNetConfig {
                depth,
                classes: 10,
                bits: None,
            };
            let message = config.check_depth().unwrap_err().to_string();
            assert!(
                message.starts_with(&format!("model.depth = {depth} is")),
                "{message}"
            );
        }
    }

    #[test]
    fn shortcuts_take_every_second_pixel_between_channels_of_zeros() {
        let device = Device::flex().autodiff();
        let pixels: Vec<f32> = (0..2 * 4 * 3 * 4).map(|i| i as f32 + 1.0).collect();
        let x = Tensor::<4>::from_data(TensorData::new(pixels.clone(), [2, 4, 3, 4]), &device);
        let x = x.require_grad();
        // Two chips of two channels each become two of four.
        let y = shortcut(x.clone(), 2, 4);
        assert_eq!(y.dims(), [2, 8, 2, 2]);
        let found: Vec<f32> = y.clone().into_data().try_to_vec().unwrap();
        let expected = |item: usize, channel: usize, row: usize, column: usize| {
            let (chip, place) = (channel / 4, channel % 4);
            match place {
                1 | 2 => pixels[((item * 4 + 2 * chip + place - 1) * 3 + 2 * row) * 4 + 2 * column],
                _ => 0.0,
            }
        };
        for (index, value) in found.iter().enumerate() {
            let (column, row) = (index % 2, index / 2 % 2);
            let (channel, item) = (index / 4 % 8, index / 32);
            assert_eq!(*value, expected(item, channel, row, column), "{index}");
        }
        // The gradient is one at the pixels that are taken, and zero at the others.
        let gradient = x.grad(&y.sum().backward()).unwrap();
        let gradient: Vec<f32> = gradient.into_data().try_to_vec().unwrap();
        for (index, value) in gradient.iter().enumerate() {
            let taken = index % 4 % 2 == 0 && index / 4 % 3 % 2 == 0;
            assert_eq!(*value, f32::from(u8::from(taken)), "{index}");
        }
    }
}
