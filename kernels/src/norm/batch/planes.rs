//! Batch normalisation of channels with many pixels. First each run (a channel of an image) is summed in the order of memory, then the runs of each
//! channel are added, then the output is computed in the order of memory.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

pub(in crate::norm) use super::backend::Sizes;
use crate::fresh::zeros;
use crate::norm::lanes::{Moments, affine, combine, inverse_deviation, products, scale};

/// Number of values that a thread takes at once.
const GRAIN: usize = 32 << 10;

impl Sizes {
    fn runs_at_once(&self) -> usize {
        (GRAIN / self.pixels).max(1)
    }

    fn runs(&self) -> usize {
        self.count as usize / self.pixels * self.channels
    }

    /// The results of `work` for every run of `input`, in order. `work` gets a few runs, and the index of the first.
    fn each<'a, R: Send>(
        &self,
        input: &'a [f32],
        work: impl Fn(usize, &'a [f32]) -> Vec<R> + Sync,
    ) -> Vec<R> {
        let at_once = self.runs_at_once();
        let mut result = Vec::with_capacity(self.runs());
        let pieces: Vec<Vec<R>> = input
            .par_chunks(at_once * self.pixels)
            .enumerate()
            .map(|(piece, input)| work(piece * at_once, input))
            .collect();
        result.extend(pieces.into_iter().flatten());
        result
    }

    /// Calls `work` with a few runs of `output` and `input`, and the index of the first run.
    fn each_mut(
        &self,
        output: &mut [f32],
        input: &[f32],
        work: impl Fn(usize, &mut [f32], &[f32]) + Sync,
    ) {
        let at_once = self.runs_at_once();
        output
            .par_chunks_mut(at_once * self.pixels)
            .zip(input.par_chunks(at_once * self.pixels))
            .enumerate()
            .for_each(|(piece, (output, input))| work(piece * at_once, output, input));
    }

    /// The sum over the runs of each channel.
    fn per_channel(&self, runs: &[[f64; 2]]) -> Vec<[f64; 2]> {
        let mut sums = vec![[0.0; 2]; self.channels];
        for image in runs.chunks_exact(self.channels) {
            for (sum, [first, second]) in sums.iter_mut().zip(image) {
                sum[0] += first;
                sum[1] += second;
            }
        }
        sums
    }
}

/// The moments of some runs.
struct Statistics<'a> {
    sizes: Sizes,
    input: &'a [f32],
}

impl WithSimd for Statistics<'_> {
    type Output = Vec<Moments>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<Moments> {
        let mut result = Vec::with_capacity(self.input.len() / self.sizes.pixels);
        // A loop rather than a closure, because a closure may be compiled without the instructions of this function.
        for run in self.input.chunks_exact(self.sizes.pixels) {
            result.push(Moments::of(simd, run));
        }
        result
    }
}

/// The moments of every run.
pub(in crate::norm) fn moments(arch: Arch, sizes: Sizes, input: &[f32]) -> Vec<Moments> {
    sizes.each(input, |_, input| arch.dispatch(Statistics { sizes, input }))
}

/// Mean and variance of each channel.
fn statistics(arch: Arch, sizes: Sizes, input: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let runs = moments(arch, sizes, input);
    let mut channels = vec![Moments::default(); sizes.channels];
    for image in runs.chunks_exact(sizes.channels) {
        for (channel, run) in channels.iter_mut().zip(image) {
            channel.merge(run);
        }
    }
    channels
        .iter()
        .map(|channel| {
            (
                channel.mean as f32,
                (channel.squares / channel.count) as f32,
            )
        })
        .unzip()
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
    let (mean, variance) = statistics(arch, sizes, input);
    let output = fixed(arch, sizes, input, [gamma, beta, &mean, &variance], epsilon);
    (output, mean, variance)
}

/// For some runs, the sum of the gradient and the sum of its products with the deviations.
struct Products<'a> {
    sizes: Sizes,
    first: usize,
    input: &'a [f32],
    gradient: &'a [f32],
    /// The mean of each channel.
    mean: &'a [f32],
}

impl WithSimd for Products<'_> {
    type Output = Vec<[f64; 2]>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<[f64; 2]> {
        let gradients = self.gradient.chunks_exact(self.sizes.pixels);
        let runs = self.input.chunks_exact(self.sizes.pixels).zip(gradients);
        let mut result = Vec::with_capacity(self.input.len() / self.sizes.pixels);
        for (run, (input, gradient)) in runs.enumerate() {
            let mean = self.mean[(self.first + run) % self.sizes.channels];
            result.push(products(simd, input, gradient, mean));
        }
        result
    }
}

/// `Σ g` and `Σ g (x - μ)` for each run, with one `mean` for each channel.
pub(in crate::norm) fn products_of_runs(
    arch: Arch,
    sizes: Sizes,
    input: &[f32],
    mean: &[f32],
    gradient: &[f32],
) -> Vec<[f64; 2]> {
    sizes.each(input, |first, input| {
        arch.dispatch(Products {
            sizes,
            first,
            input,
            gradient: &gradient[first * sizes.pixels..][..input.len()],
            mean,
        })
    })
}

/// For each channel `Σ g` and `Σ g (x - μ)`.
fn sums(arch: Arch, sizes: Sizes, input: &[f32], mean: &[f32], gradient: &[f32]) -> Vec<[f64; 2]> {
    sizes.per_channel(&products_of_runs(arch, sizes, input, mean, gradient))
}

