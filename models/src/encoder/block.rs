//! One block of an encoder.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use crossburn_hardware::layer::linear;

use super::EncoderConfig;
use crate::decoder::{FeedForwardActivation, Norm, Scores};

/// Attention and feed-forward layer, each added to its input and normed after it.
#[derive(Module, Debug)]
pub struct EncoderBlock {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    attention_norm: Norm,
    up: Linear,
    down: Linear,
    feed_forward_norm: Norm,
    #[module(skip)]
    heads: usize,
    #[module(skip)]
    activation: FeedForwardActivation,
}

impl EncoderBlock {
    pub(super) fn new(config: &EncoderConfig, device: &Device) -> Self {
        let linear = |from: usize, to: usize| LinearConfig::new(from, to).init(device);
        let (width, hidden) = (config.width, config.hidden_width);
        Self {
            query: linear(width, width),
            key: linear(width, width),
            value: linear(width, width),
            output: linear(width, width),
            attention_norm: config.norm.init(width, device),
            up: linear(width, hidden),
            down: linear(hidden, width),
            feed_forward_norm: config.norm.init(width, device),
            heads: config.heads,
            activation: config.activation,
        }
    }

    /// # Shapes
    /// `[batch, places, width]`, kept; `bias` is `[batch, 1, 1, places]`.
    pub(super) fn forward(&self, x: Tensor<3>, bias: Option<Tensor<4>>) -> Tensor<3> {
        let [batch, places, width] = x.dims();
        let heads = |layer: &Linear| {
            let rows = linear(layer, x.clone());
            let shape = [batch, places, self.heads, width / self.heads];
            rows.reshape(shape).swap_dims(1, 2)
        };
        let scores = Scores {
            bias,
            ..Default::default()
        };
        let attended = scores.attend(heads(&self.query), heads(&self.key), heads(&self.value));
        let attended = attended.swap_dims(1, 2).reshape([batch, places, width]);
        let y = self
            .attention_norm
            .forward(linear(&self.output, attended) + x);
        let hidden = self.activation.apply(linear(&self.up, y.clone()));
        self.feed_forward_norm
            .forward(linear(&self.down, hidden) + y)
    }
}
