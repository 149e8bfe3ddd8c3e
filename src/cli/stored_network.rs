//! A stored network, with what the user should know of its graph.

use std::path::Path;

use anyhow::Result;
use crossburn_models::onnx::OnnxNetwork;

use super::note;
use crate::apps::stored_network::{StoredNetwork, graph_notes};

/// The network at `path`; what of a graph is not used, or never varies, is said.
///
/// # Errors
/// Those of [`StoredNetwork::open`].
pub(super) fn open_stored(path: &Path) -> Result<StoredNetwork> {
    let stored = StoredNetwork::open(path)?;
    stored.notes.iter().for_each(|line| note(line));
    Ok(stored)
}

/// Says what of the graph in `file` is not used, and what of it never varies.
pub(super) fn note_graph(file: &Path, network: &OnnxNetwork) {
    graph_notes(file, network)
        .iter()
        .for_each(|line| note(line));
}
