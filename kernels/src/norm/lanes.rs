//! Loops over contiguous values that all normalisations share, with vectors of the processor.
//!
//! There are at most four operations for every four bytes, so each loop is bound by the memory that holds its run. Four vectors of sums side by side
//! hide the latency of an addition.

use pulp::Simd;

/// Values that are summed in 32 bits, before the sum is added to a 64-bit one.
const BLOCK: usize = 4096;

/// Four vectors.
type Block<S> = [<S as Simd>::f32s; 4];

/// A run as blocks of four vectors, then single vectors, then single values.
#[inline(always)]
fn split<S: Simd>(run: &[f32]) -> (&[Block<S>], &[S::f32s], &[f32]) {
    let (vectors, tail) = S::as_simd_f32s(run);
    let (blocks, vectors) = vectors.as_chunks::<4>();
    (blocks, vectors, tail)
}

#[inline(always)]
fn total<S: Simd>(simd: S, sums: [S::f32s; 4]) -> f32 {
    let [a, b, c, d] = sums;
    simd.reduce_sum_f32s(simd.add_f32s(simd.add_f32s(a, b), simd.add_f32s(c, d)))
}

/// `Σ x`.
#[inline(always)]
pub(super) fn sum<S: Simd>(simd: S, run: &[f32]) -> f64 {
    let mut result = 0.0;
    for run in run.chunks(BLOCK) {
        let (blocks, vectors, tail) = split::<S>(run);
        let mut sums = [simd.splat_f32s(0.0); 4];
        for block in blocks {
            for i in 0..4 {
                sums[i] = simd.add_f32s(sums[i], block[i]);
            }
        }
        for vector in vectors {
            sums[0] = simd.add_f32s(sums[0], *vector);
        }
        result += f64::from(total(simd, sums) + tail.iter().sum::<f32>());
    }
    result
}

/// `Σ (x - mean)` and `Σ (x - mean)²`.
#[inline(always)]
pub(super) fn moments<S: Simd>(simd: S, run: &[f32], mean: f32) -> [f64; 2] {
    let shift = simd.splat_f32s(mean);
    let mut result = [0.0; 2];
    for run in run.chunks(BLOCK) {
        let (blocks, vectors, tail) = split::<S>(run);
        let mut sums = [simd.splat_f32s(0.0); 4];
        let mut squares = sums;
        for block in blocks {
            for i in 0..4 {
                let value = simd.sub_f32s(block[i], shift);
                sums[i] = simd.add_f32s(sums[i], value);
                squares[i] = simd.mul_add_e_f32s(value, value, squares[i]);
            }
        }
        for vector in vectors {
            let value = simd.sub_f32s(*vector, shift);
            sums[0] = simd.add_f32s(sums[0], value);
            squares[0] = simd.mul_add_e_f32s(value, value, squares[0]);
        }
        let mut rest = [0.0; 2];
        for value in tail.iter().map(|value| value - mean) {
            rest[0] += value;
            rest[1] += value * value;
        }
        result[0] += f64::from(total(simd, sums) + rest[0]);
        result[1] += f64::from(total(simd, squares) + rest[1]);
    }
    result
}

/// `Σ g` and `Σ g (x - mean)`.
#[inline(always)]
pub(super) fn products<S: Simd>(simd: S, run: &[f32], gradient: &[f32], mean: f32) -> [f64; 2] {
    let shift = simd.splat_f32s(mean);
    let mut result = [0.0; 2];
    for (run, gradient) in run.chunks(BLOCK).zip(gradient.chunks(BLOCK)) {
        let (blocks, vectors, tail) = split::<S>(run);
        let (g_blocks, g_vectors, g_tail) = split::<S>(gradient);
        let mut sums = [simd.splat_f32s(0.0); 4];
        let mut with_value = sums;
        for (block, g) in blocks.iter().zip(g_blocks) {
            for i in 0..4 {
                sums[i] = simd.add_f32s(sums[i], g[i]);
                let value = simd.sub_f32s(block[i], shift);
                with_value[i] = simd.mul_add_e_f32s(value, g[i], with_value[i]);
            }
        }
        for (vector, g) in vectors.iter().zip(g_vectors) {
            sums[0] = simd.add_f32s(sums[0], *g);
            let value = simd.sub_f32s(*vector, shift);
            with_value[0] = simd.mul_add_e_f32s(value, *g, with_value[0]);
        }
        let mut rest = [0.0; 2];
        for (value, g) in tail.iter().zip(g_tail) {
            rest[0] += g;
            rest[1] += (value - mean) * g;
        }
        result[0] += f64::from(total(simd, sums) + rest[0]);
        result[1] += f64::from(total(simd, with_value) + rest[1]);
    }
    result
}

