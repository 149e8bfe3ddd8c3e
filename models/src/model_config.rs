//! The registry: a network from its configuration.

use std::path::PathBuf;

use burn::tensor::Device;
use crossburn_hardware::WeightBits;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::decoder::{AdapterConfig, DecoderError, DecoderSizes};
use crate::held_form::HeldForm;
use crate::nas::{CellCandidate, ConvolutionalCandidate};
use crate::{
    CifarResNetConfig, Cnn1dConfig, ConvAutoencoderConfig, ConvNetConfig, DenseAutoencoderConfig,
    EmbeddingHeadConfig, FaceNetConfig, LeNetConfig, MlpConfig, ResNet18Config, SignalCnnConfig,
    UNetConfig, VariationalAutoencoderConfig, WithNetwork, convnet, initialize, lenet,
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// ResNet-20, 32, 44, 56 or 110, 32×32 colour.
    #[serde(rename = "resnet")]
    ResNet(CifarResNetConfig),
    /// A 1-D convolutional classifier of signals.
    #[serde(rename = "cnn1d")]
    Cnn1d(Cnn1dConfig),
    /// A 1-D convolutional classifier of signals of one length, layer by layer.
    SignalCnn(SignalCnnConfig),
    /// A candidate of an architecture search.
    Candidate(ConvolutionalCandidate),
    /// Equal cells of NAS-Bench-201.
    Cell(CellCandidate),
    /// Linear layers down to a code and up again.
    Autoencoder(DenseAutoencoderConfig),
    /// Convolutions down to a code and up again.
    ConvAutoencoder(ConvAutoencoderConfig),
    /// Convolutions at several resolutions, joined on the way down and up.
    #[serde(rename = "unet")]
    UNet(UNetConfig),
    /// A head on the vectors of a sentence encoder.
    EmbeddingHead(EmbeddingHeadConfig),
    /// A residual network that gives faces vectors.
    Face(FaceNetConfig),
    /// Convolutions down to a code that is kept near a normal distribution, and up again.
    #[serde(rename = "vae")]
    Variational(VariationalAutoencoderConfig),
    /// A language model by a few sizes.
    Decoder(DecoderSizes),
    /// A language model from its folder, which `crossburn_training` reads.
    Pretrained(PretrainedConfig),
    /// A network in an ONNX file, which `crossburn_training` reads.
    Onnx(OnnxConfig),
    /// A network of another program, which only that program can build.
    Own(OwnConfig),
}

/// A classifier in an ONNX file, with its weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnnxConfig {
    /// The file, whose name ends in `.onnx`.
    #[serde(deserialize_with = "onnx_path")]
    pub file: PathBuf,
    /// Width that its weights are quantized to; full precision where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<WeightBits>,
}

/// The known properties of a network of another program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnConfig {
    /// Width that its weights are quantized to; full precision where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<WeightBits>,
}

/// A path that ends in `.onnx`.
fn onnx_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    match path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("onnx"))
    {
        true => Ok(path),
        false => Err(D::Error::custom(format!(
            "model.file = {} is no ONNX file: name one that ends in .onnx",
            path.display()
        ))),
    }
}

/// A language model that is stored somewhere: in the folder layout of the Hugging Face hub, as a GGUF file, or as the run of a
/// decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PretrainedConfig {
    /// The folder or file with configuration, weights and tokenizer.
    pub folder: PathBuf,
    /// The adapter that learns beside the frozen weights; without it, the weights themselves learn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<AdapterConfig>,
    /// The form in which its matrices are held while they rest; 32-bit numbers where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<HeldForm>,
}

/// The kind of a network: the trait that says what it computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// [`Classifier`](crate::Classifier).
    Classifier,
    /// [`Autoencoder`](crate::Autoencoder).
    Autoencoder,
    /// [`CausalLanguageModel`](crate::CausalLanguageModel).
    LanguageModel,
    /// [`Embedder`](crate::Embedder).
    Embedder,
    /// [`Recognizer`](crate::Recognizer).
    Recognizer,
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Classifier => "classifier",
            Self::Autoencoder => "autoencoder",
            Self::LanguageModel => "language model",
            Self::Embedder => "head on an encoder",
            Self::Recognizer => "recognizer",
        })
    }
}

