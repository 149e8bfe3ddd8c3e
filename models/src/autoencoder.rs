//! Autoencoders: networks that give their input back through a narrow place.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor};
use crossburn_hardware::WeightBits;
use crossburn_hardware::enclosure::Tensors;
use crossburn_hardware::layer::{conv2d, linear};
use serde::{Deserialize, Serialize};

use crate::{Activation, Network};

/// A network that gives its input back.
pub trait Autoencoder: Network {
    /// # Shapes
    /// `[batch, channels, height, width]`, kept.
    fn forward(&self, inputs: Tensor<4>) -> Tensor<4>;

    /// The same, and what else it is to make small while it learns. By default nothing else.
    fn restore(&self, inputs: Tensor<4>) -> Restored {
        self.forward(inputs).into()
    }
}

/// The output of an autoencoder for a batch.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The reconstruction: `[batch, channels, height, width]`.
    pub outputs: Tensor<4>,
    /// A penalty that training adds to the reconstruction error, the mean over the batch: `[1]`. `None` if the network
    /// learns by that error alone, and outside of training.
    pub penalty: Option<Tensor<1>>,
}

impl From<Tensor<4>> for Restored {
    fn from(outputs: Tensor<4>) -> Self {
        Self {
            outputs,
            penalty: None,
        }
    }
}

impl Restored {
    /// `error` with the penalty, where there is one.
    #[must_use]
    pub fn penalized(self, error: Tensor<1>) -> Tensor<1> {
        match self.penalty {
            Some(penalty) => error + penalty,
            None => error,
        }
    }
}

/// Configuration of [`DenseAutoencoder`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenseAutoencoderConfig {
    /// Layer widths from the flattened input to the code, such as `[784, 128, 16]`; the decoder has them in reverse.
    pub widths: Vec<usize>,
    /// Width of weights and activations; full precision where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<WeightBits>,
}

/// Linear layers with ReLU between them, down to the code and up again. The code and the output are linear.
#[derive(Module, Debug)]
pub struct DenseAutoencoder {
    encoder: Vec<Linear>,
    decoder: Vec<Linear>,
    activations: Vec<Activation>,
}

impl DenseAutoencoderConfig {
    /// A network on `device`. At least two widths are needed; [`ModelConfig`](crate::ModelConfig) checks that.
    pub fn init(&self, device: &Device) -> DenseAutoencoder {
        let layer = |from: usize, to: usize| LinearConfig::new(from, to).init(device);
        let pairs = self.widths.windows(2);
        let encoder: Vec<Linear> = pairs.clone().map(|pair| layer(pair[0], pair[1])).collect();
        let decoder: Vec<Linear> = pairs.rev().map(|pair| layer(pair[1], pair[0])).collect();
        let hidden = 2 * encoder.len().saturating_sub(1);
        DenseAutoencoder {
            encoder,
            decoder,
            activations: (0..hidden)
                .map(|_| Activation::new(self.bits, device))
                .collect(),
        }
    }
}

/// `layers` with an activation after every one but the last.
fn chain(layers: &[Linear], activations: &[Activation], mut x: Tensor<2>) -> Tensor<2> {
    for (index, layer) in layers.iter().enumerate() {
        x = linear(layer, x);
        if let Some(activation) = activations.get(index) {
            x = activation.apply::<Tensors, 2>(x);
        }
    }
    x
}

impl DenseAutoencoder {
    /// The code.
    ///
    /// # Shapes
    /// `[batch, first width] → [batch, last width]`.
    pub fn encode(&self, inputs: Tensor<2>) -> Tensor<2> {
        let (down, _) = self.activations.split_at(self.activations.len() / 2);
        chain(&self.encoder, down, inputs)
    }

    /// The reconstruction of a code.
    ///
    /// # Shapes
    /// `[batch, last width] → [batch, first width]`.
    pub fn decode(&self, code: Tensor<2>) -> Tensor<2> {
        let (_, up) = self.activations.split_at(self.activations.len() / 2);
        chain(&self.decoder, up, code)
    }
}

impl Network for DenseAutoencoder {
    fn with_activations(self, change: &dyn Fn(Activation) -> Activation) -> Self {
        let activations = self.activations.into_iter();
        Self {
            activations: activations.map(change).collect(),
            ..self
        }
    }
}

impl Autoencoder for DenseAutoencoder {
    fn forward(&self, inputs: Tensor<4>) -> Tensor<4> {
        let shape = inputs.dims();
        self.decode(self.encode(inputs.flatten::<2>(1, 3)))
            .reshape(shape)
    }
}

