//! A checkpoint on disk, and the settings that belong to it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use crossburn_checkpoints::{
    LanguageModel, MANIFEST_FILE, Manifest, OnnxFile, checkpoint_folder, read_manifest,
};
use crossburn_hardware::WeightPlan;
use crossburn_models::onnx::OnnxNetwork;
use crossburn_models::{ModelConfig, Network, OnnxConfig, PretrainedConfig};
use crossburn_noise::{PathPattern, Variation};
use crossburn_training::data::{Amount, Conventions, DataSource};
use crossburn_training::{
    GRAPH_FILE, LanguageModellingConfig, Recipe, TaskConfig, TaskParts, TrainingError, WithTask,
};
use serde_json::Value;

use super::normalize::{self, Normalize};
use super::stored_weights::load_stored;
use super::study;

/// The description of a checkpoint's network; the weights stay on disk.
#[derive(Debug)]
pub(crate) struct StoredNetwork {
    pub(crate) folder: PathBuf,
    /// Whether the folder is a checkpoint of this program. Otherwise it is a model of another program.
    own: bool,
    /// The requested normalization of a model of another program.
    normalize: Option<Normalize>,
    /// What the user should know about the graph of an ONNX file, line by line.
    pub(crate) notes: Vec<String>,
    pub(crate) manifest: Manifest,
    pub(crate) model: ModelConfig,
    pub(crate) recipe: Recipe,
    /// The ONNX file of the network, if it was opened already.
    graph: Option<Arc<OnnxFile>>,
}

impl StoredNetwork {
    /// The error that the network is no `kind`, such as a classifier.
    pub(crate) fn is_no<T>(&self, kind: &str) -> Result<T> {
        bail!("{} is no {kind}", self.folder.display())
    }

