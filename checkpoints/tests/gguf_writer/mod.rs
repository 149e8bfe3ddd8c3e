//! Writes GGUF files: what a converter does to a model of the Hugging Face layout.
//!
//! # Source
//! The GGUF specification (`docs/gguf.md` of ggml) for the container, `conversion/llama.py` and `conversion/gemma.py` of
//! llama.cpp for names, the order of rows and the offset of norms.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::Path;

/// A tensor of 32-bit floats.
#[derive(Clone)]
pub(crate) struct Weights {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f32>,
}

/// A value of the metadata.
#[derive(Clone)]
pub(crate) enum Meta {
    U32(u32),
    F32(f32),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    F32s(Vec<f32>),
    I32s(Vec<i32>),
}

/// A file before it is written.
#[derive(Clone, Default)]
pub(crate) struct Writer {
    pub(crate) metadata: Vec<(String, Meta)>,
    pub(crate) tensors: Vec<Weights>,
    /// Whether matrices whose rows are whole blocks become Q8_0; everything else is 32-bit floats.
    pub(crate) eight_bits: bool,
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

impl Meta {
    fn bytes(&self) -> Vec<u8> {
        let code = |code: u32| code.to_le_bytes().to_vec();
        let list = |item: u32, count: usize, bytes: Vec<u8>| {
            [
                code(9),
                code(item),
                (count as u64).to_le_bytes().to_vec(),
                bytes,
            ]
            .concat()
        };
        match self {
            Self::U32(value) => [code(4), value.to_le_bytes().to_vec()].concat(),
            Self::F32(value) => [code(6), value.to_le_bytes().to_vec()].concat(),
            Self::Bool(value) => [code(7), vec![u8::from(*value)]].concat(),
            Self::Text(value) => [code(8), text(value)].concat(),
            Self::Texts(values) => list(
                8,
                values.len(),
                values.iter().flat_map(|value| text(value)).collect(),
            ),
            Self::F32s(values) => list(
                6,
                values.len(),
                values
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect(),
            ),
            Self::I32s(values) => list(
                5,
                values.len(),
                values
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect(),
            ),
        }
    }
}

impl Writer {
    /// Sets a value of the metadata.
    pub(crate) fn set(&mut self, key: &str, value: Meta) -> &mut Self {
        self.metadata.retain(|(known, _)| known != key);
        self.metadata.push((key.to_string(), value));
        self
    }

    /// The tensors of a Llama or Gemma 3 from those of Hugging Face.
    pub(crate) fn convert(&mut self, tensors: &[Weights], heads: [usize; 2], gemma: bool) {
        for tensor in tensors {
            let mut tensor = tensor.clone();
            let renamed = renamed(&tensor.name, gemma);
            let interleaved = [".attn_q.", ".attn_k."].map(|part| renamed.contains(part));
            for (found, heads) in interleaved.into_iter().zip(heads) {
                if found && !gemma {
                    tensor.values = interleave(&tensor, heads);
                }
            }
            if gemma && renamed.ends_with("norm.weight") {
                tensor.values.iter_mut().for_each(|value| *value += 1.0);
            }
            tensor.name = renamed;
            self.tensors.push(tensor);
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        for count in [self.tensors.len(), self.metadata.len()] {
            bytes.extend((count as u64).to_le_bytes());
        }
        for (key, value) in &self.metadata {
            bytes.extend([text(key), value.bytes()].concat());
        }
        let mut offset = 0u64;
        for tensor in &self.tensors {
            bytes.extend(text(&tensor.name));
            bytes.extend((tensor.shape.len() as u32).to_le_bytes());
            for axis in tensor.shape.iter().rev() {
                bytes.extend((*axis as u64).to_le_bytes());
            }
            let (code, held) = self.encoded(tensor);
            bytes.extend(code.to_le_bytes());
            bytes.extend(offset.to_le_bytes());
            offset = (offset + held.len() as u64).next_multiple_of(32);
        }
        for tensor in &self.tensors {
            bytes.resize(bytes.len().next_multiple_of(32), 0);
            bytes.extend(self.encoded(tensor).1);
        }
        bytes
    }

    /// The code of a tensor's type, and its bytes.
    fn encoded(&self, tensor: &Weights) -> (u32, Vec<u8>) {
        let values = &tensor.values;
        match tensor.shape.as_slice() {
            [_, inputs] if self.eight_bits && inputs.is_multiple_of(32) => {
                (8, values.chunks(32).flat_map(q8_0).collect())
            }
            _ => (0, values.iter().flat_map(|x| x.to_le_bytes()).collect()),
        }
    }

    pub(crate) fn write(&self, path: &Path) {
        std::fs::write(path, self.bytes()).unwrap();
    }
}

/// A block of 32 numbers below one: the scale 1/128, whose exponent in half precision is 15 - 7, and 8 bits of each.
fn q8_0(values: &[f32]) -> Vec<u8> {
    let mut block = (8u16 << 10).to_le_bytes().to_vec();
    block.extend(values.iter().map(|x| (x * 128.0).round() as i8 as u8));
    block
}

fn renamed(name: &str, gemma: bool) -> String {
    let name = name
        .replace("model.embed_tokens", "token_embd")
        .replace("model.norm", "output_norm")
        .replace("lm_head", "output")
        .replace("model.layers", "blk");
    let (attended, before) = match gemma {
        true => ("post_attention_norm", "ffn_norm"),
        false => ("ffn_norm", "?"),
    };
    [
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", attended),
        ("pre_feedforward_layernorm", before),
        ("post_feedforward_layernorm", "post_ffw_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("self_attn.q_norm", "attn_q_norm"),
        ("self_attn.k_norm", "attn_k_norm"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
    ]
    .iter()
    .fold(name, |name, (from, to)| name.replace(from, to))
}

/// Rows of each head so that those which rotate together are neighbours: `reshape(heads, 2, d/2, ..).swapaxes(1, 2)`.
fn interleave(tensor: &Weights, heads: usize) -> Vec<f32> {
    let rows = tensor.shape[0];
    let columns = tensor.values.len() / rows;
    let width = rows / heads;
    let mut values = Vec::with_capacity(tensor.values.len());
    for head in 0..heads {
        for i in 0..width / 2 {
            for half in 0..2 {
                let row = head * width + half * width / 2 + i;
                values.extend_from_slice(&tensor.values[row * columns..(row + 1) * columns]);
            }
        }
    }
    values
}
