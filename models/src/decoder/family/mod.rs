//! Public families of language models: what their `config.json` and their tensor names say.
//!
//! A family is one file with two things: a function from `Document` to [`DecoderConfig`], and `Names`. Both layouts of
//! `config.json` are read: that of transformers 4, with `rope_theta` at the top, and that of transformers 5, with
//! `rope_parameters`.

mod document;
mod gemma;
mod gemma3;
mod gpt2;
mod gpt_neox;
mod llama;
mod mistral;
mod names;
mod opt;
mod phi;
mod phi3;
mod qwen2;
mod qwen3;
mod stablelm;

use serde_json::Value;

use super::{DecoderConfig, DecoderError};
pub(crate) use document::Document;
pub use names::DecoderNames;
use names::Names;

/// A family of language models.
struct Family {
    /// Its `model_type`.
    name: &'static str,
    config: fn(&Document) -> Result<DecoderConfig, DecoderError>,
    names: Names,
}

/// Every family, one line each.
const FAMILIES: [Family; 13] = [
    Family {
        name: "llama",
        config: llama::config,
        names: llama::NAMES,
    },
    Family {
        name: "mistral",
        config: mistral::config,
        names: llama::NAMES,
    },
    Family {
        name: "qwen2",
        config: qwen2::config,
        names: llama::NAMES,
    },
    Family {
        name: "qwen3",
        config: qwen3::config,
        names: qwen3::NAMES,
    },
    Family {
        name: "gemma",
        config: gemma::config,
        names: llama::NAMES,
    },
    Family {
        name: "gemma3_text",
        config: gemma3::config,
        names: gemma3::NAMES,
    },
    Family {
        name: "gemma3",
        config: gemma3::config_of_both,
        names: gemma3::NAMES_OF_BOTH,
    },
    Family {
        name: "phi",
        config: phi::config,
        names: phi::NAMES,
    },
    Family {
        name: "phi3",
        config: phi3::config,
        names: phi3::NAMES,
    },
    Family {
        name: "gpt_neox",
        config: gpt_neox::config,
        names: gpt_neox::NAMES,
    },
    Family {
        name: "opt",
        config: opt::config,
        names: opt::NAMES,
    },
    Family {
        name: "gpt2",
        config: gpt2::config,
        names: gpt2::NAMES,
    },
    Family {
        name: "stablelm",
        config: stablelm::config,
        names: llama::NAMES,
    },
];

/// The `model_type` of every family that is known.
pub fn supported() -> Vec<&'static str> {
    FAMILIES.iter().map(|family| family.name).collect()
}

/// The decoder that a `config.json` describes, and the names of its tensors.
///
/// # Errors
/// [`DecoderError::Family`] for a `model_type` that is not [`supported`], [`DecoderError::MissingKey`],
/// [`DecoderError::Key`] and [`DecoderError::Unsupported`] for what the file says, and those of [`DecoderConfig::check`].
pub fn read(document: &Value) -> Result<(DecoderConfig, DecoderNames), DecoderError> {
    let document = Document::new(document)?;
    let found = document.text("model_type")?;
    let Some(family) = FAMILIES.iter().find(|family| family.name == found) else {
        return Err(DecoderError::Family {
            found: found.to_string(),
            supported: supported(),
        });
    };
    let config = (family.config)(&document)?;
    config.check()?;
    let names = DecoderNames::new(family.names, &config);
    Ok((config, names))
}

/// The names of the tensors of a decoder of family `model_type`, for files that state its configuration in another way than
/// `config.json`; `None` for a family that is not [`supported`].
pub fn names(model_type: &str, config: &DecoderConfig) -> Option<DecoderNames> {
    let family = FAMILIES.iter().find(|family| family.name == model_type)?;
    Some(DecoderNames::new(family.names, config))
}

/// The names that Llama's files have for the tensors of a decoder that is `config`: those by which a decoder of
/// [`DecoderSizes`](super::DecoderSizes) is known elsewhere.
pub fn llama_names(config: &DecoderConfig) -> DecoderNames {
    DecoderNames::new(llama::NAMES, config)
}

/// The `config.json` of a Llama that is `config`; `None` for a decoder that Llama's keys cannot describe.
pub fn llama_document(config: &DecoderConfig) -> Option<Value> {
    let document = llama::document(config);
    // A setting that the document cannot express would be read back differently.
    let same = read(&document).is_ok_and(|(read, _)| read == *config);
    same.then_some(document)
}

#[cfg(test)]
mod tests;
