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

use super::{Group, f16};

pub(in super::super) const BYTES_0: usize = 22;
pub(in super::super) const BYTES_1: usize = 24;

/// The 32 integers, from 0 to 31.
#[inline(always)]
fn quants(high: [u8; 4], low: &[u8]) -> [i8; 32] {
    let high = u32::from_le_bytes(high);
    let bit = |i: usize| ((high >> i & 1) << 4) as i8;
    let mut quants = [0; 32];
    for (i, pair) in low.iter().enumerate() {
        quants[i] = (pair & 15).cast_signed() | bit(i);
        quants[i + 16] = (pair >> 4).cast_signed() | bit(i + 16);
    }
    quants
}

#[inline(always)]
pub(super) fn group_0(block: &[u8; BYTES_0], _: usize) -> Group {
    let quants = quants([block[2], block[3], block[4], block[5]], &block[6..]);
    Group {
        quants: quants.map(|quant| quant - 16),
        scales: [f16([block[0], block[1]]); 2],
        offset: None,
    }
}

#[inline(always)]
pub(super) fn group_1(block: &[u8; BYTES_1], _: usize) -> Group {
    Group {
        quants: quants([block[4], block[5], block[6], block[7]], &block[8..]),
        scales: [f16([block[0], block[1]]); 2],
        offset: Some(f16([block[2], block[3]])),
    }
}
