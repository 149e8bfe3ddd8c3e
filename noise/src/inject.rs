//! Variation of any Burn module.

use std::collections::BTreeSet;

use burn::module::{Module, Param, Reparameterizer};
use burn::tensor::Tensor;

use crate::{ChipSeed, Deviation, Distribution, Variation, matrix_weights};

/// `module` whose matrix weights carry the deviation of one chip, for a training step.
///
/// The deviation is held, so every use of a weight sees the same chip. Gradients reach the clean weights: collect them
/// for the clean module, which keeps its parameter ids.
///
/// ```
/// use burn::nn::LinearConfig;
/// use burn::optim::GradientsParams;
/// use burn::tensor::{Device, Tensor};
/// use crossburn_noise::{ChipSeed, Distribution, Variation, inject};
///
/// let device = Device::flex().autodiff();
/// let clean = LinearConfig::new(4, 2).init(&device);
/// let varied = inject(clean.clone(), &Variation::from(Distribution::gaussian(0.1)), ChipSeed::new(1, 0));
/// let loss = varied.forward(Tensor::<2>::ones([3, 4], &device)).sum();
/// let gradients = GradientsParams::from_grads(loss.backward(), &clean);
/// assert_eq!(gradients.len(), 2);
/// ```
pub fn inject<M: Module>(module: M, variation: &Variation, chip: ChipSeed) -> M {
    if variation.distribution == Distribution::None {
        return module;
    }
    let selected = matrix_weights(&module);
    module.apply_reparameterization(Inject {
        selected,
        variation,
        chip,
    })
}

struct Inject<'a> {
    selected: BTreeSet<String>,
    variation: &'a Variation,
    chip: ChipSeed,
}

impl Reparameterizer for Inject<'_> {
    type Reparam = Deviation;

    fn reparameterize<const D: usize>(
        &mut self,
        path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<Deviation>) {
        if !self.selected.contains(path) {
            return (param, None);
        }
        let stored = param.base().detach();
        let device = stored.device();
        let deviation = Deviation::draw(stored, self.variation, self.chip, path, &device);
        (param, Some(deviation))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::Device;

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    #[test]
    fn a_deviation_is_held_and_a_chip_is_its_sum_with_the_weight() {
        let device = Device::flex();
        let clean: Linear = LinearConfig::new(6, 5).init(&device);
        let variation = Variation::from(Distribution::right_censored(0.2, 1.0));
        let chip = ChipSeed::new(4, 2);
        let varied = inject(clean.clone(), &variation, chip);
        let x = Tensor::<2>::ones([2, 6], &device);
        assert_eq!(values(varied.forward(x.clone())), values(varied.forward(x)));
        let weights = values(clean.weight.val());
        let expected: Vec<f32> = weights
            .iter()
            .zip(variation.draw(chip, "weight", &weights, &[6, 5]))
            .map(|(w, d)| w + d)
            .collect();
        assert_eq!(values(varied.materialize().weight.val()), expected);
    }

    #[test]
    fn a_chip_does_not_depend_on_the_number_of_threads() {
        let device = Device::flex();
        let clean: Linear = LinearConfig::new(60, 50).init(&device);
        let variation = Variation::from(Distribution::gaussian(0.2));
        let chips = |threads: usize| -> Vec<Vec<f32>> {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let chip =
                |index| inject(clean.clone(), &variation, ChipSeed::new(1, index)).materialize();
            pool.install(|| {
                use rayon::prelude::*;
                (0..8u64)
                    .into_par_iter()
                    .map(|index| values(chip(index).weight.val()))
                    .collect()
            })
        };
        assert_eq!(chips(1), chips(2));
    }
}