/// Configuration of [`ConvAutoencoder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvAutoencoderConfig {
    /// Channels of the input.
    #[serde(default = "one")]
    pub channels: usize,
    /// Channels after the first convolution; the second has twice as many.
    #[serde(default = "sixteen")]
    pub width: usize,
    /// Channels of the code, which has a quarter of the height and of the width of the input.
    #[serde(default = "four")]
    pub code: usize,
    /// Width of weights and activations; full precision where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<WeightBits>,
}

fn one() -> usize {
    1
}

fn sixteen() -> usize {
    16
}

fn four() -> usize {
    4
}

/// Three 3×3 convolutions down to the code, two of them with stride 2, and three up from it, two of them after doubling every
/// pixel. Doubling before a convolution in place of a transposed one: no checkerboard, and an array sees plain convolutions.
#[derive(Module, Debug)]
pub struct ConvAutoencoder {
    down1: Conv2d,
    down2: Conv2d,
    code: Conv2d,
    up1: Conv2d,
    up2: Conv2d,
    out: Conv2d,
    act1: Activation,
    act2: Activation,
    act3: Activation,
    act4: Activation,
}

impl ConvAutoencoderConfig {
    /// A network on `device` for images whose height and width are multiples of 4.
    pub fn init(&self, device: &Device) -> ConvAutoencoder {
        let convolution = |from, to, stride| convolution(from, to, stride, device);
        let activation = || Activation::new(self.bits, device);
        let (width, wide) = (self.width, 2 * self.width);
        ConvAutoencoder {
            down1: convolution(self.channels, width, 2),
            down2: convolution(width, wide, 2),
            code: convolution(wide, self.code, 1),
            up1: convolution(self.code, wide, 1),
            up2: convolution(wide, width, 1),
            out: convolution(width, self.channels, 1),
            act1: activation(),
            act2: activation(),
            act3: activation(),
            act4: activation(),
        }
    }
}

/// A 3×3 convolution that keeps the size of an image, or divides it by `stride`.
pub(crate) fn convolution(from: usize, to: usize, stride: usize, device: &Device) -> Conv2d {
    Conv2dConfig::new([from, to], [3, 3])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
        .init(device)
}

/// Every pixel twice, in both directions.
///
/// # Shapes
/// `[batch, channels, height, width] → [batch, channels, 2 height, 2 width]`.
pub(crate) fn doubled(x: Tensor<4>) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let x = x.reshape([batch, channels, height, 1, width, 1]);
    x.expand([batch, channels, height, 2, width, 2]).reshape([
        batch,
        channels,
        2 * height,
        2 * width,
    ])
}

impl Network for ConvAutoencoder {
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

impl Autoencoder for ConvAutoencoder {
    fn forward(&self, inputs: Tensor<4>) -> Tensor<4> {
        let x = self.act1.apply::<Tensors, 4>(conv2d(&self.down1, inputs));
        let x = self.act2.apply::<Tensors, 4>(conv2d(&self.down2, x));
        let code = conv2d(&self.code, x);
        let x = self.act3.apply::<Tensors, 4>(conv2d(&self.up1, code));
        let x = self.act4.apply::<Tensors, 4>(conv2d(&self.up2, doubled(x)));
        conv2d(&self.out, doubled(x))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use burn::tensor::TensorData;

    #[test]
    fn every_pixel_is_doubled_in_its_place() {
        let values: Vec<f32> = (1..=12).map(|v| v as f32).collect();
        let device = Device::flex();
        let x = Tensor::<4>::from_data(TensorData::new(values, [1, 2, 2, 3]), &device);
        let found: Vec<f32> = doubled(x).into_data().try_to_vec().unwrap();
        let expected = |channel: usize, row: usize, column: usize| {
            (6 * channel + 3 * (row / 2) + column / 2 + 1) as f32
        };
        for (index, value) in found.iter().enumerate() {
            let (channel, rest) = (index / 24, index % 24);
            assert_eq!(*value, expected(channel, rest / 6, rest % 6), "{index}");
        }
        assert_eq!(found.len(), 48);
    }

    #[test]
    fn widths_mirror() {
        let config = DenseAutoencoderConfig {
            widths: vec![12, 7, 3],
            bits: None,
        };
        let network = config.init(&Device::flex());
        // 12·7+7 + 7·3+3 down, 3·7+7 + 7·12+12 up.
        assert_eq!(network.num_params(), 91 + 24 + 28 + 96);
        let x = Tensor::<4>::ones([2, 3, 2, 2], &Device::flex());
        assert_eq!(network.forward(x).dims(), [2, 3, 2, 2]);
    }
}
