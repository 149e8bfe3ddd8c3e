//! A language model in whatever form it is stored: a folder of the Hugging Face hub, a GGUF file, or a run of this program.

use std::path::Path;

use burn::tensor::Device;
use crossburn_models::decoder::family::DecoderNames;
use crossburn_models::decoder::{Decoder, DecoderConfig};
use serde_json::Value;

use crate::fill::{HeldAs, Loaded};
use crate::gguf::GgufFile;
use crate::hugging_face::read_json;
use crate::own_model::OwnModel;
use crate::{ChatTemplate, CheckpointError, MappedFile, ModelFolder, Tokenizer};

/// A stored language model: its configuration, weights, tokenizer and chat template.
///
/// ```no_run
/// use std::path::Path;
///
/// use burn::tensor::Device;
/// use crossburn_checkpoints::LanguageModel;
///
/// let model = LanguageModel::open(Path::new("SmolLM2-135M-Instruct.Q4_1.gguf"))?;
/// let decoder = model.decoder(&Device::flex())?.module;
/// let tokenizer = model.tokenizer(decoder.config().vocabulary)?;
/// let prompt = tokenizer.encode("The capital of France is", true)?;
/// # Ok::<(), crossburn_checkpoints::CheckpointError>(())
/// ```
#[derive(Debug)]
pub struct LanguageModel {
    stored: Stored,
}

#[derive(Debug)]
enum Stored {
    Folder(ModelFolder),
    Gguf(Box<GgufFile<MappedFile>>),
    Own(Box<OwnModel>),
}

