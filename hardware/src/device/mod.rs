//! Memory cells: what they can hold.
mod range;

pub use range::ConductanceRange;
