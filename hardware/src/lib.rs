//! From weights to memory cells: what a chip computes with, and what it costs.
//!
//! Two ways lead from a network to chips. The short one varies weights: variation is a *reparameterization* of a parameter,
//!
//! ```text
//! effective = quantize(prune(stored)) + deviation(chip)        gradients pass straight through to `stored`
//! ```
//!
//! [`quantize_weights`] attaches the quantizer alone, [`vary_weights`] adds one chip's held deviation for a training step,
//! [`programmed`] gives the plain network without variation, and [`manufacture`] one chip of it.
//!
//! ```
//! use burn::{nn::LinearConfig, tensor::Device};
//! use crossburn_hardware::{WeightBits, manufacture};
//! use crossburn_noise::{ChipSeed, Distribution, Variation};
//!
//! let layer = LinearConfig::new(8, 4).init(&Device::flex());
//! let variation = Variation::from(Distribution::gaussian(0.1));
//! let four_bits = WeightBits::new(4)?.into();
//! let chip = manufacture(&layer, Some(four_bits), &variation, ChipSeed::new(7, 17));
//! assert_eq!(chip.weight.dims(), [8, 4]);
//! # Ok::<(), crossburn_hardware::HardwareError>(())
//! ```
//!
//! The long one builds the hardware. [`deploy::Hardware`] describes it in one file, [`deploy::MappedNetwork`] is a network on
//! it, and its chips compute with the weights that programmed cells hold, or with every product on its arrays. Below it,
//! each folder is one question: [`device`] (how does a cell miss its target?), [`map`] (which cells make a weight?),
//! [`program`] (how often is it written?), [`mod@array`] (what do converters and partial sums make of a product?), [`ir_drop`]
//! (what do wires?), [`cost`] (energy, time, area). [`search`] stores vectors in arrays and finds the best for a query. [`layer`] has the layers that find their arrays, and
//! [`enclosure`] encloses all that a network can compute while its weights are anywhere in their boxes. [`accelerator`] is a digital
//! array of sparse processing elements, which runs networks in integers.
#![warn(missing_docs)]

pub mod accelerator;
pub mod array;
pub mod cost;
mod csv_table;
pub mod deploy;
pub mod device;
pub mod enclosure;
mod error;
pub mod ir_drop;
pub mod layer;
pub mod map;
pub mod program;
pub mod prune;
pub mod quantize;
pub mod search;
mod single;
mod toml_problem;
pub mod units;
mod weight_path;
mod weight_plan;

pub use array::{
    Adc, AdcCodes, AdcRange, ArrayConfig, CapacitorMismatch, ComparatorOffset, Conversion,
    CurrentProfile, CurrentRange, Dac, Effects, GainError, InputSign, OffsetSharing,
    ProgrammedMatrix, Reads, Tile, TileSolver,
};
pub use device::{ConductanceRange, MemoryDevice};
pub use error::HardwareError;
pub use map::{
    MappedMatrix, Mapping, Plane, Polarity, Reference, Scheme, Slice, Tiling, WeightMatrix,
};
pub use quantize::{
    ActivationQuantizer, Quantization, WeightBits, WeightQuantizer, straight_through,
};
pub use toml_problem::toml_problem;
pub use weight_path::{
    WeightPath, deviate_weights, manufacture, programmed, quantize_weights, vary_weights,
    weight_scales,
};
pub use weight_plan::WeightPlan;
