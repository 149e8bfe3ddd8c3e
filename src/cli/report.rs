//! `crossburn report`

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::run_lock::{RunLock, verb_at};
use super::run_setup::note_report;
use super::{Outcome, finish, note};
use crate::report::RESULTS_FILE;
use crate::report::registry::{AnyDocument, Kind};

/// Write the report of a run again, or merge shards
///
/// With one run, its report.html and plots are written again. With several runs, all must be shards of one population, or all of one study.
/// The merged run is the same as if one machine had made it.
///
/// Example: crossburn report runs/shard-1 runs/shard-2 --out runs/all
#[derive(Debug, Args)]
pub(super) struct Report {
    /// Run folders, or their results.json
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Folder of the report [default: the run itself; runs/reports/NAME for a document NAME.json; runs/merged for several runs]
    #[arg(long, value_name = "DIR", help_heading = "Options")]
    out: Option<PathBuf>,
    /// Print the results document on stdout instead of the table
    #[arg(long, help_heading = "Options")]
    json: bool,
}

impl Report {
    pub(super) fn run(self) -> Result<Outcome> {
        let out = match (&self.out, self.runs.as_slice()) {
            (Some(out), _) => out.clone(),
            (None, [run]) if run.is_dir() => run.clone(),
            (None, [run]) if run.file_name() == Some(RESULTS_FILE.as_ref()) => {
                run.parent().map(PathBuf::from).unwrap_or_default()
            }
            // A document that is kept under a name of its own lies beside others.
            (None, [run]) => {
                PathBuf::from("runs/reports").join(run.file_stem().unwrap_or_default())
            }
            (None, _) => PathBuf::from("runs").join("merged"),
        };
        // Documents that cannot be read are refused when they are.
        let verb = self.runs.first().and_then(|run| verb_at(run));
        let _lock = verb.map(|verb| RunLock::take(&out, &verb)).transpose()?;
        let document = self.document()?;
        fs_err::create_dir_all(&out).with_context(|| {
            format!(
                "cannot create the folder {}: choose another --out",
                out.display()
            )
        })?;
        finish(&out, &*document, self.json)?;
        note_report(&out);
        Ok(Outcome::Done)
    }

    /// The document of the one run, of any kind, or that of the whole whose shards the runs are.
    fn document(&self) -> Result<Box<dyn AnyDocument>> {
        let (first, others) = self.runs.split_first().context("name a run")?;
        let kind = Kind::at(first)?;
        if others.is_empty() {
            return Ok(kind.read(first)?);
        }
        let Some(merge) = kind.merge else {
            bail!(
                "{} is {}, which has no shards: name it alone",
                first.display(),
                kind.noun
            );
        };
        for run in others {
            let other = Kind::at(run)?;
            if !std::ptr::eq(other, kind) {
                bail!(
                    "{} is {} and {} is {}: name shards of one kind",
                    first.display(),
                    kind.noun,
                    run.display(),
                    other.noun
                );
            }
        }
        let (document, notes) = merge(&self.runs)?;
        notes.iter().for_each(|line| note(line));
        Ok(document)
    }
}
