//! Weights that training starts from.

use crossburn_checkpoints::{
    ACTIVATION_RANGE, StateDict, WEIGHTS_FILE, checkpoint_folder, read_manifest,
};
use crossburn_models::Network;
use crossburn_noise::PathPattern;

use crate::{Recipe, TrainingError};

impl Recipe {
    /// `network` as training starts: with the weights of the run of `training.from`, or as it is without one. A run in full precision
    /// leaves ranges of activations as they are: they follow training.
    ///
    /// # Errors
    /// [`TrainingError::Checkpoint`] for a folder without a checkpoint, and for weights that do not fit.
    pub fn started<N: Network>(&self, network: N) -> Result<N, TrainingError> {
        let Some(from) = &self.training.from else {
            return Ok(network);
        };
        let folder = checkpoint_folder(from);
        read_manifest(folder.as_ref())?;
        let mut weights = StateDict::open(&folder.join(WEIGHTS_FILE))?;
        for (old, new) in N::ALIASES {
            weights = weights.renamed(old, new)?;
        }
        let has_ranges = weights.names().any(|name| name.ends_with(ACTIVATION_RANGE));
        let ranges = [PathPattern::new(format!("*{ACTIVATION_RANGE}"))];
        let keep = if has_ranges { &[] } else { &ranges[..] };
        Ok(weights.load(network, keep)?)
    }
}
