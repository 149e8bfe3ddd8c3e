//! Batch normalisation of channels with many pixels, one channel at a time.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::backend::Sizes;
use crate::norm::lanes::{
    affine, combine, inverse_deviation, mean_and_variance, moments, products, scale, sum,
};

/// Values that are worth waking a thread for.
const GRAIN: usize = 32 << 10;

impl Sizes {
    /// Channels that a thread takes at once.
    fn channels_at_once(&self) -> usize {
        (GRAIN / self.count as usize).max(1)
    }

    /// The runs of one channel, image by image.
    fn runs<'a>(
        &self,
        all: &'a [f32],
        channel: usize,
    ) -> impl Iterator<Item = &'a [f32]> + use<'a> {
        let runs = all.chunks_exact(self.pixels);
        runs.skip(channel).step_by(self.channels)
    }

    /// The runs of every channel, to be written apart.
    fn runs_mut<'a>(&self, all: &'a mut [f32]) -> Vec<Vec<&'a mut [f32]>> {
        let images = self.count as usize / self.pixels;
        let mut runs: Vec<Vec<_>> = (0..self.channels)
            .map(|_| Vec::with_capacity(images))
            .collect();
        for (index, run) in all.chunks_exact_mut(self.pixels).enumerate() {
            runs[index % self.channels].push(run);
        }
        runs
    }

    /// Calls `work` with every channel and its runs, on all threads, and gives what it returns in order.
    fn each_mut<R: Send>(
        &self,
        all: &mut [f32],
        work: impl Fn(usize, Vec<&mut [f32]>) -> R + Sync,
    ) -> Vec<R> {
        self.runs_mut(all)
            .into_par_iter()
            .enumerate()
            .with_min_len(self.channels_at_once())
            .map(|(channel, runs)| work(channel, runs))
            .collect()
    }
}

/// Mean and variance of one channel, and its output.
struct Training<'a, 'b> {
    sizes: Sizes,
    channel: usize,
    input: &'a [f32],
    output: Vec<&'b mut [f32]>,
    gamma: f32,
    beta: f32,
    epsilon: f64,
}

impl WithSimd for Training<'_, '_> {
    type Output = [f32; 2];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> [f32; 2] {
        let runs = || self.sizes.runs(self.input, self.channel);
        let count = self.sizes.count;
        let total: f64 = runs().map(|run| sum(simd, run)).sum();
        let guess = (total / count) as f32;
        let mut about = [0.0; 2];
        for run in runs() {
            let [first, second] = moments(simd, run, guess);
            about[0] += first;
            about[1] += second;
        }
        let [mean, variance] = mean_and_variance(guess, about, count);
        let scale = f64::from(self.gamma) * inverse_deviation(variance, self.epsilon);
        for (run, out) in runs().zip(self.output) {
            affine(simd, run, out, [mean, scale as f32, self.beta]);
        }
        [mean, variance]
    }
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
    let mut output = vec![0.0; input.len()];
    let statistics = sizes.each_mut(&mut output, |channel, output| {
        arch.dispatch(Training {
            sizes,
            channel,
            input,
            output,
            gamma: gamma[channel],
            beta: beta[channel],
            epsilon,
        })
    });
    let (mean, variance) = statistics.into_iter().map(|[m, v]| (m, v)).unzip();
    (output, mean, variance)
}

/// Sums of one channel's gradient and of its products with the deviations, over runs of both.
struct Products<'a, I> {
    runs: I,
    gradient: &'a [&'a [f32]],
    mean: f32,
}

impl<'a, I: Iterator<Item = &'a [f32]>> WithSimd for Products<'_, I> {
    type Output = [f64; 2];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> [f64; 2] {
        let mut sums = [0.0; 2];
        for (run, gradient) in self.runs.zip(self.gradient) {
            let [first, second] = products(simd, run, gradient, self.mean);
            sums[0] += first;
            sums[1] += second;
        }
        sums
    }
}

