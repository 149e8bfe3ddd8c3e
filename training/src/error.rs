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
    /// A refused value of a recipe.
    pub(crate) fn setting(key: &'static str, value: impl ToString, remedy: &'static str) -> Self {
        Self::Setting {
            key,
            value: value.to_string(),
            remedy,
        }
    }
}
