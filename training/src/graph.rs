//! Classifiers from ONNX files.

use std::path::Path;

use burn::tensor::Device;
use crossburn_checkpoints::{CheckpointError, OnnxFile};
use crossburn_models::onnx::{OnnxInput, OnnxNetwork};
use crossburn_models::{ModelError, OnnxConfig};

use crate::TrainingError;
use crate::data::Samples;

/// Name of the graph of a network, in the folder of its checkpoint.
pub const GRAPH_FILE: &str = "graph.onnx";

/// The graph that a network is from, and what it fits.
#[derive(Debug)]
pub(crate) struct Graph {
    file: OnnxFile,
    input: OnnxInput,
    outputs: usize,
}

impl Graph {
    /// Reads the network that `config` names, on `device`. A few items pass through it.
    ///
    /// # Errors
    /// Those of [`OnnxFile`], and a graph that does not give a row of outputs for each item.
    pub(crate) fn open(
        config: &OnnxConfig,
        device: &Device,
    ) -> Result<(OnnxNetwork, Self), TrainingError> {
        let file = OnnxFile::open(&config.file)?;
        let network = file.network(device)?;
        let row = network.check().map_err(|cause| CheckpointError::Onnx {
            path: config.file.clone(),
            cause,
        })?;
        let graph = Self {
            input: network.input().clone(),
            outputs: row.iter().product(),
            file,
        };
        Ok((network, graph))
    }

    /// Refuses samples of another shape, or of more classes than it has outputs.
    ///
    /// # Errors
    /// [`ModelError`] with both.
    pub(crate) fn check(&self, samples: &Samples) -> Result<(), TrainingError> {
        let [channels, height, width] = samples.shape;
        if !self.input.takes(samples.shape) {
            return Err(ModelError::InputShape {
                model: "onnx",
                expected: self.input.to_string(),
                channels,
                height,
                width,
            }
            .into());
        }
        match samples.classes > self.outputs {
            true => Err(ModelError::Classes {
                model: "onnx",
                outputs: self.outputs,
                classes: samples.classes,
            }
            .into()),
            false => Ok(()),
        }
    }

    /// Writes the graph into the folder of a checkpoint, which then does without the file that it is from.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(crate) fn save(&self, checkpoint: &Path) -> Result<(), TrainingError> {
        Ok(self.file.copy_to(&checkpoint.join(GRAPH_FILE))?)
    }
}
