//! Quantized weights with straight-through gradients.

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use crossburn_noise::{Granularity, WeightLayout, WeightShape};

use super::{Calibration, Quantization, Symmetry, straight_through};
use crate::prune::Mask;

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
/// Of one bit, a weight is its sign times the mean magnitude `s` of the weights that share a scale and were not pruned, with the sign of
/// zero positive. The gradient of a weight passes where `|w| <= s`, and is zero elsewhere.
///
/// A learned scale ([`Calibration::Learned`]) is held by the quantizer ([`Self::with_scales`]) and has a gradient, too:
///
/// ```text
/// v = w / s     effective = s q,  q = round(clamp(v, -Q, Q))     ∂q s/∂w = 1 where |v| <= Q, else 0     ∂q s/∂s = q - v where |v| <= Q, else ±Q
/// ```
///
/// with the largest level `Q`; of one bit `q` is the sign.
///
/// # Source
/// Straight-through uniform weight quantization as trained in Yan et al., ICCAD 2023 (arXiv 2307.15853); the sign takes
/// one bit, as with a differential pair. One bit: Rastegari et al., "XNOR-Net", ECCV 2016, section 3.1. Learned scales: Esser et al., "Learned step size
/// quantization", ICLR 2020, equations 1 to 3.
#[derive(Module, Debug)]
pub struct WeightQuantizer {
    #[module(skip)]
    quantization: Quantization,
    #[module(skip)]
    layout: WeightLayout,
    /// One for each grid.
    scales: Option<Param<Tensor<1>>>,
}

impl WeightQuantizer {
    /// A quantizer of the given width, or of everything that can be chosen.
    pub fn new(quantization: impl Into<Quantization>) -> Self {
        Self {
            quantization: quantization.into(),
            layout: WeightLayout::default(),
            scales: None,
        }
    }

    /// The same quantizer for a weight of another layout, which says what an output channel is.
    pub fn with_layout(self, layout: WeightLayout) -> Self {
        Self { layout, ..self }
    }

    /// The same quantizer with these distances of two levels: one, or one for each output channel, all above zero. On a device with autodiff
    /// they have a gradient.
    pub fn with_scales(self, scales: &[f32], device: &Device) -> Self {
        let data = TensorData::new(scales.to_vec(), [scales.len()]);
        let scales = Tensor::<1>::from_data(data, (device, DType::F32));
        Self {
            scales: Some(Param::from_tensor(scales).set_require_grad(device.is_autodiff())),
            ..self
        }
    }

    /// The scales that it was given, which have a gradient on a device with autodiff.
    #[cfg(test)]
    fn scales(&self) -> Option<Tensor<1>> {
        self.scales.as_ref().map(Param::val)
    }

    /// Weights on their grids, any shape; an all-zero tensor stays zero, but for one bit.
    pub fn apply<const D: usize>(&self, weight: Tensor<D>) -> Tensor<D> {
        self.apply_kept(weight, None)
    }

    /// The same of the weights that `mask` keeps; the others are zero.
    pub fn apply_kept<const D: usize>(&self, weight: Tensor<D>, mask: Option<&Mask>) -> Tensor<D> {
        let Some(mask) = mask else {
            return self.on_grids(weight, None);
        };
        let quantized = self.on_grids(mask.apply(weight), Some(mask));
        match self.quantization.bits.is_sign() {
            // The sign of zero is not zero.
            true => mask.apply(quantized),
            false => quantized,
        }
    }

    fn on_grids<const D: usize>(&self, weight: Tensor<D>, mask: Option<&Mask>) -> Tensor<D> {
        let values = weight.clone().detach();
        if let Some(scales) = &self.scales {
            return self.on_scales(weight, scales.val());
        }
        let quantized = match self.quantization {
            Quantization {
                bits,
                symmetry: Symmetry::Symmetric,
                ..
            } if bits.is_sign() => {
                let scales = self.mean_magnitudes(values, mask);
                return self.on_scales(weight, scales);
            }
            Quantization {
                bits,
                symmetry: Symmetry::Symmetric,
                granularity: Granularity::PerTensor,
                calibration: Calibration::MinMax {},
            } => on_device(f64::from(bits.max_level()), values),
            quantization => on_host(&quantization, self.layout, values, mask),
        };
        straight_through(weight, quantized)
    }

