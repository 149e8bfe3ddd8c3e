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
