//! Structural similarity of images, as a loss and as a map.
//!
//! | | passes over memory | operations per pixel |
//! |---|---|---|
//! | forward | reads both images, writes the map | 60 |
//! | backward | reads both images and `g`, writes both gradients | 140 |
//!
//! The moments under the window need five rows of each of four images, which stay in the first-level cache. With the operations of a backend, each of
//! about twenty operations is a pass over memory.
#![allow(deprecated, reason = "Burn's ndarray backend stays selectable")]

mod backend;
mod fused;

use burn::backend::Dispatch;
use burn::tensor::{DType, Tensor};

use backend::SimilarityKernel;

/// Pixels from the middle of the window to its edge.
const RADIUS: usize = 2;
/// Standard deviation of the window, in pixels.
const SIGMA: f64 = 1.5;
/// Constants that keep both factors finite, for values from 0 to 1: (0.01 L)² and (0.03 L)² with L = 1.
const C1: f64 = 1e-4;
const C2: f64 = 9e-4;

/// `1 - SSIM`: 0 where the surroundings of a pixel are equal in `x` and `y`, and larger the more they differ.
///
/// ```text
/// SSIM(p) = (2 μx μy + C1) (2 sxy + C2) / ((μx² + μy² + C1) (sx² + sy² + C2))
///
/// μ = G * x,  s² = G * x² - μ²,  sxy = G * xy - μx μy
/// G: Gaussian of 5 × 5 pixels, σ = 1.5 pixels, sum 1; zeros beyond the edges.  C1 = 0.01², C2 = 0.03²
/// ```
///
/// It is computed from the difference `d = x - y`. The result is the same, but keeps its digits where `x` and `y` are similar:
///
/// ```text
/// 1 - SSIM = a + b - ab,   a = μd² / (μx² + μy² + C1),   b = sd² / (sx² + sy² + C2)
/// ```
///
/// Variances are clamped at 0. The gradient is exact.
///
/// # Shapes
/// `[batch, channels, height, width]` of values from 0 to 1; the shape is kept. Each channel is compared separately. Results are from 0 to 2.
///
/// # Panics
/// If the images differ in shape or are not 32-bit floats.
///
/// # Source
/// Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural similarity", IEEE Transactions on
/// Image Processing 2004, equation 13.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
///
/// let device = Device::flex();
/// let black = Tensor::<4>::zeros([1, 1, 8, 8], &device);
/// let white = Tensor::<4>::ones([1, 1, 8, 8], &device);
/// let far = crossburn_kernels::structural_dissimilarity(black, white);
/// assert!(far.min().into_scalar::<f32>() > 0.99);
/// ```
pub fn structural_dissimilarity(x: Tensor<4>, y: Tensor<4>) -> Tensor<4> {
    assert_eq!(
        x.dims(),
        y.dims(),
        "structural_dissimilarity: images of two shapes"
    );
    assert!(
        x.dtype() == DType::F32 && y.dtype() == DType::F32,
        "structural_dissimilarity: images are not 32-bit floats"
    );
    Tensor::from_dispatch(Dispatch::structural_dissimilarity(
        x.into_dispatch(),
        y.into_dispatch(),
    ))
}

