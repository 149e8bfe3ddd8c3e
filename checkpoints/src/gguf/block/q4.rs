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

use super::f16;

pub(super) const BYTES_0: usize = 18;
pub(super) const BYTES_1: usize = 20;

pub(super) fn decode_0(block: &[u8; BYTES_0], out: &mut [f32; 32]) {
    let scale = f16([block[0], block[1]]);
    let number = |quant: u8| scale * f32::from(quant.cast_signed() - 8);
    for (i, pair) in block[2..].iter().enumerate() {
        out[i] = number(pair & 15);
        out[i + 16] = number(pair >> 4);
    }
}

pub(super) fn decode_1(block: &[u8; BYTES_1], out: &mut [f32; 32]) {
    let (scale, minimum) = (f16([block[0], block[1]]), f16([block[2], block[3]]));
    let number = |quant: u8| scale * f32::from(quant) + minimum;
    for (i, pair) in block[4..].iter().enumerate() {
        out[i] = number(pair & 15);
        out[i + 16] = number(pair >> 4);
    }
}
