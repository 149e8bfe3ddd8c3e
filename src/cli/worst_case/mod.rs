//! `crossburn worst-case`

mod names;
mod reproduce;
mod room;

use std::ffi::OsStr;
use std::path::PathBuf;

use anyhow::{Result, anyhow, bail};
use clap::Args;
use crossburn_noise::worst_case::{
    Apgd, Auto, Corners, Lagrangian, Momentum, MonteCarlo, RawGradient, Search, SignGradient,
    SingleStep,
};
use crossburn_training::data::DataSource;
use crossburn_training::{AttackActivations, TaskConfig};
use serde_json::json;

use self::names::SearchMethod;
use super::digital::DigitalArgument;
use super::normalize_argument::NormalizeArgument;
use super::open_stored::open_stored;
use super::run_setup::{RunArguments, expect_kept, holds_kept, name_after, run_folder};
use super::{Outcome, command_line, finish, note, resumable};
use crate::apps::worst_case::WorstCaseJob;

/// Search for the worst chip within a bound on every weight
///
/// Writing with verification keeps every weight near its target. The search looks for the deviation within that bound that hurts the
/// metric most: one deviation, for all test items. The bad chip is written as a checkpoint, OUT/worst-chip, which `crossburn evaluate
/// OUT/worst-chip --noise none` judges again. Ctrl-C keeps the state of the search; --resume goes on.
///
/// The default search, auto, tries every surrogate of the metric in short walks, and goes on from the best points for --budget passes.
/// The reported chip is the worst one of the search and of --random-chips. The true worst chip may be worse still; --certify says by how
/// much at most.
///
/// Example: crossburn worst-case runs/digits --bound 0.03 --bounds 0.01,0.02,0.05
///
/// Example: crossburn worst-case runs/digits --hardware papers --tolerance 0.03
#[derive(Debug, Args)]
pub(super) struct FindWorstCase {
    /// A checkpoint, the run folder that holds it, a classifier as an ONNX file, or a language model in the layout of the
    /// Hugging Face hub
    checkpoint: PathBuf,
    /// Largest deviation of a weight, as a fraction of the largest absolute weight of its layer
    #[arg(long, value_name = "B", default_value_t = 0.03, help_heading = "Bound")]
    bound: f64,
    /// Also search within these bounds, comma-separated, and draw the curve of the worst case against the bound
    #[arg(
        long,
        value_name = "B,B,...",
        value_delimiter = ',',
        help_heading = "Bound"
    )]
    bounds: Vec<f64>,
    /// Search method: auto, or a single one of apgd, momentum, raw-gradient, sign, lagrangian, single-step, corners, monte-carlo
    /// [default: auto; sign if an option of a single method is given]
    #[arg(long, value_name = "METHOD", help_heading = "Search")]
    method: Option<SearchMethod>,
    /// Forward and backward passes that auto may take [default: 200]
    #[arg(long, value_name = "N", help_heading = "Search")]
    budget: Option<usize>,
    /// Surrogate losses of a single method; each of them is searched. For an accuracy: margin, margin:KAPPA, cross-entropy, dlr,
    /// probability-margin, towards:CLASS [default: margin,cross-entropy]. For an anomaly detection: separation (the default), error,
    /// soft:THRESHOLD:SCALE. For a perplexity: loss
    #[arg(
        long,
        value_name = "LOSS,...",
        value_delimiter = ',',
        help_heading = "Search"
    )]
    loss: Vec<String>,
    /// Steps of a single method (of sign: from zero to the bound), or draws of a random method [default: 20; apgd 100; momentum and
    /// raw-gradient 60]
    #[arg(long, value_name = "N", help_heading = "Search")]
    steps: Option<usize>,
    /// Take at most this many times --steps with the method sign [default: 2]
    #[arg(long, value_name = "N", help_heading = "Search")]
    expand: Option<usize>,
    /// Starting points of sign and lagrangian: the clean weights first, then random ones [default: 1]
    #[arg(long, value_name = "N", help_heading = "Search")]
    restarts: Option<usize>,
    /// Also search with gradients through unquantized activations, which doubles the number of searches
    #[arg(long, help_heading = "Search")]
    unquantized_activations: bool,
    /// Also judge this many random chips within the bound
    #[arg(long, value_name = "N", default_value_t = 200, help_heading = "Search")]
    random_chips: usize,
    /// Also certify: count the items that stay right under every admissible deviation, a lower bound on the accuracy of the
    /// worst chip
    #[arg(long, help_heading = "Search")]
    certify: bool,
    /// Let cells of this hardware deviate instead of weights: an accelerator by name, or a TOML file
    #[arg(
        long,
        value_name = "NAME|FILE",
        conflicts_with_all = ["bound", "bounds"],
        help_heading = "Hardware"
    )]
    hardware: Option<String>,
    /// Largest deviation of a cell, as a fraction of its conductance range [default: that of the hardware's write-verify]
    #[arg(
        long,
        value_name = "T",
        requires = "hardware",
        conflicts_with_all = ["bound", "bounds"],
        help_heading = "Hardware"
    )]
    tolerance: Option<f64>,
    #[command(flatten)]
    digital: DigitalArgument,
    /// Test items: digits, mnist:DIR, csv:FILE and so on (docs/recipes.md) [default: those of the training]
    #[arg(long, value_name = "SOURCE", help_heading = "Data")]
    data: Option<DataSource>,
    #[command(flatten)]
    normalize: NormalizeArgument,
    /// Number of test items to search on [default: as many as in training]
    #[arg(long, alias = "images", value_name = "N", help_heading = "Data")]
    items: Option<usize>,
    /// Seed of restarts and random chips
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Search")]
    seed: u64,
    /// Folder of the run [default: runs/worst-case-NAME]
    #[arg(long, value_name = "DIR", help_heading = "Options")]
    out: Option<PathBuf>,
    /// Continue the interrupted search in the same folder
    #[arg(long, help_heading = "Options")]
    resume: bool,
    #[command(flatten)]
    pub(super) run: RunArguments,
}

