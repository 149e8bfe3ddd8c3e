//! Quality of images as the measure of a reconstruction, in training and in the map that lesions are found in.

mod arms;
mod claims;
mod maps;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use burn::tensor::{Device, Tensor, TensorData};
use crossburn_hardware::deploy::Fab;
use crossburn_models::{UNet, UNetConfig, UNetNorm, initialize};
use crossburn_noise::{ChipSeed, Distribution, Metric, Philox, Variation, path_hash};
use crossburn_training::data::mri::{OF_PATIENT, phantom, phantom_without_lesions, smooth_field};
use crossburn_training::data::{DataSource, Samples};
use crossburn_training::{
    Batches, CorruptionNoise, Evaluation, Learn, LesionDetection, LesionMetric, Recipe, Run,
    Slices, TrainingConfig, train,
};
use serde::Serialize;
use serde_json::{Value, json};

use self::arms::{Given, MriArm};
use self::maps::{ALPHA, BATCH, Judged, MAPS, OWN, PREVALENCE, RATIO, auprc, dice, pixels_of};
use super::cells::{Cell, Cells};
use super::{Arm, Experiment, Extent, Place, training_name};
use crate::apps::study::{self, StudyObserver};
use crate::report::{Claim, ReproductionColumn, ReproductionCurve};

/// Seed of the chips that are judged.
const CHIPS: u64 = 7;
/// σ of the chips, relative to the largest weight of a layer.
const SIGMAS: [f64; 3] = [0.02, 0.05, 0.1];
/// The maps that networks are judged by on chips: l1 and FQ.
const CHIP_MAPS: [(&str, f64); 2] = [MAPS[0], MAPS[2]];

/// The mean AUPRC of chips.
fn on_chips(map: &str, sigma: f64) -> String {
    format!("AUPRC {map}, σ = {sigma}")
}

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
    /// Chips of each σ, of each network that is judged on chips.
    chips: u64,
}

impl MriPaper {
    /// The experiment on procedural brains.
    ///
    /// # Errors
    /// Another data source, or an extent that it does not have.
    pub(crate) fn new(source: &DataSource, extent: Extent) -> Result<Self> {
        if source.to_string() != "mri-phantom" {
            bail!("this paper's experiment is not defined on {source}: use mri-phantom");
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
            arm,
            noise: self.noise,
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
        self.judged(arm, seed, device)
            .numbers(parts.each_ref(), given)
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
        let recipe = Recipe {
            training: self.training.clone(),
            ..Recipe::own(seed)
        };
        let own = maps::task(arm, self.noise, ALPHA);
        let quiet = place.device;
        let device = quiet.clone().autodiff();
        let healthy =
            |samples: &Arc<Samples>| LesionDetection::learn(Arc::clone(samples), &own, seed);
        let run = Run {
            train: &healthy(&learn)?,
            validation: &healthy(&validation)?,
            device: &device,
            state: None,
            resume: false,
        };
        let name = training_name(arm, seed);
        let mut follower = observer.training(&name);
        let network = initialize(self.model.init(&device), seed);
        let trained = train(network, &recipe, &run, &mut follower)
            .with_context(|| format!("cannot train `{name}`"))?;
        drop(follower);
        if trained.interrupted || place.is_stopped() {
            return Ok(None);
        }
        let judged = self.judged(arm, seed, quiet);
        let tasks = judged.tasks(&test, CHIP_MAPS.map(|(_, share)| (share, None)))?;
        // What a network is shown of a slice does not depend on the map.
        let by = |network: &UNet, batch: &Slices| {
            Learn::<UNet>::forward(&tasks[0], network, batch).outputs
        };
        let mut numbers = judged.numbers([&validation, &test], |batch, _, _| {
            Ok(by(&trained.network, batch))
        })?;
        if arm.on_chips {
            let batches = Batches::new(&tasks[0], BATCH, quiet)?;
            let evaluation = Evaluation::new(&trained.network, recipe.weights::<UNet>(), batches);
            let told = observer.chips(&name, self.chips * SIGMAS.len() as u64);
            for sigma in SIGMAS {
                let variation = Variation::from(Distribution::gaussian(sigma));
                let fab = evaluation.varied(&variation);
                let mut sums = [0.0; CHIP_MAPS.len()];
                for number in 0..self.chips {
                    if place.is_stopped() {
                        return Ok(None);
                    }
                    let chip = fab.chip(ChipSeed::new(CHIPS, number))?;
                    let found = maps::maps(&tasks, quiet, |batch, _| Ok(by(&chip, batch)))?;
                    for ((task, maps), sum) in tasks.iter().zip(&found).zip(&mut sums) {
                        *sum += task.measured(LesionMetric::Auprc, maps)?;
                    }
                    told();
                }
                let means = CHIP_MAPS.into_iter().zip(sums);
                numbers.extend(
                    means.map(|((map, _), sum)| (on_chips(map, sigma), sum / self.chips as f64)),
                );
            }
        }
        Ok(Some((numbers, trained.passes.backward)))
    }
}

impl Experiment for MriPaper {
    const NAME: &'static str = "mri";
    type Arm = MriArm;

    fn config(&self) -> Result<Value> {
        let mut experiment = study::json(self)?;
        experiment["sigmas"] = json!(SIGMAS);
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
        let chips = SIGMAS.iter();
        let chips = chips.flat_map(|sigma| CHIP_MAPS.map(|(map, _)| on_chips(map, *sigma)));
        let shares = maps().map(auprc).chain(maps().map(dice)).chain(chips);
        let shares = shares.chain([PREVALENCE.to_string()]);
        let columns = shares.map(|name| ReproductionColumn {
            metric: Metric::share(name.clone()),
            name,
        });
        let ratio = ReproductionColumn {
            name: RATIO.to_string(),
            metric: Metric::from_zero(RATIO),
        };
        columns.chain([ratio]).collect()
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
                .filter_map(|arm| cells.line(arm.name(), SIGMAS.map(|sigma| on_chips(map, sigma))))
                .collect(),
        };
        CHIP_MAPS.map(over_sigma).into()
    }
}
