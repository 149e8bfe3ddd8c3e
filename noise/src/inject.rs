//! Variation of any Burn module.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, Param, Reparameterizer};
use burn::tensor::Tensor;

use crate::select::Scan;
use crate::{ChipDraws, Deviation, Distribution, NoiseError, Variation, WeightLayouts};

/// `module` whose matrix weights carry the deviation of one chip, for a training step.
///
/// The deviation is held, so every use of a weight sees the same chip, and a weight that two layers share deviates once.
/// Gradients reach the clean weights: collect them for the clean module, which keeps its parameter ids. The clean module
/// does not contain the deviations; in the varied module they are parameters without a gradient.
///
/// # Errors
/// [`NoiseError::Attached`] for a weight that carries a reparameterization already, such as the adapter of a low-rank
/// adaptation or an earlier chip. [`manufacture`] takes such a module as it computes.
///
/// ```
/// use burn::nn::LinearConfig;
/// use burn::optim::GradientsParams;
/// use burn::tensor::{Device, Tensor};
/// use crossburn_noise::{ChipSeed, Distribution, Variation, inject};
///
/// let device = Device::flex().autodiff();
/// let clean = LinearConfig::new(4, 2).init(&device);
/// let varied = inject(clean.clone(), &Variation::from(Distribution::gaussian(0.1)), ChipSeed::new(1, 0))?;
/// let loss = varied.forward(Tensor::<2>::ones([3, 4], &device)).sum();
/// let gradients = GradientsParams::from_grads(loss.backward(), &clean);
/// assert_eq!(gradients.len(), 2);
/// # Ok::<(), crossburn_noise::NoiseError>(())
/// ```
pub fn inject<M: Module>(
    module: M,
    variation: &Variation,
    chip: impl ChipDraws,
) -> Result<M, NoiseError> {
    let scan = Scan::of(&module);
    attach(module, &scan, &scan.matrices, variation, &chip)
}

/// [`inject`] into the weights at the paths `selected`, such as those of [`array_weights`](crate::array_weights).
///
/// # Errors
/// Those of [`inject`].
pub fn inject_at<M: Module>(
    module: M,
    selected: &BTreeSet<String>,
    variation: &Variation,
    chip: impl ChipDraws,
) -> Result<M, NoiseError> {
    let scan = Scan::of(&module);
    attach(module, &scan, selected, variation, &chip)
}

/// One manufactured chip: a plain module on the inner device whose matrix weights are the clean ones plus the deviation.
///
/// The clean weights are those that the layers compute with: a reparameterization, such as the adapter of a low-rank
/// adaptation, is folded in before the deviation is drawn. The same (`module`, `variation`, `chip`) gives the same bytes on
/// every backend and thread count.
pub fn manufacture<M: Module>(module: &M, variation: &Variation, chip: impl ChipDraws) -> M {
    let plain = module.valid().materialize();
    let scan = Scan::of(&plain);
    vary(plain, &scan, &scan.matrices, variation, &chip).materialize()
}

/// [`manufacture`] with deviations of the weights at the paths `selected`, such as those of
/// [`array_weights`](crate::array_weights).
pub fn manufacture_at<M: Module>(
    module: &M,
    selected: &BTreeSet<String>,
    variation: &Variation,
    chip: impl ChipDraws,
) -> M {
    let plain = module.valid().materialize();
    let scan = Scan::of(&plain);
    vary(plain, &scan, selected, variation, &chip).materialize()
}

fn attach<M: Module>(
    module: M,
    scan: &Scan,
    selected: &BTreeSet<String>,
    variation: &Variation,
    chip: &dyn ChipDraws,
) -> Result<M, NoiseError> {
    if let Distribution::None {} = variation.distribution {
        return Ok(module);
    }
    scan.require_unattached(selected)?;
    Ok(vary(module, scan, selected, variation, chip))
}