impl FindWorstCase {
    pub(super) fn run(self) -> Result<Outcome> {
        if self.items == Some(0) {
            bail!("--items 0 leaves nothing to search on: use a number above 0");
        }
        let room = self.room()?;
        let search = self.search().check()?;
        let stored = open_stored(&self.checkpoint)?
            .normalized(self.normalize.asked())?
            .with_digital(&self.digital.paths);
        let source = stored.source(self.data.as_ref())?;
        for name in &self.loss {
            let checked = stored.recipe.task.check_surrogate(name);
            checked.map_err(|remedy| anyhow!("--loss {name} is not known: {remedy}"))?;
        }
        stored.check_data(&source)?;
        self.refuse_other_methods()?;
        let config = stored.with_arrays(json!({
            "task": stored.recipe.task,
            "architecture": stored.manifest.architecture,
            "weights": stored.manifest.weights_checksum(),
            "data": source.to_string(),
            "items": self.items.or(stored.recipe.data.test),
            "data_seed": stored.recipe.seed,
            "room": room.describe()?,
            "search": search,
            "losses": self.losses(&stored.recipe.task),
            "unquantized_activations": self.unquantized_activations,
            "random_chips": self.random_chips,
            "certify": self.certify,
            "seed": self.seed,
        }))?;
        if self.run.prints(&config)? {
            return Ok(Outcome::Done);
        }
        let name = name_after("worst-case", &self.checkpoint);
        let out = run_folder(self.out.as_deref(), &name);
        if self.resume {
            expect_kept(&out, holds_kept(&out.join("search"), &[""]))?;
        }
        if self.method.is_none() && self.asks_for_a_single_method() {
            note(
                "options of a single method are given: searching by --method sign; the default, auto, finds more",
            );
        }
        let place = self.run.set_up(out, "worst-case")?;
        let job = WorstCaseJob {
            stored: &stored,
            reproduce: self.reproduce(&source, &room, &search),
            source,
            items: self.items,
            room,
            search,
            losses: self.losses(&stored.recipe.task),
            through: self.through(),
            random_chips: self.random_chips,
            certify: self.certify,
            seed: self.seed,
            config,
            place: place.workplace(self.resume),
        };
        let Some(results) = stored.build(&place.device, job)?? else {
            return Ok(resumable("the state of the search is kept"));
        };
        finish(&place.out, &results, self.run.json)?;
        let chip = command_line::operand(&place.out.join("worst-chip"));
        let mut replay: Vec<&OsStr> = vec!["crossburn".as_ref(), "evaluate".as_ref(), &chip];
        replay.extend(["--noise", "none", "--chips", "1"].map(OsStr::new));
        note(&format!(
            "report: {}; replay: {}",
            place.out.join("report.html").display(),
            command_line::quoted(replay),
        ));
        Ok(Outcome::Done)
    }

