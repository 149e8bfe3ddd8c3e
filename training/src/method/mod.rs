//! The registry of methods: what a step learns from, and what happens when an epoch ends.
//!
//! The loop is the trainer's. A method says which copies of the network train an epoch and under which noise
//! ([`Method::plan`]), takes the step of one batch ([`Method::step`]), and judges the epoch ([`Method::judge`]).

mod a_trice;
mod awp;
mod distillation;
mod host_weights;
mod noise_injection;
mod orthogonality;
mod trice;

pub use a_trice::ATrice;
pub use awp::{Awp, AwpNorm};
pub use distillation::Distillation;
pub use orthogonality::Orthogonality;
pub use trice::{Trice, Trisection};

use crossburn_models::Network;
use crossburn_noise::{Distribution, Variation};
use serde::{Deserialize, Serialize};

use crate::learner::{Learned, Learner, Step};
use crate::task::{Learn, Task};
use crate::{Batches, Passes, Recipe, Run, TrainingError};

/// How a network learns to survive variation.
///
/// In recipes the table `[method]`: `kind` names the method, beside its own parameters; any other key is refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Method {
    /// Every step draws a chip of `[noise]` or `[hardware]`. Without both, it is plain training.
    NoiseInjection {},
    /// Noise injection; a search over validation chips sets its strength.
    Trice(Trice),
    /// Noise injection with an adversary around the mean of the noise.
    ATrice(ATrice),
    /// Steps use the gradient at weights that an adversary has moved.
    Awp(Awp),
    /// Noise injection with a penalty on weights whose rows are not orthogonal.
    Orthogonality(Orthogonality),
    /// Noise injection that learns from the outputs of the network before training.
    Distillation(Distillation),
}

impl Default for Method {
    fn default() -> Self {
        Self::NoiseInjection {}
    }
}

/// Which copies train in an epoch, and how.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// Number of the copy, and its training noise.
    pub(crate) copies: Vec<(usize, Variation)>,
    /// All copies start again from the initial weights, with fresh optimizers.
    pub(crate) restart: bool,
    /// Steps are those of plain descent with a small rate.
    pub(crate) warm_up: bool,
    /// Whether the epoch is judged, and may be kept.
    pub(crate) decides: bool,
    /// Position in the schedule of the learning rate, from 1.
    pub(crate) schedule_epoch: usize,
}

/// The result of judging an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Verdict {
    /// The copy of the plan that represents the epoch.
    pub(crate) winner: usize,
    /// The percentile over validation chips that chose it, if the method judges by chips.
    pub(crate) percentile: Option<f64>,
}

/// Where an epoch is judged.
pub(crate) struct Scene<'a, T: Task> {
    pub(crate) recipe: &'a Recipe,
    pub(crate) run: &'a Run<'a, T>,
    /// The validation items, without autodiff.
    pub(crate) validation: &'a Batches<T>,
    /// From 1.
    pub(crate) epoch: usize,
    /// Whether the run is to end.
    pub(crate) stop: &'a dyn Fn() -> bool,
}