/// The gradient of one channel's input over that of its output; gives the gradients of γ and β.
struct Gradient<'a, 'b> {
    sizes: Sizes,
    channel: usize,
    input: &'a [f32],
    gradient: Vec<&'b mut [f32]>,
    gamma: f32,
    mean: f32,
    variance: f32,
    epsilon: f64,
}

impl WithSimd for Gradient<'_, '_> {
    type Output = [f32; 2];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> [f32; 2] {
        let runs = || self.sizes.runs(self.input, self.channel);
        let mut sums = [0.0; 2];
        for (run, gradient) in runs().zip(&self.gradient) {
            let [first, second] = products(simd, run, gradient, self.mean);
            sums[0] += first;
            sums[1] += second;
        }
        let (factors, gradients) = factors(
            self.gamma,
            self.variance,
            self.epsilon,
            sums,
            self.sizes.count,
        );
        for (run, gradient) in runs().zip(self.gradient) {
            combine(simd, run, gradient, self.mean, factors);
        }
        gradients
    }
}

/// Factors of the gradient, of the deviation, and a constant, that make the input gradient; gradients of γ and β.
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

/// Writes the input gradient over `gradient`, gives the gradients of γ and β; `channels` are γ, mean and variance.
pub(super) fn training_gradients(
    arch: Arch,
    sizes: Sizes,
    input: &[f32],
    channels: [&[f32]; 3],
    gradient: &mut [f32],
    epsilon: f64,
) -> (Vec<f32>, Vec<f32>) {
    let sums = sizes.each_mut(gradient, |channel, gradient| {
        let [gamma, mean, variance] = channels.map(|values| values[channel]);
        arch.dispatch(Gradient {
            sizes,
            channel,
            input,
            gradient,
            gamma,
            mean,
            variance,
            epsilon,
        })
    });
    sums.into_iter().map(|[gamma, beta]| (gamma, beta)).unzip()
}

struct Affine<'a> {
    run: &'a [f32],
    out: &'a mut [f32],
    mean: f32,
    scale: f32,
    offset: f32,
}

impl WithSimd for Affine<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        affine(
            simd,
            self.run,
            self.out,
            [self.mean, self.scale, self.offset],
        );
    }
}

/// The output; `channels` are γ, β, mean and variance.
pub(super) fn fixed(
    arch: Arch,
    sizes: Sizes,
    input: &[f32],
    channels: [&[f32]; 4],
    epsilon: f64,
) -> Vec<f32> {
    let mut output = vec![0.0; input.len()];
    output
        .par_chunks_exact_mut(sizes.pixels)
        .zip(input.par_chunks_exact(sizes.pixels))
        .enumerate()
        .with_min_len((GRAIN / sizes.pixels).max(1))
        .for_each(|(index, (out, run))| {
            let [gamma, offset, mean, variance] =
                channels.map(|values| values[index % sizes.channels]);
            let scale = (f64::from(gamma) * inverse_deviation(variance, epsilon)) as f32;
            arch.dispatch(Affine {
                run,
                out,
                mean,
                scale,
                offset,
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

/// Writes the input gradient over `gradient`; `channels` are γ and variance.
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
        .with_min_len((GRAIN / sizes.pixels).max(1))
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
    channels: [&[f32]; 2],
    gradient: &[f32],
    epsilon: f64,
) -> (Vec<f32>, Vec<f32>) {
    let sums: Vec<(f32, f32)> = (0..sizes.channels)
        .into_par_iter()
        .with_min_len(sizes.channels_at_once())
        .map(|channel| {
            let [mean, variance] = channels.map(|values| values[channel]);
            let gradient: Vec<&[f32]> = sizes.runs(gradient, channel).collect();
            let [sum, products] = arch.dispatch(Products {
                runs: sizes.runs(input, channel),
                gradient: &gradient,
                mean,
            });
            let inverse = inverse_deviation(variance, epsilon);
            ((products * inverse) as f32, sum as f32)
        })
        .collect();
    sums.into_iter().unzip()
}
