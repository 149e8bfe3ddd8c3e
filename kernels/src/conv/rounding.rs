//! How much rounding can change the outputs of a convolution.

use burn::backend::ops::ConvOptions;
use burn::nn::conv::Conv2d;

use super::geometry::Geometry;
use super::{padding2d, winograd};

/// Unit roundoff of `f32`.
const UNIT: f64 = 1.0 / (1 << 24) as f64;

/// A bound on the rounding error of sums of products in `f32`:
///
/// ```text
/// |computed - exact| <= factor · (majorant(|w|) ⊛ |x| + |bias|)        factor = γ(n) = n u / (1 - n u),  u = 2⁻²⁴
/// ```
///
/// **Tap by tap**, the majorant is `|w|` itself. In a sum of n products and a bias, added in any order, with or without fused multiply-adds, each term
/// passes through at most n + 1 roundings (Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., section 3.1).
///
/// **With minimal filtering** (3 × 3 taps, `winograd.rs`), a term passes through one rounding of the transformed weight, two of the transformed input,
/// one for each input channel, and four of the output transform: n = channels + 8. Exact transforms would cancel the additional terms, but
/// roundings remain. The magnitudes are therefore those of `|Aᵀ| [(|G| |g| |Gᵀ|) ⊙ (|Bᵀ| |d| |B|)] |A|`. On a line of three taps this is, for the
/// first and the second output of a tile,
///
/// ```text
/// |d₀| |g₀| + |d₁| s + |d₂| (s + |g₀|)        |d₁| (s + |g₂|) + |d₂| s + |d₃| |g₂|        s = |g₀| + |g₁| + |g₂|
/// ```
///
/// The larger of the two for each tap is `Q |g|`; on squares it is `Q |g| Qᵀ`, with `Q = [1 1 2; 1 1 1; 2 1 1]`.
///
/// Both bounds hold unless something overflows. Underflow adds less than 2⁻¹⁰⁰ to a sum of fewer than 2²⁰ products.
///
/// The bounds hold for the implementation for `Flex` on `f32`. Burn's own convolutions add products tap by tap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rounding {
    terms: usize,
    spreads: bool,
}

impl Rounding {
    /// The bound for sums of `terms` products and a bias, in any order.
    pub fn of_sum(terms: usize) -> Self {
        Self {
            terms: terms + 1,
            spreads: false,
        }
    }

    /// The bound for [`conv2d`](super::conv2d) on `input`, `[batch, channels, height, width]`.
    pub fn of_conv2d(layer: &Conv2d, input: [usize; 4]) -> Self {
        let weight = layer.weight.lazy_shape().dims();
        let padding = padding2d(layer, [input[2], input[3]]);
        let options =
            ConvOptions::new_with_padding(layer.stride, padding, layer.dilation, layer.groups);
        match Geometry::new(input, weight, &options) {
            Some(geometry) if winograd::suits(&geometry) => Self {
                terms: input[1] + 8,
                spreads: true,
            },
            _ => Self::of_sum(weight[1] * weight[2] * weight[3]),
        }
    }

    /// γ for `more` additional roundings; infinite if it would not be small.
    pub fn factor(&self, more: usize) -> f64 {
        let error = (self.terms + more) as f64 * UNIT;
        match error < 0.01 {
            true => error / (1.0 - error),
            false => f64::INFINITY,
        }
    }

    /// Whether the majorant differs from the magnitudes.
    pub fn spreads(&self) -> bool {
        self.spreads
    }

