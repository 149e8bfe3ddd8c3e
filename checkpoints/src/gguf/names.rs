//! The tensors of a network under the names of Hugging Face, with their rows in the order of Hugging Face.
//!
//! # Source
//!
//! `gguf-py/gguf/tensor_mapping.py` of llama.cpp for the names, `LlamaModel.permute` in its `conversion/llama.py` for the
//! order of rows.
//!
//! # The order of rows
//!
//! Two conventions pair the numbers of a head for rotation. Hugging Face pairs number `i` with number `i + d/2`
//! (rotate-half). ggml's rotation of the `llama` architecture pairs `2i` with `2i + 1`, and so the converter reorders the
//! rows of the query and key weights (and biases) of these networks within each head of width `d`:
//!
//! ```text
//! row 2i + s in the file  =  row s d/2 + i at Hugging Face      (s = 0, 1)
//! ```
//!
//! [`NamedTensor`] undoes it. `gemma3` is rotated by halves in ggml, too, and its rows stay.

use std::borrow::Cow;
use std::collections::HashSet;

use super::container::GgufFile;
use super::error::GgufError;
use super::model::{Architecture, GgufModel};
use super::tensor::Tensor;

/// The embedding.
pub(super) const EMBEDDING: &str = "token_embd.weight";
/// The head, where it is not the embedding.
pub(super) const HEAD: &str = "output.weight";
/// Divisors of the rotary frequencies: no weight of the network, but a form of its rotary scaling.
pub(super) const ROPE_DIVISORS: &str = "rope_freqs.weight";

/// A weight of a network, still in its blocks.
#[derive(Debug, Clone)]
pub struct NamedTensor<'a> {
    /// Its name at Hugging Face: `model.layers.0.self_attn.q_proj.weight`.
    pub name: String,
    /// The tensor in the file.
    pub tensor: Tensor<'a>,
    /// Number of heads in each of which the rows of the file stand pair by pair, and so in another order.
    interleaved_heads: Option<usize>,
}

impl<'a> NamedTensor<'a> {
    /// The row of the file that holds row `row` of Hugging Face.
    fn source_row(&self, row: usize) -> usize {
        let Some(heads) = self.interleaved_heads else {
            return row;
        };
        let width = self.rows() / heads;
        let (head, row) = (row / width, row % width);
        let (half, i) = (row / (width / 2), row % (width / 2));
        head * width + 2 * i + half
    }

    /// Rows to reorder: a bias is a column of them.
    fn rows(&self) -> usize {
        self.tensor.shape().first().copied().unwrap_or(1)
    }

    /// Whether the file has the rows in the order of Hugging Face.
    pub(super) fn is_in_order(&self) -> bool {
        self.interleaved_heads.is_none() || self.tensor.shape().len() < 2
    }

    /// The blocks with the rows in the order of Hugging Face; borrowed from the file where that is its order.
    ///
    /// A bias, whose single row would have to be reordered within, is decoded to 32-bit numbers by
    /// [`values`](Self::values) instead, and its blocks stay as in the file.
    #[must_use]
    pub fn blocks(&self) -> Cow<'a, [u8]> {
        let blocks = self.tensor.blocks();
        if self.is_in_order() {
            return Cow::Borrowed(blocks);
        }
        let bytes = self.tensor.row_bytes();
        let mut ordered = Vec::with_capacity(blocks.len());
        for row in 0..self.rows() {
            let source = self.source_row(row) * bytes;
            ordered.extend_from_slice(&blocks[source..source + bytes]);
        }
        Cow::Owned(ordered)
    }

    /// All numbers as 32-bit numbers, in the order of Hugging Face.
    #[must_use]
    pub fn values(&self) -> Vec<f32> {
        if self.tensor.shape().len() < 2 {
            let values = self.tensor.dequantise();
            return (0..values.len())
                .map(|row| values[self.source_row(row)])
                .collect();
        }
        let columns = self.tensor.columns();
        let mut out = vec![0.0; self.rows() * columns];
        if columns > 0 {
            for (row, out) in out.chunks_exact_mut(columns).enumerate() {
                let source = self.source_row(row);
                self.tensor.dequantise_rows(source..source + 1, out);
            }
        }
        out
    }
}

/// The use of a weight: its shape, and whether its rows are reordered.
struct Weight {
    file: String,
    hugging_face: String,
    shape: Vec<usize>,
    interleaved_heads: Option<usize>,
    optional: bool,
}