impl LanguageModel {
    /// The model in the folder or the GGUF file `path`; a folder may be a run of a decoder, or its checkpoint. Weights are not read
    /// yet.
    ///
    /// # Errors
    /// Those of [`GgufFile::map`] for a file, of [`ModelFolder::open`] for a folder; [`CheckpointError::NotALanguageModel`] for the
    /// checkpoint of another network, and [`CheckpointError::OnlyAnAdapter`] for that of an adapter.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        Self::open_after(path, 0)
    }

    /// The model at `path`, with which the training of another began, and so on: `bases` times.
    pub(crate) fn open_after(path: &Path, bases: usize) -> Result<Self, CheckpointError> {
        if path.is_file() {
            let file = Box::new(GgufFile::map(path)?);
            return Ok(Self {
                stored: Stored::Gguf(file),
            });
        }
        let stored = match OwnModel::find(path, bases)? {
            Some(own) => Stored::Own(Box::new(own)),
            None => Stored::Folder(ModelFolder::open(path)?),
        };
        Ok(Self { stored })
    }

    /// The [`checksum`](crate::checksum()) of the weights. Those of another program are read for it.
    ///
    /// # Errors
    /// Those of [`TensorFiles::open`](crate::TensorFiles::open).
    pub fn weights_checksum(&self) -> Result<String, CheckpointError> {
        match &self.stored {
            Stored::Folder(folder) => folder.weights_checksum(),
            Stored::Gguf(file) => Ok(file.checksum()),
            Stored::Own(own) => Ok(own.weights_checksum().to_string()),
        }
    }

    /// The folder or file.
    pub fn path(&self) -> &Path {
        match &self.stored {
            Stored::Folder(folder) => folder.path(),
            Stored::Gguf(file) => file.path(),
            Stored::Own(own) => own.path(),
        }
    }

    /// The configuration of this decoder, and the names of its tensors at Hugging Face.
    ///
    /// # Errors
    /// [`CheckpointError::Model`] and [`CheckpointError::Gguf`].
    pub fn decoder_config(&self) -> Result<(DecoderConfig, DecoderNames), CheckpointError> {
        match &self.stored {
            Stored::Folder(folder) => folder.decoder_config(),
            Stored::Gguf(file) => file.decoder_config(),
            Stored::Own(own) => own.decoder_config(),
        }
    }

    /// The decoder with its weights on `device`, as 32-bit numbers however they are stored.
    ///
    /// # Errors
    /// Those of [`ModelFolder::decoder`], [`GgufFile::decoder`] and [`load_checkpoint`](crate::load_checkpoint).
    pub fn decoder(&self, device: &Device) -> Result<Loaded<Decoder>, CheckpointError> {
        match &self.stored {
            Stored::Folder(folder) => folder.decoder(device),
            Stored::Gguf(file) => file.decoder(device),
            Stored::Own(own) => own.decoder(device).map(Loaded::floats),
        }
    }

    /// The decoder for inference, with its matrices as `held` says. A run of this program stores 32-bit numbers, and gives no others.
    ///
    /// # Errors
    /// Those of [`decoder`](Self::decoder); [`CheckpointError::OwnFormat`] for another format than 32-bit numbers of a run of this program.
    pub fn held_decoder(
        &self,
        device: &Device,
        held: HeldAs,
    ) -> Result<Loaded<Decoder>, CheckpointError> {
        match &self.stored {
            Stored::Folder(folder) => folder.held_decoder(device, held),
            Stored::Gguf(file) => file.held_decoder(device, held),
            Stored::Own(own) => match held {
                HeldAs::Floats | HeldAs::Stored => self.decoder(device),
                HeldAs::Encoded(format) => Err(CheckpointError::OwnFormat {
                    dir: own.path().into(),
                    format: format.into(),
                }),
            },
        }
    }

    /// Bytes of memory that [`held_decoder`](Self::held_decoder) takes at its peak, beside what stays in a mapped file. Weights are
    /// read for it only where they are to be encoded: some may not fit the format.
    ///
    /// # Errors
    /// Those of [`ModelFolder::held_bytes`], [`GgufFile::held_bytes`] and [`decoder_config`](Self::decoder_config).
    pub fn held_bytes(&self, held: HeldAs) -> Result<u128, CheckpointError> {
        match &self.stored {
            Stored::Folder(folder) => folder.held_bytes(held),
            Stored::Gguf(file) => file.held_bytes(held),
            Stored::Own(own) => Ok(4 * own.decoder_config()?.0.parameters()),
        }
    }

    /// Whether this is a run of this program.
    pub fn is_own(&self) -> bool {
        matches!(self.stored, Stored::Own(_))
    }

    /// The tokenizer, for a network of `vocabulary` tokens.
    ///
    /// # Errors
    /// Those of [`Tokenizer::open`] and [`GgufFile::tokenizer`].
    pub fn tokenizer(&self, vocabulary: usize) -> Result<Tokenizer, CheckpointError> {
        match &self.stored {
            Stored::Folder(folder) => folder.tokenizer(vocabulary),
            Stored::Gguf(file) => file.tokenizer(vocabulary),
            Stored::Own(own) => own.tokenizer(vocabulary),
        }
    }

    /// The form that the model gives to a conversation; `None` where it has none.
    ///
    /// # Errors
    /// [`CheckpointError::ChatTemplate`], and for a file that cannot be read [`CheckpointError::Read`],
    /// [`CheckpointError::ModelConfig`] or [`CheckpointError::Gguf`].
    pub fn chat_template(
        &self,
        tokenizer: &Tokenizer,
    ) -> Result<Option<ChatTemplate>, CheckpointError> {
        let source = self.chat_template_source()?;
        let template = source.map(|source| ChatTemplate::new(source, self.path(), tokenizer));
        template.transpose()
    }

    /// The text of the chat template.
    pub(crate) fn chat_template_source(&self) -> Result<Option<String>, CheckpointError> {
        match &self.stored {
            Stored::Folder(folder) => template_of_folder(folder.path()),
            Stored::Own(own) => match own.base() {
                Some(base) => base.chat_template_source(),
                None => template_of_folder(own.path()),
            },
            Stored::Gguf(file) => {
                let template = file.metadata().text("tokenizer.chat_template")?;
                Ok(template.map(str::to_string))
            }
        }
    }

    /// The `config.json` of the model, where it has one: it says more than this program reads.
    pub(crate) fn document(&self) -> Option<&Value> {
        match &self.stored {
            Stored::Folder(folder) => Some(folder.document()),
            Stored::Own(own) => own.base().and_then(Self::document),
            Stored::Gguf(_) => None,
        }
    }
}

/// The template in a file of its own, or in `tokenizer_config.json`: a text, or a list of named texts of which `default` is
/// the one for conversations.
fn template_of_folder(folder: &Path) -> Result<Option<String>, CheckpointError> {
    let alone = folder.join("chat_template.jinja");
    if alone.is_file() {
        let text = std::fs::read_to_string(&alone);
        return text.map(Some).map_err(CheckpointError::reading(&alone));
    }
    let config = folder.join("tokenizer_config.json");
    if !config.is_file() {
        return Ok(None);
    }
    let document = read_json(&config)?;
    let text = |value: &Value| value.as_str().map(str::to_string);
    Ok(match document.get("chat_template") {
        Some(Value::Array(named)) => {
            let named = named.iter();
            let default = named.filter(|entry| entry.get("name") == Some(&"default".into()));
            let mut templates = default.filter_map(|entry| entry.get("template").and_then(text));
            templates.next()
        }
        Some(value) => text(value),
        None => None,
    })
}
