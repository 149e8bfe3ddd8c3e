//! How far a reconstruction is from its image, pixel by pixel: structural similarity, absolute differences, and their fusion.

use burn::tensor::Tensor;
use crossburn_kernels::structural_dissimilarity;

/// The anomaly map, and with its mean the loss, of reconstructions `y` of images `x`:
///
/// ```text
/// FQ(p) = α D(p) + (1 - α) |x(p) - y(p)|,   D = clamp(1 - SSIM, 0, 1) / 2
/// ```
///
/// With α = 0 it is the absolute difference, with α = 1 the part of [`structural_dissimilarity`] alone.
///
/// # Shapes
/// `[batch, channels, height, width]` of values from 0 to 1, kept.
///
/// # Source
/// Pan et al., "Rethinking medical anomaly detection in brain MRI: an image quality assessment perspective", arXiv 2408.08228.
pub(crate) fn fusion_quality(x: Tensor<4>, y: Tensor<4>, alpha: f64) -> Tensor<4> {
    let far = || (x.clone() - y.clone()).abs();
    let unlike = || structural_dissimilarity(x.clone(), y.clone()).clamp(0.0, 1.0) * 0.5;
    match alpha {
        0.0 => far(),
        1.0 => unlike(),
        _ => unlike() * alpha + far() * (1.0 - alpha),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};
    use crossburn_noise::Philox;

    const HEIGHT: usize = 7;
    const WIDTH: usize = 9;
    /// (0.01 L)² and (0.03 L)² with L = 1.
    const C1: f64 = 1e-4;
    const C2: f64 = 9e-4;

    /// Structural similarity as it is written down, by double sums over the window.
    fn similarity(x: &[f64], y: &[f64], row: usize, column: usize) -> f64 {
        let (mut sum, mut weights) = ([0.0; 5], 0.0);
        for down in -2i32..=2 {
            for right in -2i32..=2 {
                let weight = (-f64::from(down * down + right * right) / 4.5).exp();
                weights += weight;
                let (r, c) = (row as i32 + down, column as i32 + right);
                if (0..HEIGHT as i32).contains(&r) && (0..WIDTH as i32).contains(&c) {
                    let place = r as usize * WIDTH + c as usize;
                    let (x, y) = (x[place], y[place]);
                    for (sum, value) in sum.iter_mut().zip([x, y, x * x, y * y, x * y]) {
                        *sum += weight * value;
                    }
                }
            }
        }
        let [x, y, xx, yy, xy] = sum.map(|sum| sum / weights);
        let (spread, common) = (xx - x * x + yy - y * y, xy - x * y);
        (2.0 * x * y + C1) * (2.0 * common + C2) / ((x * x + y * y + C1) * (spread + C2))
    }

    /// The mean of the fusion over all pixels, of one image.
    fn fused(x: &[f64], y: &[f64], alpha: f64) -> f64 {
        let pixels = (0..HEIGHT * WIDTH).map(|place| {
            let similar = similarity(x, y, place / WIDTH, place % WIDTH);
            let unlike = (1.0 - similar).clamp(0.0, 1.0) / 2.0;
            alpha * unlike + (1.0 - alpha) * (x[place] - y[place]).abs()
        });
        pixels.sum::<f64>() / (HEIGHT * WIDTH) as f64
    }

    fn tensor(values: &[f64], device: &Device) -> Tensor<4> {
        let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
        Tensor::from_data(TensorData::new(values, [1, 1, HEIGHT, WIDTH]), device)
    }

    fn numbers(tensor: Tensor<4>) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    /// Two images of 32-bit floats that differ by noise of this size.
    fn pair(seed: u64, noise: f64) -> (Vec<f64>, Vec<f64>) {
        let stream = Philox::new(seed, 0);
        let held = |value: f64| f64::from(value as f32);
        let x = (0..HEIGHT * WIDTH).map(|i| held(stream.uniform(i as u64)));
        let x: Vec<f64> = x.collect();
        let y = x.iter().enumerate().map(|(i, x)| {
            held((x + noise * (stream.uniform(1000 + i as u64) - 0.5)).clamp(0.0, 1.0))
        });
        let y = y.collect();
        (x, y)
    }

    /// `scipy.ndimage.correlate(a, G, mode="constant")` of scipy 1.x in 64 bits, in the formula of the module, at six pixels, and the
    /// mean over all.
    #[test]
    fn values_are_those_of_an_independent_implementation() {
        let grid = || (0..HEIGHT).flat_map(|i| (0..WIDTH).map(move |j| (i, j)));
        let x: Vec<f64> = grid()
            .map(|(i, j)| ((7 * i + 3 * j) % 16) as f64 / 16.0)
            .collect();
        let y: Vec<f64> = grid()
            .zip(&x)
            .map(|((i, j), x)| (0.75 * x + ((5 * i + 11 * j) % 8) as f64 / 32.0).min(1.0))
            .collect();
        let device = Device::flex();
        let found = numbers(structural_dissimilarity(
            tensor(&x, &device),
            tensor(&y, &device),
        ));
        for (row, column, expected) in [
            (0, 0, 0.9682886),
            (0, 4, 0.9748259),
            (3, 4, 0.9177501),
            (3, 8, 0.9785698),
            (6, 8, 0.9635423),
            (5, 1, 0.9656092),
        ] {
            let found = 1.0 - f64::from(found[row * WIDTH + column]);
            assert!((found - expected).abs() < 1e-5, "{row} {column}: {found}");
        }
        let sum: f64 = found.iter().map(|d| 1.0 - f64::from(*d)).sum();
        assert!((sum / 63.0 - 0.9526316647818633).abs() < 1e-5);
    }

    #[test]
    fn every_pixel_is_that_of_double_sums() {
        let device = Device::flex();
        let flat = (vec![1.0; HEIGHT * WIDTH], vec![1.0; HEIGHT * WIDTH]);
        let dark = (vec![1.0; HEIGHT * WIDTH], vec![0.0; HEIGHT * WIDTH]);
        let zero = (vec![0.0; HEIGHT * WIDTH], vec![0.0; HEIGHT * WIDTH]);
        for (x, y) in [pair(1, 0.02), pair(2, 0.5), pair(3, 2.0), flat, dark, zero] {
            let found = numbers(structural_dissimilarity(
                tensor(&x, &device),
                tensor(&y, &device),
            ));
            for (place, found) in found.iter().enumerate() {
                let expected = 1.0 - similarity(&x, &y, place / WIDTH, place % WIDTH);
                assert!((f64::from(*found) - expected).abs() < 1e-5, "{place}");
            }
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let device = Device::flex().autodiff();
        for (alpha, noise) in [(0.0, 0.3), (0.84, 0.3), (1.0, 0.1)] {
            let (x, y) = pair(5, noise);
            let learned = tensor(&y, &device).require_grad();
            let loss = fusion_quality(tensor(&x, &device), learned.clone(), alpha).mean();
            let value = f64::from(loss.clone().into_scalar::<f32>());
            assert!((value - fused(&x, &y, alpha)).abs() < 1e-5);
            let gradients = numbers(learned.grad(&loss.backward()).unwrap());
            let mut compared = 0;
            for (place, gradient) in gradients.iter().enumerate() {
                let at = |step: f64| {
                    let mut moved = y.clone();
                    moved[place] += step;
                    fused(&x, &moved, alpha)
                };
                let step = 1e-6;
                if (x[place] - y[place]).abs() < 2.0 * step {
                    // Where both agree, the absolute difference has no derivative.
                    continue;
                }
                compared += 1;
                let expected = (at(step) - at(-step)) / (2.0 * step);
                assert!(
                    (f64::from(*gradient) - expected).abs() < 1e-5,
                    "{alpha} {place}: {gradient} {expected}"
                );
            }
            assert!(compared > 50);
        }
    }

    #[test]
    fn channels_and_images_are_compared_for_themselves() {
        let device = Device::flex();
        let (x, y) = pair(8, 0.4);
        let single = numbers(fusion_quality(
            tensor(&x, &device),
            tensor(&y, &device),
            0.84,
        ));
        let two = |a: &[f64], b: &[f64]| {
            let both = Tensor::cat(vec![tensor(a, &device), tensor(b, &device)], 0);
            both.reshape([1, 2, HEIGHT, WIDTH])
        };
        let both = numbers(fusion_quality(two(&x, &y), two(&y, &y), 0.84));
        let (first, second) = both.split_at(HEIGHT * WIDTH);
        assert_eq!(first, single);
        assert!(second.iter().all(|value| *value == 0.0));
    }
}
