//! How the numbers of a weight are stored: one by one, or in blocks that share a scale.
//!
//! Every type of block consists of groups of 32 numbers. A number is `scale · q + offset` with an eight-bit integer `q` ([`Group`]).
//!
//! # Source
//!
//! The layouts of blocks are those of ggml (`ggml-common.h` for the bytes, `ggml-quants.c` for the arithmetic). Where a scale is multiplied and a
//! minimum is added, both 32-bit roundings are kept, so that values equal those of the Python package `gguf` bit for bit.

mod float;
mod k_scales;
pub(super) mod q4;
pub(super) mod q4_k;
pub(super) mod q5;
pub(super) mod q5_k;
pub(super) mod q6_k;
pub(super) mod q8_0;

#[cfg(test)]
mod tests;

use std::fmt;

use pulp::{Arch, Simd, WithSimd};

pub(super) use float::{bf16, f16};
pub(super) use k_scales::scale_and_minimum;
pub(super) use q4::encode_0 as encode_q4_0;
pub(super) use q8_0::encode as encode_q8_0;

/// How a weight stores its numbers.
#[allow(
    non_camel_case_types,
    reason = "the names of GGUF files, which people know"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WeightFormat {
    /// 32-bit numbers.
    F32,
    /// IEEE half-precision numbers.
    F16,
    /// The upper half of 32-bit numbers.
    BF16,
    /// 32 numbers of 8 bits with a scale: 8.5 bits per number.
    Q8_0,
    /// 32 numbers of 4 bits with a scale: 4.5 bits per number.
    Q4_0,
    /// 32 numbers of 4 bits with a scale and a minimum: 5 bits per number.
    Q4_1,
    /// 32 numbers of 5 bits with a scale: 5.5 bits per number.
    Q5_0,
    /// 32 numbers of 5 bits with a scale and a minimum: 6 bits per number.
    Q5_1,
    /// 256 numbers of 4 bits; each 32 of them have a scale and a minimum of 6 bits: 4.5 bits per number.
    Q4_K,
    /// 256 numbers of 5 bits; each 32 of them have a scale and a minimum of 6 bits: 5.5 bits per number.
    Q5_K,
    /// 256 numbers of 6 bits; each 16 of them have a scale of 8 bits: 6.5625 bits per number.
    Q6_K,
}

/// A format into which numbers can be converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EncodedFormat {
    /// [`WeightFormat::F16`].
    F16,
    /// [`WeightFormat::BF16`].
    BF16,
    /// [`WeightFormat::Q8_0`].
    Q8_0,
    /// [`WeightFormat::Q4_0`].
    Q4_0,
}

impl From<EncodedFormat> for WeightFormat {
    fn from(format: EncodedFormat) -> Self {
        match format {
            EncodedFormat::F16 => Self::F16,
            EncodedFormat::BF16 => Self::BF16,
            EncodedFormat::Q8_0 => Self::Q8_0,
            EncodedFormat::Q4_0 => Self::Q4_0,
        }
    }
}

