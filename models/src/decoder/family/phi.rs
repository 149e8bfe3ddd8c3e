//! Phi 1, 1.5 and 2: attention and feed-forward layer side by side after one norm, half of each head rotated.

use super::document::Document;
use super::llama;
use super::names::{Names, Place};
use crate::decoder::{
    AttentionConfig, DecoderConfig, DecoderError, FeedForwardConfig, HeadConfig, Residual,
};

pub(super) const NAMES: Names = Names {
    feed_forward_norm: "",
    output: "self_attn.dense",
    query_norm: "self_attn.q_layernorm",
    key_norm: "self_attn.k_layernorm",
    gate: Place::Own(""),
    up: Place::Own("mlp.fc1"),
    down: "mlp.fc2",
    norm: "final_layernorm",
    ..llama::NAMES
};

pub(super) fn config(document: &Document) -> Result<DecoderConfig, DecoderError> {
    let [heads, key_value_heads, head_width] = document.heads()?;
    let norm = document.layer_norm("layer_norm_eps", 1e-5)?;
    Ok(DecoderConfig {
        vocabulary: document.count("vocab_size")?,
        width: document.count("hidden_size")?,
        layers: document.count("num_hidden_layers")?,
        heads,
        key_value_heads,
        head_width,
        hidden_width: document.count("intermediate_size")?,
        max_positions: document.count("max_position_embeddings")?,
        norm,
        positions: document.rotary(head_width, 0.5)?,
        attention: AttentionConfig {
            windows: Vec::new(),
            head_norm: document.flag_or("qk_layernorm", false)?.then_some(norm),
            input_bias: true,
            output_bias: true,
            scale: None,
            soft_cap: None,
        },
        feed_forward: FeedForwardConfig {
            gated: false,
            activation: document.activation("hidden_act")?,
            bias: true,
        },
        residual: Residual::ParallelOneNorm,
        head: HeadConfig {
            tied: false,
            bias: true,
            soft_cap: None,
        },
        embedding_scale: None,
    })
}
