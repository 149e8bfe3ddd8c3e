//! `crossburn evaluate`

use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use clap::Args;
use crossburn_checkpoints::load_checkpoint;
use crossburn_hardware::Quantization;
use crossburn_hardware::deploy::{Fab, Fidelity, MappedNetwork};
use crossburn_hardware::units::Second;
use crossburn_models::{Classifier, WithClassifier};
use crossburn_noise::{Looks, Race, RaceConfig, RareConfig, SubsetSimulation, Variation};
use crossburn_training::data::DataSource;
use crossburn_training::{Batches, Evaluation, Recipe};
use indicatif::MultiProgress;
use serde_json::{Value, json};

use super::deployment::{Deployment, HardwareChoice, OnTargets};
use super::device::DeviceChoice;
use super::progress::bar;
use super::stored_network::StoredNetwork;
use super::{Outcome, interrupt, note, print, print_results};
use crate::apps::hardware::{self, CALIBRATION_IMAGES, calibration};
use crate::apps::population::{self, ChipStore, Draw};
use crate::apps::study::{self, CONFIDENCE, Clock};
use crate::apps::{race, rare};
use crate::report::{
    DataSummary, KppEntry, LooksSummary, Method, OnHardware, Percentiles, PopulationSummary,
    RareSummary, Results, RunCommand, SCHEMA, write_run,
};

/// Evaluate a checkpoint on a population of chips
///
/// Every chip is one draw of the variation, held for the whole test set. With --hardware, the network is mapped and every
/// chip is programmed: cells of a device, arrays, converters. Ctrl-C keeps the finished chips; --resume draws the rest.
/// Shards of one population can run on several machines: `crossburn report A B` merges them.
///
/// Example: crossburn evaluate runs/digits --noise gaussian --sigma 0.1 --chips 1000 --seed 7
///
/// --kpp K --half-width W draws chips until KPP(K) is known to W points, at most --chips. --race finds KPP(K) of --chips
/// chips without looking at every image on every chip. --rare finds percentiles that --chips chips hardly ever reach.
///
/// Example: crossburn evaluate runs/digits --sigma 0.1 --race --kpp 1 --half-width 1
///
/// Example: crossburn evaluate runs/digits --hardware isaac --cell pcm-mushroom --after 1d --fidelity array --chips 100
#[derive(Debug, Args)]
pub(super) struct Evaluate {
    /// A checkpoint, or the run folder that holds it
    checkpoint: PathBuf,
    /// Test images: digits, mnist:DIR or cifar10:DIR; those of the training where absent
    #[arg(long, value_name = "SOURCE")]
    data: Option<DataSource>,
    /// Test images to use; as many as in training where absent
    #[arg(long, value_name = "N")]
    images: Option<usize>,
    /// Distribution of the variation, by its name in recipes
    #[arg(long, value_name = "KIND", default_value = "gaussian")]
    noise: String,
    /// Standard deviation relative to the largest weight of a layer
    #[arg(long, value_name = "S", default_value_t = 0.1)]
    sigma: f64,
    /// Censoring (or truncation) point, in standard deviations, of the distributions that have one
    #[arg(long, value_name = "C")]
    censor: Option<f64>,
    /// Ratio of inner to outer deviation of four-level cells
    #[arg(long, value_name = "R")]
    ratio: Option<f64>,
    /// Programmed chips of this hardware in place of a variation: an accelerator by name, or a file
    #[arg(long, value_name = "NAME|FILE", conflicts_with_all = ["noise", "sigma", "censor", "ratio", "sweep"])]
    hardware: Option<String>,
    /// What of the hardware a chip computes with: weight (what cells hold) or array (every product)
    #[arg(long, value_name = "F", default_value_t = Fidelity::Weight, requires = "hardware")]
    fidelity: Fidelity,
    /// Other memory cells on that hardware: names of devices, comma-separated, or all
    #[arg(
        long,
        value_name = "NAME,...",
        value_delimiter = ',',
        requires = "hardware"
    )]
    cell: Vec<String>,
    /// Weights that stay digital, by path, comma-separated
    #[arg(
        long,
        value_name = "PATH,...",
        value_delimiter = ',',
        requires = "hardware"
    )]
    digital: Vec<String>,
    /// Training images that ranges of inputs and converters are set on
    #[arg(long, value_name = "N", default_value_t = CALIBRATION_IMAGES, requires = "hardware")]
    calibration: usize,
    /// Time since programming, such as 1d
    #[arg(long, value_name = "TIME", requires = "hardware")]
    after: Option<Second>,
    /// Chips of the population
    #[arg(long, value_name = "N", default_value_t = 1000)]
    chips: u64,
    /// Seed of the population
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The part i of n of the population, from 1
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Also draw the accuracy-versus-sigma curve at these values, comma-separated
    #[arg(long, value_name = "S,S,...", value_delimiter = ',')]
    sweep: Vec<f64>,
    /// Chips per point of that curve
    #[arg(long, value_name = "N", default_value_t = 100)]
    sweep_chips: u64,
    /// The percentile that --half-width and --race are about
    #[arg(long, value_name = "K")]
    kpp: Option<f64>,
    /// Draw chips until half of the interval of KPP(K) is this narrow, in points, at most --chips; with --race, end the
    /// race when point and interval are known to within this
    #[arg(long, value_name = "POINTS", requires = "kpp")]
    half_width: Option<f64>,
    /// Race for KPP(K): a chip whose rank is settled is looked at no further
    #[arg(long, requires = "kpp", conflicts_with = "shard")]
    race: bool,
    /// Probability that images which a race does not look at change its result
    #[arg(long, value_name = "P", default_value_t = DELTA, requires = "race")]
    delta: f64,
    /// Rare percentiles in percent, comma-separated, by subset simulation
    #[arg(
        long,
        value_name = "P,...",
        value_delimiter = ',',
        conflicts_with = "shard"
    )]
    rare: Vec<f64>,
    /// Chips of each level of --rare
    #[arg(long, value_name = "N", default_value_t = RARE_CHIPS, requires = "rare")]
    rare_chips: usize,
    /// Folder of the run; runs/evaluate-NAME where absent
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Keep the chips that an interrupted run in the same folder has finished
    #[arg(long)]
    resume: bool,
    /// Where to compute: cpu, ndarray, wgpu or wgpu:N
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceChoice::Cpu)]
    device: DeviceChoice,
    /// Print the resolved settings and stop
    #[arg(long)]
    print_config: bool,
    /// Print the results document on stdout instead of the table
    #[arg(long)]
    json: bool,
}

