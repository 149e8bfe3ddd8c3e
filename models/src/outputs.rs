//! The outputs of a network of any family for a batch of inputs.

use burn::tensor::Tensor;

use crate::{Autoencoder, Classifier, Embedder, Family, Network, Recognizer, WithNetwork};

/// A tensor on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Outputs {
    /// Sizes of its axes.
    pub shape: Vec<usize>,
    /// Its values in row-major order.
    pub values: Vec<f32>,
}

impl<const D: usize> From<Tensor<D>> for Outputs {
    fn from(tensor: Tensor<D>) -> Self {
        let shape = tensor.dims().to_vec();
        let values = tensor.into_data().try_into_vec_as();
        Self {
            shape,
            values: values.expect("an output is a tensor of floats"),
        }
    }
}

/// Computes the outputs of a network for a batch `[items, channels, height, width]`.
pub type Forward<N> = fn(&N, Tensor<4>) -> Outputs;

/// Work that is done with a network of any family that takes tensors of floats.
pub trait WithForward {
    /// The result of the work.
    type Output;

    /// Does the work; `forward` computes outputs of the network, and of its chips.
    fn run<N: Network>(self, network: N, forward: Forward<N>) -> Self::Output;

    /// The result for a network that takes tokens.
    fn of_tokens(self) -> Self::Output;
}

/// The work as [`ModelConfig::build`](crate::ModelConfig::build) takes it.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use crossburn_models::{ByForward, Forward, ModelConfig, Network, WithForward};
///
/// struct Count;
///
/// impl WithForward for Count {
///     type Output = usize;
///
///     fn run<N: Network>(self, network: N, forward: Forward<N>) -> usize {
///         let inputs = Tensor::zeros([2, 1, 28, 28], &Device::flex());
///         forward(&network, inputs).values.len()
///     }
///
///     fn of_tokens(self) -> usize {
///         0
///     }
/// }
///
/// let model: ModelConfig = serde_json::from_str(r#"{"kind": "lenet"}"#)?;
/// assert_eq!(model.build(1, &Device::flex(), ByForward(Count))?, 2 * 10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ByForward<W>(pub W);

impl<W: WithForward> WithNetwork for ByForward<W> {
    type Output = W::Output;

    fn other(self, _: Family) -> W::Output {
        self.0.of_tokens()
    }

    fn classifier<C: Classifier>(self, network: C) -> W::Output {
        self.0
            .run(network, |network, inputs| network.forward(inputs).into())
    }

    fn autoencoder<A: Autoencoder>(self, network: A) -> W::Output {
        self.0
            .run(network, |network, inputs| network.forward(inputs).into())
    }

    fn embedder<E: Embedder>(self, network: E) -> W::Output {
        self.0.run(network, |network, inputs| {
            network.embed(inputs.flatten::<2>(1, 3)).into()
        })
    }

    fn recognizer<R: Recognizer>(self, network: R) -> W::Output {
        self.0
            .run(network, |network, inputs| network.embed(inputs).into())
    }
}
