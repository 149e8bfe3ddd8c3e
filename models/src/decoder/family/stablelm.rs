//! StableLM: Llama with layer norms and part of each head rotated.

use super::document::Document;
use super::llama;
use crate::decoder::{DecoderConfig, DecoderError, Residual};

pub(super) fn config(document: &Document) -> Result<DecoderConfig, DecoderError> {
    document.only(
        "qk_layernorm",
        false,
        "a norm for each head of its own is not",
    )?;
    let mut config = llama::config(document)?;
    config.norm = document.layer_norm("layer_norm_eps", 1e-5)?;
    config.positions = document.rotary(config.head_width, 0.25)?;
    config.attention.input_bias = document.flag_or("use_qkv_bias", false)?;
    config.attention.output_bias = false;
    if document.flag_or("use_parallel_residual", false)? {
        config.residual = Residual::ParallelOneNorm;
    }
    Ok(config)
}