/// What a race gives to images that it does not look at, unless told.
const DELTA: f64 = 0.01;
/// Chips of each level of a subset simulation, unless told.
const RARE_CHIPS: usize = 1000;
/// Probability of each of its levels given the one before, as Au and Beck have it.
const CONDITIONAL: f64 = 0.1;

/// One of `of` contiguous parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shard {
    index: u64,
    of: u64,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text
            .split_once('/')
            .and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        match parsed {
            Some((index, of)) if (1..=of).contains(&index) => Ok(Self { index, of }),
            _ => Err("use I/N with I from 1 to N, such as 1/4".to_string()),
        }
    }
}

impl Shard {
    /// The chip numbers of this part of `chips`.
    fn range(self, chips: u64) -> Range<u64> {
        let cut = |part: u64| (u128::from(chips) * u128::from(part) / u128::from(self.of)) as u64;
        cut(self.index - 1)..cut(self.index)
    }
}

impl Evaluate {
    pub(super) fn run(self) -> Result<Outcome> {
        if self.chips == 0 {
            bail!("--chips 0 leaves nothing to evaluate: use a number above 0");
        }
        if self.calibration == 0 {
            bail!("--calibration 0 leaves nothing to set ranges on: use a number above 0");
        }
        let asked = self.asked()?;
        let deployment = match &self.hardware {
            None => Deployment::Variation(self.variation(self.sigma)?),
            Some(hardware) => Deployment::on_hardware(&HardwareChoice {
                hardware,
                fidelity: self.fidelity,
                cells: &self.cell,
                digital: &self.digital,
                after: self.after,
                calibration: self.calibration,
            })?,
        };
        let network = StoredNetwork::open(&self.checkpoint)?;
        let quantization = network.quantization();
        let StoredNetwork {
            folder,
            manifest,
            model,
            recipe,
        } = network;
        let source = self
            .data
            .clone()
            .unwrap_or_else(|| recipe.data.source.clone());
        let of_chips = json!({
            "architecture": manifest.architecture,
            "weights": manifest.weights_checksum(),
            "data": source.to_string(),
            "images": self.images.or(recipe.data.test),
            "data_seed": recipe.seed,
            "deployment": deployment.describe()?,
            "chips": self.chips,
            "seed": self.seed,
            "sweep": self.sweep,
            "sweep_chips": self.sweep_chips,
        });
        let mut config = of_chips.clone();
        if let Some(k) = self.kpp {
            config["kpp"] = json!(k);
            config["half_width"] = json!(self.half_width);
            config["race"] = json!(self.race.then(|| json!({ "delta": self.delta })));
        }
        if !self.rare.is_empty() {
            config["rare"] = json!({ "percent": self.rare, "chips": self.rare_chips });
        }
        if self.print_config {
            print(&serde_json::to_string_pretty(&config)?)?;
            return Ok(Outcome::Done);
        }
        let name = self
            .checkpoint
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let out = self
            .out
            .clone()
            .unwrap_or_else(|| PathBuf::from("runs").join(format!("evaluate-{name}")));
        fs_err::create_dir_all(&out).with_context(|| {
            format!(
                "cannot create the run folder {}: choose another --out",
                out.display()
            )
        })?;
        let device = self.device.open()?;
        let stop = interrupt::flag()?;
        let seed = recipe.seed;
        let job = Job {
            arguments: &self,
            folder,
            quantization,
            recipe,
            source,
            deployment,
            asked,
            of_chips,
            config,
            out,
            device: &device,
            stop,
        };
        model.build(seed, &device, job)
    }

