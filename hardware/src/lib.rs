//! What a network computes on analog in-memory hardware, and what that costs.
//!
//! There are two ways from a network to its chips. The short way varies the weights by a law. A parameter is *reparameterized*, which means that the network
//! computes with a function of the stored weight:
//!
//! ```text
//! effective = quantize(prune(stored)) + deviation(chip)        gradients pass straight through to `stored`
//! ```
//!
//! [`quantize_weights`] attaches the quantizer alone. [`vary_weights`] also attaches the deviation of one chip, for a training step. [`programmed`] gives the
//! plain network without variation, and [`manufacture`] one chip:
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
//! The long way simulates the hardware. [`deploy::Hardware`] reads its description from one file, and [`deploy::MappedNetwork`] puts a network on it. Its
//! chips compute with the weights that programmed cells hold (weight fidelity), or with every product on simulated arrays (array fidelity).
//!
//! # What is here
//!
//! | module | question |
//! |---|---|
//! | [`device`] | how far does a memory cell miss its target? |
//! | [`map`] | which cells make a weight? |
//! | [`program`] | how often is a cell written, and what error remains? |
//! | [`mod@array`] | how do converters and partial sums change a product? |
//! | [`ir_drop`] | how do wires change it? |
//! | [`layer`] | which layers look for their arrays? |
//! | [`deploy`] | what does a whole network compute? |
//! | [`enclosure`] | what can a network compute while its weights are anywhere in their boxes? |
//! | [`cost`] | how much energy, time and area does it take? |
//! | [`search`] | which stored vector fits a query best? |
//! | [`accelerator`] | what does a network in integers compute on a digital array of sparse processing elements? |
//! | [`quantize`], [`prune`] | which values may weights have, and which weights remain? |
//!
//! # Limits
//!
//! Currents are linear in the voltage. Temperature, endurance and disturbance of neighbours are not modelled, nor is training on the chip. Costs come from
//! published estimators, which differ from each other by more than an order of magnitude. `docs/hardware.md` lists what else is not modelled.
//!
//! **Architecture invariant.** This crate knows no model and no training.
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
