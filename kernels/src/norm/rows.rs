//! Normalisation of each row by its own statistics: the arithmetic of layer norm and of root-mean-square norm.
//!
//! If `CENTRED`, the mean is subtracted:
//!
//! ```text
//! y = γ d r + β,   r = 1 / √(mean(d²) + ε),   d = x - mean(x)  or  d = x
//! ∂x = r (γ g - mean(γ g) - d r² mean(γ g d))     (the first mean only where centred)
//! ∂γ = Σ g d r,   ∂β = Σ g                        (over rows)
//! ```
//!
//! Forward reads `x` and writes `y`; backward reads `x` and `g` and overwrites `g`. This is about 1 operation per byte, so the floor is these bytes at
//! memory bandwidth. A row stays in the first-level cache for all its passes. Computing mean and deviation again in the backward pass is therefore
//! cheaper than keeping the normalised values.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::lanes::{inverse_deviation, mean_and_variance, moments, sum};
use crate::fresh::zeros;

/// Values of a part of the rows, and the largest number of parts. Both depend on the shape alone, and so does the order of sums over rows.
const PART: usize = 16 << 10;
const PARTS: usize = 32;

/// Number of values of one part, in whole rows.
fn part(values: usize, width: usize) -> usize {
    let rows = values / width;
    rows.div_ceil((values / PART).clamp(1, PARTS)) * width
}

/// Mean and inverse standard deviation of a row.
#[inline(always)]
fn statistics<S: Simd, const CENTRED: bool>(simd: S, row: &[f32], epsilon: f64) -> (f32, f32) {
    let count = row.len() as f64;
    let (mean, variance) = if CENTRED {
        let guess = (sum(simd, row) / count) as f32;
        let [mean, variance] = mean_and_variance(guess, moments(simd, row, guess), count);
        (mean, variance)
    } else {
        let [_, squares] = moments(simd, row, 0.0);
        (0.0, (squares / count) as f32)
    };
    (mean, inverse_deviation(variance, epsilon) as f32)
}

/// Computes the output of some rows.
struct Forward<'a, const CENTRED: bool> {
    input: &'a [f32],
    output: &'a mut [f32],
    gamma: &'a [f32],
    beta: Option<&'a [f32]>,
    epsilon: f64,
}

impl<const CENTRED: bool> WithSimd for Forward<'_, CENTRED> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = self.gamma.len();
        let (gamma, gamma_tail) = S::as_simd_f32s(self.gamma);
        let beta = self.beta.map(|beta| S::as_simd_f32s(beta));
        let rows = self.input.chunks_exact(width);
        for (row, out) in rows.zip(self.output.chunks_exact_mut(width)) {
            let (mean, inverse) = statistics::<S, CENTRED>(simd, row, self.epsilon);
            let (shift, factor) = (simd.splat_f32s(mean), simd.splat_f32s(inverse));
            let (row, row_tail) = S::as_simd_f32s(row);
            let (out, out_tail) = S::as_mut_simd_f32s(out);
            match beta {
                Some((beta, _)) => {
                    for i in 0..gamma.len() {
                        let value = simd.mul_f32s(simd.sub_f32s(row[i], shift), factor);
                        out[i] = simd.mul_add_e_f32s(value, gamma[i], beta[i]);
                    }
                }
                None => {
                    for i in 0..gamma.len() {
                        let value = simd.mul_f32s(simd.sub_f32s(row[i], shift), factor);
                        out[i] = simd.mul_f32s(value, gamma[i]);
                    }
                }
            }
            for i in 0..gamma_tail.len() {
                let value = (row_tail[i] - mean) * inverse * gamma_tail[i];
                out_tail[i] = beta.map_or(value, |(_, beta)| value + beta[i]);
            }
        }
    }
}

/// `[.., width] → [.., width]`; `gamma` has `width` values.
pub(super) fn forward<const CENTRED: bool>(
    arch: Arch,
    input: &[f32],
    gamma: &[f32],
    beta: Option<&[f32]>,
    epsilon: f64,
) -> Vec<f32> {
    let mut output = zeros(input.len());
    let length = part(input.len(), gamma.len());
    output
        .par_chunks_mut(length)
        .zip(input.par_chunks(length))
        .for_each(|(output, input)| {
            arch.dispatch(Forward::<CENTRED> {
                input,
                output,
                gamma,
                beta,
                epsilon,
            });
        });
    output
}

/// Computes the input gradient of some rows, which overwrites that of the output, and their share of the gradients of γ and β.
struct Backward<'a, const CENTRED: bool> {
    input: &'a [f32],
    gradient: &'a mut [f32],
    gamma: &'a [f32],
    epsilon: f64,
    gamma_sums: &'a mut [f32],
    beta_sums: &'a mut [f32],
}

