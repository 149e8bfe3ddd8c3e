//! Dropout whose draws are those of a training step.

use burn::nn::Dropout;
use burn::tensor::{Tensor, TensorData};

use crate::step_draws::uniforms;

/// `x` as `layer` leaves it: in training each value is 0 with the layer's probability, and those that remain are scaled up, so that their mean
/// is kept; otherwise as it is. It draws from the generator of [`with_step_draws`](crate::with_step_draws), which `crossburn_training::train` gives to every step, and drops
/// nothing where there is none.
///
/// # Source
/// Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 2014, in the inverted form that is usual.
pub fn dropout<const D: usize>(layer: &Dropout, x: Tensor<D>) -> Tensor<D> {
    if !layer.training.is_enabled() || !x.device().is_autodiff() || layer.prob == 0.0 {
        return x;
    }
    let shape = x.dims();
    let Some(values) = uniforms(shape.iter().product()) else {
        return x;
    };
    let scale = (1.0 / (1.0 - layer.prob)) as f32;
    let factors = values.into_iter().map(|draw| match draw < layer.prob {
        true => 0.0,
        false => scale,
    });
    let factors = TensorData::new(factors.collect::<Vec<f32>>(), shape);
    let device = x.device();
    x * Tensor::from_data(factors, &device)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::with_step_draws;
    use burn::nn::DropoutConfig;
    use burn::tensor::Device;
    use crossburn_noise::Philox;

    fn dropped(layer: &Dropout, device: &Device) -> Vec<f32> {
        let ones = Tensor::<2>::ones([40, 25], device);
        dropout(layer, ones).into_data().try_into_vec().unwrap()
    }

    #[test]
    fn a_step_drops_the_same_on_any_thread_and_goes_on_drawing() {
        let layer = DropoutConfig::new(0.25).init();
        let device = Device::flex().autodiff();
        let both = |stream| {
            let draw = || (dropped(&layer, &device), dropped(&layer, &device));
            with_step_draws(Philox::new(5, stream), draw)
        };
        let (first, second) = both(1);
        assert_ne!(first, second);
        assert_ne!(both(2).0, first);
        std::thread::scope(|scope| {
            let others: Vec<_> = (0..3).map(|_| scope.spawn(|| both(1))).collect();
            for other in others {
                assert_eq!(other.join().unwrap(), (first.clone(), second.clone()));
            }
        });
        // Of 1,000 values 250 in the mean, with a standard deviation of 13.7; the others are 4 / 3.
        let zeros = first.iter().filter(|value| **value == 0.0).count();
        assert!((200..300).contains(&zeros), "{zeros}");
        assert!(first.iter().all(|x| *x == 0.0 || *x == 4.0 / 3.0));
    }

    #[test]
    fn nothing_is_dropped_in_use_and_outside_of_a_step() {
        let layer = DropoutConfig::new(0.25).init();
        assert_eq!(dropped(&layer, &Device::flex().autodiff()), [1.0; 1000]);
        let draws = Philox::new(1, 1);
        let in_use = with_step_draws(draws, || dropped(&layer, &Device::flex()));
        assert_eq!(in_use, [1.0; 1000]);
    }
}