    /// The scale of every grid of one bit.
    fn mean_magnitudes<const D: usize>(&self, values: Tensor<D>, mask: Option<&Mask>) -> Tensor<1> {
        let (shape, device) = (values.dims(), values.device().without_autodiff());
        let shape = WeightShape::new(&shape, self.layout);
        let kept = mask.map(Mask::kept);
        let grids = self
            .quantization
            .grids_of_kept(&host(values), shape, kept.as_deref());
        let scales: Vec<f32> = grids.iter().map(|grid| grid.step).collect();
        let data = TensorData::new(scales, [grids.len()]);
        Tensor::from_data(data, (&device, DType::F32))
    }

    /// Weights on the grids of these scales, with the gradients of both.
    fn on_scales<const D: usize>(&self, weight: Tensor<D>, scales: Tensor<1>) -> Tensor<D> {
        let bits = self.quantization.bits;
        let scale = self
            .of_elements(scales, &weight)
            .clamp_min(least_step(weight.dtype()));
        let most = f64::from(bits.max_level());
        let level = (weight / scale.clone()).clamp(-most, most);
        let rounded = match bits.is_sign() {
            true => sign(level.clone()),
            false => level.clone().round(),
        };
        straight_through(level, rounded) * scale
    }

    /// The scale of every element of `weight`, or one for all.
    fn of_elements<const D: usize>(&self, scales: Tensor<1>, weight: &Tensor<D>) -> Tensor<D> {
        let scales = match weight.device().is_autodiff() && !scales.device().is_autodiff() {
            true => Tensor::from_inner(scales),
            false => scales,
        };
        let scales = scales.cast(weight.dtype());
        if scales.dims() == [1] {
            return scales.reshape([1; D]);
        }
        let shape = weight.dims();
        let outputs = WeightShape::new(&shape, self.layout).outputs();
        let elements: usize = shape.iter().product();
        let channels: Vec<i32> = (0..elements)
            .map(|index| outputs.of(index) as i32)
            .collect();
        let device = weight.device();
        let channels = Tensor::<1, Int>::from_ints(channels.as_slice(), &device);
        scales.select(0, channels).reshape(shape)
    }
}

/// 1 from zero on, else -1; a NaN stays one.
fn sign<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let negative = x.clone().lower_elem(0.0);
    // Times zero rather than left out, so that a NaN reaches the result.
    (x * 0.0 + 1.0).mask_fill(negative, -1.0)
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
    mask: Option<&Mask>,
) -> Tensor<D> {
    let (shape, device, dtype) = (values.dims(), values.device(), values.dtype());
    let (mut values, kept) = (host(values), mask.map(Mask::kept));
    let weight = WeightShape::new(&shape, layout);
    quantization.quantize(&mut values, weight, kept.as_deref());
    let data = TensorData::new(values, shape).convert_dtype(dtype);
    Tensor::from_data(data, (&device, dtype))
}

