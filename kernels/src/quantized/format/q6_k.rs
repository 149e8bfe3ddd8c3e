//! `Q6_K`: 256 numbers of six bits in sixteen groups of 16.
//!
//! ```text
//! bytes 0-127     l: low four bits
//! bytes 128-191   h: high two bits
//! bytes 192-207   s_g of the groups g, signed
//! bytes 208-209   d, half precision
//! x = (d s_g) (q - 32)
//! ```
//!
//! Each half of 128 numbers takes 64 bytes of `l` and 32 bytes of `h`, and consists of four runs of 32 numbers. Number `i`
//! of run `r` has its low bits in byte `i + 32 (r mod 2)` of `l` (the low half of the byte for runs 0 and 1), its high
//! bits in bits `2r` and `2r+1` of byte `i` of `h`.

use super::{Group, f16};

pub(in super::super) const BYTES: usize = 210;

/// A run.
#[inline(always)]
pub(super) fn group(block: &[u8; BYTES], run: usize) -> Group {
    let (half, r) = (run / 4, run % 4);
    let (low, high) = (&block[half * 64 + r % 2 * 32..], &block[128 + half * 32..]);
    let mut quants = [0; 32];
    for ((quant, low), high) in quants.iter_mut().zip(low).zip(high) {
        let bits = low >> (r / 2 * 4) & 15 | (high >> (2 * r) & 3) << 4;
        *quant = bits.cast_signed() - 32;
    }
    let d = f16([block[208], block[209]]);
    let scale = |of: usize| d * f32::from(block[192 + 2 * run + of].cast_signed());
    Group {
        quants,
        scales: [scale(0), scale(1)],
        offset: None,
    }
}
