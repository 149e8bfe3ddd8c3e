//! Quality of images as the measure of a reconstruction, in training and in the map that lesions are found in.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use burn::tensor::{Device, Tensor, TensorData};
use crossburn_hardware::deploy::Fab;
use crossburn_models::{ModelConfig, UNet, UNetConfig, UNetNorm, initialize};
use crossburn_noise::{ChipSeed, Distribution, Metric, Philox, Variation, path_hash};
use crossburn_training::data::mri::{
    Contrast, Means, PhantomConfig, Reverse, phantom, phantom_without_lesions, smooth_field,
};
use crossburn_training::data::{DataSource, Samples, Values};
use crossburn_training::{
    Batches, CorruptionNoise, DataConfig, Evaluation, Learn, LesionConfig, LesionDetection,
    LesionMaps, LesionMetric, Recipe, Reconstruction, Run, Slices, Task, TaskConfig,
    TrainingConfig, train,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::cells::{Cell, Cells};
use super::claim::{Expected, claim, differences};
use super::{Arm, Experiment, Extent, Place, training_name};
use crate::apps::study::{self, StudyObserver};
use crate::report::{Claim, ReproductionColumn};

/// What is given back of the slices of each task, whose items are the same, as maps of each.
fn maps(
    tasks: &[LesionDetection],
    device: &Device,
    given: impl Fn(&Slices, &[usize]) -> Result<Tensor<4>>,
) -> Result<Vec<LesionMaps>> {
    let mut all = vec![LesionMaps::default(); tasks.len()];
    let items: Vec<usize> = (0..tasks[0].items()).collect();
    for items in items.chunks(BATCH) {
        let batch = tasks[0].batch(items, device)?;
        let output = given(&batch, items)?;
        for (task, maps) in tasks.iter().zip(&mut all) {
            let maps = std::slice::from_mut(maps);
            Learn::<UNet>::judge(task, output.clone(), &batch, maps)?;
        }
    }
    Ok(all)
}

/// The values of drawn slices.
fn pixels_of(samples: &Samples) -> Result<&[f32]> {
    match &samples.values {
        Values::Floats(values) => Ok(values),
        Values::Bytes(_) | Values::Streamed(_) => bail!("drawn slices are no floats"),
    }
}

/// How much brighter or darker lesions are than healthy brain: the larger mean over the smaller one; `None` without a lesion.
fn ratio(samples: &Samples) -> Result<Option<f64>> {
    let masks = samples.masks.as_ref().context("slices have no masks")?;
    let mut means = Means::default();
    means.add(pixels_of(samples)?, &masks.brain, &masks.lesion);
    Ok(means.ratio(false))
}

/// Slices of a patient.
const OF_PATIENT: usize = 8;
/// Slices that pass at a time.
const BATCH: usize = 16;
/// Seed of the chips that are judged.
const CHIPS: u64 = 7;
/// The paper's share of structural similarity.
const ALPHA: f64 = 0.84;
/// The maps that every reconstruction is judged by: their names and their shares of structural similarity.
const MAPS: [(&str, f64); 3] = [("l1", 0.0), ("SSIM", 1.0), ("FQ", ALPHA)];

const PREVALENCE: &str = "prevalence";
const RATIO: &str = "intensity ratio";

fn auprc(map: &str) -> String {
    format!("AUPRC {map}")
}

fn dice(map: &str) -> String {
    format!("Dice {map}")
}

fn on_chips(map: &str) -> String {
    format!("AUPRC {map}, chips")
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
    /// Slices of each part where nothing is trained.
    untrained: usize,
    model: UNetConfig,
    training: TrainingConfig,
    noise: CorruptionNoise,
    /// Chips of each network that is judged on chips.
    chips: u64,
    /// σ of the chips, relative to the largest weight of a layer.
    sigma: f64,
}

/// Lesions, and what a reconstruction does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Regime {
    t2: bool,
    d: f64,
    het: f64,
    /// Standard deviation of the smooth relative error; the fine one is a quarter of it.
    error: f64,
}

/// The regimes of the specification: two of lesions that are hard to see against a smooth error, one of bright lesions, and one of T2.
const REGIMES: [(&str, Regime); 4] = [
    (
        "subtle",
        Regime {
            t2: false,
            d: 0.05,
            het: 0.12,
            error: 0.12,
        },
    ),
    (
        "faint",
        Regime {
            t2: false,
            d: 0.10,
            het: 0.10,
            error: 0.18,
        },
    ),
    (
        "bright",
        Regime {
            t2: false,
            d: 0.16,
            het: 0.06,
            error: 0.06,
        },
    ),
    (
        "T2",
        Regime {
            t2: true,
            d: 0.18,
            het: 0.06,
            error: 0.06,
        },
    ),
];

