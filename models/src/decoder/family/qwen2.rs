//! Qwen 2 and 2.5: Llama with biases of query, key and value, and windows in later layers where they are switched on.

use super::document::Document;
use super::llama;
use crate::decoder::{DecoderConfig, DecoderError};

pub(super) fn config(document: &Document) -> Result<DecoderConfig, DecoderError> {
    let mut config = llama::config(document)?;
    config.attention.input_bias = true;
    config.attention.output_bias = false;
    config.attention.windows = windows(document)?;
    Ok(config)
}

pub(super) fn windows(document: &Document) -> Result<Vec<Option<usize>>, DecoderError> {
    let window = match document.flag_or("use_sliding_window", false)? {
        true => document.maybe_count("sliding_window")?,
        false => None,
    };
    let from = document.count_or("max_window_layers", 0)?;
    document.windows(window, |layer| layer >= from)
}
