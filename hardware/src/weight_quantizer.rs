//! Symmetric uniform quantization of weights.

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::{HardwareError, straight_through};

/// The width of a quantized weight, sign included: 2 to 16 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct WeightBits(u8);

impl WeightBits {
    /// A checked width.
    ///
    /// # Errors
    /// [`HardwareError::Bits`] outside 2..=16.
    pub fn new(bits: u8) -> Result<Self, HardwareError> {
        if (2..=16).contains(&bits) {
            Ok(Self(bits))
        } else {
            Err(HardwareError::Bits { bits })
        }
    }

    /// The width in bits.
    pub fn get(self) -> u8 {
        self.0
    }

    /// The largest level: levels are the integers `-max_level..=max_level`.
    pub fn max_level(self) -> f32 {
        ((1u32 << (self.0 - 1)) - 1) as f32
    }
}

impl TryFrom<u8> for WeightBits {
    type Error = HardwareError;

    fn try_from(bits: u8) -> Result<Self, HardwareError> {
        Self::new(bits)
    }
}

impl From<WeightBits> for u8 {
    fn from(bits: WeightBits) -> u8 {
        bits.0
    }
}

/// Symmetric, per-tensor, straight-through quantization.
///
/// ```text
/// step = max|w| / (2^(bits-1) - 1)          effective = round(w / step) * step
/// ```
///
/// Zero is a level, the largest magnitude is kept exactly, so `max|w|`, the reference of every variation, does not
/// change. Rounding is to the nearest level.
///
/// # Source
/// Straight-through uniform weight quantization as trained in Yan et al., ICCAD 2023 (arXiv 2307.15853); the sign takes
/// one bit, as with a differential pair.
#[derive(Module, Debug)]
pub struct WeightQuantizer {
    max_level: f64,
}

impl WeightQuantizer {
    /// A quantizer of the given width.
    pub fn new(bits: WeightBits) -> Self {
        Self {
            max_level: f64::from(bits.max_level()),
        }
    }

    /// Weights on the grid, any shape; an all-zero tensor stays zero.
    pub fn apply<const D: usize>(&self, weight: Tensor<D>) -> Tensor<D> {
        let values = weight.clone().detach();
        // The smallest normal number keeps an all-zero tensor away from 0 / 0.
        let largest = values
            .clone()
            .abs()
            .max()
            .clamp_min(f64::from(f32::MIN_POSITIVE) * self.max_level);
        let step = (largest / self.max_level).reshape([1; D]);
        let quantized = (values / step.clone()).round() * step;
        straight_through(weight, quantized)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use proptest::prelude::*;

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    proptest! {
        #[test]
        fn every_value_is_within_half_a_step_and_on_the_grid(
            weights in prop::collection::vec(-3.0f32..3.0, 1..60), bits in 2u8..=8,
        ) {
            let bits = WeightBits::new(bits).unwrap();
            let tensor = Tensor::<1>::from_floats(weights.as_slice(), &Device::flex());
            let quantized = values(WeightQuantizer::new(bits).apply(tensor));
            let largest = weights.iter().fold(0.0f32, |a, w| a.max(w.abs()));
            let step = largest / bits.max_level();
            for (w, q) in weights.iter().zip(&quantized) {
                // Half a step, plus the rounding of w / step and of the product (two operations of f32).
                prop_assert!((w - q).abs() <= 0.5 * step + 4.0 * f32::EPSILON * largest);
                let level = if step > 0.0 { q / step } else { 0.0 };
                prop_assert!((level - level.round()).abs() < 1e-3);
            }
            let kept = quantized.iter().fold(0.0f32, |a, w| a.max(w.abs()));
            prop_assert!((kept - largest).abs() <= 2.0 * f32::EPSILON * largest);
        }
    }

    #[test]
    fn the_gradient_passes_straight_through() {
        let device = Device::flex().autodiff();
        let weight = Tensor::<2>::from_floats([[0.3, -1.0], [0.05, 0.7]], &device).require_grad();
        let factor = Tensor::<2>::from_floats([[1.0, 2.0], [3.0, 4.0]], &device);
        let quantized = WeightQuantizer::new(WeightBits::new(3).unwrap()).apply(weight.clone());
        assert_eq!(
            values(quantized.clone().inner()),
            vec![1.0 / 3.0, -1.0, 0.0, 2.0 / 3.0]
        );
        let gradients = (quantized * factor.clone()).sum().backward();
        assert_eq!(
            values(weight.grad(&gradients).unwrap()),
            values(factor.inner())
        );
    }

    #[test]
    fn zeros_stay_zero_and_bad_widths_are_refused() {
        let zeros = Tensor::<2>::zeros([2, 3], &Device::flex());
        assert_eq!(
            values(WeightQuantizer::new(WeightBits::new(4).unwrap()).apply(zeros)),
            vec![0.0; 6]
        );
        for bits in [0, 1, 17, 255] {
            assert_eq!(WeightBits::new(bits), Err(HardwareError::Bits { bits }));
        }
    }
}
