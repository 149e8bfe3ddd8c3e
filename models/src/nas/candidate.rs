//! What all candidates have in common.

use burn::tensor::Device;

use super::{CandidateNetwork, CellCandidate, CellNetwork, ConvolutionalCandidate};
use crate::{Classifier, ModelConfig};

/// A candidate of an architecture search: the description of a network, which can be built and trained.
pub trait Candidate {
    /// Its network.
    type Network: Classifier;

    /// The candidate as recipes name it.
    fn model(&self) -> ModelConfig;

    /// Its network on `device`. Weights that are random at first are still to be drawn from a seed: see [`initialize`](crate::initialize).
    fn network(&self, device: &Device) -> Self::Network;
}

impl Candidate for ConvolutionalCandidate {
    type Network = CandidateNetwork;

    fn model(&self) -> ModelConfig {
        ModelConfig::Candidate(self.clone())
    }

    fn network(&self, device: &Device) -> CandidateNetwork {
        self.init(device)
    }
}

impl Candidate for CellCandidate {
    type Network = CellNetwork;

    fn model(&self) -> ModelConfig {
        ModelConfig::Cell(*self)
    }

    fn network(&self, device: &Device) -> CellNetwork {
        self.init(device)
    }
}
