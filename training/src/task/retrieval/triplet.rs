//! The loss of triplets.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use super::{Distance, RetrievalConfig};

/// Keeps the gradient of a length finite where the length is 0.
const TINY: f64 = 1e-12;

impl Distance {
    /// How far the rows of two tensors lie apart: `[rows]`.
    pub(super) fn between(self, a: Tensor<2>, b: Tensor<2>) -> Tensor<1> {
        let length = |rows: Tensor<2>| {
            let squares = (rows.clone() * rows).sum_dim(1).squeeze_dim::<1>(1);
            (squares + TINY).sqrt()
        };
        match self {
            Self::Euclidean => length(a - b),
            Self::Cosine => {
                let products = (a.clone() * b.clone()).sum_dim(1).squeeze_dim::<1>(1);
                -(products / (length(a) * length(b))) + 1.0
            }
        }
    }
}

/// A query with what it should and should not find: rows of tensors, `[items, numbers]`.
pub(super) struct Contrasted {
    /// Queries.
    pub(super) anchors: Tensor<2>,
    /// Their documents as a chip holds them.
    pub(super) positives: Tensor<2>,
    /// Other documents as a chip holds them.
    pub(super) negatives: Tensor<2>,
    /// The documents without deviation.
    pub(super) undeviated: Tensor<2>,
}

/// The mean over triplets, `[1]`, of
///
/// ```text
/// max(0, dist(a, p~) - dist(a, n~) + margin) + max(0, second margin - dist(a, p))
/// ```
///
/// where `~` marks vectors with the deviation of a chip. The second term is taken without it, since the deviation alone would keep positives
/// away from their anchors and make the term 0. Without a second term that acts, all documents fall together.
///
/// # Source
/// Qin et al., RoCR, ICCAD 2024, with the second margin of the authors' code. That the second term is taken without deviation is our own
/// choice.
pub(super) fn triplet_loss(config: &RetrievalConfig, of: Contrasted) -> Tensor<1> {
    let distance = config.distance;
    let bounded = -distance.between(of.anchors.clone(), of.undeviated) + config.second_margin;
    let bounded = relu(bounded).mean();
    if !config.contrast {
        return bounded;
    }
    let near = distance.between(of.anchors.clone(), of.positives);
    let far = distance.between(of.anchors, of.negatives);
    relu(near - far + config.margin).mean() + bounded
}
