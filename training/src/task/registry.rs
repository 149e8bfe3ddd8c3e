//! The registry of tasks, as recipes name them, and the parts of their data.

use burn::tensor::Device;
use crossburn_checkpoints::{CheckpointError, OnnxFile};
use std::path::Path;
use std::sync::Arc;

use crossburn_models::{
    Autoencoder, CausalLanguageModel, Classifier, Embedder, Family, ModelConfig, ModelError,
    Network, Recognizer, WithNetwork, initialize,
};
use crossburn_noise::Metric;
use serde::{Deserialize, Serialize};

use super::language_modelling::Texts;
use super::lesion::Lesions;
use super::retrieval::Retrievals;
use super::verification::Verifications;
use super::{
    AnomalyConfig, AnomalyDetection, AnomalySurrogate, ArrhythmiaConfig, ArrhythmiaDetection,
    ArrhythmiaMetric, AttackLoss, Classification, LanguageMetric, LanguageModellingConfig, Learn,
    LesionConfig, RaisedLoss, RetrievalConfig, VerificationConfig,
};
use crate::data::{Amount, DataSource, Samples};
use crate::graph::Graph;
use crate::pretrained::{Opened, Pretrained};
use crate::{Recipe, TrainingError, TrainingObserver};

/// The task of a recipe: the table `[task]`. `kind` names it; its other keys depend on the kind, and unknown ones are
/// refused. A recipe without this table is about classification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum TaskConfig {
    /// Telling classes apart.
    Classification {},
    /// Finding samples that are not like the rest.
    AnomalyDetection(AnomalyConfig),
    /// Finding ventricular arrhythmia.
    ArrhythmiaDetection(ArrhythmiaConfig),
    /// Finding lesions in slices of brains.
    LesionDetection(LesionConfig),
    /// Saying which token comes next.
    LanguageModelling(LanguageModellingConfig),
    /// Finding documents by inner products of stored vectors.
    Retrieval(RetrievalConfig),
    /// Telling whether two images are of one person.
    Verification(VerificationConfig),
}

impl Default for TaskConfig {
    fn default() -> Self {
        Self::Classification {}
    }
}

