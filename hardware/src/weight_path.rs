//! The one path from a stored weight to the weight that a chip computes with.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, ModuleVisitor, Param, Reparameterization, Reparameterizer};
use burn::tensor::Tensor;
use crossburn_kernels::QuantizedWeight;
use crossburn_noise::{
    ChipDraws, Deviation, Distribution, NoiseError, Variation, WeightLayouts, WeightShape,
    attached, matrix_weights, require_unattached, shared_weights,
};

use crate::prune::Mask;
use crate::{WeightPlan, WeightQuantizer};

/// Stored weight → (prune) → (quantize) → (add one chip's deviation) → effective weight.
///
/// Mask and deviation are held until the path is replaced, so every use of the weight sees the same chip. They take no
/// gradient. The stored weight does, straight through the quantizer, unless it was pruned. A pruned weight deviates like any
/// other, because its cells are on the array.
#[derive(Module, Debug)]
pub struct WeightPath {
    mask: Option<Mask>,
    quantizer: Option<WeightQuantizer>,
    deviation: Option<Deviation>,
}

impl WeightPath {
    /// The programmed weight, from which chips deviate.
    fn target<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        match (&self.quantizer, &self.mask) {
            (Some(quantizer), mask) => quantizer.apply_kept(base, mask.as_ref()),
            (None, Some(mask)) => mask.apply(base),
            (None, None) => base,
        }
    }
}

impl Reparameterization for WeightPath {
    const NAME: &'static str = "path";

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        let weight = self.target(base);
        match &self.deviation {
            Some(deviation) => deviation.apply(weight),
            None => weight,
        }
    }
}

/// Paths of the weights that a path is attached to.
struct Weights {
    /// All weights with a path, which are quantized: matrix weights, and others on arrays.
    all: BTreeSet<String>,
    /// The weights that deviate.
    on_arrays: BTreeSet<String>,
}

impl Weights {
    fn of<M: Module>(module: &M, plan: &WeightPlan) -> Self {
        let on_arrays = plan.placement().on_arrays(module);
        let mut all = matrix_weights(module);
        all.extend(on_arrays.iter().cloned());
        Self { all, on_arrays }
    }
}

/// Decides per parameter what is attached.
struct Attach<'a> {
    weights: Weights,
    /// Path → the path that names the draws, for weights that repeat another one.
    shared: BTreeMap<String, String>,
    layouts: WeightLayouts,
    plan: &'a WeightPlan,
    deviations: Deviations<'a>,
    /// A given deviation that does not fit.
    error: Option<NoiseError>,
}

/// The source of deviations.
enum Deviations<'a> {
    None,
    Drawn(&'a Variation, &'a dyn ChipDraws),
    Given(&'a BTreeMap<String, Vec<f32>>),
}

impl Reparameterizer for &mut Attach<'_> {
    type Reparam = WeightPath;

    fn reparameterize<const D: usize>(
        &mut self,
        path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<WeightPath>) {
        if !self.weights.all.contains(path) {
            return (param, None);
        }
        let layout = self.layouts.layout(path);
        let device = param.base().device();
        let quantizer = self.plan.quantization(path).map(|quantization| {
            let quantizer = WeightQuantizer::new(quantization).with_layout(layout);
            match self.plan.scales(path) {
                Some(scales) => quantizer.with_scales(scales, &device),
                None => quantizer,
            }
        });
        let mask = self.plan.prunes(path).then(|| {
            let shape = WeightShape::new(&param.lazy_shape(), layout);
            let kept = self
                .plan
                .kept(path, &shape, || on_host(param.base().detach()));
            Mask::new(&kept, &device)
        });
        let mut weight_path = WeightPath {
            mask,
            quantizer,
            deviation: None,
        };
        weight_path.deviation = match self.deviations {
            Deviations::None => None,
            Deviations::Drawn(..) if !self.weights.on_arrays.contains(path) => None,
            Deviations::Drawn(variation, chip) => {
                let programmed = weight_path.target(param.base().detach());
                let device = programmed.device();
                let draws = self.shared.get(path).map_or(path, String::as_str);
                Some(Deviation::draw(
                    programmed, variation, chip, draws, layout, &device,
                ))
            }
            Deviations::Given(deviations) => {
                let expected = param.lazy_shape().num_elements();
                match deviations.get(path) {
                    Some(values) if values.len() != expected => {
                        self.error.get_or_insert(NoiseError::OtherWeights {
                            path: path.to_string(),
                            expected,
                            found: values.len(),
                        });
                        None
                    }
                    values => values.map(|values| Deviation::from_values(values.clone(), &device)),
                }
            }
        };
        let WeightPath {
            mask: None,
            quantizer: None,
            deviation: None,
        } = &weight_path
        else {
            return (param, Some(weight_path));
        };
        (param, None)
    }
}

