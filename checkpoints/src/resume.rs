//! Resume state: everything an interrupted training run needs to continue bit for bit.
//!
//! ```text
//! run/resume.json              the pointer: which folder is valid, and the checksums of its files
//! run/resume-7/model.bpk       parameters with their identities, running states
//! run/resume-7/optimizer.bpk   moments and step counts, by identity of the parameter; of further optimizers optimizer-2.bpk, ...
//! run/resume-7/progress.json   what the training loop wants back: epoch, best metric, position of the generator, ...
//! ```
//!
//! The files are written to a temporary folder, which becomes `resume-<n>`; then the pointer is replaced; then
//! the previous folder is deleted. A crash at any point leaves the old state or the new one. One run at a time may
//! save into a folder.
//!
//! Weights are stored in Burn's own format here, not as safetensors, because the state of an optimizer is keyed by the
//! identities of the parameters, which safetensors has no place for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::{Module, ParamGroup};
use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::store::ModuleRecord;
use burn::tensor::Bytes;
use crossburn_noise::{NoiseError, PathPattern, require_finite};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::atomic::{sync_dir, write_bytes};
use crate::checksum::checksum;
use crate::error::CheckpointError;
use crate::manifest::{from_json, to_json};
use crate::resting::learned;

const FORMAT: &str = "crossburn.resume/1";
const POINTER_FILE: &str = "resume.json";
const MODEL_FILE: &str = "model.bpk";
const PROGRESS_FILE: &str = "progress.json";
const FOLDER_PREFIX: &str = "resume-";
const UNFINISHED_PREFIX: &str = "resume.tmp-";

/// Characters of Burn's own messages that are passed on.
const MAX_CAUSE: usize = 300;

/// Content of `resume.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pointer {
    format: String,
    /// The `n` of `resume-<n>`. A number, so that the file cannot lead out of its folder.
    generation: u64,
    /// Checksums by file name.
    checksums: BTreeMap<String, String>,
}

/// Writes the state of a training run to `dir`, creating it where needed and replacing the state in it.
///
/// There is one optimizer, or one for every network that `module` holds: networks that started as copies of each other
/// share the identities of their parameters, and one optimizer could not tell them apart. `progress` is any data with a
/// JSON form. `resting` weights are left out: a fresh module has them. JSON has no NaN or infinity: use an `Option` where one may occur.
///
/// # Errors
///
/// [`CheckpointError::Write`], [`CheckpointError::Encode`] or [`CheckpointError::Tensor`]; the previous state is then
/// still the valid one.
pub fn save_resume<M: Module, T: Serialize>(
    dir: &Path,
    module: &M,
    resting: &[PathPattern],
    optimizers: &[ModuleOptimizer],
    progress: &T,
) -> Result<(), CheckpointError> {
    fs_err::create_dir_all(dir).map_err(CheckpointError::writing(dir))?;
    let last = last_generation(dir).map_err(CheckpointError::reading(dir))?;
    let generation = last.saturating_add(1);

    let mut builder = tempfile::Builder::new();
    builder.prefix(UNFINISHED_PREFIX);
    #[cfg(unix)]
    {
        // As a folder made by `create_dir`: the umask decides. Temporary folders are private otherwise.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o777));
    }
    let unfinished = builder
        .tempdir_in(dir)
        .map_err(CheckpointError::writing(dir))?;

    // `valid` lets pending updates of running states take effect; without it the last one would be lost.
    let module = module.valid();
    let record = match resting.is_empty() {
        true => module.into_record(),
        false => {
            let group = ParamGroup::from_ids(learned(&module, resting).0);
            module.into_record_group(group)
        }
    };
    let model = record.into_bytes();
    let mut checksums = BTreeMap::new();
    let mut store = |file: &str, bytes: &[u8]| {
        checksums.insert(file.to_string(), checksum(bytes));
        write_bytes(&unfinished.path().join(file), bytes)
    };
    let optimizers = optimizers
        .iter()
        .enumerate()
        .map(|(index, optimizer)| (optimizer_file(index), optimizer.to_record().into_bytes()));
    for (file, bytes) in std::iter::once((MODEL_FILE.to_string(), model)).chain(optimizers) {
        let bytes = bytes.map_err(|e| CheckpointError::Tensor {
            path: dir.join(&file),
            cause: e.to_string(),
        })?;
        store(&file, &bytes)?;
    }
    store(PROGRESS_FILE, &to_json(progress, &dir.join(PROGRESS_FILE))?)?;

    let folder = folder(dir, generation);
    fs_err::rename(unfinished.path(), &folder)
        .and_then(|()| sync_dir(dir))
        .map_err(CheckpointError::writing(&folder))?;
    // It has another name now: nothing is left to delete when `unfinished` goes.
    let _ = unfinished.keep();

    let path = dir.join(POINTER_FILE);
    let pointer = Pointer {
        format: FORMAT.to_string(),
        generation,
        checksums,
    };
    write_bytes(&path, &to_json(&pointer, &path)?)?;
    delete_others(dir, generation);
    Ok(())
}

