//! The feed-forward layer of a block.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use crossburn_kernels::{gelu, gelu_tanh, relu, silu};

use super::adapter::{LayerAdapter, project};
use super::pruning::{with_inputs, with_outputs};
use super::{DecoderConfig, FeedForwardActivation, LinearAdapter};

impl FeedForwardActivation {
    /// Any shape, kept.
    pub(crate) fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Silu => silu(x),
            Self::Gelu => gelu(x),
            Self::GeluTanh => gelu_tanh(x),
            Self::Relu => relu(x),
        }
    }
}

/// `down(activation(up x))`, or `down(activation(gate x) · up x)` where there is a gate.
#[derive(Module, Debug)]
pub struct FeedForward {
    gate: Option<Linear>,
    up: Linear,
    down: Linear,
    #[module(skip)]
    activation: FeedForwardActivation,
}

impl FeedForward {
    pub(super) fn new(config: &DecoderConfig, device: &Device) -> Self {
        let parts = config.feed_forward;
        let linear = |from: usize, to: usize| {
            LinearConfig::new(from, to)
                .with_bias(parts.bias)
                .init(device)
        };
        let (width, hidden) = (config.width, config.hidden_width);
        Self {
            gate: parts.gated.then(|| linear(width, hidden)),
            up: linear(width, hidden),
            down: linear(hidden, width),
            activation: parts.activation,
        }
    }

    /// With these channels between its halves alone.
    pub(super) fn pruned(&self, channels: &[usize]) -> Self {
        Self {
            gate: (self.gate.as_ref()).map(|gate| with_outputs(gate, channels)),
            up: with_outputs(&self.up, channels),
            down: with_inputs(&self.down, channels),
            activation: self.activation,
        }
    }

    /// # Shapes
    /// `[batch, places, width]`, kept.
    pub(super) fn forward(&self, x: Tensor<3>, adapter: Option<&LayerAdapter>) -> Tensor<3> {
        let part = |part: fn(&LayerAdapter) -> Option<&LinearAdapter>| adapter.and_then(part);
        let up = |x| project(&self.up, part(|layer| layer.up.as_ref()), x);
        let hidden = match &self.gate {
            Some(gate) => {
                let gate = project(gate, part(|layer| layer.gate.as_ref()), x.clone());
                self.activation.apply(gate) * up(x)
            }
            None => self.activation.apply(up(x)),
        };
        project(&self.down, part(|layer| layer.down.as_ref()), hidden)
    }
}
