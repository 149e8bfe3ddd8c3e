//! Weights that training starts from.

use std::path::Path;

use crossburn_checkpoints::{StateDict, WEIGHTS_FILE, read_manifest};
use crossburn_models::Network;
use crossburn_noise::PathPattern;

use crate::{Recipe, TrainingError};

/// The range of a quantized activation, which a network of full precision does not have.
const RANGE: &str = "quantizer.range";

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
        let folder = checkpoint(from);
        read_manifest(folder.as_ref())?;
        let mut weights = StateDict::open(&folder.join(WEIGHTS_FILE))?;
        for (old, new) in N::ALIASES {
            weights = weights.renamed(old, new)?;
        }
        let has_ranges = weights.names().any(|name| name.ends_with(RANGE));
        let ranges = [PathPattern::new(format!("*{RANGE}"))];
        let keep = if has_ranges { &[] } else { &ranges[..] };
        Ok(weights.load(network, keep)?)
    }
}

/// The checkpoint of the run in `folder`, or `folder` itself.
fn checkpoint(folder: &Path) -> std::path::PathBuf {
    let inside = folder.join("checkpoint");
    match inside.is_dir() {
        true => inside,
        false => folder.to_path_buf(),
    }
}