    /// Opens the checkpoint at `path`, the one inside the run folder `path`, or a model of another program. Such a model has neither recipe nor data. It is a
    /// classifier in an ONNX file, or a language model in a folder of the Hugging Face hub or in a GGUF file.
    ///
    /// # Errors
    /// If there is no checkpoint, or this version cannot read it.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let folder = checkpoint_folder(path);
        if is_graph(&folder) {
            return Self::of_graph(folder);
        }
        let foreign = folder.is_file() || folder.join("config.json").is_file();
        if !folder.join(MANIFEST_FILE).is_file() && foreign {
            return Self::of_another_program(folder);
        }
        let manifest = read_manifest(&folder)?;
        let mut model: ModelConfig = serde_json::from_value(manifest.architecture.clone())
            .with_context(|| {
                format!(
                    "{} names a network that this version does not know",
                    folder.display()
                )
            })?;
        if let ModelConfig::Onnx(config) = &mut model {
            // The checkpoint has a copy of its graph, because the original file may be gone.
            config.file = folder.join(GRAPH_FILE);
        }
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
            normalize: None,
            notes: Vec::new(),
            manifest,
            recipe: Recipe {
                model: model.clone(),
                ..recipe
            },
            model,
            graph: None,
        })
    }

    /// Opens a classifier in an ONNX file.
    fn of_graph(file: PathBuf) -> Result<Self> {
        let model = ModelConfig::Onnx(OnnxConfig {
            file: file.clone(),
            bits: None,
        });
        let recipe = Recipe {
            model: model.clone(),
            ..Recipe::own(1)
        };
        // A file that cannot be read is refused before anything else is checked.
        let (graph, notes) = noted_graph(&file)?;
        let manifest = Manifest::new(
            study::json(&model)?,
            study::json(&recipe)?,
            recipe.seed,
            Value::Null,
        )
        .with_weights_checksum(graph.checksum()?);
        Ok(Self {
            normalize: None,
            notes,
            folder: file,
            own: false,
            manifest,
            model,
            recipe,
            graph: Some(graph),
        })
    }

    fn of_another_program(folder: PathBuf) -> Result<Self> {
        let model = ModelConfig::Pretrained(PretrainedConfig {
            folder: folder.clone(),
            adapter: None,
            weights: None,
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
            normalize: None,
            notes: Vec::new(),
            manifest,
            model,
            recipe,
            graph: None,
        })
    }

    /// The same network with normalized inputs, if `asked` is given.
    ///
    /// # Errors
    /// If the network was trained with a normalization of its own.
    pub(crate) fn normalized(self, asked: Option<&Normalize>) -> Result<Self> {
        let Some(asked) = asked else {
            return Ok(self);
        };
        if self.manifest.conventions.is_some() {
            bail!(
                "--normalize {asked}: {} was trained with a normalization, which is used: leave the option out",
                self.folder.display()
            );
        }
        Ok(Self {
            normalize: Some(asked.clone()),
            ..self
        })
    }

    /// The folder of the checkpoint, if the network is of this program.
    pub(crate) fn checkpoint(&self) -> Option<&Path> {
        self.own.then_some(self.folder.as_path())
    }

    /// Builds the network and passes it to `work`; see [`Recipe::build`].
    ///
    /// # Errors
    /// Those of [`Recipe::build`].
    pub(crate) fn build<W: WithTask>(
        &self,
        device: &Device,
        work: W,
    ) -> Result<W::Output, TrainingError> {
        self.recipe.build_of(self.graph.clone(), device, work)
    }

    /// The ONNX file `file` of the network.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(crate) fn graph(&self, file: &Path) -> Result<Arc<OnnxFile>> {
        match &self.graph {
            Some(graph) => Ok(graph.clone()),
            None => Ok(Arc::new(OnnxFile::open(file)?)),
        }
    }

    /// Loads the weights into `network`, as its recipe built it, and into `parts` what is stored beside them.
    ///
    /// # Errors
    /// A checkpoint that cannot be read or does not fit.
    pub(crate) fn load<N: Network, P: TaskParts<N>>(&self, network: N, parts: &P) -> Result<N> {
        load_stored(self.checkpoint(), network, parts)
    }

    /// Refuses to read data that came with the network if there were none: it is, or its weights are, from another program.
    ///
    /// # Errors
    /// That the model has no data.
    fn require_data(&self, source: &DataSource) -> Result<()> {
        let known = !matches!(self.model, ModelConfig::Own(_));
        if known && *source == DataSource::own() {
            let such = match &self.model {
                ModelConfig::Decoder(_) | ModelConfig::Pretrained(_) => {
                    "texts, such as --data text:FILE"
                }
                _ => "samples, such as --data cifar10:DIR",
            };
            bail!(
                "{} is a model without data: name {such}",
                self.folder.display()
            );
        }
        Ok(())
    }

    /// The data that were asked for, or those of the training, in the conventions of the training. Checkpoints of earlier versions have no conventions; for
    /// them the data's own are used.
    ///
    /// # Errors
    /// If the model has no data, or if this version cannot read the manifest's conventions.
    pub(crate) fn source(&self, asked: Option<&DataSource>) -> Result<DataSource> {
        let mut source = asked.unwrap_or(&self.recipe.data.source).clone();
        self.require_data(&source)?;
        match (&self.normalize, &self.model) {
            (Some(asked), _) => source = asked.of(&source)?,
            (None, ModelConfig::Onnx(config)) if !self.own => {
                source = normalize::as_seen_by(&config.file, source)?;
            }
            _ => {}
        }
        Ok(match self.conventions()? {
            Some(conventions) => source.following(conventions),
            None => source,
        })
    }

    /// The conventions in which the network has learned its samples; `None` for checkpoints of earlier versions.
    ///
    /// # Errors
    /// If this version cannot read the manifest's conventions.
    pub(crate) fn conventions(&self) -> Result<Option<Conventions>> {
        let conventions = self.manifest.conventions.clone();
        let read = conventions.map(serde_json::from_value).transpose();
        read.with_context(|| {
            format!(
                "{} carries conventions that this version cannot read",
                self.folder.display()
            )
        })
    }

    /// Refuses data that do not fit the task or the network, before any item is read. Labels may be read.
    ///
    /// # Errors
    /// Names the checkpoint, and what does not fit.
    pub(crate) fn check_data(&self, source: &DataSource) -> Result<()> {
        let checked = self.recipe.task.check(&self.model, source);
        checked.with_context(|| format!("{} does not fit {source}", self.folder.display()))
    }

    /// The number of test items of `source`; see [`DataConfig::test_amount`](crossburn_training::DataConfig::test_amount).
    pub(crate) fn test_amount(&self, source: &DataSource, asked: Option<usize>) -> Amount {
        self.recipe.data.test_amount(source, asked)
    }

    /// The first `most` training items, or all if there are fewer.
    pub(crate) fn training_amount(&self, most: usize) -> Amount {
        Amount::up_to(self.recipe.data.train.map_or(most, |train| most.min(train)))
    }

    /// The noise of its training: the one that a search has found, or that of its recipe.
    ///
    /// # Errors
    /// If this version cannot read the manifest's noise.
    pub(crate) fn training_noise(&self) -> Result<Variation> {
        if let Some(noise) = &self.manifest.training_noise {
            return serde_json::from_value(noise.clone()).with_context(|| {
                format!(
                    "{} carries a training noise that this version cannot read",
                    self.folder.display()
                )
            });
        }
        // Checkpoints of earlier versions give only the strength.
        let noise = self.recipe.noise;
        Ok(match self.manifest.metrics.get("training_sigma") {
            Some(sigma) if noise.sigma() != *sigma => noise.with_sigma(*sigma),
            _ => noise,
        })
    }

    /// The same network, but the weights at `paths` are digital too.
    pub(crate) fn with_digital(mut self, paths: &[PathPattern]) -> Self {
        self.recipe.arrays.digital.extend_from_slice(paths);
        self
    }

    /// The same network, judged by `metric` if one is given.
    ///
    /// # Errors
    /// If the task does not have the metric.
    pub(crate) fn judged_by(mut self, metric: Option<&str>) -> Result<Self> {
        if let Some(metric) = metric {
            self.recipe.task = self.recipe.task.judged_by(metric)?;
        }
        Ok(self)
    }

    /// Adds to a document the settings of arrays, quantization and pruning, if there are any.
    pub(crate) fn with_arrays(&self, mut document: Value) -> Result<Value> {
        if !self.recipe.arrays.is_default() {
            document["arrays"] = study::json(&self.recipe.arrays)?;
        }
        if !self.recipe.quantization.is_default() {
            document["quantization"] = study::json(&self.recipe.quantization)?;
        }
        if let Some(pruning) = &self.recipe.pruning {
            document["pruning"] = study::json(pruning)?;
        }
        Ok(document)
    }

    /// Which weights lie on arrays, and how they are quantized. The weights of a chip are not quantized again.
    pub(crate) fn weights<N: Network>(&self) -> WeightPlan {
        let weights = self.recipe.weights::<N>();
        match self.manifest.programmed {
            true => weights.without_quantization(),
            false => weights,
        }
    }
}

