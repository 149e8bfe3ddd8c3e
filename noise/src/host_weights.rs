//! Matrix weights on the host.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

use crate::granularity::largest_magnitude;
use crate::{WeightLayouts, WeightShape, matrix_weights};

/// A tensor of plain floats: packed values of a quantized tensor are unpacked.
pub(crate) fn dense<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    match tensor.dtype().is_float() {
        true => tensor,
        false => tensor.dequantize(),
    }
}

/// The values of a tensor of floats of any width as 32-bit floats, in row-major order.
pub(crate) fn on_host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    dense(tensor)
        .into_data()
        .try_into_vec_as()
        .expect("a weight is a tensor of floats")
}

/// One matrix weight: its values in row-major order, and its shape.
#[derive(Clone, Debug, PartialEq)]
pub struct HostWeight {
    /// The values that the layer computes with.
    pub values: Vec<f32>,
    /// The shape in Burn's layout, with the meaning of its axes.
    pub shape: WeightShape,
}

impl HostWeight {
    /// `max|W|`; NaN is skipped.
    pub fn largest(&self) -> f32 {
        largest_magnitude(&self.values)
    }
}

/// The [`matrix_weights`] of `module` by path, as its layers compute with them, reparameterizations included.
///
/// ```
/// use burn::{nn::LinearConfig, tensor::Device};
///
/// let layer = LinearConfig::new(3, 2).init(&Device::flex());
/// let weights = crossburn_noise::host_weights(&layer);
/// assert_eq!(weights["weight"].shape, [3, 2]);
/// assert_eq!(weights["weight"].values.len(), 6);
/// ```
pub fn host_weights<M: Module>(module: &M) -> BTreeMap<String, HostWeight> {
    host_weights_at(module, &matrix_weights(module))
}

/// The same of the weights at the paths `selected`, such as those of [`array_weights`](crate::array_weights).
pub fn host_weights_at<M: Module>(
    module: &M,
    selected: &BTreeSet<String>,
) -> BTreeMap<String, HostWeight> {
    let mut collect = Collect {
        path: Vec::new(),
        selected,
        layouts: WeightLayouts::of(module),
        found: BTreeMap::new(),
    };
    // A visit sees the stored weight without what is attached to it.
    module.clone().materialize().visit(&mut collect);
    collect.found
}

/// `module` after `change` has changed the stored weights at the paths `selected`. `change` gets the values of one weight in
/// row-major order, and its shape. A parameter keeps its identity, its type, and whether it learns.
///
/// ```
/// use burn::{nn::LinearConfig, tensor::Device};
/// use crossburn_noise::{change_host_weights, host_weights, matrix_weights};
///
/// let layer = LinearConfig::new(3, 2).init(&Device::flex());
/// let selected = matrix_weights(&layer);
/// let zeros = change_host_weights(layer, &selected, |values, _| values.fill(0.0));
/// assert_eq!(host_weights(&zeros)["weight"].values, [0.0; 6]);
/// ```
pub fn change_host_weights<M: Module>(
    module: M,
    selected: &BTreeSet<String>,
    mut change: impl FnMut(&mut [f32], &WeightShape),
) -> M {
    let layouts = WeightLayouts::of(&module);
    module.map(&mut Change {
        path: Vec::new(),
        selected,
        layouts,
        change: &mut change,
    })
}

/// Has no closure type as a parameter, so that it is compiled once for each kind of layer.
struct Change<'a> {
    path: Vec<String>,
    selected: &'a BTreeSet<String>,
    layouts: WeightLayouts,
    change: &'a mut dyn FnMut(&mut [f32], &WeightShape),
}

impl ModuleMapper for Change<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        if !self.selected.contains(&path) {
            return param;
        }
        let (layouts, change) = (&self.layouts, &mut self.change);
        param.map(|weight| {
            let (dims, device, trains) = (weight.dims(), weight.device(), weight.is_require_grad());
            let weight = dense(weight.detach());
            let dtype = weight.dtype();
            let mut values = on_host(weight);
            change(&mut values, &layouts.shape(&path, &dims));
            Tensor::from_data(TensorData::new(values, dims), (&device, dtype))
                .set_require_grad(trains)
        })
    }
}

struct Collect<'a> {
    path: Vec<String>,
    selected: &'a BTreeSet<String>,
    layouts: WeightLayouts,
    found: BTreeMap<String, HostWeight>,
}

impl ModuleVisitor for Collect<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.path.join(".");
        if self.selected.contains(&path) {
            let weight = param.val();
            let shape = self.layouts.shape(&path, &weight.dims());
            let values = on_host(weight);
            self.found.insert(path, HostWeight { values, shape });
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use burn::module::Quantizer;
    use burn::nn::LinearConfig;
    use burn::tensor::Device;
    use burn::tensor::quantization::{Calibration, QuantScheme, QuantStore, QuantValue};

    use super::*;
    use crate::{ChipSeed, Distribution, Variation, array_weights, inject, manufacture};

    #[test]
    fn weights_are_those_that_layers_compute_with() {
        let layer = LinearConfig::new(3, 2).init(&Device::flex());
        let variation = Variation::from(Distribution::gaussian(0.1));
        let chip = ChipSeed::new(1, 0);
        let varied = host_weights(&inject(layer.clone(), &variation, chip).unwrap());
        assert_eq!(varied, host_weights(&manufacture(&layer, &variation, chip)));
        assert_ne!(varied, host_weights(&layer));
    }

    #[test]
    fn packed_weights_are_read_as_they_are_unpacked() {
        let layer = LinearConfig::new(4, 8).init(&Device::flex());
        let scheme = QuantScheme::default()
            .with_value(QuantValue::Q8S)
            .with_store(QuantStore::Native);
        let packed = layer
            .clone()
            .quantize_weights(&mut Quantizer::new(Calibration::MinMax, scheme));
        let (plain, packed) = (host_weights(&layer), host_weights(&packed));
        let largest = plain["weight"].largest();
        // Eight bits: half a step of 1/127 of the largest magnitude, and the rounding of f32.
        for (plain, packed) in plain["weight"].values.iter().zip(&packed["weight"].values) {
            assert!((plain - packed).abs() <= largest * (0.5 / 127.0 + 1e-5));
        }
    }

    #[test]
    fn an_embedding_that_was_selected_is_read() {
        let words = burn::nn::EmbeddingConfig::new(5, 4).init(&Device::flex());
        let selected = array_weights(&words, ["weight"]).unwrap();
        assert_eq!(host_weights_at(&words, &selected)["weight"].shape, [5, 4]);
        assert!(host_weights(&words).is_empty());
    }
}
