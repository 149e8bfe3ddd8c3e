//! `crossburn report`

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::run_lock::{RunLock, verb_at};
use super::run_setup::note_report;
use super::{Outcome, note, print_mapping, print_reproduction, print_results, print_worst_case};
use crate::apps::shards::{Shard, merge};
use crate::report::{
    Document, Results, write_mapping, write_reproduction, write_run, write_worst_case,
};

/// Write the report of a run again, or merge the shards of one population
///
/// With one run, its report.html and plots are written again. With several, they must be all shards of one population; the
/// merged run is the one that a single machine would have made.
///
/// Example: crossburn report runs/shard-1 runs/shard-2 --out runs/all
#[derive(Debug, Args)]
pub(super) struct Report {
    /// Run folders, or their results.json
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Folder of the report; the run itself, or runs/merged for several
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
            (None, [run]) => run.parent().map(PathBuf::from).unwrap_or_default(),
            (None, _) => PathBuf::from("runs").join("merged"),
        };
        // Documents that cannot be read are refused when they are.
        let verb = self.runs.first().and_then(|run| verb_at(run));
        let _lock = verb.map(|verb| RunLock::take(&out, &verb)).transpose()?;
        if let Some(mapping) = self.alone("a mapping, which has no chips to merge")? {
            write_mapping(&out, &mapping)?;
            print_mapping(&mapping, self.json)?;
        } else if let Some(results) = self.alone("a worst-case search, which is no population")? {
            write_worst_case(&out, &results)?;
            print_worst_case(&results, self.json)?;
        } else if let Some(results) = self.alone("a reproduction, which is no population")? {
            write_reproduction(&out, &results)?;
            print_reproduction(&results, self.json)?;
        } else {
            self.populations(&out)?;
        }
        note_report(&out);
        Ok(Outcome::Done)
    }

    /// One population, or the shards of one.
    fn populations(&self, out: &Path) -> Result<()> {
        let mut shards = Vec::new();
        for run in &self.runs {
            shards.push(Shard {
                name: run.display().to_string(),
                results: Results::read(run)?,
            });
        }
        let results = match shards.len() {
            1 => shards.remove(0).results,
            _ => {
                let merged = merge(shards)?;
                merged.notes.iter().for_each(|line| note(line));
                merged.results
            }
        };
        fs_err::create_dir_all(out).with_context(|| {
            format!(
                "cannot create the folder {}: choose another --out",
                out.display()
            )
        })?;
        write_run(out, &results)?;
        print_results(&results, self.json)
    }

    /// The one run, where it is a document of another kind than a population: `what` says which.
    fn alone<D: Document>(&self, what: &str) -> Result<Option<D>> {
        for run in &self.runs {
            match (D::is_at(run)?, self.runs.len()) {
                (true, 1) => return Ok(Some(D::read(run)?)),
                (true, _) => bail!("{} is {what}: name it alone", run.display()),
                _ => {}
            }
        }
        Ok(None)
    }
}
