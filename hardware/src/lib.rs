//! From weights to memory cells: quantization, and the one path from a stored weight to the weight a chip computes with.
//!
//! Variation is a *reparameterization* of a parameter: the optimizer owns the stored weight, every forward pass sees
//! the effective one. Burn attaches one reparameterization per parameter, so quantizer and deviation are one type here:
//!
//! ```text
//! effective = quantize(stored) + deviation(chip)        gradients pass straight through to `stored`
//! ```
//!
//! [`quantize_weights`] attaches the quantizer alone, [`vary_weights`] adds one chip's held deviation for a training
//! step, and [`manufacture`] gives a plain frozen network: one chip.
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
#![warn(missing_docs)]

pub mod array;
pub mod cost;
pub mod deploy;
pub mod device;
mod error;
pub mod ir_drop;
pub mod layer;
pub mod map;
pub mod program;
pub mod quantize;
pub mod units;
mod weight_path;

pub use array::{
    Adc, AdcCodes, AdcRange, ArrayConfig, CapacitorMismatch, ComparatorOffset, Conversion,
    CurrentProfile, CurrentRange, Dac, Effects, GainError, InputSign, OffsetSharing,
    ProgrammedMatrix, Reads, Tile, TileSolver,
};
pub use device::{ConductanceRange, Device};
pub use error::HardwareError;
pub use map::{
    MappedMatrix, Mapping, Plane, Polarity, Reference, Scheme, Slice, Tiling, WeightMatrix,
    WeightScale,
};
pub use quantize::{
    ActivationQuantizer, Quantization, WeightBits, WeightQuantizer, straight_through,
};
pub use weight_path::{WeightPath, manufacture, quantize_weights, vary_weights};
