//! The hyperparameters of a language model, as its file states them.
//!
//! # Source
//!
//! The GGUF specification (`docs/gguf.md` of ggml), section "LLM", for the keys; for what a file leaves unsaid, llama.cpp:
//! `src/models/llama.cpp` and `src/models/gemma3.cpp` (hyperparameters), `conversion/llama.py` and `conversion/gemma.py`
//! (what is written).

use super::container::GgufFile;
use super::error::GgufError;
use super::metadata::Metadata;

/// A family of networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// Llama and what is built like it: SmolLM, TinyLlama, Mistral.
    Llama,
    /// The text networks of Gemma 3.
    Gemma3,
}

impl Architecture {
    const ALL: [Self; 2] = [Self::Llama, Self::Gemma3];

    /// Its name in files, which starts the keys of its hyperparameters.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Gemma3 => "gemma3",
        }
    }
}

/// How positions are stretched beyond the context that a network was trained with.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    /// Positions are divided by `factor`.
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// YaRN.
    Yarn {
        /// How many times the context grows.
        factor: f64,
        /// Context before.
        original_context: usize,
    },
    /// Each frequency has a divisor of its own, `rope_dimensions / 2` of them. Converters write the scaling of Llama 3 so.
    Divisors(Vec<f32>),
}

/// The hyperparameters of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct GgufModel {
    /// Family.
    pub architecture: Architecture,
    /// Tokens of the embedding.
    pub vocabulary: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Number of layers.
    pub layers: usize,
    /// Heads of the queries.
    pub heads: usize,
    /// Heads of the keys and values.
    pub key_value_heads: usize,
    /// Width of a head.
    pub head_width: usize,
    /// Width between the two parts of the feed-forward network.
    pub feed_forward_width: usize,
    /// Positions that the network was trained for.
    pub context_length: usize,
    /// The number that is added to the mean square in a norm.
    pub norm_epsilon: f64,
    /// Whether the norms of the network, in their usual form, multiply by `1 + weight`. The weights in the file hold
    /// `1 + weight` then: to load them into such a norm, subtract 1.
    pub norm_offset_included: bool,
    /// Base of the rotary frequencies.
    pub rope_base: f64,
    /// Base of the rotary frequencies in layers with a sliding window.
    pub rope_local_base: Option<f64>,
    /// Numbers of a head that are rotated.
    pub rope_dimensions: usize,
    /// Stretching of positions, in the layers without a sliding window.
    pub rope_scaling: Option<RopeScaling>,
    /// Positions that a layer with a sliding window sees.
    pub sliding_window: Option<usize>,
    /// Every so-many-th layer has no sliding window, the others have one: layer `i` is global where
    /// `(i + 1) % sliding_window_period == 0`.
    pub sliding_window_period: usize,
    /// The factor of queries.
    pub attention_scale: f64,
    /// The factor of embeddings.
    pub embedding_scale: f64,
    /// `c` in `c · tanh(logits / c)`.
    pub logit_soft_cap: Option<f64>,
    /// Whether the head is the embedding.
    pub tied_head: bool,
    /// Whether the four products of attention have biases.
    pub attention_bias: bool,
    /// Whether the products of the feed-forward network have biases.
    pub feed_forward_bias: bool,
    /// Whether queries and keys are normalised.
    pub query_key_norm: bool,
}

impl GgufModel {
    /// Reads the hyperparameters of a file.
    ///
    /// # Errors
    ///
    /// The architecture is unknown, a key is missing, or the values cannot be those of a network.
    pub fn read<B: AsRef<[u8]>>(file: &GgufFile<B>) -> Result<Self, GgufError> {
        let metadata = file.metadata();
        let architecture = architecture(metadata)?;
        let keys = Keys {
            metadata,
            prefix: architecture.name(),
        };
        if keys.count("expert_count")?.unwrap_or(0) > 0 {
            return Err(metadata.unsupported(
                "a network of",
                "experts",
                "dense networks, whose feed-forward part is one",
            ));
        }
        let width = keys.positive("embedding_length")?;
        let heads = keys.positive("attention.head_count")?;
        let layers = keys.positive("block_count")?;
        let head_width = keys.count("attention.key_length")?.unwrap_or(width / heads);
        let context_length = keys.positive("context_length")?;
        let has = |tensor: &str| file.tensor(tensor).is_some();
        let gemma = architecture == Architecture::Gemma3;
        let embedding = file.tensor(super::names::EMBEDDING);
        let embedding = embedding.ok_or_else(|| GgufError::MissingTensor {
            path: file.path().to_path_buf(),
            tensor: super::names::EMBEDDING.to_string(),
            architecture: architecture.name(),
        })?;
        let model = Self {
            architecture,
            vocabulary: embedding.rows(),
            width,
            layers,
            heads,
            key_value_heads: keys.count("attention.head_count_kv")?.unwrap_or(heads),
            head_width,
            feed_forward_width: keys.positive("feed_forward_length")?,
            context_length,
            norm_epsilon: keys.needed("attention.layer_norm_rms_epsilon")?,
            norm_offset_included: gemma,
            rope_base: keys.number("rope.freq_base")?.unwrap_or(10_000.0),
            rope_local_base: match gemma {
                true => Some(keys.number("rope.freq_base_swa")?.unwrap_or(10_000.0)),
                false => None,
            },
            rope_dimensions: keys.count("rope.dimension_count")?.unwrap_or(head_width),
            rope_scaling: rope_scaling(file, &keys, context_length)?,
            // Gemma 3 files name the window and leave the period to the reader.
            sliding_window: keys
                .count("attention.sliding_window")?
                .filter(|window| gemma && *window > 0),
            sliding_window_period: match gemma {
                true => keys.count("attention.sliding_window_pattern")?.unwrap_or(6),
                false => 1,
            },
            attention_scale: attention_scale(architecture, layers, width, heads, head_width),
            embedding_scale: if gemma { (width as f64).sqrt() } else { 1.0 },
            logit_soft_cap: keys
                .number("final_logit_softcapping")?
                .filter(|cap| *cap > 0.0),
            tied_head: !has(super::names::HEAD),
            attention_bias: has("blk.0.attn_q.bias"),
            feed_forward_bias: has("blk.0.ffn_gate.bias"),
            query_key_norm: gemma,
        };
        model.check(&keys)?;
        Ok(model)
    }

