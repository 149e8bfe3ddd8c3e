//! ResNets for images of 32×32 pixels: ResNet-20, 32, 44, 56, 110.

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::{BatchNorm, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use crossburn_hardware::WeightBits;
use crossburn_hardware::enclosure::{Arithmetic, Interval, Intervals, Tensors};
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

impl CifarResNet {
    /// `[batch, 3, height, width] → [batch, classes]`, whatever it computes with.
    fn compute<A: Arithmetic>(&self, images: A::Signal<4>) -> A::Signal<2> {
        let x = A::batch_norm(&self.bn1, A::conv2d(&self.conv1, images));
        let mut x = self.act.apply::<A, 4>(x);
        let stages = [&self.layer1, &self.layer2, &self.layer3];
        for (stage, blocks) in stages.into_iter().enumerate() {
            for (index, block) in blocks.iter().enumerate() {
                let shortcut = match (stage, index) {
                    (1.., 0) => A::halve(x.clone(), WIDTHS[stage - 1], WIDTHS[stage]),
                    _ => x.clone(),
                };
                x = block.compute_beside::<A>(x, shortcut);
            }
        }
        A::linear(&self.linear, A::mean_over_pixels(x))
    }
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
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.compute::<Tensors>(images)
    }

    fn enclose(&self, images: Interval<4>) -> Option<Interval<2>> {
        Some(self.compute::<Intervals>(images))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

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
}