impl Regime {
    fn phantom(self, reversed: bool, size: usize) -> PhantomConfig {
        PhantomConfig {
            contrast: if self.t2 {
                Contrast::T2
            } else {
                Contrast::Flair
            },
            d: self.d,
            het: self.het,
            size,
            reverse: if reversed { Reverse::Yes } else { Reverse::No },
        }
    }
}

/// What gives slices back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Given {
    /// A network that learned with this share of structural similarity.
    Trained {
        reconstruction: Reconstruction,
        alpha: f64,
    },
    /// Healthy brains with an error.
    Healthy,
}

/// One way of giving slices back, on one kind of brains.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct MriArm {
    name: String,
    regime: Regime,
    reversed: bool,
    given: Given,
    on_chips: bool,
}

impl Arm for MriArm {
    fn name(&self) -> &str {
        &self.name
    }

    fn family(&self) -> &str {
        &self.name
    }
}

const AUTOENCODER: &str = "autoencoder";
const WHOLE: &str = "whole image";
const T2: &str = "T2 patched FQ";
const PATCHED: &str = "patched FQ";

fn patched(alpha: f64) -> String {
    match MAPS.iter().find(|(_, share)| *share == alpha) {
        Some((name, _)) => format!("patched {name}"),
        None => format!("patched α = {alpha}"),
    }
}

fn reversed(name: &str) -> String {
    format!("{name}, reversed")
}

fn untrained(regime: &str) -> String {
    format!("map alone: {regime}")
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
        let (size, patients, epochs, width) = match extent {
            Extent::Quick => (32, [10, 4, 4], 1, 4),
            Extent::Usual => (64, [100, 40, 50], 12, 8),
            Extent::Full => bail!("this paper's experiment has one size: drop --full"),
        };
        let [learn, validation, test] = patients.map(|patients| patients * OF_PATIENT);
        Ok(Self {
            size,
            learn,
            validation,
            test,
            untrained: test,
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
            chips: 5,
            sigma: 0.05,
        })
    }

    /// The task that finds lesions in the map of `alpha` in what `arm` gives back.
    fn task(&self, arm: &MriArm, map: f64) -> LesionConfig {
        let (reconstruction, alpha) = match arm.given {
            Given::Trained {
                reconstruction,
                alpha,
            } => (reconstruction, alpha),
            Given::Healthy => (Reconstruction::Whole, map),
        };
        LesionConfig {
            alpha,
            map_alpha: Some(map),
            reconstruction,
            noise: self.noise,
            ..LesionConfig::default()
        }
    }

    /// The task of every map on `samples`, with thresholds where there are some.
    fn tasks(
        &self,
        arm: &MriArm,
        seed: u64,
        samples: &Arc<Samples>,
        thresholds: [Option<f64>; 3],
    ) -> Result<Vec<LesionDetection>> {
        let of = MAPS.into_iter().zip(thresholds);
        let task = |((_, share), threshold)| {
            let config = LesionConfig {
                threshold,
                ..self.task(arm, share)
            };
            Ok(LesionDetection::judge(Arc::clone(samples), &config, seed)?)
        };
        of.map(task).collect()
    }

    /// Numbers of the second of `parts`, with thresholds from the first, where `given` gives the slices of a batch back.
    fn judged(
        &self,
        arm: &MriArm,
        seed: u64,
        parts: [&Arc<Samples>; 2],
        device: &Device,
        given: impl Fn(&Slices, &[usize], usize) -> Result<Tensor<4>>,
    ) -> Result<BTreeMap<String, f64>> {
        let [validation, test] = parts;
        let tasks = self.tasks(arm, seed, validation, [None; 3])?;
        let maps = maps(&tasks, device, |batch, items| given(batch, items, 0))?;
        let mut thresholds = [None; 3];
        for ((task, maps), threshold) in tasks.iter().zip(&maps).zip(&mut thresholds) {
            let best = task.best_threshold(maps);
            *threshold = Some(best.context("no validation slice has a lesion")?);
        }
        let tasks = self.tasks(arm, seed, test, thresholds)?;
        let found = self::maps(&tasks, device, |batch, items| given(batch, items, 1))?;
        let prevalence = (PREVALENCE.to_string(), tasks[0].prevalence());
        let ratio = ratio(test)?.context("no test slice has a lesion")?;
        let mut numbers = BTreeMap::from([prevalence, (RATIO.to_string(), ratio)]);
        for ((task, maps), (name, _)) in tasks.iter().zip(&found).zip(MAPS) {
            numbers.insert(auprc(name), task.measured(LesionMetric::Auprc, maps)?);
            numbers.insert(dice(name), task.measured(LesionMetric::Dice, maps)?);
        }
        Ok(numbers)
    }

    /// The numbers of healthy brains with an error, in place of a reconstruction.
    fn without_network(
        &self,
        arm: &MriArm,
        seed: u64,
        device: &Device,
    ) -> Result<BTreeMap<String, f64>> {
        let config = arm.regime.phantom(arm.reversed, self.size);
        let firsts = [0, self.untrained as u64];
        let parts = firsts.map(|first| Arc::new(phantom(seed, first, self.untrained, &config)));
        let healthy =
            firsts.map(|first| phantom_without_lesions(seed, first, self.untrained, &config));
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
        self.judged(arm, seed, parts.each_ref(), device, given)
    }

    fn recipe(&self, arm: &MriArm, seed: u64) -> Recipe {
        Recipe {
            task: TaskConfig::LesionDetection(self.task(arm, ALPHA)),
            model: ModelConfig::UNet(self.model.clone()),
            data: DataConfig {
                validation: self.validation,
                ..Recipe::own(seed).data
            },
            training: self.training.clone(),
            ..Recipe::own(seed)
        }
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
        let recipe = self.recipe(arm, seed);
        let own = self.task(arm, ALPHA);
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
        // What a network is shown of a slice does not depend on the map.
        let tasks = self.tasks(arm, seed, &test, [None; 3])?;
        let by = |network: &UNet, batch: &Slices| Learn::<UNet>::forward(&tasks[0], network, batch);
        let parts = [&validation, &test];
        let mut numbers = self.judged(arm, seed, parts, quiet, |batch, _, _| {
            Ok(by(&trained.network, batch))
        })?;
        if arm.on_chips {
            let batches = Batches::new(&tasks[0], BATCH, quiet)?;
            let evaluation = Evaluation::new(&trained.network, recipe.weights::<UNet>(), batches);
            let variation = Variation::from(Distribution::gaussian(self.sigma));
            let fab = evaluation.varied(&variation);
            let told = observer.chips(&name, self.chips);
            let mut sums = [0.0; MAPS.len()];
            for number in 0..self.chips {
                if place.is_stopped() {
                    return Ok(None);
                }
                let chip = fab.chip(ChipSeed::new(CHIPS, number))?;
                let found = maps(&tasks, quiet, |batch, _| Ok(by(&chip, batch)))?;
                for ((task, maps), sum) in tasks.iter().zip(&found).zip(&mut sums) {
                    *sum += task.measured(LesionMetric::Auprc, maps)?;
                }
                told();
            }
            let means = MAPS.into_iter().zip(sums);
            numbers.extend(means.map(|((map, _), sum)| (on_chips(map), sum / self.chips as f64)));
        }
        Ok(Some((numbers, trained.passes.backward)))
    }
}

