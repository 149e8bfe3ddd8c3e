//! A decoder without some of its heads and feed-forward channels.

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{Int, Tensor, TensorData};

use super::{Decoder, DecoderConfig, DecoderError};

/// Which heads and channels of a decoder stay, block by block. Every block keeps the same number of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Heads of key and value, in increasing order. Each stays with the heads of the query that it serves.
    pub key_value_heads: Vec<Vec<usize>>,
    /// Channels between the two halves of the feed-forward layer, in increasing order.
    pub channels: Vec<Vec<usize>>,
}

impl Kept {
    /// Everything of a decoder that is `config`.
    pub fn all(config: &DecoderConfig) -> Self {
        let all = |count: usize| vec![(0..count).collect(); config.layers];
        Self {
            key_value_heads: all(config.key_value_heads),
            channels: all(config.hidden_width),
        }
    }

    /// The pruned configuration of a decoder with `config`.
    ///
    /// # Errors
    /// [`DecoderError::Setting`] where a block keeps nothing, another number than the first one, or what it does not have.
    fn config(&self, config: &DecoderConfig) -> Result<DecoderConfig, DecoderError> {
        let count = |key: &'static str, kept: &[Vec<usize>], have: usize| {
            let first = kept.first().map_or(0, Vec::len);
            let fits = |places: &Vec<usize>| {
                places.len() == first
                    && places.windows(2).all(|pair| pair[0] < pair[1])
                    && places.last().is_some_and(|last| *last < have)
            };
            match first > 0 && kept.len() == config.layers && kept.iter().all(fits) {
                true => Ok(first),
                false => Err(DecoderError::setting(
                    key,
                    format!("{kept:?}"),
                    format!(
                        "keep the same number in each of {} blocks, in order, below {have}",
                        config.layers
                    ),
                )),
            }
        };
        let have = config.key_value_heads;
        let heads = count("key_value_heads", &self.key_value_heads, have)?;
        let channels = count("channels", &self.channels, config.hidden_width)?;
        let pruned = config.pruned(heads, channels);
        pruned.check()?;
        Ok(pruned)
    }
}

impl DecoderConfig {
    /// The configuration of this decoder if every block keeps `key_value_heads` heads of key and value, each with the query
    /// heads that it serves, and `channels` between the two halves of the feed-forward layer.
    pub fn pruned(&self, key_value_heads: usize, channels: usize) -> Self {
        Self {
            heads: self.heads / self.key_value_heads.max(1) * key_value_heads,
            key_value_heads,
            hidden_width: channels,
            ..self.clone()
        }
    }
}

impl Decoder {
    /// The decoder with what is `kept` alone: what it computes is what it would with all weights of the others zero.
    ///
    /// # Errors
    /// [`DecoderError::Setting`] for what no decoder keeps.
    pub fn pruned(&self, kept: &Kept) -> Result<Self, DecoderError> {
        let config = kept.config(self.config())?;
        let blocks = self.layers().iter().enumerate().map(|(index, block)| {
            block.pruned(&kept.key_value_heads[index], &kept.channels[index])
        });
        Ok(self.with_blocks(blocks.collect(), config))
    }
}

/// `layer` with these outputs alone.
pub(super) fn with_outputs(layer: &Linear, places: &[usize]) -> Linear {
    let weight = layer.weight.val();
    let indices = indices(places, &weight);
    Linear {
        weight: Param::from_tensor(weight.select(1, indices.clone())),
        bias: (layer.bias.as_ref()).map(|bias| Param::from_tensor(bias.val().select(0, indices))),
    }
}

/// `layer` with these inputs alone.
pub(super) fn with_inputs(layer: &Linear, places: &[usize]) -> Linear {
    let weight = layer.weight.val();
    let indices = indices(places, &weight);
    Linear {
        weight: Param::from_tensor(weight.select(0, indices)),
        bias: layer.bias.clone(),
    }
}

fn indices(places: &[usize], weight: &Tensor<2>) -> Tensor<1, Int> {
    let places: Vec<i64> = places.iter().map(|place| *place as i64).collect();
    let count = places.len();
    Tensor::from_data(TensorData::new(places, [count]), &weight.device())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::collections::BTreeSet;

    use burn::tensor::Device;
    use crossburn_noise::change_host_weights;

    use super::*;
    use crate::decoder::DecoderSizes;
    use crate::initialize;

    fn config() -> DecoderConfig {
        let sizes = r#"{"vocabulary": 11, "width": 16, "heads": 4, "key_value_heads": 2, "layers": 2, "context": 16,
            "hidden_width": 24}"#;
        let sizes: DecoderSizes = serde_json::from_str(sizes).unwrap();
        let mut config = sizes.config().unwrap();
        config.attention.input_bias = true;
        config.attention.output_bias = true;
        config.feed_forward.bias = true;
        config
    }

    #[test]
    fn what_is_left_computes_what_all_would_with_the_others_zero() {
        let device = Device::flex();
        let config = config();
        let decoder = initialize(config.init(&device).unwrap(), 3);
        let kept = Kept {
            key_value_heads: vec![vec![1], vec![0]],
            channels: vec![(0..24).step_by(3).collect(), (5..13).collect()],
        };
        // A head or a channel says nothing more where the weights after it are zero: rows of the last matrix of its part.
        let mut zeroed = decoder.clone();
        for layer in 0..2 {
            let (head, width) = (kept.key_value_heads[layer][0], 8);
            for (part, keeps) in [
                (
                    "attention.output",
                    (head * width..(head + 1) * width).collect(),
                ),
                ("feed_forward.down", kept.channels[layer].clone()),
            ] {
                let path: BTreeSet<String> = [format!("layers.{layer}.{part}.weight")].into();
                zeroed = change_host_weights(zeroed, &path, |values, shape| {
                    for (input, row) in values.chunks_mut(shape[1]).enumerate() {
                        if !keeps.contains(&input) {
                            row.fill(0.0);
                        }
                    }
                });
            }
        }
        let pruned = decoder.pruned(&kept).unwrap();
        let found = pruned.config();
        assert_eq!(
            (found.heads, found.key_value_heads, found.hidden_width),
            (2, 1, 8)
        );
        assert_eq!(
            pruned.config().parameters(),
            burn::module::Module::num_params(&pruned) as u128
        );
        let tokens = Tensor::<2, Int>::from_data([[1, 5, 9, 2, 0, 10, 3]], &device);
        let difference = |a: &Decoder, b: &Decoder| {
            let difference = a.forward(tokens.clone()) - b.forward(tokens.clone());
            difference.abs().max().into_scalar::<f32>()
        };
        // Sums of 32-bit products without those that are zero.
        assert!(difference(&pruned, &zeroed) < 1e-5);
        assert!(difference(&pruned, &decoder) > 1e-3);
        let whole = decoder.pruned(&Kept::all(&config)).unwrap();
        assert_eq!(difference(&whole, &decoder), 0.0);
    }

    #[test]
    fn what_no_decoder_keeps_is_refused() {
        let decoder = initialize(config().init(&Device::flex()).unwrap(), 3);
        let all = Kept::all(decoder.config());
        for heads in [
            vec![vec![0]],
            vec![vec![], vec![]],
            vec![vec![0], vec![0, 1]],
            vec![vec![1, 0], vec![0, 1]],
            vec![vec![2], vec![0]],
        ] {
            let kept = Kept {
                key_value_heads: heads,
                ..all.clone()
            };
            let error = decoder.pruned(&kept).unwrap_err().to_string();
            assert!(
                error.contains("keep the same number in each of 2 blocks"),
                "{error}"
            );
        }
    }
}
