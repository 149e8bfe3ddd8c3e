//! The decoder: tokens to logits.

use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};
use crossburn_hardware::layer::{linear, on_pool};
use crossburn_kernels::{embedding, multiply_by_embedding, tanh};

use super::pass::Pass;
use super::{Adapter, Block, Cache, DecoderConfig, DecoderError, Norm, Positions};
use crate::Network;

/// A causal transformer: what it computes is a [`DecoderConfig`].
///
/// Parameters are named after what they do: `embedding.weight`, `layers.0.attention.query.weight`,
/// `layers.0.feed_forward.down.bias`, `norm.weight`, `head.weight`. Matrices of attention, feed-forward layers and an untied
/// head are Burn's linear layers, so that they vary, are quantized and lie on arrays as those of any network.
#[derive(Module, Debug)]
pub struct Decoder {
    embedding: Embedding,
    places: Option<Embedding>,
    layers: Vec<Block>,
    norm: Norm,
    head: Option<Linear>,
    #[module(skip)]
    config: DecoderConfig,
}

impl DecoderConfig {
    /// A decoder with random weights on `device`. Weights are made when they are first used, so that a decoder which is
    /// loaded afterwards costs nothing before.
    ///
    /// # Errors
    /// Those of [`check`](Self::check).
    pub fn init(&self, device: &Device) -> Result<Decoder, DecoderError> {
        self.check()?;
        let embedding = |count: usize| EmbeddingConfig::new(count, self.width).init(device);
        Ok(Decoder {
            embedding: embedding(self.vocabulary),
            places: match self.positions {
                Positions::Learned { offset } => Some(embedding(self.max_positions + offset)),
                Positions::Rotary { .. } => None,
            },
            layers: (0..self.layers)
                .map(|layer| Block::new(self, layer, device))
                .collect(),
            norm: self.norm.init(self.width, device),
            head: (!self.head.tied).then(|| {
                LinearConfig::new(self.width, self.vocabulary)
                    .with_bias(self.head.bias)
                    .init(device)
            }),
            config: self.clone(),
        })
    }
}

impl Network for Decoder {
    /// An untied head is as wide as the vocabulary and computed once for a token.
    const DIGITAL: &'static [&'static str] = &["head.weight"];
}

impl Decoder {
    /// The configuration of this decoder.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// The device of the weights.
    pub fn device(&self) -> Device {
        self.embedding.weight.lazy_device()
    }

