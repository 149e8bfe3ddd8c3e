//! A digital accelerator with sparse processing elements: networks in integers, run to the bit and to the cycle.
//!
//! ```text
//! IntegerNetwork ─┬─▶ evaluate            the definition, in plain loops
//!                 ├─▶ FastNetwork         the same bits, fast on this processor
//!                 └─▶ Simulator           the same bits on an accelerator, and what it takes
//!                       AcceleratorConfig   one file: array, memories, energies, leakage, areas
//!                       LayerCounts         cycles, stalls, utilisation, reads: known before any signal comes
//!                       AcceleratorCost     energy, latency, average power, area
//! ```
//!
//! The array unrolls 2 input channels × 16 output channels × 16 time steps of a convolution on signals: 2 core elements, in each 4
//! cores of 4 sparse processing elements (SPE), in each 16 processing elements that share a scratch pad. A processing
//! element works through the kept weights of its output channel. All wait for the slowest before the scratch pads are filled
//! again, so weights that are pruned without a pattern leave most of them waiting. With N:M sparsity each keeps as many as the others.
//!
//! # Source
//! Qin et al., arXiv 2410.17395, ASP-DAC 2025: organisation, widths of the multiplier, 50 % sparsity, published power and throughput. How
//! weights are stored and shared out, sizes of memories, and energies are reconstructed; `configs/accelerators/sparse-40nm.toml` says so figure by figure.
//!
//! # Reconstructed
//! - Core elements share out the reduction axis by input channels. Of two core elements, the first takes `ceil(inputs / 2)` of the input
//!   channels: of n kept weights that is `ceil(n ceil(inputs / 2) / inputs)`.
//! - With N:M sparsity it is the kept weights that are shared out so, and the group in which the border falls lies in the scratch pads of both.
//!   Without a pattern the border lies between two input channels, and so between two core elements the loads differ, too.
//! - A pass is as long as the scratch pads allow, in whole groups. Processing elements wait for each other after each pass.
//! - Pooling follows the convolution of its layer.

mod compressed;
mod config;
mod cost;
mod counts;
mod fast;
mod integer_layer;
mod integer_network;
mod multiplier;
mod plan;
mod preset;
mod reference;
mod rescale;
mod simulator;
mod sparsity;
mod storage;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use compressed::WeightIndex;
pub use config::{AcceleratorConfig, Areas, Energies, Lanes, Leakage, Memory, Packing, PeArray};
pub use cost::{AcceleratorCost, LayerEnergy};
pub use counts::LayerCounts;
pub use fast::FastNetwork;
pub use integer_layer::{IntegerLayer, LayerOutput, Pool};
pub use integer_network::{IntegerNetwork, SignalFormat};
pub use rescale::Rescale;
pub use simulator::{Execution, Simulator};
pub use sparsity::Sparsity;
pub(crate) use sparsity::kept_of_group;
pub use storage::StoredBits;
