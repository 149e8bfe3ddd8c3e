//! Loads a checkpoint into a network.

use std::path::Path;

use anyhow::Result;
use crossburn_checkpoints::load_checkpoint;
use crossburn_models::Network;
use crossburn_training::TaskParts;

/// Loads the weights of `checkpoint` into `network`, and what is stored beside them into `parts`. Without a checkpoint, the network has its weights
/// already: it was built from the folder of another program.
///
/// # Errors
/// A checkpoint that cannot be read or does not fit.
pub(crate) fn load_stored<N: Network, P: TaskParts<N>>(
    checkpoint: Option<&Path>,
    network: N,
    parts: &P,
) -> Result<N> {
    let Some(checkpoint) = checkpoint else {
        return Ok(network);
    };
    parts.open(checkpoint)?;
    Ok(load_checkpoint(checkpoint, network)?.0)
}