impl TaskConfig {
    /// The name in recipes.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Classification {} => "classification",
            Self::AnomalyDetection(_) => "anomaly-detection",
            Self::ArrhythmiaDetection(_) => "arrhythmia-detection",
            Self::LesionDetection(_) => "lesion-detection",
            Self::LanguageModelling(_) => "language-modelling",
            Self::Retrieval(_) => "retrieval",
            Self::Verification(_) => "verification",
        }
    }

    /// Checks the networks that training by `recipe` needs beside its own, without reading their weights.
    ///
    /// # Errors
    /// One that is not there, does not fit, or has learned from other items than it may.
    pub(crate) fn check_others(&self, recipe: &Recipe) -> Result<(), TrainingError> {
        match self {
            Self::Verification(config) => config.check_auxiliary(recipe),
            _ => Ok(()),
        }
    }

    /// What networks are judged by.
    pub fn metric(&self) -> Metric {
        match self {
            Self::Classification {} => Classification::metric_of_all(),
            Self::AnomalyDetection(config) => config.metric.metric(),
            Self::ArrhythmiaDetection(config) => config.metric.metric(),
            Self::LesionDetection(config) => config.metric.metric(),
            Self::LanguageModelling(config) => config.metric.metric(),
            Self::Retrieval(config) => config.metric(),
            Self::Verification(config) => config.metric.metric(),
        }
    }

    /// The same task, whose networks are judged by the metric with this name in recipes.
    ///
    /// # Errors
    /// [`TrainingError::Setting`] for a metric that the task does not have, and for a task that takes no other one after its training.
    pub fn judged_by(self, metric: &str) -> Result<Self, TrainingError> {
        let refuse = |remedy| TrainingError::setting("task.metric", metric, remedy);
        match self {
            Self::LanguageModelling(config) => {
                let metric: LanguageMetric = (metric.parse())
                    .map_err(|_: String| refuse("perplexity, rouge-1 or rouge-l"))?;
                Ok(Self::LanguageModelling(config.judged_by(metric)))
            }
            Self::ArrhythmiaDetection(config) => {
                let metric = ArrhythmiaMetric::named(metric)?;
                Ok(Self::ArrhythmiaDetection(ArrhythmiaConfig {
                    metric,
                    ..config
                }))
            }
            _ => Err(refuse("it for a language model or a detector")),
        }
    }

    /// Names of the surrogates that a search by one method goes by where none is named.
    pub fn usual_surrogates(&self) -> &'static [&'static str] {
        match self {
            Self::Classification {} | Self::ArrhythmiaDetection(_) => &["margin", "cross-entropy"],
            Self::AnomalyDetection(_) => &["separation"],
            Self::LesionDetection(_)
            | Self::LanguageModelling(_)
            | Self::Retrieval(_)
            | Self::Verification(_) => &["loss"],
        }
    }

    /// Refuses a text that names no surrogate of this task.
    ///
    /// # Errors
    /// What it may be.
    pub fn check_surrogate(&self, name: &str) -> Result<(), String> {
        match self {
            Self::Classification {} | Self::ArrhythmiaDetection(_) => {
                name.parse::<AttackLoss>().map(|_| ())
            }
            Self::AnomalyDetection(_) => name.parse::<AnomalySurrogate>().map(|_| ()),
            Self::LesionDetection(_)
            | Self::LanguageModelling(_)
            | Self::Retrieval(_)
            | Self::Verification(_) => name.parse::<RaisedLoss>().map(|_| ()),
        }
    }

    /// Whether its networks are made of blocks that can be computed again one by one.
    pub(crate) fn has_blocks(&self) -> bool {
        matches!(self, Self::LanguageModelling(_))
    }

    /// The kind of network that it takes.
    fn family(&self) -> Family {
        match self {
            Self::Classification {} | Self::ArrhythmiaDetection(_) => Family::Classifier,
            Self::AnomalyDetection(_) | Self::LesionDetection(_) => Family::Autoencoder,
            Self::LanguageModelling(_) => Family::LanguageModel,
            Self::Retrieval(_) => Family::Embedder,
            Self::Verification(_) => Family::Recognizer,
        }
    }

    fn other(&self, model: &'static str, family: Family) -> TrainingError {
        TrainingError::TaskModel {
            task: self.name(),
            takes: self.family(),
            model,
            family,
        }
    }

    /// Checks the task with the network and the data that it is about, as far as it can be done without reading these.
    ///
    /// # Errors
    /// A network of another kind, or without an output for every class; a class that the data do not have.
    pub fn check(&self, model: &ModelConfig, source: &DataSource) -> Result<(), TrainingError> {
        let Some(family) = model.family() else {
            // A network of another program, with a task of its own.
            return Ok(());
        };
        if family != self.family() {
            return Err(self.other(model.name(), family));
        }
        if let Self::LanguageModelling(config) = self {
            config.check()?;
            model.check_sizes()?;
            if let ModelConfig::Pretrained(model) = model
                && !model.folder.exists()
            {
                let dir = model.folder.clone();
                return Err(CheckpointError::MissingModel { dir }.into());
            }
            return source.check_corpus();
        }
        if let Self::Retrieval(config) = self {
            config.check()?;
            model.check_sizes()?;
            return source.check_corpus();
        }
        let classes = source.classes()?;
        model.check_classes(classes)?;
        let config = match self {
            Self::AnomalyDetection(config) => config,
            Self::ArrhythmiaDetection(_) if !model.takes_signals() => {
                return Err(no_signals(model.name()));
            }
            Self::ArrhythmiaDetection(config) => return config.check(classes),
            Self::LesionDetection(config) => return config.check(),
            Self::Verification(config) => return config.check(),
            Self::Classification {} | Self::LanguageModelling(_) | Self::Retrieval(_) => {
                return Ok(());
            }
        };
        let beyond = |class: &&u16| usize::from(**class) >= classes;
        match config.anomalies.iter().find(beyond) {
            Some(class) => Err(TrainingError::setting(
                "task.anomalies",
                class,
                "classes that the data has",
            )),
            None if config.anomalies.is_empty() => Err(TrainingError::setting(
                "task.anomalies",
                "[]",
                "one class or more",
            )),
            None => Ok(()),
        }
    }
}

/// A part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The training items, validation included.
    Training,
    /// The test items.
    Test,
}

/// The purpose of items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// To learn from, to choose an epoch by, or to set ranges on.
    Learn,
    /// To judge a network.
    Judge,
}

/// Items that a training learns from, and numbers about those that it leaves out.
pub type Chosen<T> = (T, Vec<(Metric, f64)>);

/// A task with its data sources: gives the parts that networks of type `N` learn from and are judged on.
pub trait TaskParts<N>: Send + Sync {
    /// One part.
    type Task: Learn<N>;

