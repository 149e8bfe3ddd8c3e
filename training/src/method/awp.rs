//! Adversarial weight perturbation.

use std::collections::BTreeMap;

use crossburn_hardware::deviate_weights;
use crossburn_models::Network;
use crossburn_noise::{ChipSeed, Distribution, HostWeight, Variation};
use serde::{Deserialize, Serialize};

use super::finite_from_zero;
use super::host_weights::{norm, programmed, sign_step};
use crate::TrainingError;
use crate::learner::{Learned, Learner, Step};
use crate::task::Learn;
use crate::weight_gradients::weight_gradients;

/// Learns at the weights where an adversary of bounded strength has moved them.
///
/// ```text
/// d    = the drawn deviation of [noise]; 0 of none
/// g_l  = ∂ L(W + d) / ∂W_l                                     the adversary's one step, per layer l
/// v_l  = γ ||W_l||₂ g_l / ||g_l||₂       (relative-l2)         or γ max|W_l| sign(g_l)       (box)
/// W   <- optimizer step with ∂ L(W + d + v) / ∂W
/// ```
///
/// W_l is the weight as it is programmed, so quantized where the network is. A layer without gradient is not moved; biases
/// and norms are digital and never are. The adversary's pass uses statistics of the batch like the other, but moves no
/// running statistics.
///
/// # Source
/// Wu, Xia and Wang, "Adversarial weight perturbation helps robust generalization", NeurIPS 2020 (arXiv 2004.05884): their
/// layer-wise bound and update of weights, with one step of the adversary and with items as they are; the box is the bound
/// of Yan et al., ICCAD 2022 (arXiv 2207.07626).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Awp {
    /// γ: how far the adversary moves a layer, relative to it.
    pub strength: f64,
    /// What that is measured by.
    pub norm: AwpNorm,
}

/// What bounds the adversary of [`Awp`], per layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AwpNorm {
    /// `||v||₂ = γ ||W||₂`, along the gradient.
    #[default]
    RelativeL2,
    /// `|v_i| = γ max|W|`, by the sign of the gradient.
    Box,
}

impl Default for Awp {
    fn default() -> Self {
        Self {
            strength: 0.01,
            norm: AwpNorm::default(),
        }
    }
}

impl Awp {
    pub(super) fn check(&self) -> Result<(), TrainingError> {
        finite_from_zero("method.strength", self.strength)
    }

    pub(super) fn step<N: Network, T: Learn<N>>(
        &self,
        learner: &mut Learner<N>,
        step: &Step<'_, T>,
    ) -> Result<Learned<T::Tally>, TrainingError> {
        let programmed = programmed(&learner.network, step.weights);
        let mut deviations = drawn(&programmed, step.noise, step.chip);
        // Its own running statistics, so that those of the learner rest.
        let adversary = learner.network.valid().train();
        let varied = deviate_weights(adversary.clone(), step.weights, &deviations)?;
        let output = step.task.forward(&varied, &step.batch);
        let loss = step.task.loss(output, &step.batch);
        weight_gradients(&adversary, loss.backward(), |path, gradient| {
            let (Some(weight), Some(deviation)) =
                (programmed.get(&path), deviations.get_mut(&path))
            else {
                return;
            };
            let moved = self.perturbation(weight, &gradient);
            for (deviation, moved) in deviation.iter_mut().zip(moved) {
                *deviation += moved;
            }
        })?;
        let varied = deviate_weights(learner.network.clone(), step.weights, &deviations)?;
        let output = step.task.forward(&varied, &step.batch);
        let (loss, value, tally) = step.task.learned(output, &step.batch)?;
        learner.descend(loss, step.learning_rate);
        Ok(Learned {
            loss: value,
            tally,
            passes: 2,
            scales: BTreeMap::new(),
            weight_scales: BTreeMap::new(),
        })
    }

    /// v of one layer.
    fn perturbation(&self, weight: &HostWeight, gradient: &[f32]) -> Vec<f32> {
        match self.norm {
            AwpNorm::RelativeL2 => {
                let length = norm(gradient);
                let factor = match length > 0.0 {
                    true => self.strength * norm(&weight.values) / length,
                    false => 0.0,
                };
                let along = |g: &f32| (factor * f64::from(*g)) as f32;
                gradient.iter().map(along).collect()
            }
            AwpNorm::Box => {
                let size = (self.strength * f64::from(weight.largest())) as f32;
                sign_step(gradient, size)
            }
        }
    }
}

