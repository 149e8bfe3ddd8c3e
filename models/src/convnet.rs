//! The papers' ConvNet for 32×32 colour images.

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

/// Configuration of [`ConvNet`].
///
/// # Source
/// Authors' code of Yan et al., ICCAD 2022 (arXiv 2207.07626): 64-64-P-128-128-P-256-256-P, FC 4096-1024-1024-10,
/// 6 bits on CIFAR-10.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvNetConfig {
    /// Channels of the first stage; the papers' network has 64. Later stages double it.
    #[serde(default = "papers_width")]
    pub width: usize,
    /// Width of weights and activations; full precision where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<WeightBits>,
}

fn papers_width() -> usize {
    64
}

/// Six 3×3 convolutions in three stages, three linear layers.
#[derive(Module, Debug)]
pub struct ConvNet {
    convs: Vec<Conv2d>,
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
    pool: MaxPool2d,
    acts: Vec<Activation>,
}

impl ConvNetConfig {
    /// A network on `device` for `[batch, 3, 32, 32]`.
    pub fn init(&self, device: &Device) -> ConvNet {
        let w = self.width;
        let channels = [3, w, w, 2 * w, 2 * w, 4 * w, 4 * w];
        let convs = channels
            .windows(2)
            .map(|pair| {
                Conv2dConfig::new([pair[0], pair[1]], [3, 3])
                    .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                    .init(device)
            })
            .collect();
        let hidden = 16 * w;
        ConvNet {
            convs,
            fc1: LinearConfig::new(4 * w * 16, hidden).init(device),
            fc2: LinearConfig::new(hidden, hidden).init(device),
            fc3: LinearConfig::new(hidden, CLASSES).init(device),
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            acts: (0..8).map(|_| Activation::new(self.bits, device)).collect(),
        }
    }
}

impl ConvNet {
    /// `[batch, 3, 32, 32] → [batch, classes]`, whatever it computes with.
    fn compute<A: Arithmetic>(&self, images: A::Signal<4>) -> A::Signal<2> {
        let mut x = images;
        for (index, conv) in self.convs.iter().enumerate() {
            let activation = &self.acts[index];
            x = match index % 2 {
                0 => activation.after_conv2d::<A>(conv, x),
                _ => activation.apply::<A, 4>(A::max_pool2d(&self.pool, A::conv2d(conv, x))),
            };
        }
        let x = self.acts[6].apply::<A, 2>(A::linear(&self.fc1, A::flatten(x)));
        let x = self.acts[7].apply::<A, 2>(A::linear(&self.fc2, x));
        A::linear(&self.fc3, x)
    }
}

impl Network for ConvNet {
    const STACKS: bool = true;

    fn with_activations(self, change: &dyn Fn(Activation) -> Activation) -> Self {
        let activations = self.acts.into_iter();
        Self {
            acts: activations.map(change).collect(),
            ..self
        }
    }
}

impl Classifier for ConvNet {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.compute::<Tensors>(images)
    }

    fn enclose(&self, images: Interval<4>) -> Option<Interval<2>> {
        Some(self.compute::<Intervals>(images))
    }
}
