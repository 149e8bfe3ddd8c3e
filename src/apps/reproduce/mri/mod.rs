//! Quality of images as the measure of a reconstruction, in training and in the map that lesions are found in.

mod arms;
mod chips;
mod claims;
mod learned;
mod maps;
mod patients;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, bail};
use burn::tensor::{Device, Tensor, TensorData};
use crossburn_models::{UNetConfig, UNetNorm};
use crossburn_noise::{Metric, Philox, path_hash};
use crossburn_training::data::DataSource;
use crossburn_training::data::mri::{OF_PATIENT, phantom, phantom_without_lesions, smooth_field};
use crossburn_training::{CorruptionNoise, Slices, TrainingConfig};
use serde::Serialize;
use serde_json::{Value, json};

use self::arms::{Given, MriArm};
use self::chips::{CHIP_MAPS, Deviation, OnChips, SIGMAS, on_chips};
use self::learned::{learned, restored};
use self::maps::{BATCH, Judged, MAPS, OWN, PREVALENCE, RATIO, auprc, dice, pixels_of};
use self::patients::PatientsPaper;
use super::cells::{Cell, Cells};
use super::registry::{Asked, Paper, Repeat};
use super::{Arm, Experiment, Extent, Place, training_name};
use crate::apps::study::{self, StudyObserver};
use crate::report::{Claim, ReproductionColumn, ReproductionCurve};

/// Does structural similarity find lesions that the absolute difference misses, and when does the reversal of intensities help?
///
/// The first arms train networks. The others take healthy brains with a stated error in place of a reconstruction, so that they are about
/// the map alone.
///
/// # Source
/// Pan et al., "Rethinking medical anomaly detection in brain MRI: an image quality assessment perspective", arXiv 2408.08228: Dice 59.45 after
/// 49.41 and AUPRC 62.99 after 54.76 on T2 of BraTS21. Networks and brains here are smaller than the paper's, and drawn.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct MriPaper {
    /// Pixels along each side of a slice.
    size: usize,
    /// Slices to learn from; the patients with lesions among them teach nothing but their healthy slices.
    learn: usize,
    /// Slices that thresholds come from, and whose healthy ones choose the epoch.
    validation: usize,
    test: usize,
    model: UNetConfig,
    training: TrainingConfig,
    noise: CorruptionNoise,
    /// Chips of each deviation, of each network that is judged on chips.
    chips: u64,
}

impl MriPaper {
    /// The experiment on procedural brains.
    ///
    /// # Errors
    /// Another data source, or an extent that it does not have.
    pub(crate) fn new(source: &DataSource, extent: Extent) -> Result<Self> {
        if source.to_string() != "mri-phantom" {
            bail!(
                "this paper's experiment is not defined on {source}: use mri-phantom, or slices of patients as mri-slices:DIR or mri:DIR"
            );
        }
        let (size, patients, epochs, width, chips) = match extent {
            Extent::Quick => (32, [10, 4, 4], 1, 4, 2),
            Extent::Usual => (64, [100, 40, 50], 12, 8, 3),
            Extent::Full => bail!("this paper's experiment has one size: drop --full"),
        };
        let [learn, validation, test] = patients.map(|patients| patients * OF_PATIENT as usize);
        Ok(Self {
            size,
            learn,
            validation,
            test,
            model: UNetConfig {
                channels: 1,
                width,
                multipliers: vec![1, 2, 2],
                blocks: 1,
                norm: UNetNorm::Group,
                bits: None,
            },
            training: TrainingConfig {
                epochs,
                batch: BATCH,
                ..TrainingConfig::default()
            },
            noise: CorruptionNoise::Simplex,
            chips,
        })
    }

    /// How `arm` is judged.
    fn judged<'a>(&self, arm: &'a MriArm, seed: u64, device: &'a Device) -> Judged<'a> {
        Judged {
            name: &arm.name,
            config: arm.config(self.noise),
            maps: arm.maps(),
            own: arm.own(),
            seed,
            device,
        }
    }

    /// The numbers of healthy brains with an error, in place of a reconstruction.
    fn without_network(
        &self,
        arm: &MriArm,
        seed: u64,
        device: &Device,
    ) -> Result<BTreeMap<String, f64>> {
        let config = arm.regime.phantom(arm.reversed, self.size);
        let firsts = [0, self.test as u64];
        let parts = firsts.map(|first| Arc::new(phantom(seed, first, self.test, &config)));
        let healthy = firsts.map(|first| phantom_without_lesions(seed, first, self.test, &config));
        let clean = [pixels_of(&healthy[0])?, pixels_of(&healthy[1])?];
        let size = [self.size, self.size];
        let pixels = self.size * self.size;
        let field = |purpose: &str, slice: u64, sigma| {
            smooth_field(&Philox::new(seed ^ path_hash(purpose), slice), size, sigma)
        };
        let given = |_: &Slices, items: &[usize], part: usize| {
            let values = items.iter().flat_map(|item| {
                let slice = firsts[part] + *item as u64;
                let smooth = field("smooth error of a reconstruction", slice, 8.0);
                let fine = field("fine error of a reconstruction", slice, 1.0);
                let error = arm.regime.error as f32;
                let own = clean[part][item * pixels..][..pixels].iter();
                let errors = smooth.into_iter().zip(fine);
                // Outside the brain, where nothing is scored, healthy slices are 0 and stay so.
                own.zip(errors)
                    .map(move |(value, (smooth, fine))| match *value {
                        0.0 => 0.0,
                        value => value * (1.0 + error * smooth) + 0.25 * error * fine,
                    })
            });
            let values: Vec<f32> = values.collect();
            let shape = [items.len(), 1, self.size, self.size];
            Ok(Tensor::from_data(TensorData::new(values, shape), device))
        };
        let judged = self.judged(arm, seed, device);
        Ok(judged.found(parts.each_ref(), &given)?.numbers)
    }

