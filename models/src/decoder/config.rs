//! The configuration of a decoder: sizes, norms, positions, attention, feed-forward layers.

use serde::{Deserialize, Serialize};

use super::DecoderError;

/// Configuration of a [`Decoder`](super::Decoder): one causal transformer that is any of the public families.
///
/// [`check`](Self::check) says whether the parts fit together; [`init`](Self::init) asks it first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecoderConfig {
    /// Number of tokens.
    pub vocabulary: usize,
    /// Length of the vector of one token.
    pub width: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Heads of the query.
    pub heads: usize,
    /// Heads of key and value; as many as `heads`, or fewer that are shared.
    pub key_value_heads: usize,
    /// Length of the vector of one head.
    pub head_width: usize,
    /// Width between the two halves of a feed-forward layer.
    pub hidden_width: usize,
    /// Longest sequence that the weights were trained for.
    pub max_positions: usize,
    /// Norms before the parts of a block and at the end.
    pub norm: NormConfig,
    /// How a token knows its place.
    pub positions: Positions,
    /// The attention of every block.
    pub attention: AttentionConfig,
    /// The feed-forward layer of every block.
    pub feed_forward: FeedForwardConfig,
    /// How the parts of a block are added up.
    pub residual: Residual,
    /// From the last vector to the logits.
    pub head: HeadConfig,
    /// Factor of the embeddings, √width for Gemma.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding_scale: Option<f64>,
}

/// A norm over the last axis.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NormConfig {
    /// Which norm.
    pub kind: NormKind,
    /// ε, added to the mean square or the variance.
    pub epsilon: f64,
}

/// Which norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormKind {
    /// `w x / √(mean(x²) + ε)`.
    Rms,
    /// `(1 + w) x / √(mean(x²) + ε)`: Gemma's.
    RmsFromOne,
    /// `w (x - μ) / √(σ² + ε)`.
    LayerWithoutBias,
    /// `w (x - μ) / √(σ² + ε) + b`.
    Layer,
}

/// How a token knows its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Positions {
    /// Query and key are rotated by angles that grow with the place.
    Rotary {
        /// Rotation of every layer.
        rotary: RotaryConfig,
        /// Rotation of layers with a sliding window, where it is another.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        windowed: Option<RotaryConfig>,
    },
    /// A learned vector for each place is added to the embedding.
    Learned {
        /// Vectors before that of the first place: 2 for OPT.
        offset: usize,
    },
}

/// Rotary positions.
///
/// # Source
/// Su et al. 2021 (arXiv 2104.09864), in the form that pairs entry i with entry i + half.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotaryConfig {
    /// Ratio of the geometric series of wavelengths; 10,000 in the paper.
    pub base: f64,
    /// Entries of a head that are rotated, the first ones; at most the head's width. Of an odd number one more is rotated, to
    /// make pairs, by the angles of the odd number.
    pub width: usize,
    /// How wavelengths are stretched for longer sequences.
    #[serde(default)]
    pub scaling: RotaryScaling,
}

/// How wavelengths are stretched for longer sequences.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum RotaryScaling {
    /// Not at all.
    #[default]
    None,
    /// Every place divided by `factor`.
    Linear {
        /// Stretch.
        factor: f64,
    },
    /// Long waves stretched by `factor`, short ones kept, those between in between: Llama 3.1.
    Llama3 {
        /// Stretch of long waves.
        factor: f64,
        /// Waves longer than `original_positions / low` are long.
        low: f64,
        /// Waves shorter than `original_positions / high` are short.
        high: f64,
        /// Longest sequence before the stretch.
        original_positions: usize,
    },
    /// A ramp over the number of turns within the original length, and a factor of sine and cosine.
    ///
    /// # Source
    /// Peng et al. 2023 (arXiv 2309.00071), section 3.
    Yarn {
        /// Stretch of long waves.
        factor: f64,
        /// Turns from which on a wave is kept; 32 in the paper.
        fast: f64,
        /// Turns up to which a wave is stretched; 1 in the paper.
        slow: f64,
        /// Longest sequence before the stretch.
        original_positions: usize,
        /// Factor of sine and cosine.
        attention: f64,
        /// Whether the ends of the ramp are rounded to whole entries.
        rounded: bool,
    },
    /// Each wave stretched by a factor of its own, as GGUF files state the scaling of Llama 3.
    Divisors {
        /// Stretch of each pair of entries.
        divisors: Vec<f64>,
    },
}

/// The attention of every block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttentionConfig {
    /// For each layer how many places a token looks back to, itself included; all where absent. Empty: all, in all layers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Option<usize>>,
    /// Norm of every head of query and key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_norm: Option<NormConfig>,
    /// Whether query, key and value have a bias.
    pub input_bias: bool,
    /// Whether the projection back has a bias.
    pub output_bias: bool,
    /// Factor of the scores; `1 / √head_width` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// Bound `c` of scores: `c tanh(score / c)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soft_cap: Option<f64>,
}

/// The feed-forward layer of every block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedForwardConfig {
    /// Whether a gate of the same width multiplies what goes up.
    pub gated: bool,
    /// Between the two halves, or at the gate.
    pub activation: FeedForwardActivation,
    /// Whether the layers have a bias.
    pub bias: bool,
}

