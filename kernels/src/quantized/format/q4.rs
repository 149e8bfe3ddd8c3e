//! `Q4_0` and `Q4_1`: 32 numbers of four bits.
//!
//! ```text
//! Q4_0                       Q4_1
//! bytes 0-1    d             bytes 0-1    d
//! bytes 2-17   q             bytes 2-3    m
//!                            bytes 4-19   q
//! x_i = d (q_i - 8)          x_i = d q_i + m
//! ```
//!
//! `d` and `m` are half-precision numbers. The low half of byte `i` of `q` is `q_i`, the high half `q_(i+16)`.

use half::f16 as Half;

use super::{Group, f16};

pub(in super::super) const BYTES_0: usize = 18;
pub(in super::super) const BYTES_1: usize = 20;

/// The 32 integers, from 0 to 15.
#[inline(always)]
fn quants(pairs: &[u8]) -> [i8; 32] {
    let mut quants = [0; 32];
    for (i, pair) in pairs.iter().enumerate() {
        quants[i] = (pair & 15).cast_signed();
        quants[i + 16] = (pair >> 4).cast_signed();
    }
    quants
}

#[inline(always)]
pub(super) fn group_0(block: &[u8; BYTES_0], _: usize) -> Group {
    Group {
        quants: quants(&block[2..]).map(|quant| quant - 8),
        scales: [f16([block[0], block[1]]); 2],
        offset: None,
    }
}

#[inline(always)]
pub(super) fn group_1(block: &[u8; BYTES_1], _: usize) -> Group {
    Group {
        quants: quants(&block[4..]),
        scales: [f16([block[0], block[1]]); 2],
        offset: Some(f16([block[2], block[3]])),
    }
}

/// The `Q4_0` block of 32 numbers. `d` is the number with the largest magnitude, including its sign, divided by -8. `None` if a number is not finite,
/// or if half precision cannot hold the scale.
///
/// # Source
/// `quantize_row_q4_0_ref` of `ggml-quants.c`: the first of equal magnitudes counts, quants are computed with the unrounded scale, and halves are
/// rounded up.
pub(in super::super) fn encode_0(values: &[f32; 32]) -> Option<[u8; BYTES_0]> {
    if !values.iter().all(|value| value.is_finite()) {
        return None;
    }
    let first = |most: f32, x: &f32| if x.abs() > most.abs() { *x } else { most };
    let scale = values.iter().fold(0.0, first) / -8.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let quant = |value: f32| (value * inverse + 8.5).clamp(0.0, 15.0) as u8;
    let rounded = Half::from_f32(scale);
    let mut block = [0; BYTES_0];
    block[..2].copy_from_slice(&rounded.to_le_bytes());
    let (low, high) = values.split_at(16);
    for ((byte, low), high) in block[2..].iter_mut().zip(low).zip(high) {
        *byte = quant(*low) | quant(*high) << 4;
    }
    rounded.is_finite().then_some(block)
}
