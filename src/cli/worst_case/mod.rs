//! `crossburn worst-case`

mod certify;
mod job;
mod names;
mod reproduce;
mod room;
mod searches;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use crossburn_noise::worst_case::{
    Apgd, Auto, Corners, Lagrangian, Momentum, MonteCarlo, RawGradient, Search, SignGradient,
    SingleStep,
};
use crossburn_training::data::DataSource;
use crossburn_training::{AttackActivations, AttackLoss};
use serde_json::json;

use self::job::Job;
use self::names::Method;
use self::room::Room;
use super::run_setup::{RunArguments, expect_kept, holds_kept, name_after, run_folder};
use super::stored_network::StoredNetwork;
use super::{Outcome, note};

/// Search the worst chip within a bound of deviation
///
/// Write-verify keeps every weight near its target. The search looks for the joint deviation within that bound that hurts
/// accuracy most, one deviation for all test images. What it finds is written as a checkpoint, OUT/worst-chip, which
/// `crossburn evaluate OUT/worst-chip --noise none` replays. Ctrl-C keeps the state of the search; --resume goes on.
///
/// The default search, auto, tries every surrogate of the accuracy in short walks, pushes all images to one class after the
/// other, and goes on from the best points for --budget passes. The worst chip is the lowest of the search and of
/// --random-chips. It is an upper bound: a search that finds little proves nothing.
///
/// Example: crossburn worst-case runs/digits --bound 0.03 --bounds 0.01,0.02,0.05
///
/// Example: crossburn worst-case runs/digits --hardware papers --tolerance 0.03
#[derive(Debug, Args)]
pub(super) struct FindWorstCase {
    /// A checkpoint, or the run folder that holds it
    checkpoint: PathBuf,
    /// Largest deviation of a weight, relative to the largest weight of its layer
    #[arg(long, value_name = "B", default_value_t = 0.03)]
    bound: f64,
    /// Also search within these bounds, comma-separated: the accuracy-versus-bound curve
    #[arg(long, value_name = "B,B,...", value_delimiter = ',')]
    bounds: Vec<f64>,
    /// How to search: auto, or a single method: apgd, momentum, raw-gradient, sign, lagrangian, single-step, corners,
    /// monte-carlo [default: auto; sign where an option of a single method is given]
    #[arg(long, value_name = "METHOD")]
    method: Option<Method>,
    /// Forward and backward passes that auto may take [default: 200]
    #[arg(long, value_name = "N")]
    budget: Option<usize>,
    /// Surrogates of the accuracy, one search of a single method by each: margin, margin:KAPPA, cross-entropy, dlr,
    /// probability-margin, towards:CLASS [default: margin,cross-entropy]
    #[arg(long, value_name = "LOSS,...", value_delimiter = ',')]
    loss: Vec<AttackLoss>,
    /// Steps of a single method, for sign from zero to the bound; draws of the random methods [default: 20; apgd 100;
    /// momentum and raw-gradient 60]
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// How often --method sign takes --steps at most [default: 2]
    #[arg(long, value_name = "N")]
    expand: Option<usize>,
    /// Starting points of sign and lagrangian: the clean weights, and random ones after them [default: 1]
    #[arg(long, value_name = "N")]
    restarts: Option<usize>,
    /// Also search with gradients through activations in full precision: twice as many searches
    #[arg(long)]
    unquantized_activations: bool,
    /// Random chips within the bound, beside the searches
    #[arg(long, value_name = "N", default_value_t = 200)]
    random_chips: usize,
    /// Also certify: count the images that no admissible deviation flips, a lower bound on the worst chip
    #[arg(long)]
    certify: bool,
    /// Cells of this hardware deviate in place of weights: an accelerator by name, or a file
    #[arg(long, value_name = "NAME|FILE", conflicts_with_all = ["bound", "bounds"])]
    hardware: Option<String>,
    /// Largest deviation of a cell, relative to its conductance range; that of the hardware's write-verify where absent
    #[arg(long, value_name = "T", requires = "hardware", conflicts_with_all = ["bound", "bounds"])]
    tolerance: Option<f64>,
    /// Weights that stay digital, by path, comma-separated
    #[arg(
        long,
        value_name = "PATH,...",
        value_delimiter = ',',
        requires = "hardware",
        conflicts_with_all = ["bound", "bounds"]
    )]
    digital: Vec<String>,
    /// Test images: digits, mnist:DIR or cifar10:DIR; those of the training where absent
    #[arg(long, value_name = "SOURCE")]
    data: Option<DataSource>,
    /// Test images that the search knows; as many as in training where absent
    #[arg(long, value_name = "N")]
    images: Option<usize>,
    /// Seed of restarts and random chips
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Folder of the run; runs/worst-case-NAME where absent
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on with an interrupted search in the same folder
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    run: RunArguments,
}

