//! Slices of patients in place of drawn brains: does structural similarity find their lesions?

mod arms;
mod claims;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use crossburn_checkpoints::{load_weights, save_weights};
use crossburn_models::{
    ModelConfig, UNet, UNetConfig, UNetNorm, VariationalAutoencoderConfig, initialize,
};
use crossburn_noise::{Bootstrap, Metric, Philox, path_hash};
use crossburn_training::data::mri::{Cohort, in_words};
use crossburn_training::data::{DataSource, Samples};
use crossburn_training::{LesionConfig, LesionIntervals, Reconstruction, Slices, TrainingConfig};
use serde::Serialize;
use serde_json::{Value, json};

use self::arms::{FQ, Given, PatientsArm};
use super::super::cells::{Cell, Cells};
use super::super::{Experiment, Extent, Place, training_name};
use super::learned::{learned, restored};
use super::maps::{BATCH, Judged, MAPS, OWN, PREVALENCE, RATIO, Restore, auprc, dice, ratio};
use crate::apps::study::{self, StudyObserver};
use crate::report::{Claim, ReproductionColumn};

/// Patients of nine that are judged, and that thresholds come from: of 45 they are 10 and 5, and 30 are left to learn from.
const TEST: usize = 2;
const VALIDATION: usize = 1;
const OF: usize = 9;
/// Patients at least: fewer leave one to judge by, and no interval.
const LEAST: usize = 7;
/// Patients of a trial.
const OF_TRIAL: usize = 12;
/// Draws of patients for an interval.
const DRAWN_AGAIN: u64 = 500;

/// An end of the interval of a number.
fn end(number: &str, which: &str) -> String {
    format!("{number}, {which} end over patients")
}

/// Does structural similarity find lesions of patients that the absolute difference misses, and when does the reversal of intensities help?
///
/// # Source
/// Pan et al., arXiv 2408.08228, as for drawn brains. Networks learn from healthy slices of patients who are ill. The map with the spread of several draws
/// is that of Behrendt et al., "Leveraging the Mahalanobis distance to enhance unsupervised brain MRI anomaly detection", MICCAI 2024, with
/// variances alone.
#[derive(Debug, Serialize)]
pub(crate) struct PatientsPaper {
    source: DataSource,
    /// What is done to slices before they are reversed.
    steps: String,
    /// Channels, height and width of a slice.
    shape: [usize; 3],
    /// Patients with a lesion, in an order of their own: those who are judged and whom thresholds come from are among them.
    #[serde(skip)]
    ill: Vec<String>,
    /// All others, who are always learned from.
    #[serde(skip)]
    others: Vec<String>,
    learn: usize,
    validation: usize,
    test: usize,
    network: UNetConfig,
    variational: VariationalAutoencoderConfig,
    training: TrainingConfig,
    /// Draws of the noise, and the floor of their spread.
    draws: usize,
    spread: f64,
    /// The slices of all patients with original and with reversed intensities. Either is read once, when it is needed.
    #[serde(skip)]
    cohorts: Mutex<[Option<Arc<Cohort>>; 2]>,
}

impl PatientsPaper {
    /// Whether the source has slices of patients.
    pub(crate) fn takes(source: &DataSource) -> bool {
        ["mri-slices", "mri"].contains(&source.kind())
    }

