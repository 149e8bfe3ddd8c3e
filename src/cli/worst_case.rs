//! `crossburn worst-case`

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use clap::Args;
use crossburn_checkpoints::{Manifest, load_checkpoint, save_checkpoint};
use crossburn_hardware::Quantization;
use crossburn_hardware::deploy::{Fidelity, Hardware, MappedNetwork};
use crossburn_models::{Classifier, WithClassifier};
use crossburn_noise::Population;
use crossburn_noise::worst_case::{
    Corners, DeviationBounds, Lagrangian, MonteCarlo, Search, SignGradient, SingleStep, WorstCase,
};
use crossburn_training::data::{DataSource, ImageSet};
use crossburn_training::{
    AttackActivations, AttackLoss, Batches, Evaluation, Recipe, WeightAttack, accuracy,
};
use indicatif::MultiProgress;
use serde_json::{Value, json};

use super::device::DeviceChoice;
use super::progress::bar;
use super::stored_network::StoredNetwork;
use super::{Outcome, interrupt, note, print, print_worst_case};
use crate::apps::hardware::{CALIBRATION_IMAGES, NamedHardware, calibration, open_hardware};
use crate::apps::study::{self, Clock};
use crate::apps::worst_case::Searched;
use crate::report::{
    BoundPoint, RandomChips, SearchSummary, Transfer, TransferFrom, WORST_CASE_SCHEMA,
    WorstCaseHardware, WorstCaseResults, write_worst_case,
};

/// Search the worst chip within a bound of deviation
///
/// Write-verify keeps every weight near its target. The search looks for the joint deviation within that bound that hurts
/// accuracy most, one for all test images. What it finds is written as a checkpoint, OUT/worst-chip, which `crossburn
/// evaluate OUT/worst-chip --noise none` replays. Ctrl-C keeps the state of the search; --resume goes on.
///
/// One loss alone flatters a training that hides its gradient: search with both, --loss margin and --loss cross-entropy.
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
    /// Surrogate of the accuracy: margin or cross-entropy
    #[arg(long, value_name = "LOSS", default_value = "margin")]
    loss: Loss,
    /// Steps from zero to the bound; draws of the random methods
    #[arg(long, value_name = "N", default_value_t = 20)]
    steps: usize,
    /// How many times that many steps --method sign takes at most
    #[arg(long, value_name = "N", default_value_t = 2)]
    expand: usize,
    /// Starting points: the clean weights, and random ones after them
    #[arg(long, value_name = "N", default_value_t = 1)]
    restarts: usize,
    /// Also search with gradients through activations in full precision
    #[arg(long)]
    unquantized_activations: bool,
    /// Random chips within the bound, beside the search
    #[arg(long, value_name = "N", default_value_t = 200)]
    random_chips: usize,
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

/// A search by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Sign,
    Lagrangian,
    SingleStep,
    Corners,
    MonteCarlo,
}

impl FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sign" => Ok(Self::Sign),
            "lagrangian" => Ok(Self::Lagrangian),
            "single-step" => Ok(Self::SingleStep),
            "corners" => Ok(Self::Corners),
            "monte-carlo" => Ok(Self::MonteCarlo),
            _ => Err("use sign, lagrangian, single-step, corners or monte-carlo".to_string()),
        }
    }
}

/// A surrogate loss by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    Margin,
    CrossEntropy,
}

impl FromStr for Loss {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "margin" => Ok(Self::Margin),
            "cross-entropy" => Ok(Self::CrossEntropy),
            _ => Err("use margin or cross-entropy".to_string()),
        }
    }
}

/// What deviates, and how far.
enum Room {
    /// Weights, within bounds in increasing order.
    Weights(Vec<f64>),
    /// Cells.
    Cells {
        name: String,
        hardware: Box<Hardware>,
        tolerance: f64,
    },
}

impl Room {
    fn describe(&self) -> Result<Value> {
        match self {
            Self::Weights(bounds) => Ok(json!({ "kind": "weights", "bounds": bounds })),
            Self::Cells {
                name,
                hardware,
                tolerance,
            } => Ok(json!({
                "kind": "cells",
                "name": name,
                "tolerance": tolerance,
                "hardware": study::json(hardware.config())?,
            })),
        }
    }
}

