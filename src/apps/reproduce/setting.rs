//! What an experiment trains, and its ways of training.

use anyhow::Result;
use crossburn_hardware::WeightBits;
use crossburn_models::{ConvNetConfig, LeNetConfig, ModelConfig};
use crossburn_noise::Variation;
use crossburn_training::data::DataSource;
use crossburn_training::{DataConfig, Deployment, Method, Recipe, TrainingConfig};
use serde::Serialize;

/// What an experiment trains, and on what.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Setting {
    /// The network.
    pub(crate) model: ModelConfig,
    /// The images.
    pub(crate) data: DataConfig,
    /// The training, the same for every row.
    pub(crate) training: TrainingConfig,
    /// Seeds of data, weights and training.
    pub(crate) seeds: u64,
    /// Chips, or random deviations, per judgement.
    pub(crate) chips: u64,
}

impl Setting {
    /// LeNet with 4 bits on digits or MNIST, ConvNet with 6 bits on CIFAR-10; `quick` is a tenth of the work, to see that
    /// everything runs.
    pub(crate) fn new(source: DataSource, seeds: u64, quick: bool) -> Result<Self> {
        let colour = matches!(source, DataSource::Cifar10(_));
        let model = match colour {
            true => ModelConfig::ConvNet(ConvNetConfig {
                width: 64,
                bits: Some(WeightBits::new(6)?),
            }),
            false => ModelConfig::LeNet(LeNetConfig {
                bits: Some(WeightBits::new(4)?),
                ..LeNetConfig::default()
            }),
        };
        let (train, validation, test, epochs) = match (&source, quick) {
            (_, true) => (600, 100, 100, 2),
            (DataSource::Digits, _) => (4000, 500, 500, 10),
            (DataSource::Mnist(_), _) => (9000, 1000, 1000, 10),
            (DataSource::Cifar10(_), _) => (50_000, 1000, 1000, 60),
        };
        Ok(Self {
            model,
            data: DataConfig {
                source,
                train: Some(train),
                validation,
                test: Some(test),
            },
            training: TrainingConfig {
                epochs,
                batch: if colour { 128 } else { 64 },
                ..TrainingConfig::default()
            },
            seeds,
            chips: if quick { 60 } else { 1000 },
        })
    }
}

/// One way of training.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Arm {
    /// Its name in tables.
    pub(crate) name: String,
    /// Arms of one family differ in a strength that validation chooses.
    pub(crate) family: &'static str,
    /// Training noise.
    pub(crate) noise: Variation,
    /// Method.
    pub(crate) method: Method,
    /// What is programmed.
    pub(crate) deployment: Deployment,
}

impl Arm {
    pub(super) fn new(name: impl Into<String>, family: &'static str, noise: Variation) -> Self {
        Self {
            name: name.into(),
            family,
            noise,
            method: Method::default(),
            deployment: Deployment::AsTrained,
        }
    }

    pub(super) fn by(self, method: Method) -> Self {
        Self { method, ..self }
    }

    pub(super) fn folded(self) -> Self {
        Self {
            deployment: Deployment::MeanFolded,
            ..self
        }
    }

    /// Its training with one seed.
    pub(super) fn recipe(&self, setting: &Setting, seed: u64) -> Recipe {
        Recipe {
            seed,
            model: setting.model.clone(),
            data: setting.data.clone(),
            training: TrainingConfig {
                deployment: self.deployment,
                ..setting.training.clone()
            },
            method: self.method.clone(),
            noise: self.noise,
        }
    }
}
