//! Noise injection: one drawn chip per step.

use std::collections::BTreeMap;

use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Tensor;
use crossburn_models::Network;

use crate::TrainingError;
use crate::learner::{Learned, Learner, Step};
use crate::task::{Batch, Learn, Tally, shared};

/// A chip is drawn, the forward pass uses `quantize(W) + deviation`, or a programmed chip where the recipe has `[hardware]`, the gradient of the loss, plus that of
/// `penalty` on the clean weights where there is one, steps the clean weights.
///
/// The gradients of several batches are added up, each with its share of what all of them weigh: the gradient of the mean loss
/// over all of them, on one chip.
///
/// # Errors
/// Those of the chip.
///
/// # Source
/// Yan et al., ICCAD 2023 (arXiv 2307.15853), training with fixed noise.
pub(super) fn step<N: Network, T: Learn<N>>(
    learner: &mut Learner<N>,
    step: &Step<'_, T>,
    mut penalty: Option<Tensor<1>>,
) -> Result<Learned<T::Tally>, TrainingError> {
    let chip = step.on_chip(learner.network.clone())?;
    let batches = || std::iter::once(&step.batch).chain(&step.further);
    let weight: usize = batches().map(Batch::weight).sum();
    let mut gradients = GradientsAccumulator::new();
    let mut learned = Learned {
        loss: 0.0,
        tally: T::Tally::default(),
        passes: 1,
        scales: BTreeMap::new(),
        weight_scales: BTreeMap::new(),
    };
    for batch in batches() {
        let share = batch.weight() as f64 / weight as f64;
        let network = &learner.network;
        let (value, tally) = if step.by_blocks {
            step.task
                .gradients_by_blocks(&chip.network, batch, share, &mut |found| {
                    chip.add_scale_gradients(&found, &mut learned.scales);
                    chip.add_weight_scale_gradients(&found, &mut learned.weight_scales);
                    gradients.accumulate(network, GradientsParams::from_grads(found, network));
                })?
        } else {
            let output = step.task.forward(&chip.network, batch);
            let (loss, value, tally) = step.task.learned(output, batch)?;
            let loss = match penalty.take() {
                Some(penalty) => shared(loss, share) + penalty,
                None => shared(loss, share),
            };
            let found = loss.backward();
            chip.add_scale_gradients(&found, &mut learned.scales);
            chip.add_weight_scale_gradients(&found, &mut learned.weight_scales);
            gradients.accumulate(network, GradientsParams::from_grads(found, network));
            (value, tally)
        };
        learned.loss += share * value;
        learned.tally.merge(tally);
    }
    learner.apply(gradients.grads(), step.learning_rate);
    Ok(learned)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::OptimizerConfig;
    use crate::method::tests::{ByHand, batch, doubles, learner};
    use burn::module::Module;
    use crossburn_hardware::manufacture;
    use crossburn_noise::{Distribution, Variation};

    /// `W <- W - rate (∂CE/∂W at the chip's weights + decay W)`, against the closed form of a linear layer. The chip is the
    /// one that evaluation would manufacture.
    #[test]
    fn the_gradient_at_the_chip_steps_the_clean_weights() {
        let (rate, decay) = (0.1, 0.01);
        let noise = Variation::from(Distribution::gaussian(0.3));
        let given = Step {
            learning_rate: rate,
            ..batch(&noise, 7)
        };
        let mut learner = learner(3);
        let optimizer = OptimizerConfig::Sgd {
            learning_rate: rate,
            momentum: 0.0,
            weight_decay: decay,
        };
        learner.optimizer = optimizer.init();
        let by_hand = ByHand::new(&learner, &given);
        let chip = manufacture(&learner.network.valid(), None, &noise, given.chip);
        let chip = doubles(chip.fc.weight.val());
        let deviation: Vec<f64> = chip
            .iter()
            .zip(&by_hand.weight)
            .map(|(c, w)| c - w)
            .collect();
        step(&mut learner, &given, None).unwrap();
        let stepped = |deviation: &[f64]| -> Vec<f64> {
            let gradients = by_hand.gradient(deviation).into_iter();
            let both = gradients.zip(&by_hand.weight);
            both.map(|(g, w)| w - rate * (g + decay * w)).collect()
        };
        let (expected, clean) = (stepped(&deviation), stepped(&vec![0.0; deviation.len()]));
        let found = doubles(learner.network.fc.weight.val().inner());
        let apart = |a: &[f64], b: &[f64]| {
            let pairs = a.iter().zip(b);
            pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
        };
        // Sums of 784 products are right to 784 · 2^-24 = 5e-5 of their size; gradients are below 4, the rate is 0.1.
        assert!(
            apart(&found, &expected) < 2e-5,
            "{}",
            apart(&found, &expected)
        );
        // The noise matters by far more than that.
        assert!(apart(&found, &clean) > 2e-3, "{}", apart(&found, &clean));
    }
}
