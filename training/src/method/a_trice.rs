//! A-TRICE: noise injection with an adversary around the mean of the noise.

use std::collections::BTreeMap;

use burn::module::{ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use crossburn_hardware::deviate_weights;
use crossburn_models::Network;
use crossburn_noise::HostWeight;
use serde::{Deserialize, Serialize};

use super::host_weights::{programmed, sign_step};
use super::{finite_from_zero, noise_injection};
use crate::learner::{Learned, Learner, Step};
use crate::task::Learn;
use crate::trainable::trainable;
use crate::weight_gradients::{tracked, weight_gradients};
use crate::{Recipe, TrainingError};

/// Two optimizer steps per batch, the first against an adversary, the second under noise.
///
/// ```text
/// dev  = E[noise]                                   the centre of the training noise, m(c) s max|W| where it is censored
/// dev <- dev - e max|W| sign(∂F(W + dev) / ∂W)      F: adversarial loss of the batch; norms rest
/// W   <- optimizer step with a ∂L(W + dev)  / ∂W    norms rest
/// W   <- optimizer step with ∂L(W + noise)  / ∂W    a chip of [noise], as in noise injection
/// ```
///
/// `max|W|` is that of each layer. F is the [adversarial loss](crate::Learn::adversarial_loss) of the
/// task, for a classification the margin loss with kappa 0; L is its loss. The noise is that of `[noise]`, in the paper
/// right-censored. Its mean belongs into the
/// programmed weights: use `training.deployment = "mean-folded"`, as the paper does.
///
/// # Source
/// Yan, Hu and Shi, TCAD 2024 (arXiv 2312.06137). There every layer is scaled to the magnitude 1 for the first step, which
/// changes neither the network nor the sign of a gradient, and the authors' code then overwrites the scaled weights that it
/// stepped by those before: the adversary reaches matrix weights only through the moments of the optimizer, with gradients
/// that the scale multiplies, and everything else directly. `literal` does the same; the default steps the weights, with the
/// gradient of the unscaled ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ATrice {
    /// a: weight of the adversarial loss.
    pub adversarial_weight: f64,
    /// e: the adversary's step, relative to the largest magnitude of a layer.
    pub adversarial_step: f64,
    /// Whether to do what the authors' code does instead of what it means.
    pub literal: bool,
}

impl Default for ATrice {
    fn default() -> Self {
        Self {
            adversarial_weight: 1.0,
            adversarial_step: 0.03,
            literal: false,
        }
    }
}

impl ATrice {
    pub(super) fn check(&self, recipe: &Recipe) -> Result<(), TrainingError> {
        finite_from_zero("method.adversarial_weight", self.adversarial_weight)?;
        finite_from_zero("method.adversarial_step", self.adversarial_step)?;
        super::needs_noise(recipe)
    }

    pub(super) fn step<N: Network, T: Learn<N>>(
        &self,
        learner: &mut Learner<N>,
        step: &Step<'_, T>,
    ) -> Result<Learned<T::Tally>, TrainingError> {
        let programmed = programmed(&learner.network, step.weights);
        let rest = tracked(&learner.network, &trainable(&learner.network)).train();
        let deviations = self.adversary(&rest, &programmed, step)?;
        let varied = deviate_weights(rest.clone(), step.weights, &deviations)?;
        let output = step.task.forward(&varied, &step.batch);
        let loss = step.task.loss(output, &step.batch);
        let loss = loss * self.adversarial_weight;
        let found = GradientsParams::from_grads(loss.backward(), &rest);
        match self.literal {
            true => step_all_but_matrices(learner, found, &programmed, step.learning_rate),
            false => learner.apply(found, step.learning_rate),
        }
        let noisy = noise_injection::step(learner, step, None)?;
        Ok(Learned { passes: 3, ..noisy })
    }

    /// The deviation of every matrix weight after the adversary's step.
    fn adversary<N: Network, T: Learn<N>>(
        &self,
        rest: &N,
        programmed: &BTreeMap<String, HostWeight>,
        step: &Step<'_, T>,
    ) -> Result<BTreeMap<String, Vec<f32>>, TrainingError> {
        let centre = |(path, weight): (&String, &HostWeight)| {
            let mean = step.noise.mean_deviation(&weight.values, &weight.shape);
            (path.clone(), mean)
        };
        let mut deviations: BTreeMap<String, Vec<f32>> = programmed.iter().map(centre).collect();
        let varied = deviate_weights(rest.clone(), step.weights, &deviations)?;
        let output = step.task.forward(&varied, &step.batch);
        let loss = step.task.adversarial_loss(output, &step.batch);
        weight_gradients(rest, loss.backward(), |path, gradient| {
            let (Some(weight), Some(deviation)) =
                (programmed.get(&path), deviations.get_mut(&path))
            else {
                return;
            };
            let size = (self.adversarial_step * f64::from(weight.largest())) as f32;
            for (deviation, step) in deviation.iter_mut().zip(sign_step(&gradient, size)) {
                *deviation -= step;
            }
        })?;
        Ok(deviations)
    }
}

