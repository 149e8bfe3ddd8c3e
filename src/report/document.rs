//! What every document of a run has in common: a schema, a check, JSON, a file, and how it is shown.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ReportError;
use super::atomic::write_file;
use super::check::{finite, invalid};
use super::draw::{Drawing, Frame, Page, whole};
use super::run_folder::RESULTS_FILE;

/// How long the run took.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// Seconds by stage.
    pub seconds: BTreeMap<String, f64>,
}

/// The fields that every document has.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The schema that the document states.
    pub schema: &'a str,
    /// Version of Crossburn.
    pub version: &'a str,
    /// Commit of the source tree, where known.
    pub commit: Option<&'a str>,
    /// Command line that repeats the run.
    pub reproduce: &'a str,
    /// The resolved configuration.
    pub config: &'a Value,
    /// How long the run took.
    pub timing: &'a Timing,
}

/// The [`Origin`] of a document whose fields have these names.
macro_rules! origin {
    ($document:expr) => {
        $crate::report::Origin {
            schema: &$document.schema,
            version: &$document.version,
            commit: $document.commit.as_deref(),
            reproduce: &$document.reproduce,
            config: &$document.config,
            timing: &$document.timing,
        }
    };
}
pub(super) use origin;

/// A document of a run, `results.json` in its folder, and everything that follows from it: a table for the terminal, a
/// page and its plots.
///
/// A kind of run implements this trait and has a line in `registry.rs`. [`write_run`](super::write_run) writes its run
/// folder; `crossburn report` opens it.
pub trait Document: Serialize + DeserializeOwned {
    /// Name and version of the format that is written, such as `crossburn.results/3`.
    const SCHEMA: &'static str;
    /// The format of the last version, which is read as well.
    const LAST: Option<&'static str> = None;
    /// What it is, in words: `a mapping`.
    const NOUN: &'static str;
    /// Identifiers of all plots that it can have.
    const PLOTS: &'static [&'static str];

    /// Turns a document of [`LAST`](Self::LAST) into one of [`SCHEMA`](Self::SCHEMA).
    fn bring_up(_last: &mut Value) {}

    /// The verb of the command line that made `document`, which may be of any version of the format.
    fn verb(document: &Value) -> Option<String>;

    /// The fields that every document has.
    fn origin(&self) -> Origin<'_>;

    /// Checks what the types of this document cannot say.
    ///
    /// # Errors
    ///
    /// [`ReportError::Invalid`] names the first field that is wrong.
    fn check_fields(&self) -> Result<(), ReportError>;

    /// The title of its page.
    fn title(&self) -> String;

    /// The outcome in a sentence.
    fn summary(&self) -> String;

    /// The tables of the terminal. No colour, no final newline.
    ///
    /// # Errors
    ///
    /// [`ReportError::Invalid`] for a document that [`Document::check`] refuses.
    fn table(&self) -> Result<String, ReportError>;

    /// The plots that it has data for.
    ///
    /// # Errors
    ///
    /// As [`Document::table`].
    fn plots(&self) -> Result<Vec<Drawing>, ReportError>;

    /// Its page, from the summary on, which shows `plots` where it wants them.
    ///
    /// # Errors
    ///
    /// As [`Document::table`].
    fn page(&self, plots: &[Drawing]) -> Result<Page, ReportError>;

    /// The configuration at the end of its page.
    fn configuration(&self) -> String {
        format!("{:#}", self.origin().config)
    }

    /// Other files of its run folder, by name.
    fn other_files(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Its page as one file of HTML, without scripts and without anything loaded from elsewhere. Durations are left out,
    /// so that two runs with one seed give the same bytes.
    ///
    /// # Errors
    ///
    /// As [`Document::table`].
    fn html(&self) -> Result<String, ReportError> {
        html(self, &self.plots()?)
    }

    /// Checks the schema, the fields, and that durations are numbers.
    ///
    /// # Errors
    ///
    /// [`ReportError::Invalid`] names the first field that is wrong.
    fn check(&self) -> Result<(), ReportError> {
        let (found, known) = (self.origin().schema, Self::SCHEMA);
        if found != known {
            return Err(invalid("schema", format!("is `{found}`, not `{known}`")));
        }
        self.check_fields()?;
        for (stage, &seconds) in &self.origin().timing.seconds {
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
        let raised;
        let text = if found == Self::SCHEMA {
            text
        } else if Some(found.as_str()) == Self::LAST {
            let mut last: Value = serde_json::from_str(text).map_err(parse)?;
            Self::bring_up(&mut last);
            last["schema"] = Value::from(Self::SCHEMA);
            // Read as text as well: reading from a `Value` would compile all of a document's types once more.
            raised = last.to_string();
            &raised
        } else {
            return Err(ReportError::Schema {
                path: path.into(),
                found,
                known: Self::SCHEMA,
            });
        };
        let document: Self = serde_json::from_str(text).map_err(parse)?;
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
}

/// The page of `document` with its `plots`.
pub(super) fn html<D: Document>(document: &D, plots: &[Drawing]) -> Result<String, ReportError> {
    let origin = document.origin();
    let frame = Frame {
        title: &document.title(),
        summary: &document.summary(),
        reproduce: origin.reproduce,
        configuration: &document.configuration(),
        version: origin.version,
        commit: origin.commit,
    };
    Ok(whole(&frame, &document.page(plots)?))
}

/// The document at `path`, a file or the run folder that holds one, and where it was found.
pub(super) fn read_text(path: &Path) -> Result<(PathBuf, String), ReportError> {
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
pub(super) fn stated(text: &str, path: &Path) -> Result<String, ReportError> {
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
