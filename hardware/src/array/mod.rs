//! Crossbar arrays: inputs through converters, currents through converters, sums of tiles.
//!
//! ```text
//! x ─▶ DAC codes ─▶ per row tile, slice and input slice: currents I = Σ G x ─▶ (+ read noise) ─▶ ADC ─▶ shift and add ─▶ y
//! ```
//!
//! # Units
//! Conductances come in µS and are kept relative to `g_max`; inputs are relative to `x_max`. A *normalised current* is the
//! sum of `G x / g_max` over the inputs of one array, with the negative cells of a pair subtracted: one fully conducting
//! cell at full input is 1. Ranges of an ADC are given in it. What [`ProgrammedMatrix::multiply`] returns is in the units of
//! the weights and inputs.
mod adc;
mod adc_range;
mod bank;
mod bit_tables;
mod calibration;
mod capacitor_mismatch;
mod circuit;
mod coded_inputs;
mod comparator_offset;
mod config;
mod conversion;
mod converter_errors;
mod dac;
mod gain_error;
mod on_device;
mod product;
mod programmed_matrix;
mod reads;
mod scratch;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests;
mod tile;

pub use adc::{Adc, AdcCodes, Conversion};
pub use adc_range::{AdcRange, CurrentRange};
pub use calibration::CurrentProfile;
pub use capacitor_mismatch::CapacitorMismatch;
pub use circuit::Circuit;
pub use comparator_offset::{ComparatorOffset, OffsetSharing};
pub use config::ArrayConfig;
pub use dac::{Dac, InputSign};
pub use gain_error::GainError;
pub(crate) use on_device::DeviceMatrix;
pub use programmed_matrix::{Effects, ProgrammedMatrix};
pub use reads::Reads;
pub use tile::{Tile, TileSolver};
