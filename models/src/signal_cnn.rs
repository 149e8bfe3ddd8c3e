//! A 1-D convolutional classifier of signals, layer by layer as its configuration says.

use burn::module::Module;
use burn::nn::conv::{Conv1d, Conv1dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{
    BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig, PaddingConfig1d,
};
use burn::tensor::{Device, Tensor};
use crossburn_hardware::WeightBits;
use crossburn_hardware::enclosure::{Arithmetic, Interval, Intervals, Tensors};
use serde::{Deserialize, Serialize};

use crate::dropout::dropout;
use crate::{Activation, Classifier, IntegerStage, ModelError, Network};

/// Configuration of [`SignalCnn`].
///
/// The defaults are the public baseline of the TinyML contest at ICCAD 2022, a network for five seconds of one lead of an implanted
/// defibrillator: five convolutions, each with ReLU and then a batch norm, 740 features, ten hidden units.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignalCnnConfig {
    /// Channels of the signal.
    #[serde(default = "one")]
    pub channels: usize,
    /// Points of the signal.
    #[serde(default = "five_seconds")]
    pub points: usize,
    /// The convolutions.
    #[serde(default = "baseline")]
    pub layers: Vec<SignalLayer>,
    /// The places of batch norms.
    #[serde(default)]
    pub norm: SignalNorm,
    /// The features of the last convolution that the linear layers see.
    #[serde(default, skip_serializing_if = "SignalFeatures::are_points")]
    pub features: SignalFeatures,
    /// Outputs of the linear layers before the last one.
    #[serde(default = "ten")]
    pub hidden: Vec<usize>,
    /// The share of features that a training step drops before the first linear layer.
    #[serde(default = "half")]
    pub dropout: f64,
    /// Outputs of the last layer.
    pub classes: usize,
    /// Width of weights and activations; full precision where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<WeightBits>,
}

/// One convolution with what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignalLayer {
    /// Output channels.
    pub channels: usize,
    /// Points that a kernel sees.
    pub kernel: usize,
    /// Distance of two windows.
    #[serde(default = "one")]
    pub stride: usize,
    /// Zeros at either end of the signal.
    #[serde(default)]
    pub padding: usize,
    /// Points of a window whose largest value remains, after the activation; windows lie side by side.
    #[serde(default = "one")]
    pub pool: usize,
}

/// The places of batch norms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignalNorm {
    /// Nowhere.
    None,
    /// Between each convolution and its activation: integers take it up in their rescaling.
    BeforeActivation,
    /// After each activation, as in the public baseline.
    #[default]
    AfterActivation,
}

/// The features of the last convolution that the linear layers see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignalFeatures {
    /// Every channel at every point, as in the public baseline.
    #[default]
    Points,
    /// The mean of every channel: the same wherever in the signal something is.
    Means,
}

impl SignalFeatures {
    fn are_points(&self) -> bool {
        *self == Self::Points
    }
}

fn one() -> usize {
    1
}

fn five_seconds() -> usize {
    1250
}

fn ten() -> Vec<usize> {
    vec![10]
}

fn half() -> f64 {
    0.5
}

fn baseline() -> Vec<SignalLayer> {
    let sizes = [(3, 6), (5, 5), (10, 4), (20, 4), (20, 4)];
    let layer = |(channels, kernel)| SignalLayer {
        channels,
        kernel,
        stride: 2,
        padding: 0,
        pool: 1,
    };
    sizes.map(layer).to_vec()
}

/// Convolutions, each with an activation, perhaps a batch norm and pooling; then linear layers on all features.
#[derive(Module, Debug)]
pub struct SignalCnn {
    convs: Vec<Conv1d>,
    norms: Vec<BatchNorm>,
    pools: Vec<MaxPool2d>,
    hidden: Vec<Linear>,
    fc: Linear,
    dropout: Dropout,
    acts: Vec<Activation>,
    norm_first: bool,
    means: bool,
}

impl SignalCnnConfig {
    /// The public baseline of the contest with `classes` outputs.
    pub fn baseline(classes: usize) -> Self {
        Self {
            channels: one(),
            points: five_seconds(),
            layers: baseline(),
            norm: SignalNorm::default(),
            features: SignalFeatures::default(),
            hidden: ten(),
            dropout: half(),
            classes,
            bits: None,
        }
    }

    /// Points before the first convolution and after each of them; `None` where a kernel or a window is longer than what it gets.
    pub fn lengths(&self) -> Option<Vec<usize>> {
        let mut lengths = vec![self.points];
        for layer in &self.layers {
            let padded = lengths.last()? + 2 * layer.padding;
            let length = padded.checked_sub(layer.kernel)? / layer.stride.max(1) + 1;
            lengths.push(length.checked_sub(layer.pool)? / layer.pool.max(1) + 1);
        }
        Some(lengths)
    }

