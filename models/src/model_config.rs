//! The registry: a network from its configuration.

use burn::tensor::Device;
use crossburn_hardware::{Quantization, WeightBits};
use serde::{Deserialize, Serialize};

use crate::{
    Classifier, ConvNetConfig, LeNetConfig, MlpConfig, ResNet18Config, WithClassifier, convnet,
    initialize, lenet,
};

/// Any network of this crate, as recipes and checkpoints name it.
///
/// ```
/// use crossburn_models::ModelConfig;
///
/// let model: ModelConfig = serde_json::from_str(r#"{"kind": "lenet", "bits": 4}"#)?;
/// assert_eq!(model.input_shape(), Some([1, 28, 28]));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ModelConfig {
    /// A multilayer perceptron.
    Mlp(MlpConfig),
    /// LeNet, 28×28 grey.
    #[serde(rename = "lenet")]
    LeNet(LeNetConfig),
    /// The papers' ConvNet, 32×32 colour.
    #[serde(rename = "convnet")]
    ConvNet(ConvNetConfig),
    /// ResNet-18, CIFAR form.
    #[serde(rename = "resnet18")]
    ResNet18(ResNet18Config),
}

/// A network that cannot be built, or not for this data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// An MLP without two positive widths.
    #[error(
        "model.widths = {widths:?} needs at least an input and an output width, all above zero"
    )]
    Widths {
        /// The refused widths.
        widths: Vec<usize>,
    },
    /// A channel count of zero.
    #[error("model.{key} = 0 must be above zero")]
    Zero {
        /// The configuration key.
        key: &'static str,
    },
    /// Images of another shape than the network takes.
    #[error(
        "{model} takes {expected} images, the data has {channels}x{height}x{width}: choose another model or data set"
    )]
    ImageShape {
        /// The network's name.
        model: &'static str,
        /// What it takes.
        expected: String,
        /// Channels of the data.
        channels: usize,
        /// Height of the data.
        height: usize,
        /// Width of the data.
        width: usize,
    },
    /// Fewer outputs than the data has classes.
    #[error(
        "{model} has {outputs} outputs, the data has {classes} classes: build the network with {classes} outputs or more, or choose other data"
    )]
    Classes {
        /// The network's name.
        model: &'static str,
        /// Outputs of its last layer.
        outputs: usize,
        /// Classes of the data.
        classes: usize,
    },
}