/// `out = (x - mean) scale + offset`.
#[inline(always)]
pub(super) fn affine<S: Simd>(
    simd: S,
    run: &[f32],
    out: &mut [f32],
    [mean, scale, offset]: [f32; 3],
) {
    let [m, s, o] = [mean, scale, offset].map(|value| simd.splat_f32s(value));
    let (vectors, tail) = S::as_simd_f32s(run);
    let (out_vectors, out_tail) = S::as_mut_simd_f32s(out);
    for (out, vector) in out_vectors.iter_mut().zip(vectors) {
        *out = simd.mul_add_e_f32s(simd.sub_f32s(*vector, m), s, o);
    }
    for (out, value) in out_tail.iter_mut().zip(tail) {
        *out = (value - mean) * scale + offset;
    }
}

/// `g ← a g + b (x - mean) + c`.
#[inline(always)]
pub(super) fn combine<S: Simd>(
    simd: S,
    run: &[f32],
    gradient: &mut [f32],
    mean: f32,
    [a, b, c]: [f32; 3],
) {
    let [m, va, vb, vc] = [mean, a, b, c].map(|value| simd.splat_f32s(value));
    let (vectors, tail) = S::as_simd_f32s(run);
    let (g_vectors, g_tail) = S::as_mut_simd_f32s(gradient);
    for (g, vector) in g_vectors.iter_mut().zip(vectors) {
        let value = simd.mul_add_e_f32s(simd.sub_f32s(*vector, m), vb, vc);
        *g = simd.mul_add_e_f32s(*g, va, value);
    }
    for (g, value) in g_tail.iter_mut().zip(tail) {
        *g = *g * a + ((value - mean) * b + c);
    }
}

/// `g ← a g`.
#[inline(always)]
pub(super) fn scale<S: Simd>(simd: S, gradient: &mut [f32], a: f32) {
    let factor = simd.splat_f32s(a);
    let (vectors, tail) = S::as_mut_simd_f32s(gradient);
    for g in vectors {
        *g = simd.mul_f32s(*g, factor);
    }
    for g in tail {
        *g *= a;
    }
}

/// Mean and variance, from a first guess of the mean and the [`moments`] about it.
///
/// The first moment says how far the guess is off, which corrects both.
#[inline(always)]
pub(super) fn mean_and_variance(guess: f32, [sum, squares]: [f64; 2], count: f64) -> [f32; 2] {
    let off = sum / count;
    let variance = squares / count - off * off;
    // If a value is infinite, deviations are infinite or NaN. The mean stays infinite.
    let mean = match off.is_finite() {
        true => (f64::from(guess) + off) as f32,
        false => guess,
    };
    [mean, if variance < 0.0 { 0.0 } else { variance as f32 }]
}

/// The number of values, their mean, and the sum of the squares of their deviations from it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moments {
    pub(super) count: f64,
    pub(super) mean: f64,
    pub(super) squares: f64,
}

impl Moments {
    /// Processes the run in blocks. Each block stays in the first-level cache for its second pass.
    #[inline(always)]
    pub(super) fn of<S: Simd>(simd: S, run: &[f32]) -> Self {
        let mut result = Self::default();
        for run in run.chunks(BLOCK) {
            let count = run.len() as f64;
            let guess = (sum(simd, run) / count) as f32;
            let [sum, squares] = moments(simd, run, guess);
            let off = sum / count;
            // As in `mean_and_variance`: NaN and infinite corrections are dropped.
            let correction = if off.is_finite() { off } else { 0.0 };
            result.merge(&Self {
                count,
                mean: f64::from(guess) + correction,
                squares: if squares < sum * off {
                    0.0
                } else {
                    squares - sum * off
                },
            });
        }
        result
    }

    /// The moments of both sets of values together.
    ///
    /// ```text
    /// δ = μ₂ - μ₁,   μ = μ₁ + δ n₂ / n,   M = M₁ + M₂ + δ² n₁ n₂ / n
    /// ```
    #[inline(always)]
    pub(super) fn merge(&mut self, other: &Self) {
        if self.count == 0.0 {
            *self = *other;
            return;
        }
        let count = self.count + other.count;
        let difference = other.mean - self.mean;
        let part = other.count / count;
        self.squares += other.squares + difference * difference * self.count * part;
        // If one mean is infinite, the difference may be NaN, but the common mean is infinite.
        self.mean = self.mean * (1.0 - part) + other.mean * part;
        self.count = count;
    }
}

/// `1 / √(variance + ε)`.
#[inline(always)]
pub(super) fn inverse_deviation(variance: f32, epsilon: f64) -> f64 {
    1.0 / (f64::from(variance) + epsilon).sqrt()
}