impl FindWorstCase {
    pub(super) fn run(self) -> Result<Outcome> {
        if self.images == Some(0) {
            bail!("--images 0 leaves nothing to search on: use a number above 0");
        }
        let room = self.room()?;
        let search = self.search().check()?;
        let stored = StoredNetwork::open(&self.checkpoint)?;
        let quantization = stored.quantization();
        let StoredNetwork {
            folder,
            manifest,
            model,
            recipe,
        } = stored;
        let source = self
            .data
            .clone()
            .unwrap_or_else(|| recipe.data.source.clone());
        let config = json!({
            "architecture": manifest.architecture,
            "weights": manifest.weights_checksum(),
            "data": source.to_string(),
            "images": self.images.or(recipe.data.test),
            "data_seed": recipe.seed,
            "room": room.describe()?,
            "search": search,
            "loss": self.loss(),
            "unquantized_activations": self.unquantized_activations,
            "random_chips": self.random_chips,
            "seed": self.seed,
        });
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
            .unwrap_or_else(|| PathBuf::from("runs").join(format!("worst-case-{name}")));
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
            manifest,
            quantization,
            recipe,
            source,
            room,
            search,
            config,
            out,
            device: &device,
            stop,
            bars: MultiProgress::new(),
        };
        model.build(seed, &device, job)
    }

    fn room(&self) -> Result<Room> {
        let Some(hardware) = &self.hardware else {
            let mut bounds = self.bounds.clone();
            bounds.push(self.bound);
            if let Some(bound) = bounds.iter().find(|b| !(**b > 0.0 && **b <= 1.0)) {
                bail!(
                    "--bound {bound} is not allowed: use a fraction of the largest weight of a layer above 0, up to 1"
                );
            }
            bounds.sort_by(f64::total_cmp);
            bounds.dedup();
            return Ok(Room::Weights(bounds));
        };
        let NamedHardware { name, hardware } = open_hardware(hardware)?;
        let hardware = hardware.with_digital(&self.digital)?;
        let verified = hardware.config().programming.as_ref();
        let Some(tolerance) = self
            .tolerance
            .or_else(|| verified.map(|verify| verify.tolerance()))
        else {
            bail!("{name} has no [programming] with a tolerance: give --tolerance, such as 0.03");
        };
        if !(tolerance > 0.0 && tolerance <= 1.0) {
            bail!(
                "--tolerance {tolerance} is not allowed: use a fraction of the conductance range above 0, up to 1"
            );
        }
        Ok(Room::Cells {
            name,
            hardware: Box::new(hardware),
            tolerance,
        })
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

    fn loss(&self) -> AttackLoss {
        match self.loss {
            Loss::Margin => AttackLoss::default(),
            Loss::CrossEntropy => AttackLoss::CrossEntropy {},
        }
    }
}

struct Job<'a> {
    arguments: &'a FindWorstCase,
    folder: PathBuf,
    manifest: Manifest,
    quantization: Option<Quantization>,
    recipe: Recipe,
    source: DataSource,
    room: Room,
    search: Search,
    config: Value,
    out: PathBuf,
    device: &'a Device,
    stop: Arc<AtomicBool>,
    bars: MultiProgress,
}

/// What was found within all bounds up to that of the run.
struct Found {
    searches: Vec<SearchSummary>,
    curve: Vec<BoundPoint>,
    /// The worst of them.
    worst: WorstCase,
}

