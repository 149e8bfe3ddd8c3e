//! A 1-D convolutional classifier of signals.

use burn::module::Module;
use burn::nn::conv::{Conv1d, Conv1dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig1d};
use burn::tensor::{Device, Tensor};
use crossburn_hardware::WeightBits;
use crossburn_hardware::enclosure::{Arithmetic, Interval, Intervals, Tensors};
use serde::{Deserialize, Serialize};

use crate::{Activation, Classifier, ModelError, Network};

/// Configuration of [`Cnn1d`].
///
/// Three convolutions with stride 2 and padding, of `width`, twice and four times `width` channels, or those of `layers`.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use crossburn_models::{Classifier, Cnn1dConfig};
///
/// // The public baseline of the TinyML contest at ICCAD 2022, with its norms before the ReLU.
/// let baseline: Cnn1dConfig = serde_json::from_str(
///     r#"{"classes": 2, "norm": true, "points": 1250, "hidden": [10], "layers": [
///         {"channels": 3, "kernel": 6, "stride": 2}, {"channels": 5, "kernel": 5, "stride": 2},
///         {"channels": 10, "kernel": 4, "stride": 2}, {"channels": 20, "kernel": 4, "stride": 2},
///         {"channels": 20, "kernel": 4, "stride": 2}]}"#,
/// )?;
/// assert_eq!(baseline.lengths(1250), Some(vec![623, 310, 154, 76, 37]));
/// let device = Device::flex();
/// let logits = baseline.init(&device).forward(Tensor::zeros([3, 1, 1, 1250], &device));
/// assert_eq!(logits.dims(), [3, 2]);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cnn1dConfig {
    /// Channels of the signal.
    #[serde(default = "one")]
    pub channels: usize,
    /// Channels after the first convolution; the second and the third have twice and four times as many. Not with `layers`.
    #[serde(default = "eight")]
    pub width: usize,
    /// Points that a kernel sees. Not with `layers`.
    #[serde(default = "seven")]
    pub kernel: usize,
    /// The convolutions one by one, without padding.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<Convolution1d>,
    /// Whether a batch norm follows every convolution, before its ReLU: there it folds into the convolution, so that hardware has none
    /// of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub norm: bool,
    /// Points of the signal, where every point of the last convolution is an input of the first linear layer. Where absent, a signal may have
    /// any length and the means over its points are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points: Option<usize>,
    /// Widths of linear layers with ReLU before the last one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<usize>,
    /// Outputs of the last layer.
    pub classes: usize,
    /// Width of weights and activations; full precision where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<WeightBits>,
}

/// One convolution of [`Cnn1dConfig::layers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Convolution1d {
    /// Channels that it gives.
    pub channels: usize,
    /// Points that its kernel sees.
    pub kernel: usize,
    /// Points from one output to the next.
    #[serde(default = "one")]
    pub stride: usize,
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

/// Convolutions over a signal, the mean over its points or all of them, linear layers.
#[derive(Module, Debug)]
pub struct Cnn1d {
    convs: Vec<Conv1d>,
    /// One for each convolution, or none.
    norms: Vec<BatchNorm>,
    hidden: Vec<Linear>,
    fc: Linear,
    /// One for each convolution, then one for each hidden layer.
    acts: Vec<Activation>,
    /// Whether all points go on rather than their mean.
    flattens: bool,
}

impl Cnn1dConfig {
    /// The usual network, in full precision, for signals of `channels` channels.
    pub fn new(channels: usize, classes: usize) -> Self {
        Self {
            channels,
            width: eight(),
            kernel: seven(),
            layers: Vec::new(),
            norm: false,
            points: None,
            hidden: Vec::new(),
            classes,
            bits: None,
        }
    }

    /// The convolutions, and the points that are added before and after what each sees.
    fn convolutions(&self) -> (Vec<Convolution1d>, (usize, usize)) {
        if !self.layers.is_empty() {
            return (self.layers.clone(), (0, 0));
        }
        let convolution = |times| Convolution1d {
            channels: times * self.width,
            kernel: self.kernel,
            stride: 2,
        };
        let padding = (self.kernel / 2, self.kernel.saturating_sub(1) / 2);
        ([1, 2, 4].map(convolution).to_vec(), padding)
    }

