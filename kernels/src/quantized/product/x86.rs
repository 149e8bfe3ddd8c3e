//! Products on x86-64.
//!
//! AVX2 multiplies unsigned by signed bytes and adds pairs in 16 bits (`maddubs`). This cannot overflow here: two products of a magnitude of at most
//! 128 and 127 stay below 2^15. Signed weights become unsigned by moving their sign to the inputs.
#![allow(
    clippy::modulo_one,
    reason = "one macro serves blocks of one group and of several"
)]

use std::arch::x86_64::*;

use bytemuck::cast;

use super::super::format::{self, bf16, f16, scale_and_minimum};
use super::super::input::InputGroup;
use super::{Input, Rows, WeightFormat, folded, panel_x86};

pub(super) fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c")
}

pub(super) fn has_vnni() -> bool {
    has_avx2()
        && is_x86_feature_detected!("avx512vnni")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512f")
}

/// 32 numbers of a block, like [`Group`](super::super::format::Group).
struct Group {
    quants: __m256i,
    scales: __m256,
    offset: f32,
}

/// The sums of a row.
struct Sums {
    lanes: [__m256; 2],
    offsets: [f32; 2],
}

/// The bytes of a block from `at` on.
#[inline(always)]
pub(super) fn bytes<const N: usize>(block: &[u8], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&block[at..at + N]);
    bytes
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn half(block: &[u8], at: usize) -> f32 {
    let bits = i32::from(u16::from_le_bytes(bytes(block, at)));
    _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(bits)))
}

/// The low halves of 16 bytes, then the high halves.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn nibbles(pairs: [u8; 16]) -> __m256i {
    let pairs: __m128i = cast(pairs);
    let both = _mm256_set_m128i(_mm_srli_epi16::<4>(pairs), pairs);
    _mm256_and_si256(both, _mm256_set1_epi8(15))
}