/// The authors' first step: the optimizer sees the gradients of the scaled layers, `max|W|` times those of the unscaled
/// ones, and the weights on arrays are put back after it.
fn step_all_but_matrices<N: Network>(
    learner: &mut Learner<N>,
    gradients: GradientsParams,
    programmed: &BTreeMap<String, HostWeight>,
    learning_rate: f64,
) {
    let mut hold = Hold {
        path: Vec::new(),
        programmed,
        held: GradientsParams::new(),
        gradients,
    };
    learner.network.visit(&mut hold);
    let Hold {
        held, gradients, ..
    } = hold;
    learner.apply(gradients, learning_rate);
    learner.network = learner.network.clone().map(&mut Restore {
        path: Vec::new(),
        programmed,
        held,
    });
}

/// Keeps the weights on arrays, by identity, and scales their gradients.
struct Hold<'a> {
    path: Vec<String>,
    programmed: &'a BTreeMap<String, HostWeight>,
    held: GradientsParams,
    gradients: GradientsParams,
}

impl ModuleVisitor for Hold<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(weight) = self.programmed.get(&self.path.join(".")) else {
            return;
        };
        self.held.register(param.id, param.base().inner());
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.gradients
                .register(param.id, gradient * f64::from(weight.largest()));
        }
    }
}

/// Puts them back.
struct Restore<'a> {
    path: Vec<String>,
    programmed: &'a BTreeMap<String, HostWeight>,
    held: GradientsParams,
}