/// The function of a feed-forward layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeedForwardActivation {
    /// `x / (1 + e^-x)`.
    Silu,
    /// `x Φ(x)`.
    Gelu,
    /// `x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2`.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
}

/// How the parts of a block are added up, with `a` attention, `f` feed-forward and `n` norms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Residual {
    /// `y = x + a(n₁ x)`, then `y + f(n₂ y)`.
    Sequential,
    /// `y = x + n₂ a(n₁ x)`, then `y + n₄ f(n₃ y)`: Gemma 2 and 3.
    SequentialNormedTwice,
    /// `x + a(n x) + f(n x)`.
    ParallelOneNorm,
    /// `x + a(n₁ x) + f(n₂ x)`.
    ParallelTwoNorms,
}

/// From the last vector to the logits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadConfig {
    /// Whether the embedding is the matrix of the head as well.
    pub tied: bool,
    /// Whether the head has a bias. A tied head has none.
    pub bias: bool,
    /// Bound `c` of the logits: `c tanh(logit / c)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soft_cap: Option<f64>,
}

impl DecoderConfig {
    /// How far layer `layer` looks back; all the way where absent.
    pub fn window(&self, layer: usize) -> Option<usize> {
        self.attention.windows.get(layer).copied().flatten()
    }

    /// Rotation of layer `layer`; none for learned positions.
    pub fn rotary(&self, layer: usize) -> Option<&RotaryConfig> {
        match &self.positions {
            Positions::Rotary { rotary, windowed } => match self.window(layer) {
                Some(_) => Some(windowed.as_ref().unwrap_or(rotary)),
                None => Some(rotary),
            },
            Positions::Learned { .. } => None,
        }
    }

    /// Length of the queries of all heads of one token.
    pub fn query_width(&self) -> usize {
        self.heads * self.head_width
    }

    /// Length of the keys of all heads of one token.
    pub fn key_value_width(&self) -> usize {
        self.key_value_heads * self.head_width
    }

    /// Number of values of all weights.
    pub fn parameters(&self) -> u128 {
        // Sizes are below 2^30 each, so that no sum of products of three overflows.
        let size = |size: usize| size as u128;
        let norm = |norm: NormConfig, width: u128| match norm.kind {
            NormKind::Layer => 2 * width,
            _ => width,
        };
        let linear = |from: u128, to: u128, bias: bool| from * to + if bias { to } else { 0 };
        let (width, hidden) = (size(self.width), size(self.hidden_width));
        let head = size(self.head_width);
        let (query, key) = (size(self.heads) * head, size(self.key_value_heads) * head);
        let attention = &self.attention;
        let forward = self.feed_forward;
        let norms = match self.residual {
            Residual::SequentialNormedTwice => 4,
            Residual::ParallelOneNorm => 1,
            Residual::Sequential | Residual::ParallelTwoNorms => 2,
        };
        let ups = if forward.gated { 2 } else { 1 };
        let block = linear(width, query, attention.input_bias)
            + 2 * linear(width, key, attention.input_bias)
            + linear(query, width, attention.output_bias)
            + attention
                .head_norm
                .map_or(0, |config| 2 * norm(config, head))
            + ups * linear(width, hidden, forward.bias)
            + linear(hidden, width, forward.bias)
            + norms * norm(self.norm, width);
        let places = match self.positions {
            Positions::Learned { offset } => size(self.max_positions + offset) * width,
            Positions::Rotary { .. } => 0,
        };
        let logits = match self.head.tied {
            true => 0,
            false => linear(width, size(self.vocabulary), self.head.bias),
        };
        size(self.vocabulary) * width
            + places
            + size(self.layers) * block
            + norm(self.norm, width)
            + logits
    }

