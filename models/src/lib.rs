//! The networks: each a plain Burn module, with parameter names that PyTorch users expect.
//!
//! No network knows about variation. Noise, quantized weights and chips are attached to its parameters from outside. Only the quantization of *activations*
//! belongs to a network, because it happens between layers; `bits` in a configuration switches it on.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use crossburn_models::{Classifier, LeNetConfig};
//!
//! let device = Device::flex();
//! let network = LeNetConfig::default().init(&device);
//! let logits = network.forward(Tensor::zeros([2, 1, 28, 28], &device));
//! assert_eq!(logits.dims(), [2, 10]);
//! ```
//!
//! # What is here
//!
//! - Classifiers of images and signals: [`Mlp`], [`LeNet`], [`ConvNet`], [`CifarResNet`], [`ResNet18`], [`Cnn1d`], [`SignalCnn`], and [`nas`] for searched designs.
//! - Networks that give their input back: [`DenseAutoencoder`], [`ConvAutoencoder`], [`UNet`], [`VariationalAutoencoder`].
//! - Language models: [`decoder`], with the public families; [`encoder`] turns sentences into vectors.
//! - Vectors of faces and documents: [`FaceNet`], [`EmbeddingHead`].
//! - Networks of other programs: [`onnx`] makes a module of an ONNX graph.
//! - [`ModelConfig`] names each of them in a recipe. [`Network`] is what every one of them has, and [`Classifier`], [`Autoencoder`],
//!   [`CausalLanguageModel`] and others say what a kind of network computes.
//!
//! A network of yours needs `impl Network for Yours {}` and the trait of its kind.
//!
//! # Limits
//!
//! This crate reads no file: weights come from `crossburn-checkpoints`. A network of yours that calls `forward` of Burn's layers has chips at weight
//! fidelity. For array fidelity it calls the functions of `crossburn_hardware::layer` instead.
#![warn(missing_docs)]

mod activation;
mod autoencoder;
mod cifar_resnet;
mod classifier;
mod cnn1d;
mod convnet;
pub mod decoder;
mod dropout;
mod embedding_head;
pub mod encoder;
mod face;
mod hashed_ngrams;
mod held_form;
mod initialize;
mod integer_export;
mod language_model;
mod lenet;
mod mlp;
mod model_config;
pub mod nas;
mod network;
pub mod onnx;
mod outputs;
mod resnet;
mod signal_cnn;
mod step_draws;
mod tensor_names;
mod unet;
mod variational;

pub use activation::Activation;
pub use autoencoder::{
    Autoencoder, ConvAutoencoder, ConvAutoencoderConfig, DenseAutoencoder, DenseAutoencoderConfig,
    Restored,
};
pub use cifar_resnet::{CifarResNet, CifarResNetConfig};
pub use classifier::Classifier;
pub use cnn1d::{Cnn1d, Cnn1dConfig};
pub use convnet::{ConvNet, ConvNetConfig};
pub use dropout::dropout;
pub use embedding_head::{Embedder, EmbeddingHead, EmbeddingHeadConfig, HeadStart, Shaping};
pub use face::{FaceNet, FaceNetConfig, Recognizer};
pub use hashed_ngrams::HashedNgrams;
pub use held_form::HeldForm;
pub use initialize::initialize;
pub use integer_export::{IntegerStage, rounding_bound, to_integers};
pub use language_model::{CausalLanguageModel, Predictions};
pub use lenet::{LeNet, LeNetConfig, LeNetVariant};
pub use mlp::{Mlp, MlpConfig};
pub use model_config::{Family, ModelConfig, ModelError, OnnxConfig, OwnConfig, PretrainedConfig};
pub use network::{Network, WithNetwork};
pub use outputs::{ByForward, Forward, Outputs, WithForward};
pub use resnet::{BasicBlock, ResNet18, ResNet18Config, Shortcut};
pub use signal_cnn::{SignalCnn, SignalCnnConfig, SignalFeatures, SignalLayer, SignalNorm};
pub use step_draws::with_step_draws;
pub use tensor_names::{Layout, Origin, OutputBlocks, TensorNames};
pub use unet::{UNet, UNetConfig, UNetNorm};
pub use variational::{VariationalAutoencoder, VariationalAutoencoderConfig};
