//! The learned part as a module.

use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Tensor};

use super::{AdapterTarget, LinearAdapter};
use crate::decoder::DecoderConfig;

/// A small learned part beside a frozen decoder; [`AdapterConfig`](super::AdapterConfig) says which.
#[derive(Module, Debug)]
pub struct Adapter {
    /// Embeddings of virtual tokens, `[tokens, width]`.
    prompt: Option<Param<Tensor<2>>>,
    /// Keys and values of virtual tokens, `[tokens, layers · 2 · key_value_width]`.
    prefix: Option<Param<Tensor<2>>>,
    /// The adapters of the layers of every block.
    layers: Vec<LayerAdapter>,
}

/// The part of an adapter at the linear layers of one block.
#[derive(Module, Debug)]
pub struct LayerAdapter {
    pub(crate) query: Option<LinearAdapter>,
    pub(crate) key: Option<LinearAdapter>,
    pub(crate) value: Option<LinearAdapter>,
    pub(crate) output: Option<LinearAdapter>,
    pub(crate) gate: Option<LinearAdapter>,
    pub(crate) up: Option<LinearAdapter>,
    pub(crate) down: Option<LinearAdapter>,
}

impl LayerAdapter {
    pub(super) fn from_parts(of: &dyn Fn(AdapterTarget) -> Option<LinearAdapter>) -> Self {
        Self {
            query: of(AdapterTarget::Query),
            key: of(AdapterTarget::Key),
            value: of(AdapterTarget::Value),
            output: of(AdapterTarget::Output),
            gate: of(AdapterTarget::Gate),
            up: of(AdapterTarget::Up),
            down: of(AdapterTarget::Down),
        }
    }
}

impl Adapter {
    /// A random prompt, of the size of a trained embedding.
    pub(super) fn with_prompt(shape: [usize; 2], device: &Device) -> Self {
        Self {
            prompt: Some(random(shape, device)),
            prefix: None,
            layers: Vec::new(),
        }
    }

    /// The prompt `[tokens, width]`, one token at least.
    pub fn of_prompt(prompt: Tensor<2>) -> Self {
        Self {
            prompt: Some(Param::from_tensor(prompt)),
            prefix: None,
            layers: Vec::new(),
        }
    }

    /// A random prefix.
    pub(super) fn with_prefix(shape: [usize; 2], device: &Device) -> Self {
        Self {
            prompt: None,
            prefix: Some(random(shape, device)),
            layers: Vec::new(),
        }
    }

    pub(super) fn with_layers(layers: Vec<LayerAdapter>) -> Self {
        Self {
            prompt: None,
            prefix: None,
            layers,
        }
    }

    /// Virtual tokens before every text; those of a prompt have logits.
    pub fn virtual_tokens(&self) -> usize {
        let learned = self.prompt.as_ref().or(self.prefix.as_ref());
        learned.map_or(0, |rows| rows.lazy_shape()[0])
    }

    /// Virtual tokens with a place among the outputs of a pass: those of a prompt.
    pub fn prompt_tokens(&self) -> usize {
        let prompt = self.prompt.as_ref();
        prompt.map_or(0, |rows| rows.lazy_shape()[0])
    }

    /// Embeddings of the virtual tokens of a prompt, `[tokens, width]`; `None` of another adapter.
    pub fn prompt(&self) -> Option<Tensor<2>> {
        self.prompt.as_ref().map(|prompt| prompt.val())
    }

    /// `[batch, tokens, width]`.
    pub(crate) fn prompt_of(&self, batch: usize) -> Option<Tensor<3>> {
        let prompt = self.prompt()?;
        let [tokens, width] = prompt.dims();
        Some(prompt.unsqueeze::<3>().expand([batch, tokens, width]))
    }

    /// Keys and values of every layer, `[batch, key_value_heads, tokens, head_width]` each.
    pub(crate) fn prefix_of(
        &self,
        config: &DecoderConfig,
        batch: usize,
    ) -> Option<Vec<[Tensor<4>; 2]>> {
        let prefix = self.prefix.as_ref()?.val();
        let [tokens, _] = prefix.dims();
        let (heads, width) = (config.key_value_heads, config.head_width);
        // [tokens, layers · 2, heads, width] → [layers · 2, heads, tokens, width]
        let prefix = prefix.reshape([tokens, config.layers * 2, heads, width]);
        let prefix = prefix.permute([1, 2, 0, 3]);
        let part = |index: usize| {
            let part = prefix.clone().narrow(0, index, 1);
            part.expand([batch, heads, tokens, width])
        };
        let layers = 0..config.layers;
        Some(
            layers
                .map(|layer| [part(2 * layer), part(2 * layer + 1)])
                .collect(),
        )
    }

    /// The part of the adapter in block `index`.
    pub(crate) fn layer(&self, index: usize) -> Option<&LayerAdapter> {
        self.layers.get(index)
    }
}

fn random(shape: [usize; 2], device: &Device) -> Param<Tensor<2>> {
    let normal = Initializer::Normal {
        mean: 0.0,
        std: 0.02,
    };
    normal.init(shape, device)
}
