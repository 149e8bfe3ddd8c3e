//! Gemma: Llama with norms that scale by 1 + w, scaled embeddings, a head tied to them, and gelu.

use super::document::Document;
use super::llama;
use crate::decoder::{DecoderConfig, DecoderError, FeedForwardActivation, NormKind};

pub(super) fn config(document: &Document) -> Result<DecoderConfig, DecoderError> {
    let mut config = llama::config(document)?;
    config.head_width = document.count_or("head_dim", 256)?;
    config.positions = document.rotary(config.head_width, 1.0)?;
    config.norm = document.rms(NormKind::RmsFromOne)?;
    config.embedding_scale = Some((config.width as f64).sqrt());
    config.head.tied = document.flag_or("tie_word_embeddings", true)?;
    config.feed_forward.activation = match document.get("hidden_activation") {
        Some(_) => document.activation("hidden_activation")?,
        // Files that say "gelu" here mean the tanh form, which their weights were trained with.
        None => match config.feed_forward.activation {
            FeedForwardActivation::Gelu => FeedForwardActivation::GeluTanh,
            other => other,
        },
    };
    Ok(config)
}