    /// What is asked about KPP(k) and rare percentiles, with numbers that make sense.
    fn asked(&self) -> Result<Asked> {
        let half_width = self.half_width.map(|points| points / 100.0);
        let looks = match (self.kpp, half_width, self.race) {
            (Some(k), Some(half_width), false) => {
                if self.shard.is_some() {
                    bail!("--half-width decides how many chips are drawn: leave out --shard");
                }
                if !(half_width > 0.0 && half_width < 0.5) {
                    bail!(
                        "--half-width {} is not between 0 and 50 points, such as 1",
                        100.0 * half_width
                    );
                }
                Some((
                    k,
                    half_width,
                    Looks::new(k, CONFIDENCE, self.chips as usize)?,
                ))
            }
            (Some(k), None, false) => {
                bail!("--kpp {k} alone asks for nothing: add --half-width or --race")
            }
            _ => None,
        };
        let race = match self.kpp {
            Some(k) if self.race => Some(RaceConfig {
                seed: self.seed,
                chips: 0..self.chips,
                // Checked again when the test set is known.
                images: 1,
                k,
                confidence: CONFIDENCE,
                delta: self.delta,
                half_width,
            }),
            _ => None,
        };
        if let Some(race) = &race {
            race.clone().check()?;
        }
        if !self.rare.is_empty() && self.hardware.is_some() {
            bail!(
                "--rare walks in the draws of a variation, which programmed cells do not have: use it with --noise in \
                 place of --hardware"
            );
        }
        let rare = RareConfig {
            seed: self.seed,
            chips: self.rare_chips,
            conditional: CONDITIONAL,
            percentages: self.rare.clone(),
            confidence: CONFIDENCE,
        };
        let rare = (!self.rare.is_empty()).then(|| rare.check()).transpose()?;
        Ok(Asked { looks, race, rare })
    }

    fn variation(&self, sigma: f64) -> Result<Variation> {
        let mut table = json!({ "kind": self.noise });
        let key = if self.noise == "log-normal" {
            "sigma_log"
        } else {
            "sigma_rel_wmax"
        };
        if self.noise != "none" {
            table[key] = finite("--sigma", sigma)?;
        }
        for (key, flag, value) in [
            ("censor", "--censor", self.censor),
            ("ratio", "--ratio", self.ratio),
        ] {
            if let Some(value) = value {
                table[key] = finite(flag, value)?;
            }
        }
        let variation: Variation = serde_json::from_value(table)
            .with_context(|| format!("--noise {} with these values", self.noise))?;
        Ok(variation.check()?)
    }
}

/// JSON has no NaN: say so before it becomes a null.
fn finite(flag: &str, value: f64) -> Result<Value> {
    if !value.is_finite() {
        bail!("{flag} {value} is not a finite number");
    }
    Ok(json!(value))
}

