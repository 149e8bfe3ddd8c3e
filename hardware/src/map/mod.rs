//! From weights to the target conductances of a memory, and back.
//!
//! ```text
//! w[o, i] = scale[o] (Σ_s F_s v_s[o, i] - offset)         v_s = (g_pos - g_neg) / (g_max - g_min), or (g - g_min) / ..
//! ```
//!
//! A [`Mapping`] rounds weights to integers and spreads them over *planes* of cells: one per slice and polarity. Every
//! [`Scheme`] is the sum above with its own factors `F_s` and its own representation of signs:
//!
//! | scheme | cells per weight and slice | sign |
//! |---|---|---|
//! | [`Scheme::OneSidedPair`] | 2 | the cell of the other sign stays at `g_min` |
//! | [`Scheme::TwoSidedPair`] | 2 | both cells move, in opposite directions |
//! | [`Scheme::DigitalOffset`] | 1 | half the range is subtracted after conversion, computed from the inputs |
//! | [`Scheme::UnitColumn`] | 1 | the same, read from one more output line of every array at half the range |
//! | [`Scheme::SignificancePairs`] | 2 per pair | pairs of different weight, the least significant filled first |
mod digital_offset;
mod integers;
mod mapped_matrix;
mod mapping;
mod one_sided_pair;
mod rescaling;
mod scheme;
mod significance_pairs;
mod slices;
mod tiling;
mod two_sided_pair;
mod unit_column;
mod weight_matrix;

pub(crate) use integers::round;
pub use mapped_matrix::{MappedMatrix, Plane, Polarity, Reference, Slice};
pub use mapping::Mapping;
pub(crate) use rescaling::Rescaling;
pub use scheme::Scheme;
pub use tiling::Tiling;
pub use weight_matrix::WeightMatrix;
