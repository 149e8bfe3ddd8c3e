//! Train neural networks for analog in-memory chips, and know how good a population of such chips will be.
//!
//! A network is any Burn module. Variation is a reparameterization of its weights. A chip is a seed.
//!
//! ```
//! use burn::nn::{Linear, LinearConfig};
//! use burn::tensor::{Device, Tensor};
//! use crossburn::prelude::*;
//!
//! // Any Burn module; here an untrained linear layer.
//! let device = Device::flex();
//! let network: Linear = LinearConfig::new(8, 2).init(&device);
//!
//! // Chip 17 of population 7. The standard deviation of every weight is 10 % of the layer's largest absolute weight.
//! let variation = Variation::from(Distribution::gaussian(0.1));
//! let chip = manufacture(&network, None, &variation, ChipSeed::new(7, 17));
//! let logits = chip.forward(Tensor::<2>::ones([1, 8], &device));
//! assert_eq!(logits.dims(), [1, 2]);
//!
//! // A population is one number per chip, in chip order.
//! let population = Population::new(7, 0, vec![0.97, 0.91, 0.95, 0.96, 0.93]);
//! assert_eq!(population.worst_of_n(), 0.91);
//! assert_eq!(population.kpp(50.0)?, 0.95);
//! # Ok::<(), NoiseError>(())
//! ```
//!
//! # Where to go
//!
//! | to | see |
//! |---|---|
//! | train a network of your own and judge its chips | the README, `examples/07_your_own_network.rs` |
//! | say how weights deviate, and summarize populations | [`noise`] |
//! | simulate memory cells and arrays | [`hardware`] |
//! | choose a network | [`models`] |
//! | read and write weights, also those of other programs | [`checkpoints`] |
//! | train, evaluate, attack and certify | [`training`] |
//! | use the fast CPU operations alone | [`kernels`] |
//! | write a run folder with a report | [`report`] |
//!
//! # Limits
//!
//! The crate simulates chips; it does not drive any. It does not train on the chip, and it does not lay out circuits. Estimates of energy, latency and area follow published
//! figures. The README says more, and compares Crossburn with other simulators.
#![warn(missing_docs)]

pub use crossburn_checkpoints as checkpoints;
pub use crossburn_hardware as hardware;
pub use crossburn_kernels as kernels;
pub use crossburn_models as models;
pub use crossburn_noise as noise;
pub use crossburn_training as training;

mod allocations;
mod apps;
pub mod cli;
mod memory;
pub mod report;

#[doc(hidden)]
pub use allocations::CountedAllocator;

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

/// The example of reading a report, compiled.
#[cfg(doctest)]
#[doc = include_str!("../docs/results.md")]
struct ResultsDocument;
