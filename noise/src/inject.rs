//! Variation of any Burn module.

use std::collections::BTreeSet;

use burn::module::{Module, Param, Reparameterizer};
use burn::tensor::Tensor;

use crate::{ChipSeed, Deviation, Distribution, Variation, WeightLayouts, matrix_weights};

/// `module` whose matrix weights carry the deviation of one chip, for a training step.
///
/// The deviation is held, so every use of a weight sees the same chip. Gradients reach the clean weights: collect them
/// for the clean module, which keeps its parameter ids. The deviations are no part of the clean module; in the varied one
/// they count as parameters that take no gradient. Vary the clean module: a weight that carries a reparameterization
/// already, of an earlier chip or of another kind, keeps that one, because Burn does not nest them.
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
    if matches!(variation.distribution, Distribution::None {}) {
        return module;
    }
    let (selected, layouts) = (matrix_weights(&module), WeightLayouts::of(&module));
    module.apply_reparameterization(Inject {
        selected,
        layouts,
        variation,
        chip,
    })
}

/// One manufactured chip: a plain module on the inner device, its matrix weights the clean ones plus the deviation.
///
/// The same (`module`, `variation`, `chip`) gives the same bytes on every backend and thread count.
pub fn manufacture<M: Module>(module: &M, variation: &Variation, chip: ChipSeed) -> M {
    inject(module.valid(), variation, chip).materialize()
}

struct Inject<'a> {
    selected: BTreeSet<String>,
    layouts: WeightLayouts,
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
        let layout = self.layouts.layout(path);
        let deviation = Deviation::draw(stored, self.variation, self.chip, path, layout, &device);
        (param, Some(deviation))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use burn::nn::{Linear, LinearConfig};
    use burn::optim::GradientsParams;
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
    fn gradients_reach_the_clean_weights_and_no_deviation() {
        let device = Device::flex().autodiff();
        let clean: Linear = LinearConfig::new(6, 5).init(&device);
        let variation = Variation::from(Distribution::gaussian(0.2));
        let varied = inject(clean.clone(), &variation, ChipSeed::new(4, 2));
        let x = Tensor::<2>::ones([2, 6], &device);
        let loss = |layer: &Linear| layer.forward(x.clone()).powi_scalar(2).sum();
        let gradients = loss(&varied).backward();
        let found = values(clean.weight.val().grad(&gradients).unwrap());
        // d/dw of the sum of squares is 2 * 2 rows * output: that of the chip, not of the clean layer.
        let output = values(varied.forward(x.clone()).inner());
        for (index, found) in found.into_iter().enumerate() {
            assert!((found - 4.0 * output[index % 5]).abs() < 1e-4 * (1.0 + found.abs()));
        }
        assert_eq!(GradientsParams::from_grads(gradients, &clean).len(), 2);
        assert_eq!(
            GradientsParams::from_grads(loss(&varied).backward(), &varied).len(),
            2
        );
        assert_eq!(varied.num_params(), clean.num_params() + 30);
    }

    #[test]
    fn a_manufactured_chip_is_a_plain_inner_module() {
        let device = Device::flex().autodiff();
        let clean: Linear = LinearConfig::new(6, 5).init(&device);
        let variation = Variation::from(Distribution::gaussian(0.2));
        let (first, second) = (ChipSeed::new(4, 0), ChipSeed::new(4, 1));
        let chip = manufacture(&clean, &variation, first);
        assert!(!chip.weight.val().is_autodiff() && chip.num_params() == clean.num_params());
        assert_eq!(chip.weight.id, clean.weight.id);
        // Varied twice: the first chip stays.
        let twice = inject(inject(clean.clone(), &variation, first), &variation, second);
        let again = twice.valid().materialize();
        assert_eq!(values(again.weight.val()), values(chip.weight.val()));
        // No deviation and a deviation of zero are the clean layer.
        for zero in [Variation::default(), variation.with_sigma(0.0)] {
            let same = manufacture(&clean, &zero, first);
            assert_eq!(
                values(same.weight.val()),
                values(clean.weight.val().inner())
            );
        }
        let bias = |layer: &Linear| values(layer.bias.as_ref().unwrap().val());
        assert_eq!(bias(&chip), bias(&clean.valid()));
    }

    #[test]
    fn a_chip_does_not_depend_on_the_number_of_threads() {
        let device = Device::flex();
        let clean: Linear = LinearConfig::new(200, 150).init(&device);
        let variation = Variation::from(Distribution::gaussian(0.2));
        let chips = |threads: usize| -> Vec<Vec<f32>> {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let chip = |index| manufacture(&clean, &variation, ChipSeed::new(1, index));
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
