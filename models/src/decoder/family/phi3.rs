//! Phi 3 and 3.5 mini: Llama with query, key and value in one tensor, gate and up in another.

use super::document::Document;
use super::llama;
use super::names::{Names, Place};
use crate::decoder::{DecoderConfig, DecoderError};

pub(super) const NAMES: Names = Names {
    query: Place::QueryKeyValue("self_attn.qkv_proj"),
    key: Place::QueryKeyValue("self_attn.qkv_proj"),
    value: Place::QueryKeyValue("self_attn.qkv_proj"),
    gate: Place::GateUp("mlp.gate_up_proj"),
    up: Place::GateUp("mlp.gate_up_proj"),
    ..llama::NAMES
};

pub(super) fn config(document: &Document) -> Result<DecoderConfig, DecoderError> {
    let mut config = llama::config(document)?;
    let window = document.maybe_count("sliding_window")?;
    config.attention.windows = document.windows(window, |_| true)?;
    Ok(config)
}
