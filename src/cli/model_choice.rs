//! Which language model: `--model`, `--adapter` and `--device` of every verb that runs one.

use std::path::{Path, PathBuf};

use anyhow::Result;
use burn::tensor::Device;
use clap::Args;
use crossburn_checkpoints::{ChatTemplate, HeldAs, LanguageModel, Tokenizer, load_adapter};
use crossburn_models::decoder::family::DecoderNames;
use crossburn_models::decoder::{Adapter, Decoder, DecoderConfig};

use super::device::DeviceChoice;
use super::held_weights::{HeldBytes, HeldWeights, SMALLER};
use super::note;
use crate::memory::require_memory;

/// The arguments that say which language model.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub(super) struct ModelChoice {
    /// The model: a folder with config.json, weights and tokenizer.json; the run of a decoder; a GGUF file; or a name at the Hugging Face
    /// hub: owner/name[@revision], owner/name/FILE.gguf
    #[arg(long, value_name = "DIR|FILE.gguf|NAME")]
    model: PathBuf,
    /// An adapter for the model, a folder in the layout of PEFT
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,
    /// Format of the matrices in memory. Fewer bits make generation faster. With blocks (q8_0, GGUF types), generation also rounds the
    /// inputs of each layer to 8 bits. A matrix that does not fit the format keeps that of its file [default: stored; f32 with an
    /// adapter, on another device than the CPU, and for runs of this program]
    #[arg(long, value_name = "FORM")]
    weights: Option<HeldWeights>,
    /// Where to compute: cpu, ndarray, wgpu or wgpu:N
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceChoice::Cpu)]
    device: DeviceChoice,
}

/// A model whose weights are not loaded yet: what can be refused before is refused here.
pub(super) struct ChosenModel {
    stored: LanguageModel,
    adapter: Option<PathBuf>,
    device: Device,
    held: HeldAs,
    /// Whether it could be held in another form.
    any_form: bool,
    names: DecoderNames,
    /// The last part of what the user named.
    pub(super) name: String,
    /// Its configuration.
    pub(super) config: DecoderConfig,
    /// From text to tokens.
    pub(super) tokenizer: Tokenizer,
}

/// A model that answers.
pub(super) struct RunningModel {
    pub(super) decoder: Decoder,
    pub(super) adapter: Option<Adapter>,
    pub(super) tokenizer: Tokenizer,
    /// The memory of its weights.
    pub(super) bytes: HeldBytes,
}

impl ModelChoice {
    /// The model `model` as it is stored, without an adapter, on the processor.
    pub(super) fn of(model: PathBuf) -> Self {
        Self {
            model,
            adapter: None,
            weights: None,
            device: DeviceChoice::Cpu,
        }
    }

    /// Opens the model and its tokenizer.
    ///
    /// # Errors
    /// A device that is not there, and whatever is wrong with the files.
    pub(super) fn open(&self) -> Result<ChosenModel> {
        let device = self.device.open()?;
        let stored = LanguageModel::open(&located(&self.model)?)?;
        let (config, names) = stored.decoder_config()?;
        let tokenizer = stored.tokenizer(config.vocabulary)?;
        let only = match (self.device, &self.adapter) {
            (DeviceChoice::Cpu, None) if stored.is_own() => Some("a run of this program"),
            (DeviceChoice::Cpu, None) => None,
            (DeviceChoice::Cpu, Some(_)) => Some("--adapter"),
            _ => Some("--device"),
        };
        Ok(ChosenModel {
            held: HeldWeights::resolve(self.weights, only)?,
            any_form: only.is_none(),
            stored,
            adapter: self.adapter.clone(),
            device,
            names,
            config,
            tokenizer,
            name: last_part(&self.model),
        })
    }

    /// The device, as the user names it.
    pub(super) fn device(&self) -> String {
        self.device.to_string()
    }
}

impl ChosenModel {
    /// The checksum of its weights.
    ///
    /// # Errors
    /// Weights that cannot be read.
    pub(super) fn weights_checksum(&self) -> Result<String> {
        Ok(self.stored.weights_checksum()?)
    }

    /// The device that it computes on.
    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// The form that the model gives to a conversation.
    ///
    /// # Errors
    /// A template that cannot be read.
    pub(super) fn chat_template(&self) -> Result<Option<ChatTemplate>> {
        Ok(self.stored.chat_template(&self.tokenizer)?)
    }

    /// Loads the weights, and says how large they are.
    ///
    /// # Errors
    /// Less memory than they need, and whatever is wrong with them or with the adapter.
    pub(super) fn load(self) -> Result<RunningModel> {
        let parameters = self.config.parameters();
        let bytes = self.stored.held_bytes(self.held)?;
        require_memory(self.stored.path(), bytes, || {
            let offered = SMALLER.iter().filter(|_| self.any_form);
            let bytes = offered.map(|(option, held)| Ok((*option, self.stored.held_bytes(*held)?)));
            bytes.collect()
        })?;
        let adapter = match &self.adapter {
            Some(folder) => {
                let loaded = load_adapter(folder, &self.config, &self.names, &self.device)?;
                Some(loaded.1)
            }
            None => None,
        };
        let loaded = self.stored.held_decoder(&self.device, self.held)?;
        let bytes = HeldBytes::new(loaded.bytes);
        note(&format!(
            "model: {}, {:.3} million parameters, {:.1} MB as {}",
            self.name,
            parameters as f64 / 1e6,
            bytes.all() as f64 / 1e6,
            bytes.formats()
        ));
        if let Some(first) = loaded.unused.first() {
            note(&format!(
                "{} tensors of the model are not used, among them {first:?}",
                loaded.unused.len()
            ));
        }
        Ok(RunningModel {
            decoder: loaded.module,
            adapter,
            tokenizer: self.tokenizer,
            bytes,
        })
    }
}

/// The path of the model that `asked` names: that path, or one in the cache of the Hugging Face hub, into which the model is
/// downloaded.
///
/// # Errors
/// A name at the hub that cannot be downloaded.
pub(super) fn located(asked: &Path) -> Result<PathBuf> {
    if asked.exists() {
        return Ok(asked.to_path_buf());
    }
    let found = asked.to_str().map(downloaded).transpose()?.flatten();
    Ok(found.unwrap_or_else(|| asked.to_path_buf()))
}

/// The model that `asked` names at the hub; `None` for what can only be a path.
#[cfg(feature = "hub")]
fn downloaded(asked: &str) -> Result<Option<PathBuf>> {
    let name = super::hub::HubName::parse(asked);
    name.map(|name| name.fetch()).transpose()
}

/// A build without the hub knows paths alone.
#[cfg(not(feature = "hub"))]
fn downloaded(_asked: &str) -> Result<Option<PathBuf>> {
    Ok(None)
}

/// The last part of a path, as text.
fn last_part(path: &Path) -> String {
    let last = path.file_name().unwrap_or(path.as_os_str());
    last.to_string_lossy().into_owned()
}
