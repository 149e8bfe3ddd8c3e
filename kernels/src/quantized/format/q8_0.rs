//! `Q8_0`: 32 signed bytes with a scale.
//!
//! ```text
//! bytes 0-1    d, half precision
//! bytes 2-33   q_i, signed
//! x_i = d q_i
//! ```

use half::f16 as Half;

use super::{Group, f16};

pub(in super::super) const BYTES: usize = 34;

#[inline(always)]
pub(super) fn group(block: &[u8; BYTES], _: usize) -> Group {
    let mut quants = [0; 32];
    for (quant, byte) in quants.iter_mut().zip(&block[2..]) {
        *quant = byte.cast_signed();
    }
    Group {
        quants,
        scales: [f16([block[0], block[1]]); 2],
        offset: None,
    }
}

/// The block of 32 numbers. `d` is the largest magnitude divided by 127. `None` if a number is not finite, or if half precision cannot hold the scale.
///
/// # Source
/// `quantize_row_q8_0_ref` of `ggml-quants.c`: quants are computed with the unrounded scale.
pub(in super::super) fn encode(values: &[f32; 32]) -> Option<[u8; BYTES]> {
    if !values.iter().all(|value| value.is_finite()) {
        return None;
    }
    let largest = values.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    let scale = largest / 127.0;
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    let rounded = Half::from_f32(scale);
    let mut block = [0; BYTES];
    block[..2].copy_from_slice(&rounded.to_le_bytes());
    for (byte, value) in block[2..].iter_mut().zip(values) {
        *byte = ((value * inverse).round() as i8).cast_unsigned();
    }
    rounded.is_finite().then_some(block)
}