impl<const CENTRED: bool> Backward<'_, CENTRED> {
    /// `Σ γ g` and `Σ γ g d` of a row.
    #[inline(always)]
    fn products<S: Simd>(&self, simd: S, row: &[f32], gradient: &[f32], mean: f32) -> [f32; 2] {
        let (gamma, gamma_tail) = S::as_simd_f32s(self.gamma);
        let (row, row_tail) = S::as_simd_f32s(row);
        let (gradient, gradient_tail) = S::as_simd_f32s(gradient);
        let shift = simd.splat_f32s(mean);
        let mut sums = [simd.splat_f32s(0.0); 2];
        let mut products = sums;
        let mut at = 0;
        while at + 2 <= gamma.len() {
            for i in 0..2 {
                let weighted = simd.mul_f32s(gamma[at + i], gradient[at + i]);
                let value = simd.sub_f32s(row[at + i], shift);
                sums[i] = simd.add_f32s(sums[i], weighted);
                products[i] = simd.mul_add_e_f32s(weighted, value, products[i]);
            }
            at += 2;
        }
        if at < gamma.len() {
            let weighted = simd.mul_f32s(gamma[at], gradient[at]);
            let value = simd.sub_f32s(row[at], shift);
            sums[0] = simd.add_f32s(sums[0], weighted);
            products[0] = simd.mul_add_e_f32s(weighted, value, products[0]);
        }
        let mut result = [sums, products].map(|[a, b]| simd.reduce_sum_f32s(simd.add_f32s(a, b)));
        for i in 0..gamma_tail.len() {
            let weighted = gamma_tail[i] * gradient_tail[i];
            result[0] += weighted;
            result[1] += weighted * (row_tail[i] - mean);
        }
        result
    }
}

impl<const CENTRED: bool> WithSimd for Backward<'_, CENTRED> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let width = self.gamma.len();
        let count = width as f64;
        let input = self.input;
        let gradient = std::mem::take(&mut self.gradient);
        for (row, gradient) in input
            .chunks_exact(width)
            .zip(gradient.chunks_exact_mut(width))
        {
            let (mean, inverse) = statistics::<S, CENTRED>(simd, row, self.epsilon);
            let [sum, products] = self.products(simd, row, gradient, mean).map(f64::from);
            let scale = f64::from(inverse);
            // ∂x = γ g r + d slope + constant
            let slope = (-products / count * scale * scale * scale) as f32;
            let constant = if CENTRED {
                (-sum / count * scale) as f32
            } else {
                0.0
            };
            let [shift, factor, vslope, vconstant] =
                [mean, inverse, slope, constant].map(|value| simd.splat_f32s(value));
            let (gamma, gamma_tail) = S::as_simd_f32s(self.gamma);
            let (row, row_tail) = S::as_simd_f32s(row);
            let (gradient, gradient_tail) = S::as_mut_simd_f32s(gradient);
            let (gamma_sums, gamma_sums_tail) = S::as_mut_simd_f32s(self.gamma_sums);
            let (beta_sums, beta_sums_tail) = S::as_mut_simd_f32s(self.beta_sums);
            for i in 0..gamma.len() {
                let value = simd.sub_f32s(row[i], shift);
                let scaled = simd.mul_f32s(gradient[i], factor);
                gamma_sums[i] = simd.mul_add_e_f32s(scaled, value, gamma_sums[i]);
                if CENTRED {
                    beta_sums[i] = simd.add_f32s(beta_sums[i], gradient[i]);
                }
                let rest = simd.mul_add_e_f32s(value, vslope, vconstant);
                gradient[i] = simd.mul_add_e_f32s(scaled, gamma[i], rest);
            }
            for i in 0..gamma_tail.len() {
                let value = row_tail[i] - mean;
                let scaled = gradient_tail[i] * inverse;
                gamma_sums_tail[i] += scaled * value;
                if CENTRED {
                    beta_sums_tail[i] += gradient_tail[i];
                }
                gradient_tail[i] = scaled * gamma_tail[i] + (value * slope + constant);
            }
        }
    }
}