    /// The experiment on a source, whose patients are counted.
    ///
    /// # Errors
    /// Slices that cannot be read or that the networks do not fit, too few patients, or an extent that it does not have.
    pub(crate) fn new(source: DataSource, extent: Extent) -> Result<Self> {
        let (width, epochs, draws) = match extent {
            Extent::Quick => (4, 1, 2),
            Extent::Usual => (8, 15, 4),
            Extent::Full => bail!("this paper's experiment has one size: drop --full"),
        };
        let raw = prepared(&source, false).context(
            "this experiment sets reverse, test_share and split_seed itself: leave them out of --data",
        )?;
        let cohort = Cohort::new(raw.load(0, None, None)?)?;
        let steps = raw.steps(0).unwrap_or_default();
        let unreversed = format!("; {}", in_words(false));
        let steps = steps
            .strip_suffix(&unreversed)
            .unwrap_or(&steps)
            .to_string();
        let of = |is_ill: bool| -> Vec<String> {
            let patients = cohort.patients().iter();
            let patients = patients.filter(|(_, ill)| **ill == is_ill);
            patients.map(|(name, _)| name.clone()).collect()
        };
        let (mut ill, mut others) = (of(true), of(false));
        ill.sort_by_cached_key(|name| {
            Philox::new(path_hash("patients of a split"), path_hash(name)).word(0)
        });
        if extent == Extent::Quick {
            ill.truncate(OF_TRIAL);
            others.truncate(OF_TRIAL - ill.len());
        }
        let patients = ill.len() + others.len();
        let share = |of: usize| (patients * of + OF / 2) / OF;
        let (test, validation) = (share(TEST), share(VALIDATION));
        if patients < LEAST || ill.len() < test + validation {
            bail!(
                "{source} has {patients} patients, {} of them with a lesion: this experiment needs {LEAST} patients, and a lesion in every third of \
                 them, so name more",
                ill.len()
            );
        }
        let shape = cohort.shape();
        let network = UNetConfig {
            channels: 1,
            width,
            multipliers: vec![1, 2, 2],
            blocks: 1,
            norm: UNetNorm::Group,
            bits: None,
        };
        let variational = VariationalAutoencoderConfig {
            width: 2 * width,
            ..VariationalAutoencoderConfig::default()
        };
        for model in [
            ModelConfig::UNet(network.clone()),
            ModelConfig::Variational(variational),
        ] {
            model.check(shape).with_context(|| {
                format!("choose the size of slices with the options size and down of {source}")
            })?;
        }
        Ok(Self {
            source,
            steps,
            shape,
            learn: patients - validation - test,
            ill,
            others,
            validation,
            test,
            network,
            variational,
            training: TrainingConfig {
                epochs,
                batch: BATCH,
                ..TrainingConfig::default()
            },
            draws,
            spread: 0.05,
            cohorts: Mutex::new([Some(Arc::new(cohort)), None]),
        })
    }

    /// The patients to learn from, whom thresholds come from, and who are judged. With each seed those who are judged move on by one test set, and start again
    /// from the first after the last patient with a lesion.
    fn patients(&self, seed: u64) -> [BTreeSet<String>; 3] {
        let count = self.ill.len();
        let first = (seed.saturating_sub(1) as usize % count) * self.test;
        let at = |place: usize| self.ill[(first + place) % count].clone();
        let held = self.test + self.validation;
        let learn = (held..count).map(at).chain(self.others.iter().cloned());
        [
            learn.collect(),
            (self.test..held).map(at).collect(),
            (0..self.test).map(at).collect(),
        ]
    }

    /// The slices of all patients.
    fn cohort(&self, reversed: bool) -> Result<Arc<Cohort>> {
        let mut cohorts = self.cohorts.lock().unwrap_or_else(PoisonError::into_inner);
        let cohort = &mut cohorts[usize::from(reversed)];
        if let Some(cohort) = cohort {
            return Ok(Arc::clone(cohort));
        }
        let split = prepared(&self.source, reversed)?.load(0, None, None)?;
        let read = Arc::new(Cohort::new(split)?);
        *cohort = Some(Arc::clone(&read));
        Ok(read)
    }

    /// The slices of these patients.
    fn slices(&self, arm: &PatientsArm, seed: u64) -> Result<[Arc<Samples>; 3]> {
        let cohort = self.cohort(arm.reversed)?;
        let patients = self.patients(seed);
        Ok(patients.map(|patients| Arc::new(cohort.slices_of(&patients))))
    }

    /// How `arm` gives slices back, by its own map.
    fn config(&self, arm: &PatientsArm) -> LesionConfig {
        let own = LesionConfig {
            alpha: arm.own(),
            ..LesionConfig::default()
        };
        match arm.given {
            Given::Patches { .. } => own,
            Given::Draws => LesionConfig {
                passes: self.draws,
                spread: Some(self.spread),
                ..own
            },
            Given::Variational | Given::Black => LesionConfig {
                reconstruction: Reconstruction::Whole,
                ..own
            },
        }
    }
}

/// The source with raw or with reversed intensities. Which of its slices it would test does not matter.
fn prepared(source: &DataSource, reversed: bool) -> Result<DataSource> {
    let reverse = if reversed { "yes" } else { "no" };
    let options = format!("reverse={reverse}&test_share=0.5&split_seed=0");
    Ok(source.with_options(&options)?)
}

impl Experiment for PatientsPaper {
    type Arm = PatientsArm;

    fn config(&self) -> Result<Value> {
        Ok(json!({ "experiment": study::json(self)? }))
    }

    fn data(&self) -> String {
        let [_, height, width] = self.shape;
        format!(
            "{}: {} patients, {} of them with a lesion, slices of {height} x {width}. Each seed has other patients: {} to learn from by their healthy \
             slices, {} whom thresholds come from, whose healthy slices choose the epoch, and {} who are judged. Steps: {}; reversed inside the \
             brain where the row says so",
            self.source,
            self.ill.len() + self.others.len(),
            self.ill.len(),
            self.learn,
            self.validation,
            self.test,
            self.steps
        )
    }

