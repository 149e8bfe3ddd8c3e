//! What training tells the outside while it runs.

use crossburn_noise::{Metric, Variation};
use serde::{Deserialize, Serialize};

/// One epoch of a training curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Epoch, from 1.
    pub epoch: usize,
    /// Learning rate of this epoch.
    pub learning_rate: f64,
    /// Mean loss over the training items, under the training noise.
    pub train_loss: f64,
    /// The metric over the training items, under the training noise; `None` if it is not defined on them.
    pub train_metric: Option<f64>,
    /// The metric over the validation items without noise.
    pub validation: f64,
    /// The metric over the validation items with a new chip per batch; `None` if training has no noise.
    pub validation_noisy: Option<f64>,
    /// Percentile of the metric over chips on the validation items, for a method that judges by it.
    pub validation_percentile: Option<f64>,
    /// The training noise of this epoch. If several copies train, that of the copy which represents the epoch.
    pub noise: Variation,
}

/// Follows a training run and may stop it.
///
/// All methods have empty defaults: implement those that you need.
pub trait TrainingObserver {
    /// Before the run starts, a task looks at the items to choose those that are learned from; `done` of `total` were looked at.
    fn choosing(&mut self, _done: usize, _total: usize) {}
    /// The run starts after `done` finished epochs out of `total`, with `items` per epoch, judged by `metric`.
    fn started(&mut self, _done: usize, _total: usize, _items: usize, _metric: &Metric) {}
    /// `items` of this epoch are done; `loss` and `metric` are those of the batch, where it has one.
    fn batch(&mut self, _epoch: usize, _items: usize, _loss: f64, _metric: Option<f64>) {}
    /// An epoch has ended.
    fn epoch(&mut self, _record: &EpochRecord) {}
    /// The run has ended, complete or not, or was stopped while items were chosen.
    fn ended(&mut self) {}
    /// Called before every batch. `true` stops the run; the state of the last finished epoch is kept.
    fn should_stop(&self) -> bool {
        false
    }
}

/// An observer that says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl TrainingObserver for Silent {}
