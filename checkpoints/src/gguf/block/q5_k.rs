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

use super::{f16, scale_and_minimum};

pub(super) const BYTES: usize = 176;

pub(super) fn decode(block: &[u8; BYTES], out: &mut [f32; 256]) {
    let (d, m) = (f16([block[0], block[1]]), f16([block[2], block[3]]));
    let (head, low) = block.split_at(48);
    let (head, high) = head.split_at(16);
    let mut packed = [0; 12];
    packed.copy_from_slice(&head[4..]);
    for (group, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (scale, minimum) = scale_and_minimum(&packed, group);
        let (scale, minimum) = (d * f32::from(scale), m * f32::from(minimum));
        let shift = 4 * (group % 2);
        for ((value, pair), high) in out.iter_mut().zip(&low[group / 2 * 32..]).zip(high) {
            let quant = pair >> shift & 15 | (high >> group & 1) << 4;
            *value = scale * f32::from(quant) - minimum;
        }
    }
}
