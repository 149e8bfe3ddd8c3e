//! Dropout whose draws are those of a training step.

use std::cell::Cell;

use burn::nn::Dropout;
use burn::tensor::{Tensor, TensorData};
use crossburn_noise::Philox;

/// Draws of the training step that this thread is at.
#[derive(Clone, Copy)]
struct Draws {
    generator: Philox,
    /// The first block that no dropout of the step has drawn.
    block: u64,
}

thread_local! {
    static DRAWS: Cell<Option<Draws>> = const { Cell::new(None) };
}

/// Does `work`, in which every dropout on this thread draws from `generator`, one after the other: trainings that run at the same time
/// do not draw from each other, and a step that is done again drops the same.
///
/// Burn's own draws come from one generator of the process. Outside of such work [`dropout`] drops nothing.
pub fn with_dropout_draws<T>(generator: Philox, work: impl FnOnce() -> T) -> T {
    let before = DRAWS.replace(Some(Draws {
        generator,
        block: 0,
    }));
    let done = work();
    DRAWS.set(before);
    done
}

/// `x` as `layer` leaves it: in training each value is 0 with the layer's probability, and those that remain are scaled up, so that their mean
/// is kept; otherwise as it is. It draws from the generator of [`with_dropout_draws`], which `crossburn_training::train` gives to every step, and drops
/// nothing where there is none.
///
/// # Source
/// Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 2014, in the inverted form that is usual.
pub fn dropout<const D: usize>(layer: &Dropout, x: Tensor<D>) -> Tensor<D> {
    if !layer.training.is_enabled() || !x.device().is_autodiff() || layer.prob == 0.0 {
        return x;
    }
    let Some(Draws { generator, block }) = DRAWS.get() else {
        return x;
    };
    let shape = x.dims();
    let mut values = vec![0.0f64; shape.iter().product()];
    generator.fill_uniform_from(block, &mut values);
    // A block has four words.
    let drawn = values.len().div_ceil(4) as u64;
    DRAWS.set(Some(Draws {
        generator,
        block: block + drawn,
    }));
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
    use burn::nn::DropoutConfig;
    use burn::tensor::Device;

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
            with_dropout_draws(Philox::new(5, stream), draw)
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
        let in_use = with_dropout_draws(draws, || dropped(&layer, &Device::flex()));
        assert_eq!(in_use, [1.0; 1000]);
    }
}
