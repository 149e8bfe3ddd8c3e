//! The maps that every reconstruction is judged by, and the numbers that they come to.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use burn::tensor::{Device, Tensor};
use crossburn_models::{Restored, UNet};
use crossburn_training::data::mri::Means;
use crossburn_training::data::{Samples, Values};
use crossburn_training::{
    CorruptionNoise, Learn, LesionConfig, LesionDetection, LesionMaps, LesionMetric,
    Reconstruction, Slices, Task,
};

use super::arms::{Given, MriArm};

/// Slices that pass at a time.
pub(super) const BATCH: usize = 16;
/// The paper's share of structural similarity.
pub(super) const ALPHA: f64 = 0.84;
/// The maps: their names, and their shares of structural similarity.
pub(super) const MAPS: [(&str, f64); 3] = [("l1", 0.0), ("SSIM", 1.0), ("FQ", ALPHA)];
/// The map with the share that a network has learned with.
pub(super) const OWN: &str = "own";

pub(super) const PREVALENCE: &str = "prevalence";
pub(super) const RATIO: &str = "intensity ratio";

pub(super) fn auprc(map: &str) -> String {
    format!("AUPRC {map}")
}

pub(super) fn dice(map: &str) -> String {
    format!("Dice {map}")
}

/// The maps that `arm` is judged by: each of [`MAPS`], and its own where that is none of these.
fn maps_of(arm: &MriArm) -> Vec<(&'static str, f64)> {
    let mut maps = Vec::from(MAPS);
    if let Given::Trained { alpha, .. } = arm.given
        && MAPS.iter().all(|(_, share)| *share != alpha)
    {
        maps.push((OWN, alpha));
    }
    maps
}

/// The task that finds lesions in the map of share `map` in what `arm` gives back.
pub(super) fn task(arm: &MriArm, noise: CorruptionNoise, map: f64) -> LesionConfig {
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
        noise,
        ..LesionConfig::default()
    }
}

/// The values of drawn slices.
pub(super) fn pixels_of(samples: &Samples) -> Result<&[f32]> {
    match &samples.values {
        Values::Floats(values) => Ok(values),
        Values::Bytes(_) | Values::Streamed(_) => bail!("drawn slices are no floats"),
    }
}

/// How much brighter or darker lesions of `arm` are than healthy brain: the larger mean over the smaller one.
fn ratio(arm: &MriArm, samples: &Samples) -> Result<f64> {
    let masks = samples.masks.as_ref().context("slices have no masks")?;
    let mut means = Means::default();
    means.add(pixels_of(samples)?, &masks.brain, &masks.lesion);
    let ratio = means.ratio(false);
    let ratio = ratio.with_context(|| format!("{}: no test slice has a lesion", arm.name))?;
    match ratio.is_finite() {
        true => Ok(ratio),
        false => bail!(
            "{}: lesions or healthy brain have a mean intensity of 0, so their ratio is not defined",
            arm.name
        ),
    }
}

/// What is given back of the slices of each task, whose items are the same, as maps of each.
pub(super) fn maps(
    tasks: &[LesionDetection],
    device: &Device,
    given: impl Fn(&Slices, &[usize]) -> Result<Tensor<4>>,
) -> Result<Vec<LesionMaps>> {
    let mut all = vec![LesionMaps::default(); tasks.len()];
    let items: Vec<usize> = (0..tasks[0].items()).collect();
    for items in items.chunks(BATCH) {
        let batch = tasks[0].batch(items, device)?;
        let output = Restored::from(given(&batch, items)?);
        for (task, maps) in tasks.iter().zip(&mut all) {
            let maps = std::slice::from_mut(maps);
            Learn::<UNet>::judge(task, output.clone(), &batch, maps)?;
        }
    }
    Ok(all)
}

/// One arm that is judged.
pub(super) struct Judged<'a> {
    pub(super) arm: &'a MriArm,
    pub(super) noise: CorruptionNoise,
    pub(super) seed: u64,
    pub(super) device: &'a Device,
}

impl Judged<'_> {
    /// The tasks of maps of these shares on `samples`, with thresholds where there are some.
    pub(super) fn tasks(
        &self,
        samples: &Arc<Samples>,
        maps: impl IntoIterator<Item = (f64, Option<f64>)>,
    ) -> Result<Vec<LesionDetection>> {
        let of = |(share, threshold)| {
            let config = LesionConfig {
                threshold,
                ..task(self.arm, self.noise, share)
            };
            let samples = Arc::clone(samples);
            Ok(LesionDetection::judge(samples, &config, self.seed)?)
        };
        maps.into_iter().map(of).collect()
    }

    /// Numbers of the second of `parts`, with thresholds from the first, where `given` gives the slices of a batch of either part back.
    pub(super) fn numbers(
        &self,
        parts: [&Arc<Samples>; 2],
        given: impl Fn(&Slices, &[usize], usize) -> Result<Tensor<4>>,
    ) -> Result<BTreeMap<String, f64>> {
        let [validation, test] = parts;
        let of = maps_of(self.arm);
        let shares = of.iter().map(|(_, share)| *share);
        let tasks = self.tasks(validation, shares.clone().map(|share| (share, None)))?;
        let found = maps(&tasks, self.device, |batch, items| given(batch, items, 0))?;
        let thresholds = tasks.iter().zip(&found).map(|(task, maps)| {
            let best = task.best_threshold(maps);
            let why = || format!("{}: no validation slice has a lesion", self.arm.name);
            best.with_context(why)
        });
        let thresholds: Vec<f64> = thresholds.collect::<Result<_>>()?;
        let tasks = self.tasks(test, shares.zip(thresholds.into_iter().map(Some)))?;
        let found = maps(&tasks, self.device, |batch, items| given(batch, items, 1))?;
        let prevalence = (PREVALENCE.to_string(), tasks[0].prevalence());
        let ratio = (RATIO.to_string(), ratio(self.arm, test)?);
        let mut numbers = BTreeMap::from([prevalence, ratio]);
        for ((task, maps), (name, share)) in tasks.iter().zip(&found).zip(of) {
            let area = task.measured(LesionMetric::Auprc, maps)?;
            let overlap = task.measured(LesionMetric::Dice, maps)?;
            let is_own = matches!(self.arm.given, Given::Trained { alpha, .. } if alpha == share);
            for name in [Some(name), is_own.then_some(OWN)].into_iter().flatten() {
                numbers.insert(auprc(name), area);
                numbers.insert(dice(name), overlap);
            }
        }
        Ok(numbers)
    }
}
