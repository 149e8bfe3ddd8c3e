//! `--model` of `crossburn rag`: the encoder.

use std::path::Path;

use anyhow::Result;

use crate::apps::rag::{HASHED_NGRAMS, TextEncoder};
use crate::cli::model_choice::located;

/// The encoder that `asked` names: the one that needs no file, a folder, or a name at the Hugging Face hub.
///
/// # Errors
/// A name that cannot be downloaded, and a folder without an encoder.
pub(super) fn open(asked: &Path) -> Result<TextEncoder> {
    match asked == Path::new(HASHED_NGRAMS) && !asked.exists() {
        true => Ok(TextEncoder::hashed_ngrams()),
        false => TextEncoder::sentences(&located(asked)?),
    }
}
