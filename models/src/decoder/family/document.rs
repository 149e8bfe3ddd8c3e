//! The keys of a `config.json`.

use serde_json::{Map, Value};

use crate::decoder::{
    DecoderError, FeedForwardActivation, NormConfig, NormKind, Positions, RotaryConfig,
    RotaryScaling,
};

/// The keys of a `config.json`, or of an object within. A key of `null` is a key that is not there.
pub(crate) struct Document<'a> {
    keys: &'a Map<String, Value>,
}

/// The result of reading a key.
type Read<T> = Result<T, DecoderError>;

impl<'a> Document<'a> {
    pub(crate) fn new(document: &'a Value) -> Read<Self> {
        match document.as_object() {
            Some(keys) => Ok(Self { keys }),
            None => Err(DecoderError::Key {
                key: "the document".to_string(),
                value: short(document),
                expected: "an object",
            }),
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.keys.get(key).filter(|value| !value.is_null())
    }

    fn required<T>(&self, key: &str, found: Option<T>) -> Read<T> {
        found.ok_or_else(|| DecoderError::MissingKey {
            key: key.to_string(),
        })
    }

    fn optional<T>(
        &self,
        key: &str,
        expected: &'static str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Read<Option<T>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        match read(value) {
            Some(value) => Ok(Some(value)),
            None => Err(DecoderError::Key {
                key: key.to_string(),
                value: short(value),
                expected,
            }),
        }
    }

    pub(crate) fn maybe_count(&self, key: &str) -> Read<Option<usize>> {
        self.optional(key, "a whole number", |value| {
            value.as_u64().and_then(|value| usize::try_from(value).ok())
        })
    }

    pub(crate) fn count(&self, key: &str) -> Read<usize> {
        let found = self.maybe_count(key)?;
        self.required(key, found)
    }

    pub(crate) fn count_or(&self, key: &str, default: usize) -> Read<usize> {
        Ok(self.maybe_count(key)?.unwrap_or(default))
    }

    pub(super) fn maybe_number(&self, key: &str) -> Read<Option<f64>> {
        self.optional(key, "a number", Value::as_f64)
    }

    pub(crate) fn number_or(&self, key: &str, default: f64) -> Read<f64> {
        Ok(self.maybe_number(key)?.unwrap_or(default))
    }

    pub(super) fn flag_or(&self, key: &str, default: bool) -> Read<bool> {
        let found = self.optional(key, "true or false", Value::as_bool)?;
        Ok(found.unwrap_or(default))
    }

