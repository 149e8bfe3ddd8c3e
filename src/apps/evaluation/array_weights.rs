//! Which weights of a stored network lie on arrays.

use crossburn_hardware::WeightBits;
use crossburn_models::Network;
use crossburn_training::{TaskParts, WithTask};

use crate::apps::stored_network::StoredNetwork;

/// Finds the weights of a network that lie on arrays. It is passed to [`WithTask::run`].
pub(crate) struct FindArrayWeights<'a>(pub(crate) &'a StoredNetwork);

/// A weight on arrays.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ArrayWeight {
    pub(crate) path: String,
    /// Its bits in training; none for full precision.
    pub(crate) bits: Option<WeightBits>,
}

impl WithTask for FindArrayWeights<'_> {
    type Output = Vec<ArrayWeight>;

    fn run<N: Network, P: TaskParts<N>>(self, network: N, _: P) -> Vec<ArrayWeight> {
        let plan = self.0.recipe.weights::<N>();
        let paths = plan.placement().on_arrays(&network).into_iter();
        paths
            .map(|path| ArrayWeight {
                bits: plan.quantization(&path).map(|grid| grid.bits),
                path,
            })
            .collect()
    }
}