    /// Trains a network and judges it; `None` where it was stopped.
    fn with_network(
        &self,
        arm: &MriArm,
        seed: u64,
        place: &Place<'_>,
        observer: &impl StudyObserver,
    ) -> Result<Option<(BTreeMap<String, f64>, u64)>> {
        let config = arm.regime.phantom(arm.reversed, self.size);
        let draw = |first: usize, count| Arc::new(phantom(seed, first as u64, count, &config));
        let learn = draw(0, self.learn);
        let validation = draw(self.learn, self.validation);
        let test = draw(self.learn + self.validation, self.test);
        let name = training_name(arm, seed);
        let network = self.model.init(&place.device.clone().autodiff());
        let of = (&arm.config(self.noise), &self.training);
        let parts = [&learn, &validation];
        let Some(learned) = learned(network, (&name, seed), of, parts, place, observer)? else {
            return Ok(None);
        };
        let judged = self.judged(arm, seed, place.device);
        let by = |batch: &Slices, _: &[usize], _| Ok(restored(&learned.network, batch));
        let mut numbers = judged.found([&validation, &test], &by)?.numbers;
        if arm.on_chips {
            let count = self.chips * Deviation::all().count() as u64;
            let told = observer.chips(&name, count);
            let on_chips = OnChips {
                learned: &learned,
                judged: &judged,
                count: self.chips,
                place,
                told: &*told,
            };
            match on_chips.numbers(&test)? {
                Some(found) => numbers.extend(found),
                None => return Ok(None),
            }
        }
        Ok(Some((numbers, learned.backward)))
    }
}

/// The mean AUPRC of chips of each σ.
fn at_sigmas(map: &str) -> [String; 3] {
    SIGMAS.map(|sigma| on_chips(map, Deviation::Sigma(sigma)))
}

impl Paper for MriPaper {
    const NAME: &'static str = "mri";
    const ABOUT: &'static str = "Lesions in brains, found by the quality of their reconstruction";
    const DATA: Option<&'static str> =
        Some("mri-phantom, or slices of patients as mri-slices:DIR or mri:DIR");
    const USUAL_SOURCE: Option<&'static str> = Some("mri-phantom");
    const NOTES: &'static str = "On two cores, one seed takes 14 minutes of processor time.";

    fn repeat<R: Repeat>(asked: Asked, repeat: R) -> Result<R::Output> {
        let source = asked.source()?;
        match PatientsPaper::takes(&source) {
            true => repeat.experiment(&PatientsPaper::new(source, asked.extent)?),
            false => repeat.experiment(&Self::new(&source, asked.extent)?),
        }
    }
}

impl Experiment for MriPaper {
    type Arm = MriArm;

    fn config(&self) -> Result<Value> {
        let mut experiment = study::json(self)?;
        experiment["deviations"] = json!(Deviation::all().collect::<Vec<_>>());
        Ok(json!({ "experiment": experiment }))
    }

    fn data(&self) -> String {
        format!(
            "procedural brains, {0} x {0}: {1} slices, of which the healthy ones are learned from; {2} that thresholds come from, whose healthy ones choose the epoch; {3} test slices",
            self.size, self.learn, self.validation, self.test
        )
    }

    fn columns(&self) -> Vec<ReproductionColumn> {
        let maps = || MAPS.iter().map(|(map, _)| *map).chain([OWN]);
        let chips = Deviation::all();
        let chips = chips.flat_map(|deviation| CHIP_MAPS.map(|(map, _)| on_chips(map, deviation)));
        let shares = maps().map(auprc).chain(maps().map(dice)).chain(chips);
        let shares = shares.chain([PREVALENCE.to_string()]);
        let metrics = shares.map(Metric::share).chain([Metric::from_zero(RATIO)]);
        metrics.map(ReproductionColumn::of).collect()
    }

    fn arms(&self) -> Vec<MriArm> {
        arms::arms()
    }

    fn cell(
        &self,
        arm: &MriArm,
        seed: u64,
        place: &Place<'_>,
        observer: &impl StudyObserver,
    ) -> Result<Option<Cell>> {
        let found = match arm.given {
            Given::Healthy => Some((self.without_network(arm, seed, place.device)?, 0)),
            Given::Trained { .. } => self.with_network(arm, seed, place, observer)?,
        };
        Ok(found.map(|(numbers, backward)| Cell { backward, numbers }))
    }

    fn claims(&self, cells: &Cells) -> Result<Vec<Claim>> {
        claims::claims(cells)
    }

    fn curves(&self, cells: &Cells) -> Vec<ReproductionCurve> {
        let over_sigma = |(map, _): (&str, f64)| ReproductionCurve {
            title: format!("AUPRC of the map {map} over σ, mean over chips"),
            along: "σ, relative to the largest weight of a layer".to_string(),
            metric: Metric::share("AUPRC"),
            at: SIGMAS.to_vec(),
            lines: self
                .arms()
                .iter()
                .filter_map(|arm| cells.line(arm.name(), at_sigmas(map)))
                .collect(),
        };
        CHIP_MAPS.map(over_sigma).into()
    }
}