/// A network that cannot be built, or not for this data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// Widths of which there are not two, or not all positive.
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
    /// A depth that no ResNet for CIFAR has.
    #[error(
        "model.depth = {depth} is no multiple of 6 plus 2 from 8 to 1202: use 20, 32, 44, 56 or 110"
    )]
    Depth {
        /// The refused depth.
        depth: usize,
    },
    /// Sizes of layers that do not go together, or that leave nothing of what they are given.
    #[error("model: {problem}: {remedy}")]
    Sizes {
        /// What is wrong.
        problem: String,
        /// The possible values.
        remedy: &'static str,
    },
    /// Data of another shape than the network takes.
    #[error(
        "{model} takes {expected} inputs, the data has {channels}x{height}x{width}: choose another model or data set"
    )]
    InputShape {
        /// The network's name.
        model: &'static str,
        /// The expected shape.
        expected: String,
        /// Channels of the data.
        channels: usize,
        /// Height of the data.
        height: usize,
        /// Width of the data.
        width: usize,
    },
    /// A network that this program cannot build.
    #[error(
        "model.kind = own names a network of another program: build it there, or choose another kind"
    )]
    Own,
    /// A network whose weights are read from files.
    #[error(
        "networks of model.kind = pretrained and onnx are read from files: build them through their recipe"
    )]
    Files,
    /// A language model that cannot be built.
    #[error("model: {cause}")]
    Decoder {
        /// The problem and the remedy.
        cause: String,
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
            Self::ResNet(_) => "resnet",
            Self::Cnn1d(_) => "cnn1d",
            Self::SignalCnn(_) => "signal-cnn",
            Self::Candidate(_) => "candidate",
            Self::Cell(_) => "cell",
            Self::Autoencoder(_) => "autoencoder",
            Self::ConvAutoencoder(_) => "conv-autoencoder",
            Self::UNet(_) => "unet",
            Self::EmbeddingHead(_) => "embedding-head",
            Self::Face(_) => "face",
            Self::Variational(_) => "vae",
            Self::Decoder(_) => "decoder",
            Self::Pretrained(_) => "pretrained",
            Self::Onnx(_) => "onnx",
            Self::Own(_) => "own",
        }
    }

    /// The kind of network; `None` of one that only another program knows.
    pub fn family(&self) -> Option<Family> {
        Some(match self {
            Self::Own(_) => return None,
            Self::Autoencoder(_)
            | Self::ConvAutoencoder(_)
            | Self::UNet(_)
            | Self::Variational(_) => Family::Autoencoder,
            Self::Decoder(_) | Self::Pretrained(_) => Family::LanguageModel,
            Self::EmbeddingHead(_) => Family::Embedder,
            Self::Face(_) => Family::Recognizer,
            Self::Mlp(_)
            | Self::LeNet(_)
            | Self::ConvNet(_)
            | Self::ResNet18(_)
            | Self::ResNet(_)
            | Self::Cnn1d(_)
            | Self::SignalCnn(_)
            | Self::Candidate(_)
            | Self::Cell(_)
            | Self::Onnx(_) => Family::Classifier,
        })
    }

    /// Whether it may be a classifier of signals, as a graph of another program may be:
    /// [`WithNetwork::signal_classifier`] gets it.
    pub fn takes_signals(&self) -> bool {
        matches!(self, Self::Cnn1d(_) | Self::SignalCnn(_) | Self::Onnx(_))
    }

    /// Width of weights and activations, if quantized.
    pub fn bits(&self) -> Option<WeightBits> {
        match self {
            Self::Mlp(config) => config.bits,
            Self::LeNet(config) => config.bits,
            Self::ConvNet(config) => config.bits,
            Self::ResNet18(config) => config.bits,
            Self::ResNet(config) => config.bits,
            Self::Cnn1d(config) => config.bits,
            Self::SignalCnn(config) => config.bits,
            Self::Candidate(config) => config.bits,
            Self::Cell(config) => config.bits,
            Self::Autoencoder(config) => config.bits,
            Self::ConvAutoencoder(config) => config.bits,
            Self::UNet(config) => config.bits,
            Self::EmbeddingHead(config) => config.bits,
            Self::Face(config) => config.bits,
            Self::Variational(config) => config.bits,
            Self::Decoder(_) | Self::Pretrained(_) => None,
            Self::Onnx(config) => config.bits,
            Self::Own(config) => config.bits,
        }
    }

    /// Widths of single weights in place of [`bits`](Self::bits), by path.
    pub fn bits_by_path(&self) -> Vec<(String, WeightBits)> {
        match self {
            Self::Candidate(config) => config.bits_by_path(),
            _ => Vec::new(),
        }
    }

    /// The one shape `[channels, height, width]` that it takes, where there is only one.
    pub fn input_shape(&self) -> Option<[usize; 3]> {
        match self {
            Self::LeNet(_) => Some([1, 28, 28]),
            Self::ConvNet(_) => Some([3, 32, 32]),
            Self::Face(config) => Some(config.shape()),
            Self::Candidate(config) => Some(config.input),
            Self::Cell(config) => Some(config.input),
            Self::Mlp(_)
            | Self::ResNet18(_)
            | Self::ResNet(_)
            | Self::Cnn1d(_)
            | Self::SignalCnn(_)
            | Self::Autoencoder(_)
            | Self::ConvAutoencoder(_)
            | Self::UNet(_)
            | Self::EmbeddingHead(_)
            | Self::Variational(_)
            | Self::Decoder(_)
            | Self::Pretrained(_)
            | Self::Onnx(_)
            | Self::Own(_) => None,
        }
    }

    /// Outputs of the last layer of a classifier: labels must be below this number. `None` of another network, and of one in a
    /// file that is not read here.
    pub fn classes(&self) -> Option<usize> {
        Some(match self {
            Self::Mlp(config) => config.widths.last().copied().unwrap_or_default(),
            Self::LeNet(_) => lenet::CLASSES,
            Self::ConvNet(_) => convnet::CLASSES,
            Self::ResNet18(config) => config.classes,
            Self::ResNet(config) => config.classes,
            Self::Cnn1d(config) => config.classes,
            Self::SignalCnn(config) => config.classes,
            Self::Candidate(config) => config.outputs,
            Self::Cell(config) => config.outputs,
            Self::Autoencoder(_)
            | Self::ConvAutoencoder(_)
            | Self::UNet(_)
            | Self::EmbeddingHead(_)
            | Self::Face(_)
            | Self::Variational(_)
            | Self::Decoder(_)
            | Self::Pretrained(_)
            | Self::Onnx(_)
            | Self::Own(_) => return None,
        })
    }

    /// Refuses a network that only another program can build.
    ///
    /// # Errors
    /// [`ModelError::Own`].
    pub fn require_known(&self) -> Result<(), ModelError> {
        match self {
            Self::Own(_) => Err(ModelError::Own),
            _ => Ok(()),
        }
    }

    /// Checks the configuration itself.
    ///
    /// # Errors
    /// [`ModelError`], naming the key.
    pub fn check_sizes(&self) -> Result<(), ModelError> {
        let (widths, counts): (&[usize], Vec<(&'static str, usize)>) = match self {
            Self::Mlp(MlpConfig { widths, .. })
            | Self::Autoencoder(DenseAutoencoderConfig { widths, .. }) => (widths, Vec::new()),
            Self::LeNet(_) | Self::Pretrained(_) | Self::Onnx(_) | Self::Own(_) => return Ok(()),
            Self::Decoder(sizes) => return sizes.config().map(|_| ()).map_err(unbuilt),
            Self::SignalCnn(config) => return config.check(),
            Self::Candidate(config) => return config.check(),
            Self::Cell(config) => return config.check(),
            Self::UNet(config) => return config.check(),
            Self::EmbeddingHead(config) => return config.check(),
            Self::Face(config) => return config.check(),
            Self::Variational(config) => return config.check(),
            Self::ConvNet(config) => (&[1, 1], vec![("width", config.width)]),
            Self::ResNet18(config) => (
                &[1, 1],
                vec![("width", config.width), ("classes", config.classes)],
            ),
            Self::ResNet(config) => {
                config.check_depth()?;
                (&[1, 1], vec![("classes", config.classes)])
            }
            Self::Cnn1d(config) => (
                &[1, 1],
                vec![
                    ("channels", config.channels),
                    ("width", config.width),
                    ("kernel", config.kernel),
                    ("classes", config.classes),
                ],
            ),
            Self::ConvAutoencoder(config) => (
                &[1, 1],
                vec![
                    ("channels", config.channels),
                    ("width", config.width),
                    ("code", config.code),
                ],
            ),
        };
        if widths.len() < 2 || widths.contains(&0) {
            let widths = widths.to_vec();
            return Err(ModelError::Widths { widths });
        }
        match counts.into_iter().find(|(_, count)| *count == 0) {
            Some((key, _)) => Err(ModelError::Zero { key }),
            None => Ok(()),
        }
    }

    /// Checks the configuration and, of a classifier, that it has an output for each of `classes` classes. More outputs are
    /// allowed.
    ///
    /// # Errors
    /// [`ModelError`], naming the key or both numbers.
    pub fn check_classes(&self, classes: usize) -> Result<(), ModelError> {
        self.check_sizes()?;
        match self.classes() {
            Some(outputs) if outputs < classes => Err(ModelError::Classes {
                model: self.name(),
                outputs,
                classes,
            }),
            _ => Ok(()),
        }
    }

    /// Checks the configuration and that data of `shape` (`[channels, height, width]`) fit.
    ///
    /// # Errors
    /// [`ModelError`], naming the key or both shapes.
    pub fn check(&self, shape: [usize; 3]) -> Result<(), ModelError> {
        self.check_sizes()?;
        let [channels, height, width] = shape;
        let uneven = |own: usize, multiple: usize| {
            let fits = channels == own && height % multiple == 0 && width % multiple == 0;
            (!fits)
                .then(|| format!("{own}-channel (with height and width multiples of {multiple})"))
        };
        let expected = match self {
            Self::Mlp(MlpConfig { widths, .. })
            | Self::Autoencoder(DenseAutoencoderConfig { widths, .. }) => {
                let values = widths[0];
                (values != channels * height * width).then(|| format!("{values}-value"))
            }
            Self::Cnn1d(config) => (channels != config.channels || height != 1)
                .then(|| format!("{}x1xLENGTH", config.channels)),
            Self::SignalCnn(config) => {
                let expected = [config.channels, 1, config.points];
                (shape != expected).then(|| format!("{}x1x{}", config.channels, config.points))
            }
            Self::EmbeddingHead(config) => (channels * height * width != config.inputs)
                .then(|| format!("{}-value", config.inputs)),
            Self::Decoder(_) | Self::Pretrained(_) => Some("token".to_string()),
            Self::Onnx(_) | Self::Own(_) => None,
            Self::ConvAutoencoder(config) => uneven(config.channels, 4),
            Self::UNet(config) => uneven(config.channels, config.multiple()),
            Self::Variational(config) => uneven(config.channels, config.multiple()),
            Self::ResNet18(_) | Self::ResNet(_) => {
                (channels != 3 || height < 8 || width < 8).then(|| "3-channel".to_string())
            }
            Self::LeNet(_)
            | Self::ConvNet(_)
            | Self::Face(_)
            | Self::Candidate(_)
            | Self::Cell(_) => self
                .input_shape()
                .filter(|expected| *expected != shape)
                .map(|[c, h, w]| format!("{c}x{h}x{w}")),
        };
        match expected {
            Some(expected) => Err(ModelError::InputShape {
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
    ///
    /// # Errors
    /// [`ModelError::Own`] for a network of another program, [`ModelError::Files`] for one that is read from files, and
    /// [`ModelError::Decoder`].
    pub fn build<W: WithNetwork>(
        &self,
        seed: u64,
        device: &Device,
        work: W,
    ) -> Result<W::Output, ModelError> {
        Ok(match self {
            Self::Own(_) => return Err(ModelError::Own),
            Self::Pretrained(_) | Self::Onnx(_) => return Err(ModelError::Files),
            Self::Decoder(sizes) => {
                let decoder = sizes.init(device).map_err(unbuilt)?;
                work.language_model(initialize(decoder, seed))
            }
            Self::Mlp(config) => work.classifier(initialize(config.init(device), seed)),
            Self::LeNet(config) => work.classifier(initialize(config.init(device), seed)),
            Self::ConvNet(config) => work.classifier(initialize(config.init(device), seed)),
            Self::ResNet18(config) => work.classifier(initialize(config.init(device), seed)),
            Self::ResNet(config) => work.classifier(initialize(config.init(device), seed)),
            Self::Candidate(config) => work.classifier(initialize(config.init(device), seed)),
            Self::Cell(config) => work.classifier(initialize(config.init(device), seed)),
            Self::Cnn1d(config) => work.signal_classifier(initialize(config.init(device), seed)),
            Self::SignalCnn(config) => {
                work.signal_classifier(initialize(config.init(device), seed))
            }
            Self::Autoencoder(config) => work.autoencoder(initialize(config.init(device), seed)),
            Self::ConvAutoencoder(config) => {
                work.autoencoder(initialize(config.init(device), seed))
            }
            Self::UNet(config) => work.autoencoder(initialize(config.init(device), seed)),
            Self::EmbeddingHead(config) => work.embedder(config.init(seed, device)),
            Self::Face(config) => work.recognizer(initialize(config.init(device), seed)),
            Self::Variational(config) => work.autoencoder(initialize(config.init(device), seed)),
        })
    }
}

fn unbuilt(error: DecoderError) -> ModelError {
    ModelError::Decoder {
        cause: error.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::{Autoencoder, CausalLanguageModel, Classifier, Embedder, Network, Recognizer};
    use burn::tensor::{Tensor, TensorData};
    use crossburn_hardware::layer::stack;
    use crossburn_hardware::manufacture;
    use crossburn_noise::{ChipSeed, Distribution, Variation};

    /// What the network gives for two inputs of this shape.
    struct Outputs([usize; 3]);

    impl Outputs {
        fn input(&self) -> Tensor<4> {
            let [c, h, w] = self.0;
            Tensor::full([2, c, h, w], 0.5, &Device::flex())
        }
    }

    impl WithNetwork for Outputs {
        type Output = Vec<f32>;

        fn other(self, family: Family) -> Vec<f32> {
            unreachable!("a {family} has outputs")
        }

        fn classifier<C: Classifier>(self, network: C) -> Vec<f32> {
            let logits = network.forward(self.input());
            assert_eq!(logits.dims()[0], 2);
            logits.into_data().try_to_vec().unwrap()
        }

        fn autoencoder<A: Autoencoder>(self, network: A) -> Vec<f32> {
            let input = self.input();
            let output = network.forward(input.clone());
            assert_eq!(output.dims(), input.dims());
            output.into_data().try_to_vec().unwrap()
        }

        /// Of two rows of as many tokens as the shape has values, all but the first of which have labels.
        fn language_model<L: CausalLanguageModel>(self, network: L) -> Vec<f32> {
            let places: usize = self.0.iter().product();
            let tokens: Vec<u32> = (0..2 * places as u32).map(|token| token % 7).collect();
            let label = |place: usize| (!place.is_multiple_of(places)).then(|| tokens[place]);
            let labels: Vec<_> = (0..2 * places).map(label).collect();
            let predictions = network.predict(&tokens, places, &labels);
            assert_eq!(predictions.targets.len(), 2 * (places - 1));
            predictions.logits.into_data().try_to_vec().unwrap()
        }

        fn embedder<E: Embedder>(self, network: E) -> Vec<f32> {
            let vectors = network.embed(self.input().flatten::<2>(1, 3));
            assert_eq!(vectors.dims()[0], 2);
            vectors.into_data().try_to_vec().unwrap()
        }

        fn recognizer<R: Recognizer>(self, network: R) -> Vec<f32> {
            let vectors = network.embed(self.input());
            assert_eq!(vectors.dims()[0], 2);
            vectors.into_data().try_to_vec().unwrap()
        }
    }

    #[test]
    fn a_decoder_runs_and_every_parameter_starts_from_its_seed() {
        let text = r#"{"kind":"decoder","vocabulary":20,"width":8,"heads":2,"key_value_heads":1,"layers":1,"context":6}"#;
        let config: ModelConfig = serde_json::from_str(text).unwrap();
        assert_eq!(config.family(), Some(Family::LanguageModel));
        let device = Device::flex();
        let built = |seed| config.build(seed, &device, Outputs([1, 1, 5])).unwrap();
        let logits = built(1);
        assert_eq!(logits.len(), 2 * 4 * 20);
        assert!(logits.iter().all(|x| x.is_finite()) && logits.iter().any(|x| *x != 0.0));
        assert_eq!(logits, built(1));
        assert_ne!(logits, built(2));
        let samples = config.check([1, 28, 28]).unwrap_err();
        insta::assert_snapshot!(samples, @"decoder takes token inputs, the data has 1x28x28: choose another model or data set");
        for (key, part) in [
            (
                r#""width":10,"heads":4"#,
                "model: width = 10 is not possible: use a multiple of twice the 4 heads",
            ),
            (r#""heads":0"#, "model: heads = 0"),
            (
                r#""key_value_heads":3"#,
                "model: key_value_heads = 3 is not possible",
            ),
            (r#""context":0"#, "model: context = 0"),
        ] {
            let text = format!(r#"{{"kind":"decoder",{key}}}"#);
            let config: ModelConfig = serde_json::from_str(&text).unwrap();
            let message = config.check_sizes().unwrap_err().to_string();
            assert!(message.starts_with(part), "{message}");
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
            (r#"{"kind":"resnet","depth":8,"bits":8}"#, [3, 32, 32]),
            (r#"{"kind":"resnet","depth":14,"classes":7}"#, [3, 31, 33]),
            (r#"{"kind":"mlp","widths":[12,5,3]}"#, [3, 2, 2]),
            (
                r#"{"kind":"cnn1d","channels":2,"classes":3,"bits":8}"#,
                [2, 1, 50],
            ),
            (r#"{"kind":"cnn1d","classes":5,"kernel":4}"#, [1, 1, 33]),
            (
                r#"{"kind":"signal-cnn","classes":2,"bits":8}"#,
                [1, 1, 1250],
            ),
            (
                r#"{"kind":"signal-cnn","classes":4,"channels":2,"points":40,"norm":"before-activation","hidden":[],"layers":[{"channels":3,"kernel":5,"pool":2},{"channels":4,"kernel":3,"padding":1}]}"#,
                [2, 1, 40],
            ),
            (
                r#"{"kind":"candidate","input":[2,6,8],"outputs":5,"hidden":7,"norm":"batch","pool":"stride","bits":4,"layers":[{"channels":4,"kernel":3},{"channels":6,"kernel":5,"block":"depthwise-separable"},{"channels":6,"kernel":3,"block":"residual"}]}"#,
                [2, 6, 8],
            ),
            (
                r#"{"kind":"cell","input":[2,4,8],"outputs":5,"channels":3,"cells":1,"bits":4,"cell":"|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|avg_pool_3x3~0|skip_connect~1|nor_conv_3x3~2|"}"#,
                [2, 4, 8],
            ),
            (
                r#"{"kind":"autoencoder","widths":[12,5,2],"bits":4}"#,
                [3, 2, 2],
            ),
            (
                r#"{"kind":"conv-autoencoder","channels":3,"width":4,"bits":6}"#,
                [3, 8, 12],
            ),
            (
                r#"{"kind":"unet","channels":3,"width":4,"bits":6}"#,
                [3, 8, 12],
            ),
            (
                r#"{"kind":"unet","width":3,"multipliers":[1,2],"blocks":2,"norm":"none"}"#,
                [1, 6, 4],
            ),
            (
                r#"{"kind":"embedding-head","inputs":12,"hidden":5,"wide":12,"outputs":12,"start":"random"}"#,
                [3, 2, 2],
            ),
            (
                r#"{"kind":"vae","channels":2,"width":3,"levels":2,"bits":6}"#,
                [2, 8, 12],
            ),
            (
                r#"{"kind":"face","channels":3,"height":5,"width":4,"features":4,"numbers":60,"bits":6}"#,
                [3, 5, 4],
            ),
        ];
        for (text, shape) in rows {
            let config: ModelConfig = serde_json::from_str(text).unwrap();
            config.check(shape).unwrap();
            let device = Device::flex();
            let logits = config.build(1, &device, Outputs(shape)).unwrap();
            let each = config.classes().unwrap_or_else(|| shape.iter().product());
            assert_eq!(logits.len(), 2 * each, "{text}");
            config.check_classes(each).unwrap();
            let more = config.check_classes(each + 1);
            assert_eq!(more.is_err(), config.family() == Some(Family::Classifier));
            assert!(
                logits.iter().all(|x| x.is_finite()) && logits.iter().any(|x| *x != 0.0),
                "{text}: {logits:?}"
            );
            assert_eq!(
                logits,
                config.build(1, &device, Outputs(shape)).unwrap(),
                "{text}"
            );
            assert_ne!(
                logits,
                config.build(2, &device, Outputs(shape)).unwrap(),
                "{text}"
            );
        }
    }

    /// The same of the network with its activations in full precision.
    struct Unquantized([usize; 3]);

    impl WithNetwork for Unquantized {
        type Output = Vec<f32>;

        fn other(self, family: Family) -> Vec<f32> {
            unreachable!("a {family} has outputs")
        }

        fn classifier<C: Classifier>(self, network: C) -> Vec<f32> {
            Outputs(self.0).classifier(network.unquantized_activations())
        }

        fn autoencoder<A: Autoencoder>(self, network: A) -> Vec<f32> {
            Outputs(self.0).autoencoder(network.unquantized_activations())
        }

        fn embedder<E: Embedder>(self, network: E) -> Vec<f32> {
            Outputs(self.0).embedder(network.unquantized_activations())
        }

        fn recognizer<R: Recognizer>(self, network: R) -> Vec<f32> {
            Outputs(self.0).recognizer(network.unquantized_activations())
        }

        fn language_model<L: CausalLanguageModel>(self, network: L) -> Vec<f32> {
            Outputs(self.0).language_model(network.unquantized_activations())
        }
    }

    #[test]
    fn without_quantized_activations_a_network_is_that_without_bits() {
        // A residual block has weights after its ranges. Another number of parameters would draw them from other streams.
        let rows = [
            (r#"{"kind":"mlp","widths":[12,5,10]"#, [3, 2, 2], true),
            (r#"{"kind":"lenet""#, [1, 28, 28], true),
            (r#"{"kind":"convnet","width":4"#, [3, 32, 32], true),
            (r#"{"kind":"resnet18","width":4"#, [3, 32, 32], false),
            (r#"{"kind":"resnet","depth":8"#, [3, 32, 32], false),
            (r#"{"kind":"cnn1d","classes":5"#, [1, 1, 40], true),
            (r#"{"kind":"signal-cnn","classes":5"#, [1, 1, 1250], true),
            (
                r#"{"kind":"candidate","input":[1,4,4],"outputs":3,"layers":[{"channels":4,"kernel":3},{"channels":4,"kernel":3,"block":"residual"}]"#,
                [1, 4, 4],
                false,
            ),
            (
                r#"{"kind":"cell","input":[1,4,4],"outputs":3,"channels":2,"cells":1,"cell":"|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|avg_pool_3x3~0|skip_connect~1|nor_conv_3x3~2|""#,
                [1, 4, 4],
                false,
            ),
            (
                r#"{"kind":"autoencoder","widths":[12,5,2]"#,
                [3, 2, 2],
                true,
            ),
            (r#"{"kind":"conv-autoencoder","width":4"#, [1, 8, 8], true),
            (r#"{"kind":"unet","width":4"#, [1, 8, 8], false),
            (
                r#"{"kind":"embedding-head","inputs":12,"start":"random""#,
                [3, 2, 2],
                true,
            ),
            (r#"{"kind":"vae","width":4"#, [1, 8, 8], false),
            (
                r#"{"kind":"face","height":8,"width":8,"features":4"#,
                [1, 8, 8],
                false,
            ),
        ];
        for (text, shape, same_streams) in rows {
            let read = |end: &str| -> ModelConfig {
                serde_json::from_str(&format!("{text}{end}")).unwrap()
            };
            let (quantized, plain) = (read(r#","bits":2}"#), read("}"));
            let device = Device::flex();
            let found = quantized.build(1, &device, Unquantized(shape)).unwrap();
            let expected = plain.build(1, &device, Outputs(shape)).unwrap();
            assert!(!same_streams || found == expected, "{text}");
            assert_ne!(
                found,
                quantized.build(1, &device, Outputs(shape)).unwrap(),
                "{text}"
            );
            let same = plain.build(1, &device, Unquantized(shape)).unwrap();
            assert_eq!(same, expected, "{text}");
        }
    }

    #[test]
    fn bad_configurations_are_refused_by_name() {
        for (text, part) in [
            (r#"{"kind":"lenet","bit":4}"#, "unknown field `bit`"),
            (
                r#"{"kind":"lenet","bits":40}"#,
                "bits = 40 is outside 1..=16",
            ),
            (r#"{"kind":"vgg"}"#, "unknown variant `vgg`"),
            (
                r#"{"kind":"onnx","file":"net.pth"}"#,
                "model.file = net.pth is no ONNX file",
            ),
        ] {
            let message = serde_json::from_str::<ModelConfig>(text)
                .unwrap_err()
                .to_string();
            assert!(message.contains(part), "{message}");
        }
        let lenet: ModelConfig = serde_json::from_str(r#"{"kind":"lenet"}"#).unwrap();
        insta::assert_snapshot!(lenet.check([3, 32, 32]).unwrap_err(), @"lenet takes 1x28x28 inputs, the data has 3x32x32: choose another model or data set");
        let five: ModelConfig = serde_json::from_str(r#"{"kind":"resnet18","classes":5}"#).unwrap();
        insta::assert_snapshot!(five.check_classes(10).unwrap_err(), @"resnet18 has 5 outputs, the data has 10 classes: build the network with 10 outputs or more, or choose other data");
        let empty: ModelConfig = serde_json::from_str(r#"{"kind":"mlp","widths":[]}"#).unwrap();
        insta::assert_snapshot!(empty.check_classes(10).unwrap_err(), @"model.widths = [] needs at least an input and an output width, all above zero");
        let conv: ModelConfig = serde_json::from_str(r#"{"kind":"conv-autoencoder"}"#).unwrap();
        insta::assert_snapshot!(conv.check([1, 30, 32]).unwrap_err(), @"conv-autoencoder takes 1-channel (with height and width multiples of 4) inputs, the data has 1x30x32: choose another model or data set");
        let unet: ModelConfig = serde_json::from_str(r#"{"kind":"unet"}"#).unwrap();
        insta::assert_snapshot!(unet.check([1, 32, 30]).unwrap_err(), @"unet takes 1-channel (with height and width multiples of 4) inputs, the data has 1x32x30: choose another model or data set");
        let signal: ModelConfig =
            serde_json::from_str(r#"{"kind":"cnn1d","classes":3,"kernel":0}"#).unwrap();
        insta::assert_snapshot!(signal.check([1, 1, 32]).unwrap_err(), @"model.kernel = 0 must be above zero");
        let odd: ModelConfig = serde_json::from_str(r#"{"kind":"resnet","depth":18}"#).unwrap();
        insta::assert_snapshot!(odd.check([3, 32, 32]).unwrap_err(), @"model.depth = 18 is no multiple of 6 plus 2 from 8 to 1202: use 20, 32, 44, 56 or 110");
        let mlp: ModelConfig = serde_json::from_str(r#"{"kind":"mlp","widths":[784]}"#).unwrap();
        insta::assert_snapshot!(mlp.check([1, 28, 28]).unwrap_err(), @"model.widths = [784] needs at least an input and an output width, all above zero");
    }

    /// How far the logits of stacked chips lie from those of single ones, relative to the largest.
    struct SideBySide([usize; 3]);

    impl WithNetwork for SideBySide {
        type Output = f32;

        fn other(self, _: Family) -> f32 {
            unreachable!("the rows are classifiers and an autoencoder")
        }

        fn autoencoder<A: Autoencoder>(self, _: A) -> f32 {
            // Outputs of several chips do not have the shape of the input.
            assert!(!<A as Network>::STACKS);
            0.0
        }

        fn classifier<C: Classifier>(self, network: C) -> f32 {
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
            (r#"{"kind":"resnet","depth":8}"#, [3, 32, 32]),
            (r#"{"kind":"cnn1d","classes":10}"#, [1, 1, 40]),
            (
                r#"{"kind":"signal-cnn","classes":10,"points":60,"layers":[{"channels":4,"kernel":5,"pool":2},{"channels":6,"kernel":3,"stride":2}]}"#,
                [1, 1, 60],
            ),
            (r#"{"kind":"autoencoder","widths":[12,5,2]}"#, [3, 2, 2]),
        ] {
            let config: ModelConfig = serde_json::from_str(text).unwrap();
            let gap = config.build(1, &Device::flex(), SideBySide(shape)).unwrap();
            // Sums of up to 784 products in another order, relative 784 * 2^-24 = 5e-5 at worst.
            assert!(gap < 5e-5, "{text}: {gap}");
        }
    }
}
