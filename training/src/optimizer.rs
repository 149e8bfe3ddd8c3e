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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use burn::module::Param;
    use burn::nn::{Linear, LinearConfig};
    use burn::optim::GradientsParams;
    use burn::tensor::{Device, Tensor};

    /// Two steps of one weight, 2, whose gradient is 3 and then 1, against the formulas.
    fn stepped(config: OptimizerConfig) -> f64 {
        let device = Device::flex().autodiff();
        let mut layer: Linear = LinearConfig::new(1, 1).with_bias(false).init(&device);
        layer.weight = Param::from_tensor(Tensor::from_floats([[2.0]], &device));
        let mut optimizer = config.init();
        for gradient in [3.0, 1.0] {
            let loss = (layer.weight.val() * gradient).sum();
            let gradients = GradientsParams::from_grads(loss.backward(), &layer);
            layer = optimizer.step(config.learning_rate(), layer, gradients);
        }
        f64::from(layer.weight.val().inner().into_scalar::<f32>())
    }

    #[test]
    fn settings_reach_the_optimizer_they_are_of() {
        let sgd = |momentum: f64, weight_decay: f64| OptimizerConfig::Sgd {
            learning_rate: 0.1,
            momentum,
            weight_decay,
        };
        let adam = |weight_decay: f64| OptimizerConfig::Adam {
            learning_rate: 0.1,
            weight_decay,
        };
        // Adam: m and v start at 0 and are divided by 1 - β^t.
        let by_adam = |decay: f64| {
            let (mut w, mut m, mut v) = (2.0f64, 0.0, 0.0);
            for (t, g) in [(1, 3.0), (2, 1.0)] {
                let g = g + decay * w;
                m = 0.9 * m + 0.1 * g;
                v = 0.999 * v + 0.001 * g * g;
                let (m, v) = (m / (1.0 - 0.9f64.powi(t)), v / (1.0 - 0.999f64.powi(t)));
                w -= 0.1 * m / (v.sqrt() + 1e-8);
            }
            w
        };
        for (config, expected) in [
            (sgd(0.0, 0.0), 2.0 - 0.3 - 0.1),
            // The velocity of the second step is 0.5 · 3 + 1.
            (sgd(0.5, 0.0), 2.0 - 0.3 - 0.25),
            // 3 + 0.5 · 2 = 4, then 1 + 0.5 · 1.6 = 1.8.
            (sgd(0.0, 0.5), 2.0 - 0.4 - 0.18),
            (adam(0.0), by_adam(0.0)),
            (adam(0.5), by_adam(0.5)),
        ] {
            let found = stepped(config);
            // A few roundings of numbers up to 4.
            assert!(
                (found - expected).abs() < 2e-6,
                "{config:?}: {found} {expected}"
            );
        }
    }
}
