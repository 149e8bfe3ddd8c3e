//! Uniform quantization of non-negative activations over a tracked range.

use burn::module::{Flag, Module, Param, RunningState};
use burn::tensor::{Device, Tensor};

use crate::{WeightBits, straight_through};

/// Quantizes non-negative activations to `2^bits - 1` steps of a range that training follows by a moving average.
///
/// ```text
/// training:   range <- momentum * range + (1 - momentum) * max(x)      (it starts at 1)
/// always:     y = round(min(x, range) / step) * step,  step = range / (2^bits - 1)
/// ```
///
/// The gradient is that of the minimum: one inside the range, zero above it. Evaluation never moves the range, so a
/// chip is judged with the ADC range that training left behind.
///
/// # Shapes
/// Any shape, kept.
///
/// # Source
/// Moving average with momentum 0.9 as in the authors' code of Yan et al. (arXiv 2312.06137).
#[derive(Module, Debug)]
pub struct ActivationQuantizer {
    range: RunningState<Tensor<1>>,
    training: Param<Flag>,
    steps: f64,
    momentum: f64,
}

impl ActivationQuantizer {
    /// A quantizer with range 1, which training moves.
    pub fn new(bits: WeightBits, device: &Device) -> Self {
        Self {
            range: RunningState::new(Tensor::ones([1], device)),
            training: Param::from_bool(true),
            steps: f64::from((1u32 << bits.get()) - 1),
            momentum: 0.9,
        }
    }

    /// Quantized activations; `x` must not be negative (behind a ReLU).
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let range = match x.device().is_autodiff() && self.training.is_enabled() {
            true => self.follow(x.clone().detach().max()),
            false => self.range.value(),
        };
        let range = range.reshape([1; D]);
        let above = x.clone().greater(range.clone().expand(x.dims()));
        let clamped = x.clone().mask_where(above, range.clone().expand(x.dims()));
        let step = range / self.steps;
        let quantized = (clamped.clone().detach() / step.clone()).round() * step;
        straight_through(clamped, quantized)
    }

    /// Moves the range towards `largest` and returns it.
    fn follow(&self, largest: Tensor<1>) -> Tensor<1> {
        let range = self.range.value_sync() * self.momentum + largest * (1.0 - self.momentum);
        let range = range.detach();
        self.range.update(range.clone());
        range
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn four_bits(device: &Device) -> ActivationQuantizer {
        ActivationQuantizer::new(WeightBits::new(4).unwrap(), device)
    }

    fn range(quantizer: &ActivationQuantizer) -> f32 {
        quantizer.range.value_sync().into_scalar::<f32>()
    }

    #[test]
    fn the_range_follows_training_and_rests_in_evaluation() {
        let device = Device::flex().autodiff();
        let quantizer = four_bits(&device);
        quantizer.forward(Tensor::<2>::from_floats([[1.0, 2.0]], &device));
        assert!((range(&quantizer) - 1.1).abs() < 1e-6);
        quantizer.forward(Tensor::<2>::from_floats([[4.1, 0.0]], &device));
        assert!((range(&quantizer) - 1.4).abs() < 1e-6);
        let frozen = quantizer.valid();
        frozen.forward(Tensor::<2>::from_floats([[9.0, 0.0]], &Device::flex()));
        assert!((range(&frozen) - 1.4).abs() < 1e-6);
    }

    #[test]
    fn values_fall_on_the_grid_and_gradients_stop_above_the_range() {
        let device = Device::flex().autodiff();
        let quantizer = four_bits(&device);
        quantizer.range.update(Tensor::from_floats([15.0], &device));
        quantizer.range.value_sync();
        let frozen = quantizer.freeze();
        let x = Tensor::<1>::from_floats([0.4, 7.6, 20.0, 0.0], &device).require_grad();
        let y = frozen.forward(x.clone());
        assert_eq!(
            y.clone().inner().into_data().try_to_vec::<f32>().unwrap(),
            vec![0.0, 8.0, 15.0, 0.0]
        );
        let gradients = y.sum().backward();
        assert_eq!(
            x.grad(&gradients)
                .unwrap()
                .into_data()
                .try_to_vec::<f32>()
                .unwrap(),
            vec![1.0, 1.0, 0.0, 1.0]
        );
    }
}
