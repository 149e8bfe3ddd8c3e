//! A network on a hardware: how its layers are used, and what they cost.

use std::path::PathBuf;

use anyhow::{Result, bail};
use burn::tensor::Device;
use crossburn_checkpoints::load_checkpoint;
use crossburn_hardware::AdcRange;
use crossburn_hardware::deploy::{Hardware, MappedNetwork};
use crossburn_models::{Classifier, WithClassifier};
use crossburn_noise::matrix_weights;
use crossburn_training::Recipe;
use crossburn_training::data::DataSource;
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
        let special = self.hardware.config().layers.iter();
        for layer in special {
            if layer.mapping.is_some() || layer.array.is_some() {
                bail!(
                    "layer `{}` has a mapping or an array of its own, and the cost model counts one kind of array: leave it \
                     out, or set the layer digital",
                    layer.path
                );
            }
        }
        let (given, counted) = (
            self.hardware.config().mapping.slices,
            accelerator.array().slices(),
        );
        if let Some(slices) = given.filter(|slices| usize::from(*slices) != counted) {
            bail!(
                "mapping.slices = {slices}, and the cost model counts the {counted} that a weight needs: leave it out"
            );
        }
        let (network, _) = load_checkpoint(&self.folder, network)?;
        let data = clock.time("data", || {
            self.source
                .load(self.recipe.seed, Some(self.images), Some(1))
        })?;
        self.recipe.model.check(data.train.shape)?;
        let indices: Vec<usize> = (0..self.images).collect();
        let images = data.train.images(&indices, self.device);
        let hardware = uncalibrated(&self.hardware)?;
        let mapped = clock.time("mapping", || {
            MappedNetwork::new(&network, &hardware, self.images, |network| {
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

/// The same hardware with converters over the largest possible currents. Costs do not depend on the range, and finding it
/// takes a pass of all images through the arrays.
fn uncalibrated(hardware: &Hardware) -> Result<Hardware> {
    let mut config = hardware.config().clone();
    if let Some(adc) = &mut config.array.adc {
        adc.range = AdcRange::Max;
    }
    Ok(Hardware::try_from(config)?)
}