impl FindWorstCase {
    pub(super) fn run(self) -> Result<Outcome> {
        if self.images == Some(0) {
            bail!("--images 0 leaves nothing to search on: use a number above 0");
        }
        let room = Room::new(&self)?;
        let search = self.search().check()?;
        let kinds = self.kinds()?;
        let stored = StoredNetwork::open(&self.checkpoint)?;
        let source = self
            .data
            .clone()
            .unwrap_or_else(|| stored.recipe.data.source.clone());
        stored.check_classes(&source)?;
        self.refuse_other_methods()?;
        let config = json!({
            "architecture": stored.manifest.architecture,
            "weights": stored.manifest.weights_checksum(),
            "data": source.to_string(),
            "images": self.images.or(stored.recipe.data.test),
            "data_seed": stored.recipe.seed,
            "room": room.describe()?,
            "search": search,
            "losses": self.losses(),
            "unquantized_activations": self.unquantized_activations,
            "random_chips": self.random_chips,
            "certify": self.certify,
            "seed": self.seed,
        });
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
        let job = Job {
            arguments: &self,
            stored: &stored,
            source,
            room,
            search,
            kinds,
            config,
            place: &place,
        };
        stored.model.build(stored.recipe.seed, &place.device, job)
    }

    /// Whether an option was given that only single methods have.
    fn asks_for_a_single_method(&self) -> bool {
        let numbers = [self.steps, self.expand, self.restarts];
        !self.loss.is_empty() || numbers.iter().any(Option::is_some)
    }

    /// The method: that of the options where none is named, so that the commands of earlier versions search as before.
    fn method(&self) -> Method {
        match self.method {
            Some(method) => method,
            None if self.asks_for_a_single_method() => Method::Sign,
            None => Method::Auto,
        }
    }

    /// Refuses options that the method does not have: a search that ignores an option is not the one that was asked for.
    fn refuse_other_methods(&self) -> Result<()> {
        use Method::{
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

    /// The surrogates of single methods.
    fn losses(&self) -> Vec<AttackLoss> {
        match (self.method(), self.loss.is_empty()) {
            (Method::Auto | Method::Corners | Method::MonteCarlo, _) => Vec::new(),
            (_, true) => AttackLoss::both().to_vec(),
            (_, false) => self.loss.clone(),
        }
    }

    fn search(&self) -> Search {
        let draws = self.steps.unwrap_or(20);
        let restarts = self.restarts.unwrap_or(1);
        match self.method() {
            Method::Auto => {
                let auto = Auto::default();
                Search::Auto(Auto {
                    budget: self.budget.unwrap_or(auto.budget),
                })
            }
            Method::Apgd => {
                let apgd = Apgd::default();
                Search::Apgd(Apgd {
                    steps: self.steps.unwrap_or(apgd.steps),
                    ..apgd
                })
            }
            Method::Momentum => {
                let momentum = Momentum::default();
                Search::Momentum(Momentum {
                    steps: self.steps.unwrap_or(momentum.steps),
                    ..momentum
                })
            }
            Method::RawGradient => {
                let raw = RawGradient::default();
                Search::RawGradient(RawGradient {
                    steps: self.steps.unwrap_or(raw.steps),
                    ..raw
                })
            }
            Method::Sign => Search::SignGradient(SignGradient {
                steps: draws,
                expand: self.expand.unwrap_or(2),
                restarts,
                random: 0,
            }),
            Method::Lagrangian => Search::Lagrangian(Lagrangian {
                steps: draws,
                restarts,
                ..Lagrangian::default()
            }),
            Method::SingleStep => Search::SingleStep(SingleStep {}),
            Method::Corners => Search::Corners(Corners { draws }),
            Method::MonteCarlo => Search::MonteCarlo(MonteCarlo { draws }),
        }
    }

    /// What every bound is searched by.
    fn kinds(&self) -> Result<Vec<Kind>> {
        for (index, loss) in self.loss.iter().enumerate() {
            if self.loss[..index].contains(loss) {
                bail!("--loss names {loss} twice: name every loss once");
            }
        }
        let mut through = vec![AttackActivations::Quantized];
        // Random draws look at no gradient: through other activations they would be the same.
        let draws = matches!(self.method(), Method::Corners | Method::MonteCarlo);
        if self.unquantized_activations && !draws {
            through.push(AttackActivations::Unquantized);
        }
        let losses = self.losses();
        let of_loss = |surrogate: Option<AttackLoss>| {
            let kind = move |activations: &AttackActivations| Kind {
                surrogate,
                activations: *activations,
            };
            through.iter().map(kind).collect::<Vec<_>>()
        };
        Ok(match losses.is_empty() {
            true => of_loss(None),
            false => losses.into_iter().map(Some).flat_map(of_loss).collect(),
        })
    }
}

/// One search of a bound: what it lowers, and through what.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Kind {
    /// All surrogates where absent.
    surrogate: Option<AttackLoss>,
    activations: AttackActivations,
}

impl Kind {
    /// What it is called in progress bars.
    fn name(self) -> String {
        let by = self
            .surrogate
            .map_or_else(|| "all losses".to_string(), |loss| loss.to_string());
        match self.activations {
            AttackActivations::Quantized => by,
            AttackActivations::Unquantized => format!("{by}, unquantized"),
        }
    }

    /// The name of its file.
    fn stem(self) -> String {
        self.name().replace([' ', ':'], "-").replace(',', "")
    }
}
