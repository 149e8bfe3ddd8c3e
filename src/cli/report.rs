//! `crossburn report`

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::run_lock::{RunLock, verb_at};
use super::run_setup::note_report;
use super::{Outcome, finish, note};
use crate::apps::edge_llm;
use crate::apps::shards::{Shard, merge};
use crate::report::registry::{AnyDocument, Kind};
use crate::report::{Document, EdgeStudy, RESULTS_FILE, Results};

/// Write the report of a run again, or merge the shards of one population
///
/// With one run, its report.html and plots are written again. With several runs, they must be all shards of one population or of one study.
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

    /// The document of the one run, of any kind, or the population or study whose shards the runs are.
    fn document(&self) -> Result<Box<dyn AnyDocument>> {
        if let [run] = self.runs.as_slice() {
            return Ok(Kind::at(run)?.read(run)?);
        }
        let kinds = self.runs.iter().map(|run| Ok((run, Kind::at(run)?)));
        let kinds = kinds.collect::<Result<Vec<_>>>()?;
        let is_study = |kind: &Kind| kind.is::<EdgeStudy>();
        let studies = kinds.iter().any(|(_, kind)| is_study(kind));
        let fits = |kind: &Kind| match studies {
            true => is_study(kind),
            false => kind.is::<Results>(),
        };
        if let Some((run, kind)) = kinds.iter().find(|(_, kind)| !fits(kind)) {
            bail!("{} is {}: name it alone", run.display(), kind.noun);
        }
        let name = |run: &PathBuf| run.display().to_string();
        let (document, notes): (Box<dyn AnyDocument>, Vec<String>) = if studies {
            let shards = self.runs.iter();
            let shards = shards.map(|run| Ok((name(run), EdgeStudy::read(run)?)));
            let (study, notes) = edge_llm::merge(shards.collect::<Result<_>>()?)?;
            (Box::new(study), notes)
        } else {
            let shards = self.runs.iter().map(|run| {
                Ok(Shard {
                    name: name(run),
                    results: Results::read(run)?,
                })
            });
            let merged = merge(shards.collect::<Result<_>>()?)?;
            (Box::new(merged.results), merged.notes)
        };
        notes.iter().for_each(|line| note(line));
        Ok(document)
    }
}
