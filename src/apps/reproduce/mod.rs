//! The acceptance experiments of the papers: every way of training, several seeds, judged alike.
//!
//! A cell is one training and its judgement; finished cells are kept, so an interrupted experiment goes on where it was.

mod kpp;
mod worst_case;

pub(crate) use kpp::Kpp;
pub(crate) use worst_case::WorstCasePaper;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use burn::tensor::Device;
use crossburn_hardware::{Quantization, WeightBits};
use crossburn_models::{Classifier, ConvNetConfig, LeNetConfig, ModelConfig, WithClassifier};
use crossburn_noise::{Variation, mean_interval};
use crossburn_training::data::{DataSource, ImageSet};
use crossburn_training::{
    Batches, DataConfig, Deployment, Method, Recipe, Run, TrainingConfig, train,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::kept_file::{KeptFile, Work};
use super::study::{self, CONFIDENCE, Clock, StudyObserver};
use crate::report::{Claim, REPRODUCTION_SCHEMA, Reproduction, ReproductionRow};

/// Name of the file of finished cells in a run folder.
const CELLS_FILE: &str = "cells.json";

/// The way of training that budgets are relative to.
const PLAIN: &str = "none";

/// What an experiment trains, and on what.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Setting {
    /// The network.
    pub(crate) model: ModelConfig,
    /// The images.
    pub(crate) data: DataConfig,
    /// The training, the same for every row.
    pub(crate) training: TrainingConfig,
    /// Seeds of data, weights and training.
    pub(crate) seeds: u64,
    /// Chips, or random deviations, per judgement.
    pub(crate) chips: u64,
}

impl Setting {
    /// LeNet with 4 bits on digits or MNIST, ConvNet with 6 bits on CIFAR-10; `quick` is a tenth of the work, to see that
    /// everything runs.
    pub(crate) fn new(source: DataSource, seeds: u64, quick: bool) -> Result<Self> {
        let colour = matches!(source, DataSource::Cifar10(_));
        let model = match colour {
            true => ModelConfig::ConvNet(ConvNetConfig {
                width: 64,
                bits: Some(WeightBits::new(6)?),
            }),
            false => ModelConfig::LeNet(LeNetConfig {
                bits: Some(WeightBits::new(4)?),
                ..LeNetConfig::default()
            }),
        };
        let (train, validation, test, epochs) = match (&source, quick) {
            (_, true) => (600, 100, 100, 2),
            (DataSource::Digits, _) => (4000, 500, 500, 10),
            (DataSource::Mnist(_), _) => (9000, 1000, 1000, 10),
            (DataSource::Cifar10(_), _) => (50_000, 1000, 1000, 60),
        };
        Ok(Self {
            model,
            data: DataConfig {
                source,
                train: Some(train),
                validation,
                test: Some(test),
            },
            training: TrainingConfig {
                epochs,
                batch: if colour { 128 } else { 64 },
                ..TrainingConfig::default()
            },
            seeds,
            chips: if quick { 60 } else { 1000 },
        })
    }
}

/// One way of training.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Arm {
    /// Its name in tables.
    pub(crate) name: String,
    /// Arms of one family differ in a strength that validation chooses.
    pub(crate) family: &'static str,
    /// Training noise.
    pub(crate) noise: Variation,
    /// Method.
    pub(crate) method: Method,
    /// What is programmed.
    pub(crate) deployment: Deployment,
}

impl Arm {
    fn new(name: impl Into<String>, family: &'static str, noise: Variation) -> Self {
        Self {
            name: name.into(),
            family,
            noise,
            method: Method::default(),
            deployment: Deployment::AsTrained,
        }
    }

    fn by(self, method: Method) -> Self {
        Self { method, ..self }
    }

    fn folded(self) -> Self {
        Self {
            deployment: Deployment::MeanFolded,
            ..self
        }
    }
}

/// What one training came to: numbers by name, fractions but for the budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cell {
    /// Images forward and backward.
    backward: u64,
    numbers: BTreeMap<String, f64>,
}

/// A trained network and what to judge it on.
pub(crate) struct Scene<'a, C> {
    pub(crate) network: &'a C,
    pub(crate) quantization: Option<Quantization>,
    pub(crate) validation: Batches,
    pub(crate) test: Batches,
    /// Chips per judgement.
    pub(crate) chips: u64,
    /// Hears of every finished chip.
    pub(crate) on_chip: &'a (dyn Fn() + Sync),
    pub(crate) stop: &'a AtomicBool,
}

/// The experiment of one paper.
pub(crate) trait Experiment: Serialize {
    /// Name on the command line.
    const NAME: &'static str;
    /// Names of the numbers that its table shows.
    fn columns(&self) -> Vec<String>;
    /// Ways of training; the first is [`PLAIN`].
    fn arms(&self) -> Vec<Arm>;
    /// Chips that a judgement takes, for a progress bar.
    fn judged_chips(&self, arm: &Arm, chips: u64) -> u64;
    /// Judges one network: `None` where it was stopped.
    fn judge<C: Classifier>(
        &self,
        arm: &Arm,
        scene: &Scene<'_, C>,
    ) -> Result<Option<BTreeMap<String, f64>>>;
    /// The paper's claims on all cells.
    fn claims(&self, cells: &Cells) -> Result<Vec<Claim>>;
}

