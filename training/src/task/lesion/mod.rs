//! Finding lesions in slices of brains: a network learns to give healthy slices back, and what it cannot give back is suspicious.

mod config;
mod corruption;
mod figures;
mod maps;
mod noise;
mod over_patients;
mod overlap;
mod parts;
mod scan;
mod scored;
mod slices;
mod ssim;
#[cfg(test)]
mod tests;
mod volume;

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use burn::tensor::{Device, Tensor, TensorData};
use crossburn_checkpoints::Checksum;
use crossburn_models::{Autoencoder, Restored};
use crossburn_noise::{Better, Metric};

pub use config::{LesionConfig, LesionMetric, Reconstruction};
pub use noise::CorruptionNoise;
pub use over_patients::LesionIntervals;
pub(in crate::task) use parts::Lesions;
pub use scan::ScannedSlices;
pub use slices::Slices;

use self::corruption::{Corruption, Views};
use self::figures::PassedSlice;
use self::overlap::best_threshold;
use self::scored::{Scored, Slice};
use self::ssim::fusion_quality;
use super::{
    Batch, Chart, Learn, MeanTally, Moment, Pictures, RaisedLoss, Tally, Task, border_near,
    require_finite,
};
use crate::TrainingError;
use crate::data::{Augmentation, Conventions, Masks, Samples};
use crate::weight_gradients::values;

/// Views of slices that pass through a network at a time at most, where several slices are judged at once.
const VIEWS_AT_ONCE: usize = 1024;
/// The class of slices without a lesion.
const HEALTHY: u16 = 0;

/// Slices of brains: either the healthy ones alone, which a network learns to give back, or all of them, with masks, judged by how well the
/// difference between slice and reconstruction tells lesions from the rest, voxel by voxel.
///
/// A network is not told how much noise a slice has: it can see it in the patch.
///
/// # Source
/// Pan et al., "Rethinking medical anomaly detection in brain MRI: an image quality assessment perspective", arXiv 2408.08228; Behrendt et
/// al., "Patched diffusion models for unsupervised anomaly detection in brain MRI", MIDL 2023.
#[derive(Clone, Debug)]
pub struct LesionDetection {
    samples: Arc<Samples>,
    /// Places of the items among the samples.
    places: Arc<[usize]>,
    range: Range<usize>,
    config: Arc<LesionConfig>,
    /// What the noise of a slice is drawn with where it is always the same.
    seed: u64,
    /// The eroded brain of every sample, pixel by pixel, where lesions are told from the rest.
    inside: Option<Arc<[u8]>>,
    /// The threshold that training found, for a configuration without one.
    kept: Arc<OnceLock<f64>>,
}

impl LesionDetection {
    /// The healthy slices, to learn from, judged by the mean of [`LesionConfig::alpha`]'s fusion of structural similarity and absolute
    /// difference.
    ///
    /// # Errors
    /// [`TrainingError::Setting`] for a bad configuration, slices that are no images of one channel, and where none is healthy.
    pub fn learn(
        samples: impl Into<Arc<Samples>>,
        config: &LesionConfig,
        seed: u64,
    ) -> Result<Self, TrainingError> {
        let samples = samples.into();
        check(&samples, config)?;
        let healthy = |place: &usize| samples.labels[*place] == HEALTHY;
        let places: Arc<[usize]> = (0..samples.len()).filter(healthy).collect();
        if places.is_empty() && !samples.is_empty() {
            return Err(TrainingError::setting(
                "data.source",
                "slices that all have a lesion",
                "one with healthy slices to learn from",
            ));
        }
        Ok(Self {
            range: 0..places.len(),
            places,
            samples,
            config: Arc::new(config.clone()),
            seed,
            inside: None,
            kept: Arc::default(),
        })
    }

    /// All slices, judged by how well the map of differences tells lesions from the rest.
    ///
    /// # Errors
    /// [`TrainingError::Setting`] for a bad configuration and slices that are no images of one channel; [`TrainingError::Undefined`]
    /// without masks, and where the eroded brain does not hold both voxels of lesions and others.
    pub fn judge(
        samples: impl Into<Arc<Samples>>,
        config: &LesionConfig,
        seed: u64,
    ) -> Result<Self, TrainingError> {
        let task = Self::scan(samples, config, seed)?;
        match task.prevalence() {
            prevalence if prevalence > 0.0 && prevalence < 1.0 => Ok(task),
            _ => Err(undefined(
                config.metric,
                format!(
                    "{} slices, whose brains are eroded by {} pixels, do not hold both voxels of lesions and others",
                    task.items(),
                    config.erosion(task.samples.shape[2])
                ),
            )),
        }
    }

    /// The same items. Where the configuration has no threshold, they take that of `kept`, even if it is set later.
    pub(super) fn with_kept_threshold(self, kept: Arc<OnceLock<f64>>) -> Self {
        Self { kept, ..self }
    }

