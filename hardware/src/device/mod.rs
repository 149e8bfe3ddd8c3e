//! Devices.
mod range;

pub use range::ConductanceRange;
