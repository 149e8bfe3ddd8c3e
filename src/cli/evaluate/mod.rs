//! `crossburn evaluate`

mod asked;
mod deployment;
mod reproduce;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use crossburn_training::data::DataSource;
use serde_json::json;

use self::asked::PercentileArguments;
use self::deployment::HardwareArguments;
use super::device::DeviceChoice;
use super::noise::NoiseArguments;
use super::normalize_argument::NormalizeArgument;
use super::open_stored::open_stored;
use super::run_setup::{
    RunArguments, expect_kept, holds_kept, name_after, note_files, note_preparation, run_folder,
};
use super::shard::Shard;
use super::{Outcome, finish, note, resumable};
use crate::apps::evaluation::{ChipSource, EvaluationJob, FindArrayWeights, Sweep, WorstChip};
use crate::apps::study;

/// Evaluate a trained network on a population of chips
///
/// A chip is one draw of the variation. It keeps its deviations for the whole test set. With --hardware, a chip is programmed instead:
/// the network is mapped to arrays, and every cell is written.
///
/// The table shows the metric without variation (clean), the mean over the chips, percentiles with their 95 % intervals, and
/// the worst of the chips. KPP(K), the k-th percentile, is what (100 - K) % of the chips reach: KPP(1) = 64.7 [58.7, 66.6]
/// says that 99 of 100 chips reach 64.7 %, and that the 95 % interval of this number, which follows from the number of
/// chips, is 58.7 to 66.6. --kpp K --half-width W draws as many chips as are needed to know KPP(K) to within W points. --kpp
/// K --race is faster for a large population. --rare estimates percentiles such as KPP(0.01), for which
/// random chips alone would be too many.
///
/// Ctrl-C keeps the finished chips; --resume draws the missing ones, and may ask for more --chips. --shard splits a population over
/// machines, and `crossburn report A B` merges the parts. The chips are the same as in one long run.
///
/// Example: crossburn evaluate runs/digits --noise gaussian --sigma 0.1 --chips 1000 --seed 7
///
/// Example: crossburn evaluate runs/digits --sigma 0.1 --kpp 1 --half-width 1 --race
///
/// Example: crossburn evaluate runs/digits --hardware papers --cell pcm-mushroom --after 1d --drift-compensation global --chips 100
///
/// Example: crossburn evaluate models/SmolLM2-135M --data text:book.txt --sigma 0.02 --chips 100
///
/// Example: crossburn evaluate resnet20.onnx --data cifar10:DIR --sigma 0.05 --chips 200
///
/// Example: crossburn evaluate runs/digits --sigma 0.1 --rare 0.1,0.01 --towards runs/worst-case-digits
#[derive(Debug, Args)]
pub(super) struct Evaluate {
    /// A trained network: a run folder, a checkpoint, a classifier as an ONNX file, or a language model in the layout of the Hugging Face
    /// hub
    checkpoint: PathBuf,
    /// Test items: digits, mnist:DIR, csv:FILE and so on (docs/recipes.md) [default: those of the training]
    #[arg(long, value_name = "SOURCE", help_heading = "Data")]
    data: Option<DataSource>,
    #[command(flatten)]
    normalize: NormalizeArgument,
    /// Number of test items [default: as many as in training, or all]
    #[arg(long, alias = "images", value_name = "N", help_heading = "Data")]
    items: Option<usize>,
    /// Judge a language model by perplexity, rouge-1 or rouge-l (docs/tuning.md), or a detector by another `task.metric`
    /// (docs/recipes.md) [default: as in training, or perplexity]
    #[arg(long, value_name = "METRIC", help_heading = "Data")]
    metric: Option<String>,
    #[command(flatten)]
    noise: NoiseArguments,
    #[command(flatten)]
    hardware: HardwareArguments,
    /// Number of chips
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1000,
        help_heading = "Population"
    )]
    chips: u64,
    /// Seed of the population
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        help_heading = "Population"
    )]
    seed: u64,
    /// Evaluate part I of N of the population, such as 1/4
    #[arg(long, value_name = "I/N", help_heading = "Population")]
    shard: Option<Shard>,
    /// Also evaluate these values of --sigma, comma-separated, and draw the curve of the metric against sigma
    #[arg(
        long,
        value_name = "S,S,...",
        value_delimiter = ',',
        help_heading = "Variation"
    )]
    sweep: Vec<f64>,
    /// Chips for each value of --sweep
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100,
        requires = "sweep",
        help_heading = "Variation"
    )]
    sweep_chips: u64,
    #[command(flatten)]
    percentiles: PercentileArguments,
    /// Folder of the run [default: runs/evaluate-NAME; with --shard, runs/evaluate-NAME-shard-I-of-N]
    #[arg(long, value_name = "DIR", help_heading = "Options")]
    out: Option<PathBuf>,
    /// Continue a run in the same folder: draw the chips that are missing
    #[arg(long, help_heading = "Options")]
    resume: bool,
    #[command(flatten)]
    pub(super) run: RunArguments,
}