/// `module`, which has nothing attached to its weights, with a deviation attached to the selected ones.
fn vary<M: Module>(
    module: M,
    scan: &Scan,
    selected: &BTreeSet<String>,
    variation: &Variation,
    chip: &dyn ChipDraws,
) -> M {
    if let Distribution::None {} = variation.distribution {
        return module;
    }
    let shared = scan.shared(&module, selected);
    let layouts = WeightLayouts::of(&module);
    module.apply_reparameterization(Inject {
        selected,
        shared,
        layouts,
        variation,
        chip,
    })
}

struct Inject<'a> {
    selected: &'a BTreeSet<String>,
    /// Path → the path that names the draws, if it is another one.
    shared: BTreeMap<String, String>,
    layouts: WeightLayouts,
    variation: &'a Variation,
    chip: &'a dyn ChipDraws,
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
        let draws = self.shared.get(path).map_or(path, String::as_str);
        let layout = self.layouts.layout(path);
        let deviation = Deviation::draw(stored, self.variation, self.chip, draws, layout, &device);
        (param, Some(deviation))
    }
}

/// `module` with an adapter of rank one that has learned something: its second factor starts at 0.
#[cfg(test)]
pub(crate) fn learned_adapter<M: Module>(module: M) -> M {
    use burn::module::{Lora, ModuleMapper};

    #[derive(Default)]
    struct Learn {
        path: Vec<String>,
    }

    impl ModuleMapper for Learn {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_string());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }

        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            match self.path.ends_with(&["lora".to_string(), "b".to_string()]) {
                true => param.map(|b| b + 0.5),
                false => param,
            }
        }
    }

    module
        .apply_lora(Lora::new(1, 1.0))
        .map(&mut Learn::default())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::{ChipSeed, array_weights, fold_mean, host_weights};
    use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
    use burn::optim::GradientsParams;
    use burn::tensor::{DType, Device};
    use rstest::rstest;

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    #[test]
    fn a_deviation_is_held_and_a_chip_is_its_sum_with_the_weight() {
        let device = Device::flex();
        let clean: Linear = LinearConfig::new(6, 5).init(&device);
        let variation = Variation::from(Distribution::right_censored(0.2, 1.0));
        let chip = ChipSeed::new(4, 2);
        let varied = inject(clean.clone(), &variation, chip).unwrap();
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
        let varied = inject(clean.clone(), &variation, ChipSeed::new(4, 2)).unwrap();
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
        // Varied twice: refused, because Burn keeps the first chip.
        let once = inject(clean.clone(), &variation, first).unwrap();
        assert!(matches!(
            inject(once, &variation, second),
            Err(NoiseError::Attached { .. })
        ));
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

    #[test]
    fn a_chip_of_an_adapted_layer_deviates_from_what_the_layer_computes_with() {
        let clean: Linear = LinearConfig::new(6, 5).init(&Device::flex());
        let plain = values(clean.weight.val());
        let adapted = learned_adapter(clean);
        let computed = values(adapted.weight.val());
        assert_ne!(computed, plain);
        let variation = Variation::from(Distribution::right_censored(0.2, 1.0));
        let seed = ChipSeed::new(4, 2);
        let sum = |deviation: Vec<f32>| -> Vec<f32> {
            computed.iter().zip(deviation).map(|(w, d)| w + d).collect()
        };
        let expected = sum(variation.draw(seed, "weight", &computed, &[6, 5]));
        let chip = manufacture(&adapted, &variation, seed);
        assert_eq!(values(chip.weight.val()), expected);
        assert_eq!(chip.num_params(), 6 * 5 + 5);
        // Folding adds the mean to the same weights, and the host reads them.
        let folded = fold_mean(adapted.clone(), &variation);
        let expected = sum(variation.mean_deviation(&computed, &[6, 5]));
        assert_eq!(values(folded.weight.val()), expected);
        assert_eq!(host_weights(&adapted)["weight"].values, computed);
        let error = inject(adapted, &variation, seed).unwrap_err().to_string();
        assert!(error.contains("`weight` carries a `lora`"), "{error}");
    }

    #[rstest]
    #[case(DType::F16, 11)]
    #[case(DType::BF16, 8)]
    #[case(DType::F64, 24)]
    fn a_chip_has_the_element_type_of_its_weights(#[case] dtype: DType, #[case] digits: i32) {
        let full: Linear = LinearConfig::new(6, 5).init(&Device::flex());
        let mut clean = full.clone();
        clean.weight = clean.weight.map(|weight| weight.cast(dtype));
        let variation = Variation::from(Distribution::right_censored(0.2, 1.0));
        let seed = ChipSeed::new(4, 2);
        let as_f32 = |layer: &Linear| -> Vec<f32> {
            assert_eq!(layer.weight.val().dtype(), dtype);
            layer.weight.val().into_data().try_into_vec_as().unwrap()
        };
        let weights = as_f32(&clean);
        let drawn = variation.draw(seed, "weight", &weights, &[6, 5]);
        let mean = variation.mean_deviation(&weights, &[6, 5]);
        let chips = [
            (as_f32(&manufacture(&clean, &variation, seed)), &drawn),
            (
                as_f32(&inject(clean.clone(), &variation, seed).unwrap()),
                &drawn,
            ),
            (as_f32(&fold_mean(clean.clone(), &variation)), &mean),
        ];
        // Two roundings to so many binary digits: of the deviation, and of the sum.
        let rounding = 2f32.powi(-digits);
        for (found, deviation) in chips {
            for ((found, weight), deviation) in found.iter().zip(&weights).zip(deviation) {
                let error = rounding * (deviation.abs() + (weight + deviation).abs()) + 1e-7;
                assert!((found - weight - deviation).abs() <= error);
            }
        }
        // Of zeros, zeros.
        let mut zero = clean;
        zero.weight = zero.weight.map(|weight| weight * 0.0);
        let chip = manufacture(&zero, &variation, seed);
        assert!(as_f32(&chip).iter().all(|value| *value == 0.0));
    }

    /// Words and the layer that reads them out again: one weight, `[5, 5]`.
    #[derive(Module, Debug)]
    struct Tied {
        words: Embedding,
        inner: Linear,
        out: Linear,
    }

    fn tied() -> Tied {
        let device = Device::flex();
        let mut words: Embedding = EmbeddingConfig::new(5, 5).init(&device);
        let out: Linear = LinearConfig::new(5, 5).init(&device);
        words.weight = out.weight.clone();
        Tied {
            words,
            inner: LinearConfig::new(5, 5).init(&device),
            out,
        }
    }

    #[test]
    fn a_shared_weight_deviates_once_and_an_embedding_only_where_it_is_selected() {
        let clean = tied();
        let variation = Variation::from(Distribution::gaussian(0.2));
        let seed = ChipSeed::new(4, 2);
        let weights = values(clean.out.weight.val());
        let chip = manufacture(&clean, &variation, seed);
        assert_eq!(values(chip.words.weight.val()), weights);
        assert_ne!(values(chip.out.weight.val()), weights);

        let selected = array_weights(&clean, ["words.weight"]).unwrap();
        let chips = [
            manufacture_at(&clean, &selected, &variation, seed),
            inject_at(clean.clone(), &selected, &variation, seed).unwrap(),
        ];
        // The first path names the draws.
        let drawn = variation.draw(seed, "out.weight", &weights, &[5, 5]);
        let expected: Vec<f32> = weights.iter().zip(drawn).map(|(w, d)| w + d).collect();
        for chip in chips {
            assert_eq!(values(chip.out.weight.val()), expected);
            assert_eq!(values(chip.words.weight.val()), expected);
            let inner = values(chip.inner.weight.val());
            assert_ne!(inner, values(clean.inner.weight.val()));
        }
        let mean = Variation::from(Distribution::right_censored(0.2, 1.0));
        let twice = vec![clean.out.clone(), clean.out];
        let folded = fold_mean(twice, &mean);
        assert_eq!(
            values(folded[0].weight.val()),
            values(folded[1].weight.val())
        );
    }
}
