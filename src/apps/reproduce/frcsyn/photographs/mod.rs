//! Photographs instead of drawn test people: does a verifier of real people learn from drawn ones?

mod arms;
mod claims;
mod numbers;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use anyhow::{Context, Result, bail};
use crossburn_models::FaceNetConfig;
use crossburn_training::data::{
    DataSource, DataSplit, FacesConfig, Samples, faces, grey_squares, together,
};
use crossburn_training::{
    Cleansed, Cleansing, Selection, Task, TrainingConfig, Verification, VerificationConfig,
};
use serde::Serialize;
use serde_json::{Value, json};

use self::arms::{Learns, PhotographsArm};
use self::numbers::{Judged, SIGMA};
use super::super::cells::{Cell, Cells};
use super::super::{Experiment, Extent, Place, training_name};
use super::learned::{Learned, learned};
use super::{CHOSEN_ON, HELD_BACK};
use crate::apps::study::{self, StudyObserver};
use crate::report::{Claim, ReproductionColumn};

/// Height and width to which photographs are scaled: those of drawn faces.
const SIDE: usize = 32;
/// Most pairs of one person, and most pairs of two people, in each group of a fold.
const PAIRS: usize = 500;
/// The smallest and the largest number of folds.
const LEAST_FOLDS: usize = 2;
const MOST_FOLDS: usize = 4;
/// The smallest number of people of each group in a fold, so that pairs of two people exist.
const LEAST_PEOPLE: usize = 2;
/// How often a real person is learned in a cleansed set, per time that a drawn person is learned.
const OVERSAMPLED: usize = 2;

/// Does a verifier of real people learn from drawn ones, from real ones, or better from both?
///
/// # Source
/// Melzi et al., "FRCSyn challenge at WACV 2024: face recognition challenge in the era of synthetic data" (arXiv 2311.10476). The sets of people are small
/// here, and intervals are over people.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PhotographsPaper {
    source: DataSource,
    /// For each group, its number of people.
    people: BTreeMap<String, usize>,
    /// Number of folds of the people. The people of each fold are judged by networks that learn from the others.
    folds: usize,
    drawn_people: usize,
    drawn_images: usize,
    network: FaceNetConfig,
    /// Approximate number of images that pass in every training.
    passes: usize,
    batch: usize,
    /// Number of chips for each fold.
    chips: u64,
}

impl PhotographsPaper {
    /// Whether the source has photographs of people, as far as its name tells.
    pub(crate) fn takes(source: &DataSource) -> bool {
        let text = source.to_string();
        ["faces:", "npy:", "npz:"]
            .iter()
            .any(|kind| text.starts_with(kind))
    }

    /// The experiment on a source. This counts the people in it.
    ///
    /// # Errors
    /// If samples cannot be read or do not say who is on them, if a group has too few people, or if the experiment does not have the extent.
    pub(crate) fn new(source: DataSource, extent: Extent) -> Result<Self> {
        let (drawn_people, drawn_images, passes, chips) = match extent {
            Extent::Quick => (48, 2, 200, 1),
            Extent::Usual => (144, 8, 16_000, 4),
            Extent::Full => bail!("this paper's experiment has one size: drop --full"),
        };
        source.with_options("folds=2&fold=0&split_seed=1").context(
            "this experiment sets folds, fold and split_seed itself: leave them out of --data",
        )?;
        let split = source.load(0, None, None)?;
        let mut people: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for part in [&split.train, &split.test] {
            let Some(origins) = &part.origins else {
                bail!(
                    "nobody knows who is on the images of {source}: name the column of people with group=COLUMN"
                );
            };
            for (label, origin) in part.labels.iter().zip(&origins.samples) {
                let group = part.class_name(usize::from(*label));
                let name = origins.groups[origin.group as usize].clone();
                people.entry(group).or_default().insert(name);
            }
        }
        let people: BTreeMap<String, usize> = people
            .into_iter()
            .map(|(group, names)| (group, names.len()))
            .collect();
        let smallest = people.iter().min_by_key(|(_, count)| **count);
        let (group, least) = smallest.map_or(("", 0), |(group, count)| (group.as_str(), *count));
        let most = match extent {
            Extent::Quick => LEAST_FOLDS,
            _ => MOST_FOLDS,
        };
        let folds = (least / LEAST_PEOPLE).min(most);
        if folds < LEAST_FOLDS {
            bail!(
                "group {group} of {source} has {least} people: two folds need {} in every group, so leave the group out or add people",
                LEAST_FOLDS * LEAST_PEOPLE
            );
        }
        Ok(Self {
            source,
            people,
            folds,
            drawn_people,
            drawn_images,
            network: FaceNetConfig::default(),
            passes,
            batch: 32,
            chips,
        })
    }

    /// The photographs of a fold, as squares: those of its people for judging, and those of all others for learning.
    fn split(&self, fold: usize, seed: u64) -> Result<DataSplit> {
        let folds = self.folds;
        let options = format!("folds={folds}&fold={fold}&split_seed={seed}");
        let split = self.source.with_options(&options)?.load(seed, None, None)?;
        Ok(DataSplit {
            train: grey_squares(&split.train, SIDE)?,
            test: grey_squares(&split.test, SIDE)?,
        })
    }

