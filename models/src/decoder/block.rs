//! One block: attention and feed-forward layer with their norms.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::adapter::LayerAdapter;
use super::pass::Pass;
use super::{Attention, DecoderConfig, FeedForward, Norm, Residual};

/// One block of a [`Decoder`](super::Decoder); [`Residual`] says how its parts are added up.
#[derive(Module, Debug)]
pub struct Block {
    attention_norm: Norm,
    attention: Attention,
    attention_output_norm: Option<Norm>,
    feed_forward_norm: Option<Norm>,
    feed_forward: FeedForward,
    feed_forward_output_norm: Option<Norm>,
    #[module(skip)]
    residual: Residual,
}

impl Block {
    pub(super) fn new(config: &DecoderConfig, layer: usize, device: &Device) -> Self {
        let norm = || config.norm.init(config.width, device);
        let normed_twice = config.residual == Residual::SequentialNormedTwice;
        Self {
            attention_norm: norm(),
            attention: Attention::new(config, layer, device),
            attention_output_norm: normed_twice.then(norm),
            feed_forward_norm: (config.residual != Residual::ParallelOneNorm).then(norm),
            feed_forward: FeedForward::new(config, device),
            feed_forward_output_norm: normed_twice.then(norm),
            residual: config.residual,
        }
    }

    /// With these heads of key and value, and these channels of the feed-forward layer alone.
    pub(super) fn pruned(&self, heads: &[usize], channels: &[usize]) -> Self {
        Self {
            attention: self.attention.pruned(heads),
            feed_forward: self.feed_forward.pruned(channels),
            ..self.clone()
        }
    }

    /// # Shapes
    /// `[batch, places, width]`, kept.
    pub(super) fn forward(
        &self,
        x: Tensor<3>,
        pass: &mut Pass<'_>,
        adapter: Option<&LayerAdapter>,
    ) -> Tensor<3> {
        let normed = |norm: &Option<Norm>, x: Tensor<3>| match norm {
            Some(norm) => norm.forward(x),
            None => x,
        };
        let first = self.attention_norm.forward(x.clone());
        match self.residual {
            Residual::Sequential | Residual::SequentialNormedTwice => {
                let attended = self.attention.forward(first, pass, adapter);
                let y = x + normed(&self.attention_output_norm, attended);
                let second = normed(&self.feed_forward_norm, y.clone());
                let forward = self.feed_forward.forward(second, adapter);
                y + normed(&self.feed_forward_output_norm, forward)
            }
            Residual::ParallelOneNorm => {
                let attended = self.attention.forward(first.clone(), pass, adapter);
                x + attended + self.feed_forward.forward(first, adapter)
            }
            Residual::ParallelTwoNorms => {
                let attended = self.attention.forward(first, pass, adapter);
                let second = normed(&self.feed_forward_norm, x.clone());
                x + attended + self.feed_forward.forward(second, adapter)
            }
        }
    }
}