    /// The majorant of `magnitudes`, rounded upwards. If it [`spreads`](Self::spreads), `magnitudes` are groups of 3 × 3 taps.
    pub fn majorant(&self, magnitudes: &[f32]) -> Vec<f32> {
        if !self.spreads {
            return magnitudes.to_vec();
        }
        let line = |[a, b, c]: [f64; 3]| {
            let sum = a + b + c;
            [sum + c, sum, sum + a]
        };
        let mut out = Vec::with_capacity(magnitudes.len());
        for taps in magnitudes.chunks_exact(9) {
            let rows: [[f64; 3]; 3] =
                std::array::from_fn(|y| line(std::array::from_fn(|x| f64::from(taps[3 * y + x]))));
            let columns: [[f64; 3]; 3] =
                std::array::from_fn(|x| line(std::array::from_fn(|y| rows[y][x])));
            out.extend((0..9).map(|tap| (columns[tap % 3][tap / 3] as f32).next_up()));
        }
        out
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::testing::numbers;
    use burn::module::Param;
    use burn::nn::PaddingConfig2d;
    use burn::nn::conv::Conv2dConfig;
    use burn::tensor::{Device, Tensor, TensorData};

    /// The convolution of one image with padding 1 in 64 bits.
    fn exact(x: &[f32], w: &[f32], [inputs, outputs, size]: [usize; 3]) -> Vec<f64> {
        let mut out = Vec::new();
        for o in 0..outputs {
            for row in 0..size {
                for column in 0..size {
                    let mut sum = 0.0;
                    for i in 0..inputs {
                        for (tap, w) in w[(o * inputs + i) * 9..][..9].iter().enumerate() {
                            let (y, x_) = (row + tap / 3, column + tap % 3);
                            if (1..=size).contains(&y) && (1..=size).contains(&x_) {
                                let at = (i * size + y - 1) * size + x_ - 1;
                                sum += f64::from(*w) * f64::from(x[at]);
                            }
                        }
                    }
                    out.push(sum);
                }
            }
        }
        out
    }

    #[test]
    fn errors_of_convolutions_stay_within_their_bounds() {
        let device = Device::flex();
        let mut widest = [0.0f64; 2];
        for (channels, filtered) in [(3, false), (16, true), (40, true)] {
            let size = 7;
            let mut layer = Conv2dConfig::new([channels, channels], [3, 3])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .with_bias(false)
                .init(&device);
            let w = numbers(channels as u32, channels * channels * 9);
            // Neighbours of opposite sign and very different size, so that the additional terms of a tile are large.
            let x: Vec<f32> = numbers(5, channels * size * size)
                .iter()
                .enumerate()
                .map(|(i, v)| if i % 3 == 0 { 1e4 * v } else { *v })
                .collect();
            layer.weight = Param::from_tensor(Tensor::from_data(
                TensorData::new(w.clone(), [channels, channels, 3, 3]),
                &device,
            ));
            let shape = [1, channels, size, size];
            let rounding = Rounding::of_conv2d(&layer, shape);
            assert_eq!(rounding.spreads(), filtered);
            let input = Tensor::from_data(TensorData::new(x.clone(), shape), &device);
            let found: Vec<f32> = super::super::conv2d(&layer, input)
                .into_data()
                .try_to_vec()
                .unwrap();
            let sizes = [channels, channels, size];
            let magnitudes: Vec<f32> = w.iter().map(|w| w.abs()).collect();
            let magnitudes = rounding.majorant(&magnitudes);
            let absolute: Vec<f32> = x.iter().map(|x| x.abs()).collect();
            let bounds = exact(&absolute, &magnitudes, sizes);
            for ((found, exact), bound) in found.iter().zip(exact(&x, &w, sizes)).zip(bounds) {
                let error = (f64::from(*found) - exact).abs();
                let bound = rounding.factor(0) * bound;
                assert!(error <= bound, "{channels}: {error} {bound}");
                let held = &mut widest[usize::from(filtered)];
                *held = held.max(error / bound);
            }
        }
        // The bound has the right size: observed errors are within three orders of magnitude of it.
        assert!(widest.iter().all(|share| *share > 1e-3), "{widest:?}");
    }

    #[test]
    fn sums_without_end_have_no_bound() {
        assert_eq!(Rounding::of_sum(1 << 20).factor(0), f64::INFINITY);
        let few = Rounding::of_sum(2).factor(0);
        assert!((few / (3.0 * UNIT) - 1.0).abs() < 1e-6);
    }
}
