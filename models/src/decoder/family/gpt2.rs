//! GPT-2: learned positions, matrices with inputs first, query, key and value in one of them.

use super::document::Document;
use super::llama;
use super::names::{Names, Place};
use crate::decoder::{
    AttentionConfig, DecoderConfig, DecoderError, FeedForwardConfig, HeadConfig, Positions,
    Residual,
};

pub(super) const NAMES: Names = Names {
    roots: &["transformer.", ""],
    embedding: "wte",
    places: "wpe",
    layers: "h",
    attention_norm: "ln_1",
    feed_forward_norm: "ln_2",
    query: Place::QueryKeyValue("attn.c_attn"),
    key: Place::QueryKeyValue("attn.c_attn"),
    value: Place::QueryKeyValue("attn.c_attn"),
    output: "attn.c_proj",
    gate: Place::Own(""),
    up: Place::Own("mlp.c_fc"),
    down: "mlp.c_proj",
    norm: "ln_f",
    inputs_first: true,
    ..llama::NAMES
};

pub(super) fn config(document: &Document) -> Result<DecoderConfig, DecoderError> {
    let width = document.count("n_embd")?;
    let heads = document.count("n_head")?;
    document.only(
        "scale_attn_by_inverse_layer_idx",
        false,
        "scores have one scale in all layers",
    )?;
    document.only("add_cross_attention", false, "only decoders are read")?;
    let scaled = document.flag_or("scale_attn_weights", true)?;
    Ok(DecoderConfig {
        vocabulary: document.count("vocab_size")?,
        width,
        layers: document.count("n_layer")?,
        heads,
        key_value_heads: heads,
        head_width: width / heads.max(1),
        hidden_width: document.count_or("n_inner", width.saturating_mul(4))?,
        max_positions: document.count("n_positions")?,
        norm: document.layer_norm("layer_norm_epsilon", 1e-5)?,
        positions: Positions::Learned { offset: 0 },
        attention: AttentionConfig {
            windows: Vec::new(),
            head_norm: None,
            input_bias: true,
            output_bias: true,
            scale: if scaled { None } else { Some(1.0) },
            soft_cap: None,
        },
        feed_forward: FeedForwardConfig {
            gated: false,
            activation: document.activation("activation_function")?,
            bias: true,
        },
        residual: Residual::Sequential,
        head: HeadConfig {
            tied: document.flag_or("tie_word_embeddings", true)?,
            bias: false,
            soft_cap: None,
        },
        embedding_scale: None,
    })
}
