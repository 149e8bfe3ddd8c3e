//! Rectification and uniform quantization of activations over a tracked range.

use burn::module::{Flag, Module, Param, RunningState};
use burn::tensor::{Device, Tensor};
use crossburn_kernels::quantize_clipped;

use super::WeightBits;

/// Rectifies activations and quantizes them to `2^bits - 1` steps of a range that training follows by a moving average.
///
/// ```text
/// training:   range <- MOMENTUM * range + (1 - MOMENTUM) * max(x, 0)      (it starts at 1, and stays at 1e-30 or above)
/// always:     y = round(min(max(x, 0), range) / step) * step,  step = range / (2^bits - 1)
/// ```
///
/// The gradient is that of the clipping: one inside the range, zero outside it. A range of zero gives zeros. Evaluation never moves the range, so a
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
    steps: u32,
}

impl ActivationQuantizer {
    /// Where the range of a layer that is dead stops: steps of this range are normal numbers at every width, and one that comes to
    /// life again is at its own range within as many batches as any other.
    pub const LEAST_RANGE: f64 = 1e-30;
    /// The part of its range that the moving average keeps in a step.
    pub const MOMENTUM: f64 = 0.9;

    /// A quantizer with range 1, which training moves.
    pub fn new(bits: WeightBits, device: &Device) -> Self {
        Self {
            range: RunningState::new(Tensor::ones([1], device)),
            training: Param::from_bool(true),
            steps: (1 << bits.get()) - 1,
        }
    }

    /// Rectified and quantized activations.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let range = match x.device().is_autodiff() && self.training.is_enabled() {
            true => self.follow(x.clone().detach().max().clamp_min(0.0)),
            false => self.range.value(),
        };
        quantize_clipped(x, range, self.steps)
    }

    /// Moves the range towards `largest` and returns it.
    fn follow(&self, largest: Tensor<1>) -> Tensor<1> {
        let range = self.range.value_sync() * Self::MOMENTUM + largest * (1.0 - Self::MOMENTUM);
        // A NaN stays one, here and in the loss.
        let range = range.detach().clamp_min(Self::LEAST_RANGE);
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

    /// 3,000 steps shrink a range by 0.9 each: far below the smallest 32-bit number, which 960 reach.
    #[test]
    fn a_layer_that_is_dead_stays_a_number_and_may_live_again() {
        let device = Device::flex().autodiff();
        let quantizer = four_bits(&device);
        let dead = Tensor::<1>::from_floats([0.0, -1.0], &device).require_grad();
        let mut last = quantizer.forward(dead.clone());
        for _ in 0..3000 {
            last = quantizer.forward(dead.clone());
        }
        let gradients = last.clone().sum().backward();
        let floats = |tensor: Tensor<1>| tensor.into_data().try_to_vec::<f32>().unwrap();
        assert_eq!(floats(last.inner()), [0.0, 0.0]);
        assert_eq!(floats(dead.grad(&gradients).unwrap()), [0.0, 0.0]);
        assert!(range(&quantizer) > 0.0);
        let alive = Tensor::<1>::from_floats([2.0], &device);
        for _ in 0..60 {
            quantizer.forward(alive.clone());
        }
        assert!((range(&quantizer) - 2.0).abs() < 0.01);
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
            vec![1.0, 1.0, 0.0, 0.0]
        );
    }
}
