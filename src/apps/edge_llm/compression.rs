//! How the weights of a model are compressed, and how many bytes remain.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use anyhow::Result;
use burn::module::Module;
use burn::tensor::{Int, Tensor};
use crossburn_hardware::deploy::PostTraining;
use crossburn_hardware::prune::PruningPattern;
use crossburn_hardware::quantize::Rounding;
use crossburn_hardware::{WeightBits, WeightPlan};
use crossburn_models::decoder::Decoder;
use crossburn_noise::{HostWeight, PathPattern, host_weights_at, matrix_weights};
use serde::{Deserialize, Serialize};

/// Number of an output's inputs that share a grid.
const GROUP: usize = 32;
/// Bytes of an uncompressed weight, and of the scale of a group.
const FLOAT: u64 = 4;

/// A way to compress weights, with its name: `fp32`, `gptq-4`, `nearest-4`, `pruned-50`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) enum Compression {
    /// 32-bit floats.
    None,
    /// Integers of this many bits. Each weight is rounded so that later weights can compensate for its error.
    Gptq(u8),
    /// Integers of this many bits, each rounded to the nearest.
    Nearest(u8),
    /// This percentage of the weights of every layer, the smallest ones, is zero.
    Pruned(u8),
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("fp32"),
            Self::Gptq(bits) => write!(f, "gptq-{bits}"),
            Self::Nearest(bits) => write!(f, "nearest-{bits}"),
            Self::Pruned(share) => write!(f, "pruned-{share}"),
        }
    }
}

impl FromStr for Compression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || {
            format!(
                "there is no compression `{text}`: use fp32, gptq-BITS or nearest-BITS with 2 to 8 bits, or pruned-PERCENT with 1 to 99"
            )
        };
        if text == "fp32" {
            return Ok(Self::None);
        }
        let (kind, number) = text.split_once('-').ok_or_else(refused)?;
        let number: u8 = number.parse().map_err(|_| refused())?;
        match kind {
            "gptq" if (2..=8).contains(&number) => Ok(Self::Gptq(number)),
            "nearest" if (2..=8).contains(&number) => Ok(Self::Nearest(number)),
            "pruned" if (1..=99).contains(&number) => Ok(Self::Pruned(number)),
            _ => Err(refused()),
        }
    }
}

impl TryFrom<String> for Compression {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Compression> for String {
    fn from(compression: Compression) -> Self {
        compression.to_string()
    }
}

impl Compression {
    /// `decoder`, without autodiff, with compressed matrices. `calibration` passes through it if the rounding needs inputs.
    ///
    /// # Errors
    /// Errors of the rounding.
    pub(super) fn of(self, decoder: &Decoder, calibration: &Tensor<2, Int>) -> Result<Decoder> {
        let (rounding, bits) = match self {
            Self::None => return Ok(decoder.clone()),
            Self::Pruned(share) => {
                let density = 1.0 - f64::from(share) / 100.0;
                let pattern = PruningPattern::Unstructured { density };
                let paths = matrix_weights(decoder).into_iter().map(PathPattern::new);
                let plan = paths.fold(WeightPlan::default(), |plan, path| {
                    plan.with_pruning(path, Some(pattern))
                });
                return Ok(plan.prune(decoder.clone()));
            }
            Self::Gptq(bits) => (Rounding::gptq(), bits),
            Self::Nearest(bits) => (Rounding::Nearest, bits),
        };
        let post = PostTraining {
            rounding,
            group: NonZeroUsize::new(GROUP),
        };
        let rounded = post.quantized(decoder, WeightBits::new(bits)?, |decoder: &Decoder| {
            decoder.forward(calibration.clone());
        })?;
        Ok(rounded)
    }

    /// Bytes of the compressed weights of `decoder`: integers with a scale per group; or the remaining weights, with one bit per weight that says whether it
    /// remains.
    pub(super) fn bytes(self, decoder: &Decoder) -> u64 {
        let matrices = host_weights_at(decoder, &matrix_weights(decoder));
        let all = decoder.num_params() as u64;
        let inside: u64 = matrices
            .values()
            .map(|weight| weight.values.len() as u64)
            .sum();
        let compressed: u64 = matrices
            .values()
            .map(|weight| {
                let count = weight.values.len() as u64;
                let [inputs, outputs] = inputs_and_outputs(weight).map(|size| size as u64);
                match self {
                    Self::None => FLOAT * count,
                    Self::Gptq(bits) | Self::Nearest(bits) => {
                        let groups = inputs.div_ceil(GROUP as u64) * outputs;
                        (u64::from(bits) * count).div_ceil(8) + FLOAT * groups
                    }
                    Self::Pruned(share) => {
                        let kept = (count * u64::from(100 - share)).div_ceil(100);
                        FLOAT * kept + count.div_ceil(8)
                    }
                }
            })
            .sum();
        FLOAT * (all - inside) + compressed
    }
}

/// Inputs and outputs of a matrix of a decoder.
pub(super) fn inputs_and_outputs(weight: &HostWeight) -> [usize; 2] {
    let outputs = weight.shape.last().copied().unwrap_or(1);
    [weight.values.len() / outputs.max(1), outputs]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use burn::tensor::{Device, TensorData};
    use crossburn_models::decoder::DecoderSizes;
    use crossburn_models::initialize;

    use super::*;

    #[test]
    fn bytes_are_those_counted_by_hand_and_weights_are_as_sparse_as_named() {
        let sizes = r#"{"vocabulary": 10, "width": 64, "heads": 2, "hidden_width": 32, "layers": 1, "context": 16}"#;
        let sizes: DecoderSizes = serde_json::from_str(sizes).unwrap();
        let decoder = initialize(sizes.init(&Device::flex()).unwrap(), 1);
        // Four matrices of 64² and three of 64 · 32; embeddings of 10 · 64 and three norms of 64.
        let (matrices, rest) = (4 * 64 * 64 + 3 * 64 * 32, 10 * 64 + 3 * 64);
        let bytes = |text: &str| text.parse::<Compression>().unwrap().bytes(&decoder);
        assert_eq!(bytes("fp32"), 4 * (matrices + rest));
        // Groups of 32 inputs: two for each of 64 · 4 + 32 · 2 outputs, one for each of 64.
        let scales = 4 * (2 * (4 * 64 + 2 * 32) + 64);
        assert_eq!(bytes("gptq-4"), matrices / 2 + scales + 4 * rest);
        assert_eq!(bytes("pruned-50"), 2 * matrices + matrices / 8 + 4 * rest);
        let tokens = TensorData::new((0..16).map(|i| i % 10).collect::<Vec<i64>>(), [2, 8]);
        let tokens = Tensor::from_data(tokens, &Device::flex());
        let zeros = |text: &str| {
            let smaller = text.parse::<Compression>().unwrap().of(&decoder, &tokens);
            let weights = host_weights_at(&smaller.unwrap(), &matrix_weights(&decoder));
            let values = weights.values().flat_map(|weight| &weight.values);
            values.filter(|value| **value == 0.0).count() as u64
        };
        assert_eq!(zeros("fp32"), 0);
        assert_eq!(zeros("pruned-50"), matrices / 2);
        for text in ["gptq-1", "int8", "pruned-0", "nearest-x"] {
            let message = text.parse::<Compression>().unwrap_err();
            assert!(message.starts_with(&format!("there is no compression `{text}`: use fp32")));
        }
    }
}
