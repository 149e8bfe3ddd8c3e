//! OPT: learned positions that begin two rows into their table.

use super::document::Document;
use super::llama;
use super::names::{Names, Place};
use crate::decoder::{
    AttentionConfig, DecoderConfig, DecoderError, FeedForwardConfig, HeadConfig, NormConfig,
    NormKind, Positions, Residual,
};

pub(super) const NAMES: Names = Names {
    roots: &["model.decoder.", "decoder."],
    places: "embed_positions",
    attention_norm: "self_attn_layer_norm",
    feed_forward_norm: "final_layer_norm",
    output: "self_attn.out_proj",
    gate: Place::Own(""),
    up: Place::Own("fc1"),
    down: "fc2",
    norm: "final_layer_norm",
    ..llama::NAMES
};

pub(super) fn config(document: &Document) -> Result<DecoderConfig, DecoderError> {
    let width = document.count("hidden_size")?;
    let heads = document.count("num_attention_heads")?;
    document.only(
        "do_layer_norm_before",
        true,
        "norms stand before the parts of a block, as in all sizes but 350m",
    )?;
    document.only("_remove_final_layer_norm", false, "the last norm is needed")?;
    document.only("layer_norm_elementwise_affine", true, "norms have weights")?;
    document.only(
        "word_embed_proj_dim",
        width,
        "embeddings are as wide as the blocks, as in all sizes but 350m",
    )?;
    let bias = document.flag_or("enable_bias", true)?;
    Ok(DecoderConfig {
        vocabulary: document.count("vocab_size")?,
        width,
        layers: document.count("num_hidden_layers")?,
        heads,
        key_value_heads: heads,
        head_width: width / heads.max(1),
        hidden_width: document.count("ffn_dim")?,
        max_positions: document.count("max_position_embeddings")?,
        norm: NormConfig {
            kind: NormKind::Layer,
            epsilon: 1e-5,
        },
        positions: Positions::Learned { offset: 2 },
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
            activation: document.activation("activation_function")?,
            bias,
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
