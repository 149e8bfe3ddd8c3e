//! `Q8_0`: 32 signed bytes with a scale.
//!
//! ```text
//! bytes 0-1    d, half precision
//! bytes 2-33   q_i, signed
//! x_i = d q_i
//! ```

use super::f16;

pub(super) const BYTES: usize = 34;

pub(super) fn decode(block: &[u8; BYTES], out: &mut [f32; 32]) {
    let scale = f16([block[0], block[1]]);
    for (value, quant) in out.iter_mut().zip(&block[2..]) {
        *value = scale * f32::from(quant.cast_signed());
    }
}
