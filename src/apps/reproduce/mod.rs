//! The acceptance experiments of the papers: every way of training, several seeds, judged alike.
//!
//! A cell is one training and its judgement; finished cells are kept, so an interrupted experiment goes on where it was.

mod cells;
mod claim;
mod kpp;
mod setting;
mod worst_case;

pub(crate) use kpp::Kpp;
pub(crate) use setting::{Extent, Setting};
pub(crate) use worst_case::WorstCasePaper;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use burn::tensor::Device;
use crossburn_hardware::WeightPlan;
use crossburn_models::Network;
use crossburn_training::{
    Batches, Learn, Part, Recipe, Role, Run, Task, TaskParts, WithTask, train,
};
use serde::Serialize;
use serde_json::json;

use self::cells::{Cell, Cells, PLAIN, Store};
use self::claim::{Expected, claim, differences};
use self::setting::Arm;
use super::lanes::in_lanes;
use super::study::{self, Clock, StudyObserver};
use crate::report::{Claim, Document, Reproduction, ReproductionRow};

/// A trained network and what to judge it on.
pub(crate) struct Scene<'a, N, T: Task> {
    pub(crate) network: &'a N,
    pub(crate) weights: WeightPlan,
    pub(crate) validation: Batches<T>,
    pub(crate) test: Batches<T>,
    /// Chips per judgement.
    pub(crate) chips: u64,
    /// Hears of every finished chip.
    pub(crate) on_chip: &'a (dyn Fn() + Sync),
    pub(crate) stop: &'a AtomicBool,
}

/// The experiment of one paper.
pub(crate) trait Experiment: Serialize + Sync {
    /// Name on the command line.
    const NAME: &'static str;
    /// Names of the numbers that its table shows.
    fn columns(&self) -> Vec<String>;
    /// Ways of training; the first is [`PLAIN`].
    fn arms(&self) -> Vec<Arm>;
    /// Chips that a judgement takes, for a progress bar.
    fn judged_chips(&self, arm: &Arm, chips: u64) -> u64;
    /// Judges one network: `None` where it was stopped.
    fn judge<N: Network, T: Learn<N>>(
        &self,
        arm: &Arm,
        scene: &Scene<'_, N, T>,
    ) -> Result<Option<BTreeMap<String, f64>>>;
    /// The paper's claims on all cells.
    fn claims(&self, cells: &Cells) -> Result<Vec<Claim>>;
}

/// Where an experiment runs.
pub(crate) struct Place<'a> {
    pub(crate) folder: &'a Path,
    /// Go on with the finished cells of that folder.
    pub(crate) resume: bool,
    pub(crate) device: &'a Device,
    /// Trainings at a time.
    pub(crate) lanes: usize,
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
    let mut of = config.clone();
    // More seeds are more of the same.
    of["setting"]["seeds"].take();
    let store = Mutex::new(Store::open(place.folder, of, place.resume)?);
    let store = || store.lock().unwrap_or_else(PoisonError::into_inner);
    let arms = experiment.arms();
    for seed in 1..=setting.seeds {
        let missing: Vec<&Arm> = arms
            .iter()
            .filter(|arm| !store().has(seed, &arm.name))
            .collect();
        if missing.is_empty() {
            continue;
        }
        let train_and_judge = |arm: &&Arm| {
            let job = CellJob {
                experiment,
                arm,
                recipe: arm.recipe(setting, seed),
                chips: setting.chips,
                device: place.device,
                stop: place.stop,
                observer,
                name: format!("{}, seed {seed}", arm.name),
            };
            let device = place.device.clone().autodiff();
            let recipe = job.recipe.clone();
            match recipe.build(&device, job)?? {
                Some(cell) => store().keep(seed, &arm.name, cell),
                None => Ok(()),
            }
        };
        clock.time("cells", || {
            in_lanes(place.lanes, place.stop, &missing, train_and_judge)
        })?;
        if place.stop.load(Ordering::SeqCst) {
            break;
        }
    }
    let Some(cells) = store().all(setting.seeds, arms) else {
        return Ok(None);
    };
    let columns = experiment.columns();
    let rows = cells.arms.iter().map(|arm| ReproductionRow {
        name: arm.name.clone(),
        budget: cells.budget(&arm.name),
        values: columns
            .iter()
            .map(|column| {
                let values = cells.of(&arm.name, column);
                values.into_iter().map(|value| value / 100.0).collect()
            })
            .collect(),
    });
    let (version, commit) = study::version();
    Ok(Some(Reproduction {
        schema: Reproduction::SCHEMA.to_string(),
        version,
        commit,
        reproduce: String::new(),
        config,
        paper: E::NAME.to_string(),
        data: format!(
            "{}: {} training, {} validation, {} test items",
            setting.data.source,
            setting.data.train.unwrap_or_default() - setting.data.validation,
            setting.data.validation,
            setting.data.test.unwrap_or_default()
        ),
        metric: setting.task().metric(),
        seeds: (1..=setting.seeds).collect(),
        rows: rows.collect(),
        columns,
        claims: experiment.claims(&cells)?,
        timing: clock.timing(),
    }))
}

/// One cell.
struct CellJob<'a, E, O> {
    experiment: &'a E,
    arm: &'a Arm,
    recipe: Recipe,
    chips: u64,
    device: &'a Device,
    stop: &'a AtomicBool,
    observer: &'a O,
    name: String,
}

impl<E: Experiment, O: StudyObserver> WithTask for CellJob<'_, E, O> {
    type Output = Result<Option<Cell>>;

    fn run<N: Network, P: TaskParts<N>>(self, network: N, parts: P) -> Self::Output {
        let Recipe { seed, data, .. } = &self.recipe;
        let load = |of, amount: Option<usize>| parts.load(&data.source, *seed, of, amount.into());
        let training = load((Part::Training, Role::Learn), data.train)?;
        let test = load((Part::Test, Role::Judge), data.test)?;
        let (learn, validation) =
            training.hold_back(training.items().saturating_sub(data.validation));
        let device = self.device.clone().autodiff();
        let run = Run {
            train: &learn,
            validation: &validation,
            device: &device,
            state: None,
            resume: false,
        };
        let mut follower = self.observer.training(&self.name);
        let weights = self.recipe.weights::<N>();
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
            weights,
            validation: Batches::new(&validation, 128, self.device)?,
            test: Batches::new(&test, 128, self.device)?,
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