/// Overwrites `gradient` with the input gradient, and gives the gradients of γ and β (zeros if not centred).
pub(super) fn gradients<const CENTRED: bool>(
    arch: Arch,
    input: &[f32],
    gamma: &[f32],
    gradient: &mut [f32],
    epsilon: f64,
) -> (Vec<f32>, Vec<f32>) {
    let width = gamma.len();
    let length = part(input.len(), width);
    let parts: Vec<Vec<f32>> = gradient
        .par_chunks_mut(length)
        .zip(input.par_chunks(length))
        .map(|(gradient, input)| {
            let mut sums = vec![0.0; 2 * width];
            let (gamma_sums, beta_sums) = sums.split_at_mut(width);
            arch.dispatch(Backward::<CENTRED> {
                input,
                gradient,
                gamma,
                epsilon,
                gamma_sums,
                beta_sums,
            });
            sums
        })
        .collect();
    let mut parts = parts.into_iter();
    let mut total = parts.next().unwrap_or_else(|| vec![0.0; 2 * width]);
    for part in parts {
        total
            .iter_mut()
            .zip(part)
            .for_each(|(total, value)| *total += value);
    }
    let beta = total.split_off(width);
    (total, beta)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{agree, numbers, paths, pool};

    /// Output and gradients of x, γ and β in 64-bit floats.
    fn expected<const CENTRED: bool>(
        [input, gamma, beta, gradient]: [&[f32]; 4],
        epsilon: f64,
    ) -> [Vec<f64>; 4] {
        let width = gamma.len();
        let wide = |values: &[f32]| values.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
        let (gamma, beta) = (wide(gamma), wide(beta));
        let mut result = [vec![], vec![], vec![0.0; width], vec![0.0; width]];
        for (row, gradient) in input.chunks(width).zip(gradient.chunks(width)) {
            let (row, gradient) = (wide(row), wide(gradient));
            let mean_of =
                |value: &dyn Fn(usize) -> f64| (0..width).map(value).sum::<f64>() / width as f64;
            let mean = if CENTRED { mean_of(&|i| row[i]) } else { 0.0 };
            let d: Vec<f64> = row.iter().map(|x| x - mean).collect();
            let r = 1.0 / (mean_of(&|i| d[i] * d[i]) + epsilon).sqrt();
            let first = if CENTRED {
                mean_of(&|i| gamma[i] * gradient[i])
            } else {
                0.0
            };
            let second = mean_of(&|i| gamma[i] * gradient[i] * d[i]);
            for i in 0..width {
                let offset = if CENTRED { beta[i] } else { 0.0 };
                result[0].push(gamma[i] * d[i] * r + offset);
                result[1].push(r * (gamma[i] * gradient[i] - first - d[i] * r * r * second));
                result[2][i] += gradient[i] * d[i] * r;
                result[3][i] += if CENTRED { gradient[i] } else { 0.0 };
            }
        }
        result
    }

    fn check<const CENTRED: bool>(rows: usize, width: usize, offset: f32) {
        let input: Vec<f32> = numbers(1, rows * width)
            .iter()
            .map(|v| v + offset)
            .collect();
        let [gamma, beta] = [2, 3].map(|seed| numbers(seed, width));
        let gradient = numbers(4, rows * width);
        let [output, x, g, b] = expected::<CENTRED>([&input, &gamma, &beta, &gradient], 1e-3);
        for arch in paths() {
            let beta = CENTRED.then_some(&beta[..]);
            agree(
                &forward::<CENTRED>(arch, &input, &gamma, beta, 1e-3),
                &output,
                1e-4,
            );
            let mut found = gradient.clone();
            let (gamma, beta) = gradients::<CENTRED>(arch, &input, &gamma, &mut found, 1e-3);
            agree(&found, &x, 1e-4);
            agree(&gamma, &g, 1e-4);
            agree(&beta, &b, 1e-4);
        }
    }

    proptest! {
        #[test]
        fn rows_are_normalised_by_their_own_statistics(rows in 1usize..40, width in 1usize..150) {
            check::<true>(rows, width, 0.0);
            check::<false>(rows, width, 0.0);
        }
    }

    /// The mean is a thousand times the deviation: the values themselves are exact to 6e-5 of the deviation.
    #[test]
    fn a_large_mean_costs_no_digits_of_the_variance() {
        let input: Vec<f32> = numbers(1, 64 * 100).iter().map(|v| v + 1000.0).collect();
        let ones = vec![1.0; 100];
        let zeros = vec![0.0; 100];
        let [output, ..] = expected::<true>([&input, &ones, &zeros, &input], 1e-5);
        for arch in paths() {
            agree(
                &forward::<true>(arch, &input, &ones, None, 1e-5),
                &output,
                1e-4,
            );
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let (rows, width) = (3001, 67);
        let (input, gamma) = (numbers(1, rows * width), numbers(2, width));
        let all = || {
            let mut gradient = numbers(3, rows * width);
            let sums = gradients::<true>(Arch::new(), &input, &gamma, &mut gradient, 1e-5);
            let output = forward::<true>(Arch::new(), &input, &gamma, None, 1e-5);
            (output, gradient, sums)
        };
        assert!(pool(1).install(all) == pool(2).install(all));
    }
}
