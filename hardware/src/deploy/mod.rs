//! From a network and the description of its hardware to chips.
//!
//! [`Hardware`] is one file: cells, mapping, arrays, wires, operation, cost. [`MappedNetwork`] is a network on it, shared by
//! all chips: the conductances that its weights need, the use of its layers, and the ranges of its converters. A [`Fab`]
//! turns seeds into chips. [`TrainingChips`] are the chips that training steps compute on. [`PostTraining`] quantizes a
//! trained network by data.

mod chip_fab;
mod fidelity;
mod hardware_config;
mod input_squares;
mod layer_by_layer;
mod learned_scale;
mod mapped_fab;
mod mapped_network;
mod network_weights;
mod operation;
mod output_errors;
mod plane_cells;
mod post_training;
mod selection;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests;
mod tolerance;
mod training_chips;

pub use chip_fab::{Fab, VariationFab};
pub use fidelity::Fidelity;
pub use hardware_config::{Hardware, HardwareConfig, LayerOverride};
pub use input_squares::input_squares;
pub use learned_scale::LearnedScale;
pub use mapped_fab::MappedFab;
pub(crate) use mapped_network::told_apart;
pub use mapped_network::{MappedNetwork, SeenUse};
pub use operation::{InputRange, Operation};
pub use output_errors::output_errors;
pub use post_training::PostTraining;
pub use selection::{Selection, Writes};
pub use tolerance::CellConductances;
pub use training_chips::{OnChip, TrainingChips};