    pub(super) fn maybe_text(&self, key: &str) -> Read<Option<&'a str>> {
        self.optional(key, "a text", Value::as_str)
    }

    pub(crate) fn text(&self, key: &str) -> Read<&'a str> {
        let found = self.maybe_text(key)?;
        self.required(key, found)
    }

    pub(super) fn object(&self, key: &str) -> Read<Option<Self>> {
        let found = self.optional(key, "an object", Value::as_object)?;
        Ok(found.map(|keys| Self { keys }))
    }

    /// Refuses a key unless it is missing or has the value `only`.
    pub(crate) fn only(&self, key: &str, only: impl Into<Value>, remedy: &str) -> Read<()> {
        match self.get(key) {
            Some(value) if *value != only.into() => Err(DecoderError::Unsupported {
                key: key.to_string(),
                value: short(value),
                remedy: remedy.to_string(),
            }),
            _ => Ok(()),
        }
    }

    /// The function of the feed-forward layers.
    pub(crate) fn activation(&self, key: &str) -> Read<FeedForwardActivation> {
        let name = self.text(key)?;
        activation(name).ok_or_else(|| DecoderError::Unsupported {
            key: key.to_string(),
            value: format!("{name:?}"),
            remedy: "supported are silu, gelu, gelu_new, gelu_pytorch_tanh and relu".to_string(),
        })
    }

    pub(super) fn rms(&self, kind: NormKind) -> Read<NormConfig> {
        let epsilon = self.number_or("rms_norm_eps", 1e-6)?;
        Ok(NormConfig { kind, epsilon })
    }

    pub(crate) fn layer_norm(&self, key: &str, default: f64) -> Read<NormConfig> {
        Ok(NormConfig {
            kind: NormKind::Layer,
            epsilon: self.number_or(key, default)?,
        })
    }

    /// Heads of query and of key and value, and the width of a head.
    pub(super) fn heads(&self) -> Read<[usize; 3]> {
        let heads = self.count("num_attention_heads")?;
        let shared = self.count_or("num_key_value_heads", heads)?;
        let default = self.count("hidden_size")? / heads.max(1);
        Ok([heads, shared, self.count_or("head_dim", default)?])
    }

    /// Rotary positions of every layer; `share` of a head is rotated unless a key says another.
    pub(super) fn rotary(&self, head_width: usize, share: f64) -> Read<Positions> {
        let parameters = self.object("rope_parameters")?;
        let base = match &parameters {
            Some(parameters) => parameters.maybe_number("rope_theta")?,
            None => None,
        };
        let base = match base {
            Some(base) => base,
            None => self.number_or("rope_theta", 10_000.0)?,
        };
        let scaling = match parameters {
            Some(parameters) => Some(parameters),
            None => self.object("rope_scaling")?,
        };
        let rotary = self.rotation(head_width, share, base, scaling)?;
        Ok(Positions::Rotary {
            rotary,
            windowed: None,
        })
    }

    /// A rotation with what `scaling` says.
    pub(super) fn rotation(
        &self,
        head_width: usize,
        share: f64,
        base: f64,
        scaling: Option<Self>,
    ) -> Read<RotaryConfig> {
        let mut share = self.number_or("partial_rotary_factor", share)?;
        let mut result = RotaryScaling::None;
        if let Some(scaling) = scaling {
            share = scaling.number_or("partial_rotary_factor", share)?;
            result = scaling.scaling(self)?;
        }
        Ok(RotaryConfig {
            base,
            width: (head_width as f64 * share) as usize,
            scaling: result,
        })
    }

    /// The scaling of rotary positions in their object.
    fn scaling(&self, whole: &Self) -> Read<RotaryScaling> {
        let key = match self.get("rope_type") {
            Some(_) => "rope_type",
            None => "type",
        };
        let kind = self.maybe_text(key)?.unwrap_or("default");
        let number = |key: &str| {
            let found = self.maybe_number(key)?;
            self.required(key, found)
        };
        let original = || match self.maybe_count("original_max_position_embeddings")? {
            Some(places) => Ok(places),
            None => whole.count("max_position_embeddings"),
        };
        match kind {
            "default" => Ok(RotaryScaling::None),
            "linear" => Ok(RotaryScaling::Linear {
                factor: number("factor")?,
            }),
            "llama3" => Ok(RotaryScaling::Llama3 {
                factor: number("factor")?,
                low: number("low_freq_factor")?,
                high: number("high_freq_factor")?,
                original_positions: original()?,
            }),
            "yarn" => {
                let original_positions = original()?;
                let factor = match self.maybe_number("factor")? {
                    Some(factor) => factor,
                    None => {
                        let places = whole.count("max_position_embeddings")?;
                        places as f64 / original_positions as f64
                    }
                };
                let magnitude = |scale: f64| match factor > 1.0 {
                    true => 0.1 * scale * factor.ln() + 1.0,
                    false => 1.0,
                };
                let scales = ["mscale", "mscale_all_dim"].map(|key| self.maybe_number(key));
                let attention = match (self.maybe_number("attention_factor")?, scales) {
                    (Some(attention), _) => attention,
                    (None, [Ok(Some(scale)), Ok(Some(all))]) if scale != 0.0 && all != 0.0 => {
                        magnitude(scale) / magnitude(all)
                    }
                    (None, _) => magnitude(1.0),
                };
                Ok(RotaryScaling::Yarn {
                    factor,
                    fast: self.number_or("beta_fast", 32.0)?,
                    slow: self.number_or("beta_slow", 1.0)?,
                    original_positions,
                    attention,
                    rounded: self.flag_or("truncate", true)?,
                })
            }
            other => Err(DecoderError::Unsupported {
                key: key.to_string(),
                value: format!("{other:?}"),
                remedy:
                    "supported scalings of rotary positions are default, linear, llama3 and yarn"
                        .to_string(),
            }),
        }
    }

    /// The window of every layer from `layer_types`, or else from `windowed`.
    pub(super) fn windows(
        &self,
        window: Option<usize>,
        windowed: impl Fn(usize) -> bool,
    ) -> Read<Vec<Option<usize>>> {
        let layers = self.count("num_hidden_layers")?;
        let Some(window) = window else {
            return Ok(Vec::new());
        };
        let kinds = self.optional("layer_types", "a list of layer kinds", |value| {
            let kinds = value.as_array()?.iter();
            let kinds: Option<Vec<bool>> = kinds
                .map(|kind| match kind.as_str()? {
                    "sliding_attention" => Some(true),
                    "full_attention" => Some(false),
                    _ => None,
                })
                .collect();
            kinds.filter(|kinds| kinds.len() == layers)
        })?;
        // A number of layers that no memory holds is refused by the check of the configuration.
        let layers = layers.min(1 << 20);
        let kinds = kinds.unwrap_or_else(|| (0..layers).map(windowed).collect());
        Ok(kinds
            .into_iter()
            .map(|windowed| windowed.then_some(window))
            .collect())
    }
}

fn activation(name: &str) -> Option<FeedForwardActivation> {
    match name {
        "silu" | "swish" => Some(FeedForwardActivation::Silu),
        "gelu" => Some(FeedForwardActivation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Some(FeedForwardActivation::GeluTanh),
        "relu" => Some(FeedForwardActivation::Relu),
        _ => None,
    }
}

/// A value as JSON, cut where it is long.
fn short(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
