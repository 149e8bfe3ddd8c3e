//! `crossburn search`

mod local;
mod speakers;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use crossburn_training::search::{BUILT_IN, ScoreConfig};
use serde_json::json;

use self::speakers::{SPOKEN, SpeakerArguments};
use super::process::ProcessArguments;
use super::run_lock::RunLock;
use super::run_setup::{bars, expect_kept, holds_kept, name_after, note_report, run_folder};
use super::{Outcome, command_line, finish, interrupt, print, resumable};
use crate::apps::search::{Contest, Contestant, SearchJob, SpaceFile, spaces};

/// Search a space of designs: which network, on which hardware?
///
/// SPACE says what can be designed, how a design is measured, and how measures become a score. Proposers search the space one after the
/// other, each of them with every seed. The table shows the highest score of each proposer after some numbers of evaluations. The report
/// draws the score against the number of evaluations, and the designs that no other design beats in everything.
///
/// Five proposers are built in: random, evolution (regularised), reinforce (a policy gradient), tpe (a Parzen estimator) and heuristic
/// (rules of thumb). Four more work in words, and search once: chat (an OpenAI-compatible endpoint), local (a language model on this
/// machine), command (any program) and replay (a recorded conversation). These read the task and the earlier scores, and reply with one
/// line of JSON. If a reply is no design, the proposer is told what is wrong and may reply once more.
///
/// Ctrl-C keeps all evaluations and replies, and --resume continues from them. In spaces whose designs are trained (such as digits), each
/// evaluation is kept as soon as it is made, and as many designs are trained at a time as there are threads.
///
/// Example: crossburn search lcda --budget 100 --seeds 10
///
/// Example: crossburn search lcda --proposer chat --endpoint http://localhost:11434/v1 --chat-model llama3.2 --budget 20
#[derive(Debug, Args)]
pub(super) struct Search {
    #[arg(help = format!("A TOML file (docs/search-designs.md), or {}", spaces().collect::<Vec<_>>().join(", ")))]
    space: String,
    /// Proposers, comma-separated: random, evolution, reinforce, tpe, heuristic, chat, local, command, replay
    #[arg(
        long,
        value_name = "NAME,...",
        value_delimiter = ',',
        default_value = "random,evolution,reinforce,tpe,heuristic",
        help_heading = "Search"
    )]
    proposer: Vec<String>,
    /// Evaluations of each search; repeated and invalid proposals count too
    #[arg(long, value_name = "N", default_value_t = 100, help_heading = "Search")]
    budget: usize,
    /// Searches of each proposer
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Search")]
    seeds: usize,
    /// Seed of the first search of each proposer; further searches take the next numbers
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Search")]
    seed: u64,
    /// Limits of measures, in their units: energy=2e8,area=40; a design above a limit is refused
    #[arg(
        long,
        value_name = "MEASURE=MOST,...",
        value_delimiter = ',',
        value_parser = limit,
        help_heading = "Search"
    )]
    limit: Vec<(String, f64)>,
    /// Score designs by r-ae (energy), by r-al (latency), or by a measure of this name [default: the score of the space]
    #[arg(long, value_name = "SCORE", help_heading = "Search")]
    score: Option<String>,
    /// Hide the names and values of the space from proposers, to see how much knowing them helps
    #[arg(long, help_heading = "Search")]
    naive: bool,
    /// CSV table to look designs up in, for a space of kind `table` [default: the file that the space names]
    #[arg(long, value_name = "FILE", help_heading = "Search")]
    table: Option<PathBuf>,
    #[command(flatten)]
    speakers: SpeakerArguments,
    /// Folder of the run [default: runs/search-SPACE]
    #[arg(long, value_name = "DIR", help_heading = "Options")]
    out: Option<PathBuf>,
    /// Continue from the evaluations and replies in the folder
    #[arg(long, help_heading = "Options")]
    resume: bool,
    /// Print the resolved settings and stop
    #[arg(long, help_heading = "Options")]
    print_config: bool,
    /// Print the results document on stdout instead of the table
    #[arg(long, help_heading = "Options")]
    json: bool,
    #[command(flatten)]
    pub(super) process: ProcessArguments,
}

/// The most evaluations of a search.
const MOST_BUDGET: usize = 100_000;
/// The most searches of a proposer.
const MOST_SEEDS: usize = 1000;