/// Weights of the window at distances 0, 1, … from its middle, along one axis.
fn taps() -> [f64; RADIUS + 1] {
    let weight = |distance: usize| (-((distance * distance) as f64) / (2.0 * SIGMA * SIGMA)).exp();
    let weights = std::array::from_fn(weight);
    let sum = 2.0 * weights.iter().sum::<f64>() - weights[0];
    weights.map(|weight| weight / sum)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::testing::{agree, cpus, numbers, pool};
    use burn::tensor::{Device, TensorData};

    fn images(seed: u32, shape: [usize; 4], device: &Device) -> Tensor<4> {
        let values = numbers(seed, shape.iter().product());
        let values: Vec<f32> = values.iter().map(|value| value * 0.5 + 0.5).collect();
        Tensor::from_data(TensorData::new(values, shape), device)
    }

    /// The map, and the gradients of both images.
    fn of(shape: [usize; 4], device: &Device) -> [Vec<f32>; 3] {
        let x = images(1, shape, device).require_grad();
        let near = images(2, shape, device) * 0.2 + x.clone().detach() * 0.8;
        let y = near.detach().require_grad();
        let map = structural_dissimilarity(x.clone(), y.clone());
        let weights = images(3, shape, device);
        let gradients = (map.clone() * weights).sum().backward();
        let values = |tensor: Tensor<4>| tensor.into_data().try_to_vec().unwrap();
        [
            values(map.inner()),
            values(x.grad(&gradients).unwrap()),
            values(y.grad(&gradients).unwrap()),
        ]
    }

    /// `SSIM` by double sums over the window, and its gradient by differences, in 64 bits.
    fn reference(x: &[f64], y: &[f64], [height, width]: [usize; 2]) -> Vec<f64> {
        let pixel = |at: usize| {
            let (row, column) = ((at / width) as i64, (at % width) as i64);
            let (mut sums, mut total) = ([0.0; 5], 0.0);
            for down in -2..=2i64 {
                for right in -2..=2i64 {
                    let weight = (-((down * down + right * right) as f64) / 4.5).exp();
                    total += weight;
                    let (r, c) = (row + down, column + right);
                    if (0..height as i64).contains(&r) && (0..width as i64).contains(&c) {
                        let (x, y) = (
                            x[r as usize * width + c as usize],
                            y[r as usize * width + c as usize],
                        );
                        for (sum, value) in sums.iter_mut().zip([x, y, x * x, y * y, x * y]) {
                            *sum += weight * value;
                        }
                    }
                }
            }
            let [x, y, xx, yy, xy] = sums.map(|sum| sum / total);
            let (spread, common) = (xx - x * x + yy - y * y, xy - x * y);
            1.0 - (2.0 * x * y + C1) * (2.0 * common + C2) / ((x * x + y * y + C1) * (spread + C2))
        };
        (0..height * width).map(pixel).collect()
    }

    #[test]
    fn maps_and_gradients_are_those_of_double_sums_in_64_bits() {
        for device in cpus().into_iter().map(Device::autodiff) {
            for shape in [[1, 1, 7, 9], [1, 1, 1, 1], [1, 1, 2, 17], [1, 1, 21, 3]] {
                let size = [shape[2], shape[3]];
                let [map, for_x, for_y] = of(shape, &device);
                let values = |tensor: Tensor<4>| -> Vec<f64> {
                    tensor.into_data().convert::<f64>().try_to_vec().unwrap()
                };
                let plain = device.clone().inner();
                let x = images(1, shape, &plain);
                let y = values(images(2, shape, &plain) * 0.2 + x.clone() * 0.8);
                let (x, weights) = (values(x), values(images(3, shape, &plain)));
                agree(&map, &reference(&x, &y, size), 1e-5);
                let loss = |x: &[f64], y: &[f64]| -> f64 {
                    let map = reference(x, y, size);
                    map.iter()
                        .zip(&weights)
                        .map(|(map, weight)| map * weight)
                        .sum()
                };
                let difference = |at: usize, second: bool| {
                    let moved = |step: f64| {
                        let mut pair = [x.clone(), y.clone()];
                        pair[usize::from(second)][at] += step;
                        loss(&pair[0], &pair[1])
                    };
                    (moved(1e-6) - moved(-1e-6)) / 2e-6
                };
                let all = || 0..x.len();
                let expected: Vec<f64> = all().map(|at| difference(at, false)).collect();
                agree(&for_x, &expected, 2e-3);
                let expected: Vec<f64> = all().map(|at| difference(at, true)).collect();
                agree(&for_y, &expected, 2e-3);
            }
        }
    }

    #[test]
    fn images_and_channels_are_compared_for_themselves_on_any_number_of_threads() {
        let device = Device::flex();
        let shape = [3, 2, 40, 33];
        let whole = |threads| {
            let map = pool(threads).install(|| {
                structural_dissimilarity(images(1, shape, &device), images(2, shape, &device))
            });
            map.into_data().try_to_vec::<f32>().unwrap()
        };
        let found = whole(1);
        assert_eq!(found, whole(3));
        let part = |seed| {
            let images = images(seed, shape, &device).reshape([6, 1, 40, 33]);
            images.narrow(0, 4, 1)
        };
        let one = structural_dissimilarity(part(1), part(2));
        let one: Vec<f32> = one.into_data().try_to_vec().unwrap();
        assert_eq!(found[4 * 40 * 33..5 * 40 * 33], one);
    }

    #[test]
    fn what_is_not_finite_stays_under_its_window() {
        let device = Device::flex();
        let mut values = vec![0.5; 9 * 9];
        values[40] = f32::NAN;
        let broken = Tensor::<4>::from_data(TensorData::new(values, [1, 1, 9, 9]), &device);
        let whole = Tensor::<4>::ones([1, 1, 9, 9], &device);
        let map = structural_dissimilarity(broken, whole);
        let map: Vec<f32> = map.into_data().try_to_vec().unwrap();
        for (at, value) in map.iter().enumerate() {
            let near = (at / 9).abs_diff(4) <= 2 && (at % 9).abs_diff(4) <= 2;
            assert_eq!(value.is_nan(), near, "{at}");
        }
    }

    #[test]
    fn no_images_give_no_map() {
        let device = Device::flex();
        let none = || Tensor::<4>::zeros([0, 1, 5, 5], &device);
        assert_eq!(
            structural_dissimilarity(none(), none()).dims(),
            [0, 1, 5, 5]
        );
    }
}