    /// Refuses what no network can have.
    fn check(&self, keys: &Keys) -> Result<(), GgufError> {
        let Self {
            heads,
            key_value_heads,
            head_width,
            rope_dimensions,
            ..
        } = self;
        let refuse = |name: &str, found: &dyn std::fmt::Display, expected: String| {
            let key = keys.name(name);
            Err(keys.metadata.unusable(&key, found.to_string(), expected))
        };
        if *key_value_heads == 0 || !heads.is_multiple_of(*key_value_heads) {
            let expected = format!("a divisor of the {heads} heads");
            return refuse("attention.head_count_kv", key_value_heads, expected);
        }
        if *head_width == 0 || head_width % 2 == 1 || head_width.checked_mul(*heads).is_none() {
            let expected = "an even head width".to_string();
            return refuse("attention.key_length", head_width, expected);
        }
        let values = keys.count("attention.value_length")?.unwrap_or(*head_width);
        if values != *head_width {
            let expected = format!("the head width {head_width} of the keys");
            return refuse("attention.value_length", &values, expected);
        }
        if rope_dimensions > head_width || rope_dimensions % 2 == 1 || *rope_dimensions == 0 {
            let expected = format!("an even number up to the head width {head_width}");
            return refuse("rope.dimension_count", rope_dimensions, expected);
        }
        if self.sliding_window_period == 0 {
            return refuse(
                "attention.sliding_window_pattern",
                &0,
                "a number of layers".to_string(),
            );
        }
        let positive = [
            ("rope.freq_base", self.rope_base, "a positive number"),
            (
                "attention.layer_norm_rms_epsilon",
                self.norm_epsilon,
                "a positive number",
            ),
        ];
        for (name, number, expected) in positive {
            if number <= 0.0 {
                return refuse(name, &number, expected.to_string());
            }
        }
        Ok(())
    }
}

/// The hyperparameters of one architecture.
struct Keys<'a> {
    metadata: &'a Metadata,
    prefix: &'static str,
}

impl Keys<'_> {
    fn name(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    fn count(&self, name: &str) -> Result<Option<usize>, GgufError> {
        self.metadata.count(&self.name(name))
    }

    fn number(&self, name: &str) -> Result<Option<f64>, GgufError> {
        self.metadata.number(&self.name(name))
    }

    fn needed(&self, name: &str) -> Result<f64, GgufError> {
        self.metadata.needed(&self.name(name), self.number(name)?)
    }

    fn positive(&self, name: &str) -> Result<usize, GgufError> {
        match self.metadata.needed(&self.name(name), self.count(name)?)? {
            0 => Err(self.metadata.unusable(
                &self.name(name),
                "0".to_string(),
                "a positive count".to_string(),
            )),
            count => Ok(count),
        }
    }
}

fn architecture(metadata: &Metadata) -> Result<Architecture, GgufError> {
    const KEY: &str = "general.architecture";
    let found = metadata.needed(KEY, metadata.text(KEY)?)?;
    let known = Architecture::ALL.iter().find(|known| known.name() == found);
    known.copied().ok_or_else(|| {
        let known = Architecture::ALL.map(Architecture::name).join(", ");
        metadata.unsupported("architecture", found, &known)
    })
}

/// `1 / √(head width)`. Gemma 3 27B, which llama.cpp knows by its 62 layers, takes `1 / √(width / heads)`.
fn attention_scale(
    architecture: Architecture,
    layers: usize,
    width: usize,
    heads: usize,
    head_width: usize,
) -> f64 {
    let divisor = match (architecture, layers) {
        (Architecture::Gemma3, 62) => width / heads,
        _ => head_width,
    };
    1.0 / (divisor as f64).sqrt()
}

fn rope_scaling<B: AsRef<[u8]>>(
    file: &GgufFile<B>,
    keys: &Keys,
    context: usize,
) -> Result<Option<RopeScaling>, GgufError> {
    if let Some(divisors) = file.tensor(super::names::ROPE_DIVISORS) {
        return Ok(Some(RopeScaling::Divisors(divisors.dequantise())));
    }
    // Files of 2023 have a key of its own for linear scaling.
    let factor = match keys.number("rope.scaling.factor")? {
        Some(factor) => Some(factor),
        None => keys.number("rope.scale_linear")?,
    };
    let factor = factor.filter(|factor| *factor > 0.0 && *factor != 1.0);
    let kind = keys.metadata.text(&keys.name("rope.scaling.type"))?;
    match (kind, factor) {
        (Some("none"), _) | (None | Some("linear" | "yarn"), None) => Ok(None),
        (None | Some("linear"), Some(factor)) => Ok(Some(RopeScaling::Linear { factor })),
        (Some("yarn"), Some(factor)) => Ok(Some(RopeScaling::Yarn {
            factor,
            original_context: keys
                .count("rope.scaling.original_context_length")?
                .unwrap_or((context as f64 / factor) as usize),
        })),
        (Some(other), _) => Err(keys.metadata.unsupported(
            "rotary scaling",
            other,
            "none, linear, yarn and tables of divisors",
        )),
    }
}
