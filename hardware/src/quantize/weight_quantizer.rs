//! Quantized weights with straight-through gradients.

use burn::module::Module;
use burn::tensor::{DType, Tensor, TensorData};
use crossburn_noise::{Granularity, WeightLayout, WeightShape};

use super::{Calibration, Quantization, Symmetry, straight_through};

/// Puts weights on the grids of a [`Quantization`] at every use; the gradient passes straight through.
///
/// With the defaults (symmetric, per tensor, whole range)
///
/// ```text
/// step = max|w| / (2^(bits-1) - 1)          effective = round(w / step) * step
/// ```
///
/// zero is a level and the largest magnitude is kept to one unit in its last place: `step` and the product with the level
/// round. So `max|w|`, the reference of every variation, moves by `2⁻²³ max|w|` at most. That case is a few operations on the weight's own device; every other one chooses its grids on the host.
///
/// # Source
/// Straight-through uniform weight quantization as trained in Yan et al., ICCAD 2023 (arXiv 2307.15853); the sign takes
/// one bit, as with a differential pair.
#[derive(Module, Debug)]
pub struct WeightQuantizer {
    #[module(skip)]
    quantization: Quantization,
    #[module(skip)]
    layout: WeightLayout,
}

impl WeightQuantizer {
    /// A quantizer of the given width, or of everything that can be chosen.
    pub fn new(quantization: impl Into<Quantization>) -> Self {
        Self {
            quantization: quantization.into(),
            layout: WeightLayout::default(),
        }
    }

    /// The same quantizer for a weight of another layout, which says what an output channel is.
    pub fn with_layout(self, layout: WeightLayout) -> Self {
        Self { layout, ..self }
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
            quantization => on_host(&quantization, self.layout, values),
        };
        straight_through(weight, quantized)
    }
}

fn on_device<const D: usize>(max_level: f64, values: Tensor<D>) -> Tensor<D> {
    let least = least_step(values.dtype());
    let largest = values.clone().abs().max();
    let step = (largest / max_level).clamp_min(least).reshape([1; D]);
    (values / step.clone()).round() * step
}

/// Keeps zeros, and weights of which a step is none of the numbers of their type, away from 0 / 0.
fn least_step(dtype: DType) -> f64 {
    match dtype {
        // Its smallest number: normal ones start at 6e-5, which whole layers lie below.
        DType::F16 => 2f64.powi(-24),
        _ => f64::from(f32::MIN_POSITIVE),
    }
}

fn on_host<const D: usize>(
    quantization: &Quantization,
    layout: WeightLayout,
    values: Tensor<D>,
) -> Tensor<D> {
    let (shape, device, dtype) = (values.dims(), values.device(), values.dtype());
    let mut values: Vec<f32> = values
        .into_data()
        .try_into_vec_as()
        .expect("a weight is a tensor of floats");
    quantization.quantize(&mut values, WeightShape::new(&shape, layout));
    let data = TensorData::new(values, shape).convert_dtype(dtype);
    Tensor::from_data(data, (&device, dtype))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::quantize::WeightBits;
    use burn::tensor::{Device, FloatDType};
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
            let on_host = on_host(&Quantization::from(bits), WeightLayout::ByRank, tensor);
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

    proptest! {
        /// The rounded step makes `levels step` wrong by less than a unit of the last place, and rounding a number that is
        /// less than a unit away gives a neighbour at most.
        #[test]
        fn the_largest_magnitude_is_kept_to_its_last_place(
            largest in 1e-30f32..1e30, bits in 2u8..=16, negative: bool,
        ) {
            let bits = WeightBits::new(bits).unwrap();
            let signed = if negative { -largest } else { largest };
            let tensor = Tensor::<1>::from_floats([0.25 * largest, signed, 0.0], &Device::flex());
            let kept = values(WeightQuantizer::new(bits).apply(tensor))[1];
            let places = (kept.abs().to_bits() as i64 - largest.to_bits() as i64).abs();
            prop_assert!(kept.is_sign_negative() == negative && places <= 1, "{largest} {kept}");
            let grid = crate::quantize::Grid::symmetric(bits, largest);
            prop_assert_eq!(grid.quantize(signed), kept);
        }
    }

    #[test]
    fn some_maxima_move_by_their_last_place() {
        let seven = WeightBits::new(4).unwrap();
        let kept = |largest: f32| {
            let tensor = Tensor::<1>::from_floats([largest], &Device::flex());
            values(WeightQuantizer::new(seven).apply(tensor))[0]
        };
        // Two maxima whose seventh part rounds so that seven of it miss them, worked out in exact arithmetic.
        for largest in [1.969_357_4, 1.929_154_8] {
            assert_ne!(kept(largest), largest);
        }
    }

    #[test]
    fn zeros_and_what_no_step_divides_stay_numbers() {
        let device = Device::flex();
        let bits = WeightBits::new(4).unwrap();
        let per_channel = Quantization {
            granularity: Granularity::PerChannel,
            ..Quantization::from(bits)
        };
        for quantization in [Quantization::from(bits), per_channel] {
            let quantizer = WeightQuantizer::new(quantization);
            for dtype in [FloatDType::F32, FloatDType::F16, FloatDType::BF16] {
                let tiny = Tensor::<2>::from_floats([[0.0, 1e-44], [0.0, 6e-8]], &device);
                for weight in [Tensor::<2>::zeros([2, 2], &device), tiny] {
                    let weight = weight.cast(dtype);
                    let found = quantizer.apply(weight.clone());
                    assert_eq!(found.dtype(), weight.dtype());
                    let found = found.into_data().convert::<f32>();
                    let found: Vec<f32> = found.try_to_vec().unwrap();
                    assert!(
                        found.iter().all(|w| w.is_finite() && w.abs() < 1e-7),
                        "{found:?}"
                    );
                    assert_eq!((found[0], found[2]), (0.0, 0.0));
                }
            }
        }
    }
}