    /// The first samples of `part` of `source`, as many as are wanted; `seed` draws procedural data.
    ///
    /// # Errors
    /// Data that cannot be read, are too few, or do not fit the network.
    fn load(
        &self,
        source: &DataSource,
        seed: u64,
        part_and_role: (Part, Role),
        amount: Amount,
    ) -> Result<Self::Task, TrainingError>;

    /// All items to learn from: `training`, and those that the recipe adds from another source; by default `training` alone. `seed` draws procedural
    /// data. Items that networks are `judged` on are refused among those that are added.
    ///
    /// # Errors
    /// Those of [`load`](Self::load), and items that do not go together.
    fn completed(
        &self,
        training: Self::Task,
        judged: Option<&Self::Task>,
        seed: u64,
    ) -> Result<Self::Task, TrainingError> {
        let _ = (judged, seed);
        Ok(training)
    }

    /// The items of `learn` that a training learns from, after others were held back, and numbers about those that it leaves out; by default all of them.
    /// `None` if `observer` stopped the work.
    ///
    /// # Errors
    /// If too few are left, and those of a network that chooses.
    fn chosen(
        &self,
        learn: Self::Task,
        device: &Device,
        observer: &mut dyn TrainingObserver,
    ) -> Result<Option<Chosen<Self::Task>>, TrainingError> {
        let _ = (device, observer);
        Ok(Some((learn, Vec::new())))
    }

    /// Refuses validation items that [`settle`](Self::settle) needs and cannot use, before training; none by default.
    ///
    /// # Errors
    /// What they lack.
    fn check_held_back(&self, held_back: &Self::Task) -> Result<(), TrainingError> {
        let _ = held_back;
        Ok(())
    }

    /// Derives from the validation items of a training what is needed to judge its network on other items, such as a
    /// threshold; nothing by default. Parts that were loaded before use it from then on. `network` gives the network as it
    /// is to be programmed.
    ///
    /// # Errors
    /// Those of the network.
    fn settle(
        &self,
        network: impl FnOnce() -> N,
        held_back: &Self::Task,
        device: &Device,
    ) -> Result<(), TrainingError> {
        let _ = (network, held_back, device);
        Ok(())
    }

    /// Writes into the folder of a checkpoint of `network` what the items of other data are made or judged with, such as a tokenizer or a threshold;
    /// nothing by default.
    ///
    /// # Errors
    /// A file that cannot be written.
    fn save(&self, network: &N, checkpoint: &Path) -> Result<(), TrainingError> {
        let _ = (network, checkpoint);
        Ok(())
    }

    /// Takes what [`save`](Self::save) wrote, before anything is loaded.
    ///
    /// # Errors
    /// A file that is not there, cannot be read, or does not fit.
    fn open(&self, checkpoint: &Path) -> Result<(), TrainingError> {
        let _ = checkpoint;
        Ok(())
    }
}

/// Work with the network and the task of a recipe, whose types are known only from the recipe.
pub trait WithTask {
    /// The result of the work.
    type Output;

    /// Does the work.
    fn run<N: Network, P: TaskParts<N>>(self, network: N, parts: P) -> Self::Output;
}

impl Recipe {
    /// Builds the network on `device`, with initial weights from the seed, and hands it to `work` with its task.
    ///
    /// # Errors
    /// [`TrainingError::TaskModel`] for a network that the task does not take, [`TrainingError::Model`] for one of another
    /// program, [`TrainingError::Arrays`] for a path at which it has no weight.
    pub fn build<W: WithTask>(&self, device: &Device, work: W) -> Result<W::Output, TrainingError> {
        self.build_of(None, device, work)
    }

    /// Hands `network`, which gets initial weights from the seed, to `work` with the task `classification`. The network must be what `self.model`
    /// describes. The work is compiled for this network and this task alone, where [`build`](Self::build) compiles it for all.
    ///
    /// # Errors
    /// [`TrainingError::TaskModel`] for another task, [`TrainingError::Arrays`] for a path at which the network has no weight.
    pub fn build_known<C: Classifier, W: WithTask>(
        &self,
        network: C,
        device: &Device,
        work: W,
    ) -> Result<W::Output, TrainingError> {
        let TaskConfig::Classification {} = self.task else {
            return Err(self.task.other(self.model.name(), Family::Classifier));
        };
        let bind = Bind {
            recipe: self,
            device,
            graph: None,
            work,
        };
        bind.classifier(initialize(network, self.seed))
    }

