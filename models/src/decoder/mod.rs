//! One causal transformer that is any of the public language models.
//!
//! A [`DecoderConfig`] says which: norms, positions, attention, feed-forward layers. [`family`] makes one from the
//! `config.json` of a public model. Matrices are Burn's linear layers, multiplied by [`crossburn_hardware::layer::linear`], so
//! that a language model varies, is quantized and lies on arrays as any network does.
//!
//! ```
//! use burn::tensor::{Device, Int, Tensor};
//! use crossburn_models::decoder::family;
//!
//! let document = serde_json::json!({
//!     "model_type": "llama", "vocab_size": 32, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1,
//!     "num_attention_heads": 2, "max_position_embeddings": 8, "rms_norm_eps": 1e-5,
//! });
//! let (config, _) = family::read(&document)?;
//! let decoder = config.init(&Device::flex())?;
//! let tokens = Tensor::<2, Int>::from_data([[1, 2, 3]], &Device::flex());
//! assert_eq!(decoder.forward(tokens).dims(), [1, 3, 32]);
//! # Ok::<(), crossburn_models::decoder::DecoderError>(())
//! ```

pub mod adapter;
mod attention;
mod block;
mod cache;
mod checkpointed;
mod config;
mod error;
pub mod family;
mod feed_forward;
mod generate;
mod network;
mod norm;
mod pass;
mod prompted;
mod pruning;
mod rotary;
mod sampling;
mod scores;
mod sizes;

pub use adapter::{
    AdaptedDecoder, Adapter, AdapterConfig, AdapterKind, AdapterTarget, LayerAdapter,
    LinearAdapter, next_token_loss,
};
pub use attention::Attention;
pub use block::Block;
pub use cache::Cache;
pub use config::{
    AttentionConfig, DecoderConfig, FeedForwardActivation, FeedForwardConfig, HeadConfig,
    NormConfig, NormKind, Positions, Residual, RotaryConfig, RotaryScaling,
};
pub use error::DecoderError;
pub use feed_forward::FeedForward;
pub use generate::{Generation, Stop};
pub use network::Decoder;
pub use norm::Norm;
pub use pruning::Kept;
pub use sampling::Sampling;
pub(crate) use scores::Scores;
pub use sizes::DecoderSizes;
