//! Llama: SmolLM, SmolLM2, TinyLlama, Llama 2 and 3.

use serde_json::{Value, json};

use super::document::Document;
use super::names::{Names, Place};
use crate::decoder::{
    AttentionConfig, DecoderConfig, DecoderError, FeedForwardActivation, FeedForwardConfig,
    HeadConfig, NormKind, Positions, Residual,
};

pub(super) const NAMES: Names = Names {
    roots: &["model.", ""],
    embedding: "embed_tokens",
    places: "",
    layers: "layers",
    attention_norm: "input_layernorm",
    attention_output_norm: "",
    feed_forward_norm: "post_attention_layernorm",
    feed_forward_output_norm: "",
    query: Place::Own("self_attn.q_proj"),
    key: Place::Own("self_attn.k_proj"),
    value: Place::Own("self_attn.v_proj"),
    output: "self_attn.o_proj",
    query_norm: "",
    key_norm: "",
    gate: Place::Own("mlp.gate_proj"),
    up: Place::Own("mlp.up_proj"),
    down: "mlp.down_proj",
    norm: "norm",
    head: "lm_head",
    inputs_first: false,
    foreign: &[],
};

pub(super) fn config(document: &Document) -> Result<DecoderConfig, DecoderError> {
    let [heads, key_value_heads, head_width] = document.heads()?;
    let bias = document.flag_or("attention_bias", false)?;
    Ok(DecoderConfig {
        vocabulary: document.count("vocab_size")?,
        width: document.count("hidden_size")?,
        layers: document.count("num_hidden_layers")?,
        heads,
        key_value_heads,
        head_width,
        hidden_width: document.count("intermediate_size")?,
        max_positions: document.count("max_position_embeddings")?,
        norm: document.rms(NormKind::Rms)?,
        positions: document.rotary(head_width, 1.0)?,
        attention: AttentionConfig {
            windows: Vec::new(),
            head_norm: None,
            input_bias: bias,
            output_bias: bias,
            scale: None,
            soft_cap: None,
        },
        feed_forward: FeedForwardConfig {
            gated: true,
            activation: match document.get("hidden_act") {
                Some(_) => document.activation("hidden_act")?,
                None => FeedForwardActivation::Silu,
            },
            bias: document.flag_or("mlp_bias", false)?,
        },
        residual: Residual::Sequential,
        head: HeadConfig {
            tied: document.flag_or("tie_word_embeddings", false)?,
            bias: false,
            soft_cap: None,
        },
        embedding_scale: None,
    })
}

/// The `config.json` of `config`, as far as Llama's keys can express it.
pub(super) fn document(config: &DecoderConfig) -> Value {
    let base = match &config.positions {
        Positions::Rotary { rotary, .. } => rotary.base,
        Positions::Learned { .. } => 0.0,
    };
    json!({
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": config.vocabulary,
        "hidden_size": config.width,
        "intermediate_size": config.hidden_width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.key_value_heads,
        "head_dim": config.head_width,
        "max_position_embeddings": config.max_positions,
        "rms_norm_eps": config.norm.epsilon,
        "rope_theta": base,
        "hidden_act": "silu",
        "attention_bias": config.attention.input_bias,
        "mlp_bias": config.feed_forward.bias,
        "tie_word_embeddings": config.head.tied,
    })
}
