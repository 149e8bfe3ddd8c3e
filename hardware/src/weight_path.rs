//! The one path from a stored weight to the weight that a chip computes with.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, Param, Reparameterization, Reparameterizer};
use burn::tensor::Tensor;
use crossburn_noise::{
    ChipDraws, Deviation, Distribution, Variation, WeightLayouts, matrix_weights,
};

use crate::{Quantization, WeightQuantizer};

/// Stored weight → (quantize) → (add one chip's deviation) → effective weight.
///
/// The deviation is held: every use of the weight until the path is replaced sees the same chip. It takes no gradient;
/// the stored weight does, straight through the quantizer.
#[derive(Module, Debug)]
pub struct WeightPath {
    quantizer: Option<WeightQuantizer>,
    deviation: Option<Deviation>,
}

impl Reparameterization for WeightPath {
    const NAME: &'static str = "path";

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        let weight = match &self.quantizer {
            Some(quantizer) => quantizer.apply(base),
            None => base,
        };
        match &self.deviation {
            Some(deviation) => deviation.apply(weight),
            None => weight,
        }
    }
}

/// Decides per parameter what is attached: matrix weights only.
struct Attach<'a> {
    selected: BTreeSet<String>,
    layouts: WeightLayouts,
    quantization: Option<Quantization>,
    deviations: Deviations<'a>,
}

/// Where deviations come from.
enum Deviations<'a> {
    None,
    Drawn(&'a Variation, &'a dyn ChipDraws),
    Given(&'a BTreeMap<String, Vec<f32>>),
}

impl Reparameterizer for Attach<'_> {
    type Reparam = WeightPath;

    fn reparameterize<const D: usize>(
        &mut self,
        path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<WeightPath>) {
        if !self.selected.contains(path) {
            return (param, None);
        }
        let layout = self.layouts.layout(path);
        let quantizer = self
            .quantization
            .map(|quantization| WeightQuantizer::new(quantization).with_layout(layout));
        let deviation = match self.deviations {
            Deviations::None => None,
            Deviations::Drawn(variation, chip) => {
                let stored = param.base().detach();
                let device = stored.device();
                let programmed = match &quantizer {
                    Some(quantizer) => quantizer.apply(stored),
                    None => stored,
                };
                Some(Deviation::draw(
                    programmed, variation, chip, path, layout, &device,
                ))
            }
            Deviations::Given(deviations) => deviations.get(path).map(|values| {
                let device = param.base().device();
                Deviation::from_values(values.clone(), &device)
            }),
        };
        if quantizer.is_none() && deviation.is_none() {
            return (param, None);
        }
        (
            param,
            Some(WeightPath {
                quantizer,
                deviation,
            }),
        )
    }
}

/// `module` whose matrix weights are quantized at every use; `None` leaves it as it is.
pub fn quantize_weights<M: Module>(module: M, quantization: Option<Quantization>) -> M {
    attach(module, quantization, Deviations::None)
}

/// `module` whose matrix weights are quantized and carry the deviation of one chip, for a training step.
///
/// Gradients reach the stored weights: collect them for the clean module, which keeps its parameter ids
/// (`GradientsParams::from_grads(gradients, &clean)`).
pub fn vary_weights<M: Module>(
    module: M,
    quantization: Option<Quantization>,
    variation: &Variation,
    chip: impl ChipDraws,
) -> M {
    let deviations = match variation.distribution {
        Distribution::None { .. } => Deviations::None,
        _ => Deviations::Drawn(variation, &chip),
    };
    attach(module, quantization, deviations)
}

/// `module` whose matrix weights are quantized and carry the given deviations, by path and in row-major order; a weight
/// without an entry deviates by nothing.
///
/// The gradient of a stored weight is that of the effective one, straight through the quantizer, and so that of the
/// deviation: an adversary collects it for the clean module as [`vary_weights`] says.
///
/// # Panics
/// At the first use of a weight whose entry has another number of elements.
pub fn deviate_weights<M: Module>(
    module: M,
    quantization: Option<Quantization>,
    deviations: &BTreeMap<String, Vec<f32>>,
) -> M {
    attach(module, quantization, Deviations::Given(deviations))
}

/// One manufactured chip: a plain module on the inner device with the effective weights folded in.
///
/// The same (`module`, `quantization`, `variation`, `chip`) gives the same bytes on every backend and thread count.
pub fn manufacture<M: Module>(
    module: &M,
    quantization: Option<Quantization>,
    variation: &Variation,
    chip: impl ChipDraws,
) -> M {
    vary_weights(module.valid(), quantization, variation, chip).materialize()
}

