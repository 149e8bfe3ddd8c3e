//! The configuration of an encoder, and the `config.json` of a BERT.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::EncoderNames;
use crate::decoder::family::Document;
use crate::decoder::{DecoderError, FeedForwardActivation, NormConfig};

/// Configuration of an [`Encoder`](super::Encoder): BERT, MiniLM.
///
/// # Source
/// Devlin et al. 2018 (arXiv 1810.04805).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
    /// Number of tokens.
    pub vocabulary: usize,
    /// Length of the vector of one token.
    pub width: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Heads of the attention.
    pub heads: usize,
    /// Width between the two halves of a feed-forward layer.
    pub hidden_width: usize,
    /// Longest sequence: there is a learned vector for each place.
    pub max_positions: usize,
    /// Kinds of segment; a text of one segment has kind 0.
    pub segments: usize,
    /// Norms after the parts of a block.
    pub norm: NormConfig,
    /// The function of the feed-forward layers.
    pub activation: FeedForwardActivation,
}

impl EncoderConfig {
    /// Refuses sizes that no encoder has.
    ///
    /// # Errors
    /// [`DecoderError::Zero`], [`DecoderError::Setting`].
    pub fn check(&self) -> Result<(), DecoderError> {
        for (key, value) in [
            ("vocabulary", self.vocabulary),
            ("width", self.width),
            ("layers", self.layers),
            ("heads", self.heads),
            ("hidden_width", self.hidden_width),
            ("max_positions", self.max_positions),
            ("segments", self.segments),
        ] {
            if value == 0 {
                return Err(DecoderError::Zero { key });
            }
            if value > 1 << 30 {
                return Err(DecoderError::setting(key, value, "use at most 2^30"));
            }
        }
        match self.width.is_multiple_of(self.heads) {
            true => Ok(()),
            false => Err(DecoderError::setting(
                "heads",
                self.heads,
                format!("use a divisor of the width {}", self.width),
            )),
        }
    }

    /// The tokens of a text, at most as many as the encoder has positions. Of a longer text, those before the last token are left out: the last
    /// one marks the end of the text.
    pub fn cut(&self, mut tokens: Vec<u32>) -> Vec<u32> {
        if tokens.len() > self.max_positions {
            let last = tokens.last().copied();
            tokens.truncate(self.max_positions.saturating_sub(1));
            tokens.extend(last);
        }
        tokens
    }
}

/// The encoder that a `config.json` describes, and the names of its tensors.
///
/// # Errors
/// [`DecoderError::Family`] for a `model_type` other than bert, [`DecoderError::MissingKey`], [`DecoderError::Key`] and
/// [`DecoderError::Unsupported`] for what the file says, and those of [`EncoderConfig::check`].
pub fn read(document: &Value) -> Result<(EncoderConfig, EncoderNames), DecoderError> {
    let document = Document::new(document)?;
    let found = document.text("model_type")?;
    if found != "bert" {
        return Err(DecoderError::Family {
            found: found.to_string(),
            supported: vec!["bert"],
        });
    }
    document.only(
        "position_embedding_type",
        "absolute",
        "a learned vector for each place is",
    )?;
    let config = EncoderConfig {
        vocabulary: document.count("vocab_size")?,
        width: document.count("hidden_size")?,
        layers: document.count("num_hidden_layers")?,
        heads: document.count("num_attention_heads")?,
        hidden_width: document.count("intermediate_size")?,
        max_positions: document.count("max_position_embeddings")?,
        segments: document.count_or("type_vocab_size", 2)?,
        norm: document.layer_norm("layer_norm_eps", 1e-12)?,
        activation: document.activation("hidden_act")?,
    };
    config.check()?;
    Ok((config, EncoderNames))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_cut_keeps_its_last_token() {
        let document = serde_json::json!({
            "model_type": "bert", "vocab_size": 9, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 8, "max_position_embeddings": 3, "hidden_act": "gelu",
        });
        let (config, _) = read(&document).unwrap();
        assert_eq!(config.cut(vec![1, 5, 2]), [1, 5, 2]);
        assert_eq!(config.cut(vec![1, 5, 6, 7, 2]), [1, 5, 2]);
    }
}
