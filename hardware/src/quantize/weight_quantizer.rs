//! Quantized weights with straight-through gradients.

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};

use super::{Calibration, Granularity, Quantization, Symmetry, straight_through};

/// Puts weights on the grids of a [`Quantization`] at every use; the gradient passes straight through.
///
/// With the defaults (symmetric, per tensor, whole range)
///
/// ```text
/// step = max|w| / (2^(bits-1) - 1)          effective = round(w / step) * step
/// ```
///
/// zero is a level and the largest magnitude is kept exactly, so `max|w|`, the reference of every variation, does not
/// change. That case is a few operations on the weight's own device; every other one chooses its grids on the host.
///
/// # Source
/// Straight-through uniform weight quantization as trained in Yan et al., ICCAD 2023 (arXiv 2307.15853); the sign takes
/// one bit, as with a differential pair.
#[derive(Module, Debug)]
pub struct WeightQuantizer {
    #[module(skip)]
    quantization: Quantization,
}

impl WeightQuantizer {
    /// A quantizer of the given width, or of everything that can be chosen.
    pub fn new(quantization: impl Into<Quantization>) -> Self {
        Self {
            quantization: quantization.into(),
        }
    }

    /// Weights on their grids, any shape; an all-zero tensor stays zero.
    pub fn apply<const D: usize>(&self, weight: Tensor<D>) -> Tensor<D> {
        let values = weight.clone().detach();
        let quantized = match self.quantization {
            Quantization {
                bits,
                symmetry: Symmetry::Symmetric,
                granularity: Granularity::PerTensor,
                calibration: Calibration::MinMax {},
            } => on_device(f64::from(bits.max_level()), values),
            quantization => on_host(&quantization, values),
        };
        straight_through(weight, quantized)
    }
}

fn on_device<const D: usize>(max_level: f64, values: Tensor<D>) -> Tensor<D> {
    // The smallest normal number keeps an all-zero tensor away from 0 / 0.
    let largest = values
        .clone()
        .abs()
        .max()
        .clamp_min(f64::from(f32::MIN_POSITIVE) * max_level);
    let step = (largest / max_level).reshape([1; D]);
    (values / step.clone()).round() * step
}

fn on_host<const D: usize>(quantization: &Quantization, values: Tensor<D>) -> Tensor<D> {
    let (shape, device) = (values.dims(), values.device());
    let mut values: Vec<f32> = values
        .into_data()
        .try_into_vec_as()
        .expect("a weight is a tensor of floats");
    quantization.quantize(&mut values, &shape);
    Tensor::from_data(TensorData::new(values, shape), &device)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::quantize::WeightBits;
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
            let quantized = values(WeightQuantizer::new(bits).apply(tensor.clone()));
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
            // The few operations on the device are the definition on the host.
            let on_host = on_host(&Quantization::from(bits), tensor);
            prop_assert_eq!(quantized, values(on_host));
        }
    }

    #[test]
    fn the_gradient_passes_straight_through_on_either_path() {
        let device = Device::flex().autodiff();
        let factor = Tensor::<2>::from_floats([[1.0, 2.0], [3.0, 4.0]], &device);
        let bits = WeightBits::new(3).unwrap();
        let per_channel = Quantization {
            granularity: Granularity::PerChannel,
            ..Quantization::from(bits)
        };
        for (quantization, expected) in [
            (Quantization::from(bits), [1.0 / 3.0, -1.0, 0.0, 2.0 / 3.0]),
            (per_channel, [0.3, -1.0, 0.1, 2.0 / 3.0]),
        ] {
            let weight =
                Tensor::<2>::from_floats([[0.3, -1.0], [0.08, 0.7]], &device).require_grad();
            let quantized = WeightQuantizer::new(quantization).apply(weight.clone());
            for (found, expected) in values(quantized.clone().inner()).iter().zip(expected) {
                assert!(
                    (found - expected).abs() <= f32::EPSILON,
                    "{found} {expected}"
                );
            }
            let gradients = (quantized * factor.clone()).sum().backward();
            let found = values(weight.grad(&gradients).unwrap());
            assert_eq!(found, values(factor.clone().inner()));
        }
    }

    #[test]
    fn zeros_stay_zero() {
        let zeros = Tensor::<2>::zeros([2, 3], &Device::flex());
        let quantizer = WeightQuantizer::new(WeightBits::new(4).unwrap());
        assert_eq!(values(quantizer.apply(zeros)), vec![0.0; 6]);
    }
}
