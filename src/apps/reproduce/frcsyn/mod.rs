//! Drawn faces instead of photographs: do they train a verifier, and do they make it fairer, also on chips?

mod arms;
mod claims;
mod learned;
mod numbers;
mod photographs;

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use crossburn_models::FaceNetConfig;
use crossburn_training::data::{Amount, DataSource};
use crossburn_training::{Selection, Task, TrainingConfig, Verification, VerificationConfig};
use serde::Serialize;
use serde_json::{Value, json};

use self::arms::FrcsynArm;
use self::numbers::{CONDITIONS, SIGMAS};
use self::photographs::PhotographsPaper;
use super::cells::{Cell, Cells};
use super::registry::{Asked, Paper, Repeat};
use super::{Experiment, Extent, Place, training_name};
use crate::apps::study::{self, StudyObserver};
use crate::report::{Claim, ReproductionColumn, ReproductionCurve};

/// The share of the people of a training set that is held back for choosing the threshold.
const HELD_BACK: f64 = 0.2;

/// Does a verifier learn from synthetic faces, do they make a verifier of real faces fairer, and which groups lose accuracy on chips?
///
/// # Source
/// Melzi et al., "FRCSyn challenge at WACV 2024: face recognition challenge in the era of synthetic data" (arXiv 2311.10476). Faces, network and training
/// are small here, and faces are drawn. The claims follow this project's reading of the paper: they are about orders, not about its numbers.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FrcsynPaper {
    /// Number of people of a real and of a synthetic training set, and of the test sets.
    people: usize,
    test_people: usize,
    /// Number of images of a person.
    images: usize,
    network: FaceNetConfig,
    training: TrainingConfig,
    /// Number of chips for each σ.
    chips: u64,
}

impl FrcsynPaper {
    /// The experiment on procedural faces.
    ///
    /// # Errors
    /// If the source is another one, or if the experiment does not have the extent.
    pub(crate) fn new(source: &DataSource, extent: Extent) -> Result<Self> {
        if source.to_string() != "faces" {
            bail!(
                "this paper's experiment is not defined on {source}: use faces, or photographs of people as faces:DIR, or npy:FILE or npz:FILE with group=COLUMN"
            );
        }
        let (people, test_people, images, epochs, chips) = match extent {
            Extent::Quick => (72, 24, 4, 1, 1),
            Extent::Usual => (216, 96, 12, 18, 4),
            Extent::Full => bail!("this paper's experiment has one size: drop --full"),
        };
        Ok(Self {
            people,
            test_people,
            images,
            network: FaceNetConfig::default(),
            training: TrainingConfig {
                epochs,
                batch: 64,
                selection: Selection::Last,
                ..TrainingConfig::default()
            },
            chips,
        })
    }

    fn source(&self, options: &str) -> Result<DataSource> {
        Ok(format!("faces?images={}{options}", self.images).parse()?)
    }

    /// The training images of an arm: people to learn from, and people for choosing the threshold.
    fn learned(&self, arm: &FrcsynArm, seed: u64) -> Result<(Verification, Verification)> {
        let count = arm.sets * self.people * self.images;
        let source = self.source(arm.options)?;
        let samples = source.training_samples(seed, Amount::exactly(count))?;
        let all = Verification::learn(samples, &arm.task, seed)?;
        let held_back = (HELD_BACK * all.items() as f64).round() as usize;
        Ok(all.hold_back(all.items() - held_back))
    }

    /// The test images of a condition, decided with a threshold.
    fn test(
        &self,
        condition: &str,
        task: &VerificationConfig,
        threshold: f64,
        seed: u64,
    ) -> Result<Verification> {
        let source = self.source(&format!("&test={condition}"))?;
        let count = Amount::exactly(self.test_people * self.images);
        let samples = source.test_samples(seed, count)?;
        let task = VerificationConfig {
            threshold: Some(threshold),
            ..task.clone()
        };
        Ok(Verification::judge(samples, &task, seed)?)
    }
}

/// Sizes were chosen on the results of the seeds up to this one. The experiment therefore draws from later seeds.
const CHOSEN_ON: u64 = 100;

impl Paper for FrcsynPaper {
    const NAME: &'static str = "frcsyn";
    const ABOUT: &'static str = "Faces from synthetic data: verification, bias and thresholds";
    const DATA: Option<&'static str> = Some(
        "faces, or photographs of people as faces:DIR, or npy:FILE or npz:FILE with group=COLUMN",
    );
    const USUAL_SOURCE: Option<&'static str> = Some("faces");

    fn repeat<R: Repeat>(asked: Asked, repeat: R) -> Result<R::Output> {
        let source = asked.source()?;
        match PhotographsPaper::takes(&source) {
            true => repeat.experiment(&PhotographsPaper::new(source, asked.extent)?),
            false => repeat.experiment(&Self::new(&source, asked.extent)?),
        }
    }
}

impl Experiment for FrcsynPaper {
    type Arm = FrcsynArm;

    fn config(&self) -> Result<Value> {
        let mut experiment = study::json(self)?;
        experiment["sigmas"] = json!(SIGMAS);
        experiment["held_back"] = json!(HELD_BACK);
        Ok(json!({ "experiment": experiment }))
    }

    fn data(&self) -> String {
        format!(
            "procedural faces of eight groups: {} real and as many synthetic people to learn from, of whom a fifth gives the threshold; {} real test people; {} images of each",
            self.people, self.test_people, self.images
        )
    }

    fn columns(&self) -> Vec<ReproductionColumn> {
        numbers::columns()
    }

    fn arms(&self) -> Vec<FrcsynArm> {
        arms::arms()
    }

    fn cell(
        &self,
        arm: &FrcsynArm,
        seed: u64,
        place: &Place<'_>,
        observer: &impl StudyObserver,
    ) -> Result<Option<Cell>> {
        let name = training_name(arm, seed);
        let seed = CHOSEN_ON + seed;
        let (learn, held_back) = self.learned(arm, seed)?;
        let of = (self.network, self.training.clone());
        let part = (&learn, &held_back);
        let Some(learned) = learned::learned((&name, seed), of, part, place, observer)? else {
            return Ok(None);
        };
        let network = &learned.network;
        let quiet = place.device;
        let threshold = held_back.best_threshold(network, quiet)?;
        let mut sets = Vec::new();
        for condition in CONDITIONS {
            let test = self.test(condition, &arm.task, threshold, seed)?;
            let compared = test.compared(&test.vectors(network, quiet)?);
            sets.push((test, compared));
        }
        let mut numbers = numbers::of_sets(&sets, threshold)?;
        if arm.on_chips {
            let (test, compared) = &sets[0];
            let told = observer.chips(&name, self.chips * SIGMAS.len() as u64);
            for sigma in SIGMAS {
                let chips = (seed, self.chips);
                let Some(scored) = learned.on_chips(test, sigma, chips, place, &*told)? else {
                    return Ok(None);
                };
                let found = numbers::of_chips(sigma, compared, &scored, threshold);
                numbers.extend(found);
            }
        }
        Ok(Some(Cell {
            backward: learned.backward,
            numbers: BTreeMap::from_iter(numbers),
        }))
    }

    fn claims(&self, cells: &Cells) -> Result<Vec<Claim>> {
        claims::claims(cells)
    }

    fn curves(&self, cells: &Cells) -> Vec<ReproductionCurve> {
        numbers::curves(cells, &self.arms())
    }
}
