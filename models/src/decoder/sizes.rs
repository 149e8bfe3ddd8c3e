//! A decoder by a few sizes, as recipes name it.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::{
    AttentionConfig, Decoder, DecoderConfig, DecoderError, FeedForwardActivation,
    FeedForwardConfig, HeadConfig, NormConfig, NormKind, Positions, Residual, RotaryConfig,
    RotaryScaling,
};

/// Configuration of a decoder of Llama's kind: RMS norms, rotary positions, gated SiLU layers, and an embedding that is the head
/// as well. In recipes `[model]` with `kind = "decoder"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecoderSizes {
    /// Number of tokens.
    #[serde(default = "vocabulary")]
    pub vocabulary: usize,
    /// Longest sequence.
    #[serde(default = "context")]
    pub context: usize,
    /// Length of the vector of one token.
    #[serde(default = "width")]
    pub width: usize,
    /// Number of blocks.
    #[serde(default = "layers")]
    pub layers: usize,
    /// Heads of the query.
    #[serde(default = "heads")]
    pub heads: usize,
    /// Heads of key and value; as many as `heads` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_value_heads: Option<usize>,
    /// Width within a feed-forward layer; 8/3 of `width`, rounded up to a multiple of 8, where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden_width: Option<usize>,
}

fn vocabulary() -> usize {
    512
}

fn context() -> usize {
    64
}

fn width() -> usize {
    64
}

fn layers() -> usize {
    2
}

fn heads() -> usize {
    4
}

impl DecoderSizes {
    /// Everything that the decoder is.
    ///
    /// # Errors
    /// A width that its heads do not divide, and those of [`DecoderConfig::check`].
    pub fn config(&self) -> Result<DecoderConfig, DecoderError> {
        if self.heads == 0 {
            return Err(DecoderError::Zero { key: "heads" });
        }
        if self.context == 0 {
            return Err(DecoderError::Zero { key: "context" });
        }
        let head_width = self.width / self.heads;
        if !self.width.is_multiple_of(self.heads) || !head_width.is_multiple_of(2) {
            let remedy = format!(
                "use a multiple of twice the {} heads, so that all heads have the same even width",
                self.heads
            );
            return Err(DecoderError::setting("width", self.width, remedy));
        }
        let config = DecoderConfig {
            vocabulary: self.vocabulary,
            width: self.width,
            layers: self.layers,
            heads: self.heads,
            key_value_heads: self.key_value_heads.unwrap_or(self.heads),
            head_width,
            hidden_width: self
                .hidden_width
                .unwrap_or_else(|| (8 * self.width.min(1 << 30)).div_ceil(24) * 8),
            max_positions: self.context,
            norm: NormConfig {
                kind: NormKind::Rms,
                epsilon: 1e-5,
            },
            positions: Positions::Rotary {
                rotary: RotaryConfig {
                    base: 1e4,
                    width: head_width,
                    scaling: RotaryScaling::None,
                },
                windowed: None,
            },
            attention: AttentionConfig {
                windows: Vec::new(),
                head_norm: None,
                input_bias: false,
                output_bias: false,
                scale: None,
                soft_cap: None,
            },
            feed_forward: FeedForwardConfig {
                gated: true,
                activation: FeedForwardActivation::Silu,
                bias: false,
            },
            residual: Residual::Sequential,
            head: HeadConfig {
                tied: true,
                bias: false,
                soft_cap: None,
            },
            embedding_scale: None,
        };
        config.check()?;
        Ok(config)
    }

    /// A decoder on `device`.
    ///
    /// # Errors
    /// Those of [`config`](Self::config).
    pub fn init(&self, device: &Device) -> Result<Decoder, DecoderError> {
        self.config()?.init(device)
    }
}
