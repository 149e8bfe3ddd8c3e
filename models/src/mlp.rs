//! A multilayer perceptron.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use crossburn_hardware::WeightBits;
use crossburn_hardware::enclosure::{Arithmetic, Interval, Intervals, Tensors};
use serde::{Deserialize, Serialize};

use crate::{Activation, Classifier, Network};

/// Configuration of [`Mlp`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MlpConfig {
    /// Layer widths from the flattened image to the classes, such as `[784, 128, 10]`.
    pub widths: Vec<usize>,
    /// Width of weights and activations; full precision where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<WeightBits>,
}

/// Linear layers with ReLU between them.
#[derive(Module, Debug)]
pub struct Mlp {
    layers: Vec<Linear>,
    activations: Vec<Activation>,
}

impl MlpConfig {
    /// A network on `device`. At least two widths are needed; [`ModelConfig`](crate::ModelConfig) checks that.
    pub fn init(&self, device: &Device) -> Mlp {
        let layers: Vec<Linear> = self
            .widths
            .windows(2)
            .map(|pair| LinearConfig::new(pair[0], pair[1]).init(device))
            .collect();
        let activations = (1..layers.len())
            .map(|_| Activation::new(self.bits, device))
            .collect();
        Mlp {
            layers,
            activations,
        }
    }
}

impl Mlp {
    /// `[batch, channels, height, width] → [batch, classes]`, whatever it computes with.
    fn compute<A: Arithmetic>(&self, images: A::Signal<4>) -> A::Signal<2> {
        let mut x = A::flatten(images);
        for (index, layer) in self.layers.iter().enumerate() {
            x = A::linear(layer, x);
            if let Some(activation) = self.activations.get(index) {
                x = activation.apply::<A, 2>(x);
            }
        }
        x
    }
}

impl Network for Mlp {
    const STACKS: bool = true;

    fn with_activations(self, change: &dyn Fn(Activation) -> Activation) -> Self {
        let activations = self.activations.into_iter();
        Self {
            activations: activations.map(change).collect(),
            ..self
        }
    }
}

impl Classifier for Mlp {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.compute::<Tensors>(images)
    }

    fn enclose(&self, images: Interval<4>) -> Option<Interval<2>> {
        Some(self.compute::<Intervals>(images))
    }
}