impl GgufModel {
    /// All weights of the network, in the order of its computation. Every weight is there with the shape that the
    /// hyperparameters ask for, and the file holds no other tensor.
    ///
    /// # Errors
    ///
    /// A tensor is missing, has another shape, or does not belong to the network.
    pub fn tensors<'a, B: AsRef<[u8]>>(
        &self,
        file: &'a GgufFile<B>,
    ) -> Result<Vec<NamedTensor<'a>>, GgufError> {
        let path = || file.path().to_path_buf();
        let architecture = self.architecture.name();
        let mut found = Vec::new();
        let mut known: HashSet<&str> = HashSet::from([ROPE_DIVISORS]);
        let ends = [self.first(), self.last()];
        let layers = (0..self.layers).map(|layer| self.layer(layer));
        let [first, last] = ends;
        for weight in std::iter::once(first)
            .chain(layers)
            .chain(std::iter::once(last))
            .flatten()
        {
            let Some(tensor) = file.tensor(&weight.file) else {
                if weight.optional {
                    continue;
                }
                return Err(GgufError::MissingTensor {
                    path: path(),
                    tensor: weight.file,
                    architecture,
                });
            };
            if tensor.shape() != weight.shape {
                return Err(GgufError::Shape {
                    path: path(),
                    tensor: weight.file,
                    expected: weight.shape,
                    found: tensor.shape().to_vec(),
                });
            }
            known.insert(tensor.name());
            found.push(NamedTensor {
                name: weight.hugging_face,
                tensor,
                interleaved_heads: weight.interleaved_heads,
            });
        }
        match file.tensors().find(|tensor| !known.contains(tensor.name())) {
            None => Ok(found),
            Some(tensor) => Err(GgufError::UnexpectedTensor {
                path: path(),
                tensor: tensor.name().to_string(),
                architecture,
            }),
        }
    }

    fn first(&self) -> Vec<Weight> {
        vec![weight(
            EMBEDDING,
            "model.embed_tokens.weight",
            &[self.vocabulary, self.width],
        )]
    }

    fn last(&self) -> Vec<Weight> {
        let mut head = weight(HEAD, "lm_head.weight", &[self.vocabulary, self.width]);
        head.optional = true;
        let norm = weight("output_norm.weight", "model.norm.weight", &[self.width]);
        vec![norm, head]
    }

    fn layer(&self, layer: usize) -> Vec<Weight> {
        let (width, inner) = (self.width, self.feed_forward_width);
        let queries = self.heads * self.head_width;
        let keys = self.key_value_heads * self.head_width;
        let interleaved = |heads| match self.architecture {
            Architecture::Llama => Some(heads),
            Architecture::Gemma3 => None,
        };
        let at = |file: &str, name: &str, shape: &[usize]| {
            weight(
                &format!("blk.{layer}.{file}"),
                &format!("model.layers.{layer}.{name}"),
                shape,
            )
        };
        let mut weights = vec![at("attn_norm.weight", "input_layernorm.weight", &[width])];
        for (file, name, shape, heads) in [
            (
                "attn_q",
                "q_proj",
                [queries, width],
                interleaved(self.heads),
            ),
            (
                "attn_k",
                "k_proj",
                [keys, width],
                interleaved(self.key_value_heads),
            ),
            ("attn_v", "v_proj", [keys, width], None),
            ("attn_output", "o_proj", [width, queries], None),
        ] {
            let (file, name) = (
                |end| format!("{file}.{end}"),
                |end| format!("self_attn.{name}.{end}"),
            );
            let mut matrix = at(&file("weight"), &name("weight"), &shape);
            let mut bias = at(&file("bias"), &name("bias"), &shape[..1]);
            (matrix.interleaved_heads, bias.interleaved_heads) = (heads, heads);
            bias.optional = true;
            weights.extend([matrix, bias]);
        }
        let norms: &[[&str; 2]] = match self.architecture {
            Architecture::Llama => &[["ffn_norm", "post_attention_layernorm"]],
            Architecture::Gemma3 => &[
                ["post_attention_norm", "post_attention_layernorm"],
                ["ffn_norm", "pre_feedforward_layernorm"],
                ["post_ffw_norm", "post_feedforward_layernorm"],
            ],
        };
        for [file, name] in norms {
            weights.push(at(
                &format!("{file}.weight"),
                &format!("{name}.weight"),
                &[width],
            ));
        }
        if self.query_key_norm {
            for [file, name] in [["attn_q_norm", "q_norm"], ["attn_k_norm", "k_norm"]] {
                let name = format!("self_attn.{name}.weight");
                weights.push(at(&format!("{file}.weight"), &name, &[self.head_width]));
            }
        }
        for (file, name, shape) in [
            ("ffn_gate", "gate_proj", [inner, width]),
            ("ffn_up", "up_proj", [inner, width]),
            ("ffn_down", "down_proj", [width, inner]),
        ] {
            weights.push(at(
                &format!("{file}.weight"),
                &format!("mlp.{name}.weight"),
                &shape,
            ));
            let mut bias = at(
                &format!("{file}.bias"),
                &format!("mlp.{name}.bias"),
                &shape[..1],
            );
            bias.optional = true;
            weights.push(bias);
        }
        weights
    }
}

fn weight(file: &str, hugging_face: &str, shape: &[usize]) -> Weight {
    Weight {
        file: file.to_string(),
        hugging_face: hugging_face.to_string(),
        shape: shape.to_vec(),
        interleaved_heads: None,
        optional: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossburn_kernels::WeightFormat;

    /// Two heads of width 4. The converter stores rows 0 2 1 3 of each, because rows 0 and 2 rotate together.
    #[test]
    fn rows_of_each_head_return_to_their_order() {
        let file: Vec<f32> = vec![0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0];
        let bytes: Vec<u8> = file.iter().flat_map(|v| v.to_le_bytes()).collect();
        for shape in [&[8, 1][..], &[8]] {
            let named = NamedTensor {
                name: String::new(),
                tensor: Tensor::new(
                    "blk.0.attn_q.weight",
                    WeightFormat::F32,
                    shape,
                    &bytes,
                    0..32,
                ),
                interleaved_heads: Some(2),
            };
            assert_eq!(named.values(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        }
        let named = NamedTensor {
            name: String::new(),
            tensor: Tensor::new(
                "blk.0.attn_q.weight",
                WeightFormat::F32,
                &[8, 1],
                &bytes,
                0..32,
            ),
            interleaved_heads: Some(2),
        };
        assert_eq!(named.blocks()[4..8], 1.0f32.to_le_bytes());
        assert_eq!(named.blocks().len(), bytes.len());
    }
}
