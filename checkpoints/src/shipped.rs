//! The language model that comes with the program, so that tuning works without a download.

use std::path::Path;

use crate::{CheckpointError, WEIGHTS_FILE, write_bytes};

/// A decoder of 1.05 million weights in 16 bits, trained on the procedural corpus of people by `configs/recipes/personal-model.toml` and
/// written by `crossburn export --weights f16`, file by file.
const FILES: [(&str, &[u8]); 5] = [
    (
        "config.json",
        include_bytes!("../models/personal/config.json"),
    ),
    (
        "generation_config.json",
        include_bytes!("../models/personal/generation_config.json"),
    ),
    (
        "tokenizer.json",
        include_bytes!("../models/personal/tokenizer.json"),
    ),
    (
        "tokenizer_config.json",
        include_bytes!("../models/personal/tokenizer_config.json"),
    ),
    (
        WEIGHTS_FILE,
        include_bytes!("../models/personal/model.safetensors"),
    ),
];

/// Writes the model that comes with the program into `folder`, in the layout of the Hugging Face hub. Files that are there already as they should be
/// are left alone.
///
/// # Errors
/// [`CheckpointError::Write`].
pub fn write_shipped_model(folder: &Path) -> Result<(), CheckpointError> {
    std::fs::create_dir_all(folder).map_err(CheckpointError::writing(folder))?;
    for (name, bytes) in FILES {
        let path = folder.join(name);
        if std::fs::read(&path).ok().as_deref() != Some(bytes) {
            write_bytes(&path, bytes)?;
        }
    }
    Ok(())
}
