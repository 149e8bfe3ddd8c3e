//! Candidates of architecture searches. What a candidate puts on arrays, and so what it costs, is known before anything is built.

mod candidate;
mod cell;
mod cell_candidate;
mod cell_network;
mod convolutional;
mod network;

pub use candidate::Candidate;
pub use cell::{CellOperation, NasCell};
pub use cell_candidate::CellCandidate;
pub use cell_network::CellNetwork;
pub use convolutional::{
    Block, CandidateLayer, CandidateNorm, CandidatePool, ConvolutionalCandidate,
};
pub use network::CandidateNetwork;
