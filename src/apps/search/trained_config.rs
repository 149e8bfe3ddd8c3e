//! How a space file describes the training and judging of designs.

use crossburn_hardware::WeightBits;
use crossburn_hardware::deploy::Fidelity;
use crossburn_models::nas::{CandidateNorm, CandidatePool};
use crossburn_noise::Variation;
use crossburn_training::data::DataSource;
use crossburn_training::{DataConfig, TrainingConfig};
use serde::{Deserialize, Serialize};

/// Trains every design, and judges it on chips.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrainedConfig {
    /// Seed of initial weights, order of items, procedural data, noise and chips. It is the same for all designs.
    #[serde(default = "one")]
    pub(super) seed: u64,
    /// The data for learning and judging.
    pub(super) data: DataConfig,
    /// How they are trained.
    #[serde(default)]
    pub(super) training: TrainingConfig,
    /// Variation that is drawn anew in every training step.
    #[serde(default)]
    pub(super) noise: Variation,
    /// The accelerator of the chips and of the costs. Axes of the hardware change it.
    #[serde(default = "isaac")]
    pub(super) accelerator: String,
    /// Cells that replace those of the accelerator: the name of a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) device: Option<String>,
    /// Chips that a design is judged on.
    #[serde(default = "thirty")]
    pub(super) chips: u64,
    /// Whether chips compute with the weights that cells hold, or with every product on its arrays.
    #[serde(default)]
    pub(super) fidelity: Fidelity,
    /// Whether fairness between the groups of the test items is measured too.
    #[serde(default)]
    pub(super) groups: bool,
    /// The items on which designs are judged.
    #[serde(default, skip_serializing_if = "JudgedOn::is_test")]
    pub(super) judged_on: JudgedOn,
    /// The memory limit of a training in gigabytes, compared with a prediction. Without it, a search ends if the free memory is too small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) memory: Option<f64>,
    /// What designs do not determine of their networks.
    #[serde(default)]
    pub(super) network: OpenConfig,
}

/// The items on which designs are judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum JudgedOn {
    /// Test items.
    #[default]
    Test,
    /// The items that are held back from training and also choose the epoch. The test items then remain for the final choice.
    Validation,
}

impl JudgedOn {
    fn is_test(&self) -> bool {
        *self == Self::Test
    }
}

/// What an experiment changes in the trainings of a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TrainedAs {
    pub(crate) seed: u64,
    /// Number of training items, including those that are held back.
    pub(crate) train: usize,
    /// Number of held-back items.
    pub(crate) validation: usize,
    pub(crate) test: usize,
    pub(crate) judged_on: JudgedOn,
    pub(crate) chips: u64,
}

impl TrainedConfig {
    /// The same with these amounts.
    pub(super) fn trained_as(self, how: TrainedAs) -> Self {
        Self {
            seed: how.seed,
            data: DataConfig {
                train: Some(how.train),
                validation: how.validation,
                test: Some(how.test),
                ..self.data
            },
            judged_on: how.judged_on,
            chips: how.chips,
            ..self
        }
    }

    /// The same on `source`.
    pub(super) fn trained_on(self, source: DataSource) -> Self {
        let data = DataConfig {
            source,
            ..self.data
        };
        Self { data, ..self }
    }

    /// The same with a tenth of the work, to check that everything runs.
    pub(super) fn tried_out(self) -> Self {
        let tenth = |count: usize| count.div_ceil(10);
        Self {
            data: DataConfig {
                train: self.data.train.map(tenth),
                validation: tenth(self.data.validation),
                test: self.data.test.map(tenth),
                ..self.data
            },
            training: TrainingConfig {
                epochs: 1,
                ..self.training
            },
            chips: self.chips.div_ceil(10),
            ..self
        }
    }
}

fn one() -> u64 {
    1
}

fn isaac() -> String {
    "isaac".to_string()
}

fn thirty() -> u64 {
    30
}

/// What designs do not determine of their networks. An axis with the same meaning has priority.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OpenConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hidden: Option<usize>,
    pub(super) norm: CandidateNorm,
    pub(super) dropout: f64,
    pub(super) pool: CandidatePool,
    /// Bits of weights and activations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bits: Option<WeightBits>,
}
