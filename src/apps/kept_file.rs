//! A file of finished work. It records the settings of the work, refuses to be continued with other settings, and is written as a whole.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use crossburn_checkpoints::write_bytes;
use serde::de::DeserializeOwned;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::differences::differences;

/// The kind of work in a file: its key, and words for messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    /// The key of the work. The key `of` holds its settings.
    pub(crate) key: &'static str,
    /// Completes "PATH is not …".
    pub(crate) is: &'static str,
    /// Completes "PATH holds … of other settings".
    pub(crate) holds: &'static str,
}

/// The path of finished work, and all settings that the work depends on. A resumed run must have the same settings.
#[derive(Debug)]
pub(crate) struct KeptFile {
    path: PathBuf,
    of: Value,
    work: Work,
}

impl KeptFile {
    pub(crate) fn new(path: PathBuf, of: Value, work: Work) -> Self {
        Self { path, of, work }
    }

    /// The work that an earlier run left; nothing without `resume`, or if there is no file.
    ///
    /// # Errors
    /// A file that cannot be read, that is of another kind, or whose settings differ.
    pub(crate) fn read<T: DeserializeOwned>(&self, resume: bool) -> Result<Option<T>> {
        if !resume || !self.path.exists() {
            return Ok(None);
        }
        let Work { key, is, holds } = self.work;
        let path = self.path.display();
        let other = || format!("{path} is not {is}: delete it, or leave out --resume");
        let text = fs_err::read_to_string(&self.path)?;
        let mut found: Map<String, Value> = serde_json::from_str(&text).with_context(other)?;
        let (of, work) = (found.remove("of"), found.remove(key));
        let (Some(of), Some(work), true) = (of, work, found.is_empty()) else {
            bail!(other());
        };
        if of != self.of {
            bail!(
                "{path} holds {holds} of other settings ({}): choose another --out, or leave out --resume",
                differences(&of, &self.of).join("; ")
            );
        }
        serde_json::from_value(work).map(Some).with_context(other)
    }

    /// Replaces the file by `work`. The folder is created if necessary.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(crate) fn write(&self, work: &impl Serialize) -> Result<()> {
        if let Some(folder) = self.path.parent() {
            fs_err::create_dir_all(folder)?;
        }
        let document = Document {
            of: &self.of,
            key: self.work.key,
            work,
        };
        Ok(write_bytes(
            &self.path,
            serde_json::to_string(&document)?.as_bytes(),
        )?)
    }
}

struct Document<'a, T> {
    of: &'a Value,
    key: &'static str,
    work: &'a T,
}

impl<T: Serialize> Serialize for Document<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("of", self.of)?;
        map.serialize_entry(self.key, self.work)?;
        map.end()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    const COUNTS: Work = Work {
        key: "counts",
        is: "a file of counts",
        holds: "counts",
    };

    #[test]
    fn work_is_read_back_by_the_run_that_it_is_of_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/counts.json");
        let file = |seed: u64| KeptFile::new(path.clone(), json!({ "seed": seed }), COUNTS);
        let counts = BTreeMap::from([(3u64, 0.1 + 0.2), (70, f64::MIN_POSITIVE)]);
        assert_eq!(file(1).read::<BTreeMap<u64, f64>>(true).unwrap(), None);
        file(1).write(&counts).unwrap();
        assert_eq!(file(1).read(true).unwrap(), Some(counts));
        assert_eq!(file(1).read::<BTreeMap<u64, f64>>(false).unwrap(), None);
        let refused = |seed| {
            let error = file(seed).read::<BTreeMap<u64, f64>>(true).unwrap_err();
            error.to_string()
        };
        assert!(refused(2).ends_with(
            "holds counts of other settings (seed is 1 there, 2 here): choose another --out, or leave out --resume"
        ));
        for text in [
            "",
            "[]",
            r#"{"of":{"seed":1}}"#,
            r#"{"of":{"seed":1},"counts":{},"more":1}"#,
            r#"{"of":{"seed":1},"counts":{"a":1}}"#,
        ] {
            std::fs::write(&path, text).unwrap();
            let told = "is not a file of counts: delete it, or leave out --resume";
            assert!(refused(1).ends_with(told), "{text}: {}", refused(1));
        }
    }
}