impl Method {
    /// The name in recipes.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NoiseInjection {} => "noise-injection",
            Self::Trice(_) => "trice",
            Self::ATrice(_) => "a-trice",
            Self::Awp(_) => "awp",
            Self::Orthogonality(_) => "orthogonality",
            Self::Distillation(_) => "distillation",
        }
    }

    /// Total number of epochs if a recipe has `epochs`.
    pub(crate) fn epochs(&self, epochs: usize) -> usize {
        match self {
            Self::Trice(trice) => trice.epochs(epochs),
            _ => epochs,
        }
    }

    /// Copies of the network that train.
    pub(crate) fn copies(&self) -> usize {
        match self {
            Self::Trice(_) => 3,
            _ => 1,
        }
    }

    /// Whether epochs are judged by a percentile over chips.
    pub(crate) fn judges_chips(&self) -> bool {
        matches!(self, Self::Trice(_))
    }

    /// Whether its steps may be taken from several batches, or block by block.
    fn takes_parts(&self) -> bool {
        matches!(self, Self::NoiseInjection {} | Self::Trice(_))
    }

    /// Whether its steps move the learned scales of weights.
    pub(crate) fn learns_weight_scales(&self) -> bool {
        matches!(
            self,
            Self::NoiseInjection {} | Self::Orthogonality(_) | Self::Distillation(_)
        )
    }

    /// Refuses parameters that are not allowed, alone or with the rest of `recipe`.
    pub(crate) fn check(&self, recipe: &Recipe) -> Result<(), TrainingError> {
        let training = &recipe.training;
        let parts = training.accumulate > 1 || training.checkpoint_blocks;
        if parts && !self.takes_parts() {
            return Err(TrainingError::setting(
                "method.kind",
                self.name(),
                "noise-injection or trice with training.accumulate or training.checkpoint_blocks",
            ));
        }
        match self {
            Self::NoiseInjection {} => Ok(()),
            Self::Trice(trice) => trice.check(recipe),
            Self::ATrice(method) => method.check(recipe),
            Self::Awp(method) => method.check(),
            Self::Orthogonality(method) => method.check(),
            Self::Distillation(method) => method.check(recipe),
        }
    }

    /// The plan of `epoch`, from 1. `search` is the current interval of a search; it is set anew when a search starts.
    pub(crate) fn plan(
        &self,
        recipe: &Recipe,
        epoch: usize,
        search: &mut Option<Trisection>,
    ) -> Plan {
        match self {
            Self::Trice(trice) => trice.plan(recipe, epoch, search),
            _ => Plan {
                copies: vec![(0, recipe.noise)],
                restart: false,
                warm_up: false,
                decides: true,
                schedule_epoch: epoch,
            },
        }
    }

    /// Learns from one batch. `teach` gives the output of the network before training for this batch.
    pub(crate) fn step<N: Network, T: Learn<N>>(
        &self,
        learner: &mut Learner<N>,
        step: &Step<'_, T>,
        teach: impl FnOnce() -> Result<T::Output, TrainingError>,
    ) -> Result<Learned<T::Tally>, TrainingError> {
        match self {
            Self::Distillation(method) => method.step(learner, step, teach()?),
            Self::NoiseInjection {} | Self::Trice(_) => noise_injection::step(learner, step, None),
            Self::ATrice(method) => method.step(learner, step),
            Self::Awp(method) => method.step(learner, step),
            Self::Orthogonality(method) => method.step(learner, step),
        }
    }

    /// Judges the copies that `plan` has trained and prepares them for the next epoch. `None` where the scene stopped it.
    pub(crate) fn judge<N: Network, T: Learn<N>>(
        &self,
        learners: &mut [Learner<N>],
        plan: &Plan,
        search: &mut Option<Trisection>,
        passes: &mut Passes,
        scene: &Scene<'_, T>,
    ) -> Result<Option<Verdict>, TrainingError> {
        match self {
            Self::Trice(trice) => trice.judge(learners, plan, search, passes, scene),
            _ => Ok(Some(Verdict {
                winner: 0,
                percentile: None,
            })),
        }
    }
}

/// Refuses a parameter that is not a finite number from 0 on.
fn finite_from_zero(key: &'static str, value: f64) -> Result<(), TrainingError> {
    match value.is_finite() && value >= 0.0 {
        true => Ok(()),
        false => Err(TrainingError::setting(
            key,
            value,
            "a finite number from 0 on",
        )),
    }
}

