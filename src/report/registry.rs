//! The kinds of documents. `crossburn report` opens each of them, and a run folder belongs to the verb of its kind.

use std::path::Path;

use serde_json::Value;

use super::document::{Document, read_text, stated};
use super::run_folder::write_run;
use super::{Mapping, ReportError, Reproduction, Results, WorstCaseResults};

/// Every kind of document: a new one is a line here.
static KINDS: [Kind; 4] = [
    Kind::of::<Results>(),
    Kind::of::<Mapping>(),
    Kind::of::<WorstCaseResults>(),
    Kind::of::<Reproduction>(),
];

/// A document whose kind is known at run time only.
pub(crate) trait AnyDocument {
    /// As [`write_run`].
    fn write_run(&self, dir: &Path) -> Result<(), ReportError>;
    /// As [`Document::table`].
    fn table(&self) -> Result<String, ReportError>;
    /// As [`Document::to_json`].
    fn json(&self) -> Result<String, ReportError>;
}

impl<D: Document> AnyDocument for D {
    fn write_run(&self, dir: &Path) -> Result<(), ReportError> {
        write_run(dir, self)
    }

    fn table(&self) -> Result<String, ReportError> {
        Document::table(self)
    }

    fn json(&self) -> Result<String, ReportError> {
        self.to_json()
    }
}

/// What is known of a kind without a document of it.
pub(crate) struct Kind {
    schema: &'static str,
    last: Option<&'static str>,
    /// What a document of it is, in words.
    pub(crate) noun: &'static str,
    plots: &'static [&'static str],
    verb: fn(&Value) -> Option<String>,
    read: fn(&Path) -> Result<Box<dyn AnyDocument>, ReportError>,
}

impl Kind {
    const fn of<D: Document + 'static>() -> Self {
        Self {
            schema: D::SCHEMA,
            last: D::LAST,
            noun: D::NOUN,
            plots: D::PLOTS,
            verb: D::verb,
            read: |path| Ok(Box::new(D::read(path)?)),
        }
    }

    /// The kind of the document at `path`, a file or the run folder that holds one; that of [`Results`] where its schema is
    /// not known, so that reading it says so.
    ///
    /// # Errors
    ///
    /// [`ReportError::Read`] naming the path, and [`ReportError::Parse`].
    pub(crate) fn at(path: &Path) -> Result<&'static Self, ReportError> {
        let (file, text) = read_text(path)?;
        let schema = stated(&text, &file)?;
        let is = |kind: &&Self| kind.schema == schema || kind.last == Some(schema.as_str());
        Ok(KINDS.iter().find(is).unwrap_or(&KINDS[0]))
    }

    /// Reads a document of this kind.
    ///
    /// # Errors
    ///
    /// As [`Document::read`].
    pub(crate) fn read(&self, path: &Path) -> Result<Box<dyn AnyDocument>, ReportError> {
        (self.read)(path)
    }

    /// Whether it is that of `D`.
    pub(crate) fn is<D: Document>(&self) -> bool {
        self.schema == D::SCHEMA
    }
}

/// The verb that made `document`, of any version of a known kind.
pub(crate) fn verb_of(document: &Value) -> Option<String> {
    let name = |schema: &str| schema.split('/').next().map(str::to_string);
    let found = name(document["schema"].as_str()?);
    let kind = KINDS.iter().find(|kind| name(kind.schema) == found)?;
    (kind.verb)(document)
}

/// The plots of all kinds.
pub(super) fn plots() -> impl Iterator<Item = &'static &'static str> {
    KINDS.iter().flat_map(|kind| kind.plots)
}
