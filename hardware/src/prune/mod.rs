//! Pruning: which weights of a layer remain.
//!
//! A [`PruningPattern`] says how many weights remain and in which groups; the largest magnitudes do. A [`Mask`] is that choice for
//! one weight, as its [`WeightPath`](crate::WeightPath) computes with it:
//!
//! ```text
//! effective = mask · quantize(mask · stored) + deviation
//! ```
//!
//! A pruned weight has the programmed value 0. On an array its cells are there all the same, so it deviates as any other weight does.

mod mask;
mod pattern;

pub use mask::Mask;
pub use pattern::PruningPattern;