/// What is asked for beside the table of a population.
struct Asked {
    /// The percentile, half of the width as a fraction, and when to look.
    looks: Option<(f64, f64, Looks)>,
    /// A race, but for its number of images.
    race: Option<RaceConfig>,
    rare: Option<SubsetSimulation>,
}

struct Job<'a> {
    arguments: &'a Evaluate,
    folder: PathBuf,
    quantization: Option<Quantization>,
    recipe: Recipe,
    source: DataSource,
    deployment: Deployment,
    asked: Asked,
    /// Everything that the accuracy of a chip depends on.
    of_chips: Value,
    config: Value,
    out: PathBuf,
    device: &'a Device,
    stop: Arc<AtomicBool>,
}

impl WithClassifier for Job<'_> {
    type Output = Result<Outcome>;

    fn run<C: Classifier>(self, network: C) -> Result<Outcome> {
        let arguments = self.arguments;
        let mut clock = Clock::new();
        let (network, _) = load_checkpoint(&self.folder, network)?;
        // The first training images set the ranges of a hardware; the rest is cheap, or read with the file as a whole.
        let images = arguments.images.or(self.recipe.data.test);
        let data = clock.time("data", || {
            self.source
                .load(self.recipe.seed, self.recipe.data.train, images)
        })?;
        self.recipe.model.check(data.test.shape)?;
        let race = self.asked.race.clone().map(|race| {
            let images = data.test.len();
            RaceConfig { images, ..race }.check()
        });
        let race = race.transpose()?;
        let batches = match &race {
            Some(race) => Batches::for_race(&data.test, race, 128, self.device)?,
            None => Batches::new(&data.test, 128, self.device),
        };
        let evaluation = Evaluation::new(&network, self.quantization, batches);
        let judge = Judge {
            job: &self,
            evaluation: &evaluation,
            clean: evaluation.clean()?,
            race,
            bars: MultiProgress::new(),
        };
        let judged = match &self.deployment {
            Deployment::Variation(variation) => judge.on_variation(variation, &mut clock)?,
            Deployment::Hardware(on) => {
                let calibration = calibration(&data.train, on.calibration, self.device);
                judge.on_targets(on, &calibration, &mut clock)?
            }
        };
        let Some(methods) = judged else {
            note("the finished chips are kept: run the same command with --resume");
            return Ok(Outcome::Interrupted);
        };
        let (version, commit) = study::version();
        let results = Results {
            schema: SCHEMA.to_string(),
            command: RunCommand::Evaluate,
            version,
            commit,
            reproduce: self.reproduce(),
            config: self.config.clone(),
            data: DataSummary {
                source: self.source.to_string(),
                train: 0,
                validation: 0,
                test: data.test.len(),
            },
            deployment: Some(self.deployment.summary()?),
            methods,
            timing: clock.timing(),
        };
        write_run(&self.out, &results)?;
        print_results(&results, arguments.json)?;
        note(&format!(
            "report: {}",
            self.out.join("report.html").display()
        ));
        Ok(Outcome::Done)
    }
}

/// Judges one network.
struct Judge<'a, C> {
    job: &'a Job<'a>,
    evaluation: &'a Evaluation<C>,
    /// Accuracy without variation.
    clean: f64,
    race: Option<Race>,
    bars: MultiProgress,
}

/// What was found about the chips of one fab: all of them, unless they raced.
type Found = (Option<PopulationSummary>, Percentiles);