    /// Whether an option was given that only single methods have.
    fn asks_for_a_single_method(&self) -> bool {
        let numbers = [self.steps, self.expand, self.restarts];
        !self.loss.is_empty() || numbers.iter().any(Option::is_some)
    }

    /// The method: that of the options where none is named, so that the commands of earlier versions search as before.
    fn method(&self) -> SearchMethod {
        match self.method {
            Some(method) => method,
            None if self.asks_for_a_single_method() => SearchMethod::Sign,
            None => SearchMethod::Auto,
        }
    }

    /// Refuses options that the method does not have: a search that ignores an option is not the one that was asked for.
    fn refuse_other_methods(&self) -> Result<()> {
        use SearchMethod::{
            Apgd, Auto, Corners, Lagrangian, Momentum, MonteCarlo, RawGradient, Sign, SingleStep,
        };
        let steps = [
            Apgd,
            Momentum,
            RawGradient,
            Sign,
            Lagrangian,
            Corners,
            MonteCarlo,
        ];
        let losses = [Apgd, Momentum, RawGradient, Sign, Lagrangian, SingleStep];
        for (option, given, methods) in [
            ("--budget", self.budget.is_some(), &[Auto][..]),
            ("--loss", !self.loss.is_empty(), &losses),
            ("--steps", self.steps.is_some(), &steps),
            ("--expand", self.expand.is_some(), &[Sign]),
            ("--restarts", self.restarts.is_some(), &[Sign, Lagrangian]),
        ] {
            if given && !methods.contains(&self.method()) {
                match self.method() {
                    Auto => bail!(
                        "{option} belongs to a single method, auto takes --budget: drop {option}, or name one with --method"
                    ),
                    _ => bail!("this --method has no {option}: drop {option}"),
                }
            }
        }
        Ok(())
    }

    /// The surrogates of single methods: those that were named, or the usual ones of the task.
    fn losses(&self, task: &TaskConfig) -> Vec<String> {
        let usual = || task.usual_surrogates().iter().map(ToString::to_string);
        match (self.method(), self.loss.is_empty()) {
            (SearchMethod::Auto | SearchMethod::Corners | SearchMethod::MonteCarlo, _) => {
                Vec::new()
            }
            (_, true) => usual().collect(),
            (_, false) => self.loss.clone(),
        }
    }

    fn search(&self) -> Search {
        let draws = self.steps.unwrap_or(20);
        let restarts = self.restarts.unwrap_or(1);
        match self.method() {
            SearchMethod::Auto => {
                let auto = Auto::default();
                Search::Auto(Auto {
                    budget: self.budget.unwrap_or(auto.budget),
                })
            }
            SearchMethod::Apgd => {
                let apgd = Apgd::default();
                Search::Apgd(Apgd {
                    steps: self.steps.unwrap_or(apgd.steps),
                    ..apgd
                })
            }
            SearchMethod::Momentum => {
                let momentum = Momentum::default();
                Search::Momentum(Momentum {
                    steps: self.steps.unwrap_or(momentum.steps),
                    ..momentum
                })
            }
            SearchMethod::RawGradient => {
                let raw = RawGradient::default();
                Search::RawGradient(RawGradient {
                    steps: self.steps.unwrap_or(raw.steps),
                    ..raw
                })
            }
            SearchMethod::Sign => Search::SignGradient(SignGradient {
                steps: draws,
                expand: self.expand.unwrap_or(2),
                restarts,
                random: 0,
            }),
            SearchMethod::Lagrangian => Search::Lagrangian(Lagrangian {
                steps: draws,
                restarts,
                ..Lagrangian::default()
            }),
            SearchMethod::SingleStep => Search::SingleStep(SingleStep {}),
            SearchMethod::Corners => Search::Corners(Corners { draws }),
            SearchMethod::MonteCarlo => Search::MonteCarlo(MonteCarlo { draws }),
        }
    }

    /// The activations that gradients go through.
    fn through(&self) -> Vec<AttackActivations> {
        // Random draws look at no gradient: through other activations they would be the same.
        let draws = matches!(
            self.method(),
            SearchMethod::Corners | SearchMethod::MonteCarlo
        );
        match self.unquantized_activations && !draws {
            true => vec![AttackActivations::Quantized, AttackActivations::Unquantized],
            false => vec![AttackActivations::Quantized],
        }
    }
}
