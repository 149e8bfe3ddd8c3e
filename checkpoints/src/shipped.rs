//! The networks that come with the program: a language model, so that tuning works without a download, and a detector of arrhythmia, so that
//! signals can be judged without a training.

use std::path::Path;

use crate::{CheckpointError, MANIFEST_FILE, WEIGHTS_FILE, write_bytes};

/// A decoder of 1.05 million weights in 16 bits, trained on the procedural corpus of people by `configs/recipes/personal-model.toml` and
/// written by `crossburn export --weights f16`, file by file.
const LANGUAGE_MODEL: [(&str, &[u8]); 5] = [
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

/// A network of 10,000 weights that finds ventricular arrhythmia, trained on procedural electrograms by `configs/recipes/iegm-shipped.toml`:
/// its checkpoint, file by file.
const DETECTOR: [(&str, &[u8]); 2] = [
    (
        MANIFEST_FILE,
        include_bytes!("../models/detector/manifest.json"),
    ),
    (
        WEIGHTS_FILE,
        include_bytes!("../models/detector/model.safetensors"),
    ),
];

/// Writes the language model that comes with the program into `folder`, in the layout of the Hugging Face hub. Files that are there already with
/// the same content are left alone.
///
/// # Errors
/// [`CheckpointError::Write`].
pub fn write_shipped_model(folder: &Path) -> Result<(), CheckpointError> {
    write_files(folder, &LANGUAGE_MODEL)
}

/// Writes the checkpoint of the detector of arrhythmia that comes with the program into `folder`. Files that are there already with the same
/// content are left alone.
///
/// # Errors
/// [`CheckpointError::Write`].
pub fn write_shipped_detector(folder: &Path) -> Result<(), CheckpointError> {
    write_files(folder, &DETECTOR)
}

fn write_files(folder: &Path, files: &[(&str, &[u8])]) -> Result<(), CheckpointError> {
    std::fs::create_dir_all(folder).map_err(CheckpointError::writing(folder))?;
    for &(name, bytes) in files {
        let path = folder.join(name);
        if std::fs::read(&path).ok().as_deref() != Some(bytes) {
            write_bytes(&path, bytes)?;
        }
    }
    Ok(())
}