impl ModelConfig {
    /// The name used in recipes.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Mlp(_) => "mlp",
            Self::LeNet(_) => "lenet",
            Self::ConvNet(_) => "convnet",
            Self::ResNet18(_) => "resnet18",
        }
    }

    /// Width of weights and activations, if quantized.
    pub fn bits(&self) -> Option<WeightBits> {
        match self {
            Self::Mlp(config) => config.bits,
            Self::LeNet(config) => config.bits,
            Self::ConvNet(config) => config.bits,
            Self::ResNet18(config) => config.bits,
        }
    }

    /// How its weights are quantized, if they are.
    pub fn quantization(&self) -> Option<Quantization> {
        self.bits().map(Quantization::from)
    }

    /// The one image shape `[channels, height, width]` it takes, where there is only one.
    pub fn input_shape(&self) -> Option<[usize; 3]> {
        match self {
            Self::LeNet(_) => Some([1, 28, 28]),
            Self::ConvNet(_) => Some([3, 32, 32]),
            Self::Mlp(_) | Self::ResNet18(_) => None,
        }
    }

    /// Outputs of the last layer: labels must be below this number.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Mlp(config) => config.widths.last().copied().unwrap_or_default(),
            Self::LeNet(_) => lenet::CLASSES,
            Self::ConvNet(_) => convnet::CLASSES,
            Self::ResNet18(config) => config.classes,
        }
    }

    /// Checks the configuration itself.
    fn check_sizes(&self) -> Result<(), ModelError> {
        match self {
            Self::Mlp(config) if config.widths.len() < 2 || config.widths.contains(&0) => {
                Err(ModelError::Widths {
                    widths: config.widths.clone(),
                })
            }
            Self::ConvNet(ConvNetConfig { width: 0, .. })
            | Self::ResNet18(ResNet18Config { width: 0, .. }) => {
                Err(ModelError::Zero { key: "width" })
            }
            Self::ResNet18(ResNet18Config { classes: 0, .. }) => {
                Err(ModelError::Zero { key: "classes" })
            }
            _ => Ok(()),
        }
    }

    /// Checks the configuration and that it has an output for each of `classes` classes. More outputs are allowed.
    ///
    /// # Errors
    /// [`ModelError`], naming the key or both numbers.
    pub fn check_classes(&self, classes: usize) -> Result<(), ModelError> {
        self.check_sizes()?;
        let outputs = self.outputs();
        match outputs < classes {
            true => Err(ModelError::Classes {
                model: self.name(),
                outputs,
                classes,
            }),
            false => Ok(()),
        }
    }

    /// Checks the configuration and that images of `shape` (`[channels, height, width]`) fit.
    ///
    /// # Errors
    /// [`ModelError`], naming the key or both shapes.
    pub fn check(&self, shape: [usize; 3]) -> Result<(), ModelError> {
        self.check_sizes()?;
        let [channels, height, width] = shape;
        let expected = match self {
            Self::Mlp(config) => {
                let pixels = config.widths[0];
                (pixels != channels * height * width).then(|| format!("{pixels}-pixel"))
            }
            Self::ResNet18(_) => {
                (channels != 3 || height < 8 || width < 8).then(|| "3-channel".to_string())
            }
            Self::LeNet(_) | Self::ConvNet(_) => self
                .input_shape()
                .filter(|expected| *expected != shape)
                .map(|[c, h, w]| format!("{c}x{h}x{w}")),
        };
        match expected {
            Some(expected) => Err(ModelError::ImageShape {
                model: self.name(),
                expected,
                channels,
                height,
                width,
            }),
            None => Ok(()),
        }
    }

    /// Builds the network on `device` with initial weights from `seed`, and hands it to `work`.
    pub fn build<W: WithClassifier>(&self, seed: u64, device: &Device, work: W) -> W::Output {
        fn start<C: Classifier, W: WithClassifier>(network: C, seed: u64, work: W) -> W::Output {
            work.run(initialize(network, seed))
        }
        match self {
            Self::Mlp(config) => start(config.init(device), seed, work),
            Self::LeNet(config) => start(config.init(device), seed, work),
            Self::ConvNet(config) => start(config.init(device), seed, work),
            Self::ResNet18(config) => start(config.init(device), seed, work),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use burn::tensor::{Tensor, TensorData};
    use crossburn_hardware::layer::stack;
    use crossburn_hardware::manufacture;
    use crossburn_noise::{ChipSeed, Distribution, Variation};

    struct Logits([usize; 3]);

    impl WithClassifier for Logits {
        type Output = Vec<f32>;

        fn run<C: Classifier>(self, network: C) -> Vec<f32> {
            let device = Device::flex();
            let [c, h, w] = self.0;
            let logits = network.forward(Tensor::full([2, c, h, w], 0.5, &device));
            assert_eq!(logits.dims()[0], 2);
            logits.into_data().try_to_vec().unwrap()
        }
    }

    #[test]
    fn every_network_runs_and_starts_from_its_seed() {
        let rows = [
            (r#"{"kind":"mlp","widths":[12,5,10],"bits":4}"#, [3, 2, 2]),
            (r#"{"kind":"lenet","bits":4}"#, [1, 28, 28]),
            (r#"{"kind":"lenet","variant":"classic"}"#, [1, 28, 28]),
            (r#"{"kind":"convnet","width":4,"bits":6}"#, [3, 32, 32]),
            (r#"{"kind":"resnet18","width":4,"bits":8}"#, [3, 32, 32]),
            (r#"{"kind":"resnet18","width":4,"classes":7}"#, [3, 32, 32]),
            (r#"{"kind":"mlp","widths":[12,5,3]}"#, [3, 2, 2]),
        ];
        for (text, shape) in rows {
            let config: ModelConfig = serde_json::from_str(text).unwrap();
            config.check(shape).unwrap();
            let device = Device::flex();
            let logits = config.build(1, &device, Logits(shape));
            assert_eq!(logits.len(), 2 * config.outputs(), "{text}");
            config.check_classes(config.outputs()).unwrap();
            assert!(config.check_classes(config.outputs() + 1).is_err());
            assert!(
                logits.iter().all(|x| x.is_finite()) && logits.iter().any(|x| *x != 0.0),
                "{text}"
            );
            assert_eq!(logits, config.build(1, &device, Logits(shape)), "{text}");
            assert_ne!(logits, config.build(2, &device, Logits(shape)), "{text}");
        }
    }

    /// Logits of the network with its activations in full precision.
    struct Unquantized([usize; 3]);

    impl WithClassifier for Unquantized {
        type Output = Vec<f32>;

        fn run<C: Classifier>(self, network: C) -> Vec<f32> {
            Logits(self.0).run(network.unquantized_activations())
        }
    }

    #[test]
    fn without_quantized_activations_a_network_is_that_without_bits() {
        // A residual block has weights behind its ranges: another number of parameters draws them from other streams.
        let rows = [
            (r#"{"kind":"mlp","widths":[12,5,10]"#, [3, 2, 2], true),
            (r#"{"kind":"lenet""#, [1, 28, 28], true),
            (r#"{"kind":"convnet","width":4"#, [3, 32, 32], true),
            (r#"{"kind":"resnet18","width":4"#, [3, 32, 32], false),
        ];
        for (text, shape, same_streams) in rows {
            let read = |end: &str| -> ModelConfig {
                serde_json::from_str(&format!("{text}{end}")).unwrap()
            };
            let (quantized, plain) = (read(r#","bits":2}"#), read("}"));
            let device = Device::flex();
            let found = quantized.build(1, &device, Unquantized(shape));
            let expected = plain.build(1, &device, Logits(shape));
            assert!(!same_streams || found == expected, "{text}");
            assert_ne!(found, quantized.build(1, &device, Logits(shape)), "{text}");
            let same = plain.build(1, &device, Unquantized(shape));
            assert_eq!(same, expected, "{text}");
        }
    }

    #[test]
    fn bad_configurations_are_refused_by_name() {
        for (text, part) in [
            (r#"{"kind":"lenet","bit":4}"#, "unknown field `bit`"),
            (
                r#"{"kind":"lenet","bits":40}"#,
                "bits = 40 is outside 2..=16",
            ),
            (r#"{"kind":"vgg"}"#, "unknown variant `vgg`"),
        ] {
            let message = serde_json::from_str::<ModelConfig>(text)
                .unwrap_err()
                .to_string();
            assert!(message.contains(part), "{message}");
        }
        let lenet: ModelConfig = serde_json::from_str(r#"{"kind":"lenet"}"#).unwrap();
        insta::assert_snapshot!(lenet.check([3, 32, 32]).unwrap_err(), @"lenet takes 1x28x28 images, the data has 3x32x32: choose another model or data set");
        let five: ModelConfig = serde_json::from_str(r#"{"kind":"resnet18","classes":5}"#).unwrap();
        insta::assert_snapshot!(five.check_classes(10).unwrap_err(), @"resnet18 has 5 outputs, the data has 10 classes: build the network with 10 outputs or more, or choose other data");
        let empty: ModelConfig = serde_json::from_str(r#"{"kind":"mlp","widths":[]}"#).unwrap();
        insta::assert_snapshot!(empty.check_classes(10).unwrap_err(), @"model.widths = [] needs at least an input and an output width, all above zero");
        let mlp: ModelConfig = serde_json::from_str(r#"{"kind":"mlp","widths":[784]}"#).unwrap();
        insta::assert_snapshot!(mlp.check([1, 28, 28]).unwrap_err(), @"model.widths = [784] needs at least an input and an output width, all above zero");
    }

    /// How far the logits of stacked chips lie from those of single ones, relative to the largest.
    struct SideBySide([usize; 3]);

    impl WithClassifier for SideBySide {
        type Output = f32;

        fn run<C: Classifier>(self, network: C) -> f32 {
            assert!(C::STACKS);
            let variation = Variation::from(Distribution::gaussian(0.1));
            let chips: Vec<C> = (0..3)
                .map(|chip| manufacture(&network, None, &variation, ChipSeed::new(4, chip)))
                .collect();
            let [c, h, w] = self.0;
            let pixels: Vec<f32> = (0..2 * c * h * w).map(|i| (i % 17) as f32 / 16.0).collect();
            let input = Tensor::from_data(TensorData::new(pixels, [2, c, h, w]), &Device::flex());
            let each = chips.iter().map(|chip| chip.forward(input.clone()));
            let expected: Tensor<2> = Tensor::cat(each.collect(), 1);
            let stacked = stack(&chips).unwrap().forward(input);
            assert_eq!(stacked.dims(), [2, 3 * 10]);
            let size = expected.clone().abs().max().into_scalar::<f32>();
            (stacked - expected).abs().max().into_scalar::<f32>() / size
        }
    }

    #[test]
    fn chips_of_every_network_stack() {
        for (text, shape) in [
            (r#"{"kind":"mlp","widths":[12,5,10]}"#, [3, 2, 2]),
            (r#"{"kind":"lenet"}"#, [1, 28, 28]),
            (r#"{"kind":"lenet","variant":"classic"}"#, [1, 28, 28]),
            (r#"{"kind":"convnet","width":4}"#, [3, 32, 32]),
            (r#"{"kind":"resnet18","width":4}"#, [3, 32, 32]),
        ] {
            let config: ModelConfig = serde_json::from_str(text).unwrap();
            let gap = config.build(1, &Device::flex(), SideBySide(shape));
            // Sums of up to 784 products in another order, relative 784 * 2^-24 = 5e-5 at worst.
            assert!(gap < 5e-5, "{text}: {gap}");
        }
    }
}
