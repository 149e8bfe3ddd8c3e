//! A language model that this program trained: its checkpoint, or the run folder around it.
//!
//! Its weights are all in the checkpoint. What decoder it is and which tokenizer it has, the checkpoint says of a model that was trained from
//! the start; of one whose training began with the weights of another, that other one says it.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use crossburn_models::decoder::family::{self, DecoderNames};
use crossburn_models::decoder::{Decoder, DecoderConfig, DecoderError, DecoderSizes};
use crossburn_models::{ModelConfig, PretrainedConfig};

use crate::{
    CheckpointError, LanguageModel, MANIFEST_FILE, Manifest, Tokenizer, load_checkpoint,
    read_manifest,
};

/// Models that one may be trained on from, one after the other: files that name one another must not be followed for ever.
const MOST_BASES: usize = 16;

/// The checkpoint of a decoder. Only its manifest is read at first.
#[derive(Debug)]
pub(crate) struct OwnModel {
    checkpoint: PathBuf,
    manifest: Manifest,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Trained from the start.
    Sized(DecoderSizes),
    /// Trained on from another model.
    Continued(LanguageModel),
}

impl OwnModel {
    /// The checkpoint at `path` or in the run folder `path`, which `bases` other models lead to; `None` where there is none.
    ///
    /// # Errors
    /// Those of [`read_manifest`] and of the model that training began with, [`CheckpointError::NotALanguageModel`] for the checkpoint of
    /// another network, [`CheckpointError::OnlyAnAdapter`], and [`CheckpointError::TooManyBases`].
    pub(crate) fn find(path: &Path, bases: usize) -> Result<Option<Self>, CheckpointError> {
        let mut places = [path.join("checkpoint"), path.to_path_buf()].into_iter();
        let Some(checkpoint) = places.find(|place| place.join(MANIFEST_FILE).is_file()) else {
            return Ok(None);
        };
        let manifest = read_manifest(&checkpoint)?;
        let kind = match serde_json::from_value(manifest.architecture.clone()) {
            Ok(ModelConfig::Decoder(sizes)) => Kind::Sized(sizes),
            Ok(ModelConfig::Pretrained(PretrainedConfig {
                folder,
                adapter: None,
                ..
            })) if bases < MOST_BASES => {
                Kind::Continued(LanguageModel::open_after(&folder, bases + 1)?)
            }
            Ok(ModelConfig::Pretrained(PretrainedConfig { adapter: None, .. })) => {
                return Err(CheckpointError::TooManyBases {
                    dir: checkpoint,
                    most: MOST_BASES,
                });
            }
            Ok(ModelConfig::Pretrained(PretrainedConfig { folder, .. })) => {
                return Err(CheckpointError::OnlyAnAdapter {
                    dir: checkpoint,
                    base: folder,
                });
            }
            _ => return Err(CheckpointError::NotALanguageModel { dir: checkpoint }),
        };
        Ok(Some(Self {
            checkpoint,
            manifest,
            kind,
        }))
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

    /// What it is, and the names by which its tensors are known elsewhere: for a model that was trained from the start those of Llama.
    pub(crate) fn decoder_config(&self) -> Result<(DecoderConfig, DecoderNames), CheckpointError> {
        match &self.kind {
            Kind::Sized(sizes) => {
                let config = sizes.config().map_err(self.explained())?;
                let names = family::llama_names(&config);
                Ok((config, names))
            }
            Kind::Continued(base) => base.decoder_config(),
        }
    }

    /// The model that training began with.
    pub(crate) fn base(&self) -> Option<&LanguageModel> {
        match &self.kind {
            Kind::Sized(_) => None,
            Kind::Continued(base) => Some(base),
        }
    }

    pub(crate) fn decoder(&self, device: &Device) -> Result<Decoder, CheckpointError> {
        let (config, _) = self.decoder_config()?;
        let decoder = config.init(device).map_err(self.explained())?;
        Ok(load_checkpoint(&self.checkpoint, decoder)?.0)
    }

    pub(crate) fn tokenizer(&self, vocabulary: usize) -> Result<Tokenizer, CheckpointError> {
        match &self.kind {
            Kind::Sized(_) => Tokenizer::open(&self.checkpoint, vocabulary),
            Kind::Continued(base) => base.tokenizer(vocabulary),
        }
    }
}
