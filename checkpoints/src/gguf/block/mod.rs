//! How the numbers of a tensor are stored: plain, or in blocks that share a scale.
//!
//! # Source
//!
//! The block layouts are those of ggml (`ggml-common.h` for the bytes, `ggml-quants.c` for the arithmetic), the numbers
//! of the types those of `enum ggml_type` in the GGUF specification. Where a scale multiplies and a minimum is added,
//! both roundings of 32-bit arithmetic are kept, so that the values equal those of the Python package `gguf` bit for bit.

mod float;
mod k_scales;
mod q4;
mod q4_k;
mod q5;
mod q5_k;
mod q6_k;
mod q8_0;

#[cfg(test)]
mod tests;

use std::fmt;

pub(super) use float::f16;
pub(super) use k_scales::scale_and_minimum;

/// How a tensor stores its numbers.
#[allow(
    non_camel_case_types,
    reason = "the names of the format, which people know"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TensorType {
    /// 32-bit numbers.
    F32,
    /// IEEE half-precision numbers.
    F16,
    /// The upper half of 32-bit numbers.
    BF16,
    /// 32 numbers of 8 bits with a scale: 8.5 bits a number.
    Q8_0,
    /// 32 numbers of 4 bits with a scale: 4.5 bits a number.
    Q4_0,
    /// 32 numbers of 4 bits with a scale and a minimum: 5 bits a number.
    Q4_1,
    /// 32 numbers of 5 bits with a scale: 5.5 bits a number.
    Q5_0,
    /// 32 numbers of 5 bits with a scale and a minimum: 6 bits a number.
    Q5_1,
    /// 256 numbers of 4 bits, each 32 of them with a scale and a minimum of 6 bits: 4.5 bits a number.
    Q4_K,
    /// 256 numbers of 5 bits, each 32 of them with a scale and a minimum of 6 bits: 5.5 bits a number.
    Q5_K,
    /// 256 numbers of 6 bits, each 16 of them with a scale of 8 bits: 6.5625 bits a number.
    Q6_K,
}

/// One type: its name, its number in files, numbers and bytes of a block.
struct Layout(TensorType, &'static str, u32, usize, usize);

const LAYOUTS: [Layout; 11] = [
    Layout(TensorType::F32, "F32", 0, 1, 4),
    Layout(TensorType::F16, "F16", 1, 1, 2),
    Layout(TensorType::BF16, "BF16", 30, 1, 2),
    Layout(TensorType::Q8_0, "Q8_0", 8, 32, q8_0::BYTES),
    Layout(TensorType::Q4_0, "Q4_0", 2, 32, q4::BYTES_0),
    Layout(TensorType::Q4_1, "Q4_1", 3, 32, q4::BYTES_1),
    Layout(TensorType::Q5_0, "Q5_0", 6, 32, q5::BYTES_0),
    Layout(TensorType::Q5_1, "Q5_1", 7, 32, q5::BYTES_1),
    Layout(TensorType::Q4_K, "Q4_K", 12, 256, q4_k::BYTES),
    Layout(TensorType::Q5_K, "Q5_K", 13, 256, q5_k::BYTES),
    Layout(TensorType::Q6_K, "Q6_K", 14, 256, q6_k::BYTES),
];

/// Types of ggml that are not read, to name them.
const OTHERS: [(u32, &str); 23] = [
    (4, "Q4_2"),
    (5, "Q4_3"),
    (9, "Q8_1"),
    (10, "Q2_K"),
    (11, "Q3_K"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
];

impl TensorType {
    /// The type of this number in files, or else what the number stands for.
    pub(super) fn from_code(code: u32) -> Result<Self, String> {
        if let Some(Layout(found, ..)) = LAYOUTS.iter().find(|layout| layout.2 == code) {
            return Ok(*found);
        }
        let other = OTHERS.iter().find(|(other, _)| *other == code);
        Err(match other {
            Some((_, name)) => format!("{name} ({code})"),
            None => format!("{code}, which has no name here"),
        })
    }

    fn layout(self) -> &'static Layout {
        let place = LAYOUTS.iter().position(|layout| layout.0 == self);
        &LAYOUTS[place.unwrap_or_default()]
    }

    /// Numbers of a block.
    #[must_use]
    pub fn block_values(self) -> usize {
        self.layout().3
    }

    /// Bytes of a block.
    #[must_use]
    pub fn block_bytes(self) -> usize {
        self.layout().4
    }

    /// Bytes of a row of `columns` numbers, which must be whole blocks. `None` otherwise, and where the number is too
    /// large.
    #[must_use]
    pub fn row_bytes(self, columns: usize) -> Option<usize> {
        let whole = columns.is_multiple_of(self.block_values());
        whole.then(|| (columns / self.block_values()).checked_mul(self.block_bytes()))?
    }

    /// The names of all types, for messages.
    pub(super) fn list() -> String {
        LAYOUTS.map(|layout| layout.1).join(", ")
    }

    /// Writes the numbers of whole blocks into `out`.
    ///
    /// # Panics
    ///
    /// `bytes` are not the blocks of as many numbers as `out` has.
    pub fn dequantise(self, bytes: &[u8], out: &mut [f32]) {
        assert_eq!(
            self.row_bytes(out.len()),
            Some(bytes.len()),
            "{} numbers of type {self}",
            out.len()
        );
        match self {
            Self::F32 => each(bytes, out, float::decode_f32),
            Self::F16 => each(bytes, out, float::decode_f16),
            Self::BF16 => each(bytes, out, float::decode_bf16),
            Self::Q8_0 => each(bytes, out, q8_0::decode),
            Self::Q4_0 => each(bytes, out, q4::decode_0),
            Self::Q4_1 => each(bytes, out, q4::decode_1),
            Self::Q5_0 => each(bytes, out, q5::decode_0),
            Self::Q5_1 => each(bytes, out, q5::decode_1),
            Self::Q4_K => each(bytes, out, q4_k::decode),
            Self::Q5_K => each(bytes, out, q5_k::decode),
            Self::Q6_K => each(bytes, out, q6_k::decode),
        }
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.layout().1)
    }
}

/// Decodes block after block.
#[inline(always)]
fn each<const BYTES: usize, const VALUES: usize>(
    bytes: &[u8],
    out: &mut [f32],
    decode: impl Fn(&[u8; BYTES], &mut [f32; VALUES]),
) {
    let (blocks, _) = bytes.as_chunks::<BYTES>();
    let (outs, _) = out.as_chunks_mut::<VALUES>();
    for (block, out) in blocks.iter().zip(outs) {
        decode(block, out);
    }
}
