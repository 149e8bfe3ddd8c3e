//! Maps a network to a hardware: how its layers are used, and their cost.

use std::path::PathBuf;

use anyhow::{Result, bail};
use burn::tensor::Device;
use crossburn_hardware::deploy::{Hardware, MappedNetwork};
use crossburn_models::Network;
use crossburn_noise::matrix_weights;
use crossburn_training::data::{Amount, DataSource};
use crossburn_training::{Learn, Part, Recipe, Role, Task, TaskParts, WithTask};
use serde_json::Value;

use super::stored_weights::load_stored;
use super::study::{self, Clock};
use crate::report::{Document, Mapping, MappingData};

/// Maps one checkpoint. Its network is passed to [`WithTask::run`].
#[derive(Debug)]
pub(crate) struct MappingJob<'a> {
    /// Folder of the checkpoint; none if the network is built together with its weights.
    pub(crate) checkpoint: Option<PathBuf>,
    /// Its recipe.
    pub(crate) recipe: &'a Recipe,
    /// The source of items that pass once, to find out how layers are used.
    pub(crate) source: DataSource,
    /// How many of them, from the first training item on.
    pub(crate) items: usize,
    /// Name of the accelerator: a preset, or the name of a file without its ending.
    pub(crate) accelerator: String,
    /// The accelerator.
    pub(crate) hardware: Hardware,
    /// The settings of the network, for the document.
    pub(crate) config: Value,
    /// Command line that repeats the run.
    pub(crate) reproduce: String,
    /// Where the network computes.
    pub(crate) device: &'a Device,
}

impl WithTask for MappingJob<'_> {
    type Output = Result<Mapping>;

    fn run<N: Network, P: TaskParts<N>>(self, network: N, parts: P) -> Result<Mapping> {
        let mut clock = Clock::new();
        // A hardware without costs is refused before any work.
        let accelerator = self.hardware.accelerator()?;
        let network = load_stored(self.checkpoint.as_deref(), network, &parts)?;
        let task = clock.time("data", || {
            let amount = Amount::exactly(self.items);
            let of = (Part::Training, Role::Learn);
            parts.load(&self.source, self.recipe.seed, of, amount)
        })?;
        let items: Vec<usize> = (0..task.items()).collect();
        let batch = task.batch(&items, self.device)?;
        let mapped = clock.time("mapping", || {
            let weights = self.recipe.weights::<N>();
            let placement = weights.placement();
            let hardware = self.hardware.with_placement(placement, &network)?;
            MappedNetwork::new(&network, &hardware, items.len(), |network| {
                task.forward(network, &batch);
            })
        })?;
        let unseen = mapped.unseen();
        if !unseen.is_empty() {
            bail!(
                "it is not known how the network uses {}: leave these layers digital with --digital",
                unseen.join(", ")
            );
        }
        let layers = mapped.shapes();
        if layers.is_empty() {
            bail!("no layer is on arrays: every layer is digital");
        }
        let digital = matrix_weights(&network)
            .into_iter()
            .filter(|path| layers.iter().all(|layer| layer.path != *path))
            .collect();
        let cost = clock.time("cost", || accelerator.cost(&layers))?;
        let (version, commit) = study::version();
        Ok(Mapping {
            schema: Mapping::SCHEMA.to_string(),
            version,
            commit,
            reproduce: self.reproduce,
            config: self.config,
            data: MappingData {
                source: self.source.to_string(),
                items: items.len(),
            },
            accelerator: self.accelerator,
            hardware: mapped.hardware().config().clone(),
            layers,
            digital,
            cost,
            timing: clock.timing(),
        })
    }
}
