//! A language model that this program trained: its checkpoint, or the run folder around it.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use crossburn_models::ModelConfig;
use crossburn_models::decoder::family::{self, DecoderNames};
use crossburn_models::decoder::{Decoder, DecoderConfig, DecoderError, DecoderSizes};

use crate::{CheckpointError, MANIFEST_FILE, Manifest, Tokenizer, load_checkpoint, read_manifest};

/// The checkpoint of a decoder. Only its manifest is read at first.
#[derive(Debug)]
pub(crate) struct OwnModel {
    checkpoint: PathBuf,
    manifest: Manifest,
    sizes: DecoderSizes,
}

impl OwnModel {
    /// The checkpoint at `path` or in the run folder `path`; `None` where there is none.
    ///
    /// # Errors
    /// Those of [`read_manifest`], and [`CheckpointError::NotALanguageModel`] for the checkpoint of another network.
    pub(crate) fn find(path: &Path) -> Result<Option<Self>, CheckpointError> {
        let mut places = [path.join("checkpoint"), path.to_path_buf()].into_iter();
        let Some(checkpoint) = places.find(|place| place.join(MANIFEST_FILE).is_file()) else {
            return Ok(None);
        };
        let manifest = read_manifest(&checkpoint)?;
        match serde_json::from_value(manifest.architecture.clone()) {
            Ok(ModelConfig::Decoder(sizes)) => Ok(Some(Self {
                checkpoint,
                manifest,
                sizes,
            })),
            _ => Err(CheckpointError::NotALanguageModel { dir: checkpoint }),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.checkpoint
    }

    pub(crate) fn weights_checksum(&self) -> &str {
        self.manifest.weights_checksum()
    }

    fn explained(&self) -> impl Fn(DecoderError) -> CheckpointError {
        |cause| CheckpointError::Model {
            path: self.checkpoint.clone(),
            cause,
        }
    }

    /// What it is, and the names that Llama's files have for its tensors, by which it is known elsewhere.
    pub(crate) fn decoder_config(&self) -> Result<(DecoderConfig, DecoderNames), CheckpointError> {
        let config = self.sizes.config().map_err(self.explained())?;
        let names = family::llama_names(&config);
        Ok((config, names))
    }

    pub(crate) fn decoder(&self, device: &Device) -> Result<Decoder, CheckpointError> {
        let decoder = self.sizes.init(device).map_err(self.explained())?;
        Ok(load_checkpoint(&self.checkpoint, decoder)?.0)
    }

    pub(crate) fn tokenizer(&self, vocabulary: usize) -> Result<Tokenizer, CheckpointError> {
        Tokenizer::open(&self.checkpoint, vocabulary)
    }
}