impl WithClassifier for Job<'_> {
    type Output = Result<Outcome>;

    fn run<C: Classifier>(self, network: C) -> Result<Outcome> {
        let (network, _) = load_checkpoint(&self.folder, network)?;
        let mut clock = Clock::new();
        let Images {
            training,
            known,
            other,
            from,
        } = clock.time("data", || self.images())?;
        let batches = Batches::new(&known, 128, self.device);
        let results = match &self.room {
            Room::Weights(bounds) => {
                let attack = WeightAttack::new(&network, self.quantization, batches)?;
                self.judge(attack, bounds, None, (&other, from), &mut clock)?
            }
            Room::Cells {
                hardware,
                tolerance,
                ..
            } => {
                let evaluation = Evaluation::new(&network, self.quantization, batches.clone());
                let calibration = calibration(&training, CALIBRATION_IMAGES, self.device);
                let mapped = clock.time("mapping", || {
                    evaluation.mapped(hardware, Fidelity::Weight, &calibration)
                })?;
                let ideal = mapped.fab(Fidelity::Weight)?.ideal()?;
                let attack = WeightAttack::new(&ideal, None, batches)?;
                let bounds = [*tolerance];
                self.judge(attack, &bounds, Some(&mapped), (&other, from), &mut clock)?
            }
        };
        let Some(results) = results else {
            note("the state of the search is kept: run the same command with --resume");
            return Ok(Outcome::Interrupted);
        };
        let results = WorstCaseResults {
            timing: clock.timing(),
            ..results
        };
        write_worst_case(&self.out, &results)?;
        print_worst_case(&results, self.arguments.json)?;
        note(&format!(
            "report: {}; replay: crossburn evaluate {} --noise none --chips 1",
            self.out.join("report.html").display(),
            self.out.join("worst-chip").display(),
        ));
        Ok(Outcome::Done)
    }
}

/// The images of a run.
struct Images {
    training: ImageSet,
    /// What the search knows.
    known: ImageSet,
    /// What it does not.
    other: ImageSet,
    from: TransferFrom,
}