/// The values of a weight, which may be packed.
fn on_host<const D: usize>(weight: Tensor<D>) -> Vec<f32> {
    let weight = match weight.dtype().is_float() {
        true => weight,
        false => weight.dequantize(),
    };
    weight
        .into_data()
        .try_into_vec_as()
        .expect("a weight is a tensor of floats")
}

/// The learned scales of the weights of `module` by path, as [`WeightPlan::with_scales`] gave them to its paths: tensors that have a
/// gradient on a device with autodiff.
pub fn weight_scales<M: Module>(module: &M) -> BTreeMap<String, Tensor<1>> {
    let mut collect = CollectScales::default();
    module.visit(&mut collect);
    collect.found
}

/// A visit sees an attachment of a weight as a module below its path.
#[derive(Default)]
struct CollectScales {
    path: Vec<String>,
    containers: Vec<String>,
    found: BTreeMap<String, Tensor<1>>,
}

impl ModuleVisitor for CollectScales {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.push(name.to_string());
        self.containers.push(container.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
        self.containers.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.containers.last().map(String::as_str) != Some("Struct:WeightQuantizer") {
            return;
        }
        let mut containers = self.containers.iter();
        let attached = containers.position(|container| container == "Reparameterization");
        // Returns the tensor itself, because a derived one would have no gradient.
        let scales: &dyn Any = &param.val();
        if let (Some(attached), Some(scales)) = (attached, scales.downcast_ref::<Tensor<1>>()) {
            let path = self.path[..attached].join(".");
            self.found.insert(path, scales.clone());
        }
    }
}

/// `module` whose weights are pruned and quantized at every use as `plan` says, for a training step; `None` leaves it as it is.
///
/// # Errors
/// [`NoiseError::Attached`] for a weight that carries a reparameterization already, such as the adapter of a low-rank
/// adaptation or another path: Burn attaches one to a weight. [`programmed`] takes such a module as it computes.
pub fn quantize_weights<M: Module>(
    module: M,
    plan: impl Into<WeightPlan>,
) -> Result<M, NoiseError> {
    attach(module, &plan.into(), Deviations::None)
}

/// `module` whose weights are quantized, and those on arrays carry the deviation of one chip, for a training step.
///
/// Gradients reach the stored weights: collect them for the clean module, which keeps its parameter ids
/// (`GradientsParams::from_grads(gradients, &clean)`). A weight that two layers share deviates once.
///
/// # Errors
/// [`NoiseError::Attached`], as [`quantize_weights`].
pub fn vary_weights<M: Module>(
    module: M,
    plan: impl Into<WeightPlan>,
    variation: &Variation,
    chip: impl ChipDraws,
) -> Result<M, NoiseError> {
    attach(module, &plan.into(), drawn(variation, &chip))
}

/// `module` whose weights are quantized and carry the given deviations, by path and in row-major order; a weight
/// without an entry deviates by nothing.
///
/// The gradient of a stored weight is that of the effective one, straight through the quantizer, and so that of the
/// deviation: an adversary collects it for the clean module as [`vary_weights`] says.
///
/// # Errors
/// [`NoiseError::OtherWeights`] for an entry with another number of elements than its weight, and
/// [`NoiseError::Attached`], as [`quantize_weights`].
pub fn deviate_weights<M: Module>(
    module: M,
    plan: impl Into<WeightPlan>,
    deviations: &BTreeMap<String, Vec<f32>>,
) -> Result<M, NoiseError> {
    attach(module, &plan.into(), Deviations::Given(deviations))
}

