//! Classifiers from ONNX files.

use std::path::Path;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::Device;
use crossburn_checkpoints::{CheckpointError, OnnxFile};
use crossburn_models::ModelError;
use crossburn_models::onnx::{OnnxError, OnnxNetwork};

use crate::TrainingError;
use crate::data::Samples;

/// Name of the graph of a network, in the folder of its checkpoint.
///
/// The graph has a folder of its own, so that no file beside it takes the place of one of the checkpoint.
pub const GRAPH_FILE: &str = "graph/graph.onnx";

/// The graph that a network is from, and what it fits.
#[derive(Debug)]
pub(crate) struct Graph {
    file: Arc<OnnxFile>,
    /// The network as the file has it, to see whether samples fit.
    network: OnnxNetwork,
}

impl Graph {
    /// The network of `file` on `device`. A few items pass through it.
    ///
    /// # Errors
    /// Those of [`OnnxFile`], and a graph that does not give a row of outputs for each item.
    pub(crate) fn of(
        file: Arc<OnnxFile>,
        device: &Device,
    ) -> Result<(OnnxNetwork, Self), TrainingError> {
        let network = file.network(device)?;
        let graph = Self {
            network: network.valid(),
            file,
        };
        graph.named(network.check())?;
        Ok((network, graph))
    }

    /// The error with the file that it is about.
    fn named<T>(&self, result: Result<T, OnnxError>) -> Result<T, TrainingError> {
        let path = self.file.path().to_path_buf();
        Ok(result.map_err(|cause| CheckpointError::Onnx { path, cause })?)
    }

    /// Its outputs for each of `samples`, of which a few pass through the network.
    ///
    /// # Errors
    /// [`ModelError`] for samples of another shape, and a node that cannot compute with such samples.
    pub(crate) fn outputs(&self, samples: &Samples) -> Result<usize, TrainingError> {
        let [channels, height, width] = samples.shape;
        let input = self.network.input();
        let Some(item) = input.item(samples.shape) else {
            return Err(ModelError::InputShape {
                model: "onnx",
                expected: input.to_string(),
                channels,
                height,
                width,
            }
            .into());
        };
        let outputs = self.named(self.network.check_items(&item))?;
        Ok(outputs.iter().product())
    }

    /// Writes the graph into the folder of a checkpoint, which then does without the file that it is from.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(crate) fn save(&self, checkpoint: &Path) -> Result<(), TrainingError> {
        Ok(self.file.copy_to(&checkpoint.join(GRAPH_FILE))?)
    }
}
