//! The names of a family's tensors.

use crate::decoder::DecoderConfig;
use crate::tensor_names::{Layout, Origin, OutputBlocks, TensorNames};

/// Names of the parts of a decoder, without `.weight` and `.bias`. What a family does not have is empty.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names {
    /// Prefixes of every name except that of the head. There are several, because files differ.
    pub(super) roots: &'static [&'static str],
    pub(super) embedding: &'static str,
    pub(super) places: &'static str,
    /// Before the number of a block.
    pub(super) layers: &'static str,
    pub(super) attention_norm: &'static str,
    pub(super) attention_output_norm: &'static str,
    pub(super) feed_forward_norm: &'static str,
    pub(super) feed_forward_output_norm: &'static str,
    pub(super) query: Place,
    pub(super) key: Place,
    pub(super) value: Place,
    pub(super) output: &'static str,
    pub(super) query_norm: &'static str,
    pub(super) key_norm: &'static str,
    pub(super) gate: Place,
    pub(super) up: Place,
    pub(super) down: &'static str,
    pub(super) norm: &'static str,
    pub(super) head: &'static str,
    /// Whether matrices of blocks are `[inputs, outputs]`.
    pub(super) inputs_first: bool,
    /// Beginnings of names that belong to other parts of a larger model.
    pub(super) foreign: &'static [&'static str],
}

/// The place of a layer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// In a tensor of its own.
    Own(&'static str),
    /// Query, key and value in one tensor, one after the other.
    QueryKeyValue(&'static str),
    /// Query, key and value in one tensor, head by head.
    ByHead(&'static str),
    /// Gate and up in one tensor, one after the other.
    GateUp(&'static str),
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Self::Own(name)
            | Self::QueryKeyValue(name)
            | Self::ByHead(name)
            | Self::GateUp(name) => name,
        }
    }
}

/// Ends of names of tables that a program keeps with the weights.
const TABLES: [&str; 4] = [
    "rotary_emb.inv_freq",
    "attn.bias",
    "attn.masked_bias",
    "attention.bias",
];
const MORE_TABLES: [&str; 2] = ["attention.masked_bias", "position_ids"];

/// The names of the tensors of one decoder.
#[derive(Clone, Debug)]
pub struct DecoderNames {
    names: Names,
    config: DecoderConfig,
}

/// A part of a decoder in a file.
struct Part<'a> {
    /// Name after the root.
    name: String,
    place: Option<(Place, &'a str)>,
    matrix: bool,
}

impl DecoderNames {
    pub(super) fn new(names: Names, config: &DecoderConfig) -> Self {
        Self {
            names,
            config: config.clone(),
        }
    }

    /// Name of the layer at `path` of the module, such as `layers.0.attention.query`, for files that list layers by name;
    /// `None` where it shares a tensor with others or is no layer.
    pub fn layer(&self, path: &str) -> Option<String> {
        let part = self.part(path)?;
        if let Some((place, _)) = part.place
            && !matches!(place, Place::Own(_))
        {
            return None;
        }
        self.names
            .roots
            .first()
            .map(|root| format!("{root}{}", part.name))
    }

    /// Last word of the name of a layer of a block, such as `q_proj`.
    pub fn word(&self, path: &str) -> Option<String> {
        let part = self.part(path)?;
        part.name.rsplit('.').next().map(str::to_string)
    }

    fn part<'a>(&self, layer: &'a str) -> Option<Part<'a>> {
        let names = &self.names;
        let plain = |name: &str| {
            (!name.is_empty()).then(|| Part {
                name: name.to_string(),
                place: None,
                matrix: false,
            })
        };
        match layer {
            "embedding" => return plain(names.embedding),
            "places" => return plain(names.places),
            "norm" => return plain(names.norm),
            _ => {}
        }
        let (number, rest) = layer.strip_prefix("layers.")?.split_once('.')?;
        let number: usize = number.parse().ok().filter(|n| *n < self.config.layers)?;
        let (place, matrix) = match rest {
            "attention_norm" => (Place::Own(names.attention_norm), false),
            "attention_output_norm" => (Place::Own(names.attention_output_norm), false),
            "feed_forward_norm" => (Place::Own(names.feed_forward_norm), false),
            "feed_forward_output_norm" => (Place::Own(names.feed_forward_output_norm), false),
            "attention.query" => (names.query, true),
            "attention.key" => (names.key, true),
            "attention.value" => (names.value, true),
            "attention.output" => (Place::Own(names.output), true),
            "attention.query_norm" => (Place::Own(names.query_norm), false),
            "attention.key_norm" => (Place::Own(names.key_norm), false),
            "feed_forward.gate" => (names.gate, true),
            "feed_forward.up" => (names.up, true),
            "feed_forward.down" => (Place::Own(names.down), true),
            _ => return None,
        };
        (!place.name().is_empty()).then(|| Part {
            name: format!("{}.{number}.{}", names.layers, place.name()),
            place: Some((place, rest)),
            matrix,
        })
    }

    /// Which outputs of a shared tensor are those of `rest`.
    fn outputs(&self, place: Place, rest: &str) -> Option<OutputBlocks> {
        let config = &self.config;
        let (query, key) = (config.query_width(), config.key_value_width());
        match place {
            Place::Own(_) => None,
            Place::QueryKeyValue(_) => {
                let (first, count) = match rest {
                    "attention.query" => (0, query),
                    "attention.key" => (query, key),
                    _ => (query + key, key),
                };
                Some(OutputBlocks::one(first, count, query + 2 * key))
            }
            Place::ByHead(_) => {
                let which = match rest {
                    "attention.query" => 0,
                    "attention.key" => 1,
                    _ => 2,
                };
                let width = config.head_width;
                Some(OutputBlocks {
                    total: 3 * query,
                    first: which * width,
                    count: width,
                    stride: 3 * width,
                    repeats: config.heads,
                })
            }
            Place::GateUp(_) => {
                let hidden = config.hidden_width;
                let first = if rest == "feed_forward.gate" {
                    0
                } else {
                    hidden
                };
                Some(OutputBlocks::one(first, hidden, 2 * hidden))
            }
        }
    }
}

impl TensorNames for DecoderNames {
    fn origin(&self, path: &str) -> Option<Origin> {
        let (layer, end) = path.rsplit_once('.')?;
        if layer == "head" {
            return Some(Origin {
                names: vec![format!("{}.{end}", self.names.head)],
                layout: match end {
                    "weight" => Layout::Transposed,
                    _ => Layout::Same,
                },
                outputs: None,
            });
        }
        let part = self.part(layer)?;
        let roots = self.names.roots.iter();
        let transposed = part.matrix && end == "weight" && !self.names.inputs_first;
        Some(Origin {
            names: roots
                .map(|root| format!("{root}{}.{end}", part.name))
                .collect(),
            layout: match transposed {
                true => Layout::Transposed,
                false => Layout::Same,
            },
            outputs: part
                .place
                .and_then(|(place, rest)| self.outputs(place, rest)),
        })
    }

    fn ignores(&self, name: &str) -> bool {
        let foreign = self.names.foreign.iter();
        let tables = TABLES.iter().chain(&MORE_TABLES);
        tables.copied().any(|table| name.ends_with(table))
            || foreign.copied().any(|start| name.starts_with(start))
            // A copy of the embedding.
            || self.config.head.tied && name.strip_prefix(self.names.head) == Some(".weight")
    }
}