    /// The same as [`build`](Self::build), where the ONNX file of the network may be open already.
    ///
    /// # Errors
    /// Those of [`build`](Self::build).
    pub fn build_of<W: WithTask>(
        &self,
        opened: Option<Arc<OnnxFile>>,
        device: &Device,
        work: W,
    ) -> Result<W::Output, TrainingError> {
        let mut bind = Bind {
            recipe: self,
            device,
            graph: None,
            work,
        };
        if let ModelConfig::Onnx(config) = &self.model {
            let file = match opened {
                Some(file) => file,
                None => Arc::new(OnnxFile::open(&config.file)?),
            };
            let (network, graph) = Graph::of(file, device)?;
            bind.graph = Some(graph);
            return bind.signal_classifier(network);
        }
        let ModelConfig::Pretrained(model) = &self.model else {
            return self.model.build(self.seed, device, bind)?;
        };
        let TaskConfig::LanguageModelling(config) = &self.task else {
            return Err(self.task.other(self.model.name(), Family::LanguageModel));
        };
        let (opened, pretrained) = Pretrained::open(model, self.seed, device)?;
        let decoder = pretrained.base().config();
        let (vocabulary, positions) = (decoder.vocabulary, decoder.max_positions);
        let texts = Texts::new(config, vocabulary, positions, Some(pretrained))?;
        match opened {
            Opened::Whole(network) => bind.texts(network, texts),
            Opened::Adapted(network) => bind.texts(network, texts),
        }
    }
}

/// The refusal of a network that is none of signals, for a task about these.
fn no_signals(model: &'static str) -> TrainingError {
    let networks = "a network of signals for this task: cnn1d, signal-cnn or onnx";
    TrainingError::setting("model.kind", model, networks)
}

/// Brings a network and its task together.
struct Bind<'a, W> {
    recipe: &'a Recipe,
    device: &'a Device,
    /// The graph that the network comes from, if there is one.
    graph: Option<Graph>,
    work: W,
}

impl<W: WithTask> Bind<'_, W> {
    /// `network` with the activations of the recipe, whose weights fit the recipe.
    fn checked<N: Network>(&self, network: N) -> Result<N, TrainingError> {
        let network = self.recipe.quantization.activations(network);
        self.recipe.check_weights(&network)?;
        Ok(network)
    }

    fn texts<L: CausalLanguageModel>(
        self,
        network: L,
        texts: Texts,
    ) -> Result<W::Output, TrainingError> {
        let network = self.checked(network)?;
        Ok(self.work.run(network, texts))
    }
}

impl<W: WithTask> WithNetwork for Bind<'_, W> {
    type Output = Result<W::Output, TrainingError>;

    fn other(self, family: Family) -> Self::Output {
        Err(self.recipe.task.other(self.recipe.model.name(), family))
    }

    fn classifier<C: Classifier>(self, network: C) -> Self::Output {
        let model = &self.recipe.model;
        let network = self.checked(network)?;
        match &self.recipe.task {
            TaskConfig::Classification {} => {
                let graph = self.graph;
                Ok(self.work.run(network, Classes { model, graph }))
            }
            TaskConfig::ArrhythmiaDetection(_) => Err(no_signals(model.name())),
            task => Err(task.other(model.name(), Family::Classifier)),
        }
    }

    /// Every task of signals is compiled for the networks of signals alone.
    fn signal_classifier<C: Classifier>(self, network: C) -> Self::Output {
        let TaskConfig::ArrhythmiaDetection(config) = &self.recipe.task else {
            return self.classifier(network);
        };
        let network = self.checked(network)?;
        let classes = Classes {
            model: &self.recipe.model,
            graph: self.graph,
        };
        Ok(self.work.run(network, Arrhythmias { classes, config }))
    }

    fn autoencoder<A: Autoencoder>(self, network: A) -> Self::Output {
        let model = &self.recipe.model;
        let network = self.checked(network)?;
        match &self.recipe.task {
            TaskConfig::AnomalyDetection(config) => {
                Ok(self.work.run(network, Anomalies { model, config }))
            }
            TaskConfig::LesionDetection(config) => {
                Ok(self.work.run(network, Lesions::new(model, config)))
            }
            task => Err(task.other(model.name(), Family::Autoencoder)),
        }
    }

    fn language_model<L: CausalLanguageModel>(self, network: L) -> Self::Output {
        let model = &self.recipe.model;
        let TaskConfig::LanguageModelling(config) = &self.recipe.task else {
            return Err(self.recipe.task.other(model.name(), Family::LanguageModel));
        };
        let ModelConfig::Decoder(sizes) = model else {
            return Err(ModelError::Files.into());
        };
        let texts = Texts::new(config, sizes.vocabulary, sizes.context, None)?;
        self.texts(network, texts)
    }

    fn embedder<E: Embedder>(self, network: E) -> Self::Output {
        let model = &self.recipe.model;
        let (TaskConfig::Retrieval(config), ModelConfig::EmbeddingHead(head)) =
            (&self.recipe.task, model)
        else {
            return Err(self.recipe.task.other(model.name(), Family::Embedder));
        };
        let network = self.checked(network)?;
        let parts = Retrievals::new(config, head, self.device)?;
        Ok(self.work.run(network, parts))
    }

    fn recognizer<R: Recognizer>(self, network: R) -> Self::Output {
        let model = &self.recipe.model;
        let (TaskConfig::Verification(config), ModelConfig::Face(sizes)) =
            (&self.recipe.task, model)
        else {
            return Err(self.recipe.task.other(model.name(), Family::Recognizer));
        };
        let network = self.checked(network)?;
        Ok(self
            .work
            .run(network, Verifications::new(model, sizes, config)))
    }
}