/// All cells of an experiment: arm → one per seed.
pub(crate) struct Cells {
    arms: Vec<Arm>,
    cells: BTreeMap<String, Vec<Cell>>,
}

impl Cells {
    /// One number of `arm`, per seed, in per cent.
    fn of(&self, arm: &str, number: &str) -> Vec<f64> {
        let cells = self.cells.get(arm).map(Vec::as_slice).unwrap_or_default();
        let value = |cell: &Cell| 100.0 * cell.numbers.get(number).copied().unwrap_or(f64::NAN);
        cells.iter().map(value).collect()
    }

    /// The same of the arm of `family` that has the highest `chosen_by`, seed by seed: its name never shows.
    fn tuned(&self, family: &str, chosen_by: &str, number: &str) -> Vec<f64> {
        let arms = self.arms.iter().filter(|arm| arm.family == family);
        let rows: Vec<(Vec<f64>, Vec<f64>)> = arms
            .map(|arm| (self.of(&arm.name, chosen_by), self.of(&arm.name, number)))
            .collect();
        let seeds = rows.first().map_or(0, |(chosen, _)| chosen.len());
        (0..seeds)
            .map(|seed| {
                let mut best = (f64::NEG_INFINITY, f64::NAN);
                for (chosen, number) in &rows {
                    if chosen[seed] > best.0 {
                        best = (chosen[seed], number[seed]);
                    }
                }
                best.1
            })
            .collect()
    }

    /// Images forward and backward of `arm` relative to a training without noise, mean over seeds.
    fn budget(&self, arm: &str) -> f64 {
        let sum = |arm: &str| -> f64 {
            let cells = self.cells.get(arm).map(Vec::as_slice).unwrap_or_default();
            cells.iter().map(|cell| cell.backward as f64).sum()
        };
        sum(arm) / sum(PLAIN)
    }
}

/// A claim on the mean of `measured`, one value per seed.
fn claim(
    what: impl Into<String>,
    expected: impl Into<String>,
    measured: Vec<f64>,
    holds: impl Fn(f64) -> bool,
) -> Result<Claim> {
    let mean = measured.iter().sum::<f64>() / measured.len().max(1) as f64;
    let interval = match measured.len() {
        0 | 1 => None,
        _ => {
            let interval = mean_interval(&measured, CONFIDENCE)?;
            Some([interval.low, interval.high])
        }
    };
    Ok(Claim {
        what: what.into(),
        expected: expected.into(),
        holds: holds(mean),
        measured,
        mean,
        interval,
    })
}

fn differences(left: &[f64], right: &[f64]) -> Vec<f64> {
    left.iter().zip(right).map(|(a, b)| a - b).collect()
}

/// Where an experiment runs.
pub(crate) struct Place<'a> {
    pub(crate) folder: &'a Path,
    /// Go on with the finished cells of that folder.
    pub(crate) resume: bool,
    pub(crate) device: &'a Device,
    pub(crate) stop: &'a AtomicBool,
}

