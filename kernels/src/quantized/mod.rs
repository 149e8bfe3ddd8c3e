//! Weights that stay in the bytes in which they are stored: blocks of four to eight bits, or halves.
//!
//! A product with a few rows, as that of each new token of a language model, is bound by memory: 4.5 bits a weight in place of
//! 32 are read seven times sooner. A product with many rows is bound by arithmetic: there a panel of the weight is unpacked into
//! the cache and multiplied as any matrix. Nowhere is a second copy of the weight.
//!
//! - A few rows, blocks: the inputs are rounded to eight bits with a scale for each 32, and products are those of integers. This
//!   rounding, at most 1/254 of the largest of 32 inputs, and the order of the sums are what differs from the product with the unpacked weight.
//! - A few rows, halves: the inputs stay as they are.
//! - Many rows: the product with the unpacked weight.
//! - Where gradients are asked for: the product with the unpacked weight, whatever the rows. The tape holds no numbers: they are
//!   unpacked once more for the gradient of the input, the only one that there is.

mod format;
mod input;
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
