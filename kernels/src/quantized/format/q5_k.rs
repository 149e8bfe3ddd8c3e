//! `Q5_K`: 256 numbers of five bits in eight groups of 32.
//!
//! ```text
//! bytes 0-1      d, half precision
//! bytes 2-3      m, half precision
//! bytes 4-15     s_g and t_g of the groups g, six bits each (see `k_scales`)
//! bytes 16-47    h
//! bytes 48-175   q
//! x = (d s_g) q - (m t_g)
//! ```
//!
//! Of the 32 bytes of `q` from `32 p`, the low halves belong to group `2p`, the high halves to group `2p+1`. Bit `g` of byte
//! `i` of `h` is the fifth bit of number `i` of group `g`.

use super::{Group, f16, scale_and_minimum};

pub(in super::super) const BYTES: usize = 176;

#[inline(always)]
pub(super) fn group(block: &[u8; BYTES], group: usize) -> Group {
    let (d, m) = (f16([block[0], block[1]]), f16([block[2], block[3]]));
    let mut packed = [0; 12];
    packed.copy_from_slice(&block[4..16]);
    let (scale, minimum) = scale_and_minimum(&packed, group);
    let shift = 4 * (group % 2);
    let (high, low) = (&block[16..48], &block[48 + group / 2 * 32..]);
    let mut quants = [0; 32];
    for ((quant, pair), high) in quants.iter_mut().zip(low).zip(high) {
        *quant = (pair >> shift & 15 | (high >> group & 1) << 4).cast_signed();
    }
    Group {
        quants,
        scales: [d * f32::from(scale); 2],
        offset: Some(-(m * f32::from(minimum))),
    }
}