impl Job<'_> {
    /// Test images that were not asked for show whether the deviation transfers; where none are left, training images do.
    fn images(&self) -> Result<Images> {
        let data = &self.recipe.data;
        let wanted = self.arguments.images.or(data.test);
        let test = match (wanted, data.test) {
            (Some(wanted), Some(test)) => Some(wanted.max(test)),
            (wanted, _) => wanted,
        };
        let split = self.source.load(self.recipe.seed, data.train, test)?;
        self.recipe.model.check(split.test.shape)?;
        let (known, rest) = split.test.split_at(wanted.unwrap_or(split.test.len()));
        let (other, from) = match rest.is_empty() {
            false => (rest, TransferFrom::Test),
            true => (split.train.split_at(known.len()).0, TransferFrom::Training),
        };
        Ok(Images {
            training: split.train,
            known,
            other,
            from,
        })
    }

    /// Everything about one network; `None` where it was interrupted.
    fn judge<C: Classifier>(
        &self,
        attack: WeightAttack<C>,
        bounds: &[f64],
        mapped: Option<&MappedNetwork<C>>,
        (other, from): (&ImageSet, TransferFrom),
        clock: &mut Clock,
    ) -> Result<Option<WorstCaseResults>> {
        let arguments = self.arguments;
        let attack = attack.with_loss(arguments.loss());
        let boxes = bounds
            .iter()
            .map(|bound| self.boxes(&attack, mapped, *bound))
            .collect::<Result<Vec<_>>>()?;
        let own = match self.room {
            Room::Weights(_) => arguments.bound,
            Room::Cells { tolerance, .. } => tolerance,
        };
        let named: Vec<(f64, &DeviationBounds)> = bounds.iter().copied().zip(&boxes).collect();
        let Some((attack, found)) = clock.time("search", || self.search(attack, &named, own))?
        else {
            return Ok(None);
        };
        let Some((_, own_box)) = named.iter().find(|(bound, _)| *bound == own) else {
            bail!("the bound {own} was not searched");
        };
        let random = match arguments.random_chips {
            0 => None,
            chips => match clock.time("random chips", || self.random(&attack, own_box, chips))? {
                Some(random) => Some(random),
                None => return Ok(None),
            },
        };
        let worst = &found.worst;
        let chip = attack.chip(&worst.deviations)?;
        let transfer = clock.time("transfer", || -> Result<Transfer> {
            let batches = Batches::new(other, 128, self.device);
            Ok(Transfer {
                from,
                images: other.len(),
                clean: accuracy(&attack.chip(&own_box.zero())?, &batches)?,
                accuracy: accuracy(&chip, &batches)?,
            })
        })?;
        let hardware = match (mapped, &self.room) {
            (Some(mapped), Room::Cells { name, .. }) => {
                let cells = mapped.cells_of(own, &worst.deviations)?;
                Some(WorstCaseHardware {
                    name: name.clone(),
                    device: mapped
                        .hardware()
                        .config()
                        .device
                        .config()
                        .kind()
                        .to_string(),
                    read_back: attack.accuracy(&mapped.with_cells(&cells)?)?,
                })
            }
            _ => None,
        };
        self.keep(&chip, worst, attack.images())?;
        let (version, commit) = study::version();
        Ok(Some(WorstCaseResults {
            schema: WORST_CASE_SCHEMA.to_string(),
            version,
            commit,
            reproduce: self.reproduce(),
            config: self.config.clone(),
            data: self.source.to_string(),
            images: attack.images(),
            search: self.search,
            loss: arguments.loss(),
            bound: own,
            hardware,
            clean: worst.clean,
            accuracy: worst.accuracy,
            fraction_at_bound: worst.fraction_at_bound,
            layers: worst.layers.clone(),
            searches: found.searches,
            curve: found.curve,
            random,
            transfer,
            timing: Clock::new().timing(),
        }))
    }

    fn boxes<C: Classifier>(
        &self,
        attack: &WeightAttack<C>,
        mapped: Option<&MappedNetwork<C>>,
        bound: f64,
    ) -> Result<DeviationBounds> {
        match mapped {
            Some(mapped) => Ok(mapped.deviation_bounds(bound)?),
            None => Ok(attack.bounds(bound)?),
        }
    }

    /// Searches within every bound, from the smallest: what is found there is admissible in the larger ones.
    fn search<C: Classifier>(
        &self,
        attack: WeightAttack<C>,
        bounds: &[(f64, &DeviationBounds)],
        own: f64,
    ) -> Result<Option<(WeightAttack<C>, Found)>> {
        let mut curve = Vec::new();
        let mut searches = Vec::new();
        let mut lowest: Option<WorstCase> = None;
        let mut worst = None;
        let mut attack = attack;
        for (bound, boxes) in bounds {
            let mut kinds = vec![AttackActivations::Quantized];
            if self.arguments.unquantized_activations && *bound == own {
                kinds.push(AttackActivations::Unquantized);
            }
            let mut point = BoundPoint {
                bound: *bound,
                accuracy: 1.0,
                searched: 1.0,
                evaluations: 0,
            };
            for activations in kinds {
                attack = attack.with_activations(activations);
                let Some(found) = self.one(&attack, *bound, boxes, activations)? else {
                    return Ok(None);
                };
                point.searched = point.searched.min(found.accuracy);
                point.evaluations += found.evaluations;
                if *bound == own {
                    searches.push(summary(&found, activations));
                }
                if lowest
                    .as_ref()
                    .is_none_or(|lowest| found.accuracy < lowest.accuracy)
                {
                    lowest = Some(found);
                }
            }
            attack = attack.with_activations(AttackActivations::Quantized);
            point.accuracy = lowest
                .as_ref()
                .map_or(point.searched, |lowest| lowest.accuracy);
            curve.push(point);
            if *bound == own {
                worst.clone_from(&lowest);
            }
        }
        let Some(worst) = worst else {
            bail!("the bound {own} was not searched");
        };
        let found = Found {
            searches,
            curve,
            worst,
        };
        Ok(Some((attack, found)))
    }

    /// One search; `None` where it was interrupted.
    fn one<C: Classifier>(
        &self,
        attack: &WeightAttack<C>,
        bound: f64,
        boxes: &DeviationBounds,
        activations: AttackActivations,
    ) -> Result<Option<WorstCase>> {
        let (stage, file) = match activations {
            AttackActivations::Quantized => {
                (format!("search in {bound}"), format!("bound-{bound}"))
            }
            AttackActivations::Unquantized => (
                "unquantized activations".to_string(),
                format!("bound-{bound}-unquantized"),
            ),
        };
        let total = self.search.most_evaluations();
        let progress = bar(&self.bars, &stage, total, "evaluation");
        let searched = Searched {
            search: &self.search,
            seed: self.arguments.seed,
            path: self.out.join("search").join(format!("{file}.json")),
            of: self.config.clone(),
            resume: self.arguments.resume,
            on_evaluation: &|state| {
                progress.set_message(format!("· accuracy {:.2} %", 100.0 * state.worst()));
                progress.set_position(state.evaluations);
            },
            stop: &self.stop,
        };
        let found = searched.run(attack, boxes);
        progress.finish_and_clear();
        found
    }

    /// Random chips within the bound.
    fn random<C: Classifier>(
        &self,
        attack: &WeightAttack<C>,
        boxes: &DeviationBounds,
        chips: usize,
    ) -> Result<Option<RandomChips>> {
        let progress = bar(&self.bars, "random chips", chips as u64, "chip");
        let searched = Searched {
            search: &Search::MonteCarlo(MonteCarlo { draws: chips }),
            seed: self.arguments.seed,
            path: self.out.join("search").join("random-chips.json"),
            of: self.config.clone(),
            resume: self.arguments.resume,
            on_evaluation: &|state| progress.set_position(state.evaluations - 1),
            stop: &self.stop,
        };
        let found = searched.run(attack, boxes)?;
        progress.finish_and_clear();
        Ok(found.map(|found| {
            let chips = found.path.iter().skip(1).map(|point| point.accuracy);
            let population = Population::new(self.arguments.seed, 0, chips.collect());
            RandomChips {
                chips: population.chips(),
                mean: population.mean(),
                std: population.std(),
                worst: population.worst_of_n(),
                accuracy: population.metric,
            }
        }))
    }

    /// Writes the chip as a checkpoint that is not quantized again, whose recipe names the images of the search.
    fn keep<C: Classifier>(&self, chip: &C, worst: &WorstCase, images: usize) -> Result<()> {
        let mut recipe = self.recipe.clone();
        recipe.data.source = self.source.clone();
        recipe.data.test = Some(images);
        let mut manifest = self.manifest.clone().with_programmed_weights();
        manifest.recipe = study::json(&recipe)?;
        let manifest = manifest
            .with_metric("clean", worst.clean)
            .with_metric("worst_case", worst.accuracy);
        let folder = self.out.join("worst-chip").join("checkpoint");
        Ok(save_checkpoint(&folder, chip, &manifest)?)
    }

    /// The command that repeats the run.
    fn reproduce(&self) -> String {
        let arguments = self.arguments;
        let mut command = format!(
            "crossburn worst-case {} --data {}",
            arguments.checkpoint.display(),
            self.source
        );
        match (&arguments.hardware, &self.room) {
            (Some(hardware), Room::Cells { tolerance, .. }) => {
                command.push_str(&format!(" --hardware {hardware} --tolerance {tolerance}"));
                if !arguments.digital.is_empty() {
                    command.push_str(&format!(" --digital {}", arguments.digital.join(",")));
                }
            }
            _ => {
                command.push_str(&format!(" --bound {}", arguments.bound));
                if !arguments.bounds.is_empty() {
                    let bounds: Vec<String> =
                        arguments.bounds.iter().map(ToString::to_string).collect();
                    command.push_str(&format!(" --bounds {}", bounds.join(",")));
                }
            }
        }
        command.push_str(&format!(" --method {}", self.search.name()));
        let loss = match arguments.loss {
            Loss::Margin => "margin",
            Loss::CrossEntropy => "cross-entropy",
        };
        command.push_str(&format!(
            " --loss {loss} --steps {} --expand {} --restarts {}",
            arguments.steps, arguments.expand, arguments.restarts
        ));
        if arguments.unquantized_activations {
            command.push_str(" --unquantized-activations");
        }
        if let Some(images) = arguments.images {
            command.push_str(&format!(" --images {images}"));
        }
        command.push_str(&format!(
            " --random-chips {} --seed {}",
            arguments.random_chips, arguments.seed
        ));
        command
    }
}

fn summary(found: &WorstCase, activations: AttackActivations) -> SearchSummary {
    SearchSummary {
        activations,
        accuracy: found.accuracy,
        loss: found.loss,
        restart: found.found.0,
        iteration: found.found.1,
        evaluations: found.evaluations,
        gradients: found.gradients,
        path: found.path.clone(),
    }
}
