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
    Corners, Lagrangian, MonteCarlo, Search, SignGradient, SingleStep,
};
use crossburn_training::data::DataSource;
use crossburn_training::{AttackActivations, AttackLoss};
use serde_json::json;

use self::job::Job;
use self::names::{Method, loss};
use self::room::Room;
use super::Outcome;
use super::run_setup::{RunArguments, name_after, run_folder};
use super::stored_network::StoredNetwork;

/// Search the worst chip within a bound of deviation
///
/// Write-verify keeps every weight near its target. The search looks for the joint deviation within that bound that hurts
/// accuracy most, one for all test images. What it finds is written as a checkpoint, OUT/worst-chip, which `crossburn
/// evaluate OUT/worst-chip --noise none` replays. Ctrl-C keeps the state of the search; --resume goes on.
///
/// One loss alone flatters a training that hides its gradient: every bound is searched by both, which takes twice as long.
/// The worst chip is the lowest of all searches and of --random-chips, so that it is never better than those.
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
    /// How to search: sign, lagrangian, single-step, corners or monte-carlo
    #[arg(long, value_name = "METHOD", default_value = "sign")]
    method: Method,
    /// Surrogates of the accuracy, one search by each: margin, cross-entropy; both where absent
    #[arg(
        long,
        value_name = "LOSS,...",
        value_delimiter = ',',
        value_parser = loss,
        default_values = ["margin", "cross-entropy"],
        hide_default_value = true
    )]
    loss: Vec<AttackLoss>,
    /// Steps from zero to the bound; draws of the random methods
    #[arg(long, value_name = "N", default_value_t = 20)]
    steps: usize,
    /// How many times that many steps --method sign takes at most
    #[arg(long, value_name = "N", default_value_t = 2)]
    expand: usize,
    /// Starting points: the clean weights, and random ones after them
    #[arg(long, value_name = "N", default_value_t = 1)]
    restarts: usize,
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
    #[arg(long, value_name = "T", requires = "hardware")]
    tolerance: Option<f64>,
    /// Weights that stay digital, by path, comma-separated
    #[arg(
        long,
        value_name = "PATH,...",
        value_delimiter = ',',
        requires = "hardware"
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
        let config = json!({
            "architecture": stored.manifest.architecture,
            "weights": stored.manifest.weights_checksum(),
            "data": source.to_string(),
            "images": self.images.or(stored.recipe.data.test),
            "data_seed": stored.recipe.seed,
            "room": room.describe()?,
            "search": search,
            "losses": self.loss,
            "unquantized_activations": self.unquantized_activations,
            "random_chips": self.random_chips,
            "certify": self.certify,
            "seed": self.seed,
        });
        if self.run.prints(&config)? {
            return Ok(Outcome::Done);
        }
        let name = name_after("worst-case", &self.checkpoint);
        let place = self.run.set_up(run_folder(self.out.as_deref(), &name))?;
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

    fn search(&self) -> Search {
        let Self {
            steps,
            expand,
            restarts,
            ..
        } = *self;
        match self.method {
            Method::Sign => Search::SignGradient(SignGradient {
                steps,
                expand,
                restarts,
                random: 0,
            }),
            Method::Lagrangian => Search::Lagrangian(Lagrangian {
                steps,
                restarts,
                ..Lagrangian::default()
            }),
            Method::SingleStep => Search::SingleStep(SingleStep {}),
            Method::Corners => Search::Corners(Corners { draws: steps }),
            Method::MonteCarlo => Search::MonteCarlo(MonteCarlo { draws: steps }),
        }
    }

    /// What every bound is searched by.
    fn kinds(&self) -> Result<Vec<Kind>> {
        for (index, loss) in self.loss.iter().enumerate() {
            if self.loss[..index].contains(loss) {
                bail!("--loss names {} twice: name every loss once", loss.name());
            }
        }
        let mut activations = vec![AttackActivations::Quantized];
        if self.unquantized_activations {
            activations.push(AttackActivations::Unquantized);
        }
        let of_loss = |surrogate: &AttackLoss| {
            let kind = |activations: &AttackActivations| Kind {
                surrogate: *surrogate,
                activations: *activations,
            };
            activations.iter().map(kind).collect::<Vec<_>>()
        };
        let mut kinds: Vec<Kind> = self.loss.iter().flat_map(of_loss).collect();
        if matches!(self.method, Method::Corners | Method::MonteCarlo) {
            // They look at no gradient: every kind would draw the same.
            kinds.truncate(1);
        }
        Ok(kinds)
    }
}

/// One search of a bound: what it lowers, and through what.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Kind {
    surrogate: AttackLoss,
    activations: AttackActivations,
}