/// The three numbers from which the input gradient is computed: the factor of the gradient, that of the deviation, and a constant. Then the gradients of
/// γ and β.
///
/// ```text
/// ∂x = γ/s (g - mean(g) - d mean(g d) / s²),   s = √(σ² + ε),   d = x - μ
/// ```
pub(super) fn factors(
    gamma: f32,
    variance: f32,
    epsilon: f64,
    [sum, products]: [f64; 2],
    count: f64,
) -> ([f32; 3], [f32; 2]) {
    let inverse = inverse_deviation(variance, epsilon);
    let scale = f64::from(gamma) * inverse;
    let slope = products / count * inverse * inverse;
    let factors = [scale, -scale * slope, -scale * (sum / count)];
    (
        factors.map(|factor| factor as f32),
        [(products * inverse) as f32, sum as f32],
    )
}

/// Computes the input gradient of some runs, which overwrites that of the output.
struct Combine<'a> {
    sizes: Sizes,
    first: usize,
    input: &'a [f32],
    gradient: &'a mut [f32],
    /// The mean of each channel; the factors are per channel too.
    mean: &'a [f32],
    factors: &'a [[f32; 3]],
}

impl WithSimd for Combine<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let gradients = self.gradient.chunks_exact_mut(self.sizes.pixels);
        let runs = self.input.chunks_exact(self.sizes.pixels).zip(gradients);
        for (run, (input, gradient)) in runs.enumerate() {
            let channel = (self.first + run) % self.sizes.channels;
            combine(
                simd,
                input,
                gradient,
                self.mean[channel],
                self.factors[channel],
            );
        }
    }
}

/// Overwrites `gradient` with the input gradient. There is one mean for each channel, and one list of factors (of the gradient, of the deviation, and
/// a constant).
pub(in crate::norm) fn combine_runs(
    arch: Arch,
    sizes: Sizes,
    input: &[f32],
    gradient: &mut [f32],
    mean: &[f32],
    factors: &[[f32; 3]],
) {
    sizes.each_mut(gradient, input, |first, gradient, input| {
        arch.dispatch(Combine {
            sizes,
            first,
            input,
            gradient,
            mean,
            factors,
        });
    });
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
    let (factors, gradients): (Vec<[f32; 3]>, Vec<[f32; 2]>) =
        sums(arch, sizes, input, mean, gradient)
            .into_iter()
            .enumerate()
            .map(|(c, sums)| factors(gamma[c], variance[c], epsilon, sums, sizes.count))
            .unzip();
    combine_runs(arch, sizes, input, gradient, mean, &factors);
    gradients
        .into_iter()
        .map(|[gamma, beta]| (gamma, beta))
        .unzip()
}

/// The output of some runs.
struct Affine<'a> {
    sizes: Sizes,
    first: usize,
    input: &'a [f32],
    output: &'a mut [f32],
    /// Mean, scale and offset of each channel.
    factors: &'a [[f32; 3]],
}

impl WithSimd for Affine<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let outputs = self.output.chunks_exact_mut(self.sizes.pixels);
        let runs = self.input.chunks_exact(self.sizes.pixels).zip(outputs);
        for (run, (input, output)) in runs.enumerate() {
            let channel = (self.first + run) % self.sizes.channels;
            affine(simd, input, output, self.factors[channel]);
        }
    }
}

/// The output; `channels` are γ, β, mean and variance.
pub(in crate::norm) fn fixed(
    arch: Arch,
    sizes: Sizes,
    input: &[f32],
    [gamma, beta, mean, variance]: [&[f32]; 4],
    epsilon: f64,
) -> Vec<f32> {
    let factors: Vec<[f32; 3]> = (0..sizes.channels)
        .map(|c| {
            let scale = f64::from(gamma[c]) * inverse_deviation(variance[c], epsilon);
            [mean[c], scale as f32, beta[c]]
        })
        .collect();
    let mut output = zeros(input.len());
    sizes.each_mut(&mut output, input, |first, output, input| {
        arch.dispatch(Affine {
            sizes,
            first,
            input,
            output,
            factors: &factors,
        });
    });
    output
}

struct Scale<'a> {
    gradient: &'a mut [f32],
    factor: f32,
}

impl WithSimd for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        scale(simd, self.gradient, self.factor);
    }
}

/// Overwrites `gradient` with the input gradient. `channels` are γ and variance.
pub(super) fn fixed_input_gradient(
    arch: Arch,
    sizes: Sizes,
    channels: [&[f32]; 2],
    gradient: &mut [f32],
    epsilon: f64,
) {
    gradient
        .par_chunks_exact_mut(sizes.pixels)
        .enumerate()
        .with_min_len(sizes.runs_at_once())
        .for_each(|(index, gradient)| {
            let [gamma, variance] = channels.map(|values| values[index % sizes.channels]);
            let factor = (f64::from(gamma) * inverse_deviation(variance, epsilon)) as f32;
            arch.dispatch(Scale { gradient, factor });
        });
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
    sums(arch, sizes, input, mean, gradient)
        .into_iter()
        .zip(variance)
        .map(|([sum, products], variance)| {
            let inverse = inverse_deviation(*variance, epsilon);
            ((products * inverse) as f32, sum as f32)
        })
        .unzip()
}
