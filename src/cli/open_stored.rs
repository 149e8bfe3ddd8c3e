//! A stored network, with what the user should know of its graph.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use crossburn_checkpoints::OnnxFile;

use super::note;
use crate::apps::stored_network::{self, StoredNetwork};

/// The network at `path`; what of a graph is not used, or never varies, is said.
///
/// # Errors
/// Those of [`StoredNetwork::open`].
pub(super) fn open_stored(path: &Path) -> Result<StoredNetwork> {
    let stored = StoredNetwork::open(path)?;
    stored.notes.iter().for_each(|line| note(line));
    Ok(stored)
}

/// The graph in `file`; what of it is not used, or never varies, is said.
///
/// # Errors
/// A graph that cannot be read.
pub(super) fn noted_graph(file: &Path) -> Result<Arc<OnnxFile>> {
    let (graph, notes) = stored_network::noted_graph(file)?;
    notes.iter().for_each(|line| note(line));
    Ok(graph)
}
