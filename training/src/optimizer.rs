//! The optimizers of the papers, from their configuration.

use burn::optim::ModuleOptimizer;
use crossburn_kernels::{Adam, Sgd};
use serde::{Deserialize, Serialize};

use crate::TrainingError;

/// Adam, or SGD with momentum.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// Adam (the papers: 1e-3 for LeNet and ConvNet); betas 0.9 and 0.999, epsilon 1e-8 as in PyTorch.
    Adam {
        /// Learning rate.
        #[serde(default = "adam_rate")]
        learning_rate: f64,
        /// L2 penalty added to the gradient.
        #[serde(default)]
        weight_decay: f64,
    },
    /// SGD (the papers: 0.01, momentum 0.9, weight decay 5e-4 for residual networks).
    Sgd {
        /// Learning rate.
        learning_rate: f64,
        /// Momentum; 0 switches it off.
        #[serde(default)]
        momentum: f64,
        /// L2 penalty added to the gradient.
        #[serde(default)]
        weight_decay: f64,
    },
}

fn adam_rate() -> f64 {
    1e-3
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self::Adam {
            learning_rate: adam_rate(),
            weight_decay: 0.0,
        }
    }
}

impl OptimizerConfig {
    /// The learning rate before the schedule.
    pub fn learning_rate(&self) -> f64 {
        match *self {
            Self::Adam { learning_rate, .. } | Self::Sgd { learning_rate, .. } => learning_rate,
        }
    }

    /// # Errors
    /// Names the key that is not finite or out of range.
    pub fn check(&self) -> Result<(), TrainingError> {
        let (decay, momentum) = match *self {
            Self::Adam { weight_decay, .. } => (weight_decay, 0.0),
            Self::Sgd {
                weight_decay,
                momentum,
                ..
            } => (weight_decay, momentum),
        };
        let rate = self.learning_rate();
        if !(rate.is_finite() && rate > 0.0) {
            return Err(TrainingError::setting(
                "training.optimizer.learning_rate",
                rate,
                "a number above 0",
            ));
        }
        if !(decay.is_finite() && decay >= 0.0) {
            return Err(TrainingError::setting(
                "training.optimizer.weight_decay",
                decay,
                "0 or a number above 0",
            ));
        }
        if !(0.0..1.0).contains(&momentum) {
            return Err(TrainingError::setting(
                "training.optimizer.momentum",
                momentum,
                "a number from 0 to below 1",
            ));
        }
        Ok(())
    }

    /// A fresh optimizer.
    pub fn init(&self) -> ModuleOptimizer {
        let decay = |weight_decay: f64| (weight_decay > 0.0).then_some(weight_decay as f32);
        match *self {
            Self::Adam { weight_decay, .. } => {
                Adam::new().with_weight_decay(decay(weight_decay)).init()
            }
            Self::Sgd {
                momentum,
                weight_decay,
                ..
            } => {
                let sgd = Sgd::new().with_weight_decay(decay(weight_decay));
                match momentum > 0.0 {
                    true => sgd.with_momentum(momentum).init(),
                    false => sgd.init(),
                }
            }
        }
    }
}