fn attach<M: Module>(
    module: M,
    quantization: Option<Quantization>,
    deviations: Deviations<'_>,
) -> M {
    if quantization.is_none() && matches!(deviations, Deviations::None) {
        return module;
    }
    let (selected, layouts) = (matrix_weights(&module), WeightLayouts::of(&module));
    module.apply_reparameterization(Attach {
        selected,
        layouts,
        quantization,
        deviations,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::WeightBits;
    use burn::nn::{Linear, LinearConfig};
    use burn::optim::GradientsParams;
    use burn::tensor::Device;
    use crossburn_noise::ChipSeed;

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    fn layer(device: &Device) -> Linear {
        LinearConfig::new(16, 8).init(device)
    }

    #[test]
    fn a_chip_is_the_quantized_weight_plus_the_deviation_of_its_seed() {
        let layer = layer(&Device::flex());
        let bits = Some(WeightBits::new(4).unwrap().into());
        let variation = Variation::from(Distribution::gaussian(0.1));
        let quantized = values(quantize_weights(layer.clone(), bits).weight.val());
        let expected = variation.draw(ChipSeed::new(3, 5), "weight", &quantized, &[16, 8]);
        let chip = manufacture(&layer, bits, &variation, ChipSeed::new(3, 5));
        let sum: Vec<f32> = quantized
            .iter()
            .zip(&expected)
            .map(|(w, d)| w + d)
            .collect();
        assert_eq!(values(chip.weight.val()), sum);
        assert_eq!(
            values(chip.bias.unwrap().val()),
            values(layer.bias.unwrap().val())
        );
    }

    #[test]
    fn a_training_step_reaches_every_clean_parameter() {
        let device = Device::flex().autodiff();
        let clean = layer(&device);
        let variation = Variation::from(Distribution::gaussian(0.1));
        let varied = vary_weights(
            clean.clone(),
            Some(WeightBits::new(4).unwrap().into()),
            &variation,
            ChipSeed::new(1, 1),
        );
        let loss = varied.forward(Tensor::<2>::ones([3, 16], &device)).sum();
        let gradients = GradientsParams::from_grads(loss.backward(), &clean);
        assert_eq!(gradients.len(), 2);
        // d(sum of outputs)/dw = sum of inputs = 3, whatever the quantizer and the deviation did.
        assert_eq!(
            values(gradients.get::<2>(clean.weight.id).unwrap()),
            vec![3.0; 128]
        );
    }

    #[test]
    fn given_deviations_are_added_and_their_gradient_is_that_of_the_stored_weight() {
        let device = Device::flex().autodiff();
        let clean = layer(&device);
        let bits = Some(WeightBits::new(4).unwrap().into());
        let given: Vec<f32> = (0..128).map(|i| i as f32 / 1000.0).collect();
        let deviations = BTreeMap::from([("weight".to_string(), given.clone())]);
        let deviated = deviate_weights(clean.clone(), bits, &deviations);
        let quantized = values(quantize_weights(clean.clone(), bits).weight.val().inner());
        let expected: Vec<f32> = quantized.iter().zip(&given).map(|(w, d)| w + d).collect();
        assert_eq!(values(deviated.weight.val().inner()), expected);
        // The loss is Σ (x W)², x all ones: d/dW_ij = 2 (x W)_j, at the effective weight.
        let output = deviated.forward(Tensor::<2>::ones([1, 16], &device));
        let loss = output.clone().powi_scalar(2).sum();
        let gradients = GradientsParams::from_grads(loss.backward(), &clean);
        let found = values(gradients.get::<2>(clean.weight.id).unwrap());
        let output = values(output.inner());
        for (index, found) in found.iter().enumerate() {
            assert!((found - 2.0 * output[index % 8]).abs() <= 1e-6 * found.abs());
        }
        // A weight without an entry stays as it is.
        let none = deviate_weights(clean.clone(), None, &BTreeMap::new());
        assert_eq!(
            values(none.weight.val().inner()),
            values(clean.weight.val().inner())
        );
    }

    #[test]
    fn nothing_attached_changes_nothing() {
        let layer = layer(&Device::flex());
        let none = Variation::from(Distribution::none());
        let chip = manufacture(&layer, None, &none, ChipSeed::new(1, 0));
        assert_eq!(values(chip.weight.val()), values(layer.weight.val()));
    }
}
