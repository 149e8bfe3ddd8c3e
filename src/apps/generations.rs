//! The files of a store that changes as a whole. Each change writes new files, whose names contain the number of the next generation. Then one small
//! file, which says which generation is valid, is replaced in one step.

use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, anyhow, bail};
use crossburn_checkpoints::{StoreOrigin, load_vector_store, save_vector_store, write_bytes};
use crossburn_hardware::search::VectorStore;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A kind of store: the name of the small file that says which generation is valid, and words for messages. The file is a JSON object with the keys
/// `schema` and `generation`, and further keys of its kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoreKind {
    /// The name of the file.
    pub(crate) manifest: &'static str,
    pub(crate) schema: &'static str,
    /// Completes "there is no … in FOLDER".
    pub(crate) is: &'static str,
    /// The command that makes such a store. It ends with the option for the folder.
    pub(crate) made_by: &'static str,
    /// Completes "hint: …", for files that are damaged or of another version.
    pub(crate) again: &'static str,
}

impl StoreKind {
    /// Whether there is such a store in `folder`.
    pub(crate) fn is_in(&self, folder: &Path) -> bool {
        self.path(folder).is_file()
    }

    /// Whether the files in `folder` belong to such a store of any version, so that they are no documents of the user.
    pub(crate) fn owns(&self, folder: &Path) -> bool {
        let format = self
            .schema
            .trim_end_matches(|letter: char| letter.is_ascii_digit());
        fs_err::read_to_string(self.path(folder)).is_ok_and(|text| text.contains(format))
    }

    fn path(&self, folder: &Path) -> PathBuf {
        folder.join(self.manifest)
    }

    /// Reads the small file of the store in `folder`.
    ///
    /// # Errors
    /// A folder without a store; a file that is damaged or of another version.
    pub(crate) fn read<T: DeserializeOwned>(&self, folder: &Path) -> Result<T> {
        let found = serde_json::from_value::<T>(self.value(folder)?);
        found.with_context(|| self.damaged(folder))
    }

    fn value(&self, folder: &Path) -> Result<Value> {
        if !self.is_in(folder) {
            let (is, made_by, place) = (self.is, self.made_by, folder.display());
            bail!("there is no {is} in {place}; hint: `crossburn {made_by} {place}` makes one");
        }
        let path = self.path(folder);
        let found: Value =
            serde_json::from_slice(&fs_err::read(&path)?).with_context(|| self.damaged(folder))?;
        // The schema is compared first, so that a store of another version is refused for its version.
        if found["schema"] != self.schema {
            bail!(
                "{} is of format {}, this version reads {}; hint: {}",
                path.display(),
                found["schema"],
                self.schema,
                self.again
            );
        }
        Ok(found)
    }

    fn damaged(&self, folder: &Path) -> String {
        let path = self.path(folder);
        format!("{} is damaged; hint: {}", path.display(), self.again)
    }

    /// The error of a store whose files do not belong together.
    pub(crate) fn mixed_up(&self, folder: &Path) -> Error {
        let path = self.path(folder);
        anyhow!(
            "{} does not belong to the vectors beside it; hint: {}",
            path.display(),
            self.again
        )
    }

    /// Replaces the small file of the store in `folder` by `manifest`, in one step.
    ///
    /// # Errors
    /// A file that cannot be written. The store is then unchanged.
    pub(crate) fn write(&self, folder: &Path, manifest: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string_pretty(manifest)? + "\n";
        Ok(write_bytes(&self.path(folder), text.as_bytes())?)
    }
}

/// The vectors `name` of `generation` in `folder`.
///
/// # Errors
/// Damaged files, or files whose origin is not `origin`: [`StoreKind::mixed_up`].
pub(crate) fn vectors(
    (kind, folder): (&StoreKind, &Path),
    (name, generation): (&str, u64),
    origin: &StoreOrigin,
) -> Result<VectorStore> {
    let (vectors, found) = load_vector_store(&folder.join(format!("{name}{generation}")))?;
    match found == *origin {
        true => Ok(vectors),
        false => Err(kind.mixed_up(folder)),
    }
}

/// Writes the vectors `name` of `generation` into `folder`. They replace what a killed process may have left.
///
/// # Errors
/// Files that cannot be written.
pub(crate) fn write_vectors(
    folder: &Path,
    (name, generation): (&str, u64),
    vectors: &VectorStore,
    origin: &StoreOrigin,
) -> Result<()> {
    let part = folder.join(format!("{name}{generation}"));
    if part.exists() {
        fs_err::remove_dir_all(&part)?;
    }
    Ok(save_vector_store(&part, vectors, origin)?)
}

/// Removes files and folders in `folder` whose name is one of `names`, followed by the number of another generation than `generation` and possibly an
/// ending.
///
/// # Errors
/// Errors of the operating system.
pub(crate) fn remove_others(folder: &Path, names: &[&str], generation: u64) -> Result<()> {
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let number = names.iter().find_map(|start| {
            let rest = name.strip_prefix(start)?;
            rest.split('.').next()?.parse::<u64>().ok()
        });
        match number {
            Some(number) if number != generation => match path.is_dir() {
                true => fs_err::remove_dir_all(&path)?,
                false => fs_err::remove_file(&path)?,
            },
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_store_that_is_absent_damaged_or_of_another_version_is_refused() {
        const KIND: StoreKind = StoreKind {
            manifest: "things.json",
            schema: "things/1",
            is: "store of things",
            made_by: "store things --out",
            again: "store the things again",
        };
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let message = || KIND.read::<Value>(folder).unwrap_err().to_string();
        let absent = message();
        assert!(
            absent.starts_with("there is no store of things in "),
            "{absent}"
        );
        assert!(
            absent.contains("; hint: `crossburn store things --out "),
            "{absent}"
        );
        for (text, problem) in [
            ("{", "is damaged"),
            (
                r#"{"schema": "things/2", "generation": 1}"#,
                r#"is of format "things/2", this version reads things/1"#,
            ),
        ] {
            std::fs::write(folder.join("things.json"), text).unwrap();
            let expected = format!("things.json {problem}; hint: store the things again");
            assert!(message().ends_with(&expected), "{}", message());
        }
        let whole = json!({"schema": "things/1", "generation": 4});
        KIND.write(folder, &whole).unwrap();
        assert_eq!(KIND.read::<Value>(folder).unwrap(), whole);
    }

    #[test]
    fn other_generations_go_and_other_files_stay() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for name in ["a-1", "a-12", "b-2"] {
            std::fs::create_dir(folder.join(name)).unwrap();
            std::fs::write(folder.join(format!("{name}.jsonl")), "").unwrap();
        }
        std::fs::write(folder.join("a-last"), "").unwrap();
        remove_others(folder, &["a-", "c-"], 12).unwrap();
        let mut left: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["a-12", "a-12.jsonl", "a-last", "b-2", "b-2.jsonl"]);
    }
}
