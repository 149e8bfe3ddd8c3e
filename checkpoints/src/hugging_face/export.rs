//! Writes a language model for other programs.

use std::path::Path;

use burn::tensor::Device;
use crossburn_models::decoder::family::{self, DecoderNames};
use crossburn_models::decoder::{Decoder, DecoderConfig};
use serde_json::{Map, Value, json};

use super::collect::{FloatType, collect};
use super::model_folder::CONFIG;
use crate::atomic::Prepared;
use crate::tokenizer::{FILE as TOKENIZER, SPECIAL};
use crate::{CheckpointError, LanguageModel, Tokenizer, WEIGHTS_FILE};

/// The file with the settings of generation.
const GENERATION: &str = "generation_config.json";

/// Writes `model` to the folder `folder`, in the layout of the Hugging Face hub: configuration, weights as `float`, and tokenizer with
/// its chat template. The same model gives the same bytes.
///
/// All files are complete on the disk before the first is put in its place.
///
/// # Errors
/// [`CheckpointError::Export`] for a model that no `config.json` describes and for a number that `float` cannot hold,
/// [`CheckpointError::Write`], and those of reading the model.
pub fn export_language_model(
    model: &LanguageModel,
    folder: &Path,
    float: FloatType,
) -> Result<(), CheckpointError> {
    let (config, names) = model.decoder_config()?;
    let document = document_of(model, &config)?;
    let decoder = model.decoder(&Device::flex())?.module;
    write(model, (decoder, document, &names), folder, float)
}

/// Writes `decoder`, which is `model` without some of its heads and channels, in the same way.
///
/// # Errors
/// Those of [`export_language_model`] and of [`LanguageModel::pruned_document`].
pub fn export_pruned_model(
    model: &LanguageModel,
    decoder: Decoder,
    folder: &Path,
    float: FloatType,
) -> Result<(), CheckpointError> {
    let (document, names) = model.pruned_document(decoder.config())?;
    write(model, (decoder, document, &names), folder, float)
}

impl LanguageModel {
    /// The `config.json` of what is left of it without some heads and channels, which is `left`, and the names of its tensors.
    ///
    /// # Errors
    /// [`CheckpointError::Export`] for a model that no `config.json` describes, and for a family whose keys cannot say what is left;
    /// those of [`decoder_config`](Self::decoder_config).
    pub fn pruned_document(
        &self,
        left: &DecoderConfig,
    ) -> Result<(Value, DecoderNames), CheckpointError> {
        let before = self.decoder_config()?.0;
        let mut document = document_of(self, &before)?;
        let (heads, channels) = match document["model_type"].as_str() {
            Some("gpt2") => ("n_head", "n_inner"),
            Some("opt") => ("num_attention_heads", "ffn_dim"),
            _ => ("num_attention_heads", "intermediate_size"),
        };
        if before.heads != left.heads {
            document[heads] = json!(left.heads);
            document["num_key_value_heads"] = json!(left.key_value_heads);
            // Without it a reader divides the width of a token by the number of heads.
            document["head_dim"] = json!(left.head_width);
        }
        if before.hidden_width != left.hidden_width {
            document[channels] = json!(left.hidden_width);
        }
        match family::read(&document) {
            Ok((read, names)) if read == *left => Ok((document, names)),
            _ => Err(CheckpointError::Export {
                path: self.path().into(),
                cause: "the keys of its config.json cannot say which heads and channels are left; prune channels alone, or a model of another family"
                    .to_string(),
            }),
        }
    }
}

/// The `config.json` of `model`, which is `config`.
fn document_of(model: &LanguageModel, config: &DecoderConfig) -> Result<Value, CheckpointError> {
    let document = match model.document() {
        Some(document) => Some(document.clone()),
        None => family::llama_document(config),
    };
    document.ok_or_else(|| CheckpointError::Export {
        path: model.path().into(),
        cause: "the keys of a Llama's config.json cannot describe it; take the folder that the file was converted from".to_string(),
    })
}

/// Writes `decoder`, of which `document` is the `config.json` and whose tensors have `names`, with what else belongs to `model`.
fn write(
    model: &LanguageModel,
    (decoder, mut document, names): (Decoder, Value, &DecoderNames),
    folder: &Path,
    float: FloatType,
) -> Result<(), CheckpointError> {
    let refuse = |cause: String| CheckpointError::Export {
        path: model.path().into(),
        cause,
    };
    let config = decoder.config().clone();
    let tokenizer = model.tokenizer(config.vocabulary)?;
    let ends = Ends::of(&tokenizer);
    // The older name is known to every version of transformers.
    if let Some(keys) = document.as_object_mut() {
        keys.remove("dtype");
    }
    document["torch_dtype"] = json!(float.name());
    ends.name_in(&mut document);
    let weights = collect(decoder, names, float)
        .map_err(|cause| refuse(format!("{cause}; write it with numbers of another type")))?;
    let mut generation = json!({});
    ends.name_in(&mut generation);
    let vocabulary = tokenizer
        .inner
        .to_string(false)
        .map_err(|cause| refuse(format!("its tokenizer has no text form ({cause})")))?;
    let special = special(model, &tokenizer, &ends, config.max_positions)?;

    fs_err::create_dir_all(folder).map_err(CheckpointError::writing(folder))?;
    let prepared = [
        (WEIGHTS_FILE, weights),
        (TOKENIZER, vocabulary.into_bytes()),
        (SPECIAL, text(&special)),
        (GENERATION, text(&generation)),
        (CONFIG, text(&document)),
    ]
    .map(|(name, bytes)| Prepared::new(&folder.join(name), |file| file.write_all(&bytes)));
    let prepared = prepared.into_iter().collect::<Result<Vec<_>, _>>()?;
    prepared.into_iter().try_for_each(Prepared::commit)
}

/// A document as the content of a file.
fn text(document: &Value) -> Vec<u8> {
    format!("{document:#}\n").into_bytes()
}

/// The tokens that begin and end a text.
struct Ends {
    begin: Option<u32>,
    end: Vec<u32>,
}

impl Ends {
    fn of(tokenizer: &Tokenizer) -> Self {
        Self {
            begin: tokenizer.begin(),
            end: tokenizer.end().to_vec(),
        }
    }

    fn name_in(&self, document: &mut Value) {
        document["bos_token_id"] = json!(self.begin);
        document["eos_token_id"] = match self.end.as_slice() {
            // A list without tokens is no end to transformers, which fails on it.
            [] => Value::Null,
            [one] => json!(one),
            several => json!(several),
        };
    }
}

/// The `tokenizer_config.json`.
fn special(
    model: &LanguageModel,
    tokenizer: &Tokenizer,
    ends: &Ends,
    positions: usize,
) -> Result<Value, CheckpointError> {
    let mut document = Map::new();
    let mut set = |key: &str, value: Value| document.insert(key.to_string(), value);
    set("tokenizer_class", json!("PreTrainedTokenizerFast"));
    set("model_max_length", json!(positions));
    for (key, token) in [
        ("bos_token", ends.begin),
        ("eos_token", ends.end.first().copied()),
    ] {
        if let Some(spelling) = token.and_then(|token| tokenizer.spelling(token)) {
            set(key, json!(spelling));
        }
    }
    if let Some(template) = model.chat_template_source()? {
        set("chat_template", json!(template));
    }
    Ok(Value::Object(document))
}
