//! Which adapter, and at which layers.

use std::collections::BTreeSet;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::{Adapter, LayerAdapter, LinearAdapter};
use crate::decoder::{DecoderConfig, DecoderError};

/// A linear layer of every block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdapterTarget {
    /// Query of the attention.
    Query,
    /// Key of the attention.
    Key,
    /// Value of the attention.
    Value,
    /// The projection back.
    Output,
    /// The gate of the feed-forward layer.
    Gate,
    /// Its first half.
    Up,
    /// Its second half.
    Down,
}

impl AdapterTarget {
    /// Every linear layer of a block.
    pub const ALL: [Self; 7] = [
        Self::Query,
        Self::Key,
        Self::Value,
        Self::Output,
        Self::Gate,
        Self::Up,
        Self::Down,
    ];

    /// Inputs and outputs.
    fn sizes(self, config: &DecoderConfig) -> [usize; 2] {
        match self {
            Self::Query => [config.width, config.query_width()],
            Self::Key | Self::Value => [config.width, config.key_value_width()],
            Self::Output => [config.query_width(), config.width],
            Self::Gate | Self::Up => [config.width, config.hidden_width],
            Self::Down => [config.hidden_width, config.width],
        }
    }
}

/// The kind of adapter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum AdapterKind {
    /// Embeddings of tokens that stand before every text.
    ///
    /// # Source
    /// Lester et al. 2021 (arXiv 2104.08691).
    Prompt {
        /// Number of tokens.
        tokens: usize,
    },
    /// Keys and values of tokens that stand before every text, in every layer.
    ///
    /// # Source
    /// Li and Liang 2021 (arXiv 2101.00190), without the network that makes the prefix while it is learned.
    Prefix {
        /// Number of tokens.
        tokens: usize,
    },
    /// A product of low rank beside some layers.
    Lora {
        /// Rank of the product.
        rank: usize,
        /// Its factor is `alpha / rank`.
        alpha: f64,
        /// Where.
        targets: BTreeSet<AdapterTarget>,
    },
    /// Factors of the outputs of some layers and of the inputs of others.
    Ia3 {
        /// Layers whose outputs are scaled.
        outputs: BTreeSet<AdapterTarget>,
        /// Layers whose inputs are scaled.
        inputs: BTreeSet<AdapterTarget>,
    },
}

/// Configuration of an [`Adapter`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdapterConfig {
    /// The kind of adapter.
    #[serde(flatten)]
    pub kind: AdapterKind,
}

impl AdapterConfig {
    /// An adapter of a decoder that is `config`, which changes nothing yet, or little: a low-rank product is zero and scales
    /// are one; a prompt and a prefix are random, and [`crate::initialize`] does not touch them.
    ///
    /// # Errors
    /// [`DecoderError::Adapter`] for a size of zero, no layer at all, or a gate that the decoder lacks.
    pub fn init(&self, config: &DecoderConfig, device: &Device) -> Result<Adapter, DecoderError> {
        let refuse = |cause: &str| {
            Err(DecoderError::Adapter {
                cause: cause.to_string(),
            })
        };
        let layers = |of: &dyn Fn(AdapterTarget) -> Option<LinearAdapter>| {
            (0..config.layers)
                .map(|_| LayerAdapter::from_parts(of))
                .collect::<Vec<_>>()
        };
        let (gate, gated) = (AdapterTarget::Gate, config.feed_forward.gated);
        match &self.kind {
            AdapterKind::Prompt { tokens: 0 } | AdapterKind::Prefix { tokens: 0 } => {
                refuse("it has no virtual token")
            }
            AdapterKind::Prompt { tokens } => {
                Ok(Adapter::with_prompt([*tokens, config.width], device))
            }
            AdapterKind::Prefix { tokens } => Ok(Adapter::with_prefix(
                [*tokens, config.layers * 2 * config.key_value_width()],
                device,
            )),
            AdapterKind::Lora { rank: 0, .. } => refuse("its rank is 0"),
            AdapterKind::Lora { targets, .. } if targets.is_empty() => refuse("it adapts no layer"),
            AdapterKind::Lora { targets, .. } if !gated && targets.contains(&gate) => {
                refuse("it adapts a gate, which the model does not have")
            }
            AdapterKind::Lora {
                rank,
                alpha,
                targets,
            } => Ok(Adapter::with_layers(layers(&|target| {
                let sizes = target.sizes(config);
                let adapts = targets.contains(&target);
                adapts.then(|| LinearAdapter::low_rank(sizes, *rank, *alpha, device))
            }))),
            AdapterKind::Ia3 { outputs, inputs } if outputs.is_empty() && inputs.is_empty() => {
                refuse("it adapts no layer")
            }
            AdapterKind::Ia3 { outputs, inputs }
                if !gated && (outputs.contains(&gate) || inputs.contains(&gate)) =>
            {
                refuse("it adapts a gate, which the model does not have")
            }
            AdapterKind::Ia3 { outputs, inputs } => {
                if !outputs.is_disjoint(inputs) {
                    return refuse("one layer has factors of inputs and of outputs");
                }
                Ok(Adapter::with_layers(layers(&|target| {
                    let sizes = target.sizes(config);
                    let of_inputs = inputs.contains(&target);
                    let adapts = of_inputs || outputs.contains(&target);
                    adapts.then(|| LinearAdapter::scales(sizes, of_inputs, device))
                })))
            }
        }
    }
}