/// Opens the graph in `file`. Also gives notes: which of its parts are not used, and which never vary.
///
/// # Errors
/// If the graph cannot be read.
pub(crate) fn noted_graph(file: &Path) -> Result<(Arc<OnnxFile>, Vec<String>)> {
    let graph = OnnxFile::open(file)?;
    let notes = graph_notes(file, &graph.network(&Device::flex())?);
    Ok((Arc::new(graph), notes))
}

/// Notes about the graph in `file`: which of its parts are not used, and which never vary.
fn graph_notes(file: &Path, network: &OnnxNetwork) -> Vec<String> {
    let (file, mut notes) = (file.display(), Vec::new());
    if let [used, unused @ ..] = network.outputs()
        && !unused.is_empty()
    {
        notes.push(format!(
            "{file} has {} outputs: the first is used, `{used}`",
            unused.len() + 1
        ));
    }
    let nodes = network.digital_products();
    if !nodes.is_empty() {
        notes.push(format!(
            "{file}: {} multiply with stored numbers that are no matrix of a layer, and never vary: docs/from-pytorch.md",
            nodes.join(", ")
        ));
    }
    notes
}

/// Whether `path` names an ONNX file.
fn is_graph(path: &Path) -> bool {
    let graph = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("onnx"));
    graph && path.is_file()
}
