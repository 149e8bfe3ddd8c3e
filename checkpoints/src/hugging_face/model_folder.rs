//! A folder with a network: what it is and its weights.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use crossburn_models::TensorNames;
use crossburn_models::decoder::{Decoder, DecoderConfig, DecoderError, family};
use crossburn_models::encoder::{self, Encoder, EncoderConfig};
use serde_json::Value;

use super::TensorFiles;
use crate::fill::{HeldAs, Loaded, fill_held, held_bytes};
use crate::{CheckpointError, Tokenizer};

/// The file with the network's configuration.
pub(super) const CONFIG: &str = "config.json";

/// A model in the folder layout of the Hugging Face hub.
#[derive(Debug)]
pub struct ModelFolder {
    path: PathBuf,
    config: Value,
}

impl ModelFolder {
    /// The model in the folder `path`. Only `config.json` is read.
    ///
    /// # Errors
    /// [`CheckpointError::MissingModel`], [`CheckpointError::NotAModel`], [`CheckpointError::Read`],
    /// [`CheckpointError::ModelConfig`].
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        if !path.exists() {
            return Err(CheckpointError::MissingModel { dir: path.into() });
        }
        let file = path.join(CONFIG);
        if !file.is_file() {
            return Err(CheckpointError::NotAModel {
                dir: path.into(),
                file: CONFIG,
            });
        }
        Ok(Self {
            path: path.into(),
            config: read_json(&file)?,
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The content of `config.json`.
    pub fn document(&self) -> &Value {
        &self.config
    }

    fn explained(&self) -> impl Fn(DecoderError) -> CheckpointError {
        |cause| CheckpointError::Model {
            path: self.path.clone(),
            cause,
        }
    }

    /// The configuration of this decoder, and the names of its tensors.
    ///
    /// # Errors
    /// [`CheckpointError::Model`].
    pub fn decoder_config(&self) -> Result<(DecoderConfig, family::DecoderNames), CheckpointError> {
        family::read(&self.config).map_err(self.explained())
    }

    /// The decoder with its weights on `device`.
    ///
    /// # Errors
    /// [`CheckpointError::Model`], those of [`TensorFiles::open`], and for weights [`CheckpointError::MissingTensors`],
    /// [`CheckpointError::Shape`], [`CheckpointError::ElementType`] and [`CheckpointError::Value`].
    pub fn decoder(&self, device: &Device) -> Result<Loaded<Decoder>, CheckpointError> {
        self.held_decoder(device, HeldAs::Floats)
    }

    /// The decoder with its matrices as `held` says; halves stay in the mapped file.
    ///
    /// # Errors
    /// As [`decoder`](Self::decoder).
    pub fn held_decoder(
        &self,
        device: &Device,
        held: HeldAs,
    ) -> Result<Loaded<Decoder>, CheckpointError> {
        let (decoder, names, files) = self.prepared(device)?;
        fill_held(decoder, &names, &files, held)
    }

    /// Bytes of memory that [`held_decoder`](Self::held_decoder) takes at its peak, beside what stays in the mapped file.
    ///
    /// # Errors
    /// [`CheckpointError::Model`], [`CheckpointError::MissingTensors`], and those of [`TensorFiles::open`].
    pub fn held_bytes(&self, held: HeldAs) -> Result<u128, CheckpointError> {
        let (decoder, names, files) = self.prepared(&Device::flex())?;
        Ok(held_bytes(&decoder, &names, &files, held))
    }

    /// The decoder without weights, its names, and the tensors.
    fn prepared(
        &self,
        device: &Device,
    ) -> Result<(Decoder, family::DecoderNames, TensorFiles), CheckpointError> {
        let (config, names) = self.decoder_config()?;
        let files = TensorFiles::open(&self.path)?;
        // Blocks cost memory before their weights are looked for.
        if config.layers > files.count() {
            let last = format!("layers.{}.attention_norm.weight", config.layers - 1);
            let origin = names.origin(&last);
            return Err(CheckpointError::MissingTensors {
                path: self.path.clone(),
                tensors: origin
                    .into_iter()
                    .flat_map(|origin| origin.names)
                    .take(1)
                    .collect(),
                found: Vec::new(),
            });
        }
        let decoder = config.init(device).map_err(self.explained())?;
        Ok((decoder, names, files))
    }

    /// The checksum of the weights.
    ///
    /// # Errors
    /// Those of [`TensorFiles::open`].
    pub fn weights_checksum(&self) -> Result<String, CheckpointError> {
        Ok(TensorFiles::open(&self.path)?.checksum())
    }

    /// The configuration of this encoder.
    ///
    /// # Errors
    /// [`CheckpointError::Model`].
    pub fn encoder_config(&self) -> Result<EncoderConfig, CheckpointError> {
        let read = encoder::read(&self.config).map_err(self.explained());
        read.map(|(config, _)| config)
    }

    /// The encoder with its weights on `device`.
    ///
    /// # Errors
    /// As [`decoder`](Self::decoder).
    pub fn encoder(&self, device: &Device) -> Result<Loaded<Encoder>, CheckpointError> {
        self.held_encoder(device, HeldAs::Floats)
    }

    /// The encoder with its matrices as `held` says; halves stay in the mapped file.
    ///
    /// # Errors
    /// As [`decoder`](Self::decoder).
    pub fn held_encoder(
        &self,
        device: &Device,
        held: HeldAs,
    ) -> Result<Loaded<Encoder>, CheckpointError> {
        let (config, names) = encoder::read(&self.config).map_err(self.explained())?;
        let files = TensorFiles::open(&self.path)?;
        if config.layers > files.count() {
            let last = format!("encoder.layer.{}.output.dense.weight", config.layers - 1);
            return Err(CheckpointError::MissingTensors {
                path: self.path.clone(),
                tensors: vec![last],
                found: Vec::new(),
            });
        }
        let encoder = config.init(device).map_err(self.explained())?;
        fill_held(encoder, &names, &files, held)
    }

    /// One vector of length 1 for each text, by the encoder of this folder; all `texts`, as tokens, pass through it at once.
    ///
    /// # Errors
    /// [`CheckpointError::Model`] for a text that the encoder does not take, [`CheckpointError::NoVectors`].
    pub fn vectors(
        &self,
        encoder: &Encoder,
        texts: &[Vec<u32>],
    ) -> Result<Vec<Vec<f32>>, CheckpointError> {
        let vectors = encoder.embed(texts).map_err(self.explained())?;
        let [_, width] = vectors.dims();
        let refuse = |cause: String| CheckpointError::NoVectors {
            path: self.path.clone(),
            cause,
        };
        let values = vectors.into_data().try_into_vec_as::<f32>();
        let values = values.map_err(|error| {
            refuse(format!(
                "they cannot be read back ({error:?}); check the device"
            ))
        })?;
        match values.iter().all(|value| value.is_finite()) {
            true => Ok(values.chunks(width).map(<[f32]>::to_vec).collect()),
            false => Err(refuse(
                "they are not finite; download the weights of the model again".to_string(),
            )),
        }
    }

    /// The tokenizer of the folder, for a network of `vocabulary` tokens.
    ///
    /// # Errors
    /// Those of [`Tokenizer::open`].
    pub fn tokenizer(&self, vocabulary: usize) -> Result<Tokenizer, CheckpointError> {
        Tokenizer::open(&self.path, vocabulary)
    }
}

/// The content of a JSON file of another program.
pub(crate) fn read_json(path: &Path) -> Result<Value, CheckpointError> {
    let bytes = std::fs::read(path).map_err(CheckpointError::reading(path))?;
    serde_json::from_slice(&bytes).map_err(|cause| CheckpointError::ModelConfig {
        path: path.into(),
        cause: cause.to_string(),
    })
}
