//! Mistral: Llama with a sliding window.

use super::document::Document;
use super::llama;
use crate::decoder::{DecoderConfig, DecoderError};

pub(super) fn config(document: &Document) -> Result<DecoderConfig, DecoderError> {
    let mut config = llama::config(document)?;
    let window = document.maybe_count("sliding_window")?;
    config.attention.windows = document.windows(window, |_| true)?;
    Ok(config)
}
