//! A detector in a run folder.

use anyhow::{Context, Result, bail};
use crossburn_checkpoints::load_checkpoint;
use crossburn_models::Classifier;
use crossburn_training::data::Conventions;
use crossburn_training::{ArrhythmiaConfig, TaskConfig};

use crate::apps::stored_network::StoredNetwork;

/// A stored network that is a detector.
#[derive(Debug)]
pub(crate) struct StoredDetector<'a> {
    pub(crate) stored: &'a StoredNetwork,
    /// What counts as an alarm, and how segments are scaled.
    pub(crate) task: &'a ArrhythmiaConfig,
    /// How samples are normalized.
    pub(crate) conventions: Conventions,
}

impl<'a> StoredDetector<'a> {
    /// The detector in `stored`.
    ///
    /// # Errors
    /// If the network is no detector, or does not say how its segments were normalized.
    pub(crate) fn of(stored: &'a StoredNetwork) -> Result<Self> {
        let folder = stored.folder.display();
        let TaskConfig::ArrhythmiaDetection(task) = &stored.recipe.task else {
            bail!(
                "{folder} was trained for {}: train a detector, such as configs/recipes/iegm-procedural.toml",
                stored.recipe.task.name()
            );
        };
        let Some(conventions) = &stored.manifest.conventions else {
            bail!("{folder} does not say how its segments were normalized: train it again");
        };
        Ok(Self {
            conventions: serde_json::from_value(conventions.clone())
                .with_context(|| format!("in the manifest of {folder}"))?,
            stored,
            task,
        })
    }

    /// Loads the weights into `network`, as its recipe built it.
    ///
    /// # Errors
    /// A checkpoint that cannot be read or does not fit.
    pub(crate) fn load<C: Classifier>(&self, network: C) -> Result<C> {
        let Some(folder) = self.stored.checkpoint() else {
            bail!("{} is no checkpoint", self.stored.folder.display());
        };
        let network = self.stored.recipe.quantization.activations(network);
        let network = load_checkpoint(folder, network)?.0;
        self.stored.recipe.weights::<C>().check(&network)?;
        Ok(network)
    }
}
