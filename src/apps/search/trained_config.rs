//! How a space file says that its designs are trained and judged.

use crossburn_hardware::WeightBits;
use crossburn_hardware::deploy::Fidelity;
use crossburn_models::nas::{CandidateNorm, CandidatePool};
use crossburn_noise::Variation;
use crossburn_training::data::DataSource;
use crossburn_training::{DataConfig, TrainingConfig};
use serde::{Deserialize, Serialize};

/// Every design is trained, and judged on chips.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrainedConfig {
    /// Seed of initial weights, order of items, procedural data, noise and chips: the same for all designs.
    #[serde(default = "one")]
    pub(super) seed: u64,
    /// What designs learn from and are judged on.
    pub(super) data: DataConfig,
    /// How they are trained.
    #[serde(default)]
    pub(super) training: TrainingConfig,
    /// Variation that is drawn at every training step.
    #[serde(default)]
    pub(super) noise: Variation,
    /// The accelerator whose chips are made and whose costs are counted; axes of the hardware change it.
    #[serde(default = "isaac")]
    pub(super) accelerator: String,
    /// Cells in place of those of the accelerator: the name of a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) device: Option<String>,
    /// Chips that a design is judged on.
    #[serde(default = "thirty")]
    pub(super) chips: u64,
    /// Whether chips compute with the weights that cells hold, or with every product on its arrays.
    #[serde(default)]
    pub(super) fidelity: Fidelity,
    /// Whether designs are also measured by how differently their chips serve the groups of the test items.
    #[serde(default)]
    pub(super) groups: bool,
    /// Which items designs are judged on.
    #[serde(default, skip_serializing_if = "JudgedOn::is_test")]
    pub(super) judged_on: JudgedOn,
    /// The most gigabytes that the training of a design may take, as predicted; without it a search ends where the free memory is too small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) memory: Option<f64>,
    /// What designs do not say of their networks.
    #[serde(default)]
    pub(super) network: OpenConfig,
}

/// Which items designs are judged on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum JudgedOn {
    /// Test items.
    #[default]
    Test,
    /// The items that are held back from training, which also choose the epoch. It leaves the test items for what is chosen in the end.
    Validation,
}

impl JudgedOn {
    fn is_test(&self) -> bool {
        *self == Self::Test
    }
}

/// What an experiment changes of the trainings of a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TrainedAs {
    pub(crate) seed: u64,
    /// Training items, with those that are held back.
    pub(crate) train: usize,
    /// Items that are held back.
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

    /// The same with a tenth of the work, to see that everything runs.
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

/// What designs do not say of their networks; an axis of the same meaning comes before it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OpenConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hidden: Option<usize>,
    pub(super) norm: CandidateNorm,
    pub(super) dropout: f64,
    pub(super) pool: CandidatePool,
    /// Width of weights and activations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bits: Option<WeightBits>,
}