impl<C: Classifier> Judge<'_, C> {
    fn on_variation(
        &self,
        variation: &Variation,
        clock: &mut Clock,
    ) -> Result<Option<Vec<Method>>> {
        let arguments = self.job.arguments;
        let fab = self.evaluation.varied(variation);
        let found = clock.time("chips", || self.chips(&fab, "evaluate", None))?;
        let Some((population, mut percentiles)) = found else {
            return Ok(None);
        };
        if let Some(simulation) = &self.job.asked.rare {
            let rare = clock.time("rare", || self.rare(variation, simulation))?;
            if rare.is_none() {
                return Ok(None);
            }
            percentiles.rare = rare;
        }
        let mut sweep = Vec::new();
        let total = arguments.sweep.len() as u64 * arguments.sweep_chips;
        let progress = bar(&self.bars, "accuracy versus sigma", total, "chip");
        for &sigma in &arguments.sweep {
            let variation = arguments.variation(sigma)?;
            let draw = Draw {
                fab: &self.evaluation.varied(&variation),
                seed: arguments.seed,
                chips: 0..arguments.sweep_chips,
                store: None,
                on_chip: &|| progress.inc(1),
                stop: &self.job.stop,
            };
            let Some(chips) = clock.time("sweep", || population::draw(self.evaluation, &draw))?
            else {
                return Ok(None);
            };
            sweep.push(study::sweep_point(sigma, &chips)?);
        }
        progress.finish_and_clear();
        let method = self.method(None, (population, percentiles))?;
        Ok(Some(vec![Method { sweep, ..method }]))
    }

    /// One method for every cell of the hardware.
    fn on_targets(
        &self,
        on: &OnTargets,
        calibration: &Batches,
        clock: &mut Clock,
    ) -> Result<Option<Vec<Method>>> {
        let mut methods = Vec::new();
        for target in &on.targets {
            let mapped = self
                .evaluation
                .mapped(&target.hardware, on.fidelity, calibration)?;
            let cell = target.cell.as_deref();
            let Some(method) = self.on_hardware(&on.name, cell, &mapped, on.fidelity, clock)?
            else {
                return Ok(None);
            };
            methods.push(method);
        }
        Ok(Some(methods))
    }

    /// `cell` where it is not the hardware's own.
    fn on_hardware(
        &self,
        name: &str,
        cell: Option<&str>,
        mapped: &MappedNetwork<C>,
        fidelity: Fidelity,
        clock: &mut Clock,
    ) -> Result<Option<Method>> {
        let fab = mapped.fab(fidelity)?;
        let cost = hardware::cost(mapped)?;
        if fidelity == Fidelity::Weight && !mapped.unseen().is_empty() {
            note(&format!(
                "no array-aware layer uses {}: their cost is left out",
                mapped.unseen().join(", ")
            ));
        }
        let device = &mapped.hardware().config().device;
        if fidelity == Fidelity::Weight && device.has_read_noise() {
            note(&format!(
                "{}: its reads scatter, which a frozen weight leaves out; --fidelity array has it",
                device.config().kind()
            ));
        }
        if device.iv_curve().is_some() {
            note(&format!(
                "{}: its current is no straight line, which chips leave out: they compute with conductances",
                device.config().kind()
            ));
        }
        let ideal = clock.time("ideal", || self.evaluation.accuracy(&fab.ideal()?))?;
        let stage = format!("evaluate on {}", cell.unwrap_or(name));
        let found = clock.time("chips", || self.chips(&fab, &stage, cell))?;
        let Some(found) = found else {
            return Ok(None);
        };
        let method = self.method(cell, found)?;
        Ok(Some(Method {
            hardware: Some(OnHardware {
                name: name.to_string(),
                device: device.config().kind().to_string(),
                fidelity: fidelity.to_string(),
                ideal,
                population: None,
                cost,
            }),
            ..method
        }))
    }

    /// The chips of `fab`, as they were asked for; `None` where it was interrupted.
    fn chips(&self, fab: &impl Fab<C>, stage: &str, cell: Option<&str>) -> Result<Option<Found>> {
        let file = |what: &str| match cell {
            Some(cell) => format!("{what}-{cell}.json"),
            None => format!("{what}.json"),
        };
        if let Some(race) = &self.race {
            return self.raced(fab, race, stage, &file("race"));
        }
        if let Some((k, half_width, looks)) = &self.job.asked.looks {
            return self.looked_at(fab, (*k, *half_width, looks), stage, &file("chips"));
        }
        let population = self.population(fab, stage, &file("chips"))?;
        Ok(population.map(|population| (Some(population), Percentiles::default())))
    }

    /// A race of the chips, whose counts are kept in `file`.
    fn raced(
        &self,
        fab: &impl Fab<C>,
        race: &Race,
        stage: &str,
        file: &str,
    ) -> Result<Option<Found>> {
        let images = self.evaluation.images();
        let progress = bar(&self.bars, stage, 0, "image");
        let of = json!({ "race": self.job.of_chips });
        let store = ChipStore::open(self.job.out.join(file), of, self.job.arguments.resume)?;
        let racing = race::Racing {
            race,
            store: &store,
            on_round: &|chips, round| {
                // All chips that are left would look at all images that are left.
                let most = chips as u64 * (images - round.start) as u64;
                progress.set_length(progress.position() + most);
                progress.set_message(format!("· {chips} chips race"));
            },
            on_chip: &|looked| progress.inc(looked as u64),
            stop: &self.job.stop,
        };
        let result = race::run(self.evaluation, fab, &racing)?;
        progress.finish_and_clear();
        Ok(result.map(|result| {
            let percentiles = Percentiles {
                race: Some(race::summarize(race, &result)),
                ..Percentiles::default()
            };
            (None, percentiles)
        }))
    }

    /// More and more chips, kept in `file`, until the interval of KPP(k) is narrow enough.
    fn looked_at(
        &self,
        fab: &impl Fab<C>,
        (k, half_width, looks): (f64, f64, &Looks),
        stage: &str,
        file: &str,
    ) -> Result<Option<Found>> {
        let arguments = self.job.arguments;
        let progress = bar(&self.bars, stage, arguments.chips, "chip");
        let path = self.job.out.join(file);
        let store = ChipStore::open(path, self.job.of_chips.clone(), arguments.resume)?;
        let mut found = None;
        for &chips in looks.chips() {
            progress.set_position(0);
            let draw = Draw {
                fab,
                seed: arguments.seed,
                chips: 0..chips as u64,
                store: Some(&store),
                on_chip: &|| progress.inc(1),
                stop: &self.job.stop,
            };
            let Some(population) = population::draw(self.evaluation, &draw)? else {
                return Ok(None);
            };
            let interval = population.kpp_interval(k, looks.each())?;
            let open = 0.5 * (interval.high - interval.low);
            let summary = LooksSummary {
                k,
                half_width,
                looks: looks.chips().to_vec(),
                chips,
                confidence: looks.confidence(),
                each: looks.each(),
                kpp: KppEntry {
                    value: population.kpp(k)?,
                    low: (interval.low > 0.0).then_some(interval.low),
                    high: (interval.high < 1.0).then_some(interval.high),
                },
                reached: open <= half_width,
            };
            let reached = summary.reached;
            let percentiles = Percentiles {
                looks: Some(summary),
                ..Percentiles::default()
            };
            let population = study::summarize(&population, self.evaluation.images())?;
            found = Some((Some(population), percentiles));
            progress.set_message(format!("· KPP({k}) ± {:.2} points", 100.0 * open));
            if reached {
                break;
            }
            if chips as u64 == arguments.chips {
                note(&format!(
                    "KPP({k}) is known to {:.2} points after {chips} chips, not to {:.2}: use more --chips",
                    100.0 * open,
                    100.0 * half_width
                ));
            }
        }
        progress.finish_and_clear();
        Ok(found)
    }

    /// Rare percentiles; `None` where the simulation was interrupted.
    fn rare(
        &self,
        variation: &Variation,
        simulation: &SubsetSimulation,
    ) -> Result<Option<RareSummary>> {
        let Job {
            arguments,
            of_chips,
            ..
        } = self.job;
        let progress = bar(&self.bars, "rare percentiles", 0, "chip");
        let of = json!({ "rare": of_chips, "chips": arguments.rare_chips });
        let store = ChipStore::open(self.job.out.join("rare.json"), of, arguments.resume)?;
        let simulating = rare::Simulating {
            variation,
            simulation,
            store: &store,
            on_level: &|level, chips| {
                progress.inc_length(chips as u64);
                progress.set_message(format!("· level {level}"));
            },
            on_chip: &|| progress.inc(1),
            stop: &self.job.stop,
        };
        let result = rare::run(self.evaluation, &simulating)?;
        progress.finish_and_clear();
        let images = self.evaluation.images();
        Ok(result.map(|result| rare::summarize(&result, arguments.rare_chips, images)))
    }

    /// The chips of this shard from `fab`, kept in `file`; `None` where it was interrupted.
    fn population(
        &self,
        fab: &impl Fab<C>,
        stage: &str,
        file: &str,
    ) -> Result<Option<PopulationSummary>> {
        let Job {
            arguments,
            of_chips,
            ..
        } = self.job;
        let chips = match arguments.shard {
            Some(shard) => shard.range(arguments.chips),
            None => 0..arguments.chips,
        };
        let progress = bar(&self.bars, stage, chips.end - chips.start, "chip");
        let store = ChipStore::open(self.job.out.join(file), of_chips.clone(), arguments.resume)?;
        let draw = Draw {
            fab,
            seed: arguments.seed,
            chips,
            store: Some(&store),
            on_chip: &|| progress.inc(1),
            stop: &self.job.stop,
        };
        let population = population::draw(self.evaluation, &draw)?;
        progress.finish_and_clear();
        population
            .map(|population| study::summarize(&population, self.evaluation.images()))
            .transpose()
    }

    /// One row of the document, called after the cell, or after the training where the cell is the hardware's own.
    fn method(&self, cell: Option<&str>, (population, percentiles): Found) -> Result<Method> {
        let noise = &self.job.recipe.noise;
        Ok(Method {
            name: cell.map_or_else(|| study::method_name(&self.job.recipe), str::to_string),
            training_noise: study::json(noise)?,
            clean: self.clean,
            curve: Vec::new(),
            population,
            sweep: Vec::new(),
            hardware: None,
            percentiles: (percentiles != Percentiles::default()).then_some(percentiles),
        })
    }
}

