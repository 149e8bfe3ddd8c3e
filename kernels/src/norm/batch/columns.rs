//! Batch normalisation of channels with one or few pixels: the values of an image are columns, in the lanes of vectors.
//!
//! A column is summed over the images. Images are cut into parts by shape alone. Each part is summed in 32 bits, and the parts are added in order in
//! 64 bits.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::backend::Sizes;
use super::planes::factors;
use crate::fresh::zeros;
use crate::norm::lanes::{inverse_deviation, mean_and_variance};

/// Values of a part, and the largest number of parts.
const PART: usize = 16 << 10;
const PARTS: usize = 32;

impl Sizes {
    /// Values of one image.
    fn width(&self) -> usize {
        self.channels * self.pixels
    }

    /// Number of values of one part, in whole images.
    fn part(&self) -> usize {
        let images = self.count as usize / self.pixels;
        let parts = (images * self.width() / PART).clamp(1, PARTS);
        images.div_ceil(parts) * self.width()
    }

    /// Repeats a value of each channel for each of its columns.
    fn spread(&self, value: impl Fn(usize) -> f32) -> Vec<f32> {
        (0..self.width())
            .map(|column| value(column / self.pixels))
            .collect()
    }

    /// Adds up the two sums of each part over the columns of each channel.
    fn gather(&self, parts: &[Vec<f32>]) -> Vec<[f64; 2]> {
        let mut sums = vec![[0.0; 2]; self.channels];
        for part in parts {
            let (first, second) = part.split_at(self.width());
            for (column, (first, second)) in first.iter().zip(second).enumerate() {
                let sum = &mut sums[column / self.pixels];
                sum[0] += f64::from(*first);
                sum[1] += f64::from(*second);
            }
        }
        sums
    }
}

/// For each column `Σ w` and `Σ w (x - mean)`. `w` is the gradient if there is one, otherwise the deviation itself.
struct Sums<'a> {
    input: &'a [f32],
    gradient: Option<&'a [f32]>,
    mean: &'a [f32],
    /// `[2, width]`.
    sums: &'a mut [f32],
}

impl WithSimd for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = self.mean.len();
        let (first, second) = self.sums.split_at_mut(width);
        let (first, first_tail) = S::as_mut_simd_f32s(first);
        let (second, second_tail) = S::as_mut_simd_f32s(second);
        let (mean, mean_tail) = S::as_simd_f32s(self.mean);
        for (index, row) in self.input.chunks_exact(width).enumerate() {
            let (row, row_tail) = S::as_simd_f32s(row);
            let gradient = self
                .gradient
                .map(|gradient| S::as_simd_f32s(&gradient[index * width..(index + 1) * width]));
            for i in 0..mean.len() {
                let value = simd.sub_f32s(row[i], mean[i]);
                let weight = gradient.map_or(value, |(gradient, _)| gradient[i]);
                first[i] = simd.add_f32s(first[i], weight);
                second[i] = simd.mul_add_e_f32s(weight, value, second[i]);
            }
            for i in 0..mean_tail.len() {
                let value = row_tail[i] - mean_tail[i];
                let weight = gradient.map_or(value, |(_, gradient)| gradient[i]);
                first_tail[i] += weight;
                second_tail[i] += weight * value;
            }
        }
    }
}

fn sums(
    arch: Arch,
    sizes: Sizes,
    input: &[f32],
    gradient: Option<&[f32]>,
    mean: &[f32],
) -> Vec<[f64; 2]> {
    let length = sizes.part();
    let parts: Vec<Vec<f32>> = input
        .par_chunks(length)
        .enumerate()
        .map(|(part, input)| {
            let mut sums = vec![0.0; 2 * sizes.width()];
            let start = part * length;
            arch.dispatch(Sums {
                input,
                gradient: gradient.map(|gradient| &gradient[start..start + input.len()]),
                mean,
                sums: &mut sums,
            });
            sums
        })
        .collect();
    sizes.gather(&parts)
}

/// `out ← a out + b (x - mean) + c` for each column; without `a`, the first term is zero.
struct Combine<'a> {
    input: &'a [f32],
    out: &'a mut [f32],
    mean: &'a [f32],
    a: Option<&'a [f32]>,
    b: &'a [f32],
    c: &'a [f32],
}

impl WithSimd for Combine<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = self.mean.len();
        let (mean, mean_tail) = S::as_simd_f32s(self.mean);
        let (b, b_tail) = S::as_simd_f32s(self.b);
        let (c, c_tail) = S::as_simd_f32s(self.c);
        let a = self.a.map(|a| S::as_simd_f32s(a));
        let rows = self.input.chunks_exact(width);
        for (out, row) in self.out.chunks_exact_mut(width).zip(rows) {
            let (row, row_tail) = S::as_simd_f32s(row);
            let (out, out_tail) = S::as_mut_simd_f32s(out);
            for i in 0..mean.len() {
                let value = simd.sub_f32s(row[i], mean[i]);
                let value = simd.mul_add_e_f32s(value, b[i], c[i]);
                out[i] = match a {
                    Some((a, _)) => simd.mul_add_e_f32s(out[i], a[i], value),
                    None => value,
                };
            }
            for i in 0..mean_tail.len() {
                let value = (row_tail[i] - mean_tail[i]) * b_tail[i] + c_tail[i];
                out_tail[i] = match a {
                    Some((_, a)) => out_tail[i] * a[i] + value,
                    None => value,
                };
            }
        }
    }
}

