//! Language models from their folders, with what is learned beside them.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use crossburn_checkpoints::{CheckpointError, ModelFolder, Tokenizer, save_adapter, write_bytes};
use crossburn_models::decoder::family::DecoderNames;
use crossburn_models::decoder::{AdaptedDecoder, Adapter, AdapterConfig, Decoder, DecoderConfig};
use crossburn_models::{PretrainedConfig, initialize};
use serde::{Deserialize, Serialize};

use crate::TrainingError;

/// What a checkpoint says of the model that its weights belong beside.
const BASE: &str = "base.json";

/// A model folder that a network is from.
#[derive(Debug)]
pub(crate) struct Pretrained {
    folder: PathBuf,
    config: DecoderConfig,
    names: DecoderNames,
    adapter: Option<AdapterConfig>,
    /// Checksum of the weights.
    weights: String,
}

/// A network from a model folder.
pub(crate) enum Opened {
    /// Its own weights learn.
    Whole(Decoder),
    /// An adapter learns beside them.
    Adapted(AdaptedDecoder),
}

/// The content of [`BASE`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Base {
    folder: PathBuf,
    weights: String,
}

impl Pretrained {
    /// Reads the network that `model` names, on `device`; a new adapter is drawn from `seed`.
    ///
    /// # Errors
    /// Those of [`ModelFolder::decoder`], of its tokenizer, and an adapter that does not fit.
    pub(crate) fn open(
        model: &PretrainedConfig,
        seed: u64,
        device: &Device,
    ) -> Result<(Opened, Tokenizer, Self), TrainingError> {
        let folder = ModelFolder::open(&model.folder)?;
        let (config, names) = folder.decoder_config()?;
        let tokenizer = folder.tokenizer(config.vocabulary)?;
        let adapter = model.adapter.as_ref();
        let adapter = adapter
            .map(|adapter| adapter.init(&config, device))
            .transpose();
        let adapter = adapter.map_err(|cause| CheckpointError::Model {
            path: model.folder.clone(),
            cause,
        })?;
        let decoder = folder.decoder(device)?.module;
        let pretrained = Self {
            weights: folder.weights_checksum()?,
            folder: model.folder.clone(),
            config,
            names,
            adapter: model.adapter.clone(),
        };
        let opened = match adapter {
            Some(adapter) => {
                Opened::Adapted(AdaptedDecoder::new(decoder, initialize(adapter, seed)))
            }
            None => Opened::Whole(decoder),
        };
        Ok((opened, tokenizer, pretrained))
    }

    /// What the network is.
    pub(crate) fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Writes into `checkpoint` which model the weights belong to, and `adapter` in the layout of PEFT.
    ///
    /// # Errors
    /// Those of [`save_adapter`], and a file that cannot be written.
    pub(crate) fn save(
        &self,
        adapter: Option<&Adapter>,
        checkpoint: &Path,
    ) -> Result<(), TrainingError> {
        if let (Some(adapter), Some(config)) = (adapter, &self.adapter) {
            let base = self.folder.display().to_string();
            save_adapter(
                checkpoint,
                adapter,
                config,
                &self.config,
                &self.names,
                &base,
            )?;
        }
        let base = Base {
            folder: self.folder.clone(),
            weights: self.weights.clone(),
        };
        let path = checkpoint.join(BASE);
        let text =
            serde_json::to_string_pretty(&base).map_err(|cause| CheckpointError::Encode {
                path: path.clone(),
                cause: cause.to_string(),
            })?;
        Ok(write_bytes(&path, text.as_bytes())?)
    }

    /// Refuses a checkpoint whose weights were learned beside those of another model.
    ///
    /// # Errors
    /// [`TrainingError::OtherBase`].
    pub(crate) fn expect_base(&self, checkpoint: &Path) -> Result<(), TrainingError> {
        let path = checkpoint.join(BASE);
        let read = |cause| TrainingError::Read {
            path: path.clone(),
            cause,
        };
        let bytes = std::fs::read(&path).map_err(read)?;
        let base: Base =
            serde_json::from_slice(&bytes).map_err(|cause| CheckpointError::Malformed {
                path: path.clone(),
                cause: cause.to_string(),
            })?;
        match base.weights == self.weights {
            true => Ok(()),
            false => Err(TrainingError::OtherBase {
                checkpoint: checkpoint.to_path_buf(),
                folder: self.folder.clone(),
            }),
        }
    }
}
