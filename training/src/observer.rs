//! What training tells the outside while it runs.

use crossburn_noise::Variation;
use serde::{Deserialize, Serialize};

/// One epoch of a training curve. Accuracies are fractions in 0..=1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Epoch, from 1.
    pub epoch: usize,
    /// Learning rate of this epoch.
    pub learning_rate: f64,
    /// Mean cross-entropy over the training images, under the training noise.
    pub train_loss: f64,
    /// Accuracy over the training images, under the training noise.
    pub train_accuracy: f64,
    /// Accuracy over the validation images without noise.
    pub validation_accuracy: f64,
    /// Accuracy over the validation images with a new chip per batch; `None` where training has no noise.
    pub validation_noisy_accuracy: Option<f64>,
    /// Percentile of the accuracy over chips on the validation images, for a method that judges by it.
    pub validation_percentile: Option<f64>,
    /// The training noise of this epoch, of the copy that stands for it where several train.
    pub noise: Variation,
}

/// Follows a training run and may stop it.
///
/// All methods have empty defaults: implement what is of interest.
pub trait TrainingObserver {
    /// The run starts behind `done` finished epochs out of `total`, with `images` per epoch.
    fn started(&mut self, _done: usize, _total: usize, _images: usize) {}
    /// `images` of this epoch are done; `loss` and `accuracy` are those of the batch.
    fn batch(&mut self, _epoch: usize, _images: usize, _loss: f64, _accuracy: f64) {}
    /// An epoch has ended.
    fn epoch(&mut self, _record: &EpochRecord) {}
    /// The run has ended, complete or not.
    fn ended(&mut self) {}
    /// Asked before every batch: `true` stops the run; what the last finished epoch left stays.
    fn should_stop(&self) -> bool {
        false
    }
}

/// An observer that says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl TrainingObserver for Silent {}
