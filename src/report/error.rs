//! What can go wrong when results are written or read.

use std::io;
use std::path::PathBuf;

/// Why results could not be written or read. Each message is one line that names the thing and the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A file or folder cannot be written.
    #[error("cannot write {}: {reason}; choose a run folder that you may write to, with space left", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The cause in a few words.
        reason: io::ErrorKind,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// A document cannot be read.
    #[error("cannot read {}: {reason}; name a results.json or the run folder that holds one", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause in a few words.
        reason: io::ErrorKind,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// A document has another schema.
    #[error(
        "{} has schema `{found}`, this version reads `{known}`; read it with the Crossburn that wrote it, or run again",
        path.display()
    )]
    Schema {
        /// The file.
        path: PathBuf,
        /// The schema that it states, `none` without one.
        found: String,
        /// The schema that is read.
        known: &'static str,
    },
    /// A document does not follow its schema.
    #[error("{} is not a results document: {source}; see docs/results.md, or run again", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A field has a value that no run can have.
    #[error("results are inconsistent: {field} {problem}; see docs/results.md")]
    Invalid {
        /// The field.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The document cannot be put into JSON.
    #[error("results cannot be written as JSON: {source}; please report this as a bug")]
    Encode {
        /// Why.
        source: serde_json::Error,
    },
}
