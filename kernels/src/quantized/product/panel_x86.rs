//! Products of a panel of sixteen rows on x86-64.
//!
//! A multiplication of bytes needs one unsigned factor. This is the weight, moved up by `ZERO`: `Σ w x = Σ (w + ZERO) x - ZERO Σ x`. With AVX2, pairs of
//! products must stay below 2^15; weights of eight bits therefore move their sign to the inputs instead.

use std::arch::x86_64::*;

use bytemuck::cast;

use super::super::input::{InputGroup, QuantizedInput};
use super::super::interleaved::ROWS;
use super::WeightFormat;
use super::x86::bytes;

/// The products for one set of processor features.
macro_rules! panel {
    ($name:ident, $rows:ident, $features:literal) => {
        #[target_feature(enable = $features)]
        pub(super) fn $name(
            format: WeightFormat,
            panel: &[u8],
            input: &QuantizedInput,
        ) -> [f32; ROWS] {
            let groups = &input.groups;
            match format {
                WeightFormat::Q8_0 => $rows::<1, 8, 128>(panel, groups),
                WeightFormat::Q4_0 => $rows::<1, 4, 8>(panel, groups),
                WeightFormat::Q4_1 => $rows::<2, 4, 0>(panel, groups),
                // The other formats have no panels.
                _ => [f32::NAN; ROWS],
            }
        }
    };
}

panel!(avx2, rows_avx2, "avx2,fma,f16c");
panel!(vnni, rows_vnni, "avx2,fma,f16c,avx512f,avx512vl,avx512vnni");

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512vl,avx512vnni")]
#[inline]
fn rows_vnni<const HALVES: usize, const FOURS: usize, const ZERO: i32>(
    panel: &[u8],
    groups: &[InputGroup],
) -> [f32; ROWS] {
    let halves = |block: &[u8], at: usize| _mm512_cvtph_ps(cast(bytes::<32>(block, at)));
    let sixteen_fours = |block: &[u8], at: usize| {
        let [low, high] = [at, at + 32].map(|at| cast(bytes::<32>(block, at)));
        _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
    };
    let mut lanes = _mm512_setzero_ps();
    let blocks = panel.chunks_exact(ROWS * (2 * HALVES + 4 * FOURS));
    for (block, group) in blocks.zip(groups) {
        let inputs: [i32; 8] = cast(group.quants);
        let mut sums = [
            _mm512_set1_epi32(-ZERO * group.total),
            _mm512_setzero_si512(),
        ];
        for four in 0..FOURS {
            let weights = sixteen_fours(block, ROWS * (2 * HALVES + 4 * four));
            let input = _mm512_set1_epi32(inputs[four]);
            if FOURS == 8 {
                let unsigned = _mm512_xor_si512(weights, _mm512_set1_epi8(i8::MIN));
                sums[four % 2] = _mm512_dpbusd_epi32(sums[four % 2], unsigned, input);
            } else {
                let mask = _mm512_set1_epi8(15);
                let low = _mm512_and_si512(weights, mask);
                let high = _mm512_and_si512(_mm512_srli_epi32::<4>(weights), mask);
                sums[0] = _mm512_dpbusd_epi32(sums[0], low, input);
                let input = _mm512_set1_epi32(inputs[four + 4]);
                sums[1] = _mm512_dpbusd_epi32(sums[1], high, input);
            }
        }
        let products = _mm512_cvtepi32_ps(_mm512_add_epi32(sums[0], sums[1]));
        let scales = _mm512_mul_ps(halves(block, 0), _mm512_set1_ps(group.scale));
        lanes = _mm512_fmadd_ps(scales, products, lanes);
        if HALVES == 2 {
            lanes = _mm512_fmadd_ps(halves(block, 32), _mm512_set1_ps(group.sum), lanes);
        }
    }
    let high = _mm512_extractf64x4_pd::<1>(_mm512_castps_pd(lanes));
    let halves: [[f32; 8]; 2] = [cast(_mm512_castps512_ps256(lanes)), cast(high)];
    cast(halves)
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn rows_avx2<const HALVES: usize, const FOURS: usize, const ZERO: i32>(
    panel: &[u8],
    groups: &[InputGroup],
) -> [f32; ROWS] {
    let halves = |block: &[u8], at: usize| _mm256_cvtph_ps(cast(bytes::<16>(block, at)));
    let dot = |unsigned: __m256i, signed: __m256i| {
        let pairs = _mm256_maddubs_epi16(unsigned, signed);
        _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))
    };
    let mut lanes = [_mm256_setzero_ps(); 2];
    let blocks = panel.chunks_exact(ROWS * (2 * HALVES + 4 * FOURS));
    for (block, group) in blocks.zip(groups) {
        let inputs: [i32; 8] = cast(group.quants);
        for (half, lanes) in lanes.iter_mut().enumerate() {
            let mut sums = _mm256_setzero_si256();
            for four in 0..FOURS {
                let at = ROWS * (2 * HALVES + 4 * four) + 32 * half;
                let weights: __m256i = cast(bytes::<32>(block, at));
                let input = _mm256_set1_epi32(inputs[four]);
                if FOURS == 8 {
                    let signed = _mm256_sign_epi8(input, weights);
                    sums = _mm256_add_epi32(sums, dot(_mm256_abs_epi8(weights), signed));
                } else {
                    let mask = _mm256_set1_epi8(15);
                    let low = _mm256_and_si256(weights, mask);
                    let high = _mm256_and_si256(_mm256_srli_epi16::<4>(weights), mask);
                    sums = _mm256_add_epi32(sums, dot(low, input));
                    let input = _mm256_set1_epi32(inputs[four + 4]);
                    sums = _mm256_add_epi32(sums, dot(high, input));
                }
            }
            if FOURS != 8 {
                sums = _mm256_sub_epi32(sums, _mm256_set1_epi32(ZERO * group.total));
            }
            let scales = _mm256_mul_ps(halves(block, 16 * half), _mm256_set1_ps(group.scale));
            *lanes = _mm256_fmadd_ps(scales, _mm256_cvtepi32_ps(sums), *lanes);
            if HALVES == 2 {
                let offsets = halves(block, 32 + 16 * half);
                *lanes = _mm256_fmadd_ps(offsets, _mm256_set1_ps(group.sum), *lanes);
            }
        }
    }
    let halves: [[f32; 8]; 2] = lanes.map(cast);
    cast(halves)
}