    /// Voxels above this score are found.
    fn threshold(&self) -> Option<f64> {
        let kept = self.kept.get().copied();
        self.config.threshold.or(kept)
    }

    /// The share of lesions among the voxels of the eroded brains: the AUPRC of a network that tells nothing.
    pub fn prevalence(&self) -> f64 {
        let (mut lesions, mut voxels) = (0u64, 0u64);
        for place in &self.places[self.range.clone()] {
            if let Some((inside, lesion)) = self.masks(*place) {
                for (inside, lesion) in inside.iter().zip(lesion) {
                    voxels += u64::from(*inside);
                    lesions += u64::from(*inside & *lesion);
                }
            }
        }
        lesions as f64 / voxels.max(1) as f64
    }

    /// The eroded brain and the lesions of the sample at `place`.
    fn masks(&self, place: usize) -> Option<(&[u8], &[u8])> {
        let Masks { lesion, .. } = self.samples.masks.as_ref()?;
        let [_, height, width] = self.samples.shape;
        let pixels = place * height * width..(place + 1) * height * width;
        Some((&self.inside.as_ref()?[pixels.clone()], &lesion[pixels]))
    }

    fn place(&self, item: usize) -> usize {
        self.places[self.range.start + item]
    }

    fn group(&self, item: usize) -> Option<u32> {
        let origins = self.samples.origins.as_ref()?;
        Some(origins.samples[self.place(item)].group)
    }

    /// Slices of `clean` pixels, one row for each of `items`, with what networks are shown of them.
    fn shown(&self, items: &[usize], clean: Tensor<4>, key: u64) -> Result<Slices, TrainingError> {
        self.samples.check_read()?;
        let [_, height, width] = self.samples.shape;
        let corruption = Corruption {
            config: &self.config,
            size: [height, width],
        };
        let places: Vec<usize> = items.iter().map(|item| self.place(*item)).collect();
        let mut views = Views::default();
        for place in &places {
            match self.inside {
                Some(_) => corruption.judged(key, *place as u64, &mut views),
                None => corruption.learned(key, *place as u64, &mut views),
            }
        }
        let passes = match self.inside {
            Some(_) => self.config.passes,
            None => 1,
        };
        let each = views.keep.len() / (items.len() * height * width).max(1);
        let shape = [items.len(), each, height, width];
        let device = clean.device();
        let tensor = |values| Tensor::<4>::from_data(TensorData::new(values, shape), &device);
        let inputs = clean.clone() * tensor(views.keep) + tensor(views.add);
        Ok(Slices {
            inputs: inputs.reshape([items.len() * each, 1, height, width]),
            pasted: tensor(views.pasted),
            clean,
            places,
            passes,
        })
    }

    /// What is learned from, pixel by pixel of every pass: `[items, passes, height, width]`.
    fn errors(&self, output: Tensor<4>, batch: &Slices) -> Tensor<4> {
        let reconstructions = batch.reconstructions(output);
        let clean = batch.clean.clone().repeat_dim(1, batch.passes);
        fusion_quality(clean, reconstructions, self.config.alpha)
    }

    /// The map that lesions are found in. Of several passes it is that of their mean `m`; with `spread = f` it counts less where their
    /// standard deviation `s` at the pixel is large:
    ///
    /// ```text
    /// FQ(x, m) · f / √(s² + f²)
    /// ```
    ///
    /// This is the distance of Mahalanobis with the variance of every pixel alone, but for the floor `f` and the scale.
    ///
    /// # Shapes
    /// `[items · views, 1, height, width] → [items, 1, height, width]`.
    ///
    /// # Source
    /// Behrendt et al., "Leveraging the Mahalanobis distance to enhance unsupervised brain MRI anomaly detection", MICCAI 2024, which takes the
    /// covariance of pixels as well.
    fn map(&self, output: Tensor<4>, batch: &Slices) -> Tensor<4> {
        let alpha = self.config.map_alpha();
        let reconstructions = batch.reconstructions(output);
        if batch.passes == 1 {
            return fusion_quality(batch.clean.clone(), reconstructions, alpha);
        }
        let mean = reconstructions.clone().mean_dim(1);
        let map = fusion_quality(batch.clean.clone(), mean.clone(), alpha);
        let Some(floor) = self.config.spread else {
            return map;
        };
        let away = reconstructions - mean;
        let variance = (away.clone() * away).sum_dim(1) / (batch.passes - 1) as f64;
        map * floor / (variance + floor * floor).sqrt()
    }

