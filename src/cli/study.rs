//! `crossburn study`: studies that a file describes.

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::{Args, Subcommand};

use super::device::is_gpu;
use super::process::ProcessArguments;
use super::progress::Follower;
use super::run_setup::{RunArguments, expect_kept, holds_kept, name_after, run_folder};
use super::shard::Shard;
use super::{Outcome, command_line, finish, note, resumable};
use crate::apps::edge_llm::{self, StudyExtent, StudyFile, StudyPlace};

/// Compare ways to make a language model personal, within the limits of a device
///
/// `edge-llm` measures methods (retrieval, LoRA, prompt, prefix, IA3) on many people, with several models, compressions, noisy chips and
/// lengths of history. STUDY.toml says which. `crossburn recommend` answers from its document. See docs/study.md.
///
/// Example: crossburn study edge-llm quick
#[derive(Debug, Args)]
pub(super) struct Study {
    #[command(subcommand)]
    verb: StudyVerb,
}

/// What to study.
#[derive(Debug, Subcommand)]
enum StudyVerb {
    EdgeLlm(Box<EdgeLlm>),
}

impl Study {
    /// The arguments about the process.
    pub(super) fn process(&self) -> &ProcessArguments {
        let StudyVerb::EdgeLlm(verb) = &self.verb;
        &verb.run.process
    }

    pub(super) fn run(self) -> Result<Outcome> {
        let StudyVerb::EdgeLlm(verb) = self.verb;
        verb.run()
    }
}

/// Measure which method to make a language model personal is best where
///
/// Every person has a history of texts and asks questions. Each method learns or retrieves from the history. The answers of the model are
/// compared with the person's own. Several people are measured at a time. Ctrl-C keeps the finished cells; --resume goes on, also with
/// more people or other grids. --shard splits the people over machines, and `crossburn report A B` merges the parts.
///
/// Example: crossburn study edge-llm configs/studies/full.toml --out runs/full
#[derive(Debug, Args)]
struct EdgeLlm {
    /// A TOML file (docs/study.md), or tiny, quick, full
    study: String,
    /// Measure part I of N of the people, such as 1/4
    #[arg(
        long,
        value_name = "I/N",
        help_heading = "Options",
        conflicts_with = "measure_costs"
    )]
    shard: Option<Shard>,
    /// Also measure the memory and the time of every condition, one at a time on one thread, and compare them with the predictions
    #[arg(long, help_heading = "Options")]
    measure_costs: bool,
    /// Folder of the run [default: runs/study-STUDY; with --shard, runs/study-STUDY-shard-I-of-N]
    #[arg(long, value_name = "DIR", help_heading = "Options")]
    out: Option<PathBuf>,
    /// Continue from the finished cells in the folder
    #[arg(long, help_heading = "Options")]
    resume: bool,
    #[command(flatten)]
    run: RunArguments,
}

/// Name of the verb in run folders.
const VERB: &str = "study edge-llm";

impl EdgeLlm {
    fn run(self) -> Result<Outcome> {
        if self.measure_costs && is_gpu(self.run.backend()) {
            bail!(
                "--measure-costs counts the memory that a processor takes, and none of a GPU; hint: measure with --device cpu"
            );
        }
        let study = StudyFile::open(&self.study)?;
        if let Some(shard) = self.shard {
            shard.check(study.people(), "people")?;
        }
        let stem = Path::new(&self.study).file_stem().unwrap_or_default();
        let mut name = name_after("study", Path::new(stem));
        if let Some(shard) = self.shard {
            name = format!("{name}-{}", shard.name());
        }
        let work = StudyWork {
            people: match self.shard {
                Some(shard) => shard.range(study.people()),
                None => 0..study.people(),
            },
            costs: self.measure_costs,
            resume: self.resume,
        };
        let out = run_folder(self.out.as_deref(), &name);
        run_study(&study, &self.run, (out, VERB), &work, &[])
    }
}

/// What a run does of a study.
pub(super) struct StudyWork {
    /// The people whom it measures.
    pub(super) people: Range<u64>,
    /// Whether it measures memory and time as well.
    pub(super) costs: bool,
    /// Whether it goes on from finished cells.
    pub(super) resume: bool,
}

/// Runs `study` in the folder `out` for `verb`, and ends the run. `resolved` are defaults of the command line that repeats it.
pub(super) fn run_study(
    study: &StudyFile,
    arguments: &RunArguments,
    (out, verb): (PathBuf, &str),
    work: &StudyWork,
    resolved: &[(&str, String)],
) -> Result<Outcome> {
    if arguments.prints(&edge_llm::config(study)?)? {
        return Ok(Outcome::Done);
    }
    if work.resume {
        expect_kept(&out, holds_kept(&out, &["cells"]))?;
    }
    let run = arguments.set_up(out, verb)?;
    let place = StudyPlace {
        work: run.workplace(work.resume),
        lanes: run.lanes,
        made_by: verb,
        extent: StudyExtent {
            people: &work.people,
            costs: work.costs,
        },
    };
    let Some(mut document) = edge_llm::run(study, &place, &Follower::new(&run))? else {
        if holds_kept(&run.out, &["cells"]) {
            return Ok(resumable("the finished cells are kept"));
        }
        note("no cell has finished: start again");
        return Ok(Outcome::Interrupted);
    };
    document.reproduce = command_line::repeated(resolved);
    finish(&run.out, &document, arguments.json)?;
    run.note_report();
    Ok(Outcome::Done)
}
