//! `Q5_0` and `Q5_1`: 32 numbers of five bits.
//!
//! ```text
//! Q5_0                       Q5_1
//! bytes 0-1    d             bytes 0-1    d
//! bytes 2-5    h             bytes 2-3    m
//! bytes 6-21   q             bytes 4-7    h
//!                            bytes 8-23   q
//! x_i = d (q_i - 16)         x_i = d q_i + m
//! ```
//!
//! `d` and `m` are half-precision numbers. The low half of byte `i` of `q` holds the low four bits of `q_i`, the high half
//! those of `q_(i+16)`. Bit `i` of `h` is the fifth bit of `q_i`.

use super::f16;

pub(super) const BYTES_0: usize = 22;
pub(super) const BYTES_1: usize = 24;

/// The 32 integers.
fn quants(high: [u8; 4], low: &[u8]) -> [u8; 32] {
    let high = u32::from_le_bytes(high);
    let bit = |i: usize| ((high >> i & 1) << 4) as u8;
    let mut quants = [0; 32];
    for (i, pair) in low.iter().enumerate() {
        quants[i] = pair & 15 | bit(i);
        quants[i + 16] = pair >> 4 | bit(i + 16);
    }
    quants
}

pub(super) fn decode_0(block: &[u8; BYTES_0], out: &mut [f32; 32]) {
    let scale = f16([block[0], block[1]]);
    let quants = quants([block[2], block[3], block[4], block[5]], &block[6..]);
    for (value, quant) in out.iter_mut().zip(quants) {
        *value = scale * f32::from(quant.cast_signed() - 16);
    }
}

pub(super) fn decode_1(block: &[u8; BYTES_1], out: &mut [f32; 32]) {
    let (scale, minimum) = (f16([block[0], block[1]]), f16([block[2], block[3]]));
    let quants = quants([block[4], block[5], block[6], block[7]], &block[8..]);
    for (value, quant) in out.iter_mut().zip(quants) {
        *value = scale * f32::from(quant) + minimum;
    }
}
