//! What every document of a run has in common: a schema, a check, JSON, a file.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::ReportError;
use super::atomic::write_file;
use super::results::{RESULTS_FILE, Timing, finite, invalid};

/// A document of a run, `results.json` in its folder.
pub trait Document: Serialize + DeserializeOwned {
    /// Name and version of the format that is written.
    const SCHEMA: &'static str;
    /// The format of the last version, which is read as well.
    const LAST: &'static str;

    /// Turns a document of [`LAST`](Self::LAST) into one of [`SCHEMA`](Self::SCHEMA).
    fn bring_up(last: &mut Value);

    /// The schema that the document states.
    fn schema(&self) -> &str;

    /// How long the run took.
    fn timing(&self) -> &Timing;

    /// Checks what the types of this document cannot say.
    ///
    /// # Errors
    ///
    /// [`ReportError::Invalid`] names the first field that is wrong.
    fn check_fields(&self) -> Result<(), ReportError>;

    /// Checks the schema, the fields, and that durations are numbers.
    ///
    /// # Errors
    ///
    /// [`ReportError::Invalid`] names the first field that is wrong.
    fn check(&self) -> Result<(), ReportError> {
        let (found, known) = (self.schema(), Self::SCHEMA);
        if found != known {
            return Err(invalid("schema", format!("is `{found}`, not `{known}`")));
        }
        self.check_fields()?;
        for (stage, &seconds) in &self.timing().seconds {
            finite(&format!("timing.seconds.{stage}"), seconds)?;
        }
        Ok(())
    }

    /// The document as pretty JSON with a final newline. Two equal documents give the same bytes.
    ///
    /// # Errors
    ///
    /// [`ReportError::Invalid`] if [`Document::check`] fails.
    fn to_json(&self) -> Result<String, ReportError> {
        self.check()?;
        let mut text =
            serde_json::to_string_pretty(self).map_err(|source| ReportError::Encode { source })?;
        text.push('\n');
        Ok(text)
    }

    /// Reads a document; `path` only names it in errors.
    ///
    /// # Errors
    ///
    /// [`ReportError::Schema`] for another schema, [`ReportError::Parse`] for text that does not follow it and
    /// [`ReportError::Invalid`] for values that do not belong together.
    fn from_json(text: &str, path: &Path) -> Result<Self, ReportError> {
        // The schema is read first, so that an old document is refused for its age and not for its first unknown field.
        let found = stated(text, path)?;
        let parse = |source| ReportError::Parse {
            path: path.into(),
            source,
        };
        let document: Self = if found == Self::SCHEMA {
            serde_json::from_str(text).map_err(parse)?
        } else if found == Self::LAST {
            let mut last: Value = serde_json::from_str(text).map_err(parse)?;
            Self::bring_up(&mut last);
            last["schema"] = Value::from(Self::SCHEMA);
            serde_json::from_value(last).map_err(parse)?
        } else {
            return Err(ReportError::Schema {
                path: path.into(),
                found,
                known: Self::SCHEMA,
            });
        };
        document.check()?;
        Ok(document)
    }

    /// Reads the document at `path`, a `results.json` or the run folder that holds one.
    ///
    /// # Errors
    ///
    /// [`ReportError::Read`] naming the path, and as [`Document::from_json`].
    fn read(path: &Path) -> Result<Self, ReportError> {
        let (file, text) = read_text(path)?;
        Self::from_json(&text, &file)
    }

    /// Writes the document to `path`, whole or not at all.
    ///
    /// # Errors
    ///
    /// As [`Document::to_json`], and [`ReportError::Write`] naming the path.
    fn write(&self, path: &Path) -> Result<(), ReportError> {
        write_file(path, &self.to_json()?)
    }

    /// Whether the document at `path` is one of these.
    ///
    /// # Errors
    ///
    /// [`ReportError::Read`] naming the path, and [`ReportError::Parse`].
    fn is_at(path: &Path) -> Result<bool, ReportError> {
        let (file, text) = read_text(path)?;
        let stated = stated(&text, &file)?;
        Ok(stated == Self::SCHEMA || stated == Self::LAST)
    }
}

/// The document at `path`, a file or the run folder that holds one, and where it was found.
fn read_text(path: &Path) -> Result<(PathBuf, String), ReportError> {
    let file = if path.is_dir() {
        path.join(RESULTS_FILE)
    } else {
        path.to_owned()
    };
    let text = fs_err::read_to_string(&file).map_err(|source| ReportError::Read {
        path: file.clone(),
        reason: source.kind(),
        source,
    })?;
    Ok((file, text))
}

/// The schema that a document states, `none` without one.
fn stated(text: &str, path: &Path) -> Result<String, ReportError> {
    #[derive(serde::Deserialize)]
    struct Header {
        schema: Option<Value>,
    }
    let header: Header = serde_json::from_str(text).map_err(|source| ReportError::Parse {
        path: path.into(),
        source,
    })?;
    Ok(match header.schema {
        Some(Value::String(schema)) => schema,
        Some(other) => other.to_string(),
        None => "none".into(),
    })
}