/// Whether `dir` holds a resume state. [`load_resume`] consumes the module it is given, so this comes first where a
/// run may also start afresh.
pub fn has_resume(dir: &Path) -> bool {
    dir.join(POINTER_FILE).exists()
}

/// Reads the state of a training run from `dir` into a fresh `module` and as many fresh `optimizers` of the same settings
/// as were saved. `None` when there is no state.
///
/// The parameters get back the identities they had, so the optimizers continue with their states. Optimizers whose states
/// look alike (Adam and AdamW) or that have none yet cannot be told apart here: put the recipe into `progress` and
/// compare it.
///
/// Burn puts the state of the optimizer on `Device::default()` and moves it to the device of the parameter at the
/// next step. The values are exact either way, but a program that has a GPU backend compiled in opens the GPU for
/// this even when it trains on the processor.
///
/// # Errors
///
/// [`CheckpointError::Resume`] when module or optimizer are not those of the run; [`CheckpointError::Read`],
/// [`CheckpointError::Malformed`], [`CheckpointError::Format`] or [`CheckpointError::Checksum`] when files are missing
/// or damaged; [`CheckpointError::Value`] when a parameter or running statistic is not a finite number.
#[allow(
    clippy::type_complexity,
    reason = "three things go in, the same three come out"
)]
pub fn load_resume<M: Module, T: DeserializeOwned>(
    dir: &Path,
    module: M,
    resting: &[PathPattern],
    optimizers: Vec<ModuleOptimizer>,
) -> Result<Option<(M, Vec<ModuleOptimizer>, T)>, CheckpointError> {
    let Some(kept) = Kept::open(dir)? else {
        return Ok(None);
    };
    let read = |file: &str| kept.read(file);
    // Burn lists every parameter of a model that does not fit; the first few tell enough.
    let misfit = |path: &Path, cause: String| CheckpointError::Resume {
        path: path.into(),
        cause: match cause.char_indices().nth(MAX_CAUSE) {
            Some((end, _)) => format!("{}...", &cause[..end]),
            None => cause,
        },
    };

    let progress = kept.progress()?;

    let (bytes, path) = read(MODEL_FILE)?;
    let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(bytes))
        .map_err(|e| misfit(&path, e.to_string()))?;
    let (_, expected) = learned(&module, resting);
    // Frozen weights are missing from the record. Burn refuses a record with tensors that the module lacks, so if there are
    // as many as learn, they are the right ones.
    let partial = !resting.is_empty() && record.len() == expected;
    let module = module
        .try_load_record(record.allow_partial(partial))
        .map_err(|e| misfit(&path, e.to_string()))?;
    require_finite(&module).map_err(|error| match error {
        NoiseError::Value {
            path: tensor,
            place,
            value,
            remedy,
        } => CheckpointError::Value {
            path: path.clone(),
            tensor,
            place,
            value,
            remedy,
        },
        error => misfit(&path, error.to_string()),
    })?;

    let load = |(index, optimizer): (usize, ModuleOptimizer)| {
        let (bytes, path) = read(&optimizer_file(index))?;
        let record = OptimizerRecord::from_bytes(Bytes::from_bytes_vec(bytes))
            .map_err(|e| misfit(&path, e.to_string()))?;
        // Burn drops what the optimizer has no use for without a word; a count shows it.
        let stored = record.len();
        let optimizer = optimizer.load_record(record);
        let loaded = optimizer.to_record().len();
        if loaded != stored {
            let cause =
                format!("it holds {stored} tensors of another optimizer, this one takes {loaded}");
            return Err(misfit(&path, cause));
        }
        Ok(optimizer)
    };
    let optimizers = optimizers
        .into_iter()
        .enumerate()
        .map(load)
        .collect::<Result<_, _>>()?;
    Ok(Some((module, optimizers, progress)))
}

