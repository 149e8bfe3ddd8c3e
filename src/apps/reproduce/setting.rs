//! The network, data and ways of training of a study of noise.

use anyhow::{Result, bail};
use crossburn_hardware::WeightBits;
use crossburn_models::{ConvNetConfig, LeNetConfig, ModelConfig};
use crossburn_noise::Variation;
use crossburn_training::data::DataSource;
use crossburn_training::{DataConfig, Deployment, Method, Recipe, TaskConfig, TrainingConfig};
use serde::Serialize;

use super::Arm;

/// The extent of an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// A tenth of the work, to check that everything runs.
    Quick,
    /// What two cores can do.
    Usual,
    /// The width, items and epochs of the papers, on CIFAR-10: for a GPU.
    Full,
}

/// The sources that [`Setting::new`] takes.
pub(super) const SOURCES: &str = "digits, mnist:DIR or cifar10:DIR";

/// What the help says of the extents and the time of a study of noise.
pub(super) const NOTES: &str = "On two cores, three seeds take 15 minutes on digits and 30 minutes on MNIST. On CIFAR-10, --full takes \
    the paper's width, items and epochs, and needs a GPU; without it, a quarter of the width and 10,000 items.";

/// The network and data that an experiment trains.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Setting {
    /// The network.
    pub(crate) model: ModelConfig,
    /// The items.
    pub(crate) data: DataConfig,
    /// The training. It is the same for every row.
    pub(crate) training: TrainingConfig,
    /// Number of chips, or of random deviations, per judgement.
    pub(crate) chips: u64,
}

impl Setting {
    /// A LeNet with 4 bits on digits or MNIST; a ConvNet with 6 bits on CIFAR-10, which has a quarter of the papers' width unless the extent is
    /// [`Extent::Full`].
    ///
    /// # Errors
    /// If the source is another one, or if the full extent is asked for a smaller one.
    pub(crate) fn new(source: DataSource, extent: Extent) -> Result<Self> {
        let colour = source.kind() == "cifar10";
        if extent == Extent::Full && !colour {
            bail!("--full is for CIFAR-10: drop it, or give --data cifar10:DIR");
        }
        let model = match colour {
            true => ModelConfig::ConvNet(ConvNetConfig {
                width: if extent == Extent::Full { 64 } else { 16 },
                bits: Some(WeightBits::new(6)?),
            }),
            false => ModelConfig::LeNet(LeNetConfig {
                bits: Some(WeightBits::new(4)?),
                ..LeNetConfig::default()
            }),
        };
        let (train, validation, test, epochs, chips) = match (source.kind(), extent) {
            ("digits" | "mnist" | "cifar10", Extent::Quick) => (600, 100, 100, 2, 60),
            ("digits", _) => (4000, 500, 500, 10, 1000),
            ("mnist", _) => (9000, 1000, 1000, 10, 1000),
            ("cifar10", Extent::Usual) => (10_000, 1000, 500, 12, 300),
            ("cifar10", Extent::Full) => (50_000, 1000, 1000, 60, 1000),
            _ => bail!("this paper's experiment is not defined on {source}: use {SOURCES}"),
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
                batch: if extent == Extent::Full { 128 } else { 64 },
                ..TrainingConfig::default()
            },
            chips,
        })
    }
}

impl Setting {
    /// The task of the networks.
    pub(super) fn task(&self) -> TaskConfig {
        TaskConfig::default()
    }
}

/// The name of the training without noise, to which budgets are relative.
pub(super) const PLAIN: &str = "none";

/// One way of training, with or without noise.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct NoiseArm {
    /// Its name in tables.
    pub(crate) name: String,
    /// Its family. Within a family, validation chooses among strengths.
    pub(crate) family: &'static str,
    /// The training noise.
    pub(crate) noise: Variation,
    /// The training method.
    pub(crate) method: Method,
    /// What is programmed to chips.
    pub(crate) deployment: Deployment,
}

impl NoiseArm {
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

    /// The recipe of its training with one seed.
    pub(super) fn recipe(&self, setting: &Setting, seed: u64) -> Recipe {
        Recipe {
            task: setting.task(),
            model: setting.model.clone(),
            data: setting.data.clone(),
            training: TrainingConfig {
                deployment: self.deployment,
                ..setting.training.clone()
            },
            method: self.method.clone(),
            noise: self.noise,
            ..Recipe::own(seed)
        }
    }
}

impl Arm for NoiseArm {
    fn name(&self) -> &str {
        &self.name
    }

    fn family(&self) -> &str {
        self.family
    }
}
