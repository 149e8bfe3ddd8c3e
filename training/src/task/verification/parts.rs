//! The images of a recipe, and the threshold of its held-back people.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use burn::tensor::Device;
use crossburn_models::{FaceNetConfig, ModelConfig, Recognizer};
use crossburn_noise::Metric;

use super::auxiliary::Auxiliary;
use super::{
    Verification, VerificationConfig, VerificationMetric, best_threshold, expect_class_vectors,
};
use crate::data::{Amount, DataSource};
use crate::task::kept_threshold::{keep_threshold, kept_threshold};
use crate::task::registry::samples;
use crate::task::{Chosen, Learn, Part, Role, Task, TaskParts};
use crate::{TrainingError, TrainingObserver};

/// Images that pass at a time.
const BATCH: usize = 128;

/// The images of a recipe.
#[derive(Debug)]
pub(crate) struct Verifications<'a> {
    model: &'a ModelConfig,
    network: &'a FaceNetConfig,
    config: &'a VerificationConfig,
    /// The threshold of held-back people: of this training, or of a checkpoint.
    kept: Arc<OnceLock<f64>>,
}

impl<'a> Verifications<'a> {
    pub(crate) fn new(
        model: &'a ModelConfig,
        network: &'a FaceNetConfig,
        config: &'a VerificationConfig,
    ) -> Self {
        Self {
            model,
            network,
            config,
            kept: Arc::default(),
        }
    }

    /// Where its threshold is, once it is known.
    pub(super) fn kept(&self) -> Arc<OnceLock<f64>> {
        Arc::clone(&self.kept)
    }
}

impl Verification {
    /// The threshold by which `network` decides best about these pairs, every group counting alike. It is for other people than these.
    ///
    /// # Errors
    /// An output that is not finite, and [`TrainingError::Undefined`] where no group has pairs of both kinds.
    pub fn best_threshold<R: Recognizer>(
        &self,
        network: &R,
        device: &Device,
    ) -> Result<f64, TrainingError> {
        let compared = self.compared(&self.vectors(network, device)?);
        let none = "no group of the held-back people has two people of whom one has two images";
        best_threshold(&compared).ok_or_else(|| self.undefined(none.to_string()))
    }

    /// The vectors that `network` gives all items.
    ///
    /// # Errors
    /// [`TrainingError::NotFinite`].
    pub fn vectors<R: Recognizer>(
        &self,
        network: &R,
        device: &Device,
    ) -> Result<super::FaceVectors, TrainingError> {
        let found = self.vectors_until(network, device, &mut |_| ControlFlow::Continue(()))?;
        Ok(found.unwrap_or_default())
    }

    /// The same, where `after_batch` is told how many items have passed, and may stop the work; `None` if it did.
    pub(super) fn vectors_until<R: Recognizer>(
        &self,
        network: &R,
        device: &Device,
        after_batch: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> Result<Option<super::FaceVectors>, TrainingError> {
        let items: Vec<usize> = (0..self.items()).collect();
        let mut tally = [super::FaceVectors::default()];
        for (turn, items) in items.chunks(BATCH).enumerate() {
            let batch = self.batch(items, device)?;
            let output = Learn::<R>::forward(self, network, &batch);
            let judged = Learn::<R>::judge(self, output, &batch, &mut tally);
            judged.map_err(|error| error.at_item(turn * BATCH))?;
            if after_batch(turn * BATCH + items.len()).is_break() {
                return Ok(None);
            }
        }
        let [tally] = tally;
        Ok(Some(tally))
    }
}

impl<R: Recognizer> TaskParts<R> for Verifications<'_> {
    type Task = Verification;

    fn load(
        &self,
        source: &DataSource,
        seed: u64,
        (part, role): (Part, Role),
        amount: Amount,
    ) -> Result<Verification, TrainingError> {
        let samples = samples(self.model, source, seed, (part, role), amount)?;
        let task = match role {
            Role::Learn => Verification::learn(samples, self.config, seed)?,
            Role::Judge => Verification::judge(samples, self.config, seed)?,
        };
        if role == Role::Learn {
            expect_class_vectors(self.network.identities, task.identities())?;
        }
        Ok(task.with_kept_threshold(self.kept()))
    }

    fn completed(
        &self,
        training: Verification,
        judged: Option<&Verification>,
        seed: u64,
    ) -> Result<Verification, TrainingError> {
        let Some(added) = &self.config.added else {
            return Ok(training);
        };
        let part = (Part::Training, Role::Learn);
        let people = samples(self.model, &added.source, seed, part, added.train.into())?;
        let all = training.with_added(&people)?;
        if let Some(judged) = judged {
            all.expect_unjudged(judged)?;
        }
        expect_class_vectors(self.network.identities, all.identities())?;
        Ok(all)
    }

    fn chosen(
        &self,
        learn: Verification,
        device: &Device,
        observer: &mut dyn TrainingObserver,
    ) -> Result<Option<Chosen<Verification>>, TrainingError> {
        let (mut learn, mut left_out) = (learn, Vec::new());
        if let Some(cleansing) = &self.config.cleansing {
            let auxiliary = Auxiliary::open(&cleansing.network)?.load(device)?;
            let items = learn.items();
            let mut told = |seen| {
                observer.choosing(seen, items);
                match observer.should_stop() {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            };
            let found = learn.cleansed(&auxiliary, cleansing.bounds(), device, &mut told)?;
            let Some((kept, cleansed)) = found else {
                return Ok(None);
            };
            learn = kept;
            let counts = [
                ("images left out", cleansed.images),
                ("people left out with fewer than two images", cleansed.alone),
                ("added people left out who look like others", cleansed.alike),
            ];
            left_out.extend(counts.map(|(name, count)| (Metric::from_zero(name), count as f64)));
        }
        if let Some(added) = &self.config.added {
            learn = learn.oversampled(added.oversample)?;
        }
        Ok(Some((learn, left_out)))
    }

    fn check_held_back(&self, held_back: &Verification) -> Result<(), TrainingError> {
        let needed =
            self.config.metric != VerificationMetric::Fnmr && self.config.threshold.is_none();
        match needed && held_back.pairs() == 0 {
            true => Err(held_back.undefined(
                "its threshold comes from the people that training holds back, and no group has five people or more: give more people, raise data.validation, or set task.threshold"
                    .to_string(),
            )),
            false => Ok(()),
        }
    }

    fn settle(
        &self,
        network: impl FnOnce() -> R,
        held_back: &Verification,
        device: &Device,
    ) -> Result<(), TrainingError> {
        if self.config.threshold.is_some() || held_back.pairs() == 0 {
            return Ok(());
        }
        let threshold = held_back.best_threshold(&network(), device)?;
        let _ = self.kept.set(threshold);
        Ok(())
    }

    fn save(&self, _: &R, checkpoint: &Path) -> Result<(), TrainingError> {
        keep_threshold(self.kept.get().copied(), checkpoint)
    }

    fn open(&self, checkpoint: &Path) -> Result<(), TrainingError> {
        if let Some(threshold) = kept_threshold(checkpoint, -1.0)? {
            let _ = self.kept.set(threshold);
        }
        Ok(())
    }
}