fn host<const D: usize>(values: Tensor<D>) -> Vec<f32> {
    values
        .into_data()
        .try_into_vec_as()
        .expect("a weight is a tensor of floats")
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
            let on_host = on_host(&Quantization::from(bits), WeightLayout::ByRank, tensor, None);
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

    fn quantizer(bits: u8, granularity: Granularity) -> WeightQuantizer {
        WeightQuantizer::new(Quantization {
            granularity,
            ..Quantization::from(WeightBits::new(bits).unwrap())
        })
    }

    /// Every width of the accelerator by hand: `Q = 127, 7, 1` and the sign, one scale for each of two columns.
    #[test]
    fn each_width_has_its_levels() {
        let weights = [[1.0f32, -0.5], [-0.3, 0.2], [0.0, 0.06]];
        // Steps 1/127, 1/7, 1 and the means 1.3/3 of the first column; 0.5/127, 0.5/7, 0.5 and 0.76/3 of the second.
        let (a, b) = (1.3f32 / 3.0, 0.76f32 / 3.0);
        let rows: [(u8, [[f32; 2]; 3]); 4] = [
            (
                8,
                [
                    [1.0, -0.5],
                    [-38.0 / 127.0, 51.0 * 0.5 / 127.0],
                    [0.0, 15.0 * 0.5 / 127.0],
                ],
            ),
            (
                4,
                [[1.0, -0.5], [-2.0 / 7.0, 3.0 * 0.5 / 7.0], [0.0, 0.5 / 7.0]],
            ),
            (2, [[1.0, -0.5], [0.0, 0.0], [0.0, 0.0]]),
            (1, [[a, -b], [-a, b], [a, b]]),
        ];
        for device in [Device::flex(), Device::flex().autodiff()] {
            for (bits, expected) in rows {
                let weight = Tensor::<2>::from_floats(weights, &device);
                let found = values(quantizer(bits, Granularity::PerChannel).apply(weight));
                for (found, expected) in found.iter().zip(expected.concat()) {
                    assert!(
                        (found - expected).abs() < 1e-6,
                        "{bits}: {found} {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_pruned_sign_is_zero_and_counts_for_no_mean() {
        let device = Device::flex().autodiff();
        let weight = Tensor::<2>::from_floats([[0.5, -1.0], [-0.25, 3.0]], &device).require_grad();
        let mask = Mask::new(&[true, true, false, true], &device);
        let quantized =
            quantizer(1, Granularity::PerChannel).apply_kept(weight.clone(), Some(&mask));
        assert_eq!(values(quantized.clone().inner()), [0.5, -2.0, 0.0, 2.0]);
        let gradients = quantized.sum().backward();
        // |w| <= s for 0.5 of 0.5 and 1 of 2; the third is pruned, the fourth beyond its scale.
        assert_eq!(
            values(weight.grad(&gradients).unwrap()),
            [1.0, 1.0, 0.0, 0.0]
        );
        let four = quantizer(4, Granularity::PerTensor).apply_kept(weight.clone(), Some(&mask));
        let gradients = four.clone().sum().backward();
        assert_eq!(
            values(weight.grad(&gradients).unwrap()),
            [1.0, 1.0, 0.0, 1.0]
        );
        let step = 3.0 / 7.0;
        assert_eq!(values(four.inner()), [step, -2.0 * step, 0.0, 3.0]);
    }

    /// The gradient by a learned scale is that of a function which is continuous where no weight changes its level: there
    /// finite differences of `q s` with `q` held, plus the straight-through part `-v`, which is the derivative of
    /// `clamp(w / s) s` with the sign turned. Both parts are taken by finite differences.
    #[test]
    fn learned_scales_have_the_gradient_of_their_definition() {
        let device = Device::flex().autodiff();
        let weights = [[0.61f32, -0.9], [-0.24, 0.31], [2.2, -3.0]];
        let factors = [[1.0f32, -2.0], [0.5, 3.0], [1.5, 0.7]];
        for (bits, scales) in [(4, [0.1f32, 0.13]), (2, [0.7, 0.5]), (1, [0.5, 0.6])] {
            let weight = Tensor::<2>::from_floats(weights, &device).require_grad();
            let quantizer = quantizer(bits, Granularity::PerChannel).with_scales(&scales, &device);
            let quantized = quantizer.apply(weight.clone());
            let (most, factor) = (
                f64::from(WeightBits::new(bits).unwrap().max_level()),
                Tensor::<2>::from_floats(factors, &device),
            );
            let gradients = (quantized.clone() * factor).sum().backward();
            let by_scale = values(quantizer.scales().unwrap().grad(&gradients).unwrap());
            let by_weight = values(weight.grad(&gradients).unwrap());
            let found = values(quantized.inner());
            for channel in 0..2 {
                let s = f64::from(scales[channel]);
                let mut expected = 0.0;
                for row in 0..3 {
                    let w = f64::from(weights[row][channel]);
                    let v = (w / s).clamp(-most, most);
                    let level = if bits == 1 {
                        if w < 0.0 { -1.0 } else { 1.0 }
                    } else {
                        v.round()
                    };
                    assert!((f64::from(found[2 * row + channel]) - level * s).abs() < 1e-6);
                    let held = |s: f64| level * s;
                    let clipped = |s: f64| (w / s).clamp(-most, most) * s;
                    // The estimator adds the clipped level to the held one less its own value: held(s) + s clamp(w / s) - v s.
                    let of = |x: f64| held(x) + clipped(x) - v * x;
                    let step = 1e-5;
                    expected += f64::from(factors[row][channel]) * (of(s + step) - of(s - step))
                        / (2.0 * step);
                    let passes = (w / s).abs() <= most;
                    let straight = if passes { factors[row][channel] } else { 0.0 };
                    assert!((by_weight[2 * row + channel] - straight).abs() < 1e-6);
                }
                assert!(
                    (f64::from(by_scale[channel]) - expected).abs() < 1e-4,
                    "{bits}: {} {expected}",
                    by_scale[channel]
                );
            }
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