    /// All slices that were judged.
    fn slices<'a>(&'a self, tally: &'a LesionMaps) -> Vec<Slice<'a>> {
        let origins = self.samples.origins.as_ref();
        let slices = tally.maps.iter().filter_map(|(place, map)| {
            let (inside, lesion) = self.masks(*place)?;
            let (volume, number) = match origins {
                Some(origins) => {
                    let origin = origins.samples[*place];
                    (origin.sequence, origin.place)
                }
                // Nobody knows which slices lie side by side.
                None => (*place as u32, 0),
            };
            Some(Slice {
                place: *place,
                volume,
                number,
                map,
                inside,
                lesion,
            })
        });
        slices.collect()
    }

    /// The volumes of all slices that were judged, filtered.
    fn scored(&self, tally: &LesionMaps) -> Scored {
        let [_, height, width] = self.samples.shape;
        let threshold = self.threshold();
        Scored::new(self.slices(tally), [height, width], &self.config, threshold)
    }

    /// One number of maps, whatever these detectors are judged by.
    ///
    /// # Errors
    /// [`TrainingError::Undefined`] where nothing is a lesion, for a Dice coefficient where nothing was found either, and for a Dice
    /// coefficient without a threshold.
    pub fn measured(&self, metric: LesionMetric, maps: &LesionMaps) -> Result<f64, TrainingError> {
        self.of(metric, &self.scored(maps)).ok_or_else(|| {
            let why = match (metric, self.threshold()) {
                (LesionMetric::Auprc, _) => "nothing is a lesion in these slices",
                (LesionMetric::Dice | LesionMetric::PooledDice, Some(_)) => {
                    "nothing is a lesion in these slices, and nothing was found"
                }
                (LesionMetric::Dice | LesionMetric::PooledDice, None) => {
                    "there is no threshold: set task.threshold, or train with validation patients who have lesions"
                }
            };
            undefined(metric, why.to_string())
        })
    }

    /// The threshold of maps at which the Dice coefficient of all voxels together is largest, as far as ten halvings find it; `None` without a
    /// lesion. It is for other volumes than these.
    pub fn best_threshold(&self, maps: &LesionMaps) -> Option<f64> {
        Some(best_threshold(&self.scored(maps).voxels)?.0)
    }

    fn of(&self, metric: LesionMetric, scored: &Scored) -> Option<f64> {
        match metric {
            LesionMetric::Auprc => super::auprc(&scored.voxels),
            LesionMetric::Dice => scored.mean_dice(),
            LesionMetric::PooledDice => scored.pooled()?.dice(),
        }
    }
}

fn undefined(metric: LesionMetric, why: String) -> TrainingError {
    TrainingError::Undefined {
        metric: metric.metric().name.into_owned(),
        why,
    }
}

/// Refuses a bad configuration, and slices that it does not fit.
fn check(samples: &Samples, config: &LesionConfig) -> Result<(), TrainingError> {
    config.check()?;
    let [channels, height, width] = samples.shape;
    if channels != 1 {
        return Err(TrainingError::setting(
            "data.source",
            format!("images of {channels} channels"),
            "slices of one channel for this task",
        ));
    }
    if config.reconstruction == Reconstruction::Patched && config.patches > height.min(width) {
        let allowed = "fewer patches than a slice has rows and columns";
        return Err(TrainingError::setting(
            "task.patches",
            config.patches,
            allowed,
        ));
    }
    Ok(())
}

/// The maps of slices, or what they are learned by.
#[derive(Clone, Debug, Default)]
pub struct LesionMaps {
    /// Number of the slice among the samples, and its map.
    maps: Vec<(usize, Vec<f32>)>,
    errors: MeanTally,
}

impl Tally for LesionMaps {
    fn merge(&mut self, other: Self) {
        self.maps.extend(other.maps);
        self.errors.merge(other.errors);
    }
}

impl Task for LesionDetection {
    type Batch = Slices;
    type Tally = LesionMaps;

    fn metric(&self) -> Metric {
        match self.inside {
            Some(_) => self.config.metric.metric(),
            None => Metric::from_zero("reconstruction error"),
        }
    }

    fn items(&self) -> usize {
        self.range.len()
    }

    fn split_at(&self, count: usize) -> (Self, Self) {
        let middle = self.range.start + count.min(self.items());
        let part = |range| Self {
            range,
            ..self.clone()
        };
        (part(self.range.start..middle), part(middle..self.range.end))
    }

    /// Between two volumes, as near to `count` as may be.
    fn hold_back(&self, count: usize) -> (Self, Self) {
        self.split_at(border_near(count, self.items(), |item| self.group(item)))
    }

    fn digest(&self) -> String {
        let places = || self.places[self.range.clone()].iter().copied();
        let digest = self.samples.digest_of(places());
        let Some(origins) = &self.samples.origins else {
            return digest;
        };
        let mut sum = Checksum::default();
        origins.add_to(&mut sum, places());
        format!("{digest} {sum}")
    }

