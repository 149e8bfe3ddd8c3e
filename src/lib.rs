//! Train networks that survive analog in-memory hardware, and say how good a population of chips will be.
//!
//! A network is any Burn module. Variation is a reparameterization of its weights. A chip is a seed.
//!
//! ```
//! use burn::nn::{Linear, LinearConfig};
//! use burn::tensor::{Device, Tensor};
//! use crossburn::prelude::*;
//!
//! // Any Burn module, here a stranger's: a linear classifier that says which half of its input is larger.
//! let device = Device::flex();
//! let network: Linear = LinearConfig::new(8, 2).init(&device);
//!
//! // Chip 17 of population 7: every weight deviates by 10 % of the largest one, the same on any machine.
//! let variation = Variation::from(Distribution::gaussian(0.1));
//! let chip = manufacture(&network, None, &variation, ChipSeed::new(7, 17));
//! let logits = chip.forward(Tensor::<2>::ones([1, 8], &device));
//! assert_eq!(logits.dims(), [1, 2]);
//!
//! // One number per chip, in chip order, is a population.
//! let population = Population::new(7, 0, vec![0.97, 0.91, 0.95, 0.96, 0.93]);
//! assert_eq!(population.worst_of_n(), 0.91);
//! assert_eq!(population.kpp(50.0)?, 0.95);
//! # Ok::<(), NoiseError>(())
//! ```
//!
//! The crates behind it: [`kernels`], [`noise`], [`hardware`], [`models`], [`checkpoints`], [`training`].
#![warn(missing_docs)]

pub use crossburn_checkpoints as checkpoints;
pub use crossburn_hardware as hardware;
pub use crossburn_kernels as kernels;
pub use crossburn_models as models;
pub use crossburn_noise as noise;
pub use crossburn_training as training;

mod apps;
pub mod cli;
mod memory;
pub mod report;

/// What most programs need.
pub mod prelude {
    pub use crate::hardware::{WeightBits, manufacture, quantize_weights, vary_weights};
    pub use crate::models::{Autoencoder, Classifier, ModelConfig, Network, WithNetwork};
    pub use crate::noise::{
        Better, ChipSeed, Distribution, Metric, NoiseError, Population, Variation,
    };
    pub use crate::training::{
        Batches, Classification, Evaluation, Learn, Recipe, Run, Silent, Task, WeightAttack,
        evaluate, train,
    };
}

/// The README's example, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
