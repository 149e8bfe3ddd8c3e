//! The right to write into a run folder: one process at a time, and one verb for as long as its results are there.

use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::report::RESULTS_FILE;
use crate::report::registry::verb_of;

/// The file that is locked, and says which verb wrote into the folder last. It stays there: who removes it may remove that of another
/// process.
const LOCK_FILE: &str = ".crossburn.lock";

/// Held while a verb writes into a run folder. The system gives it back when the process ends, however that happens.
#[derive(Debug)]
pub(super) struct RunLock {
    /// Open, and locked where the file system has locks.
    _file: File,
}

impl RunLock {
    /// The right of `verb` to write into `folder`, which is created where it is missing.
    ///
    /// # Errors
    /// A folder that cannot be created or written, one that another process writes into, and one that holds the results of
    /// another verb.
    pub(super) fn take(folder: &Path, verb: &str) -> Result<Self> {
        let context = || {
            format!(
                "cannot create the run folder {}: choose another --out",
                folder.display()
            )
        };
        Self::require_own(folder, verb)?;
        fs_err::create_dir_all(folder).with_context(context)?;
        let path = folder.join(LOCK_FILE);
        let mut options = fs_err::OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).open(path);
        let (file, _) = file.with_context(context)?.into_parts();
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            bail!(
                "another process writes into {}: let it end first, or choose another --out",
                folder.display()
            );
        }
        // Any other refusal is that of a file system without locks.
        file.set_len(0)
            .and_then(|()| (&file).write_all(verb.as_bytes()))
            .with_context(context)?;
        Ok(Self { _file: file })
    }

    /// Whether `verb` was the last to write into `folder`, also where it was interrupted before it had results.
    pub(super) fn was_of(folder: &Path, verb: &str) -> bool {
        fs_err::read_to_string(folder.join(LOCK_FILE)).is_ok_and(|last| last == verb)
    }

    /// Refuses a folder that holds the results of another verb than `verb`, and writes nothing.
    ///
    /// # Errors
    /// Folder and verb.
    pub(super) fn require_own(folder: &Path, verb: &str) -> Result<()> {
        match verb_at(folder).filter(|other| other != verb) {
            Some(other) => bail!(
                "{} holds the results of `{other}`, which `{verb}` would replace: choose another --out",
                folder.display()
            ),
            None => Ok(()),
        }
    }
}

/// The verb whose results are in `folder`; nothing where there are none, or none that this version knows.
pub(super) fn verb_at(folder: &Path) -> Option<String> {
    let file = match folder.is_dir() {
        true => folder.join(RESULTS_FILE),
        false => folder.to_path_buf(),
    };
    let text = fs_err::read_to_string(file).ok()?;
    let document: Value = serde_json::from_str(&text).ok()?;
    verb_of(&document)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn one_writer_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("a/run");
        let first = RunLock::take(&run, "train").unwrap();
        let message = RunLock::take(&run, "train").unwrap_err().to_string();
        assert_eq!(
            message,
            format!(
                "another process writes into {}: let it end first, or choose another --out",
                run.display()
            )
        );
        // Another folder is free, and so is this one afterwards.
        RunLock::take(&folder.path().join("b"), "train").unwrap();
        drop(first);
        RunLock::take(&run, "train").unwrap();
    }

    #[test]
    fn the_last_verb_is_known_without_results() {
        let folder = tempfile::tempdir().unwrap();
        let of = |verb| RunLock::was_of(folder.path(), verb);
        assert!(!of("import"));
        drop(RunLock::take(folder.path(), "worst-case").unwrap());
        drop(RunLock::take(folder.path(), "import").unwrap());
        assert!(of("import") && !of("worst-case"));
    }

    #[test]
    fn results_are_replaced_by_their_own_verb_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(RESULTS_FILE);
        for (text, verb) in [
            (
                r#"{"schema":"crossburn.results/1","command":"train"}"#,
                "train",
            ),
            (
                r#"{"schema":"crossburn.results/9","command":"evaluate"}"#,
                "evaluate",
            ),
            (r#"{"schema":"crossburn.mapping/1"}"#, "map"),
            (r#"{"schema":"crossburn.worst-case/1"}"#, "worst-case"),
            (r#"{"schema":"crossburn.reproduction/1"}"#, "reproduce"),
            (r#"{"schema":"crossburn.simulation/1"}"#, "ecg simulate"),
        ] {
            fs_err::write(&file, text).unwrap();
            RunLock::take(folder.path(), verb).unwrap();
            let message = RunLock::take(folder.path(), "demo")
                .unwrap_err()
                .to_string();
            let expected = format!(
                "holds the results of `{verb}`, which `demo` would replace: choose another --out"
            );
            assert!(message.ends_with(&expected), "{message}");
        }
        // What is no results document is nobody's.
        for text in ["", "{}", "[1]", r#"{"schema":"other/1"}"#] {
            fs_err::write(&file, text).unwrap();
            RunLock::take(folder.path(), "demo").unwrap();
        }
    }
}