    /// Points after each convolution of a signal of `points`; `None` where a kernel sees more than there are.
    pub fn lengths(&self, points: usize) -> Option<Vec<usize>> {
        let (layers, (before, after)) = self.convolutions();
        let mut length = points;
        let lengths = layers.iter().map(|layer| {
            let left = (length + before + after).checked_sub(layer.kernel)?;
            length = left / layer.stride + 1;
            Some(length)
        });
        lengths.collect()
    }

    /// Refuses sizes of which no network can be made.
    ///
    /// # Errors
    /// [`ModelError`] with the key.
    pub(crate) fn check(&self) -> Result<(), ModelError> {
        let layers = self.layers.iter();
        let sizes = layers.flat_map(|layer| {
            [
                ("layers.channels", layer.channels),
                ("layers.kernel", layer.kernel),
                ("layers.stride", layer.stride),
            ]
        });
        let hidden = self.hidden.iter().map(|width| ("hidden", *width));
        let own = [
            ("channels", self.channels),
            ("width", self.width),
            ("kernel", self.kernel),
            ("classes", self.classes),
        ];
        if let Some((key, _)) = own
            .into_iter()
            .chain(sizes)
            .chain(hidden)
            .find(|(_, n)| *n == 0)
        {
            return Err(ModelError::Zero { key });
        }
        if !self.layers.is_empty() && (self.width, self.kernel) != (eight(), seven()) {
            return Err(ModelError::BesideLayers);
        }
        match self.points {
            Some(points) if self.lengths(points).is_none() => Err(ModelError::TooShort { points }),
            _ => Ok(()),
        }
    }

    /// A network on `device` for `[batch, channels, 1, length]`; [`ModelConfig`](crate::ModelConfig) checks the sizes.
    pub fn init(&self, device: &Device) -> Cnn1d {
        let (layers, (before, after)) = self.convolutions();
        let mut channels = self.channels;
        let convolution = |layer: &Convolution1d| {
            let from = std::mem::replace(&mut channels, layer.channels);
            Conv1dConfig::new(from, layer.channels, layer.kernel)
                .with_stride(layer.stride)
                .with_padding(PaddingConfig1d::Explicit(before, after))
                .init(device)
        };
        let convs: Vec<Conv1d> = layers.iter().map(convolution).collect();
        let norms = match self.norm {
            true => {
                let norms = layers
                    .iter()
                    .map(|layer| BatchNormConfig::new(layer.channels));
                norms.map(|norm| norm.init(device)).collect()
            }
            false => Vec::new(),
        };
        let last = self.points.and_then(|points| self.lengths(points)?.pop());
        let mut width = channels * last.unwrap_or(1);
        let linear = |to: &usize| {
            let from = std::mem::replace(&mut width, *to);
            LinearConfig::new(from, *to).init(device)
        };
        let hidden: Vec<Linear> = self.hidden.iter().map(linear).collect();
        let activation = |_| Activation::new(self.bits, device);
        Cnn1d {
            acts: (0..convs.len() + hidden.len()).map(activation).collect(),
            convs,
            norms,
            hidden,
            fc: LinearConfig::new(width, self.classes).init(device),
            flattens: self.points.is_some(),
        }
    }
}

impl Cnn1d {
    /// `[batch, channels, 1, length] → [batch, classes]`, whatever it computes with.
    fn compute<A: Arithmetic>(&self, signals: A::Signal<4>) -> A::Signal<2> {
        let mut x = A::without_height(signals);
        for (index, conv) in self.convs.iter().enumerate() {
            x = A::conv1d(conv, x);
            if let Some(norm) = self.norms.get(index) {
                x = A::batch_norm(norm, x);
            }
            x = self.acts[index].apply::<A, 3>(x);
        }
        let x = A::with_height(x);
        let mut x = match self.flattens {
            true => A::flatten(x),
            false => A::mean_over_pixels(x),
        };
        for (layer, activation) in self.hidden.iter().zip(&self.acts[self.convs.len()..]) {
            x = activation.apply::<A, 2>(A::linear(layer, x));
        }
        A::linear(&self.fc, x)
    }
}

impl Network for Cnn1d {
    const STACKS: bool = true;

    fn unquantized_activations(self) -> Self {
        let activations = self.acts.into_iter();
        Self {
            acts: activations.map(Activation::unquantized).collect(),
            ..self
        }
    }
}

impl Classifier for Cnn1d {
    fn forward(&self, signals: Tensor<4>) -> Tensor<2> {
        self.compute::<Tensors>(signals)
    }

    fn enclose(&self, signals: Interval<4>) -> Option<Interval<2>> {
        Some(self.compute::<Intervals>(signals))
    }
}