/// A format, its name, and the numbers and bytes of a block.
struct Layout(WeightFormat, &'static str, usize, usize);

const LAYOUTS: [Layout; 11] = [
    Layout(WeightFormat::F32, "F32", 1, 4),
    Layout(WeightFormat::F16, "F16", 1, 2),
    Layout(WeightFormat::BF16, "BF16", 1, 2),
    Layout(WeightFormat::Q8_0, "Q8_0", 32, q8_0::BYTES),
    Layout(WeightFormat::Q4_0, "Q4_0", 32, q4::BYTES_0),
    Layout(WeightFormat::Q4_1, "Q4_1", 32, q4::BYTES_1),
    Layout(WeightFormat::Q5_0, "Q5_0", 32, q5::BYTES_0),
    Layout(WeightFormat::Q5_1, "Q5_1", 32, q5::BYTES_1),
    Layout(WeightFormat::Q4_K, "Q4_K", 256, q4_k::BYTES),
    Layout(WeightFormat::Q5_K, "Q5_K", 256, q5_k::BYTES),
    Layout(WeightFormat::Q6_K, "Q6_K", 256, q6_k::BYTES),
];

/// 32 numbers of a block: `scales[i / 16] · quants[i] + offset`; without an offset, nothing is added.
#[derive(Clone, Copy)]
pub(super) struct Group {
    pub(super) quants: [i8; 32],
    /// The scales of the first and of the last sixteen numbers.
    pub(super) scales: [f32; 2],
    pub(super) offset: Option<f32>,
}

impl Group {
    #[inline(always)]
    fn write(&self, out: &mut [f32; 32]) {
        for (half, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
            let quants = &self.quants[16 * half..16 * half + 16];
            for (value, quant) in out.iter_mut().zip(quants) {
                *value = self.scales[half] * f32::from(*quant);
            }
        }
        if let Some(offset) = self.offset {
            out.iter_mut().for_each(|value| *value += offset);
        }
    }
}

impl WeightFormat {
    /// All formats.
    pub fn all() -> impl Iterator<Item = Self> {
        LAYOUTS.iter().map(|layout| layout.0)
    }

    fn layout(self) -> &'static Layout {
        let place = LAYOUTS.iter().position(|layout| layout.0 == self);
        &LAYOUTS[place.unwrap_or_default()]
    }

    /// Numbers of a block.
    #[must_use]
    pub fn block_values(self) -> usize {
        self.layout().2
    }

    /// Bytes of a block.
    #[must_use]
    pub fn block_bytes(self) -> usize {
        self.layout().3
    }

    /// Bytes of a row of `columns` numbers. `None` if they are not whole blocks, or if the number of bytes is too large.
    #[must_use]
    pub fn row_bytes(self, columns: usize) -> Option<usize> {
        let whole = columns.is_multiple_of(self.block_values());
        whole.then(|| (columns / self.block_values()).checked_mul(self.block_bytes()))?
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
            "{} numbers of format {self}",
            out.len()
        );
        let format = self;
        Arch::new().dispatch(Dequantise { format, bytes, out });
    }

    /// Calls `each` with the groups of whole blocks, in order. A format without groups gives none.
    pub(super) fn each_group(self, bytes: &[u8], each: impl FnMut(Group)) {
        match self {
            Self::F32 | Self::F16 | Self::BF16 => {}
            Self::Q8_0 => walk::<_, 1>(bytes, q8_0::group, each),
            Self::Q4_0 => walk::<_, 1>(bytes, q4::group_0, each),
            Self::Q4_1 => walk::<_, 1>(bytes, q4::group_1, each),
            Self::Q5_0 => walk::<_, 1>(bytes, q5::group_0, each),
            Self::Q5_1 => walk::<_, 1>(bytes, q5::group_1, each),
            Self::Q4_K => walk::<_, 8>(bytes, q4_k::group, each),
            Self::Q5_K => walk::<_, 8>(bytes, q5_k::group, each),
            Self::Q6_K => walk::<_, 8>(bytes, q6_k::group, each),
        }
    }
}

impl fmt::Display for WeightFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.layout().1)
    }
}

/// Whole blocks, and the place for their numbers.
struct Dequantise<'a> {
    format: WeightFormat,
    bytes: &'a [u8],
    out: &'a mut [f32],
}

impl WithSimd for Dequantise<'_> {
    type Output = ();

    /// Plain loops that the compiler vectorizes. The results are the same with any vectors.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { format, bytes, out } = self;
        match format {
            WeightFormat::F32 => each(bytes, out, f32::from_le_bytes),
            WeightFormat::F16 => each(bytes, out, f16),
            WeightFormat::BF16 => each(bytes, out, bf16),
            WeightFormat::Q8_0 => groups(bytes, out, q8_0::group),
            WeightFormat::Q4_0 => groups(bytes, out, q4::group_0),
            WeightFormat::Q4_1 => groups(bytes, out, q4::group_1),
            WeightFormat::Q5_0 => groups(bytes, out, q5::group_0),
            WeightFormat::Q5_1 => groups(bytes, out, q5::group_1),
            WeightFormat::Q4_K => groups(bytes, out, q4_k::group),
            WeightFormat::Q5_K => groups(bytes, out, q5_k::group),
            WeightFormat::Q6_K => groups(bytes, out, q6_k::group),
        }
    }
}

/// Decodes one number after the other.
#[inline(always)]
fn each<const BYTES: usize>(bytes: &[u8], out: &mut [f32], decode: impl Fn([u8; BYTES]) -> f32) {
    for (bytes, out) in bytes.as_chunks::<BYTES>().0.iter().zip(out) {
        *out = decode(*bytes);
    }
}

/// Decodes one group after the other.
#[inline(always)]
fn groups<const BYTES: usize>(
    bytes: &[u8],
    out: &mut [f32],
    group: impl Fn(&[u8; BYTES], usize) -> Group,
) {
    let blocks = bytes.as_chunks::<BYTES>().0;
    let outs = out.as_chunks_mut::<32>().0;
    let groups = outs.len() / blocks.len().max(1);
    for (block, outs) in blocks.iter().zip(outs.chunks_mut(groups.max(1))) {
        for (index, out) in outs.iter_mut().enumerate() {
            group(block, index).write(out);
        }
    }
}

fn walk<const BYTES: usize, const GROUPS: usize>(
    bytes: &[u8],
    group: impl Fn(&[u8; BYTES], usize) -> Group,
    mut each: impl FnMut(Group),
) {
    for block in bytes.as_chunks::<BYTES>().0 {
        for index in 0..GROUPS {
            each(group(block, index));
        }
    }
}
