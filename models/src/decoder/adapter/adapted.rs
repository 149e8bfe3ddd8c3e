//! A frozen decoder with its adapter, as one network.

use burn::module::Module;
use burn::tensor::{Gradients, Tensor};

use super::Adapter;
use crate::decoder::{Decoder, DecoderError, Generation};
use crate::language_model::{predict, rows_of};
use crate::{CausalLanguageModel, Network, Predictions};

/// A decoder that rests and an adapter that learns.
///
/// As one network it is trained, judged on chips and attacked as any other: the decoder lies on arrays and varies, the adapter
/// stays digital.
#[derive(Module, Debug)]
pub struct AdaptedDecoder {
    base: Decoder,
    adapter: Adapter,
}

impl AdaptedDecoder {
    /// `base`, frozen, with `adapter`.
    pub fn new(base: Decoder, adapter: Adapter) -> Self {
        Self {
            base: base.freeze(),
            adapter,
        }
    }

    /// The frozen decoder.
    pub fn base(&self) -> &Decoder {
        &self.base
    }
}

impl Network for AdaptedDecoder {
    const DIGITAL: &'static [&'static str] = &["base.head.weight", "adapter.*"];
    const RESTS: &'static [&'static str] = &["base.*"];
}

impl CausalLanguageModel for AdaptedDecoder {
    fn predict(&self, tokens: &[u32], places: usize, labels: &[Option<u32>]) -> Predictions {
        let tokens = rows_of(&self.base, tokens, places);
        predict(&self.base, Some(&self.adapter), tokens, labels)
    }

    fn gradients_by_blocks(
        &self,
        tokens: &[u32],
        places: usize,
        labels: &[Option<u32>],
        loss: &mut dyn FnMut(Predictions) -> Option<Tensor<1>>,
        take: &mut dyn FnMut(Gradients),
    ) {
        let tokens = rows_of(&self.base, tokens, places);
        self.base
            .gradients_of_blocks(Some(&self.adapter), tokens, labels, loss, take);
    }

    fn adapter(&self) -> Option<&Adapter> {
        Some(&self.adapter)
    }

    fn continued(
        &self,
        prompts: &[Vec<u32>],
        generation: &Generation,
    ) -> Result<Vec<Vec<u32>>, DecoderError> {
        self.base
            .generate_batch(prompts, Some(&self.adapter), generation)
    }
}
