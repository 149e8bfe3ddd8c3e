//! The threshold that lies beside the weights of a checkpoint: held-back items of its training gave it.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crossburn_checkpoints::{CheckpointError, write_bytes};
use serde::Deserialize;
use serde_json::json;

use crate::TrainingError;

/// The file of a checkpoint that keeps the threshold.
const THRESHOLD_FILE: &str = "threshold.json";

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptThreshold {
    threshold: f64,
}

/// The threshold that training found on the items that it held back and kept in the folder `checkpoint`; `None` where it found none.
///
/// # Errors
/// A file that cannot be read, or that holds no threshold of `least` or more.
pub fn kept_threshold(checkpoint: &Path, least: f64) -> Result<Option<f64>, TrainingError> {
    let path = checkpoint.join(THRESHOLD_FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(TrainingError::Read { path, cause }),
    };
    let kept = serde_json::from_slice::<KeptThreshold>(&bytes).ok();
    match kept.map(|kept| kept.threshold) {
        Some(threshold) if threshold.is_finite() && threshold >= least => Ok(Some(threshold)),
        _ => Err(TrainingError::data(
            path.display().to_string(),
            format!("it holds no threshold from {least} on"),
            "train again, or copy the whole checkpoint",
        )),
    }
}

/// Writes the threshold into the folder `checkpoint`; without one, removes what another training may have left there.
///
/// # Errors
/// A file that cannot be written.
pub(super) fn keep_threshold(
    threshold: Option<f64>,
    checkpoint: &Path,
) -> Result<(), TrainingError> {
    let path = checkpoint.join(THRESHOLD_FILE);
    let failed = |path: &Path, cause| CheckpointError::Write {
        path: path.to_path_buf(),
        cause,
    };
    let Some(threshold) = threshold else {
        return match fs::remove_file(&path) {
            Err(cause) if cause.kind() != ErrorKind::NotFound => Err(failed(&path, cause).into()),
            _ => Ok(()),
        };
    };
    fs::create_dir_all(checkpoint).map_err(|cause| failed(checkpoint, cause))?;
    let kept = json!({ "threshold": threshold });
    Ok(write_bytes(&path, kept.to_string().as_bytes())?)
}