    fn batch(&self, items: &[usize], device: &Device) -> Result<Slices, TrainingError> {
        let places: Vec<usize> = items.iter().map(|item| self.place(*item)).collect();
        self.shown(items, self.samples.inputs(&places, device), self.seed)
    }

    fn fresh(
        &self,
        items: &[usize],
        moment: Moment,
        device: &Device,
    ) -> Result<Slices, TrainingError> {
        let places: Vec<usize> = items.iter().map(|item| self.place(*item)).collect();
        self.shown(items, self.samples.inputs(&places, device), moment.key)
    }

    fn augmented(
        &self,
        items: &[usize],
        augmentation: &Augmentation,
        key: u64,
        device: &Device,
    ) -> Result<Slices, TrainingError> {
        let places: Vec<usize> = items.iter().map(|item| self.place(*item)).collect();
        let samples = &self.samples;
        let slices = samples.augmented_inputs(&places, augmentation, key, device);
        self.shown(items, slices, key)
    }

    fn conventions(&self) -> Option<Conventions> {
        Some(self.samples.conventions())
    }

    /// As many slices as have 1,024 views together, one at least.
    fn most_at_once(&self) -> usize {
        let views = match self.inside {
            Some(_) => self.config.views().unwrap_or(VIEWS_AT_ONCE),
            None => 1,
        };
        (VIEWS_AT_ONCE / views.max(1)).max(1)
    }

    fn value(&self, tally: &LesionMaps) -> Result<f64, TrainingError> {
        if self.inside.is_none() {
            return Ok(tally.errors.mean());
        }
        self.measured(self.config.metric, tally)
    }

    fn also(&self, tally: &LesionMaps) -> Vec<(Metric, f64)> {
        if self.inside.is_none() {
            return Vec::new();
        }
        let scored = self.scored(tally);
        let all = [
            LesionMetric::Auprc,
            LesionMetric::Dice,
            LesionMetric::PooledDice,
        ];
        let others = all.into_iter().filter(|other| *other != self.config.metric);
        let mut found: Vec<(Metric, f64)> = others
            .filter_map(|other| Some((other.metric(), self.of(other, &scored)?)))
            .collect();
        found.push((Metric::share("prevalence"), self.prevalence()));
        let number = |name: &'static str| Metric {
            better: Better::Higher,
            ..Metric::from_zero(name)
        };
        if let Some(threshold) = self.threshold() {
            found.push((number("threshold"), threshold));
        }
        if let Some((threshold, dice)) = best_threshold(&scored.voxels) {
            let name = "pooled Dice at the best threshold of these slices (optimistic)";
            found.push((Metric::share(name), dice));
            let name = "best threshold of these slices (optimistic)";
            found.push((number(name), threshold));
        }
        found.push((number("volumes"), scored.volumes() as f64));
        found
    }

    fn charts(&self, tally: &LesionMaps) -> Vec<Chart> {
        match self.inside {
            Some(_) => self.drawn(tally),
            None => Vec::new(),
        }
    }
}

impl<A: Autoencoder> Learn<A> for LesionDetection {
    type Output = Restored;
    type Surrogate = RaisedLoss;

    fn forward(&self, network: &A, batch: &Slices) -> Restored {
        network.restore(batch.inputs.clone())
    }

    fn loss(&self, output: Restored, batch: &Slices) -> Tensor<1> {
        let errors = self.errors(output.outputs.clone(), batch).mean();
        output.penalized(errors)
    }

    fn judge(
        &self,
        output: Restored,
        batch: &Slices,
        tallies: &mut [LesionMaps],
    ) -> Result<(), TrainingError> {
        let output = output.outputs;
        let map = match self.inside {
            Some(_) => self.map(output, batch),
            None => self.errors(output, batch).mean_dim(1),
        };
        let map = values(map)?;
        let pixels = (map.len() / batch.items().max(1)).max(1);
        require_finite(&map, pixels)?;
        let slices = || map.chunks(pixels).zip(&batch.places);
        for tally in tallies {
            match self.inside {
                Some(_) => tally
                    .maps
                    .extend(slices().map(|(map, place)| (*place, map.to_vec()))),
                None => slices().for_each(|(map, _)| {
                    let sum: f64 = map.iter().map(|error| f64::from(*error)).sum();
                    tally.errors.add(sum / pixels as f64);
                }),
            }
        }
        Ok(())
    }

    fn pictures(
        &self,
        network: &A,
        tally: &LesionMaps,
        item: &dyn Fn(usize) -> Result<Option<Slices>, TrainingError>,
    ) -> Result<Option<Pictures>, TrainingError> {
        if self.inside.is_none() {
            return Ok(None);
        }
        self.pictured(tally, &|number| {
            let Some(batch) = item(number)? else {
                return Ok(None);
            };
            let output = Learn::<A>::forward(self, network, &batch);
            PassedSlice::new(batch, output).map(Some)
        })
    }
}
