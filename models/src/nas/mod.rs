//! Candidates of architecture searches. What a candidate puts on arrays, and so what it costs, is known before anything is built.

mod cell;
mod convolutional;
mod network;

pub use cell::{CellNetwork, CellOperation};
pub use convolutional::{
    Block, CandidateLayer, CandidateNorm, CandidatePool, ConvolutionalCandidate,
};
pub use network::CandidateNetwork;