/// The deviation of every weight on `chip`.
fn drawn(
    programmed: &BTreeMap<String, HostWeight>,
    noise: &Variation,
    chip: ChipSeed,
) -> BTreeMap<String, Vec<f32>> {
    let draw = |(path, weight): (&String, &HostWeight)| {
        let deviation = match noise.distribution {
            Distribution::None {} => vec![0.0; weight.values.len()],
            _ => noise.draw(chip, path, &weight.values, &weight.shape),
        };
        (path.clone(), deviation)
    };
    programmed.iter().map(draw).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::OptimizerConfig;
    use crate::method::tests::{ByHand, batch, doubles, learner};
    use crossburn_noise::path_hash;

    #[test]
    fn perturbations_have_the_documented_size_and_direction() {
        let weight = HostWeight {
            values: vec![3.0, -4.0, 0.0],
            shape: (&[3]).into(),
        };
        let gradient = [0.0, -0.6, 0.8];
        let l2 = Awp {
            strength: 0.1,
            norm: AwpNorm::RelativeL2,
        };
        // ||W|| = 5, ||g|| = 1: ||v|| = 0.5 along g.
        let v = l2.perturbation(&weight, &gradient);
        for (v, expected) in v.iter().zip([0.0, -0.3, 0.4]) {
            assert!((v - expected).abs() < 1e-6, "{v} {expected}");
        }
        let boxed = Awp {
            norm: AwpNorm::Box,
            ..l2
        };
        let v = boxed.perturbation(&weight, &gradient);
        for (v, expected) in v.iter().zip([0.0, -0.4, 0.4]) {
            assert!((v - expected).abs() < 1e-6, "{v} {expected}");
        }
        assert_eq!(l2.perturbation(&weight, &[0.0; 3]), [0.0; 3]);
    }

    /// `W <- W - rate ∂CE/∂W at W + v`, with `v = γ ||W|| g / ||g||`, against the closed form of a linear layer.
    #[test]
    fn a_step_descends_from_where_the_adversary_moved() {
        let method = Awp {
            strength: 0.2,
            norm: AwpNorm::RelativeL2,
        };
        let none = Variation::default();
        let rate = 0.1;
        let step = Step {
            learning_rate: rate,
            ..batch(&none, path_hash("test"))
        };
        let sgd = OptimizerConfig::Sgd {
            learning_rate: rate,
            momentum: 0.0,
            weight_decay: 0.0,
        };
        let start = || Learner {
            optimizer: sgd.init(),
            ..learner(3)
        };
        let mut learned = start();
        let by_hand = ByHand::new(&learned, &step);
        method.step(&mut learned, &step).unwrap();

        let length = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>().sqrt();
        let gradient = by_hand.gradient(&vec![0.0; by_hand.weight.len()]);
        let factor = 0.2 * length(&by_hand.weight) / length(&gradient);
        let moved: Vec<f64> = gradient.iter().map(|g| factor * g).collect();
        let expected = by_hand.gradient(&moved).into_iter().zip(&by_hand.weight);
        let found = doubles(learned.network.fc.weight.val().inner());
        for (found, (gradient, weight)) in found.iter().zip(expected) {
            let expected = weight - rate * gradient;
            // Sums of 784 products are right to 784 · 2^-24 = 5e-5 of their size; gradients are below 4, the rate is 0.1.
            assert!((found - expected).abs() < 2e-5, "{found} {expected}");
        }
        // The adversary matters: without it the step is another.
        let mut plain = start();
        let still = Awp {
            strength: 0.0,
            ..method
        };
        still.step(&mut plain, &step).unwrap();
        let plain = doubles(plain.network.fc.weight.val().inner());
        let apart = found.iter().zip(plain).map(|(a, b)| (a - b).abs());
        assert!(apart.fold(0.0, f64::max) > 2e-3);
    }
}