    fn columns(&self) -> Vec<ReproductionColumn> {
        let shares = [auprc as fn(&str) -> String, dice].map(|number| {
            let own = number(OWN);
            let ends = ["lower", "upper"].map(|which| end(&own, which));
            let maps = MAPS.map(|(map, _)| number(map)).into_iter();
            maps.chain([own]).chain(ends)
        });
        let shares = shares.into_iter().flatten();
        let shares = shares.chain([PREVALENCE.to_string()]);
        let metrics = shares.map(Metric::share).chain([Metric::from_zero(RATIO)]);
        metrics.map(ReproductionColumn::of).collect()
    }

    fn arms(&self) -> Vec<PatientsArm> {
        arms::arms()
    }

    fn cell(
        &self,
        arm: &PatientsArm,
        seed: u64,
        place: &Place<'_>,
        observer: &impl StudyObserver,
    ) -> Result<Option<Cell>> {
        let name = training_name(arm, seed);
        let [learn, validation, test] = self.slices(arm, seed)?;
        let config = self.config(arm);
        let own = arm.own();
        let judged = Judged {
            name: &name,
            config: config.clone(),
            maps: match arm.given {
                Given::Black => vec![MAPS[0]],
                _ => Vec::from(MAPS),
            },
            own: Some(own),
            seed,
            device: place.device,
        };
        // Before a training: patients without a voxel of a lesion in their eroded brains cannot be judged.
        for (part, whose) in [(&validation, "validation"), (&test, "test")] {
            let tasks = judged.tasks(part, [(own, None)]);
            tasks.with_context(|| format!("{whose} patients of seed {seed}"))?;
        }
        ratio(&name, &test)?;
        let device = place.device.clone().autodiff();
        let (seeded, of) = ((name.as_str(), seed), (&config, &self.training));
        let parts = [&learn, &validation];
        let kept = place.trained(FQ, seed).join("weights.safetensors");
        let (restore, backward): (Box<Restore<'static>>, u64) = match arm.given {
            Given::Patches { .. } => {
                let network = self.network.init(&device);
                let Some(learned) = learned(network, seeded, of, parts, place, observer)? else {
                    return Ok(None);
                };
                if arm.name == FQ {
                    fs_err::create_dir_all(place.trained(FQ, seed))?;
                    save_weights(&learned.network, &kept)?;
                }
                let by =
                    move |batch: &Slices, _: &[usize], _| Ok(restored(&learned.network, batch));
                (Box::new(by), learned.backward)
            }
            Given::Draws => {
                let network: UNet = initialize(self.network.init(place.device), seed);
                let network = load_weights(network, &kept)?;
                let healthy = learn.labels.iter().filter(|label| **label == 0).count();
                let by = move |batch: &Slices, _: &[usize], _| Ok(restored(&network, batch));
                (Box::new(by), (healthy * self.training.epochs) as u64)
            }
            Given::Variational => {
                let network = self.variational.init(&device);
                let Some(learned) = learned(network, seeded, of, parts, place, observer)? else {
                    return Ok(None);
                };
                let backward = learned.backward;
                let by =
                    move |batch: &Slices, _: &[usize], _| Ok(restored(&learned.network, batch));
                (Box::new(by), backward)
            }
            Given::Black => {
                let by = |batch: &Slices, _: &[usize], _| Ok(batch.inputs().zeros_like());
                (Box::new(by), 0)
            }
        };
        let found = judged.found([&validation, &test], &*restore)?;
        let mut numbers = found.numbers;
        let bootstrap = Bootstrap {
            samples: DRAWN_AGAIN,
            seed: path_hash("intervals over patients"),
            ..Bootstrap::default()
        };
        let (task, maps) = found
            .own
            .context("its own map is none of those that it is judged by")?;
        let intervals = task.intervals_over_patients(&maps, &bootstrap);
        let undefined = || format!("{name}: too few test patients for an interval");
        let LesionIntervals {
            auprc: area,
            dice: overlap,
        } = intervals.with_context(undefined)?;
        let overlap = overlap.with_context(undefined)?;
        for (number, ends) in [(auprc(OWN), area), (dice(OWN), overlap)] {
            for (which, value) in ["lower", "upper"].into_iter().zip(ends) {
                numbers.insert(end(&number, which), value);
            }
        }
        Ok(Some(Cell { backward, numbers }))
    }

    fn claims(&self, cells: &Cells) -> Result<Vec<Claim>> {
        claims::claims(cells)
    }
}
