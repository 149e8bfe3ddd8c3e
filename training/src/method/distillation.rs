//! Distillation: the network learns to say what it said before training, now on noisy chips.

use std::collections::BTreeMap;

use burn::optim::GradientsParams;
use crossburn_models::decoder::AdapterKind;
use crossburn_models::{ModelConfig, Network};
use serde::{Deserialize, Serialize};

use crate::learner::{Learned, Learner, Step};
use crate::task::Learn;
use crate::{Recipe, TrainingError};

/// Noise injection whose loss is the distance from what the network said as training began, the teacher: its labels do not matter.
///
/// ```text
/// L = τ² KL(softmax(z_t / τ) || softmax(z_s / τ))      z_t of the teacher in full precision, z_s of the drawn chip
/// ```
///
/// It is for a network that comes trained, such as `model.kind = "pretrained"`.
///
/// # Source
/// Hinton, Vinyals and Dean, 2015 (arXiv 1503.02531); with noise on the student and τ = 1, Büchel et al., "Analog foundation models",
/// NeurIPS 2025 (arXiv 2505.09663).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Distillation {
    /// τ: at a higher temperature, what the teacher finds unlikely counts for more.
    pub temperature: f64,
}

impl Default for Distillation {
    fn default() -> Self {
        Self { temperature: 1.0 }
    }
}

impl Distillation {
    pub(super) fn check(&self, recipe: &Recipe) -> Result<(), TrainingError> {
        // What a network that is drawn from a seed says is worth nothing, and what a drawn prompt makes a model say is not the model.
        let taught = match &recipe.model {
            ModelConfig::Pretrained(model) => model.adapter.as_ref().is_none_or(|adapter| {
                matches!(
                    adapter.kind,
                    AdapterKind::Lora { .. } | AdapterKind::Ia3 { .. }
                )
            }),
            ModelConfig::Onnx(_) | ModelConfig::Own(_) => true,
            _ => false,
        };
        if !taught {
            return Err(TrainingError::setting(
                "method.kind",
                "distillation",
                "another method, or a network that comes trained: model.kind = \"pretrained\", with an adapter of kind lora or ia3 \
                 or without one, or \"onnx\"",
            ));
        }
        match self.temperature.is_finite() && self.temperature > 0.0 {
            true => Ok(()),
            false => Err(TrainingError::setting(
                "method.temperature",
                self.temperature,
                "a number above 0",
            )),
        }
    }

    pub(super) fn step<N: Network, T: Learn<N>>(
        &self,
        learner: &mut Learner<N>,
        step: &Step<'_, T>,
        teacher: T::Output,
    ) -> Result<Learned<T::Tally>, TrainingError> {
        let chip = step.on_chip(learner.network.clone())?;
        let output = step.task.forward(&chip.network, &step.batch);
        let task = step.task;
        let (distance, loss, tally) = task.counted(output, &step.batch, |output| {
            task.distillation_loss(output, teacher, self.temperature)
        })?;
        let gradients = distance.backward();
        let (mut scales, mut weight_scales) = (BTreeMap::new(), BTreeMap::new());
        chip.add_scale_gradients(&gradients, &mut scales);
        chip.add_weight_scale_gradients(&gradients, &mut weight_scales);
        let gradients = GradientsParams::from_grads(gradients, &learner.network);
        learner.apply(gradients, step.learning_rate);
        Ok(Learned {
            loss,
            tally,
            passes: 1,
            scales,
            weight_scales,
        })
    }
}
