//! Noise that is new at every read.

use crossburn_kernels::normal_quantiles;
use crossburn_noise::Philox;

/// The stream of read noise, and which reads a product is.
///
/// Every read has a number, and every conversion of a read has draws of its own: in what order and in what batches a data
/// set is read does not change them.
#[derive(Clone, Copy, Debug)]
pub struct Reads<'a> {
    /// The stream of this matrix on this chip.
    pub draws: Philox,
    /// The number of the read that each row of the batch is.
    pub numbers: &'a [u64],
}

/// Blocks of four draws: where those of one conversion of one read start.
pub(super) fn block(lines: usize, conversions: usize, read: u64, conversion: usize) -> u64 {
    let per_conversion = lines.div_ceil(4) as u64;
    let index = read.wrapping_mul(conversions as u64);
    index
        .wrapping_add(conversion as u64)
        .wrapping_mul(per_conversion)
}

/// Adds `sqrt(variance) ξ` to every current; draws start at a block.
pub(super) fn add_noise(
    draws: &Philox,
    block: u64,
    variances: &[f32],
    currents: &mut [f32],
    scratch: &mut Vec<f64>,
) {
    scratch.resize(currents.len(), 0.0);
    draws.fill_uniform_from(block, scratch);
    normal_quantiles(scratch);
    for ((current, variance), z) in currents.iter_mut().zip(variances).zip(scratch) {
        *current += variance.max(0.0).sqrt() * *z as f32;
    }
}