impl Experiment for MriPaper {
    const NAME: &'static str = "mri";
    type Arm = MriArm;

    fn config(&self) -> Result<Value> {
        Ok(json!({ "experiment": study::json(self)? }))
    }

    fn data(&self) -> String {
        format!(
            "procedural brains, {0} x {0}: {1} slices to learn from, {2} that thresholds come from, {3} test slices",
            self.size, self.learn, self.validation, self.test
        )
    }

    fn columns(&self) -> Vec<ReproductionColumn> {
        let shares = MAPS
            .iter()
            .map(|(map, _)| auprc(map))
            .chain(MAPS.iter().map(|(map, _)| dice(map)))
            .chain(MAPS.iter().map(|(map, _)| on_chips(map)))
            .chain([PREVALENCE.to_string()]);
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
        let [(_, subtle), _, _, (_, t2)] = REGIMES;
        let trained = |name: String, regime, reversed, reconstruction, alpha| MriArm {
            on_chips: [PATCHED, &patched(0.0)].contains(&name.as_str()),
            name,
            regime,
            reversed,
            given: Given::Trained {
                reconstruction,
                alpha,
            },
        };
        let of_patches = |alpha| {
            let name = patched(alpha);
            trained(name, subtle, false, Reconstruction::Patched, alpha)
        };
        let mut arms = vec![
            of_patches(ALPHA),
            of_patches(0.0),
            of_patches(0.5),
            of_patches(1.0),
            trained(
                reversed(PATCHED),
                subtle,
                true,
                Reconstruction::Patched,
                ALPHA,
            ),
            trained(T2.to_string(), t2, false, Reconstruction::Patched, ALPHA),
            trained(reversed(T2), t2, true, Reconstruction::Patched, ALPHA),
            trained(
                WHOLE.to_string(),
                subtle,
                false,
                Reconstruction::Denoising,
                ALPHA,
            ),
            trained(
                AUTOENCODER.to_string(),
                subtle,
                false,
                Reconstruction::Whole,
                ALPHA,
            ),
        ];
        for (name, regime) in REGIMES {
            for is_reversed in [false, true] {
                let name = untrained(name);
                arms.push(MriArm {
                    name: if is_reversed { reversed(&name) } else { name },
                    regime,
                    reversed: is_reversed,
                    given: Given::Healthy,
                    on_chips: false,
                });
            }
        }
        arms
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
        let over = |(left, of_left): (&str, &str), (right, of_right): (&str, &str)| {
            differences(&cells.of(left, of_left), &cells.of(right, of_right))
        };
        let [l1, ssim, fq] = MAPS.map(|(map, _)| auprc(map));
        let mut claims = Vec::new();
        let mut add = |what: String, expected: (Expected, &str), measured| -> Result<()> {
            claims.push(claim(what, expected, measured)?);
            Ok(())
        };
        let above = (Expected::AtLeast(0.0), "> 0");
        let below = (Expected::AtMost(0.0), "< 0");
        for (regime, _) in REGIMES {
            let name = untrained(regime);
            let turned = reversed(&name);
            for arm in [&name, &turned] {
                let gain = over((arm, &fq), (arm, &ssim));
                add(format!("points of AUPRC, FQ over SSIM, {arm}"), above, gain)?;
            }
            // Reversal raises the intensity ratio of FLAIR and lowers that of T2.
            let expected = if regime == "T2" { below } else { above };
            for map in [&ssim, &fq] {
                let gain = over((&turned, map), (&name, map));
                add(
                    format!("points of {map} by reversal, {name}"),
                    expected,
                    gain,
                )?;
            }
            // Structural similarity gains where lesions are hard to see, and loses where they are bright.
            let (expected, said) = match regime {
                "subtle" | "faint" => (above, "FQ over l1"),
                _ => (below, "FQ over l1, which wins on bright lesions"),
            };
            let gain = over((&name, &fq), (&name, &l1));
            add(format!("points of AUPRC, {said}, {name}"), expected, gain)?;
        }
        let percent = |arm: &str, number: &str, base: &str, of_base: &str| {
            let pairs = cells
                .of(arm, number)
                .into_iter()
                .zip(cells.of(base, of_base));
            pairs
                .map(|(new, old)| 100.0 * (new / old - 1.0))
                .collect::<Vec<f64>>()
        };
        let plain = patched(0.0);
        add(
            "per cent of AUPRC, patched FQ over patched l1".to_string(),
            (
                Expected::AtLeast(10.0),
                "≥ 10 %; the paper has 15 on BraTS21",
            ),
            percent(PATCHED, &fq, &plain, &l1),
        )?;
        add(
            "per cent of Dice, patched FQ over patched l1".to_string(),
            (
                Expected::AtLeast(10.0),
                "≥ 10 %; the paper has 20 on BraTS21",
            ),
            percent(PATCHED, &dice("FQ"), &plain, &dice("l1")),
        )?;
        add(
            "per cent of AUPRC by reversal, patched FQ".to_string(),
            (Expected::AtLeast(5.0), "≥ 5 %"),
            percent(&reversed(PATCHED), &fq, PATCHED, &fq),
        )?;
        add(
            "per cent of AUPRC by reversal, T2 patched FQ".to_string(),
            (Expected::AtMost(0.0), "no gain"),
            percent(&reversed(T2), &fq, T2, &fq),
        )?;
        for (better, worse) in [(PATCHED, WHOLE), (WHOLE, AUTOENCODER)] {
            let gain = over((better, &fq), (worse, &fq));
            add(
                format!("points of AUPRC, {better} over {worse}"),
                above,
                gain,
            )?;
        }
        for (share, map) in [(0.0, &l1), (1.0, &ssim)] {
            let other = patched(share);
            let gain = over((PATCHED, &fq), (&other, map));
            add(
                format!("points of AUPRC, α = {ALPHA} over α = {share}"),
                above,
                gain,
            )?;
        }
        let kept = |map| percent(PATCHED, &on_chips(map), PATCHED, &auprc(map));
        add(
            format!(
                "points, the share of its AUPRC that FQ keeps on chips over the share that l1 keeps, {PATCHED}"
            ),
            above,
            differences(&kept("FQ"), &kept("l1")),
        )?;
        Ok(claims)
    }
}
