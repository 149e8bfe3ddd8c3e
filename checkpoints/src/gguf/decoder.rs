//! The decoder that a GGUF file holds.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use burn::tensor::Device;
use crossburn_kernels::{QuantizedMatrix, SharedBytes, WeightFormat};
use crossburn_models::decoder::family::{self, DecoderNames};
use crossburn_models::decoder::{
    AttentionConfig, Decoder, DecoderConfig, FeedForwardActivation, FeedForwardConfig, HeadConfig,
    NormConfig, NormKind, Positions, Residual, RotaryConfig, RotaryScaling,
};

use super::container::GgufFile;
use super::error::GgufError;
use super::model::{Architecture, GgufModel, RopeScaling};
use super::names::NamedTensor;
use crate::CheckpointError;
use crate::fill::{HeldAs, Loaded, fill_held, held_bytes};
use crate::mapped_file::MappedFile;
use crate::tensor_source::TensorSource;

impl Architecture {
    /// The family whose tensors have the names that [`NamedTensor`] gives.
    fn family(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Gemma3 => "gemma3_text",
        }
    }
}

impl GgufModel {
    /// The decoder with these hyperparameters.
    ///
    /// The weights of Gemma's norms hold `1 + w` in a file, so that its norms are plain ones here.
    #[must_use]
    pub fn decoder_config(&self) -> DecoderConfig {
        let gemma = self.architecture == Architecture::Gemma3;
        let norm = NormConfig {
            kind: NormKind::Rms,
            epsilon: self.norm_epsilon,
        };
        let rotary = RotaryConfig {
            base: self.rope_base,
            width: self.rope_dimensions,
            scaling: match &self.rope_scaling {
                Some(scaling) => scaling.rotary(),
                None => RotaryScaling::None,
            },
        };
        let windowed = self.rope_local_base.map(|base| RotaryConfig {
            base,
            scaling: RotaryScaling::None,
            ..rotary.clone()
        });
        let windows = match self.sliding_window {
            Some(window) => (1..=self.layers)
                .map(|layer| (layer % self.sliding_window_period != 0).then_some(window))
                .collect(),
            None => Vec::new(),
        };
        let usual_scale = 1.0 / (self.head_width as f64).sqrt();
        DecoderConfig {
            vocabulary: self.vocabulary,
            width: self.width,
            layers: self.layers,
            heads: self.heads,
            key_value_heads: self.key_value_heads,
            head_width: self.head_width,
            hidden_width: self.feed_forward_width,
            max_positions: self.context_length,
            norm,
            positions: Positions::Rotary { rotary, windowed },
            attention: AttentionConfig {
                windows,
                head_norm: self.query_key_norm.then_some(norm),
                input_bias: self.attention_bias,
                output_bias: self.attention_bias,
                scale: (self.attention_scale != usual_scale).then_some(self.attention_scale),
                soft_cap: None,
            },
            feed_forward: FeedForwardConfig {
                gated: true,
                activation: match gemma {
                    true => FeedForwardActivation::GeluTanh,
                    false => FeedForwardActivation::Silu,
                },
                bias: self.feed_forward_bias,
            },
            residual: match gemma {
                true => Residual::SequentialNormedTwice,
                false => Residual::Sequential,
            },
            head: HeadConfig {
                tied: self.tied_head,
                bias: false,
                soft_cap: self.logit_soft_cap,
            },
            embedding_scale: (self.embedding_scale != 1.0).then_some(self.embedding_scale),
        }
    }
}

impl RopeScaling {
    fn rotary(&self) -> RotaryScaling {
        match self {
            Self::Linear { factor } => RotaryScaling::Linear { factor: *factor },
            // The defaults of llama.cpp if a file has no further keys.
            Self::Yarn {
                factor,
                original_context,
            } => RotaryScaling::Yarn {
                factor: *factor,
                fast: 32.0,
                slow: 1.0,
                original_positions: *original_context,
                attention: 1.0 + 0.1 * factor.max(1.0).ln(),
                rounded: true,
            },
            Self::Divisors(divisors) => RotaryScaling::Divisors {
                divisors: divisors.iter().map(|divisor| f64::from(*divisor)).collect(),
            },
        }
    }
}

/// The weights of a file by their names at Hugging Face, decoded to 32-bit numbers when they are asked for.
struct GgufTensors<'a> {
    path: &'a Path,
    /// The bytes of the file, where they are mapped.
    map: Option<&'a MappedFile>,
    tensors: BTreeMap<String, NamedTensor<'a>>,
}