    /// The network of an arm, its threshold, and what cleansing has left out; `None` if it was stopped.
    fn learned(
        &self,
        arm: &PhotographsArm,
        (name, seed): (&str, u64),
        real: &Samples,
        place: &Place<'_>,
        observer: &impl StudyObserver,
    ) -> Result<Option<(Learned, f64, Cleansed)>> {
        let set = FacesConfig {
            balanced: true,
            images: self.drawn_images,
            ..FacesConfig::default()
        };
        let drawn = faces(seed, 0, self.drawn_people * self.drawn_images, &set);
        let first = match arm.learns {
            Learns::Drawn => &drawn,
            Learns::Real | Learns::Both | Learns::Cleansed => real,
        };
        let mut all = Verification::learn(together(&[first])?, &arm.task, seed)?;
        if matches!(arm.learns, Learns::Both | Learns::Cleansed) {
            all = all.with_added(&drawn)?;
        }
        let held_back = (HELD_BACK * all.items() as f64).round() as usize;
        let (mut learn, held_back) = all.hold_back(all.items() - held_back);
        if held_back.pairs() == 0 {
            bail!(
                "no group of {} has five people to learn from, of whom some could be held back for the threshold: add people",
                self.source
            );
        }
        let train = |learn: &Verification| {
            let training = TrainingConfig {
                epochs: (self.passes / learn.items().max(1)).max(1),
                batch: self.batch,
                selection: Selection::Last,
                ..TrainingConfig::default()
            };
            let of = (self.network, training);
            learned((name, seed), of, (learn, &held_back), place, observer)
        };
        let (mut left_out, mut backward) = (Cleansed::default(), 0);
        if arm.learns == Learns::Cleansed {
            // The auxiliary network has seen no image of a person who is held back or judged.
            let Some(auxiliary) = train(&learn)? else {
                return Ok(None);
            };
            let mut told = |_| match place.is_stopped() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            };
            let bounds = Cleansing::default();
            let found = learn.cleansed(&auxiliary.network, bounds, place.device, &mut told);
            let found = found
                .with_context(|| format!("the training set of {} and drawn people", self.source))?;
            let Some((kept, cleansed)) = found else {
                return Ok(None);
            };
            learn = kept.oversampled(OVERSAMPLED)?;
            left_out = cleansed;
            backward = auxiliary.backward;
        }
        let Some(mut found) = train(&learn)? else {
            return Ok(None);
        };
        found.backward += backward;
        // Beside real people, drawn ones do not determine the threshold, because the test people are real.
        let threshold = held_back.best_threshold(&found.network, place.device)?;
        Ok(Some((found, threshold, left_out)))
    }
}

impl Experiment for PhotographsPaper {
    type Arm = PhotographsArm;

    fn config(&self) -> Result<Value> {
        let mut experiment = study::json(self)?;
        experiment["sigma"] = json!(SIGMA);
        experiment["held_back"] = json!(HELD_BACK);
        Ok(json!({ "experiment": experiment }))
    }

    fn data(&self) -> String {
        let groups = self.people.iter();
        let groups: Vec<String> = groups
            .map(|(name, count)| format!("{count} {name}"))
            .collect();
        format!(
            "photographs of {} (people: {}) as grey squares of {SIDE} pixels, in {} folds that part people, each judged by networks that know the \
             others; {} drawn people with {} images each",
            self.source,
            groups.join(", "),
            self.folds,
            self.drawn_people,
            self.drawn_images
        )
    }

    fn columns(&self) -> Vec<ReproductionColumn> {
        numbers::columns()
    }

    fn arms(&self) -> Vec<PhotographsArm> {
        arms::arms()
    }

    fn cell(
        &self,
        arm: &PhotographsArm,
        seed: u64,
        place: &Place<'_>,
        observer: &impl StudyObserver,
    ) -> Result<Option<Cell>> {
        let name = training_name(arm, seed);
        let seed = CHOSEN_ON + seed;
        let (mut judged, mut backward) = (Judged::new(self.chips), 0);
        let mut kept = None;
        for fold in 0..self.folds {
            let split = self.split(fold, seed)?;
            let found = match (arm.learns, kept.take()) {
                // This network has learned no photograph, so it serves every fold.
                (Learns::Drawn, Some(found)) => found,
                _ => {
                    let name = format!("{name}, fold {}", fold + 1);
                    let of = (name.as_str(), seed);
                    let Some(found) = self.learned(arm, of, &split.train, place, observer)? else {
                        return Ok(None);
                    };
                    backward += found.0.backward;
                    judged.left_out(found.2);
                    found
                }
            };
            let (learned, threshold, _) = &found;
            let task = VerificationConfig {
                threshold: Some(*threshold),
                pairs: PAIRS,
                ..arm.task.clone()
            };
            let test = Verification::judge(split.test, &task, seed)?;
            let compared = test.compared(&test.vectors(&learned.network, place.device)?);
            judged.add(&compared, *threshold, fold)?;
            let told = observer.chips(&name, self.chips);
            let chips = (seed, self.chips);
            let Some(scored) = learned.on_chips(&test, SIGMA, chips, place, &*told)? else {
                return Ok(None);
            };
            judged.add_chips(&scored, *threshold, fold);
            kept = Some(found);
        }
        Ok(Some(Cell {
            backward,
            numbers: judged.numbers(self.people.len(), seed)?,
        }))
    }

    fn claims(&self, cells: &Cells) -> Result<Vec<Claim>> {
        claims::claims(cells)
    }
}