impl Evaluate {
    pub(super) fn run(self) -> Result<Outcome> {
        if self.chips == 0 {
            bail!("--chips 0 leaves nothing to evaluate: use a number above 0");
        }
        if self.hardware.calibration == 0 {
            bail!("--calibration 0 leaves nothing to set ranges on: use a number above 0");
        }
        if self.items == Some(0) {
            bail!("--items 0 leaves nothing to evaluate on: use a number above 0");
        }
        if self.sweep_chips == 0 {
            bail!("--sweep-chips 0 leaves nothing of the curve: use a number above 0");
        }
        if let Some(shard) = self.shard {
            shard.check(self.chips, "chips")?;
        }
        let asked = self.percentiles.asked(&self)?;
        let deployment = self.hardware.chip_source(&self.noise)?;
        let sweep = self.noise.sweep(&self.sweep)?;
        if let (ChipSource::Variation(_), Some(hint)) = (&deployment, self.noise.hint(&sweep)) {
            note(&hint);
        }
        let stored = open_stored(&self.checkpoint)?
            .normalized(self.normalize.asked())?
            .with_digital(&self.hardware.digital.paths)
            .judged_by(self.metric.as_deref())?;
        let deployment = self.hardware.for_network(deployment, || {
            let device = DeviceChoice::Cpu.open()?;
            Ok(stored.build(&device, FindArrayWeights(&stored))?)
        })?;
        let learned = &stored.manifest.input_scales;
        let deployment = deployment.with_input_scales(learned)?;
        if deployment.has_input_scales() && !learned.is_empty() {
            note(
                "inputs have the full scales that training learned, unless the hardware sets its own",
            );
        }
        let towards = match &self.percentiles.towards {
            Some(run) => Some(WorstChip::open(run, &stored)?),
            None => None,
        };
        let source = stored.source(self.data.as_ref())?;
        stored.check_data(&source)?;
        let (version, commit) = study::version();
        // Everything that the metric of a chip depends on, except the items, which are not read yet. The number of chips and
        // further questions are not part of it. Devices agree only up to rounding, so a document belongs to one of them.
        let of_chips = stored.with_arrays(json!({
            "version": version,
            "commit": commit,
            "device": self.run.backend(),
            "task": stored.recipe.task,
            "architecture": stored.manifest.architecture,
            "weights": stored.manifest.weights_checksum(),
            "deployment": deployment.describe()?,
            "seed": self.seed,
        }))?;
        let mut config = stored.with_arrays(json!({
            "task": stored.recipe.task,
            "architecture": stored.manifest.architecture,
            "weights": stored.manifest.weights_checksum(),
            "data": source.to_string(),
            "items": self.items.or(stored.recipe.data.test),
            "data_seed": stored.recipe.seed,
            "deployment": deployment.describe()?,
            "chips": self.chips,
            "seed": self.seed,
            "sweep": sweep,
            "sweep_chips": self.sweep_chips,
            "device": self.run.backend(),
        }))?;
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
        let at_sigma = |sigma| Ok((sigma, self.noise.at_sigma(sigma)?));
        let job = EvaluationJob {
            stored: &stored,
            source: source.clone(),
            items: self.items,
            deployment,
            seed: self.seed,
            chips: self.chips,
            part: match self.shard {
                Some(shard) => shard.range(self.chips),
                None => 0..self.chips,
            },
            asked,
            sweep: Sweep {
                variations: sweep.into_iter().map(at_sigma).collect::<Result<_>>()?,
                chips: self.sweep_chips,
            },
            towards,
            of_chips,
            config,
            reproduce: self.reproduce(&source),
            place: place.workplace(self.resume),
        };
        let Some(results) = stored.build(&place.device, job)?? else {
            return Ok(resumable("the finished chips are kept"));
        };
        finish(&place.out, &results, self.run.json)?;
        note_files(&source.test_files()?);
        note_preparation(&source, stored.recipe.seed);
        place.note_report();
        Ok(Outcome::Done)
    }
}