fn limit(text: &str) -> Result<(String, f64), String> {
    let parsed = text.split_once('=').and_then(|(name, most)| {
        let most = most
            .trim()
            .parse::<f64>()
            .ok()
            .filter(|most| most.is_finite())?;
        Some((name.trim().to_string(), most))
    });
    parsed.ok_or_else(|| "use MEASURE=NUMBER, such as energy=2e8".to_string())
}

/// The score that `--score` names. A reference that the space has is kept.
fn chosen_score(asked: Option<&str>, own: &ScoreConfig) -> ScoreConfig {
    let names = (
        "quality".to_string(),
        "energy".to_string(),
        "latency".to_string(),
    );
    match (asked, own) {
        (None, own) | (Some("r-ae"), own @ ScoreConfig::RAe { .. }) => own.clone(),
        (Some("r-al"), own @ ScoreConfig::RAl { .. }) => own.clone(),
        (Some("r-ae"), _) => ScoreConfig::RAe {
            quality: names.0,
            energy: names.1,
            reference: crossburn_training::search::ENERGY_REFERENCE,
        },
        (Some("r-al"), _) => ScoreConfig::RAl {
            quality: names.0,
            latency: names.2,
            reference: crossburn_training::search::RATE_REFERENCE,
            floor: 0.0,
        },
        (Some(measure), _) => ScoreConfig::Measure {
            measure: measure.to_string(),
        },
    }
}

impl Search {
    fn check(&self) -> Result<()> {
        if !(1..=MOST_BUDGET).contains(&self.budget) {
            bail!("--budget {}: use 1 to {MOST_BUDGET}", self.budget);
        }
        if !(1..=MOST_SEEDS).contains(&self.seeds) {
            bail!("--seeds {}: use 1 to {MOST_SEEDS}", self.seeds);
        }
        for (number, name) in self.proposer.iter().enumerate() {
            if !BUILT_IN.contains(&name.as_str()) && !SPOKEN.contains(&name.as_str()) {
                bail!(
                    "there is no proposer `{name}`: use {}, {}",
                    BUILT_IN.join(", "),
                    SPOKEN.join(", ")
                );
            }
            if self.proposer[..number].contains(name) {
                bail!("--proposer names {name} twice: name it once");
            }
        }
        self.speakers.check(&self.proposer)
    }

    pub(super) fn run(self) -> Result<Outcome> {
        self.check()?;
        let file = SpaceFile::open(&self.space, self.table.as_deref())?;
        let score = chosen_score(self.score.as_deref(), &file.score);
        let config = json!({
            "space": file,
            "proposers": self.proposer,
            "speakers": self.speakers.config(&self.proposer),
            "budget": self.budget,
            "seeds": self.seeds,
            "seed": self.seed,
            "score": score,
            "limits": self.limit,
            "naive": self.naive,
        });
        if self.print_config {
            print(&serde_json::to_string_pretty(&config)?)?;
            return Ok(Outcome::Done);
        }
        let stop = interrupt::flag()?;
        let contest = Contest::new(&file, &score, &self.limit, self.naive, &stop)?;
        let name = match std::path::Path::new(&self.space).file_stem() {
            Some(stem) => name_after("search", std::path::Path::new(stem)),
            None => "search".to_string(),
        };
        let out = run_folder(self.out.as_deref(), &name);
        if self.resume {
            expect_kept(&out, holds_kept(&out, &["evaluations"]))?;
        }
        let mut contestants = Vec::new();
        for name in &self.proposer {
            contestants.push(match BUILT_IN.contains(&name.as_str()) {
                true => Contestant::BuiltIn(name.clone()),
                false => Contestant::Spoken {
                    name: name.clone(),
                    speaker: self.speakers.open(name, &stop)?,
                },
            });
        }
        let _lock = RunLock::take(&out, "search")?;
        let seeds = (0..self.seeds as u64).map(|number| self.seed.wrapping_add(number));
        let job = SearchJob {
            file: &file,
            budget: self.budget,
            seeds: seeds.collect(),
            config,
            reproduce: command_line::repeated(&[]),
            out: &out,
            resume: self.resume,
            stop: &stop,
            observer: &bars(),
        };
        let Some(results) = job.run(&contest, contestants)? else {
            return Ok(resumable("evaluations and replies are kept"));
        };
        finish(&out, &results, self.json)?;
        note_report(&out);
        Ok(Outcome::Done)
    }
}
