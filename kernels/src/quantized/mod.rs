//! Weights that stay in the bytes in which they are stored: blocks of four to eight bits, or half-precision numbers.
//!
//! A product with a few rows, as for each new token of a language model, is bound by memory. With fewer bits per weight there
//! is less to read. A product with many rows is bound by arithmetic: a panel of the weight is unpacked into the cache and multiplied like any
//! matrix. The weight is never stored a second time.
//!
//! - A few rows, blocks: inputs are rounded to eight bits, with a scale for each 32, and integers are multiplied. The result differs from the
//!   product with the unpacked weight by this rounding, at most 1/254 of the largest of 32 inputs, and by the order of sums. A matrix that is
//!   [interleaved](QuantizedMatrix::interleaved) has the rows of sixteen outputs side by side, which takes a fraction of the instructions.
//! - A few rows, half precision: inputs are not rounded.
//! - Many rows: the product with the unpacked weight.
//! - If gradients are needed: the product with the unpacked weight, for any number of rows. The tape keeps the bytes, and the weight is unpacked again
//!   for the gradient of the input. The weight itself has no gradient.

mod format;
mod input;
mod interleaved;
mod matrix;
mod product;
mod shared_bytes;
mod tape;
#[cfg(test)]
mod tests;
mod weight;

pub use format::{EncodedFormat, WeightFormat};
pub use matrix::QuantizedMatrix;
pub use shared_bytes::SharedBytes;
pub use weight::{QuantizedWeight, StoredLines, embedding, hold_quantized, multiply_by_embedding};
