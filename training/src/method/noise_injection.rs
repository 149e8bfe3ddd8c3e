//! Noise injection: one drawn chip per step.

use burn::tensor::Tensor;
use crossburn_hardware::vary_weights;
use crossburn_kernels::cross_entropy;
use crossburn_models::Classifier;

use crate::TrainingError;
use crate::learner::{Learned, Learner, Step};

/// A chip is drawn, the forward pass uses `quantize(W) + deviation`, the gradient of the cross-entropy, plus that of
/// `penalty` on the clean weights where there is one, steps the clean weights.
///
/// # Errors
/// Those of [`vary_weights`].
///
/// # Source
/// Yan et al., ICCAD 2023 (arXiv 2307.15853), training with fixed noise.
pub(super) fn step<C: Classifier>(
    learner: &mut Learner<C>,
    step: &Step<'_>,
    penalty: Option<Tensor<1>>,
) -> Result<Learned, TrainingError> {
    let varied = vary_weights(
        learner.network.clone(),
        step.quantization,
        step.noise,
        step.chip,
    )?;
    let logits = varied.forward(step.images.clone());
    let loss = cross_entropy(logits.clone(), step.targets.clone());
    let value = f64::from(loss.clone().into_scalar::<f32>());
    let loss = match penalty {
        Some(penalty) => loss + penalty,
        None => loss,
    };
    learner.descend(loss, step.learning_rate);
    Ok(Learned {
        loss: value,
        logits: logits.inner(),
        passes: 1,
    })
}
