//! A 1-D convolutional classifier of signals.

use burn::module::Module;
use burn::nn::conv::{Conv1d, Conv1dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig1d};
use burn::tensor::{Device, Tensor};
use crossburn_hardware::WeightBits;
use crossburn_hardware::enclosure::{Arithmetic, Interval, Intervals, Tensors};
use serde::{Deserialize, Serialize};

use crate::{Activation, Classifier, IntegerStage, Network};

/// Configuration of [`Cnn1d`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cnn1dConfig {
    /// Channels of the signal.
    #[serde(default = "one")]
    pub channels: usize,
    /// Channels after the first convolution; the second and the third have twice and four times as many.
    #[serde(default = "eight")]
    pub width: usize,
    /// Points that a kernel sees.
    #[serde(default = "seven")]
    pub kernel: usize,
    /// Outputs of the last layer.
    pub classes: usize,
    /// Width of weights and activations; full precision where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<WeightBits>,
}

fn one() -> usize {
    1
}

fn eight() -> usize {
    8
}

fn seven() -> usize {
    7
}

/// Three convolutions with stride 2 over a signal of any length, the mean over its points, one linear layer.
#[derive(Module, Debug)]
pub struct Cnn1d {
    convs: Vec<Conv1d>,
    fc: Linear,
    acts: Vec<Activation>,
}

impl Cnn1dConfig {
    /// A network on `device` for `[batch, channels, 1, length]`.
    pub fn init(&self, device: &Device) -> Cnn1d {
        let channels = [self.channels, self.width, 2 * self.width, 4 * self.width];
        let (before, after) = (self.kernel / 2, (self.kernel - 1) / 2);
        let convolution = |pair: &[usize]| {
            Conv1dConfig::new(pair[0], pair[1], self.kernel)
                .with_stride(2)
                .with_padding(PaddingConfig1d::Explicit(before, after))
                .init(device)
        };
        let convs: Vec<Conv1d> = channels.windows(2).map(convolution).collect();
        Cnn1d {
            acts: convs
                .iter()
                .map(|_| Activation::new(self.bits, device))
                .collect(),
            convs,
            fc: LinearConfig::new(channels[3], self.classes).init(device),
        }
    }
}

impl Cnn1d {
    /// `[batch, channels, 1, length] → [batch, classes]`, whatever it computes with.
    fn compute<A: Arithmetic>(&self, signals: A::Signal<4>) -> A::Signal<2> {
        let mut x = A::without_height(signals);
        for (conv, activation) in self.convs.iter().zip(&self.acts) {
            x = activation.apply::<A, 3>(A::conv1d(conv, x));
        }
        A::linear(&self.fc, A::mean_over_pixels(A::with_height(x)))
    }
}

impl Network for Cnn1d {
    const STACKS: bool = true;

    fn with_activations(self, change: &dyn Fn(Activation) -> Activation) -> Self {
        let activations = self.acts.into_iter();
        Self {
            acts: activations.map(change).collect(),
            ..self
        }
    }
}

impl Classifier for Cnn1d {
    fn forward(&self, signals: Tensor<4>) -> Tensor<2> {
        self.compute::<Tensors>(signals)
    }

    fn integer_stages(&self, length: usize) -> Option<Vec<IntegerStage>> {
        let mut points = length;
        let mut stages = Vec::new();
        for (index, (conv, activation)) in self.convs.iter().zip(&self.acts).enumerate() {
            let stage = IntegerStage::convolution(format!("convs.{index}.weight"), conv)?;
            points = stage.points_after(points)?;
            stages.push(stage.with_activation(activation, 1)?);
        }
        let last = IntegerStage::linear_on_means("fc.weight".to_string(), &self.fc, points);
        stages.push(last);
        Some(stages)
    }

    fn enclose(&self, signals: Interval<4>) -> Option<Interval<2>> {
        Some(self.compute::<Intervals>(signals))
    }
}