/// Runs an experiment; `None` where it was stopped, with its finished cells kept.
///
/// # Errors
/// Data that cannot be read, a training that diverges, finished cells of other settings.
pub(crate) fn run<E: Experiment>(
    experiment: &E,
    setting: &Setting,
    place: &Place<'_>,
    observer: &impl StudyObserver,
) -> Result<Option<Reproduction>> {
    let mut clock = Clock::new();
    let config = json!({
        "experiment": study::json(experiment)?,
        "setting": study::json(setting)?,
        "arms": study::json(&experiment.arms())?,
    });
    let path = place.folder.join(CELLS_FILE);
    let mut store = Store::open(path, config.clone(), place.resume)?;
    let arms = experiment.arms();
    for seed in 1..=setting.seeds {
        let missing: Vec<&Arm> = arms
            .iter()
            .filter(|arm| !store.has(seed, &arm.name))
            .collect();
        if missing.is_empty() {
            continue;
        }
        let data = clock.time("data", || {
            let data = &setting.data;
            data.source.load(seed, data.train, data.test)
        })?;
        setting.model.check(data.train.shape)?;
        let (learn, validation) = data
            .train
            .split_at(data.train.len().saturating_sub(setting.data.validation));
        for arm in missing {
            let name = format!("{}, seed {seed}", arm.name);
            let job = Job {
                experiment,
                arm,
                recipe: Recipe {
                    seed,
                    model: setting.model.clone(),
                    data: setting.data.clone(),
                    training: TrainingConfig {
                        deployment: arm.deployment,
                        ..setting.training.clone()
                    },
                    method: arm.method.clone(),
                    noise: arm.noise,
                },
                sets: [&learn, &validation, &data.test],
                chips: setting.chips,
                device: place.device,
                stop: place.stop,
                observer,
                name,
            };
            let device = place.device.clone().autodiff();
            let cell = clock.time("cells", || setting.model.build(seed, &device, job))?;
            match cell {
                Some(cell) => store.keep(seed, &arm.name, cell)?,
                None => return Ok(None),
            }
        }
    }
    let cells = Cells {
        cells: store.by_arm(setting.seeds, &arms)?,
        arms,
    };
    let columns = experiment.columns();
    let rows = cells.arms.iter().map(|arm| ReproductionRow {
        name: arm.name.clone(),
        budget: cells.budget(&arm.name),
        accuracy: columns
            .iter()
            .map(|column| {
                let values = cells.of(&arm.name, column);
                values.into_iter().map(|value| value / 100.0).collect()
            })
            .collect(),
    });
    let (version, commit) = study::version();
    Ok(Some(Reproduction {
        schema: REPRODUCTION_SCHEMA.to_string(),
        version,
        commit,
        reproduce: String::new(),
        config,
        paper: E::NAME.to_string(),
        data: format!(
            "{}: {} training, {} validation, {} test images",
            setting.data.source,
            setting.data.train.unwrap_or_default() - setting.data.validation,
            setting.data.validation,
            setting.data.test.unwrap_or_default()
        ),
        seeds: (1..=setting.seeds).collect(),
        rows: rows.collect(),
        columns,
        claims: experiment.claims(&cells)?,
        timing: clock.timing(),
    }))
}

/// One cell.
struct Job<'a, E, O> {
    experiment: &'a E,
    arm: &'a Arm,
    recipe: Recipe,
    /// To learn from, to choose by, to judge on.
    sets: [&'a ImageSet; 3],
    chips: u64,
    device: &'a Device,
    stop: &'a AtomicBool,
    observer: &'a O,
    name: String,
}

impl<E: Experiment, O: StudyObserver> WithClassifier for Job<'_, E, O> {
    type Output = Result<Option<Cell>>;

    fn run<C: Classifier>(self, network: C) -> Self::Output {
        let [learn, validation, test] = self.sets;
        let device = self.device.clone().autodiff();
        let run = Run {
            train: learn,
            validation,
            device: &device,
            state: None,
            resume: false,
        };
        let mut follower = self.observer.training(&self.name);
        let trained = train(network, &self.recipe, &run, &mut follower)
            .with_context(|| format!("cannot train `{}`", self.name))?;
        drop(follower);
        if trained.interrupted || self.stop.load(Ordering::SeqCst) {
            return Ok(None);
        }
        let chips = self.experiment.judged_chips(self.arm, self.chips);
        let on_chip = self.observer.chips(&self.name, chips);
        let scene = Scene {
            network: &trained.network,
            quantization: self.recipe.model.quantization(),
            validation: Batches::new(validation, 128, self.device),
            test: Batches::new(test, 128, self.device),
            chips: self.chips,
            on_chip: &*on_chip,
            stop: self.stop,
        };
        let numbers = self.experiment.judge(self.arm, &scene)?;
        Ok(numbers.map(|numbers| Cell {
            backward: trained.passes.backward,
            numbers,
        }))
    }
}

/// Finished cells, in a file.
struct Store {
    file: KeptFile,
    /// Seed → arm → cell.
    cells: BTreeMap<u64, BTreeMap<String, Cell>>,
}

const CELLS: Work = Work {
    key: "cells",
    is: "a file of finished cells",
    holds: "cells",
    settings: "",
};

impl Store {
    fn open(path: PathBuf, of: Value, resume: bool) -> Result<Self> {
        let file = KeptFile::new(path, of, CELLS);
        Ok(Self {
            cells: file.read(resume)?.unwrap_or_default(),
            file,
        })
    }

    fn has(&self, seed: u64, arm: &str) -> bool {
        let of_seed = self.cells.get(&seed);
        of_seed.is_some_and(|cells| cells.contains_key(arm))
    }

    fn keep(&mut self, seed: u64, arm: &str, cell: Cell) -> Result<()> {
        let of_seed = self.cells.entry(seed).or_default();
        of_seed.insert(arm.to_string(), cell);
        self.file.write(&self.cells)
    }

    fn by_arm(&self, seeds: u64, arms: &[Arm]) -> Result<BTreeMap<String, Vec<Cell>>> {
        arms.iter()
            .map(|arm| {
                let cells = (1..=seeds).map(|seed| {
                    let cell = self.cells.get(&seed).and_then(|of| of.get(&arm.name));
                    cell.cloned()
                        .with_context(|| format!("seed {seed} of `{}` is missing", arm.name))
                });
                Ok((arm.name.clone(), cells.collect::<Result<_>>()?))
            })
            .collect()
    }
}
