//! The chip that a worst-case search has found, as a direction for sampling.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::apps::stored_network::StoredNetwork;
use crate::report::{Document, WorstCaseResults};

/// A chip that a worst-case search has found for the same network.
pub(crate) struct WorstChip {
    /// The run folder of the search.
    pub(crate) run: PathBuf,
    pub(crate) stored: StoredNetwork,
}

impl WorstChip {
    /// Opens the chip in the run folder `run` of a search on `network`.
    ///
    /// # Errors
    /// If the folder is no such run, or the search was on other weights.
    pub(crate) fn open(run: &Path, network: &StoredNetwork) -> Result<Self> {
        let results = WorstCaseResults::read(run)?;
        if results.config["weights"] != network.manifest.weights_checksum() {
            bail!(
                "{} was searched on other weights than those of {}: run crossburn worst-case on this checkpoint",
                run.display(),
                network.folder.display()
            );
        }
        // The run may be given by the path of its document.
        let folder = match run.is_dir() {
            true => run,
            false => run.parent().unwrap_or(run),
        };
        Ok(Self {
            run: run.to_path_buf(),
            stored: StoredNetwork::open(&folder.join("worst-chip"))?,
        })
    }

    /// The checksum of the chip's weights.
    pub(crate) fn checksum(&self) -> &str {
        self.stored.manifest.weights_checksum()
    }
}