/// For each bit a byte: 16 if the bit is set.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn fifth_bits(bits: [u8; 4]) -> __m256i {
    // Byte i gets the byte that holds its bit.
    let places = _mm256_set_epi64x(
        0x0303_0303_0303_0303,
        0x0202_0202_0202_0202,
        0x0101_0101_0101_0101,
        0,
    );
    let spread = _mm256_shuffle_epi8(_mm256_set1_epi32(i32::from_le_bytes(bits)), places);
    let own = _mm256_set1_epi64x(i64::from_le_bytes([1, 2, 4, 8, 16, 32, 64, 128]));
    let set = _mm256_cmpeq_epi8(_mm256_and_si256(spread, own), own);
    _mm256_and_si256(set, _mm256_set1_epi8(16))
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn q8_0(block: &[u8], _: usize) -> Group {
    Group {
        quants: cast(bytes::<32>(block, 2)),
        scales: _mm256_set1_ps(half(block, 0)),
        offset: 0.0,
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn q4_0(block: &[u8], _: usize) -> Group {
    Group {
        quants: _mm256_sub_epi8(nibbles(bytes(block, 2)), _mm256_set1_epi8(8)),
        scales: _mm256_set1_ps(half(block, 0)),
        offset: 0.0,
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn q4_1(block: &[u8], _: usize) -> Group {
    Group {
        quants: nibbles(bytes(block, 4)),
        scales: _mm256_set1_ps(half(block, 0)),
        offset: half(block, 2),
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn q5_0(block: &[u8], _: usize) -> Group {
    let quants = _mm256_or_si256(nibbles(bytes(block, 6)), fifth_bits(bytes(block, 2)));
    Group {
        quants: _mm256_sub_epi8(quants, _mm256_set1_epi8(16)),
        scales: _mm256_set1_ps(half(block, 0)),
        offset: 0.0,
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn q5_1(block: &[u8], _: usize) -> Group {
    Group {
        quants: _mm256_or_si256(nibbles(bytes(block, 8)), fifth_bits(bytes(block, 4))),
        scales: _mm256_set1_ps(half(block, 0)),
        offset: half(block, 2),
    }
}

/// Shifts 16-bit words by `shift`. Only the lowest bits of each byte are used afterwards.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn shifted(values: __m256i, shift: usize) -> __m256i {
    _mm256_srl_epi16(values, _mm_cvtsi32_si128(shift as i32))
}

/// Scale and offset of a group, for formats that have both.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn k_scales(block: &[u8], group: usize) -> (__m256, f32) {
    let (scale, minimum) = scale_and_minimum(&bytes(block, 4), group);
    let scale = half(block, 0) * f32::from(scale);
    let offset = -(half(block, 2) * f32::from(minimum));
    (_mm256_set1_ps(scale), offset)
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn q4_k(block: &[u8], group: usize) -> Group {
    let pairs = cast(bytes::<32>(block, 16 + group / 2 * 32));
    let (scales, offset) = k_scales(block, group);
    Group {
        quants: _mm256_and_si256(shifted(pairs, group % 2 * 4), _mm256_set1_epi8(15)),
        scales,
        offset,
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn q5_k(block: &[u8], group: usize) -> Group {
    let (pairs, high) = (
        cast(bytes::<32>(block, 48 + group / 2 * 32)),
        cast(bytes::<32>(block, 16)),
    );
    let low = _mm256_and_si256(shifted(pairs, group % 2 * 4), _mm256_set1_epi8(15));
    let own = _mm256_set1_epi8((1u8 << group).cast_signed());
    let set = _mm256_cmpeq_epi8(_mm256_and_si256(high, own), own);
    let (scales, offset) = k_scales(block, group);
    Group {
        quants: _mm256_or_si256(low, _mm256_and_si256(set, _mm256_set1_epi8(16))),
        scales,
        offset,
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn q6_k(block: &[u8], run: usize) -> Group {
    let (half_block, r) = (run / 4, run % 4);
    let (low, high) = (
        cast(bytes::<32>(block, half_block * 64 + r % 2 * 32)),
        cast(bytes::<32>(block, 128 + half_block * 32)),
    );
    let low = _mm256_and_si256(shifted(low, r / 2 * 4), _mm256_set1_epi8(15));
    let high = _mm256_and_si256(shifted(high, 2 * r), _mm256_set1_epi8(3));
    let quants = _mm256_or_si256(low, _mm256_slli_epi16::<4>(high));
    let d = half(block, 208);
    let scale = |of: usize| _mm_set1_ps(d * f32::from(block[192 + 2 * run + of].cast_signed()));
    Group {
        quants: _mm256_sub_epi8(quants, _mm256_set1_epi8(32)),
        scales: _mm256_set_m128(scale(1), scale(0)),
        offset: 0.0,
    }
}

/// Eight sums of four products of unsigned and signed bytes.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn dot_avx2(unsigned: __m256i, signed: __m256i) -> __m256i {
    let pairs = _mm256_maddubs_epi16(unsigned, signed);
    _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))
}

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512vl,avx512vnni")]
#[inline]
fn dot_vnni(unsigned: __m256i, signed: __m256i) -> __m256i {
    _mm256_dpbusd_epi32(_mm256_setzero_si256(), unsigned, signed)
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn total(sums: &Sums, with_offsets: bool) -> f32 {
    let [even, odd] = sums.lanes;
    let lanes = folded(cast(_mm256_add_ps(even, odd)));
    match with_offsets {
        true => lanes + (sums.offsets[0] + sums.offsets[1]),
        // Without offsets, their sum is zero.
        false => lanes + 0.0,
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn eight_f16(weights: &[[u8; 2]], at: usize) -> __m256 {
    let mut bits = [[0; 2]; 8];
    bits.copy_from_slice(&weights[at..at + 8]);
    _mm256_cvtph_ps(cast(bits))
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn eight_bf16(weights: &[[u8; 2]], at: usize) -> __m256 {
    let mut bits = [[0; 2]; 8];
    bits.copy_from_slice(&weights[at..at + 8]);
    let wide = _mm256_cvtepu16_epi32(cast(bits));
    _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
}

/// A row of half-precision weights, like `portable::plain`. `$eight` reads eight weights and `$one` reads one.
macro_rules! halves {
    ($row:expr, $x:expr, $eight:ident, $one:ident) => {{
        let (weights, _) = $row.as_chunks::<2>();
        let (groups, rest) = weights.as_chunks::<32>();
        let (inputs, last) = $x.as_chunks::<32>();
        let mut lanes = [_mm256_setzero_ps(); 4];
        for (weights, inputs) in groups.iter().zip(inputs) {
            let inputs = inputs.as_chunks::<8>().0;
            for part in 0..4 {
                let weights = $eight(weights, 8 * part);
                lanes[part] = _mm256_fmadd_ps(weights, cast(inputs[part]), lanes[part]);
            }
        }
        let mut tail = 0.0f32;
        for (weight, input) in rest.iter().zip(last) {
            tail = $one(*weight).mul_add(*input, tail);
        }
        let [a, b, c, d] = lanes;
        let sums = _mm256_add_ps(_mm256_add_ps(a, b), _mm256_add_ps(c, d));
        folded(cast(sums)) + tail
    }};
}

/// A row of blocks of `$bytes` bytes with `$groups` groups: units with an even number of groups, then possibly a last block alone.
macro_rules! blocks {
    ($row:expr, $x:expr, $add:ident, $group:ident, $bytes:expr, $groups:literal, $signed:literal, $offsets:literal) => {{
        const BLOCKS: usize = if $groups == 1 { 2 } else { 1 };
        let (units, rest) = $row.as_chunks::<{ BLOCKS * $bytes }>();
        let (inputs, last) = $x.groups.as_chunks::<{ BLOCKS * $groups }>();
        let mut sums = Sums {
            lanes: [_mm256_setzero_ps(); 2],
            offsets: [0.0; 2],
        };
        for (unit, inputs) in units.iter().zip(inputs) {
            for index in 0..BLOCKS * $groups {
                let block = &unit[index / $groups * $bytes..];
                let group = $group(block, index % $groups);
                $add::<$signed, $offsets>(&mut sums, index % 2, group, &inputs[index]);
            }
        }
        if let (false, [input, ..]) = (rest.is_empty(), last) {
            $add::<$signed, $offsets>(&mut sums, 0, $group(rest, 0), input);
        }
        total(&sums, $offsets)
    }};
}

/// The products for one set of processor features.
macro_rules! path {
    ($name:ident, $add:ident, $dot:ident, $features:literal) => {
        #[target_feature(enable = $features)]
        #[inline]
        fn $add<const SIGNED: bool, const OFFSETS: bool>(
            sums: &mut Sums,
            turn: usize,
            group: Group,
            x: &InputGroup,
        ) {
            let inputs: __m256i = cast(x.quants);
            let products = match SIGNED {
                true => {
                    let magnitudes = _mm256_abs_epi8(group.quants);
                    $dot(magnitudes, _mm256_sign_epi8(inputs, group.quants))
                }
                false => $dot(group.quants, inputs),
            };
            let scales = _mm256_mul_ps(group.scales, _mm256_set1_ps(x.scale));
            let lanes = &mut sums.lanes[turn];
            *lanes = _mm256_fmadd_ps(scales, _mm256_cvtepi32_ps(products), *lanes);
            if OFFSETS {
                let offset = &mut sums.offsets[turn];
                *offset = group.offset.mul_add(x.sum, *offset);
            }
        }

        #[target_feature(enable = $features)]
        pub(super) fn $name(all: Rows<'_>, input: Input<'_>, out: &mut [f32]) {
            use WeightFormat::*;
            let format = all.format;
            if let (true, Input::Quantized(x)) = (all.interleaved, input) {
                return all.each_panel(out, |bytes| panel_x86::$name(format, bytes, x));
            }
            let rows = all.bytes.chunks_exact(all.row_bytes).zip(out);
            match input {
                Input::Floats(x) => {
                    for (row, out) in rows {
                        *out = match format {
                            F16 => halves!(row, x, eight_f16, f16),
                            BF16 => halves!(row, x, eight_bf16, bf16),
                            // 32-bit floats use the portable code.
                            _ => {
                                let rows = Rows { bytes: row, ..all };
                                super::portable::products(rows, input, std::slice::from_mut(out));
                                *out
                            }
                        };
                    }
                }
                Input::Quantized(x) => {
                    for (row, out) in rows {
                        *out = match format {
                            Q8_0 => {
                                blocks!(row, x, $add, q8_0, format::q8_0::BYTES, 1, true, false)
                            }
                            Q4_0 => {
                                blocks!(row, x, $add, q4_0, format::q4::BYTES_0, 1, true, false)
                            }
                            Q4_1 => {
                                blocks!(row, x, $add, q4_1, format::q4::BYTES_1, 1, false, true)
                            }
                            Q5_0 => {
                                blocks!(row, x, $add, q5_0, format::q5::BYTES_0, 1, true, false)
                            }
                            Q5_1 => {
                                blocks!(row, x, $add, q5_1, format::q5::BYTES_1, 1, false, true)
                            }
                            Q4_K => {
                                blocks!(row, x, $add, q4_k, format::q4_k::BYTES, 8, false, true)
                            }
                            Q5_K => {
                                blocks!(row, x, $add, q5_k, format::q5_k::BYTES, 8, false, true)
                            }
                            Q6_K => {
                                blocks!(row, x, $add, q6_k, format::q6_k::BYTES, 8, true, false)
                            }
                            // These formats take floats, not rounded inputs.
                            F32 | F16 | BF16 => f32::NAN,
                        };
                    }
                }
            }
        }
    };
}

path!(avx2, add_avx2, dot_avx2, "avx2,fma,f16c");
path!(
    vnni,
    add_vnni,
    dot_vnni,
    "avx2,fma,f16c,avx512f,avx512vl,avx512vnni"
);
