//! The maps that every reconstruction is judged by, and the numbers that they come to.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use burn::tensor::{Device, Tensor};
use crossburn_models::{Restored, UNet};
use crossburn_training::data::mri::Means;
use crossburn_training::data::{Samples, Values};
use crossburn_training::{
    Learn, LesionConfig, LesionDetection, LesionMaps, LesionMetric, Slices, Task,
};

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

/// The values of slices, which are floats.
pub(super) fn pixels_of(samples: &Samples) -> Result<&[f32]> {
    match &samples.values {
        Values::Floats(values) => Ok(values),
        Values::Bytes(_) | Values::Streamed(_) => bail!("slices are no floats"),
    }
}

/// How much brighter or darker the lesions of `samples` are than healthy brain: the larger mean over the smaller one. `name` is for messages.
pub(super) fn ratio(name: &str, samples: &Samples) -> Result<f64> {
    let masks = samples.masks.as_ref().context("slices have no masks")?;
    let mut means = Means::default();
    means.add(pixels_of(samples)?, &masks.brain, &masks.lesion);
    let ratio = means.ratio(false);
    let ratio = ratio.with_context(|| format!("{name}: no test slice has a lesion"))?;
    match ratio.is_finite() {
        true => Ok(ratio),
        false => bail!(
            "{name}: lesions or healthy brain have a mean intensity of 0, so their ratio is not defined"
        ),
    }
}

/// Reconstructs the slices of a batch, whose items are known. The number is 0 for the validation part and 1 for the test part.
pub(super) type Restore<'a> = dyn Fn(&Slices, &[usize], usize) -> Result<Tensor<4>> + 'a;

/// What is given back of the slices of each task, whose items are the same, as maps of each.
pub(super) fn maps(
    tasks: &[LesionDetection],
    device: &Device,
    given: &dyn Fn(&Slices, &[usize]) -> Result<Tensor<4>>,
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

/// One way of giving slices back, judged by several maps.
pub(super) struct Judged<'a> {
    /// Its name, for messages.
    pub(super) name: &'a str,
    /// What is given back; the share of structural similarity in the map is another one for each map.
    pub(super) config: LesionConfig,
    /// Names and shares of structural similarity of the maps.
    pub(super) maps: Vec<(&'static str, f64)>,
    /// The share that its network has learned with: the map of this share is its own.
    pub(super) own: Option<f64>,
    pub(super) seed: u64,
    pub(super) device: &'a Device,
}

/// Numbers of test slices.
pub(super) struct Found {
    pub(super) numbers: BTreeMap<String, f64>,
    /// The task of its own map, with the threshold, and what was found.
    pub(super) own: Option<(LesionDetection, LesionMaps)>,
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
                map_alpha: Some(share),
                threshold,
                ..self.config.clone()
            };
            let samples = Arc::clone(samples);
            Ok(LesionDetection::judge(samples, &config, self.seed)?)
        };
        maps.into_iter().map(of).collect()
    }

    /// Numbers of the second of `parts`, with thresholds from the first, where `given` gives the slices of a batch of either part back.
    pub(super) fn found(&self, parts: [&Arc<Samples>; 2], given: &Restore<'_>) -> Result<Found> {
        let [validation, test] = parts;
        let shares = self.maps.iter().map(|(_, share)| *share);
        let tasks = self.tasks(validation, shares.clone().map(|share| (share, None)))?;
        let found = maps(&tasks, self.device, &|batch, items| given(batch, items, 0))?;
        let thresholds = tasks.iter().zip(&found).map(|(task, maps)| {
            let best = task.best_threshold(maps);
            best.with_context(|| format!("{}: no validation slice has a lesion", self.name))
        });
        let thresholds: Vec<f64> = thresholds.collect::<Result<_>>()?;
        let tasks = self.tasks(test, shares.zip(thresholds.into_iter().map(Some)))?;
        let found = maps(&tasks, self.device, &|batch, items| given(batch, items, 1))?;
        let prevalence = (PREVALENCE.to_string(), tasks[0].prevalence());
        let ratio = (RATIO.to_string(), ratio(self.name, test)?);
        let mut numbers = BTreeMap::from([prevalence, ratio]);
        let mut own = None;
        for ((task, maps), (name, share)) in tasks.into_iter().zip(found).zip(&self.maps) {
            let area = task.measured(LesionMetric::Auprc, &maps)?;
            let overlap = task.measured(LesionMetric::Dice, &maps)?;
            let is_own = self.own == Some(*share);
            for name in [Some(*name), is_own.then_some(OWN)].into_iter().flatten() {
                numbers.insert(auprc(name), area);
                numbers.insert(dice(name), overlap);
            }
            if is_own {
                own = Some((task, maps));
            }
        }
        Ok(Found { numbers, own })
    }
}
