//! A checkpoint: a folder with weights and their manifest.

use std::path::{Path, PathBuf};

use burn::module::Module;

use crate::atomic::Prepared;
use crate::checksum::checksum;
use crate::error::CheckpointError;
use crate::manifest::Manifest;
use crate::weights;

/// Name of the weights in a checkpoint folder.
pub const WEIGHTS_FILE: &str = "model.safetensors";

/// Name of the manifest in a checkpoint folder.
pub const MANIFEST_FILE: &str = "manifest.json";

/// The checkpoint of the run in `folder`, or `folder` itself where it holds none.
pub fn checkpoint_folder(folder: &Path) -> PathBuf {
    let inside = folder.join("checkpoint");
    match inside.is_dir() {
        true => inside,
        false => folder.to_path_buf(),
    }
}

/// Writes a checkpoint to the folder `dir`, creating it where needed and replacing the checkpoint in it.
///
/// Weights that the manifest calls resting are left out.
///
/// Both files are complete on the disk before the first is replaced. A crash in the instant between the two leaves a
/// pair that [`load_checkpoint`] refuses, because the manifest holds the checksum of the weights.
///
/// # Errors
///
/// [`CheckpointError::Write`] when the operating system refuses, [`CheckpointError::Tensor`] when a tensor cannot be
/// read from its device.
pub fn save_checkpoint<M: Module>(
    dir: &Path,
    module: &M,
    manifest: &Manifest,
) -> Result<(), CheckpointError> {
    fs_err::create_dir_all(dir).map_err(CheckpointError::writing(dir))?;
    let (weights_path, manifest_path) = (dir.join(WEIGHTS_FILE), dir.join(MANIFEST_FILE));
    let weights = weights::encode(module, &manifest.resting, &weights_path)?;
    let manifest = manifest.clone().with_weights_checksum(checksum(&weights));
    let json = manifest.to_json(&manifest_path)?;
    let weights = Prepared::new(&weights_path, |file| file.write_all(&weights))?;
    let manifest = Prepared::new(&manifest_path, |file| file.write_all(&json))?;
    weights.commit()?;
    manifest.commit()
}

/// Reads the manifest of the checkpoint in `dir`; enough to build the network for [`load_checkpoint`].
///
/// # Errors
///
/// [`CheckpointError::Missing`] when there is no such folder, [`CheckpointError::NotACheckpoint`] when there is no manifest
/// in it, [`CheckpointError::Malformed`] or [`CheckpointError::Format`] when it cannot be understood.
pub fn read_manifest(dir: &Path) -> Result<Manifest, CheckpointError> {
    Manifest::from_json(&read(dir, MANIFEST_FILE)?, &dir.join(MANIFEST_FILE))
}

/// Loads the checkpoint in `dir` into `module`, which must have the architecture that the manifest names, and keeps the weights
/// that the manifest calls resting.
///
/// # Errors
///
/// Those of [`read_manifest`] and [`load_weights`](crate::load_weights), and [`CheckpointError::Checksum`] when
/// weights and manifest were not written together.
pub fn load_checkpoint<M: Module>(dir: &Path, module: M) -> Result<(M, Manifest), CheckpointError> {
    let manifest = read_manifest(dir)?;
    let path = dir.join(WEIGHTS_FILE);
    let bytes = read(dir, WEIGHTS_FILE)?;
    let found = checksum(&bytes);
    if found != manifest.weights_checksum() {
        return Err(CheckpointError::Checksum {
            path,
            recorded_in: MANIFEST_FILE,
            expected: manifest.weights_checksum().to_string(),
            found,
        });
    }
    let module = weights::decode(module, &manifest.resting, &bytes, &path)?;
    Ok((module, manifest))
}

/// Content of one of the two files.
fn read(dir: &Path, file: &'static str) -> Result<Vec<u8>, CheckpointError> {
    let path = dir.join(file);
    if !dir.exists() {
        return Err(CheckpointError::Missing { dir: dir.into() });
    }
    if !path.is_file() {
        return Err(CheckpointError::NotACheckpoint {
            dir: dir.into(),
            file,
        });
    }
    std::fs::read(&path).map_err(CheckpointError::reading(&path))
}
