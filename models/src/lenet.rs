//! LeNet for 28×28 digits.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor};
use crossburn_hardware::WeightBits;
use crossburn_hardware::enclosure::{Arithmetic, Interval, Intervals, Tensors};
use serde::{Deserialize, Serialize};

use crate::{Activation, Classifier, Network};

/// Outputs of the last layer.
pub(crate) const CLASSES: usize = 10;

/// Which LeNet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeNetVariant {
    /// The papers' one: 3×3 kernels with padding 1, then 784-120-84-10 (106 k parameters).
    #[default]
    Papers,
    /// LeCun's one: 5×5 kernels, then 400-120-84-10 (61,706 parameters).
    Classic,
}

/// Configuration of [`LeNet`].
///
/// # Source
/// Papers' variant: Yan et al., ICCAD 2022 (arXiv 2207.07626) and authors' code: conv 6@3×3, pool, conv 16@3×3, pool,
/// FC 784-120-84-10, 4 bits on MNIST. Classic variant: LeCun et al. 1998, figure 2, with ReLU and max pooling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeNetConfig {
    /// Kernel sizes and the width of the first fully connected layer.
    #[serde(default)]
    pub variant: LeNetVariant,
    /// Width of weights and activations; full precision where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<WeightBits>,
}

/// Two convolutions with max pooling, three linear layers.
#[derive(Module, Debug)]
pub struct LeNet {
    conv1: Conv2d,
    conv2: Conv2d,
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
    pool: MaxPool2d,
    act1: Activation,
    act2: Activation,
    act3: Activation,
    act4: Activation,
}

impl LeNetConfig {
    /// A network on `device`.
    pub fn init(&self, device: &Device) -> LeNet {
        let (kernel, pad1, pad2, features) = match self.variant {
            LeNetVariant::Papers => (3, 1, 1, 784),
            LeNetVariant::Classic => (5, 2, 0, 400),
        };
        let convolution = |from, to, pad| {
            Conv2dConfig::new([from, to], [kernel, kernel])
                .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
                .init(device)
        };
        let activation = || Activation::new(self.bits, device);
        LeNet {
            conv1: convolution(1, 6, pad1),
            conv2: convolution(6, 16, pad2),
            fc1: LinearConfig::new(features, 120).init(device),
            fc2: LinearConfig::new(120, 84).init(device),
            fc3: LinearConfig::new(84, CLASSES).init(device),
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            act1: activation(),
            act2: activation(),
            act3: activation(),
            act4: activation(),
        }
    }
}

impl LeNet {
    /// `[batch, 1, 28, 28] → [batch, classes]`, whatever it computes with.
    fn compute<A: Arithmetic>(&self, images: A::Signal<4>) -> A::Signal<2> {
        // Pooling first: ReLU and rounding are monotone, so they commute with the maximum and see a quarter of the data.
        let x = A::max_pool2d(&self.pool, A::conv2d(&self.conv1, images));
        let x = A::conv2d(&self.conv2, self.act1.apply::<A, 4>(x));
        let x = self.act2.apply::<A, 4>(A::max_pool2d(&self.pool, x));
        let x = self.act3.apply::<A, 2>(A::linear(&self.fc1, A::flatten(x)));
        let x = self.act4.apply::<A, 2>(A::linear(&self.fc2, x));
        A::linear(&self.fc3, x)
    }
}

impl Network for LeNet {
    const STACKS: bool = true;

    fn with_activations(self, change: &dyn Fn(Activation) -> Activation) -> Self {
        Self {
            act1: change(self.act1),
            act2: change(self.act2),
            act3: change(self.act3),
            act4: change(self.act4),
            ..self
        }
    }
}

impl Classifier for LeNet {
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
    fn parameter_counts_are_the_published_ones() {
        let device = Device::flex();
        let classic = LeNetConfig {
            variant: LeNetVariant::Classic,
            bits: None,
        };
        assert_eq!(classic.init(&device).num_params(), 61_706);
        // 6·9+6 + 16·54+16 + 784·120+120 + 120·84+84 + 84·10+10
        assert_eq!(
            LeNetConfig::default().init(&device).num_params(),
            60 + 880 + 94_200 + 10_164 + 850
        );
    }
}
