//! The kinds of documents. `crossburn report` opens each of them, and a run folder belongs to the verb of its kind.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::document::{Document, read_text, stated};
use super::run_folder::write_run;
use super::{
    EdgeStudy, Mapping, ReportError, Reproduction, Results, SearchResults, Simulation, StoreReport,
    Widths, WorstCaseResults,
};
use crate::apps::{edge_llm, shards};

/// Every kind of document: a new one is a line here.
static KINDS: [Kind; 9] = [
    Kind::of::<Results>().merged_by(shards::merge_runs),
    Kind::of::<Mapping>(),
    Kind::of::<WorstCaseResults>(),
    Kind::of::<Reproduction>(),
    Kind::of::<Widths>(),
    Kind::of::<Simulation>(),
    Kind::of::<SearchResults>(),
    Kind::of::<StoreReport>(),
    Kind::of::<EdgeStudy>().merged_by(edge_llm::merge_runs),
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

/// The whole whose shards some runs are, and remarks for the user.
pub(crate) type Merged = (Box<dyn AnyDocument>, Vec<String>);

/// Merges the shards in these runs.
type Merge = fn(&[PathBuf]) -> anyhow::Result<Merged>;

/// What is known of a kind without a document of it.
pub(crate) struct Kind {
    schema: &'static str,
    last: Option<&'static str>,
    /// What a document of it is, in words.
    pub(crate) noun: &'static str,
    plots: &'static [&'static str],
    verb: fn(&Value) -> Option<String>,
    read: fn(&Path) -> Result<Box<dyn AnyDocument>, ReportError>,
    /// How its shards are merged; none for a kind that has no shards.
    pub(crate) merge: Option<Merge>,
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
            merge: None,
        }
    }

    /// The same kind, whose shards `merge` joins.
    const fn merged_by(self, merge: Merge) -> Self {
        Self {
            merge: Some(merge),
            ..self
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
    #[cfg(test)]
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

/// The formats of all kinds.
#[cfg(test)]
pub(super) fn schemas() -> std::collections::BTreeSet<&'static str> {
    KINDS.iter().map(|kind| kind.schema).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::report::{RESULTS_FILE, example};

    /// Every file of a run folder by its path below it.
    fn files(folder: &Path) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().to_string();
            match path.is_dir() {
                true => found.extend(
                    files(&path)
                        .into_iter()
                        .map(|(below, text)| (format!("{name}/{below}"), text)),
                ),
                false => {
                    found.insert(name, fs_err::read_to_string(&path).unwrap());
                }
            }
        }
        found
    }

    #[test]
    fn every_kind_is_written_read_and_written_again_byte_by_byte() {
        let documents: [Box<dyn AnyDocument>; 9] = [
            Box::new(example::results()),
            Box::new(example::mapping()),
            Box::new(example::worst_case()),
            Box::new(example::reproduction()),
            Box::new(example::widths()),
            Box::new(example::simulation()),
            Box::new(example::search()),
            Box::new(example::store()),
            Box::new(example::edge_study()),
        ];
        let mut seen = BTreeSet::new();
        for document in documents {
            let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            document.write_run(first.path()).unwrap();
            let kind = Kind::at(first.path()).unwrap();
            let read = kind.read(first.path()).unwrap();
            read.write_run(second.path()).unwrap();
            let written = files(first.path());
            assert!(written.contains_key("report.html"), "{written:?}");
            // Below every plot stands what it means.
            let page = &written["report.html"];
            let count = |part: &str| page.matches(part).count();
            assert_eq!(
                count("<figure"),
                count("<strong>What this means:</strong>"),
                "{}",
                kind.schema
            );
            assert!(written == files(second.path()), "{}", kind.schema);
            assert_eq!(read.table().unwrap(), document.table().unwrap());
            // What it draws is known by its kind, so that a run of another kind can remove it.
            for name in written
                .keys()
                .filter_map(|name| name.strip_prefix("plots/"))
            {
                let id = name.trim_end_matches(".svg");
                assert!(kind.plots.contains(&id), "{}: {id}", kind.schema);
            }
            let json: Value = serde_json::from_str(&written[RESULTS_FILE]).unwrap();
            assert!(verb_of(&json).is_some(), "{}", kind.schema);
            seen.insert(kind.schema);
        }
        assert_eq!(seen, schemas(), "a kind has no example here");
    }

    #[test]
    fn a_run_of_another_kind_leaves_no_plot_of_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        write_run(folder.path(), &example::mapping()).unwrap();
        assert!(files(folder.path()).contains_key("plots/floor-plan.svg"));
        write_run(folder.path(), &example::results()).unwrap();
        let plots = files(folder.path());
        let plots: Vec<&String> = plots
            .keys()
            .filter(|name| name.starts_with("plots/"))
            .collect();
        assert_eq!(
            plots,
            [
                "plots/chips.svg",
                "plots/training.svg",
                "plots/versus-sigma.svg"
            ]
        );
    }

    #[test]
    fn a_schema_that_nobody_knows_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(RESULTS_FILE);
        fs_err::write(&file, r#"{"schema": "crossburn.tea/1"}"#).unwrap();
        let read = Kind::at(folder.path()).unwrap().read(folder.path());
        let message = read.err().unwrap().to_string();
        assert!(message.contains("`crossburn.tea/1`"), "{message}");
    }
}
