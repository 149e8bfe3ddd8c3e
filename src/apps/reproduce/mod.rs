//! The acceptance experiments of the papers: several ways of training, several seeds, all judged in the same way.
//!
//! A cell is one training and its results. Finished cells are kept, so that an interrupted experiment can resume.

mod analog_nas;
mod cells;
pub(crate) mod claim;
mod ecg;
mod edge_llm;
mod fl_nas;
mod frcsyn;
mod kpp;
mod lcda;
mod mri;
mod noise_study;
mod nvcim_pt;
mod registry;
mod rocr;
mod setting;
mod worst_case;

pub(crate) use registry::{Asked, Entry, OwnOption, Repeat, papers};
pub(crate) use setting::Extent;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use burn::tensor::Device;
use crossburn_noise::path_hash;
use serde::Serialize;
use serde_json::{Value, json};

use self::cells::{ArmName, Cell, Cells, Store};
use super::lanes::in_lanes;
use super::study::{self, Clock, StudyObserver};
use crate::report::{
    Claim, Document, Reproduction, ReproductionColumn, ReproductionConfusion, ReproductionCurve,
    ReproductionRow,
};

/// The usual number of seeds.
const USUAL_SEEDS: u64 = 3;

/// An experiment of a paper.
pub(crate) trait Experiment: Sync {
    /// One way of training.
    type Arm: Arm;

    /// The settings that its numbers depend on, besides the arms and the number of seeds.
    fn config(&self) -> Result<Value>;
    /// The number of seeds if none is asked for.
    fn usual_seeds(&self) -> u64 {
        USUAL_SEEDS
    }
    /// The source of its items, in words.
    fn data(&self) -> String;
    /// The columns of its table.
    fn columns(&self) -> Vec<ReproductionColumn>;
    /// The ways of training. Budgets are relative to the first.
    fn arms(&self) -> Vec<Self::Arm>;
    /// Trains and judges one arm with one seed; `None` if it was stopped.
    fn cell(
        &self,
        arm: &Self::Arm,
        seed: u64,
        place: &Place<'_>,
        observer: &impl StudyObserver,
    ) -> Result<Option<Cell>>;
    /// The claims of the paper, measured on all cells.
    fn claims(&self, cells: &Cells) -> Result<Vec<Claim>>;
    /// Lines to draw: numbers of some arms against a quantity.
    fn curves(&self, _cells: &Cells) -> Vec<ReproductionCurve> {
        Vec::new()
    }
    /// A table of labels and decisions, for one arm.
    fn confusion(&self, _cells: &Cells) -> Option<ReproductionConfusion> {
        None
    }
}

/// One way of training.
pub(crate) trait Arm: Serialize + Sync {
    /// Its name in tables.
    fn name(&self) -> &str;
    /// The family of the arm. Within a family, validation chooses among strengths.
    fn family(&self) -> &str;
    /// Whether it starts from the network that another arm has trained with the same seed. That arm must not start from another one.
    fn starts_from_another(&self) -> bool {
        false
    }
}

/// Where an experiment runs.
pub(crate) struct Place<'a> {
    /// Name of the paper.
    pub(crate) paper: &'a str,
    pub(crate) folder: &'a Path,
    /// Whether to continue with the finished cells in the folder.
    pub(crate) resume: bool,
    pub(crate) device: &'a Device,
    /// Number of trainings at a time.
    pub(crate) lanes: usize,
    pub(crate) stop: &'a AtomicBool,
    /// [`settings`] of the experiment: what was trained with others in the same folder is not taken.
    pub(crate) settings: Value,
}

impl Place<'_> {
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// The folder for the checkpoint of a training from which others start.
    fn trained(&self, arm: &str, seed: u64) -> PathBuf {
        let settings = path_hash(&self.settings.to_string());
        let trained = self.folder.join("trained").join(format!("{settings:016x}"));
        trained.join(format!("{arm}-{seed}"))
    }
}

/// The name of one training, for observers.
fn training_name(arm: &impl Arm, seed: u64) -> String {
    format!("{}, seed {seed}", arm.name())
}

/// The settings of `experiment` that finished cells depend on. It may be continued with more seeds, which are not among them.
///
/// # Errors
/// Settings without a form in JSON.
pub(crate) fn settings<E: Experiment>(experiment: &E) -> Result<Value> {
    let mut settings = experiment.config()?;
    settings["arms"] = study::json(&experiment.arms())?;
    Ok(settings)
}

/// The settings of `experiment` with `seeds` seeds, in the form of its document.
///
/// # Errors
/// Those of [`settings`].
pub(crate) fn config<E: Experiment>(experiment: &E, seeds: u64) -> Result<Value> {
    let mut config = settings(experiment)?;
    config["seeds"] = json!(seeds);
    Ok(config)
}

/// Runs an experiment with the seeds `1..=seeds`; `None` if it was stopped. Finished cells are then kept.
///
/// # Errors
/// If data cannot be read, a training diverges, or finished cells have other settings.
pub(crate) fn run<E: Experiment>(
    experiment: &E,
    seeds: u64,
    place: &Place<'_>,
    observer: &impl StudyObserver,
) -> Result<Option<Reproduction>> {
    let mut clock = Clock::new();
    let config = config(experiment, seeds)?;
    let of = place.settings.clone();
    let store = Mutex::new(Store::open(place.folder, of, place.resume)?);
    let store = || store.lock().unwrap_or_else(PoisonError::into_inner);
    let arms = experiment.arms();
    'seeds: for seed in 1..=seeds {
        for later in [false, true] {
            let missing: Vec<&E::Arm> = arms
                .iter()
                .filter(|arm| arm.starts_from_another() == later)
                .filter(|arm| !store().has(seed, arm.name()))
                .collect();
            let train_and_judge =
                |arm: &&E::Arm| match experiment.cell(arm, seed, place, observer)? {
                    Some(cell) => store().keep(seed, arm.name(), cell),
                    None => Ok(()),
                };
            clock.time("cells", || {
                in_lanes(place.lanes, place.stop, &missing, train_and_judge)
            })?;
            if place.is_stopped() {
                break 'seeds;
            }
        }
    }
    let names = arms.iter().map(|arm| ArmName {
        name: arm.name().to_string(),
        family: arm.family().to_string(),
    });
    let Some(cells) = store().all(seeds, names.collect()) else {
        return Ok(None);
    };
    let columns = experiment.columns();
    let rows = arms.iter().map(|arm| ReproductionRow {
        name: arm.name().to_string(),
        budget: cells.budget(arm.name()),
        values: columns
            .iter()
            .map(|column| cells.values(arm.name(), &column.name))
            .collect(),
    });
    let mut drawn = experiment.curves(&cells);
    drawn.retain(|curve| !curve.lines.is_empty());
    let (version, commit) = study::version();
    Ok(Some(Reproduction {
        schema: Reproduction::SCHEMA.to_string(),
        version,
        commit,
        reproduce: String::new(),
        config,
        paper: place.paper.to_string(),
        data: experiment.data(),
        seeds: (1..=seeds).collect(),
        rows: rows.collect(),
        columns,
        claims: experiment.claims(&cells)?,
        curves: drawn,
        confusion: experiment.confusion(&cells),
        timing: clock.timing(),
    }))
}
