//! A network that learns, and what one step of it is made of.

use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Int, Tensor};
use crossburn_hardware::Quantization;
use crossburn_models::Classifier;
use crossburn_noise::{ChipSeed, Variation};

/// A network with the optimizer that steps it.
pub(crate) struct Learner<C> {
    pub(crate) network: C,
    pub(crate) optimizer: ModuleOptimizer,
}

/// One batch, and what its step is taken with.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    /// How weights are quantized.
    pub(crate) quantization: Option<Quantization>,
    /// The training noise of this learner.
    pub(crate) noise: &'a Variation,
    /// The chip that this step draws.
    pub(crate) chip: ChipSeed,
    /// `[batch, channels, height, width]`.
    pub(crate) images: Tensor<4>,
    /// `[batch]`.
    pub(crate) targets: Tensor<1, Int>,
    pub(crate) learning_rate: f64,
}

/// What a step tells.
#[derive(Debug)]
pub(crate) struct Learned {
    /// Mean cross-entropy of the batch under the training noise.
    pub(crate) loss: f64,
    /// `[batch, classes]`, without graph.
    pub(crate) logits: Tensor<2>,
    /// How often every image went forward and backward.
    pub(crate) passes: u64,
}

impl<C: Classifier> Learner<C> {
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
