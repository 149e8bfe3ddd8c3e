//! Gemma 3, the text part: two norms around each part of a block, norms of heads, and windows in five of six layers, which
//! have a rotation of their own.

use super::document::Document;
use super::names::Names;
use super::{gemma, llama};
use crate::decoder::{
    DecoderConfig, DecoderError, FeedForwardActivation, NormKind, Positions, Residual,
};

pub(super) const NAMES: Names = Names {
    attention_output_norm: "post_attention_layernorm",
    feed_forward_norm: "pre_feedforward_layernorm",
    feed_forward_output_norm: "post_feedforward_layernorm",
    query_norm: "self_attn.q_norm",
    key_norm: "self_attn.k_norm",
    ..llama::NAMES
};

/// Names in files that also hold the part for images.
pub(super) const NAMES_OF_BOTH: Names = Names {
    roots: &["language_model.model.", "model.language_model.", "model."],
    head: "language_model.lm_head",
    foreign: &[
        "vision_tower.",
        "multi_modal_projector.",
        "model.vision_tower.",
        "model.multi_modal_projector.",
        "lm_head.weight",
    ],
    ..NAMES
};

pub(super) fn config_of_both(document: &Document) -> Result<DecoderConfig, DecoderError> {
    match document.object("text_config")? {
        Some(text) => config(&text),
        None => Err(DecoderError::MissingKey {
            key: "text_config".to_string(),
        }),
    }
}

pub(super) fn config(document: &Document) -> Result<DecoderConfig, DecoderError> {
    let mut config = gemma::config(document)?;
    if document.get("hidden_activation").is_none() {
        config.feed_forward.activation = FeedForwardActivation::GeluTanh;
    }
    config.residual = Residual::SequentialNormedTwice;
    config.positions = positions(document, config.head_width)?;
    let attention = &mut config.attention;
    attention.head_norm = Some(document.rms(NormKind::RmsFromOne)?);
    attention.scale = Some(
        document
            .number_or("query_pre_attn_scalar", 256.0)?
            .powf(-0.5),
    );
    attention.soft_cap = document.maybe_number("attn_logit_softcapping")?;
    let window = document.count_or("sliding_window", 4096)?;
    let pattern = document.count_or("sliding_window_pattern", 6)?.max(1);
    attention.windows = document.windows(Some(window), |layer| (layer + 1) % pattern != 0)?;
    config.head.soft_cap = document.maybe_number("final_logit_softcapping")?;
    Ok(config)
}

/// A rotation for layers that see everything, another for those with a window.
fn positions(document: &Document, head_width: usize) -> Result<Positions, DecoderError> {
    let kinds = match document.object("rope_parameters")? {
        Some(kinds) => [
            kinds.object("full_attention")?,
            kinds.object("sliding_attention")?,
        ],
        None => [None, None],
    };
    let [full, sliding] = kinds;
    let base = |kind: &Option<Document>, key: &str, default: f64| match kind {
        Some(kind) => kind.number_or("rope_theta", default),
        None => document.number_or(key, default),
    };
    let bases = [
        base(&full, "rope_theta", 1e6)?,
        base(&sliding, "rope_local_base_freq", 1e4)?,
    ];
    let full = match full {
        Some(full) => Some(full),
        None => document.object("rope_scaling")?,
    };
    Ok(Positions::Rotary {
        rotary: document.rotation(head_width, 1.0, bases[0], full)?,
        windowed: Some(document.rotation(head_width, 1.0, bases[1], sliding)?),
    })
}
