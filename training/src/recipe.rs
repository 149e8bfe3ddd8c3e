//! A training run, as a TOML recipe.

use std::path::PathBuf;

use crossburn_models::{ModelConfig, OwnConfig};
use crossburn_noise::{Distribution, Variation};
use serde::{Deserialize, Serialize};

use crate::data::{Amount, Augmentation, DataSource};
use crate::{
    ArraysConfig, HardwareAware, Method, OptimizerConfig, PruningConfig, QuantizationConfig,
    Schedule, TaskConfig, TrainingError,
};

/// Everything that determines a trained network: the same recipe gives the same weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Seed of the initial weights, the order of items, augmentation, the procedural data and the training noise.
    pub seed: u64,
    /// What it is trained and judged for.
    #[serde(default)]
    pub task: TaskConfig,
    /// The network.
    pub model: ModelConfig,
    /// What it learns from and is judged on.
    pub data: DataConfig,
    /// Epochs, batches, optimizer.
    #[serde(default)]
    pub training: TrainingConfig,
    /// Which weights lie on arrays, and the widths of single ones.
    #[serde(default, skip_serializing_if = "ArraysConfig::is_default")]
    pub arrays: ArraysConfig,
    /// How the grids of weights and activations are chosen.
    #[serde(default, skip_serializing_if = "QuantizationConfig::is_default")]
    pub quantization: QuantizationConfig,
    /// Which weights remain; all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruning: Option<PruningConfig>,
    /// How it learns.
    #[serde(default)]
    pub method: Method,
    /// Variation drawn at every training step.
    #[serde(default)]
    pub noise: Variation,
    /// Hardware whose chips the training steps compute on, instead of `noise`. Every step programs a chip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<HardwareAware>,
}

/// Which data, and how much of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Where samples come from, such as `digits` or `mnist:DIR`.
    pub source: DataSource,
    /// Number of training samples, validation included; all samples if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<usize>,
    /// Number of the last training samples, which are held back to choose the best epoch.
    #[serde(default = "thousand")]
    pub validation: usize,
    /// Test samples; all that there are where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<usize>,
}

impl DataConfig {
    /// Number of test items of `source`: `asked`, or by default as many as in training. For other data than those of the
    /// training, the number of the training is no limit.
    pub fn test_amount(&self, source: &DataSource, asked: Option<usize>) -> Amount {
        match (asked, self.test) {
            (None, Some(test)) if *source != self.source => Amount::up_to(test),
            (asked, test) => asked.or(test).into(),
        }
    }
}

fn thousand() -> usize {
    1000
}

fn is_one(number: &usize) -> bool {
    *number == 1
}

/// Which epoch's weights are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selection {
    /// The best metric on the validation items, with a new chip per batch (Yan et al., ICCAD 2023). Without training noise,
    /// the best clean metric; for a method that searches, the number that its search uses. Among equals, the first epoch.
    #[default]
    BestValidation,
    /// The last epoch.
    Last,
}

/// What is programmed into the chips after training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deployment {
    /// The weights as they are.
    #[default]
    AsTrained,
    /// The mean of the training noise is added to the weights: `W <- W + m * max|W|` (authors' later code).
    MeanFolded,
}

/// How to train.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingConfig {
    /// Passes over the training items.
    pub epochs: usize,
    /// Items that are computed at once. A step takes `accumulate` such batches.
    pub batch: usize,
    /// Batches of a step. Their gradients are added up, as for one batch of all their items, but with the activations of a
    /// single batch.
    #[serde(skip_serializing_if = "is_one")]
    pub accumulate: usize,
    /// Whether a language model keeps the activations of one block at a time, and computes them again for the gradients.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub checkpoint_blocks: bool,
    /// Run or checkpoint whose weights training starts from; by default initial weights from the seed. [`Recipe::started`]
    /// loads them, [`train`](crate::train) itself does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<PathBuf>,
    /// The optimizer.
    pub optimizer: OptimizerConfig,
    /// The learning-rate schedule.
    pub schedule: Schedule,
    /// Crop, flip and gain.
    pub augmentation: Augmentation,
    /// Which epoch is kept.
    pub selection: Selection,
    /// Stop after this many epochs without a better validation metric; by default never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<usize>,
    /// What is programmed.
    pub deployment: Deployment,
    /// Clip weights on arrays after every step to this many standard deviations of their output channel; by default not at
    /// all (Büchel et al., NeurIPS 2025: 2.5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
    /// Passes over the training items before deployment that only update the running statistics of batch norms, without
    /// noise.
    pub batch_norm_refresh: usize,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            epochs: 10,
            batch: 128,
            accumulate: 1,
            checkpoint_blocks: false,
            from: None,
            optimizer: OptimizerConfig::default(),
            schedule: Schedule::default(),
            augmentation: Augmentation::default(),
            selection: Selection::default(),
            patience: None,
            deployment: Deployment::default(),
            clip: None,
            batch_norm_refresh: 0,
        }
    }
}

impl Recipe {
    /// The recipe for a network and data of your own program, with every default. [`train`](crate::train) uses these parts
    /// of it: seed, `model`, `arrays`, `quantization` and `pruning` (what is done with weights), `training`, `method`,
    /// `noise` and `hardware`.
    ///
    /// ```
    /// use crossburn_noise::{Distribution, Variation};
    /// use crossburn_training::Recipe;
    ///
    /// let recipe = Recipe {
    ///     noise: Variation::from(Distribution::gaussian(0.1)),
    ///     ..Recipe::own(1)
    /// };
    /// assert_eq!(recipe.training.epochs, 10);
    /// ```
    pub fn own(seed: u64) -> Self {
        Self {
            seed,
            task: TaskConfig::default(),
            model: ModelConfig::Own(OwnConfig::default()),
            data: DataConfig {
                source: DataSource::own(),
                train: None,
                validation: thousand(),
                test: None,
            },
            training: TrainingConfig::default(),
            arrays: ArraysConfig::default(),
            quantization: QuantizationConfig::default(),
            pruning: None,
            method: Method::default(),
            noise: Variation::default(),
            hardware: None,
        }
    }