/// Reads what [`save_resume`] was given as `progress`, and nothing else of the state in `dir`: enough to know whose state
/// it is. `None` when there is no state.
///
/// # Errors
///
/// Those of [`load_resume`] about the pointer and the progress.
pub fn read_progress<T: DeserializeOwned>(dir: &Path) -> Result<Option<T>, CheckpointError> {
    Kept::open(dir)?.map(|kept| kept.progress()).transpose()
}

/// A state on the disk that its pointer says is whole.
struct Kept {
    folder: PathBuf,
    checksums: BTreeMap<String, String>,
}

impl Kept {
    /// The state in `dir`; `None` when there is none.
    fn open(dir: &Path) -> Result<Option<Self>, CheckpointError> {
        let path = dir.join(POINTER_FILE);
        let pointer = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(CheckpointError::reading(&path)(cause)),
        };
        let pointer: Pointer = from_json(&pointer, &path, FORMAT)?;
        Ok(Some(Self {
            folder: folder(dir, pointer.generation),
            checksums: pointer.checksums,
        }))
    }

    /// The bytes of one of its files, and where they are.
    fn read(&self, file: &str) -> Result<(Vec<u8>, PathBuf), CheckpointError> {
        let path = self.folder.join(file);
        let bytes = std::fs::read(&path).map_err(CheckpointError::reading(&path))?;
        let found = checksum(&bytes);
        match self.checksums.get(file) {
            Some(expected) if *expected == found => Ok((bytes, path)),
            expected => Err(CheckpointError::Checksum {
                path,
                recorded_in: POINTER_FILE,
                expected: expected.cloned().unwrap_or_else(|| "nothing".to_string()),
                found,
            }),
        }
    }

    fn progress<T: DeserializeOwned>(&self) -> Result<T, CheckpointError> {
        let (bytes, path) = self.read(PROGRESS_FILE)?;
        serde_json::from_slice(&bytes).map_err(|e| CheckpointError::Resume {
            path,
            cause: e.to_string(),
        })
    }
}

/// The file of an optimizer, numbered from 1 where there are several.
fn optimizer_file(index: usize) -> String {
    match index {
        0 => "optimizer.bpk".to_string(),
        _ => format!("optimizer-{}.bpk", index + 1),
    }
}

/// The folder of generation `n`.
fn folder(dir: &Path, generation: u64) -> PathBuf {
    dir.join(format!("{FOLDER_PREFIX}{generation}"))
}

/// The `n` of a name `resume-<n>`, spelled as we spell it: `resume-07` is somebody else's.
fn generation(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(FOLDER_PREFIX)?;
    digits
        .parse()
        .ok()
        .filter(|n: &u64| n.to_string() == digits)
}

/// The largest `n` among the folders `resume-<n>`, valid or not; 0 when there is none.
fn last_generation(dir: &Path) -> std::io::Result<u64> {
    let mut last = 0;
    for entry in fs_err::read_dir(dir)? {
        let name = entry?.file_name();
        last = last.max(name.to_str().and_then(generation).unwrap_or(0));
    }
    Ok(last)
}

/// Deletes the states before `valid` and what crashes left. A failure costs space only, and the next save tries again.
fn delete_others(dir: &Path, valid: u64) {
    let Ok(entries) = fs_err::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if name.starts_with(UNFINISHED_PREFIX) || generation(name).is_some_and(|n| n != valid) {
            let _ = fs_err::remove_dir_all(entry.path());
        }
    }
}