impl Job<'_> {
    /// The command that draws the whole population.
    fn reproduce(&self) -> String {
        let arguments = self.arguments;
        let mut command = format!(
            "crossburn evaluate {} --data {}",
            arguments.checkpoint.display(),
            self.source,
        );
        match &arguments.hardware {
            None => {
                let (noise, sigma) = (&arguments.noise, arguments.sigma);
                command.push_str(&format!(" --noise {noise} --sigma {sigma}"));
            }
            Some(hardware) => {
                let fidelity = arguments.fidelity;
                command.push_str(&format!(" --hardware {hardware} --fidelity {fidelity}"));
                if !arguments.cell.is_empty() {
                    command.push_str(&format!(" --cell {}", arguments.cell.join(",")));
                }
                if !arguments.digital.is_empty() {
                    command.push_str(&format!(" --digital {}", arguments.digital.join(",")));
                }
                if arguments.calibration != CALIBRATION_IMAGES {
                    command.push_str(&format!(" --calibration {}", arguments.calibration));
                }
                if let Some(after) = arguments.after {
                    command.push_str(&format!(" --after \"{after}\""));
                }
            }
        }
        command.push_str(&format!(
            " --chips {} --seed {}",
            arguments.chips, arguments.seed
        ));
        for (flag, value) in [("--censor", arguments.censor), ("--ratio", arguments.ratio)] {
            if let Some(value) = value {
                command.push_str(&format!(" {flag} {value}"));
            }
        }
        if let Some(k) = arguments.kpp {
            command.push_str(&format!(" --kpp {k}"));
        }
        if let Some(half_width) = arguments.half_width {
            command.push_str(&format!(" --half-width {half_width}"));
        }
        if arguments.race {
            command.push_str(" --race");
            if arguments.delta != DELTA {
                command.push_str(&format!(" --delta {}", arguments.delta));
            }
        }
        if !arguments.rare.is_empty() {
            let percentages: Vec<String> = arguments.rare.iter().map(ToString::to_string).collect();
            let (percentages, chips) = (percentages.join(","), arguments.rare_chips);
            command.push_str(&format!(" --rare {percentages} --rare-chips {chips}"));
        }
        if let Some(images) = arguments.images {
            command.push_str(&format!(" --images {images}"));
        }
        if !arguments.sweep.is_empty() {
            let values: Vec<String> = arguments.sweep.iter().map(ToString::to_string).collect();
            command.push_str(&format!(
                " --sweep {} --sweep-chips {}",
                values.join(","),
                arguments.sweep_chips
            ));
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_cut_a_population_into_contiguous_parts() {
        for of in 1..7 {
            let parts: Vec<_> = (1..=of)
                .map(|index| Shard { index, of }.range(100))
                .collect();
            assert_eq!((parts[0].start, parts[parts.len() - 1].end), (0, 100));
            assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
        }
        assert!(
            "0/4".parse::<Shard>().is_err()
                && "5/4".parse::<Shard>().is_err()
                && "1".parse::<Shard>().is_err()
        );
    }
}
