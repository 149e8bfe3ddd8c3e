//! Qwen 3: Llama with a norm of every head of query and key.

use super::document::Document;
use super::names::Names;
use super::{llama, qwen2};
use crate::decoder::{DecoderConfig, DecoderError, NormKind};

pub(super) const NAMES: Names = Names {
    query_norm: "self_attn.q_norm",
    key_norm: "self_attn.k_norm",
    ..llama::NAMES
};

pub(super) fn config(document: &Document) -> Result<DecoderConfig, DecoderError> {
    let mut config = llama::config(document)?;
    config.head_width = document.count_or("head_dim", 128)?;
    config.positions = document.rotary(config.head_width, 1.0)?;
    config.attention.head_norm = Some(document.rms(NormKind::Rms)?);
    config.attention.windows = qwen2::windows(document)?;
    Ok(config)
}
