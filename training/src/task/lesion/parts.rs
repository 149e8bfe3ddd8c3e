//! The parts of the slices of a recipe, and the threshold that lies beside the weights of a checkpoint.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use burn::tensor::Device;
use crossburn_models::{Autoencoder, ModelConfig};

use super::{LesionConfig, LesionDetection, LesionMetric, undefined};
use crate::TrainingError;
use crate::data::{Amount, DataSource};
use crate::task::kept_threshold::{keep_threshold, kept_threshold};
use crate::task::registry::samples;
use crate::task::{Part, Role, TaskParts};

/// The least score.
const LEAST_SCORE: f64 = 0.0;
/// Slices that pass at a time.
const BATCH: usize = 32;

/// The slices of a recipe.
#[derive(Debug)]
pub(crate) struct Lesions<'a> {
    model: &'a ModelConfig,
    config: &'a LesionConfig,
    /// The threshold of held-back patients: of this training, or of a checkpoint.
    kept: Arc<OnceLock<f64>>,
}

impl<'a> Lesions<'a> {
    pub(crate) fn new(model: &'a ModelConfig, config: &'a LesionConfig) -> Self {
        Self {
            model,
            config,
            kept: Arc::default(),
        }
    }

    /// Where its threshold is, once it is known.
    pub(super) fn kept(&self) -> Arc<OnceLock<f64>> {
        Arc::clone(&self.kept)
    }
}

impl LesionDetection {
    /// All slices, with lesions or without, of the patients to whom these healthy slices belong and no others of the part: what a threshold
    /// may come from. `None` where nobody knows whose they are, and where the eroded brains do not hold both voxels of lesions and others.
    ///
    /// # Errors
    /// Those of [`scan`](Self::scan), but for masks that are missing.
    pub(super) fn of_whole_patients(&self) -> Result<Option<Self>, TrainingError> {
        let (Some(origins), Some(_)) = (&self.samples.origins, &self.samples.masks) else {
            return Ok(None);
        };
        let groups = |places: &[usize]| -> BTreeSet<u32> {
            let groups = places.iter().map(|place| origins.samples[*place].group);
            groups.collect()
        };
        let (before, rest) = self.places.split_at(self.range.start);
        let (own, after) = rest.split_at(self.range.len());
        let mut own = groups(own);
        let others = &groups(before) | &groups(after);
        own.retain(|group| !others.contains(group));
        let all = Self::scan(Arc::clone(&self.samples), &self.config, self.seed)?;
        let places =
            (0..self.samples.len()).filter(|place| own.contains(&origins.samples[*place].group));
        let places: Arc<[usize]> = places.collect();
        let task = Self {
            range: 0..places.len(),
            places,
            ..all
        };
        let prevalence = task.prevalence();
        Ok((prevalence > 0.0 && prevalence < 1.0).then_some(task))
    }
}

impl<A: Autoencoder> TaskParts<A> for Lesions<'_> {
    type Task = LesionDetection;

    fn load(
        &self,
        source: &DataSource,
        seed: u64,
        (part, role): (Part, Role),
        amount: Amount,
    ) -> Result<LesionDetection, TrainingError> {
        let samples = samples(self.model, source, seed, (part, role), amount)?;
        let task = match role {
            Role::Learn => LesionDetection::learn(samples, self.config, seed),
            Role::Judge => LesionDetection::judge(samples, self.config, seed),
        };
        Ok(task?.with_kept_threshold(self.kept()))
    }

    fn check_held_back(&self, held_back: &LesionDetection) -> Result<(), TrainingError> {
        let needed = self.config.metric != LesionMetric::Auprc && self.config.threshold.is_none();
        if !needed || held_back.of_whole_patients()?.is_some() {
            return Ok(());
        }
        let why = "its threshold comes from the patients that training holds back, and these have no lesions: raise data.validation, or set task.threshold";
        Err(undefined(self.config.metric, why.to_string()))
    }

    fn settle(
        &self,
        network: impl FnOnce() -> A,
        held_back: &LesionDetection,
        device: &Device,
    ) -> Result<(), TrainingError> {
        if self.config.threshold.is_some() {
            return Ok(());
        }
        let Some(patients) = held_back.of_whole_patients()? else {
            return Ok(());
        };
        let maps = patients.tally(&network(), BATCH, device)?;
        if let Some(threshold) = patients.best_threshold(&maps) {
            let _ = self.kept.set(threshold);
        }
        Ok(())
    }

    fn save(&self, _: &A, checkpoint: &Path) -> Result<(), TrainingError> {
        keep_threshold(self.kept.get().copied(), checkpoint)
    }

    fn open(&self, checkpoint: &Path) -> Result<(), TrainingError> {
        if let Some(threshold) = kept_threshold(checkpoint, LEAST_SCORE)? {
            let _ = self.kept.set(threshold);
        }
        Ok(())
    }
}
