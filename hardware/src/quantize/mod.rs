//! Quantization: real numbers on uniform grids.
//!
//! One definition of a grid ([`Grid`]) and one way to choose it ([`Quantization`]: width, symmetry, granularity,
//! calibration) serve post-training quantization, straight-through training and the mapping to cells. [`Rounding`] says how trained
//! weights get onto their grids.

mod activation_quantizer;
mod batch_norm_fold;
mod calibration;
mod grid;
mod integer_weights;
mod quantization;
mod rounding;
mod straight_through;
mod weight_bits;
mod weight_quantizer;

pub use activation_quantizer::ActivationQuantizer;
pub use batch_norm_fold::{fold_batch_norm1d, fold_batch_norm2d};
pub use calibration::Calibration;
pub use grid::Grid;
pub use integer_weights::IntegerWeights;
pub(crate) use integer_weights::require_finite;
pub use quantization::{Quantization, Symmetry};
pub use rounding::{InputMoments, Rounding, RoundingPlan};
pub use straight_through::straight_through;
pub use weight_bits::WeightBits;
pub use weight_quantizer::WeightQuantizer;
