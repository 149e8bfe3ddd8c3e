//! Sums of standard normal draws, and the uniform draws that they stand for.

use crossburn_kernels::normal_quantiles;

use crate::Philox;
use crate::normal::cumulative;

/// Elements in one batch, a multiple of a Philox block.
const BATCH: usize = 1024;

/// Calls `each` with runs of `sum over terms of weight * x`, x the standard normal draws of a generator for the elements
/// `first`, `first + 1`, … (`first` a multiple of four), and where each run starts in `0..count`.
pub(super) fn weighted_normals(
    terms: &[(f64, Philox)],
    first: usize,
    count: usize,
    mut each: impl FnMut(usize, &mut [f64]),
) {
    let (mut sum, mut draws) = ([0.0; BATCH], [0.0; BATCH]);
    for start in (0..count).step_by(BATCH) {
        let length = BATCH.min(count - start);
        let (sum, draws) = (&mut sum[..length], &mut draws[..length]);
        sum.fill(0.0);
        for (weight, generator) in terms {
            generator.fill_uniform_from(((first + start) / 4) as u64, draws);
            normal_quantiles(draws);
            for (sum, draw) in sum.iter_mut().zip(draws.iter()) {
                *sum += weight * draw;
            }
        }
        each(start, sum);
    }
}

/// Φ(x), kept in the open interval (0, 1).
pub(super) fn uniform(x: f64) -> f64 {
    cumulative(x).clamp(1e-300, 1.0 - 0.5 * f64::EPSILON)
}

/// The standard normal quantile of two-sided `confidence`: 1.96 at 0.95.
pub(super) fn two_sided(confidence: f64) -> f64 {
    let mut value = [0.5 + 0.5 * confidence];
    normal_quantiles(&mut value);
    value[0]
}
