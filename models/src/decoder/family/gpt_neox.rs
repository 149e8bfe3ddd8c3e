//! GPT-NeoX: Pythia. Query, key and value lie head by head in one tensor.

use super::document::Document;
use super::llama;
use super::names::{Names, Place};
use crate::decoder::{
    AttentionConfig, DecoderConfig, DecoderError, FeedForwardConfig, HeadConfig, Positions,
    Residual,
};

pub(super) const NAMES: Names = Names {
    roots: &["gpt_neox.", ""],
    embedding: "embed_in",
    query: Place::ByHead("attention.query_key_value"),
    key: Place::ByHead("attention.query_key_value"),
    value: Place::ByHead("attention.query_key_value"),
    output: "attention.dense",
    gate: Place::Own(""),
    up: Place::Own("mlp.dense_h_to_4h"),
    down: "mlp.dense_4h_to_h",
    norm: "final_layer_norm",
    head: "embed_out",
    ..llama::NAMES
};

pub(super) fn config(document: &Document) -> Result<DecoderConfig, DecoderError> {
    let heads = document.count("num_attention_heads")?;
    let width = document.count("hidden_size")?;
    let head_width = width / heads.max(1);
    let bias = document.flag_or("attention_bias", true)?;
    let share = document.number_or("rotary_pct", 0.25)?;
    let mut positions = document.rotary(head_width, share)?;
    if let (Positions::Rotary { rotary, .. }, None, Some(base)) = (
        &mut positions,
        document.get("rope_parameters"),
        document.maybe_number("rotary_emb_base")?,
    ) {
        rotary.base = base;
    }
    Ok(DecoderConfig {
        vocabulary: document.count("vocab_size")?,
        width,
        layers: document.count("num_hidden_layers")?,
        heads,
        key_value_heads: heads,
        head_width,
        hidden_width: document.count("intermediate_size")?,
        max_positions: document.count("max_position_embeddings")?,
        norm: document.layer_norm("layer_norm_eps", 1e-5)?,
        positions,
        attention: AttentionConfig {
            windows: Vec::new(),
            head_norm: None,
            input_bias: bias,
            output_bias: bias,
            scale: None,
            soft_cap: None,
        },
        feed_forward: FeedForwardConfig {
            gated: false,
            activation: document.activation("hidden_act")?,
            bias: true,
        },
        residual: match document.flag_or("use_parallel_residual", true)? {
            true => Residual::ParallelTwoNorms,
            false => Residual::Sequential,
        },
        head: HeadConfig {
            tied: document.flag_or("tie_word_embeddings", false)?,
            bias: false,
            soft_cap: None,
        },
        embedding_scale: None,
    })
}
