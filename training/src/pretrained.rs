//! Language models from their folders, with what is learned beside them.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use crossburn_checkpoints::{
    CheckpointError, HeldAs, LanguageModel, Tokenizer, save_adapter, write_bytes,
};
use crossburn_models::decoder::family::DecoderNames;
use crossburn_models::decoder::{AdaptedDecoder, Adapter, AdapterConfig, Decoder, DecoderConfig};
use crossburn_models::{HeldForm, PretrainedConfig, initialize};
use serde::{Deserialize, Serialize};

use crate::data::Corpus;
use crate::task::{Limits, sequences};
use crate::{LanguageModelling, LanguageModellingConfig, TrainingError};

/// What a checkpoint says of the model that its weights belong beside.
const BASE: &str = "base.json";

/// A language model with its tokenizer: whatever [`LanguageModel`] opens. Opening it reads no weights but for their checksum.
#[derive(Debug)]
pub struct BaseModel {
    /// As it was named.
    folder: PathBuf,
    stored: LanguageModel,
    config: DecoderConfig,
    names: DecoderNames,
    tokenizer: Tokenizer,
    /// Checksum of the weights.
    weights: String,
}

impl BaseModel {
    /// The model at `folder`.
    ///
    /// # Errors
    /// Those of [`LanguageModel`].
    pub fn open(folder: &Path) -> Result<Self, TrainingError> {
        let stored = LanguageModel::open(folder)?;
        let (config, names) = stored.decoder_config()?;
        Ok(Self {
            folder: folder.to_path_buf(),
            tokenizer: stored.tokenizer(config.vocabulary)?,
            weights: stored.weights_checksum()?,
            stored,
            config,
            names,
        })
    }

    /// What it is.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Checksum of its weights.
    pub fn weights(&self) -> &str {
        &self.weights
    }

    /// Its tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The texts of `corpus` as it is to learn them.
    ///
    /// # Errors
    /// A text that is longer than it takes, by its place.
    pub fn task(
        &self,
        corpus: &Corpus,
        config: &LanguageModellingConfig,
    ) -> Result<LanguageModelling, TrainingError> {
        let limits = Limits::new(config, self.config.max_positions)?;
        LanguageModelling::new(sequences(corpus, &self.tokenizer, limits)?)
    }

    /// A new adapter of it on `device`.
    ///
    /// # Errors
    /// Those of [`AdapterConfig::init`].
    pub fn adapter(
        &self,
        adapter: &AdapterConfig,
        device: &Device,
    ) -> Result<Adapter, TrainingError> {
        let made = adapter.init(&self.config, device);
        Ok(made.map_err(|cause| CheckpointError::Model {
            path: self.folder.clone(),
            cause,
        })?)
    }

    /// The decoder with its weights on `device`, its matrices in the form `held`, or as 32-bit numbers.
    ///
    /// # Errors
    /// Those of [`LanguageModel::held_decoder`].
    pub fn decoder(
        &self,
        device: &Device,
        held: Option<HeldForm>,
    ) -> Result<Decoder, TrainingError> {
        let held = held.map_or(HeldAs::Floats, HeldAs::from);
        Ok(self.stored.held_decoder(device, held)?.module)
    }

    /// Bytes that the decoder takes at its peak while it is loaded, beside what stays in a mapped file.
    ///
    /// # Errors
    /// Those of [`LanguageModel::held_bytes`].
    pub fn held_bytes(&self, held: Option<HeldForm>) -> Result<u128, TrainingError> {
        let held = held.map_or(HeldAs::Floats, HeldAs::from);
        Ok(self.stored.held_bytes(held)?)
    }
}

/// A model that a network is from, and what learns beside it.
#[derive(Debug)]
pub(crate) struct Pretrained {
    base: BaseModel,
    adapter: Option<AdapterConfig>,
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
    /// Those of [`BaseModel`], and an adapter that does not fit.
    pub(crate) fn open(
        model: &PretrainedConfig,
        seed: u64,
        device: &Device,
    ) -> Result<(Opened, Self), TrainingError> {
        let base = BaseModel::open(&model.folder)?;
        let adapter = model.adapter.as_ref();
        let adapter = adapter
            .map(|adapter| base.adapter(adapter, device))
            .transpose()?;
        let decoder = base.decoder(device, model.weights)?;
        let opened = match adapter {
            Some(adapter) => {
                Opened::Adapted(AdaptedDecoder::new(decoder, initialize(adapter, seed)))
            }
            None => Opened::Whole(decoder),
        };
        let adapter = model.adapter.clone();
        Ok((opened, Self { base, adapter }))
    }

    /// The model that the network is from.
    pub(crate) fn base(&self) -> &BaseModel {
        &self.base
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
            let BaseModel {
                folder,
                config: decoder,
                names,
                ..
            } = &self.base;
            let folder = folder.display().to_string();
            save_adapter(checkpoint, adapter, config, decoder, names, &folder)?;
        }
        let base = Base {
            folder: self.base.folder.clone(),
            weights: self.base.weights.clone(),
        };
        std::fs::create_dir_all(checkpoint).map_err(|cause| CheckpointError::Write {
            path: checkpoint.to_path_buf(),
            cause,
        })?;
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
        match base.weights == self.base.weights {
            true => Ok(()),
            false => Err(TrainingError::OtherBase {
                checkpoint: checkpoint.to_path_buf(),
                folder: self.base.folder.clone(),
            }),
        }
    }
}
