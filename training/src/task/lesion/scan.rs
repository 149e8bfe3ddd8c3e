//! Maps of slices whose lesions need not be known.

use std::ops::ControlFlow;
use std::sync::Arc;

use burn::tensor::Device;
use crossburn_models::{Autoencoder, Restored};

use super::scored::filtered;
use super::{LesionConfig, LesionDetection, LesionMaps, Slices, check, maps, undefined};
use crate::TrainingError;
use crate::data::Samples;
use crate::task::{Learn, Task};
use crate::weight_gradients::values;

/// What a network makes of slices, slice by slice, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct ScannedSlices {
    /// The filtered map; 0 outside the eroded brain.
    pub maps: Vec<f32>,
    /// What the network gives back.
    pub reconstructions: Vec<f32>,
    /// The threshold, where there is one, and the number of pixels that were found by it.
    pub found: Option<(f64, usize)>,
}

impl LesionDetection {
    /// All slices, of which nobody needs to know lesions: to make [`maps`](Self::maps) of them. The masks say where the brain is.
    ///
    /// # Errors
    /// Those of [`judge`](Self::judge), but for what the eroded brain holds.
    pub fn scan(
        samples: impl Into<Arc<Samples>>,
        config: &LesionConfig,
        seed: u64,
    ) -> Result<Self, TrainingError> {
        let samples = samples.into();
        check(&samples, config)?;
        let Some(masks) = &samples.masks else {
            let why = "the slices have no masks of brain and lesions".to_string();
            return Err(undefined(config.metric, why));
        };
        let [_, height, width] = samples.shape;
        let steps = config.erosion(width);
        let brains = masks.brain.chunks((height * width).max(1));
        let inside: Vec<u8> = brains
            .flat_map(|brain| maps::eroded(brain, width, steps))
            .collect();
        Ok(Self {
            places: (0..samples.len()).collect(),
            range: 0..samples.len(),
            config: Arc::new(config.clone()),
            seed,
            inside: Some(inside.into()),
            kept: Arc::default(),
            samples: Arc::clone(&samples),
        })
    }

    /// The maps of all slices of [`judge`](Self::judge) or [`scan`](Self::scan) by `network`, filtered, and their reconstructions, the mean of
    /// all passes; `each` hears how many slices are done, `batch` at a time, and may stop. `kept` is the threshold where the configuration
    /// has none.
    ///
    /// `None` where it was stopped.
    ///
    /// # Errors
    /// [`TrainingError::NotFinite`] for an output that is NaN or infinite, and slices that can no longer be read.
    pub fn maps<A: Autoencoder>(
        &self,
        network: &A,
        batch: usize,
        device: &Device,
        kept: Option<f64>,
        mut each: impl FnMut(usize) -> ControlFlow<()>,
    ) -> Result<Option<ScannedSlices>, TrainingError> {
        let mut reconstructions = Vec::new();
        let tally = self.passed(network, batch, device, |batch, output, done| {
            let joined = batch.reconstructions(output.outputs.clone()).mean_dim(1);
            reconstructions.extend(values(joined)?);
            Ok(each(done))
        })?;
        let Some(tally) = tally else {
            return Ok(None);
        };
        let threshold = self.threshold().or(kept);
        let [_, height, width] = self.samples.shape;
        let plane = height * width;
        let mut maps = vec![0.0; self.samples.len() * plane];
        let mut found = 0;
        for run in filtered(self.slices(&tally), [height, width], &self.config) {
            for (slice, map) in run.slices.iter().zip(run.map.scores.chunks(plane.max(1))) {
                maps[slice.place * plane..][..plane].copy_from_slice(map);
            }
            if let Some(threshold) = threshold {
                let voxels = run.map.found(threshold, self.config.smallest);
                found += voxels.iter().filter(|voxel| **voxel).count();
            }
        }
        Ok(Some(ScannedSlices {
            maps: maps[self.range.start * plane..self.range.end * plane].to_vec(),
            reconstructions,
            found: threshold.map(|threshold| (threshold, found)),
        }))
    }

    /// The maps of all slices by `network`, `batch` at a time.
    ///
    /// # Errors
    /// Those of [`maps`](Self::maps).
    pub(super) fn tally<A: Autoencoder>(
        &self,
        network: &A,
        batch: usize,
        device: &Device,
    ) -> Result<LesionMaps, TrainingError> {
        let all = |_: &Slices, _: &Restored, _| Ok(ControlFlow::Continue(()));
        Ok(self
            .passed(network, batch, device, all)?
            .unwrap_or_default())
    }

    /// Passes all slices through `network`, `batch` at a time. `each` is called with every batch, its output and the number
    /// of slices that are done, and may stop: then there is nothing.
    fn passed<A: Autoencoder>(
        &self,
        network: &A,
        batch: usize,
        device: &Device,
        mut each: impl FnMut(&Slices, &Restored, usize) -> Result<ControlFlow<()>, TrainingError>,
    ) -> Result<Option<LesionMaps>, TrainingError> {
        let mut tally = [LesionMaps::default()];
        let items: Vec<usize> = (0..self.items()).collect();
        let mut done = 0;
        for items in items.chunks(batch.min(self.most_at_once()).max(1)) {
            let batch = self.batch(items, device)?;
            let output = Learn::<A>::forward(self, network, &batch);
            let judged = Learn::<A>::judge(self, output.clone(), &batch, &mut tally);
            judged.map_err(|error| error.at_item(done))?;
            done += items.len();
            if each(&batch, &output, done)?.is_break() {
                return Ok(None);
            }
        }
        let [tally] = tally;
        Ok(Some(tally))
    }
}