impl ModuleMapper for Restore<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if !self.programmed.contains_key(&self.path.join(".")) {
            return param;
        }
        match self.held.remove::<D>(param.id) {
            Some(held) => param.map(|stepped| {
                let trains = stepped.is_require_grad();
                Tensor::from_inner(held).set_require_grad(trains)
            }),
            None => param,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::method::tests::{Softmax, batch, learner};
    use burn::module::Module;
    use crossburn_hardware::WeightPlan;
    use crossburn_noise::{Distribution, Variation};

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
        let values: Vec<f32> = tensor.into_data().try_to_vec().unwrap();
        values.into_iter().map(f64::from).collect()
    }

    fn noise() -> Variation {
        Variation::from(Distribution::right_censored(0.2, 1.0))
    }

    fn method() -> ATrice {
        ATrice {
            adversarial_weight: 0.5,
            adversarial_step: 0.1,
            literal: false,
        }
    }

    /// Deviations and the adversarial gradient of a linear layer, in closed form: logits are x W + b, a margin has the
    /// gradient x for the right class and -x for the best other one, the cross-entropy x (softmax - onehot) / n.
    #[test]
    fn the_adversary_of_a_linear_layer_is_that_of_the_closed_form() {
        let noise = noise();
        let step = batch(&noise, 7);
        let mut learner = learner(3);
        // Some images must be right, or there is nothing to attack.
        let plain = Variation::default();
        for _ in 0..2 {
            noise_injection::step(&mut learner, &batch(&plain, 0), None).unwrap();
        }
        let rest = tracked(&learner.network, &trainable(&learner.network)).train();
        let programmed = programmed(&learner.network, &WeightPlan::default());
        let found = method().adversary(&rest, &programmed, &step).unwrap();

        let images = values(step.batch.inputs.clone().flatten::<2>(1, 3));
        let labels: Vec<i32> = step.batch.labels.iter().map(|l| i32::from(*l)).collect();
        let (inputs, classes) = (images.len() / labels.len(), 10);
        let stored = values(learner.network.fc.weight.val());
        let bias = values(learner.network.fc.bias.as_ref().unwrap().val());
        let largest = stored.iter().fold(0.0f64, |a, w| a.max(w.abs()));
        // m(1) of the papers' table has four digits.
        let mean = noise.distribution.moments().mean;
        assert!((mean + 0.2 * 0.0833).abs() < 0.2 * 6e-5);
        let logits = |deviation: &dyn Fn(usize) -> f64| -> Vec<Vec<f64>> {
            (0..labels.len())
                .map(|image| {
                    (0..classes)
                        .map(|class| {
                            bias[class]
                                + (0..inputs)
                                    .map(|i| {
                                        let at = i * classes + class;
                                        images[image * inputs + i] * (stored[at] + deviation(at))
                                    })
                                    .sum::<f64>()
                        })
                        .collect()
                })
                .collect()
        };
        let mut gradient = vec![0.0; stored.len()];
        for (image, logits) in logits(&|_| mean * largest).iter().enumerate() {
            let right = labels[image] as usize;
            let other = (0..classes)
                .filter(|class| *class != right)
                .max_by(|a, b| logits[*a].total_cmp(&logits[*b]))
                .unwrap();
            if logits[right] - logits[other] > 0.0 {
                for i in 0..inputs {
                    gradient[i * classes + right] += images[image * inputs + i];
                    gradient[i * classes + other] -= images[image * inputs + i];
                }
            }
        }
        assert!(gradient.iter().any(|g| *g != 0.0));
        let expected: Vec<f64> = gradient
            .iter()
            .map(|g| {
                // A gradient of rounding size has no sign to compare.
                let sign = if g.abs() < 1e-4 { 0.0 } else { g.signum() };
                mean * largest - 0.1 * largest * sign
            })
            .collect();
        let mut compared = 0;
        for (index, found) in found["fc.weight"].iter().enumerate() {
            if gradient[index] == 0.0 || gradient[index].abs() >= 1e-4 {
                assert!(
                    (f64::from(*found) - expected[index]).abs() < 1e-6,
                    "{index}"
                );
                compared += 1;
            }
        }
        assert!(compared > stored.len() / 2, "{compared}");

        // The gradient that steps the clean weights is a ∂CE/∂W at the deviated ones.
        let varied = deviate_weights(rest.clone(), None, &found).unwrap();
        let output = step.task.forward(&varied, &step.batch);
        let loss = Learn::<Softmax>::loss(step.task, output, &step.batch) * 0.5;
        let stepped = GradientsParams::from_grads(loss.backward(), &rest);
        let autodiff = values(stepped.get::<2>(learner.network.fc.weight.id).unwrap());
        let deviations = &found["fc.weight"];
        let rows = logits(&|at| f64::from(deviations[at]));
        for i in 0..inputs {
            for class in 0..classes {
                let expected: f64 = rows
                    .iter()
                    .enumerate()
                    .map(|(image, logits)| {
                        let sum: f64 = logits.iter().map(|z| z.exp()).sum();
                        let target = f64::from(labels[image] as usize == class);
                        images[image * inputs + i] * (logits[class].exp() / sum - target)
                    })
                    .sum::<f64>()
                    * 0.5
                    / labels.len() as f64;
                let found = autodiff[i * classes + class];
                assert!((found - expected).abs() < 1e-5, "{found} {expected}");
            }
        }
    }

    /// Weights of the linear layer, then its biases.
    fn parameters(learner: &Learner<Softmax>) -> (Vec<f64>, Vec<f64>) {
        (
            values(learner.network.fc.weight.val().inner()),
            values(learner.network.fc.bias.as_ref().unwrap().val().inner()),
        )
    }

    #[test]
    fn the_literal_step_moves_biases_and_moments_but_no_matrix_weight() {
        let noise = noise();
        let step = batch(&noise, 7);
        let mut learner = learner(3);
        let before = parameters(&learner);
        let records = learner.optimizer.to_record().len();
        let rest = tracked(&learner.network, &trainable(&learner.network)).train();
        let programmed = programmed(&learner.network, &WeightPlan::default());
        let deviations = method().adversary(&rest, &programmed, &step).unwrap();
        let varied = deviate_weights(rest.clone(), None, &deviations).unwrap();
        let logits = step.task.forward(&varied, &step.batch);
        let loss = Learn::<Softmax>::loss(step.task, logits, &step.batch);
        let found = GradientsParams::from_grads(loss.backward(), &rest);
        step_all_but_matrices(&mut learner, found, &programmed, step.learning_rate);
        let after = parameters(&learner);
        assert_eq!(after.0, before.0);
        assert_ne!(after.1, before.1);
        assert!(learner.optimizer.to_record().len() > records);
        assert!(learner.network.fc.weight.val().is_require_grad());
    }

    #[test]
    fn the_literal_option_trains_to_other_weights() {
        let noise = noise();
        let train = |literal: bool| {
            let mut learner = learner(3);
            let method = ATrice {
                literal,
                ..method()
            };
            for chip in 0..3 {
                method.step(&mut learner, &batch(&noise, chip)).unwrap();
            }
            parameters(&learner)
        };
        let (intended, literal) = (train(false), train(true));
        assert_ne!(intended.0, literal.0);
        assert_eq!(train(false), intended);
        assert_eq!(train(true), literal);
    }
}