    /// Refuses sizes of which one is zero, kernels that are longer than their signals, and a dropout outside 0 to below 1.
    pub(crate) fn check(&self) -> Result<(), ModelError> {
        let mut counts = vec![
            ("channels", self.channels),
            ("points", self.points),
            ("classes", self.classes),
        ];
        for layer in &self.layers {
            counts.extend([
                ("layers.channels", layer.channels),
                ("layers.kernel", layer.kernel),
                ("layers.stride", layer.stride),
                ("layers.pool", layer.pool),
            ]);
        }
        counts.extend(self.hidden.iter().map(|width| ("hidden", *width)));
        if let Some((key, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(ModelError::Zero { key });
        }
        if self
            .layers
            .iter()
            .any(|layer| layer.padding >= layer.kernel)
        {
            return Err(ModelError::Sizes {
                problem: "layers.padding is not below layers.kernel".to_string(),
                remedy: "pad fewer zeros: windows of nothing but zeros say nothing",
            });
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(ModelError::Sizes {
                problem: format!("dropout = {} is no share from 0 to below 1", self.dropout),
                remedy: "use 0.5, or 0 for none",
            });
        }
        match self.lengths() {
            Some(_) => Ok(()),
            None => Err(ModelError::Sizes {
                problem: format!("layers leave nothing of a signal of {} points", self.points),
                remedy: "use fewer layers, shorter kernels or smaller strides",
            }),
        }
    }

    /// A network on `device` for `[batch, channels, 1, points]`. [`ModelConfig`](crate::ModelConfig) checks that the sizes fit.
    pub fn init(&self, device: &Device) -> SignalCnn {
        let mut inputs = self.channels;
        let mut convs = Vec::new();
        for layer in &self.layers {
            let conv = Conv1dConfig::new(inputs, layer.channels, layer.kernel)
                .with_stride(layer.stride)
                .with_padding(PaddingConfig1d::Explicit(layer.padding, layer.padding));
            convs.push(conv.init(device));
            inputs = layer.channels;
        }
        let norms = match self.norm {
            SignalNorm::None => Vec::new(),
            _ => {
                let channels = self.layers.iter().map(|layer| layer.channels);
                channels
                    .map(|channels| BatchNormConfig::new(channels).init(device))
                    .collect()
            }
        };
        let window = |layer: &SignalLayer| {
            let size = [1, layer.pool];
            MaxPool2dConfig::new(size).with_strides(size).init()
        };
        let length = self.lengths().and_then(|lengths| lengths.last().copied());
        let mut features = match self.features {
            SignalFeatures::Points => inputs * length.unwrap_or_default(),
            SignalFeatures::Means => inputs,
        };
        let mut linear = |outputs: usize| {
            let layer = LinearConfig::new(features, outputs).init(device);
            features = outputs;
            layer
        };
        let hidden: Vec<Linear> = self.hidden.iter().map(|width| linear(*width)).collect();
        let acts = 0..convs.len() + hidden.len();
        SignalCnn {
            pools: self.layers.iter().map(window).collect(),
            norms,
            hidden,
            fc: linear(self.classes),
            dropout: DropoutConfig::new(self.dropout).init(),
            acts: acts.map(|_| Activation::new(self.bits, device)).collect(),
            convs,
            norm_first: self.norm == SignalNorm::BeforeActivation,
            means: self.features == SignalFeatures::Means,
        }
    }
}

impl SignalCnn {
    /// `[batch, channels, 1, points] → [batch, features]`, whatever it computes with.
    fn features<A: Arithmetic>(&self, signals: A::Signal<4>) -> A::Signal<2> {
        let mut x = A::without_height(signals);
        for (index, (conv, activation)) in self.convs.iter().zip(&self.acts).enumerate() {
            x = A::conv1d(conv, x);
            let norm = self.norms.get(index);
            if let (Some(norm), true) = (norm, self.norm_first) {
                x = A::batch_norm(norm, x);
            }
            x = activation.apply::<A, 3>(x);
            if let (Some(norm), false) = (norm, self.norm_first) {
                x = A::batch_norm(norm, x);
            }
            let pool = &self.pools[index];
            if pool.kernel_size != [1, 1] {
                x = A::without_height(A::max_pool2d(pool, A::with_height(x)));
            }
        }
        let x = A::with_height(x);
        match self.means {
            true => A::mean_over_pixels(x),
            false => A::flatten(x),
        }
    }

    /// `[batch, features] → [batch, classes]`.
    fn head<A: Arithmetic>(&self, features: A::Signal<2>) -> A::Signal<2> {
        let activations = &self.acts[self.convs.len()..];
        let mut x = features;
        for (layer, activation) in self.hidden.iter().zip(activations) {
            x = activation.apply::<A, 2>(A::linear(layer, x));
        }
        A::linear(&self.fc, x)
    }
}

impl Network for SignalCnn {
    const STACKS: bool = true;

    fn with_activations(self, change: &dyn Fn(Activation) -> Activation) -> Self {
        let activations = self.acts.into_iter();
        Self {
            acts: activations.map(change).collect(),
            ..self
        }
    }
}

impl Classifier for SignalCnn {
    fn forward(&self, signals: Tensor<4>) -> Tensor<2> {
        let features = self.features::<Tensors>(signals);
        self.head::<Tensors>(dropout(&self.dropout, features))
    }

