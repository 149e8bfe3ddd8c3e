//! The acceptance experiments of the papers: every way of training, several seeds, judged alike.
//!
//! A cell is one training and its judgement; finished cells are kept, so an interrupted experiment goes on where it was.

mod cells;
pub(crate) mod claim;
mod ecg;
mod fl_nas;
mod frcsyn;
mod kpp;
mod lcda;
mod mri;
mod noise_study;
mod nvcim_pt;
mod rocr;
mod setting;
mod worst_case;

pub(crate) use ecg::EcgPaper;
pub(crate) use fl_nas::FlNasPaper;
pub(crate) use frcsyn::{FrcsynPaper, PhotographsPaper};
pub(crate) use kpp::Kpp;
pub(crate) use lcda::LcdaPaper;
pub(crate) use mri::MriPaper;
pub(crate) use noise_study::OnSetting;
pub(crate) use nvcim_pt::{GivenModelPaper, PromptPaper};
pub(crate) use rocr::RocrPaper;
pub(crate) use setting::{Extent, Setting};
pub(crate) use worst_case::WorstCasePaper;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use burn::tensor::Device;
use serde::Serialize;
use serde_json::{Value, json};

use self::cells::{ArmName, Cell, Cells, Store};
use super::lanes::in_lanes;
use super::study::{self, Clock, StudyObserver};
use crate::report::{
    Claim, Document, Reproduction, ReproductionColumn, ReproductionConfusion, ReproductionCurve,
    ReproductionRow,
};

/// The experiment of one paper.
pub(crate) trait Experiment: Sync {
    /// Name on the command line.
    const NAME: &'static str;
    /// One way of training.
    type Arm: Arm;

    /// What decides over its numbers, beside the arms and the number of seeds.
    fn config(&self) -> Result<Value>;
    /// Where its items come from, in words.
    fn data(&self) -> String;
    /// The numbers that its table shows.
    fn columns(&self) -> Vec<ReproductionColumn>;
    /// Ways of training; budgets are relative to the first.
    fn arms(&self) -> Vec<Self::Arm>;
    /// Trains and judges one arm with one seed: `None` where it was stopped.
    fn cell(
        &self,
        arm: &Self::Arm,
        seed: u64,
        place: &Place<'_>,
        observer: &impl StudyObserver,
    ) -> Result<Option<Cell>>;
    /// The paper's claims on all cells.
    fn claims(&self, cells: &Cells) -> Result<Vec<Claim>>;
    /// Numbers of some arms over a quantity, to draw.
    fn curves(&self, _cells: &Cells) -> Vec<ReproductionCurve> {
        Vec::new()
    }
    /// What was taken for what, of one arm.
    fn confusion(&self, _cells: &Cells) -> Option<ReproductionConfusion> {
        None
    }
}

/// One way of training.
pub(crate) trait Arm: Serialize + Sync {
    /// Its name in tables.
    fn name(&self) -> &str;
    /// Arms of one family differ in a strength that validation chooses.
    fn family(&self) -> &str;
    /// Whether it starts from what another arm has trained with the same seed; that arm is none of these.
    fn starts_from_another(&self) -> bool {
        false
    }
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

impl Place<'_> {
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// The folder of the checkpoint of a training that others start from.
    fn trained(&self, arm: &str, seed: u64) -> PathBuf {
        self.folder.join("trained").join(format!("{arm}-{seed}"))
    }
}

/// The name of one training, for those who follow it.
fn training_name(arm: &impl Arm, seed: u64) -> String {
    format!("{}, seed {seed}", arm.name())
}

/// The settings of `experiment` with `seeds` seeds, as its document holds them.
///
/// # Errors
/// Settings that have no form in JSON.
pub(crate) fn config<E: Experiment>(experiment: &E, seeds: u64) -> Result<Value> {
    let mut config = experiment.config()?;
    config["arms"] = study::json(&experiment.arms())?;
    config["seeds"] = json!(seeds);
    Ok(config)
}

/// Runs an experiment with the seeds `1..=seeds`; `None` where it was stopped, with its finished cells kept.
///
/// # Errors
/// Data that cannot be read, a training that diverges, finished cells of other settings.
pub(crate) fn run<E: Experiment>(
    experiment: &E,
    seeds: u64,
    place: &Place<'_>,
    observer: &impl StudyObserver,
) -> Result<Option<Reproduction>> {
    let mut clock = Clock::new();
    let config = config(experiment, seeds)?;
    let mut of = config.clone();
    // More seeds are more of the same.
    of["seeds"].take();
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
        paper: E::NAME.to_string(),
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
