//! Candidates of architecture searches, as the shapes that they put on arrays: what a candidate costs is known before anything is built.

mod cell;
mod convolutional;

pub use cell::{CellNetwork, CellOperation};
pub use convolutional::{Block, CandidateLayer, ConvolutionalCandidate};
