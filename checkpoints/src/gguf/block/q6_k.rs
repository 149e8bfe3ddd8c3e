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

use super::f16;

pub(super) const BYTES: usize = 210;

pub(super) fn decode(block: &[u8; BYTES], out: &mut [f32; 256]) {
    let (low, rest) = block.split_at(128);
    let (high, rest) = rest.split_at(64);
    let d = f16([rest[16], rest[17]]);
    for (run, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (half, r) = (run / 4, run % 4);
        let (low, high) = (&low[half * 64 + r % 2 * 32..], &high[half * 32..]);
        for (i, ((value, low), high)) in out.iter_mut().zip(low).zip(high).enumerate() {
            let quant = low >> (r / 2 * 4) & 15 | (high >> (2 * r) & 3) << 4;
            let scale = d * f32::from(rest[2 * run + i / 16].cast_signed());
            *value = scale * f32::from(quant.cast_signed() - 32);
        }
    }
}