    /// Total number of epochs: `training.epochs`, and more for a method that searches.
    pub fn epochs(&self) -> usize {
        self.method.epochs(self.training.epochs)
    }

    /// Checks every value that does not depend on the samples. Also checks that network, task and data fit together, which
    /// may read labels.
    ///
    /// # Errors
    /// The first bad key, its value and what it may be.
    pub fn check(&self) -> Result<(), TrainingError> {
        self.task.check(&self.model, &self.data.source)?;
        self.task.check_others(self)?;
        self.noise.check()?;
        self.check_held()?;
        let training = &self.training;
        training.optimizer.check()?;
        for (key, value) in [
            ("training.epochs", training.epochs),
            ("training.batch", training.batch),
            ("training.accumulate", training.accumulate),
        ] {
            if value == 0 {
                return Err(TrainingError::setting(key, value, "a whole number above 0"));
            }
        }
        if training.checkpoint_blocks && !self.task.has_blocks() {
            return Err(TrainingError::setting(
                "training.checkpoint_blocks",
                true,
                "false where no language model is trained",
            ));
        }
        if self.data.validation == 0 {
            return Err(TrainingError::setting(
                "data.validation",
                0,
                "a whole number above 0",
            ));
        }
        if let Some(0) = training.patience {
            return Err(TrainingError::setting(
                "training.patience",
                0,
                "a whole number above 0, or leave it out",
            ));
        }
        if let Some(clip) = training.clip
            && !(clip.is_finite() && clip > 0.0)
        {
            return Err(TrainingError::setting(
                "training.clip",
                clip,
                "a number of standard deviations above 0, or leave it out",
            ));
        }
        training.augmentation.check()?;
        if let Schedule::Step { factor, .. } = training.schedule
            && !(factor.is_finite() && factor > 0.0)
        {
            return Err(TrainingError::setting(
                "training.schedule.factor",
                factor,
                "a number above 0",
            ));
        }
        if let Some(hardware) = &self.hardware {
            hardware.check(self)?;
        }
        self.check_compression()?;
        self.method.check(self)
    }

    /// Refuses a recipe that changes weights which stay in the bytes of their file.
    fn check_held(&self) -> Result<(), TrainingError> {
        let ModelConfig::Pretrained(model) = &self.model else {
            return Ok(());
        };
        let Some(form) = model.weights else {
            return Ok(());
        };
        let changed = [
            (
                model.adapter.is_none(),
                "32-bit numbers where the weights of the model learn: leave it out, or give model.adapter",
            ),
            (
                self.noise.distribution != (Distribution::None {}),
                "32-bit numbers where weights deviate: leave it out, or leave out [noise]",
            ),
            (
                self.hardware.is_some(),
                "32-bit numbers where weights lie on arrays: leave it out, or leave out [hardware]",
            ),
            (
                !self.arrays.bits.is_empty(),
                "32-bit numbers where weights are quantized in training: leave it out, or leave out arrays.bits",
            ),
            (
                self.pruning.is_some(),
                "32-bit numbers where weights are pruned in training: leave it out, or leave out [pruning]",
            ),
            (
                self.method != Method::default(),
                "32-bit numbers where a method changes weights: leave it out, or leave out [method]",
            ),
        ];
        match changed.into_iter().find(|(changed, _)| *changed) {
            Some((_, remedy)) => Err(TrainingError::setting("model.weights", form, remedy)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn weights_that_stay_in_their_bytes_are_refused_where_they_change() {
        let adapter = "adapter = { kind = \"prompt\", tokens = 2 }";
        let checked = |model: &str, tables: &str| {
            let text = format!(
                "seed = 1\n[data]\nsource = \"person:0\"\n[model]\nkind = \"pretrained\"\nfolder = \"m\"\n{model}\n{tables}"
            );
            toml::from_str::<Recipe>(&text).unwrap().check_held()
        };
        let held = format!("weights = \"q8_0\"\n{adapter}");
        let held = held.as_str();
        checked(held, "").unwrap();
        for (model, tables, remedy) in [
            ("weights = \"q8_0\"", "", "give model.adapter"),
            (
                held,
                "[noise]\nkind = \"gaussian\"\nsigma_rel_wmax = 0.02",
                "leave out [noise]",
            ),
            (
                held,
                "[hardware]\naccelerator = \"isaac\"",
                "leave out [hardware]",
            ),
            (
                held,
                "[arrays]\nbits = [{ path = \"*\", bits = 4 }]",
                "leave out arrays.bits",
            ),
            (held, "[pruning]\npattern = \"2:4\"", "leave out [pruning]"),
            (
                held,
                "[method]\nkind = \"distillation\"",
                "leave out [method]",
            ),
        ] {
            let error = checked(model, tables).unwrap_err().to_string();
            assert!(
                error.starts_with("model.weights = q8_0 is not allowed") && error.ends_with(remedy),
                "{error}"
            );
            checked(&model.replace("weights = \"q8_0\"", ""), tables).unwrap();
        }
    }
}
