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
/// The gradient is that of the clipping: one inside the range, zero outside it. A range of zero gives zeros. Evaluation
/// never moves the range, so a chip is judged with the ADC range that training ended with.
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
    power_of_two: bool,
}

impl ActivationQuantizer {
    /// The smallest range, at which that of a dead layer stops. Its steps are normal numbers at every width, and a layer
    /// that becomes active again reaches its own range as fast as any other.
    pub const LEAST_RANGE: f64 = 1e-30;
    /// The part of its range that the moving average keeps in a step.
    pub const MOMENTUM: f64 = 0.9;

    /// A quantizer with range 1, which training moves.
    pub fn new(bits: WeightBits, device: &Device) -> Self {
        Self {
            range: RunningState::new(Tensor::ones([1], device)),
            training: Param::from_bool(true),
            steps: (1 << bits.get()) - 1,
            power_of_two: false,
        }
    }

    /// The same quantizer with the least power of two as its step whose levels reach to the range: rescaling by it is a shift, and nothing
    /// is clipped that the range holds.
    #[must_use]
    pub fn with_power_of_two_scale(self) -> Self {
        Self {
            power_of_two: true,
            ..self
        }
    }

    /// The highest level: levels are `0..=steps`.
    pub fn steps(&self) -> u32 {
        self.steps
    }

    /// The distance of two levels, as evaluation computes with it.
    pub fn step(&self) -> f32 {
        let range: f32 = self.range.value_sync().into_scalar();
        match self.power_of_two {
            true => power_of_two(range / self.steps as f32),
            false => range / self.steps as f32,
        }
    }

    /// Rectified and quantized activations.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let range = match x.device().is_autodiff() && self.training.is_enabled() {
            true => self.follow(x.clone().detach().max().clamp_min(0.0)),
            false => self.range.value(),
        };
        let range = match self.power_of_two {
            true => {
                let step = power_of_two(range.clone().into_scalar::<f32>() / self.steps as f32);
                range.full_like(step * self.steps as f32)
            }
            false => range,
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

/// The least power of two that is not below `step`, which is above zero; what is no number stays so.
fn power_of_two(step: f32) -> f32 {
    // In `f64` the logarithms of neighbouring `f32` values differ.
    f64::from(step).log2().ceil().exp2() as f32
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
    fn steps_are_powers_of_two_where_asked() {
        for (step, power) in [
            (1.0, 1.0),
            (0.75, 1.0),
            (0.5, 0.5),
            (0.51, 1.0),
            (3.0, 4.0),
            (1e-30, 2f32.powi(-99)),
        ] {
            assert_eq!(power_of_two(step), power);
        }
        for exponent in -120..120 {
            let exact = 2f32.powi(exponent);
            assert_eq!(power_of_two(exact), exact);
            let next = f32::from_bits(exact.to_bits() + 1);
            assert_eq!(power_of_two(next), 2.0 * exact);
        }
        let device = Device::flex();
        let quantizer = four_bits(&device).with_power_of_two_scale();
        quantizer.range.update(Tensor::from_floats([9.0], &device));
        quantizer.range.value_sync();
        // 9 / 15 is 0.6, so that levels are whole numbers up to 15.
        assert_eq!((quantizer.step(), quantizer.steps()), (1.0, 15));
        let x = Tensor::<1>::from_floats([0.4, 9.0, 14.6, 20.0, -1.0], &device);
        let y: Vec<f32> = quantizer.forward(x).into_data().try_to_vec().unwrap();
        assert_eq!(y, [0.0, 9.0, 15.0, 15.0, 0.0]);
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
