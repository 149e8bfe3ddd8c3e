//! A network that learns, and the parts of one step.

use std::collections::BTreeMap;

use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::Tensor;
use crossburn_hardware::deploy::{OnChip, TrainingChips};
use crossburn_hardware::{WeightPlan, vary_weights};
use crossburn_models::Network;
use crossburn_noise::{ChipSeed, Variation};

use crate::TrainingError;
use crate::task::Task;

/// A network with the optimizer that steps it.
pub(crate) struct Learner<N> {
    pub(crate) network: N,
    pub(crate) optimizer: ModuleOptimizer,
}

/// One batch, and what its step is taken with.
#[derive(Debug)]
pub(crate) struct Step<'a, T: Task> {
    /// What is learned.
    pub(crate) task: &'a T,
    /// Which weights lie on arrays, and how they are quantized.
    pub(crate) weights: &'a WeightPlan,
    /// The training noise of this learner.
    pub(crate) noise: &'a Variation,
    /// Hardware whose chips take the place of that noise.
    pub(crate) hardware: Option<&'a TrainingChips>,
    /// The chip that this step draws.
    pub(crate) chip: ChipSeed,
    /// On a device with autodiff.
    pub(crate) batch: T::Batch,
    /// Batches whose gradients are added to those of `batch` before the optimizer steps.
    pub(crate) further: Vec<T::Batch>,
    pub(crate) learning_rate: f64,
    /// Whether activations are held of one block at a time.
    pub(crate) by_blocks: bool,
}

impl<T: Task> Step<'_, T> {
    /// `network` on the chip of this step: gradients reach its stored weights straight through.
    ///
    /// # Errors
    /// Those of [`vary_weights`] and [`TrainingChips::attach`].
    pub(crate) fn on_chip<N: Network>(&self, network: N) -> Result<OnChip<N>, TrainingError> {
        match self.hardware {
            Some(chips) => Ok(chips.attach(network, self.weights, self.chip)?),
            None => {
                let varied = vary_weights(network, self.weights, self.noise, self.chip)?;
                Ok(OnChip::without_scales(varied))
            }
        }
    }
}

/// What a step tells.
#[derive(Debug)]
pub(crate) struct Learned<Y> {
    /// Mean loss of the batches under the training noise.
    pub(crate) loss: f64,
    /// What the outputs of the network count for; nothing where the loss is not finite.
    pub(crate) tally: Y,
    /// How often every item went forward and backward.
    pub(crate) passes: u64,
    /// Gradients of the logarithms of full scales of inputs, by path, if a hardware learns them.
    pub(crate) scales: BTreeMap<String, f64>,
    /// Gradients of the learned scales of weights, by path.
    pub(crate) weight_scales: BTreeMap<String, Vec<f64>>,
}

impl<N: Network> Learner<N> {
    /// One step of the optimizer down the gradient of `loss`.
    pub(crate) fn descend(&mut self, loss: Tensor<1>, learning_rate: f64) {
        let gradients = GradientsParams::from_grads(loss.backward(), &self.network);
        self.apply(gradients, learning_rate);
    }

    /// One step of the optimizer with gradients that were collected for the network.
    pub(crate) fn apply(&mut self, gradients: GradientsParams, learning_rate: f64) {
        self.network = self
            .optimizer
            .step(learning_rate, self.network.clone(), gradients);
    }
}
