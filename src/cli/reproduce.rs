//! `crossburn reproduce`

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};
use crossburn_training::data::DataSource;

use super::model_choice::located;
use super::progress::Follower;
use super::run_setup::{RunArguments, expect_kept, holds_kept, run_folder};
use super::study::{StudyWork, run_study};
use super::{Outcome, command_line, finish, note, resumable};
use crate::apps::edge_llm::StudyFile;
use crate::apps::reproduce::{
    self, Asked, Entry, Experiment, Extent, OwnOption, Place, Repeat, papers,
};

/// Repeat the experiment of a paper, and say which of its claims hold
///
/// Every variant is trained with several seeds and judged in the same way. The table shows the results beside the claims of the paper.
/// Intervals are 95 % intervals over seeds, of differences between variants of one seed, unless a claim names something else. Ctrl-C keeps the
/// finished trainings; --resume goes on, also with more --seeds.
///
/// Example: crossburn reproduce kpp --seeds 3
#[derive(Debug, Args)]
pub(super) struct Reproduce {
    /// Which paper
    #[arg(value_name = "PAPER", value_parser = names())]
    paper: String,
    /// Data, in a form that PAPER takes [default: see PAPER]
    #[arg(long, value_name = "SOURCE", help_heading = "Data")]
    data: Option<DataSource>,
    /// Table of measured designs, a CSV file; only for papers that take --table (see PAPER)
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    table: Option<PathBuf>,
    /// Folder of a sentence encoder; only for papers that take --encoder (see PAPER) [default: hashed n-grams, which need no file]
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    encoder: Option<PathBuf>,
    /// A language model, whose prompts are tuned on the profiles of --data: a folder, a GGUF file, or a name at the Hugging Face
    /// hub; only for papers that take --model (see PAPER) [default: a small model that is trained on drawn data]
    #[arg(long, value_name = "DIR|FILE.gguf|NAME", help_heading = "Data")]
    model: Option<PathBuf>,
    /// Number of seeds, each with its own training of every variant; for a study the number of people [default: see PAPER]
    #[arg(long, value_name = "N", help_heading = "Experiment")]
    seeds: Option<u64>,
    /// Only try it out, with few items, epochs and chips; the numbers mean nothing
    #[arg(long, help_heading = "Experiment")]
    quick: bool,
    /// Use the full size, where PAPER has one (see its text); trainings at full size need a GPU
    #[arg(long, conflicts_with = "quick", help_heading = "Experiment")]
    full: bool,
    /// Folder of the run [default: runs/reproduce-PAPER]
    #[arg(long, value_name = "DIR", help_heading = "Options")]
    out: Option<PathBuf>,
    /// Continue a run in the same folder, also with more --seeds
    #[arg(long, help_heading = "Options")]
    resume: bool,
    #[command(flatten)]
    pub(super) run: RunArguments,
}

/// The names of the papers, with what the help says of each.
fn names() -> PossibleValuesParser {
    let papers = papers::<Repetition<'_>>().into_iter();
    PossibleValuesParser::new(papers.map(|paper| PossibleValue::new(paper.name).help(paper.help())))
}

impl Reproduce {
    pub(super) fn run(self) -> Result<Outcome> {
        if self.seeds == Some(0) {
            bail!("--seeds 0 trains nothing: use a number above 0");
        }
        let entries = papers::<Repetition<'_>>();
        let entry = entries.iter().find(|entry| entry.name == self.paper);
        let entry = entry.with_context(|| format!("there is no paper `{}`", self.paper))?;
        for (option, value) in [
            (OwnOption::Encoder, &self.encoder),
            (OwnOption::Model, &self.model),
            (OwnOption::Table, &self.table),
        ] {
            let has = |of: &&Entry<_>| of.options.contains(&option);
            if let (Some(value), false) = (value, has(&entry)) {
                let with: Vec<&str> = entries.iter().filter(has).map(|of| of.name).collect();
                bail!(
                    "{} {} is for {}: leave it out",
                    option.name(),
                    value.display(),
                    with.join(" and ")
                );
            }
        }
        let source = entry.source(self.data.as_ref())?;
        let asked = Asked {
            source: source.clone(),
            encoder: self.encoder.clone(),
            model: self.model.clone(),
            table: self.table.clone(),
            extent: match (self.quick, self.full) {
                (true, _) => Extent::Quick,
                (_, true) => Extent::Full,
                _ => Extent::Usual,
            },
            locate: located,
        };
        let repetition = Repetition {
            asked: &self,
            data: source,
        };
        entry.repeat(asked, repetition)
    }

    /// The folder of the run.
    fn folder(&self) -> PathBuf {
        run_folder(self.out.as_deref(), &format!("reproduce-{}", self.paper))
    }
}

/// The repetition of what the command line asks for.
struct Repetition<'a> {
    asked: &'a Reproduce,
    /// The data of the experiment, if it takes any.
    data: Option<DataSource>,
}

impl Repeat for Repetition<'_> {
    type Output = Outcome;

    fn experiment<E: Experiment>(self, experiment: &E) -> Result<Outcome> {
        let Reproduce {
            paper, seeds, run, ..
        } = self.asked;
        let seeds = seeds.unwrap_or(experiment.usual_seeds());
        if run.prints(&reproduce::config(experiment, seeds)?)? {
            return Ok(Outcome::Done);
        }
        let (out, resume) = (self.asked.folder(), self.asked.resume);
        if resume {
            expect_kept(&out, holds_kept(&out, &["cells"]))?;
        }
        let json = run.json;
        let run = run.set_up(out, "reproduce")?;
        let place = Place {
            paper,
            folder: &run.out,
            resume,
            device: &run.device,
            lanes: run.lanes,
            stop: &run.stop,
            settings: reproduce::settings(experiment)?,
        };
        let results = reproduce::run(experiment, seeds, &place, &Follower::new(&run))?;
        if results.is_none() && !holds_kept(&run.out, &["cells"]) {
            note("no training has finished: start again");
            return Ok(Outcome::Interrupted);
        }
        let Some(mut results) = results else {
            return Ok(resumable("the finished trainings are kept"));
        };
        let data = self.data.map(|data| ("data", data.to_string()));
        let seeds = Some(("seeds", seeds.to_string()));
        let resolved: Vec<(&str, String)> = data.into_iter().chain(seeds).collect();
        results.reproduce = command_line::repeated(&resolved);
        finish(&run.out, &results, json)?;
        run.note_report();
        Ok(Outcome::Done)
    }

    fn study(self, study: StudyFile) -> Result<Outcome> {
        let Reproduce {
            seeds, run, resume, ..
        } = self.asked;
        let study = match seeds {
            Some(people) => study.with_people(*people)?,
            None => study,
        };
        let people = [("seeds", study.people().to_string())];
        let place = (self.asked.folder(), "reproduce");
        let work = StudyWork {
            people: 0..study.people(),
            costs: false,
            resume: *resume,
        };
        run_study(&study, run, place, &work, &people)
    }
}
