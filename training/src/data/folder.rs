//! The folder of a data set: where its files are, or what it holds instead.

use std::path::{Path, PathBuf};

use crate::TrainingError;

/// Most names that a message lists.
const SHOWN: usize = 4;

/// Known contents of folders: the name of a file or a folder, and the data set that it belongs to.
const NEIGHBOURS: [(&str, &str); 11] = [
    (
        "data_batch_1",
        "the Python version of CIFAR-10: fetch the binary version, cifar-10-binary.tar.gz",
    ),
    (
        "cifar-10-batches-py",
        "the Python version of CIFAR-10: fetch the binary version, cifar-10-binary.tar.gz",
    ),
    (
        "cifar-10-python.tar.gz",
        "the Python version of CIFAR-10: fetch the binary version, cifar-10-binary.tar.gz",
    ),
    (
        "cifar-10-binary.tar.gz",
        "CIFAR-10 as it was fetched: unpack it",
    ),
    ("train.bin", "CIFAR-100, which has no reader here"),
    ("cifar-100-binary", "CIFAR-100, which has no reader here"),
    ("cifar-100-python", "CIFAR-100, which has no reader here"),
    ("data_batch_1.bin", "CIFAR-10: use cifar10:DIR"),
    ("cifar-10-batches-bin", "CIFAR-10: use cifar10:DIR"),
    ("train-images-idx3-ubyte", "MNIST: use mnist:DIR"),
    ("train-images-idx3-ubyte.gz", "MNIST: use mnist:DIR"),
];

/// The first of `inner`, folders inside `folder`, that exists, or `folder` itself.
pub(super) fn enter(folder: &Path, inner: &[&str]) -> PathBuf {
    let inner = inner.iter().map(|name| folder.join(name));
    let found = inner.into_iter().find(|path| path.is_dir());
    found.unwrap_or_else(|| folder.to_path_buf())
}

/// The names in `folder`, sorted.
///
/// # Errors
/// [`TrainingError::Read`] where it cannot be listed.
pub(super) fn names(folder: &Path) -> Result<Vec<String>, TrainingError> {
    let failed = |cause| TrainingError::Read {
        path: folder.to_path_buf(),
        cause,
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        names.push(name.to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// The error that `folder` lacks `missing`, files of the data set `own`. It says what the folder holds instead.
pub(super) fn missing(folder: &Path, missing: String, own: &str) -> TrainingError {
    let names = match names(folder) {
        Ok(names) => names,
        // The user expects files by name, so the error names them even if the folder does not exist.
        Err(TrainingError::Read { cause, .. }) => {
            return TrainingError::Missing {
                folder: folder.to_path_buf(),
                missing,
                found: format!(" ({cause})"),
            };
        }
        Err(other) => return other,
    };
    let known = NEIGHBOURS
        .iter()
        .filter(|(_, what)| !what.starts_with(&format!("{own}: use")))
        .find(|(name, _)| names.iter().any(|found| found == name));
    let found = match known {
        Some((name, what)) => format!(", but {name}: this is {what}"),
        None if names.is_empty() => ": it is empty".to_string(),
        None => {
            let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>();
            let more = names.len().saturating_sub(SHOWN);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            format!(", but {}{more}", shown.join(", "))
        }
    };
    TrainingError::Missing {
        folder: folder.to_path_buf(),
        missing,
        found,
    }
}