/// Refuses a recipe without training noise, for a method that is about it.
fn needs_noise(recipe: &Recipe) -> Result<(), TrainingError> {
    match recipe.noise.distribution {
        Distribution::None {} => Err(TrainingError::setting(
            "noise.kind",
            "none",
            "a distribution, such as right-censored, with this method",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
pub(crate) mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::data::digits;
    use crate::{Classification, OptimizerConfig};
    use burn::module::Module;
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::{Device, Tensor};
    use crossburn_hardware::WeightPlan;
    use crossburn_models::{Classifier, initialize};
    use crossburn_noise::ChipSeed;

    /// A linear classifier of 28×28 images.
    #[derive(Module, Debug)]
    pub(crate) struct Softmax {
        pub(crate) fc: Linear,
    }

    impl Network for Softmax {}

    impl Classifier for Softmax {
        fn forward(&self, images: Tensor<4>) -> Tensor<2> {
            self.fc.forward(images.flatten::<2>(1, 3))
        }
    }

    /// A linear classifier with initial weights, and Adam.
    pub(crate) fn learner(seed: u64) -> Learner<Softmax> {
        let fc = LinearConfig::new(784, 10).init(&Device::flex().autodiff());
        Learner {
            network: initialize(Softmax { fc }, seed),
            optimizer: OptimizerConfig::default().init(),
        }
    }

    /// Every weight on an array, in full precision.
    static WEIGHTS: LazyLock<WeightPlan> = LazyLock::new(WeightPlan::default);

    /// Eight digits.
    static EIGHT: LazyLock<Classification> = LazyLock::new(|| Classification::new(digits(1, 0, 8)));

    /// A batch of all of them, with its chip.
    pub(crate) fn batch(noise: &Variation, chip: u64) -> Step<'_, Classification> {
        let device = Device::flex().autodiff();
        let items: Vec<usize> = (0..8).collect();
        Step {
            task: &EIGHT,
            weights: &WEIGHTS,
            noise,
            hardware: None,
            chip: ChipSeed::new(5, chip),
            batch: EIGHT.batch(&items, &device).unwrap(),
            further: Vec::new(),
            learning_rate: 1e-2,
            by_blocks: false,
        }
    }

    /// A linear classifier in closed form, in 64 bits: logits are `x W + b`, and the mean cross-entropy of a batch has the
    /// gradient `xᵀ (softmax - onehot) / n` by W.
    pub(crate) struct ByHand {
        images: Vec<f64>,
        labels: Vec<usize>,
        /// `[in, out]`.
        pub(crate) weight: Vec<f64>,
        bias: Vec<f64>,
    }

    impl ByHand {
        pub(crate) fn new(learner: &Learner<Softmax>, step: &Step<'_, Classification>) -> Self {
            let fc = &learner.network.fc;
            Self {
                images: doubles(step.batch.inputs.clone().flatten::<2>(1, 3)),
                labels: step
                    .batch
                    .labels
                    .iter()
                    .map(|label| usize::from(*label))
                    .collect(),
                weight: doubles(fc.weight.val()),
                bias: doubles(fc.bias.as_ref().unwrap().val()),
            }
        }

        /// The gradient by the weight where it deviates, `[in, out]`.
        pub(crate) fn gradient(&self, deviation: &[f64]) -> Vec<f64> {
            let (classes, images) = (self.bias.len(), self.labels.len());
            let inputs = self.images.len() / images;
            let mut gradient = vec![0.0; self.weight.len()];
            for (x, label) in self.images.chunks(inputs).zip(&self.labels) {
                let mut logits = self.bias.clone();
                for (input, x) in x.iter().enumerate() {
                    for (class, logit) in logits.iter_mut().enumerate() {
                        let at = input * classes + class;
                        *logit += x * (self.weight[at] + deviation[at]);
                    }
                }
                let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
                for (input, x) in x.iter().enumerate() {
                    for (class, logit) in logits.iter().enumerate() {
                        let target = f64::from(u8::from(class == *label));
                        gradient[input * classes + class] +=
                            x * (logit.exp() / sum - target) / images as f64;
                    }
                }
            }
            gradient
        }
    }

    pub(crate) fn doubles<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
        let values: Vec<f32> = tensor.into_data().try_to_vec().unwrap();
        values.into_iter().map(f64::from).collect()
    }

    #[test]
    fn names_are_those_that_serde_writes_and_tables_are_strict() {
        for text in [
            r#"{"kind":"noise-injection"}"#,
            r#"{"kind":"trice","variation":{"kind":"gaussian","sigma_rel_wmax":0.1}}"#,
            r#"{"kind":"a-trice","literal":true}"#,
            r#"{"kind":"awp","norm":"box"}"#,
            r#"{"kind":"orthogonality","beta":1e-3}"#,
            r#"{"kind":"distillation","temperature":2.0}"#,
        ] {
            let method: Method = serde_json::from_str(text).unwrap();
            let json = serde_json::to_value(&method).unwrap();
            assert_eq!(json["kind"], method.name());
            assert_eq!(
                serde_json::from_value::<Method>(json.clone()).unwrap(),
                method
            );
            let toml = toml::to_string(&method).unwrap();
            assert_eq!(toml::from_str::<Method>(&toml).unwrap(), method);
            let mut unknown = json;
            unknown["momentum"] = 0.9.into();
            let message = serde_json::from_value::<Method>(unknown).unwrap_err();
            assert!(message.to_string().contains("momentum"), "{message}");
        }
    }
}