impl TensorSource for GgufTensors<'_> {
    fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn path(&self) -> &Path {
        self.path
    }

    fn file(&self, _name: &str) -> &Path {
        self.path
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let tensor = self.tensors.get(name)?;
        Some(tensor.tensor.shape().to_vec())
    }

    fn format(&self, name: &str) -> Option<WeightFormat> {
        Some(self.tensors.get(name)?.tensor.kind())
    }

    fn matrix(&self, name: &str) -> Option<QuantizedMatrix> {
        let named = self.tensors.get(name)?;
        let dims = named.tensor.shape().try_into().ok()?;
        let bytes = match (named.blocks(), self.map) {
            (Cow::Borrowed(_), Some(map)) => {
                SharedBytes::new(Arc::new(map.clone()), named.tensor.range())?
            }
            (blocks, _) => blocks.into_owned().into(),
        };
        QuantizedMatrix::new(named.tensor.kind(), dims, bytes)
    }

    fn is_mapped(&self, name: &str) -> bool {
        let named = self.tensors.get(name);
        self.map.is_some() && named.is_some_and(NamedTensor::is_in_order)
    }

    fn values(&self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        match self.tensors.get(name) {
            Some(tensor) => Ok(tensor.values()),
            None => Err(CheckpointError::MissingTensors {
                path: self.path.into(),
                tensors: vec![name.to_string()],
                found: Vec::new(),
            }),
        }
    }
}

impl<B: AsRef<[u8]>> GgufFile<B> {
    /// The configuration of the decoder in the file, and the names of its tensors at Hugging Face.
    ///
    /// # Errors
    /// Those of [`GgufModel::read`], and [`CheckpointError::Model`] for hyperparameters that no decoder has.
    pub fn decoder_config(&self) -> Result<(DecoderConfig, DecoderNames), CheckpointError> {
        self.described().map(|(_, config, names)| (config, names))
    }

    fn described(&self) -> Result<(GgufModel, DecoderConfig, DecoderNames), CheckpointError> {
        let model = GgufModel::read(self)?;
        // A configuration lists its layers.
        if model.layers > self.tensors().len() {
            return Err(CheckpointError::Gguf(GgufError::MissingTensor {
                path: self.path().into(),
                tensor: format!("blk.{}.attn_norm.weight", model.layers - 1),
                architecture: model.architecture.name(),
            }));
        }
        let config = model.decoder_config();
        let checked = config.check();
        checked.map_err(|cause| CheckpointError::Model {
            path: self.path().into(),
            cause,
        })?;
        let family = model.architecture.family();
        let names = family::names(family, &config).ok_or_else(|| GgufError::Unsupported {
            path: self.path().into(),
            what: "architecture",
            found: family.to_string(),
            known: family::supported().join(", "),
        })?;
        Ok((model, config, names))
    }

    /// The decoder with its weights on `device`, as 32-bit numbers whatever blocks the file holds.
    ///
    /// # Errors
    /// Those of [`decoder_config`](Self::decoder_config) and [`GgufModel::tensors`]; [`CheckpointError::Value`] for a weight
    /// that is not a number.
    pub fn decoder(&self, device: &Device) -> Result<Loaded<Decoder>, CheckpointError> {
        let (decoder, names, source) = self.prepared(device, None)?;
        fill_held(decoder, &names, &source, HeldAs::Floats)
    }

    /// The decoder without weights, its names, and the tensors, which stay in `map` where they can: the bytes of this file.
    fn prepared<'a>(
        &'a self,
        device: &Device,
        map: Option<&'a MappedFile>,
    ) -> Result<(Decoder, DecoderNames, GgufTensors<'a>), CheckpointError> {
        let (model, config, names) = self.described()?;
        let tensors = model.tensors(self)?.into_iter();
        let source = GgufTensors {
            path: self.path(),
            map,
            tensors: tensors
                .map(|tensor| (tensor.name.clone(), tensor))
                .collect(),
        };
        let decoder = config.init(device);
        let decoder = decoder.map_err(|cause| CheckpointError::Model {
            path: self.path().into(),
            cause,
        })?;
        Ok((decoder, names, source))
    }
}

impl GgufFile<MappedFile> {
    /// The decoder with its matrices as `held` says; blocks stay in the mapped file.
    ///
    /// # Errors
    /// Those of [`decoder`](Self::decoder).
    pub fn held_decoder(
        &self,
        device: &Device,
        held: HeldAs,
    ) -> Result<Loaded<Decoder>, CheckpointError> {
        let (decoder, names, source) = self.prepared(device, Some(self.bytes()))?;
        fill_held(decoder, &names, &source, held)
    }

    /// Bytes of memory that [`held_decoder`](Self::held_decoder) takes at its peak, beside what stays in the mapped file.
    ///
    /// # Errors
    /// Those of [`decoder_config`](Self::decoder_config) and [`GgufModel::tensors`].
    pub fn held_bytes(&self, held: HeldAs) -> Result<u128, CheckpointError> {
        let (decoder, names, source) = self.prepared(&Device::flex(), Some(self.bytes()))?;
        Ok(held_bytes(&decoder, &names, &source, held))
    }
}
