//! What can go wrong with data, recipes and training.

use std::path::PathBuf;

/// An error of the training crate: one line that names the thing and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// A file that cannot be read.
    #[error("cannot read {}: {cause}; name the folder that holds the original files", path.display())]
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
    /// A data source that does not exist.
    #[error("`{text}` is no data source: use digits, mnist:DIR or cifar10:DIR")]
    Source {
        /// What was given.
        text: String,
    },
    /// More images than there are, or none.
    #[error(
        "{wanted} {what} images were asked for, {source_name} has {available}: use a number from 1 to {available}"
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
    /// Images with labels that the network has no output for.
    #[error(
        "the network has {outputs} outputs, the images have {classes} classes: use a network with {classes} outputs or more, or other images"
    )]
    Classes {
        /// Outputs of the network.
        outputs: usize,
        /// Classes of the images.
        classes: usize,
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
    /// A network that cannot be certified.
    #[error(
        "this network does not enclose itself: declare its computation over any arithmetic (Classifier::enclose)"
    )]
    NoEnclosure,
    /// A state of another recipe.
    #[error(
        "{folder} holds the state of another recipe: choose another --out, or start without --resume"
    )]
    OtherRecipe {
        /// The folder.
        folder: String,
    },
    /// A race about another test set.
    #[error(
        "the race is about {raced} images, there are {images}: race about all of them, in its order"
    )]
    RaceImages {
        /// Images of the race.
        raced: usize,
        /// Images there are.
        images: usize,
    },
    /// A network whose outputs are no numbers, so that it has no accuracy.
    #[error(
        "{what} gives {value} for class {class} of image {image}, which is no accuracy: check its weights, or let them \
         deviate less"
    )]
    NotFinite {
        /// The network, or which chip of it.
        what: String,
        /// The image, by its position from 0 in the order of the evaluation.
        image: usize,
        /// The class.
        class: usize,
        /// The output.
        value: f32,
    },
    /// A device that could not give a result back.
    #[error("the device could not return a result: {0}; try --device cpu")]
    Device(String),
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
    /// The same error, where images were counted from the image `first` on.
    pub(crate) fn at_image(self, first: usize) -> Self {
        match self {
            Self::NotFinite {
                what,
                image,
                class,
                value,
            } => Self::NotFinite {
                what,
                image: first + image,
                class,
                value,
            },
            error => error,
        }
    }

    /// The same error, where the network is that of `chip`.
    pub(crate) fn of_chip(self, chip: impl std::fmt::Display) -> Self {
        match self {
            Self::NotFinite {
                image,
                class,
                value,
                ..
            } => Self::NotFinite {
                what: format!("chip {chip}"),
                image,
                class,
                value,
            },
            error => error,
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
