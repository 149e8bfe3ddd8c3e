//! A network on a hardware: how its layers are used, and what they cost.

use std::path::PathBuf;

use anyhow::{Result, bail};
use burn::tensor::Device;
use crossburn_checkpoints::load_checkpoint;
use crossburn_hardware::deploy::{Hardware, MappedNetwork};
use crossburn_models::{Classifier, WithClassifier};
use crossburn_noise::matrix_weights;
use crossburn_training::Recipe;
use crossburn_training::data::{Amount, DataSource};
use serde_json::Value;

use super::study::{self, Clock};
use crate::report::{MAPPING_SCHEMA, Mapping, MappingData};

/// Maps one checkpoint; its network is what [`WithClassifier::run`] is given.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    /// Folder of the checkpoint.
    pub(crate) folder: PathBuf,
    /// Its recipe.
    pub(crate) recipe: &'a Recipe,
    /// Images that show how layers are used.
    pub(crate) source: DataSource,
    /// How many of them, from the first training image.
    pub(crate) images: usize,
    /// Name of the accelerator: a preset, or a file without its ending.
    pub(crate) accelerator: String,
    /// What it is.
    pub(crate) hardware: Hardware,
    /// What the document says about the network.
    pub(crate) config: Value,
    /// Command line that repeats the run.
    pub(crate) reproduce: String,
    /// Where the network computes.
    pub(crate) device: &'a Device,
}

impl WithClassifier for Job<'_> {
    type Output = Result<Mapping>;

    fn run<C: Classifier>(self, network: C) -> Result<Mapping> {
        let mut clock = Clock::new();
        // What cannot be costed is refused before any work.
        let accelerator = self.hardware.accelerator()?;
        let (network, _) = load_checkpoint(&self.folder, network)?;
        let training = clock.time("data", || {
            let amount = Amount::exactly(self.images);
            self.source.training_images(self.recipe.seed, amount)
        })?;
        self.recipe.model.check(training.shape)?;
        let indices: Vec<usize> = (0..self.images).collect();
        let images = training.inputs(&indices, self.device);
        let mapped = clock.time("mapping", || {
            MappedNetwork::new(&network, &self.hardware, self.images, |network| {
                network.forward(images.clone());
            })
        })?;
        let unseen = mapped.unseen();
        if !unseen.is_empty() {
            bail!(
                "it is not known how the network uses {}: set these layers digital in the description of the hardware",
                unseen.join(", ")
            );
        }
        let layers = mapped.shapes();
        if layers.is_empty() {
            bail!(
                "no layer is on arrays: every layer is digital in the description of the hardware"
            );
        }
        let digital = matrix_weights(&network)
            .into_iter()
            .filter(|path| layers.iter().all(|layer| layer.path != *path))
            .collect();
        let cost = clock.time("cost", || accelerator.cost(&layers))?;
        let (version, commit) = study::version();
        Ok(Mapping {
            schema: MAPPING_SCHEMA.to_string(),
            version,
            commit,
            reproduce: self.reproduce,
            config: self.config,
            data: MappingData {
                source: self.source.to_string(),
                images: self.images,
            },
            accelerator: self.accelerator,
            hardware: self.hardware.config().clone(),
            layers,
            digital,
            cost,
            timing: clock.timing(),
        })
    }
}
