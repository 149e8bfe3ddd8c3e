//! `crossburn evaluate`

mod asked;
mod deployment;
mod job;
mod judge;
mod noise;
mod reproduce;
mod shard;
mod worst_chip;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use crossburn_training::data::DataSource;
use serde_json::json;

use self::asked::PercentileArguments;
use self::deployment::{Deployment, HardwareArguments};
use self::job::Job;
use self::noise::NoiseArguments;
use self::shard::Shard;
use self::worst_chip::WorstChip;
use super::run_setup::{RunArguments, expect_kept, holds_kept, name_after, run_folder};
use super::stored_network::StoredNetwork;
use super::{Outcome, note};
use crate::apps::study;

/// Evaluate a checkpoint on a population of chips
///
/// Every chip is one draw of the variation, held for the whole test set. With --hardware, the network is mapped and every
/// chip is programmed: cells of a device, arrays, converters. Ctrl-C keeps the finished chips; --resume draws the rest.
/// Shards of one population can run on several machines: `crossburn report A B` merges them. With --resume, more --chips draw
/// the chips that are missing: they are those that one run would have drawn.
///
/// Example: crossburn evaluate runs/digits --noise gaussian --sigma 0.1 --chips 1000 --seed 7
///
/// --kpp K --half-width W draws chips until KPP(K) is known to W points, at most --chips. --race finds KPP(K) of --chips
/// chips without looking at every image on every chip. --rare finds percentiles that --chips chips hardly ever reach.
/// --towards finds them a second way, by as many chips shifted towards the worst chip that a search has found.
///
/// Example: crossburn evaluate runs/digits --sigma 0.1 --race --kpp 1 --half-width 1
///
/// Example: crossburn evaluate runs/digits --hardware isaac --cell pcm-mushroom --after 1d --fidelity array --chips 100
///
/// Example: crossburn evaluate runs/digits --sigma 0.1 --rare 0.1,0.01 --towards runs/worst-case-digits
#[derive(Debug, Args)]
pub(super) struct Evaluate {
    /// A checkpoint, or the run folder that holds it
    checkpoint: PathBuf,
    /// Test images: digits, mnist:DIR or cifar10:DIR; those of the training where absent
    #[arg(long, value_name = "SOURCE")]
    data: Option<DataSource>,
    /// Test images to use; as many as in training, or all that there are, where absent
    #[arg(long, value_name = "N")]
    images: Option<usize>,
    #[command(flatten)]
    noise: NoiseArguments,
    #[command(flatten)]
    hardware: HardwareArguments,
    /// Chips of the population
    #[arg(long, value_name = "N", default_value_t = 1000)]
    chips: u64,
    /// Seed of the population
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The part i of n of the population, from 1
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Also draw the accuracy-versus-sigma curve at these values, comma-separated, in any order
    #[arg(long, value_name = "S,S,...", value_delimiter = ',')]
    sweep: Vec<f64>,
    /// Chips per point of that curve
    #[arg(long, value_name = "N", default_value_t = 100, requires = "sweep")]
    sweep_chips: u64,
    #[command(flatten)]
    percentiles: PercentileArguments,
    /// Folder of the run; runs/evaluate-NAME where absent, and runs/evaluate-NAME-shard-I-of-N for a shard
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Keep the chips that an interrupted run in the same folder has finished
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    run: RunArguments,
}

impl Evaluate {
    pub(super) fn run(self) -> Result<Outcome> {
        if self.chips == 0 {
            bail!("--chips 0 leaves nothing to evaluate: use a number above 0");
        }
        if self.hardware.calibration == 0 {
            bail!("--calibration 0 leaves nothing to set ranges on: use a number above 0");
        }
        if self.images == Some(0) {
            bail!("--images 0 leaves nothing to evaluate on: use a number above 0");
        }
        if self.sweep_chips == 0 {
            bail!("--sweep-chips 0 leaves nothing of the curve: use a number above 0");
        }
        if let Some(shard) = self.shard {
            shard.check(self.chips)?;
        }
        let asked = self.percentiles.asked(&self)?;
        let deployment = Deployment::new(&self.hardware, &self.noise)?;
        let sweep = self.noise.sweep(&self.sweep)?;
        if let (Deployment::Variation(_), Some(hint)) = (&deployment, self.noise.hint(&sweep)) {
            note(&hint);
        }
        let stored = StoredNetwork::open(&self.checkpoint)?;
        let towards = match &self.percentiles.towards {
            Some(run) => Some(WorstChip::open(run, &stored)?),
            None => None,
        };
        let source = self
            .data
            .clone()
            .unwrap_or_else(|| stored.recipe.data.source.clone());
        stored.check_classes(&source)?;
        let (version, commit) = study::version();
        // What the accuracy of a chip depends on, but for the images, which are not read yet. How many chips there are, and
        // what else is asked for, is not among it. Devices agree up to rounding: one document is of one of them.
        let of_chips = json!({
            "version": version,
            "commit": commit,
            "device": self.run.backend(),
            "architecture": stored.manifest.architecture,
            "weights": stored.manifest.weights_checksum(),
            "deployment": deployment.describe()?,
            "seed": self.seed,
        });
        let mut config = json!({
            "architecture": stored.manifest.architecture,
            "weights": stored.manifest.weights_checksum(),
            "data": source.to_string(),
            "images": self.images.or(stored.recipe.data.test),
            "data_seed": stored.recipe.seed,
            "deployment": deployment.describe()?,
            "chips": self.chips,
            "seed": self.seed,
            "sweep": sweep,
            "sweep_chips": self.sweep_chips,
            "device": self.run.backend(),
        });
        self.percentiles.describe(towards.as_ref(), &mut config);
        if self.run.prints(&config)? {
            return Ok(Outcome::Done);
        }
        let mut name = name_after("evaluate", &self.checkpoint);
        if let Some(shard) = self.shard {
            name = format!("{name}-{}", shard.name());
        }
        let out = run_folder(self.out.as_deref(), &name);
        if self.resume {
            expect_kept(
                &out,
                holds_kept(&out, &["chips", "race", "rare", "towards"]),
            )?;
        }
        let place = self.run.set_up(out, "evaluate")?;
        let job = Job {
            arguments: &self,
            stored: &stored,
            source,
            deployment,
            asked,
            sweep,
            towards,
            of_chips,
            config,
            place: &place,
        };
        stored.model.build(stored.recipe.seed, &place.device, job)
    }
}