    /// Numbers that a block keeps of a token for the gradient of its input: inputs of two norms, query, key, value and result of the
    /// attention; with a gate the gate before and after its activation and what it scales, otherwise what the activation takes in.
    pub fn kept_for_gradients(&self) -> u64 {
        let size = |size: usize| size as u64;
        let product = |factor: u64, size: u64| factor.saturating_mul(size);
        let hidden = if self.feed_forward.gated { 3 } else { 1 };
        [
            product(2, size(self.width)),
            product(2, size(self.query_width())),
            product(2, size(self.key_value_width())),
            product(hidden, size(self.hidden_width)),
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }

    /// Refuses sizes and combinations that no decoder has.
    ///
    /// # Errors
    /// [`DecoderError::Zero`], [`DecoderError::Setting`].
    pub fn check(&self) -> Result<(), DecoderError> {
        for (key, value) in [
            ("vocabulary", self.vocabulary),
            ("width", self.width),
            ("layers", self.layers),
            ("heads", self.heads),
            ("key_value_heads", self.key_value_heads),
            ("head_width", self.head_width),
            ("hidden_width", self.hidden_width),
            ("max_positions", self.max_positions),
        ] {
            if value == 0 {
                return Err(DecoderError::Zero { key });
            }
            // Far above any model, and no product of two of them overflows.
            if value > 1 << 30 {
                return Err(DecoderError::setting(key, value, "use at most 2^30"));
            }
        }
        if !self.heads.is_multiple_of(self.key_value_heads) {
            return Err(DecoderError::setting(
                "key_value_heads",
                self.key_value_heads,
                format!("use a divisor of the {} heads", self.heads),
            ));
        }
        let windows = &self.attention.windows;
        if !windows.is_empty() && windows.len() != self.layers {
            return Err(DecoderError::setting(
                "attention.windows",
                windows.len(),
                format!("give one for each of the {} layers, or none", self.layers),
            ));
        }
        if windows.contains(&Some(0)) {
            return Err(DecoderError::setting(
                "attention.windows",
                0,
                "a token sees at least itself: use 1 or more",
            ));
        }
        if self.head.tied && self.head.bias {
            return Err(DecoderError::setting(
                "head.bias",
                true,
                "a tied head has no bias: set head.tied = false",
            ));
        }
        self.check_factors()?;
        if let Positions::Rotary { rotary, windowed } = &self.positions {
            for rotary in [Some(rotary), windowed.as_ref()].into_iter().flatten() {
                rotary.check(self.head_width)?;
            }
        }
        Ok(())
    }

    /// Refuses an empty sequence, a token outside the vocabulary, and more than `max_positions` places in all.
    ///
    /// # Errors
    /// [`DecoderError::Empty`], [`DecoderError::Token`], [`DecoderError::TooLong`].
    pub fn check_tokens(&self, tokens: &[u32], further: usize) -> Result<(), DecoderError> {
        if tokens.is_empty() {
            return Err(DecoderError::Empty);
        }
        let vocabulary = self.vocabulary;
        if let Some(token) = tokens.iter().find(|token| **token as usize >= vocabulary) {
            return Err(DecoderError::Token {
                token: *token,
                vocabulary,
            });
        }
        let (length, positions) = (tokens.len().saturating_add(further), self.max_positions);
        match length > positions {
            true => Err(DecoderError::TooLong { length, positions }),
            false => Ok(()),
        }
    }

    fn check_factors(&self) -> Result<(), DecoderError> {
        let head_norm = self.attention.head_norm.map(|norm| norm.epsilon);
        for (key, value) in [
            ("norm.epsilon", Some(self.norm.epsilon)),
            ("attention.head_norm.epsilon", head_norm),
            ("attention.scale", self.attention.scale),
            ("attention.soft_cap", self.attention.soft_cap),
            ("head.soft_cap", self.head.soft_cap),
            ("embedding_scale", self.embedding_scale),
        ] {
            above_zero(key, value)?;
        }
        Ok(())
    }
}

impl RotaryConfig {
    /// Pairs of entries that turn together.
    pub(super) fn pairs(&self) -> usize {
        self.width.div_ceil(2)
    }

    fn check(&self, head_width: usize) -> Result<(), DecoderError> {
        if self.width == 0 || 2 * self.pairs() > head_width {
            return Err(DecoderError::setting(
                "rotary.width",
                self.width,
                format!("use at least 1, in pairs at most the head's width {head_width}"),
            ));
        }
        above_zero("rotary.base", Some(self.base))?;
        match &self.scaling {
            RotaryScaling::None => Ok(()),
            RotaryScaling::Linear { factor } => above_zero("rotary.factor", Some(*factor)),
            RotaryScaling::Divisors { divisors } => {
                if divisors.len() != self.pairs() {
                    return Err(DecoderError::setting(
                        "rotary.divisors",
                        format!("a list of {}", divisors.len()),
                        format!("give one for each of the {} pairs", self.pairs()),
                    ));
                }
                let mut divisors = divisors.iter();
                divisors.try_for_each(|divisor| above_zero("rotary.divisors", Some(*divisor)))
            }
            RotaryScaling::Llama3 {
                factor,
                low,
                high,
                original_positions,
            } => {
                above_zero("rotary.factor", Some(*factor))?;
                above_zero("rotary.low", Some(*low))?;
                above_zero("rotary.high", Some(*high))?;
                if low >= high {
                    return Err(DecoderError::setting(
                        "rotary.low",
                        low,
                        format!("use less than rotary.high = {high}"),
                    ));
                }
                above_zero(
                    "rotary.original_positions",
                    Some(*original_positions as f64),
                )
            }
            RotaryScaling::Yarn {
                factor,
                fast,
                slow,
                original_positions,
                attention,
                ..
            } => {
                above_zero("rotary.factor", Some(*factor))?;
                above_zero("rotary.fast", Some(*fast))?;
                above_zero("rotary.slow", Some(*slow))?;
                above_zero("rotary.attention", Some(*attention))?;
                above_zero(
                    "rotary.original_positions",
                    Some(*original_positions as f64),
                )
            }
        }
    }
}

fn above_zero(key: &'static str, value: Option<f64>) -> Result<(), DecoderError> {
    match value {
        Some(value) if !(value.is_finite() && value > 0.0) => {
            Err(DecoderError::setting(key, value, "use a number above zero"))
        }
        _ => Ok(()),
    }
}