/// The network as it is programmed without variation: a plain module on the inner device, its weights quantized.
///
/// The weights are those that the layers compute with: a reparameterization, such as the adapter of a low-rank adaptation,
/// is folded in before they are quantized. A network whose weights are not quantized here and stay in the bytes of a file
/// ([`QuantizedWeight`]) is returned with these bytes.
pub fn programmed<M: Module>(module: &M, plan: impl Into<WeightPlan>) -> M {
    chip(module, &plan.into(), Deviations::None)
}

/// One manufactured chip: a plain module on the inner device with the effective weights folded in.
///
/// It deviates from [`programmed`]. The same (`module`, `plan`, `variation`, `chip`) gives the same bytes on every
/// backend and thread count.
pub fn manufacture<M: Module>(
    module: &M,
    plan: impl Into<WeightPlan>,
    variation: &Variation,
    draws: impl ChipDraws,
) -> M {
    chip(module, &plan.into(), drawn(variation, &draws))
}

fn drawn<'a>(variation: &'a Variation, chip: &'a dyn ChipDraws) -> Deviations<'a> {
    match variation.distribution {
        Distribution::None { .. } => Deviations::None,
        _ => Deviations::Drawn(variation, chip),
    }
}

fn attach<M: Module>(
    module: M,
    plan: &WeightPlan,
    deviations: Deviations<'_>,
) -> Result<M, NoiseError> {
    if !plan.changes() && matches!(deviations, Deviations::None) {
        return Ok(module);
    }
    let weights = Weights::of(&module, plan);
    require_unattached(&module, &weights.all)?;
    let (module, error) = on_plain(module, weights, plan, deviations);
    error.map_or(Ok(module), Err)
}

/// A plain module with the effective weights that [`attach`] gives for the weights of `module`.
fn chip<M: Module>(module: &M, plan: &WeightPlan, deviations: Deviations<'_>) -> M {
    let module = module.valid();
    let unchanged = !plan.changes() && matches!(deviations, Deviations::None);
    if unchanged && attached(&module) == [QuantizedWeight::NAME.to_string()].into() {
        return module;
    }
    let plain = module.materialize();
    if unchanged {
        return plain;
    }
    let weights = Weights::of(&plain, plan);
    // No deviations are given, so none can be unfit.
    on_plain(plain, weights, plan, deviations).0.materialize()
}

