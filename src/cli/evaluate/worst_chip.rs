//! The chip that a worst-case search has found, as a direction to sample along.

use std::path::Path;

use anyhow::{Result, bail};

use crate::cli::stored_network::StoredNetwork;
use crate::report::{Document, WorstCaseResults};

/// A chip that a worst-case search has found for the network in question.
pub(super) struct WorstChip {
    pub(super) stored: StoredNetwork,
}

impl WorstChip {
    /// The chip in the run folder `run` of a search on `network`.
    ///
    /// # Errors
    /// A folder that is no such run, and a search on other weights.
    pub(super) fn open(run: &Path, network: &StoredNetwork) -> Result<Self> {
        let results = WorstCaseResults::read(run)?;
        if results.config["weights"] != network.manifest.weights_checksum() {
            bail!(
                "{} was searched on other weights than those of {}: run crossburn worst-case on this checkpoint",
                run.display(),
                network.folder.display()
            );
        }
        // The run may be named by its document.
        let folder = match run.is_dir() {
            true => run,
            false => run.parent().unwrap_or(run),
        };
        Ok(Self {
            stored: StoredNetwork::open(&folder.join("worst-chip"))?,
        })
    }

    /// The checksum of its weights.
    pub(super) fn checksum(&self) -> &str {
        self.stored.manifest.weights_checksum()
    }
}