    fn integer_stages(&self, length: usize) -> Option<Vec<IntegerStage>> {
        if !self.norms.is_empty() && !self.norm_first {
            return None;
        }
        let mut points = length;
        let mut stages = Vec::new();
        for (index, (conv, activation)) in self.convs.iter().zip(&self.acts).enumerate() {
            let pool = self.pools[index].kernel_size[1];
            let stage = IntegerStage::convolution(format!("convs.{index}.weight"), conv)?;
            points = stage.points_after(points)?.checked_sub(pool)? / pool + 1;
            let stage = match self.norms.get(index) {
                Some(norm) => stage.with_norm(norm),
                None => stage,
            };
            stages.push(stage.with_activation(activation, pool)?);
        }
        let mut linear = |path: String, layer: &Linear| {
            let first = std::mem::replace(&mut points, 1);
            match self.means {
                true => IntegerStage::linear_on_means(path, layer, first),
                false => IntegerStage::linear(path, layer, first),
            }
        };
        let activations = &self.acts[self.convs.len()..];
        for (index, (layer, activation)) in self.hidden.iter().zip(activations).enumerate() {
            let stage = linear(format!("hidden.{index}.weight"), layer);
            stages.push(stage.with_activation(activation, 1)?);
        }
        stages.push(linear("fc.weight".to_string(), &self.fc));
        Some(stages)
    }

    fn enclose(&self, signals: Interval<4>) -> Option<Interval<2>> {
        Some(self.head::<Intervals>(self.features::<Intervals>(signals)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    /// The lengths of the page of the contest: 623, 310, 154, 76, 37, and 740 features.
    #[test]
    fn the_default_is_the_public_baseline() {
        let config: SignalCnnConfig = serde_json::from_str(r#"{"classes":2}"#).unwrap();
        assert_eq!(config.lengths().unwrap(), [1250, 623, 310, 154, 76, 37]);
        let network = config.init(&Device::flex());
        assert_eq!(network.hidden[0].weight.dims(), [740, 10]);
        // Convolutions 21 + 80 + 210 + 820 + 1620, norms with their statistics 4 · 58, linear layers 7410 + 22.
        assert_eq!(network.num_params(), 2751 + 4 * 58 + 7432);
        let logits = network.forward(Tensor::ones([3, 1, 1, 1250], &Device::flex()));
        assert_eq!(logits.dims(), [3, 2]);
    }

    /// What is shifted by whole strides far from both ends has the same means, and other features point by point.
    #[test]
    fn means_do_not_tell_where_something_is() {
        let network = |features: &str| {
            let text = format!(
                r#"{{"classes":2,"points":200,"norm":"none","features":"{features}","dropout":0.0,
                "layers":[{{"channels":3,"kernel":5,"stride":2}},{{"channels":4,"kernel":3,"stride":2}}]}}"#
            );
            let config: SignalCnnConfig = serde_json::from_str(&text).unwrap();
            crate::initialize(config.init(&Device::flex()), 3)
        };
        let logits = |features: &str, place: Option<usize>| {
            let mut signal = vec![0.0f32; 200];
            if let Some(place) = place {
                signal[place..place + 4].copy_from_slice(&[1.0, -2.0, 0.5, 1.5]);
            }
            let data = burn::tensor::TensorData::new(signal, [1, 1, 1, 200]);
            let signal = Tensor::from_data(data, &Device::flex());
            let logits = network(features).forward(signal).into_data();
            logits.try_into_vec::<f32>().unwrap()
        };
        let off = |features: &str, other: Option<usize>| -> f32 {
            let (here, there) = (logits(features, Some(60)), logits(features, other));
            here.iter()
                .zip(there)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max)
        };
        for (features, elsewhere) in [("means", 0.0..1e-6), ("points", 1e-3..1.0)] {
            let found = off(features, Some(140));
            assert!(elsewhere.contains(&found), "{features} {found}");
        }
        // The means show that something is there.
        assert!(off("means", None) > 1e-4, "{}", off("means", None));
        assert_eq!(network("means").hidden[0].weight.dims(), [4, 10]);
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        for (text, part) in [
            (r#"{"classes":0}"#, "model.classes = 0"),
            (
                r#"{"classes":2,"points":40}"#,
                "leave nothing of a signal of 40 points",
            ),
            (r#"{"classes":2,"dropout":1.0}"#, "dropout = 1"),
            (
                r#"{"classes":2,"layers":[{"channels":2,"kernel":3,"padding":3}]}"#,
                "layers.padding is not below",
            ),
            (
                r#"{"classes":2,"layers":[{"channels":2,"kernel":3,"stride":0}]}"#,
                "model.layers.stride = 0",
            ),
        ] {
            let config: SignalCnnConfig = serde_json::from_str(text).unwrap();
            let message = config.check().unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