/// `module`, which has nothing attached to its weights, with paths attached; and the first given deviation that does not
/// fit.
fn on_plain<M: Module>(
    module: M,
    weights: Weights,
    plan: &WeightPlan,
    deviations: Deviations<'_>,
) -> (M, Option<NoiseError>) {
    let shared = match deviations {
        Deviations::Drawn(..) => shared_weights(&module, &weights.on_arrays),
        _ => BTreeMap::new(),
    };
    let mut attach = Attach {
        layouts: WeightLayouts::of(&module),
        weights,
        shared,
        plan,
        deviations,
        error: None,
    };
    let module = module.apply_reparameterization(&mut attach);
    (module, attach.error)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::{Quantization, WeightBits};
    use burn::module::{Lora, ModuleMapper};
    use burn::nn::{Linear, LinearConfig};
    use burn::optim::GradientsParams;
    use burn::tensor::{DType, Device};
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
        let quantized = values(quantize_weights(layer.clone(), bits).unwrap().weight.val());
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
        )
        .unwrap();
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
        let deviated = deviate_weights(clean.clone(), bits, &deviations).unwrap();
        let quantized = quantize_weights(clean.clone(), bits).unwrap();
        let quantized = values(quantized.weight.val().inner());
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
        let none = deviate_weights(clean.clone(), None, &BTreeMap::new()).unwrap();
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

    /// Adds a half to the second factor of an adapter, which starts at 0.
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
            match self.path.last().is_some_and(|name| name == "b") {
                true => param.map(|b| b + 0.5),
                false => param,
            }
        }
    }

    #[test]
    fn a_chip_is_that_of_the_weights_that_a_layer_computes_with() {
        let device = Device::flex();
        let bits: Option<Quantization> = Some(WeightBits::new(4).unwrap().into());
        let variation = Variation::from(Distribution::gaussian(0.1));
        let seed = ChipSeed::new(3, 5);
        let plain = layer(&device);
        let adapted = plain
            .clone()
            .apply_lora(Lora::new(2, 4.0))
            .map(&mut Learn::default());
        let quantized = quantize_weights(plain.clone(), bits).unwrap();
        for carries in [adapted, quantized] {
            let computed = values(carries.weight.val());
            assert_ne!(computed, values(plain.weight.val()));
            // The same network, written down as plain weights.
            let mut same = plain.clone();
            same.weight = Param::from_data(
                burn::tensor::TensorData::new(computed.clone(), [16, 8]),
                &device,
            );
            for quantization in [None, bits] {
                let found = manufacture(&carries, quantization, &variation, seed);
                let expected = manufacture(&same, quantization, &variation, seed);
                assert_eq!(values(found.weight.val()), values(expected.weight.val()));
                let found = programmed(&carries, quantization);
                let expected = programmed(&same, quantization);
                assert_eq!(values(found.weight.val()), values(expected.weight.val()));
                assert_eq!(found.num_params(), plain.num_params());
            }
            // For a training step, a weight takes one path.
            let again = carries.clone();
            for refused in [
                quantize_weights(again.clone(), bits),
                vary_weights(again.clone(), None, &variation, seed),
                deviate_weights(again, None, &BTreeMap::new()),
            ] {
                assert!(matches!(refused, Err(NoiseError::Attached { .. })));
            }
        }
    }

    #[test]
    fn a_given_deviation_of_another_size_is_refused() {
        let deviations = BTreeMap::from([("weight".to_string(), vec![0.0; 5])]);
        let error = deviate_weights(layer(&Device::flex()), None, &deviations).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the deviation of `weight` has 5 entries, the weight has 128: give one deviation per weight"
        );
    }

    #[test]
    fn a_shared_weight_has_one_deviation_on_every_chip() {
        let layer = layer(&Device::flex());
        let tied = vec![layer.clone(), layer];
        let variation = Variation::from(Distribution::gaussian(0.1));
        let chip = manufacture(&tied, None, &variation, ChipSeed::new(3, 5));
        let [first, second] = [0, 1].map(|at| values(chip[at].weight.val()));
        assert_eq!(first, second);
        assert_ne!(first, values(tied[0].weight.val()));
        let varied = vary_weights(tied, None, &variation, ChipSeed::new(3, 5)).unwrap();
        assert_eq!(values(varied[1].weight.val()), first);
    }

    #[test]
    fn half_precision_weights_deviate() {
        let variation = Variation::from(Distribution::gaussian(0.1));
        for dtype in [DType::F16, DType::BF16] {
            let mut half = layer(&Device::flex());
            half.weight = half.weight.map(|weight| weight.cast(dtype));
            let chip = manufacture(&half, None, &variation, ChipSeed::new(3, 5));
            assert_eq!(chip.weight.val().dtype(), dtype);
            let as_f32 = |layer: &Linear| -> Vec<f32> {
                layer.weight.val().into_data().try_into_vec_as().unwrap()
            };
            let weights = as_f32(&half);
            let drawn = variation.draw(ChipSeed::new(3, 5), "weight", &weights, &[16, 8]);
            for ((found, weight), deviation) in as_f32(&chip).iter().zip(weights).zip(drawn) {
                // Two roundings to the eight binary digits of the coarser type.
                let error = 2f32.powi(-8) * (deviation.abs() + (weight + deviation).abs()) + 1e-7;
                assert!((found - weight - deviation).abs() <= error);
            }
        }
    }
}