    /// Logits of the token after every place.
    ///
    /// # Shapes
    /// `[batch, places] → [batch, places, vocabulary]`.
    ///
    /// # Panics
    /// For a token outside the vocabulary, or more places than there are learned positions:
    /// [`check_tokens`](Self::check_tokens) says so before.
    pub fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        self.logits(self.hidden(tokens, None, &mut Cache::new()))
    }

    /// The last vector of every new place: what [`logits`](Self::logits) makes logits of.
    ///
    /// `cache` holds what the tokens before left and receives these. With an adapter that learned a prompt, the places of the
    /// prompt come first in the first pass of a cache.
    ///
    /// # Shapes
    /// `[batch, places] → [batch, prompt + places, width]`.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn hidden(
        &self,
        tokens: Tensor<2, Int>,
        adapter: Option<&Adapter>,
        cache: &mut Cache,
    ) -> Tensor<3> {
        let pass = || {
            let first = self.begin(tokens, adapter, cache);
            let [_, count, _] = first.dims();
            let last = self.through(first, adapter, cache, |_| {});
            cache.advance(count);
            self.end(last)
        };
        match self.device() == Device::flex() {
            true => on_pool(pass),
            false => pass(),
        }
    }

    /// The output of the last block for the input `x` of the first one. `received` is called with the input of each block.
    pub(super) fn through(
        &self,
        mut x: Tensor<3>,
        adapter: Option<&Adapter>,
        cache: &mut Cache,
        mut received: impl FnMut(&Tensor<3>),
    ) -> Tensor<3> {
        let mut pass = self.pass(cache, &x);
        for (index, block) in self.layers.iter().enumerate() {
            received(&x);
            let layer = adapter.and_then(|adapter| adapter.layer(index));
            x = block.forward(x, &mut pass, layer);
        }
        x
    }

    /// The input of the first block: embeddings of a prompt and of the tokens, with their places.
    ///
    /// # Shapes
    /// `[batch, places] → [batch, prompt + places, width]`.
    pub(super) fn begin(
        &self,
        tokens: Tensor<2, Int>,
        adapter: Option<&Adapter>,
        cache: &mut Cache,
    ) -> Tensor<3> {
        let [batch, _] = tokens.dims();
        let mut prompt = None;
        if let (Some(adapter), 0) = (adapter, cache.length()) {
            self.begin_with_prefix(adapter, batch, cache);
            prompt = adapter.prompt_of(batch);
        }
        self.begin_after(prompt, tokens, cache)
    }

    /// The same with the embeddings of a prompt for each row, `[batch, prompt, width]`.
    pub(super) fn begin_after(
        &self,
        prompt: Option<Tensor<3>>,
        tokens: Tensor<2, Int>,
        cache: &mut Cache,
    ) -> Tensor<3> {
        let [batch, _] = tokens.dims();
        let mut x = self.embed(tokens);
        if let Some(prompt) = prompt {
            let [_, places, _] = prompt.dims();
            cache.share(places);
            x = Tensor::cat(vec![prompt, x], 1);
        }
        let (Some(places), Positions::Learned { offset }) = (&self.places, &self.config.positions)
        else {
            return x;
        };
        let [_, count, _] = x.dims();
        let indices: Vec<i64> = cache.places(batch, count);
        let indices: Vec<i64> = indices.iter().map(|place| place + *offset as i64).collect();
        let indices = TensorData::new(indices, [batch, count]);
        let device = x.device();
        x + embedding(places, Tensor::from_data(indices, &device))
    }

    /// Keys and values of a prefix into a cache that has seen nothing.
    pub(super) fn begin_with_prefix(&self, adapter: &Adapter, batch: usize, cache: &mut Cache) {
        if let Some(prefix) = adapter.prefix_of(&self.config, batch) {
            let [_, _, places, _] = prefix[0][0].dims();
            cache.begin_with(prefix, places);
        }
    }

    /// The pass of what the first block receives, `x`, through all of them.
    pub(super) fn pass<'a>(&self, cache: &'a mut Cache, x: &Tensor<3>) -> Pass<'a> {
        let [_, count, _] = x.dims();
        Pass::new(&self.config, cache, count, x.device())
    }

    /// The last norm, of what the last block gives.
    pub(super) fn end(&self, x: Tensor<3>) -> Tensor<3> {
        self.norm.forward(x)
    }

    /// The blocks, in order.
    pub(super) fn layers(&self) -> &[Block] {
        &self.layers
    }

    /// The same with other blocks, as `config` says.
    pub(super) fn with_blocks(&self, layers: Vec<Block>, config: DecoderConfig) -> Self {
        Self {
            layers,
            config,
            ..self.clone()
        }
    }

    /// Embeddings of tokens, scaled but without a place.
    ///
    /// # Shapes
    /// `[batch, places] → [batch, places, width]`.
    pub fn embed(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let x = embedding(&self.embedding, tokens);
        match self.config.embedding_scale {
            Some(scale) => x * scale,
            None => x,
        }
    }

    /// Logits of last vectors, of those that are asked for alone.
    ///
    /// # Shapes
    /// `[.., width] → [.., vocabulary]`.
    pub fn logits<const D: usize>(&self, hidden: Tensor<D>) -> Tensor<D> {
        let logits = match &self.head {
            Some(head) => linear(head, hidden),
            None => multiply_by_embedding(&self.embedding, hidden),
        };
        match self.config.head.soft_cap {
            Some(cap) => tanh(logits / cap) * cap,
            None => logits,
        }
    }

    /// Refuses an empty sequence, a token outside the vocabulary, and more than `max_positions` places in all.
    ///
    /// # Errors
    /// [`DecoderError::Empty`], [`DecoderError::Token`], [`DecoderError::TooLong`].
    pub fn check_tokens(&self, tokens: &[u32], further: usize) -> Result<(), DecoderError> {
        self.config.check_tokens(tokens, further)
    }

    /// Token numbers as a batch of one sequence on the decoder's device.
    ///
    /// # Shapes
    /// `[1, places]`.
    pub fn tokens(&self, tokens: &[u32]) -> Tensor<2, Int> {
        let values: Vec<i64> = tokens.iter().map(|token| i64::from(*token)).collect();
        let shape = [1, values.len()];
        Tensor::from_data(TensorData::new(values, shape), &self.device())
    }
}