/// Samples that fit a network.
pub(super) fn samples(
    model: &ModelConfig,
    source: &DataSource,
    seed: u64,
    (part, role): (Part, Role),
    amount: Amount,
) -> Result<Samples, TrainingError> {
    // Labels say nothing about how a network is used.
    if role == Role::Judge {
        model.check_classes(source.classes()?)?;
    }
    let samples = match part {
        Part::Training => source.training_samples(seed, amount)?,
        Part::Test => source.test_samples(seed, amount)?,
    };
    model.check(samples.shape)?;
    Ok(samples)
}

/// The parts of a classification.
struct Classes<'a> {
    model: &'a ModelConfig,
    graph: Option<Graph>,
}

impl Classes<'_> {
    fn samples(
        &self,
        source: &DataSource,
        seed: u64,
        part_and_role: (Part, Role),
        amount: Amount,
    ) -> Result<Samples, TrainingError> {
        let samples = samples(self.model, source, seed, part_and_role, amount)?;
        let Some(graph) = &self.graph else {
            return Ok(samples);
        };
        let (outputs, classes) = (graph.outputs(&samples)?, samples.classes);
        match classes > outputs {
            true => Err(ModelError::Classes {
                model: "onnx",
                outputs,
                classes,
            }
            .into()),
            false => Ok(samples),
        }
    }

    fn save_graph(&self, checkpoint: &Path) -> Result<(), TrainingError> {
        match &self.graph {
            Some(graph) => graph.save(checkpoint),
            None => Ok(()),
        }
    }
}

impl<C: Classifier> TaskParts<C> for Classes<'_> {
    type Task = Classification;

    fn load(
        &self,
        source: &DataSource,
        seed: u64,
        part_and_role: (Part, Role),
        amount: Amount,
    ) -> Result<Classification, TrainingError> {
        let samples = self.samples(source, seed, part_and_role, amount)?;
        Ok(Classification::new(samples))
    }

    fn save(&self, _: &C, checkpoint: &Path) -> Result<(), TrainingError> {
        self.save_graph(checkpoint)
    }
}

/// The parts of an arrhythmia detection.
struct Arrhythmias<'a> {
    classes: Classes<'a>,
    config: &'a ArrhythmiaConfig,
}

impl<C: Classifier> TaskParts<C> for Arrhythmias<'_> {
    type Task = ArrhythmiaDetection;

    fn load(
        &self,
        source: &DataSource,
        seed: u64,
        part_and_role: (Part, Role),
        amount: Amount,
    ) -> Result<ArrhythmiaDetection, TrainingError> {
        let samples = self.classes.samples(source, seed, part_and_role, amount)?;
        Ok(ArrhythmiaDetection::new(samples, self.config))
    }

    fn save(&self, _: &C, checkpoint: &Path) -> Result<(), TrainingError> {
        self.classes.save_graph(checkpoint)
    }
}

/// The parts of an anomaly detection.
struct Anomalies<'a> {
    model: &'a ModelConfig,
    config: &'a AnomalyConfig,
}

impl<A: Autoencoder> TaskParts<A> for Anomalies<'_> {
    type Task = AnomalyDetection;

    fn load(
        &self,
        source: &DataSource,
        seed: u64,
        (part, role): (Part, Role),
        amount: Amount,
    ) -> Result<AnomalyDetection, TrainingError> {
        let samples = samples(self.model, source, seed, (part, role), amount)?;
        match role {
            Role::Learn => AnomalyDetection::learn(samples, self.config),
            Role::Judge => AnomalyDetection::judge(samples, self.config),
        }
    }
}
