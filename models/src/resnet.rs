//! ResNet-18 in its CIFAR form.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor};
use crossburn_hardware::WeightBits;
use crossburn_hardware::enclosure::{Arithmetic, Interval, Intervals, Tensors};
use serde::{Deserialize, Serialize};

use crate::{Activation, Classifier, Network};

/// Configuration of [`ResNet18`].
///
/// # Source
/// He et al. 2016 (arXiv 1512.03385), 18 layers; CIFAR form: a 3×3 stem without pooling. The papers train it with
/// 6 to 8 bits on CIFAR-10.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResNet18Config {
    /// Number of classes.
    #[serde(default = "ten")]
    pub classes: usize,
    /// Channels of the first stage; 64 in the paper.
    #[serde(default = "papers_width")]
    pub width: usize,
    /// Width of weights and activations; full precision where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<WeightBits>,
}

fn ten() -> usize {
    10
}

fn papers_width() -> usize {
    64
}

/// Two 3×3 convolutions with batch norm and a shortcut.
#[derive(Module, Debug)]
pub struct BasicBlock {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
    downsample: Option<Shortcut>,
    act1: Activation,
    act2: Activation,
}

/// The projection of a shortcut whose shape changes.
#[derive(Module, Debug)]
pub struct Shortcut {
    conv: Conv2d,
    bn: BatchNorm,
}

/// A stem, four stages of two blocks, average pooling, one linear layer.
#[derive(Module, Debug)]
pub struct ResNet18 {
    conv1: Conv2d,
    bn1: BatchNorm,
    act: Activation,
    layer1: Vec<BasicBlock>,
    layer2: Vec<BasicBlock>,
    layer3: Vec<BasicBlock>,
    layer4: Vec<BasicBlock>,
    fc: Linear,
}

/// A convolution that keeps the size of an image, or divides it by `stride`.
pub(crate) fn convolution(
    from: usize,
    to: usize,
    kernel: usize,
    stride: usize,
    device: &Device,
) -> Conv2d {
    let pad = kernel / 2;
    Conv2dConfig::new([from, to], [kernel, kernel])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
        .with_bias(false)
        .init(device)
}

pub(crate) fn norm(channels: usize, device: &Device) -> BatchNorm {
    BatchNormConfig::new(channels).init(device)
}

impl BasicBlock {
    /// A block without weights in its shortcut.
    pub(crate) fn new(
        from: usize,
        to: usize,
        stride: usize,
        bits: Option<WeightBits>,
        device: &Device,
    ) -> Self {
        Self {
            conv1: convolution(from, to, 3, stride, device),
            bn1: norm(to, device),
            conv2: convolution(to, to, 3, 1, device),
            bn2: norm(to, device),
            downsample: None,
            act1: Activation::new(bits, device),
            act2: Activation::new(bits, device),
        }
    }

    /// The block with a projection as its shortcut where the shape changes.
    fn projecting(
        from: usize,
        to: usize,
        stride: usize,
        bits: Option<WeightBits>,
        device: &Device,
    ) -> Self {
        let reshapes = stride != 1 || from != to;
        Self {
            downsample: reshapes.then(|| Shortcut {
                conv: convolution(from, to, 1, stride, device),
                bn: norm(to, device),
            }),
            ..Self::new(from, to, stride, bits, device)
        }
    }

    /// # Shapes
    /// `[batch, from, h, w] → [batch, to, h / stride, w / stride]`.
    fn compute<A: Arithmetic>(&self, x: A::Signal<4>) -> A::Signal<4> {
        let shortcut = match &self.downsample {
            Some(projection) => {
                A::batch_norm(&projection.bn, A::conv2d(&projection.conv, x.clone()))
            }
            None => x.clone(),
        };
        self.compute_beside::<A>(x, shortcut)
    }

    /// The block on `x`, with `shortcut` as what passes beside its convolutions.
    pub(crate) fn compute_beside<A: Arithmetic>(
        &self,
        x: A::Signal<4>,
        shortcut: A::Signal<4>,
    ) -> A::Signal<4> {
        let y = A::batch_norm(&self.bn1, A::conv2d(&self.conv1, x));
        let y = self.act1.apply::<A, 4>(y);
        let y = A::batch_norm(&self.bn2, A::conv2d(&self.conv2, y));
        self.act2.apply::<A, 4>(A::add(y, shortcut))
    }

    pub(crate) fn with_activations(self, change: &dyn Fn(Activation) -> Activation) -> Self {
        Self {
            act1: change(self.act1),
            act2: change(self.act2),
            ..self
        }
    }
}

impl ResNet18Config {
    /// A network on `device` for `[batch, 3, h, w]`.
    pub fn init(&self, device: &Device) -> ResNet18 {
        let (w, bits) = (self.width, self.bits);
        let stage = |from, to, stride| {
            vec![
                BasicBlock::projecting(from, to, stride, bits, device),
                BasicBlock::projecting(to, to, 1, bits, device),
            ]
        };
        ResNet18 {
            conv1: convolution(3, w, 3, 1, device),
            bn1: norm(w, device),
            act: Activation::new(bits, device),
            layer1: stage(w, w, 1),
            layer2: stage(w, 2 * w, 2),
            layer3: stage(2 * w, 4 * w, 2),
            layer4: stage(4 * w, 8 * w, 2),
            fc: LinearConfig::new(8 * w, self.classes).init(device),
        }
    }
}

impl ResNet18 {
    /// `[batch, 3, height, width] → [batch, classes]`, whatever it computes with.
    fn compute<A: Arithmetic>(&self, images: A::Signal<4>) -> A::Signal<2> {
        let x = A::batch_norm(&self.bn1, A::conv2d(&self.conv1, images));
        let mut x = self.act.apply::<A, 4>(x);
        for block in [&self.layer1, &self.layer2, &self.layer3, &self.layer4]
            .into_iter()
            .flatten()
        {
            x = block.compute::<A>(x);
        }
        A::linear(&self.fc, A::mean_over_pixels(x))
    }
}

impl Network for ResNet18 {
    const STACKS: bool = true;

    /// As in torchvision, and where shortcut and last layer have names of their own.
    const ALIASES: &'static [(&'static str, &'static str)] = &[
        ("downsample.0", "downsample.conv"),
        ("downsample.1", "downsample.bn"),
        ("shortcut.0", "downsample.conv"),
        ("shortcut.1", "downsample.bn"),
        ("linear", "fc"),
    ];

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
            layer4: stage(self.layer4),
            ..self
        }
    }
}

impl Classifier for ResNet18 {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.compute::<Tensors>(images)
    }

    fn enclose(&self, images: Interval<4>) -> Option<Interval<2>> {
        Some(self.compute::<Intervals>(images))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameter_count_is_the_known_one() {
        // 11,173,962 trainable parameters of the CIFAR form, plus the running mean and variance of 4,800 channels.
        let config = ResNet18Config {
            classes: 10,
            width: 64,
            bits: None,
        };
        assert_eq!(
            config.init(&Device::flex()).num_params(),
            11_173_962 + 2 * 4_800
        );
    }
}
