//! What can go wrong with data, recipes and training.

use std::path::PathBuf;

use crossburn_models::Family;

/// An error of the training crate: one line that names the thing and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// A file that cannot be read.
    #[error("cannot read {}: {cause}; check the path and its permissions", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's word.
        cause: std::io::Error,
    },
    /// Files that a folder does not hold.
    #[error("{} holds no {missing}{}; name the folder that holds the original files", folder.display(), found)]
    Missing {
        /// The folder.
        folder: PathBuf,
        /// The names that were looked for.
        missing: String,
        /// What the folder holds in their place, as the rest of the sentence; empty where that says nothing.
        found: String,
    },
    /// A file that is larger than what is read.
    #[error("{} is larger than {mebibytes} MiB unpacked, the most that is read: name a smaller set", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in MiB.
        mebibytes: u64,
    },
    /// A file that is not what its name says.
    #[error("{} is not a usable {format} file: {problem}; fetch it again", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What it should be.
        format: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Data that cannot be used.
    #[error("{place}: {problem}; {remedy}")]
    Data {
        /// The file, with the array, or the line and the column.
        place: String,
        /// What is wrong.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// A data source that does not exist.
    #[error("`{text}` is no data source: use {known}")]
    Source {
        /// What was given.
        text: String,
        /// The sources that exist.
        known: String,
    },
    /// A data source of texts where samples are needed, or the other way round.
    #[error("`{source_name}` has {has}, {needs} needed: use another source, or another task")]
    Content {
        /// The data source.
        source_name: String,
        /// What it has.
        has: &'static str,
        /// What the task needs.
        needs: &'static str,
    },
    /// Tokens that the network does not have.
    #[error(
        "the network has {outputs} tokens, the texts have {tokens}: use the tokenizer that belongs to the network"
    )]
    Vocabulary {
        /// Tokens of the network.
        outputs: usize,
        /// Tokens of the texts.
        tokens: usize,
    },
    /// A data source with options that cannot be used.
    #[error("`{source_name}`: {problem}")]
    SourceOption {
        /// The data source.
        source_name: String,
        /// What is wrong, and what is allowed.
        problem: String,
    },
    /// More samples than there are, or none.
    #[error(
        "{wanted} {what} samples were asked for, {source_name} has {available}: use a number from 1 to {available}"
    )]
    TooMany {
        /// How many were asked for.
        wanted: usize,
        /// Training or test.
        what: &'static str,
        /// The data source.
        source_name: String,
        /// How many there are.
        available: usize,
    },
    /// Items that the network has too few outputs for.
    #[error(
        "the network has {outputs} outputs, the data has {needed} {what}: use a network with {needed} outputs or more, or other data"
    )]
    Outputs {
        /// Outputs of the network.
        outputs: usize,
        /// Outputs that the items need.
        needed: usize,
        /// What each of these is for, in the plural.
        what: &'static str,
    },
    /// A network of another kind than the task takes.
    #[error(
        "task.kind = {task} takes a network that is a {takes}, {model} is a {family}: choose another model or task"
    )]
    TaskModel {
        /// The task.
        task: &'static str,
        /// The kind of network that it takes.
        takes: Family,
        /// The network.
        model: &'static str,
        /// Its kind.
        family: Family,
    },
    /// Data that only another program has.
    #[error(
        "data.source = own names the data of another program: train there, or name another source"
    )]
    OwnData,
    /// Something that a task cannot do.
    #[error("{what} needs {needs}; {metric} does not have that: leave it out, or use another task")]
    NotOffered {
        /// What was asked for.
        what: &'static str,
        /// What it needs.
        needs: &'static str,
        /// The metric of the task.
        metric: String,
    },
    /// A metric that items do not have.
    #[error("{metric} is not defined here: {why}; use other data, or another task")]
    Undefined {
        /// The metric.
        metric: String,
        /// Why not.
        why: String,
    },
    /// A value of a recipe that cannot be used.
    #[error("{key} = {value} is not allowed: use {remedy}")]
    Setting {
        /// The key.
        key: &'static str,
        /// The refused value.
        value: String,
        /// What is allowed.
        remedy: &'static str,
    },
    /// A loss that is not finite.
    #[error(
        "the loss became {loss} in epoch {epoch}, step {step}: lower the learning rate or the noise"
    )]
    Diverged {
        /// Epoch, from 1.
        epoch: usize,
        /// Step of the epoch, from 1.
        step: usize,
        /// The loss.
        loss: f64,
    },
    /// Work that was stopped before its end.
    #[error("the work was stopped before its end: start it again")]
    Stopped,
    /// A network that cannot be certified.
    #[error(
        "this network does not enclose itself: declare its computation over any arithmetic, as those of this crate do"
    )]
    NoEnclosure,
    /// Weights that were learned beside those of another model.
    #[error(
        "{} was tuned for other weights than those in {}: take the base that it was tuned for",
        checkpoint.display(),
        folder.display()
    )]
    OtherBase {
        /// What was tuned.
        checkpoint: PathBuf,
        /// The base that is there.
        folder: PathBuf,
    },
    /// A state of another recipe.
    #[error(
        "{folder} holds the state of another recipe: choose another --out, or start without --resume"
    )]
    OtherRecipe {
        /// The folder.
        folder: String,
    },
    /// A distillation that goes on from another network than it began with.
    #[error(
        "the network that training began with, the teacher, has other weights now: bring it back, or start without --resume"
    )]
    OtherTeacher,
    /// A training that goes on with other items than it began with.
    #[error(
        "the items to learn from have changed since this run began; hint: start without --resume"
    )]
    OtherItems,
    /// A race about another test set.
    #[error(
        "the race is about {raced} items, there are {items}: race about all of them, in its order"
    )]
    RaceItems {
        /// Items of the race.
        raced: usize,
        /// Items there are.
        items: usize,
    },
    /// A network whose outputs are no numbers, so that it cannot be judged.
    #[error(
        "{what} gives {value} for output {output} of item {item}, which cannot be judged: check its weights, or let them \
         deviate less"
    )]
    NotFinite {
        /// The network, or which chip of it.
        what: String,
        /// The item, by its position from 0 in the order of the evaluation.
        item: usize,
        /// The number of the output, from 0.
        output: usize,
        /// Its value.
        value: f32,
    },
    /// A network whose computation depends on values, and met one that it cannot compute with.
    #[error("{what} cannot compute {place}: {cause}")]
    Failed {
        /// The network, or which chip of it.
        what: String,
        /// With what, such as which items.
        place: String,
        /// Where it failed, why, and what to do.
        cause: String,
    },
    /// A device that could not give a result back.
    #[error("the device could not return a result: {0}; try --device cpu")]
    Device(String),
    /// A path of `[arrays]` at which the network has no weight.
    #[error("[arrays]: {0}")]
    Arrays(#[source] crossburn_noise::NoiseError),
    /// A hardware of training that the network does not fit.
    #[error("[hardware]: {0}")]
    OnHardware(#[source] crossburn_hardware::HardwareError),
    /// A bad variation.
    #[error(transparent)]
    Noise(#[from] crossburn_noise::NoiseError),
    /// A hardware that cannot carry the network.
    #[error(transparent)]
    Hardware(#[from] crossburn_hardware::HardwareError),
    /// A network that does not fit.
    #[error(transparent)]
    Model(#[from] crossburn_models::ModelError),
    /// A state that cannot be kept or read.
    #[error(transparent)]
    Checkpoint(#[from] crossburn_checkpoints::CheckpointError),
}

impl TrainingError {
    /// The same error, where items were counted from the item `first` on.
    pub(crate) fn at_item(self, first: usize) -> Self {
        match self {
            Self::NotFinite {
                what,
                item,
                output,
                value,
            } => Self::NotFinite {
                what,
                item: first + item,
                output,
                value,
            },
            error => error,
        }
    }

    /// The same error, where the network is that of `chip`.
    pub(crate) fn of_chip(self, chip: impl std::fmt::Display) -> Self {
        match self {
            Self::NotFinite {
                item,
                output,
                value,
                ..
            } => Self::NotFinite {
                what: format!("chip {chip}"),
                item,
                output,
                value,
            },
            Self::Failed { place, cause, .. } => Self::Failed {
                what: format!("chip {chip}"),
                place,
                cause,
            },
            error => error,
        }
    }

    /// Data at `place` that cannot be used.
    pub(crate) fn data(
        place: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        // What a file holds may be in the text: an error is one line.
        let line = |text: String| -> String {
            let shown = |c: char| match c.is_control() {
                true => c.escape_default().collect::<String>(),
                false => c.to_string(),
            };
            text.chars().map(shown).collect()
        };
        Self::Data {
            place: line(place.into()),
            problem: line(problem.into()),
            remedy: line(remedy.into()),
        }
    }

    /// A refused value of a recipe.
    pub(crate) fn setting(key: &'static str, value: impl ToString, remedy: &'static str) -> Self {
        Self::Setting {
            key,
            value: value.to_string(),
            remedy,
        }
    }
}
