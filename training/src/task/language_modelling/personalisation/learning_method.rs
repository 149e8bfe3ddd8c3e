//! The ways to make a language model personal.

use std::fmt;
use std::str::FromStr;

use crossburn_models::decoder::{AdapterConfig, AdapterKind, AdapterTarget, DecoderConfig};
use serde::{Deserialize, Serialize};

/// What is done with the history of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LearningMethod {
    /// Nothing: the model as it is.
    None,
    /// Examples that are like the question stand before it.
    Rag,
    /// A product of low rank beside query and value.
    Lora,
    /// Embeddings of virtual tokens.
    Prompt,
    /// Keys and values of virtual tokens.
    Prefix,
    /// Factors of keys, values and of what the feed-forward layer takes down.
    Ia3,
    /// A low-rank product that is learned, and used, with retrieved examples before every text.
    LoraRag,
}

/// Rank of LoRA; α is twice that, within the range that the guidelines advise.
const RANK: usize = 8;
/// Virtual tokens of a prompt and of a prefix.
const TOKENS: usize = 8;

impl LearningMethod {
    /// Every method.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::Rag,
        Self::Lora,
        Self::Prompt,
        Self::Prefix,
        Self::Ia3,
        Self::LoraRag,
    ];

    /// Its name in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Rag => "rag",
            Self::Lora => "lora",
            Self::Prompt => "prompt",
            Self::Prefix => "prefix",
            Self::Ia3 => "ia3",
            Self::LoraRag => "lora-rag",
        }
    }

    /// Whether retrieved examples stand before a question.
    pub fn retrieves(self) -> bool {
        matches!(self, Self::Rag | Self::LoraRag)
    }

    /// The adapter that learns; `None` where nothing does.
    ///
    /// # Source
    /// Targets of LoRA: Hu et al. 2021, section 7.1. IA3: Liu et al. 2022, section 3.3.
    pub fn adapter(self) -> Option<AdapterConfig> {
        let kind = match self {
            Self::None | Self::Rag => return None,
            Self::Lora | Self::LoraRag => AdapterKind::Lora {
                rank: RANK,
                alpha: 2.0 * RANK as f64,
                targets: [AdapterTarget::Query, AdapterTarget::Value].into(),
            },
            Self::Prompt => AdapterKind::Prompt { tokens: TOKENS },
            Self::Prefix => AdapterKind::Prefix { tokens: TOKENS },
            Self::Ia3 => AdapterKind::Ia3 {
                outputs: [AdapterTarget::Key, AdapterTarget::Value].into(),
                inputs: [AdapterTarget::Down].into(),
            },
        };
        Some(AdapterConfig { kind })
    }

    /// Whether something learns.
    pub fn learns(self) -> bool {
        self.adapter().is_some()
    }

    /// Virtual tokens that stand before every text.
    pub fn virtual_tokens(self) -> usize {
        match self {
            Self::Prompt | Self::Prefix => TOKENS,
            _ => 0,
        }
    }

    /// Those of the virtual tokens that begin in the cache of keys and values: a prefix passes through no weight.
    pub fn begun(self) -> usize {
        match self {
            Self::Prefix => self.virtual_tokens(),
            _ => 0,
        }
    }

    /// Numbers that learn beside a decoder that is `config`.
    pub fn parameters(self, config: &DecoderConfig) -> u64 {
        let (width, key) = (config.width, config.key_value_width());
        let of_layer = match self {
            Self::None | Self::Rag => 0,
            Self::Lora | Self::LoraRag => RANK * (2 * width + config.query_width() + key),
            Self::Prompt => return (TOKENS * width) as u64,
            Self::Prefix => 2 * TOKENS * key,
            Self::Ia3 => 2 * key + config.hidden_width,
        };
        (config.layers * of_layer) as u64
    }

    /// Numbers that the adapter keeps of a token in a block for its own gradient, beside those that the block keeps: for a low-rank product its inputs and
    /// what passes between its factors, for IA3 what its factors scale.
    pub fn kept_for_gradients(self, config: &DecoderConfig) -> u64 {
        let kept = match self {
            Self::None | Self::Rag | Self::Prompt | Self::Prefix => 0,
            Self::Lora | Self::LoraRag => config.width + 2 * RANK,
            Self::Ia3 => 2 * config.key_value_width() + config.hidden_width,
        };
        kept as u64
    }
}

impl fmt::Display for LearningMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for LearningMethod {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|method| method.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("there is no learning method `{text}`: use one of {names}")
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use burn::module::Module;
    use burn::tensor::Device;
    use crossburn_models::decoder::DecoderSizes;

    use super::*;

    #[test]
    fn parameters_are_those_of_the_adapter() {
        let sizes = r#"{"vocabulary": 11, "width": 16, "heads": 4, "key_value_heads": 2, "layers": 3, "context": 16}"#;
        let sizes: DecoderSizes = serde_json::from_str(sizes).unwrap();
        let config = sizes.config().unwrap();
        for method in LearningMethod::ALL {
            let adapter = method
                .adapter()
                .map(|adapter| adapter.init(&config, &Device::flex()).unwrap());
            let tokens = adapter.as_ref().map_or(0, |a| a.virtual_tokens());
            let learned = adapter.map_or(0, |adapter| adapter.num_params());
            assert_eq!(method.parameters(&config), learned as u64, "{method}");
            assert_eq!(method.virtual_tokens(), tokens, "{method}");
            assert_eq!(method.name().parse(), Ok(method));
        }
        let message = "loar".parse::<LearningMethod>().unwrap_err();
        assert!(message.ends_with("use one of none, rag, lora, prompt, prefix, ia3, lora-rag"));
    }
}