fn normalise(
    arch: Arch,
    sizes: Sizes,
    input: &[f32],
    [mean, scale, offset]: [&[f32]; 3],
) -> Vec<f32> {
    let mut output = zeros(input.len());
    let length = sizes.part();
    output
        .par_chunks_mut(length)
        .zip(input.par_chunks(length))
        .for_each(|(out, input)| {
            arch.dispatch(Combine {
                input,
                out,
                mean,
                a: None,
                b: scale,
                c: offset,
            });
        });
    output
}

/// Output, means and variances.
pub(super) fn training(
    arch: Arch,
    sizes: Sizes,
    input: &[f32],
    gamma: &[f32],
    beta: &[f32],
    epsilon: f64,
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let zeros = vec![0.0; sizes.width()];
    let guess: Vec<f32> = sums(arch, sizes, input, None, &zeros)
        .iter()
        .map(|[sum, _]| (sum / sizes.count) as f32)
        .collect();
    let about = sums(arch, sizes, input, None, &sizes.spread(|c| guess[c]));
    let (mean, variance): (Vec<f32>, Vec<f32>) = guess
        .iter()
        .zip(about)
        .map(|(guess, about)| mean_and_variance(*guess, about, sizes.count))
        .map(|[mean, variance]| (mean, variance))
        .unzip();
    let output = fixed(arch, sizes, input, [gamma, beta, &mean, &variance], epsilon);
    (output, mean, variance)
}

/// Overwrites `gradient` with the input gradient, and gives the gradients of γ and β. `channels` are γ, mean and variance.
pub(super) fn training_gradients(
    arch: Arch,
    sizes: Sizes,
    input: &[f32],
    [gamma, mean, variance]: [&[f32]; 3],
    gradient: &mut [f32],
    epsilon: f64,
) -> (Vec<f32>, Vec<f32>) {
    let means = sizes.spread(|c| mean[c]);
    let sums = sums(arch, sizes, input, Some(gradient), &means);
    let (factors, gradients): (Vec<[f32; 3]>, Vec<[f32; 2]>) = sums
        .into_iter()
        .enumerate()
        .map(|(c, sums)| factors(gamma[c], variance[c], epsilon, sums, sizes.count))
        .unzip();
    let [a, b, c] = [0, 1, 2].map(|which| sizes.spread(|channel| factors[channel][which]));
    let length = sizes.part();
    gradient
        .par_chunks_mut(length)
        .zip(input.par_chunks(length))
        .for_each(|(out, input)| {
            arch.dispatch(Combine {
                input,
                out,
                mean: &means,
                a: Some(&a),
                b: &b,
                c: &c,
            });
        });
    gradients
        .into_iter()
        .map(|[gamma, beta]| (gamma, beta))
        .unzip()
}

/// The output; `channels` are γ, β, mean and variance.
pub(super) fn fixed(
    arch: Arch,
    sizes: Sizes,
    input: &[f32],
    [gamma, beta, mean, variance]: [&[f32]; 4],
    epsilon: f64,
) -> Vec<f32> {
    let scale =
        sizes.spread(|c| (f64::from(gamma[c]) * inverse_deviation(variance[c], epsilon)) as f32);
    let (mean, offset) = (sizes.spread(|c| mean[c]), sizes.spread(|c| beta[c]));
    normalise(arch, sizes, input, [&mean, &scale, &offset])
}

/// Overwrites `gradient` with the input gradient. `channels` are γ and variance.
pub(super) fn fixed_input_gradient(
    arch: Arch,
    sizes: Sizes,
    [gamma, variance]: [&[f32]; 2],
    gradient: &mut [f32],
    epsilon: f64,
) {
    let scale =
        sizes.spread(|c| (f64::from(gamma[c]) * inverse_deviation(variance[c], epsilon)) as f32);
    gradient.par_chunks_mut(sizes.part()).for_each(|gradient| {
        arch.dispatch(Scale {
            gradient,
            scale: &scale,
        });
    });
}

struct Scale<'a> {
    gradient: &'a mut [f32],
    scale: &'a [f32],
}

impl WithSimd for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (scale, scale_tail) = S::as_simd_f32s(self.scale);
        for row in self.gradient.chunks_exact_mut(self.scale.len()) {
            let (row, tail) = S::as_mut_simd_f32s(row);
            for (value, scale) in row.iter_mut().zip(scale) {
                *value = simd.mul_f32s(*value, *scale);
            }
            for (value, scale) in tail.iter_mut().zip(scale_tail) {
                *value *= scale;
            }
        }
    }
}

/// Gradients of γ and β; `channels` are mean and variance.
pub(super) fn parameter_gradients(
    arch: Arch,
    sizes: Sizes,
    input: &[f32],
    [mean, variance]: [&[f32]; 2],
    gradient: &[f32],
    epsilon: f64,
) -> (Vec<f32>, Vec<f32>) {
    sums(
        arch,
        sizes,
        input,
        Some(gradient),
        &sizes.spread(|c| mean[c]),
    )
    .into_iter()
    .zip(variance)
    .map(|([sum, products], variance)| {
        let inverse = inverse_deviation(*variance, epsilon);
        ((products * inverse) as f32, sum as f32)
    })
    .unzip()
}
