//! A checkpoint on disk and what belongs to it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use crossburn_checkpoints::{LanguageModel, MANIFEST_FILE, Manifest, read_manifest};
use crossburn_hardware::WeightPlan;
use crossburn_models::{ModelConfig, Network, PretrainedConfig};
use crossburn_noise::{PathPattern, Variation};
use crossburn_training::data::{Amount, DataSource};
use crossburn_training::{LanguageModellingConfig, Recipe, TaskConfig, TaskParts};
use serde_json::Value;

use crate::apps::stored_weights::load_stored;
use crate::apps::study;

/// What a checkpoint says of its network; the weights stay on disk.
#[derive(Debug)]
pub(super) struct StoredNetwork {
    pub(super) folder: PathBuf,
    /// Whether the folder is a checkpoint of this program, rather than a model of another one.
    own: bool,
    pub(super) manifest: Manifest,
    pub(super) model: ModelConfig,
    pub(super) recipe: Recipe,
}

impl StoredNetwork {
    /// The checkpoint at `path`, or the one inside the run folder there; or the language model of another program
    /// there, a folder of the Hugging Face hub or a GGUF file, which has neither recipe nor data.
    ///
    /// # Errors
    /// No checkpoint, or one that this version cannot read.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let inside = path.join("checkpoint");
        let folder = if inside.is_dir() {
            inside
        } else {
            path.to_path_buf()
        };
        let foreign = folder.is_file() || folder.join("config.json").is_file();
        if !folder.join(MANIFEST_FILE).is_file() && foreign {
            return Self::of_another_program(folder);
        }
        let manifest = read_manifest(&folder)?;
        let model: ModelConfig = serde_json::from_value(manifest.architecture.clone())
            .with_context(|| {
                format!(
                    "{} names a network that this version does not know",
                    folder.display()
                )
            })?;
        let recipe: Recipe =
            serde_json::from_value(manifest.recipe.clone()).with_context(|| {
                format!(
                    "{} carries a recipe that this version cannot read",
                    folder.display()
                )
            })?;
        Ok(Self {
            folder,
            own: true,
            manifest,
            recipe: Recipe {
                model: model.clone(),
                ..recipe
            },
            model,
        })
    }

    fn of_another_program(folder: PathBuf) -> Result<Self> {
        let model = ModelConfig::Pretrained(PretrainedConfig {
            folder: folder.clone(),
            adapter: None,
        });
        let recipe = Recipe {
            model: model.clone(),
            task: TaskConfig::LanguageModelling(LanguageModellingConfig::default()),
            ..Recipe::own(1)
        };
        let weights = LanguageModel::open(&folder)?.weights_checksum()?;
        let manifest = Manifest::new(
            study::json(&model)?,
            study::json(&recipe)?,
            recipe.seed,
            Value::Null,
        )
        .with_weights_checksum(weights);
        Ok(Self {
            folder,
            own: false,
            manifest,
            model,
            recipe,
        })
    }

    /// The folder of the checkpoint, of a network of this program.
    pub(super) fn checkpoint(&self) -> Option<&Path> {
        self.own.then_some(self.folder.as_path())
    }

    /// `network`, as its recipe built it, with its weights, and `parts` with what lies beside them.
    ///
    /// # Errors
    /// A checkpoint that cannot be read or does not fit.
    pub(super) fn load<N: Network, P: TaskParts<N>>(&self, network: N, parts: &P) -> Result<N> {
        load_stored(self.checkpoint(), network, parts)
    }

    /// Refuses to look for data that came with the network where none did.
    ///
    /// # Errors
    /// The model.
    fn require_data(&self, source: &DataSource) -> Result<()> {
        if !self.own && *source == self.recipe.data.source {
            bail!(
                "{} is a model without data: name texts, such as --data text:FILE",
                self.folder.display()
            );
        }
        Ok(())
    }

    /// The data that were asked for, or those of its training, by the conventions of its training. Checkpoints of earlier versions
    /// have none: then those of the data hold.
    ///
    /// # Errors
    /// A model without data of its own, and a manifest with conventions that this version cannot read.
    pub(super) fn source(&self, asked: Option<&DataSource>) -> Result<DataSource> {
        let source = asked.unwrap_or(&self.recipe.data.source).clone();
        self.require_data(&source)?;
        let Some(conventions) = &self.manifest.conventions else {
            return Ok(source);
        };
        let conventions = serde_json::from_value(conventions.clone()).with_context(|| {
            format!(
                "{} carries conventions that this version cannot read",
                self.folder.display()
            )
        })?;
        Ok(source.following(conventions))
    }

    /// Refuses data that its task or its network does not fit, before any item is read; labels may be.
    ///
    /// # Errors
    /// The checkpoint, with what does not fit.
    pub(super) fn check_data(&self, source: &DataSource) -> Result<()> {
        let checked = self.recipe.task.check(&self.model, source);
        checked.with_context(|| format!("{} does not fit {source}", self.folder.display()))
    }

    /// Test items of `source` where `asked` were asked for, or nothing was: as many as in training then, but a number that
    /// the training had is no bound for other data.
    pub(super) fn test_amount(&self, source: &DataSource, asked: Option<usize>) -> Amount {
        let data = &self.recipe.data;
        match (asked, data.test) {
            (None, Some(test)) if *source != data.source => Amount::up_to(test),
            (asked, test) => asked.or(test).into(),
        }
    }

    /// The first `most` items of its training set, or of the training items of another source; all where these are fewer.
    pub(super) fn training_amount(&self, most: usize) -> Amount {
        Amount::up_to(self.recipe.data.train.map_or(most, |train| most.min(train)))
    }

    /// The noise that it was trained with: what a search has found, or that of its recipe.
    ///
    /// # Errors
    /// A manifest with a noise that this version cannot read.
    pub(super) fn training_noise(&self) -> Result<Variation> {
        if let Some(noise) = &self.manifest.training_noise {
            return serde_json::from_value(noise.clone()).with_context(|| {
                format!(
                    "{} carries a training noise that this version cannot read",
                    self.folder.display()
                )
            });
        }
        // Checkpoints of earlier versions name the strength alone.
        let noise = self.recipe.noise;
        Ok(match self.manifest.metrics.get("training_sigma") {
            Some(sigma) if noise.sigma() != *sigma => noise.with_sigma(*sigma),
            _ => noise,
        })
    }

    /// The same network with the weights at `paths` digital as well.
    pub(super) fn with_digital(mut self, paths: &[PathPattern]) -> Self {
        self.recipe.arrays.digital.extend_from_slice(paths);
        self
    }

    /// A document with what is said of arrays, where something is.
    pub(super) fn with_arrays(&self, mut document: Value) -> Result<Value> {
        if !self.recipe.arrays.is_default() {
            document["arrays"] = study::json(&self.recipe.arrays)?;
        }
        Ok(document)
    }

    /// Which of its weights lie on arrays, and how they are quantized: those of a chip are not.
    pub(super) fn weights<N: Network>(&self) -> WeightPlan {
        let weights = self.recipe.weights::<N>();
        match self.manifest.programmed {
            true => weights.without_quantization(),
            false => weights,
        }
    }
}
