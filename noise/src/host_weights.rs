//! Matrix weights on the host.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;

use crate::scale::largest_magnitude;
use crate::{WeightLayouts, WeightShape, matrix_weights};

/// One matrix weight: its values in row-major order, and its shape.
#[derive(Clone, Debug, PartialEq)]
pub struct HostWeight {
    /// As the layer computes with them.
    pub values: Vec<f32>,
    /// In Burn's layout, with what the layer makes of its axes.
    pub shape: WeightShape,
}

impl HostWeight {
    /// `max|W|`, of values that are numbers.
    pub fn largest(&self) -> f32 {
        largest_magnitude(&self.values)
    }
}

/// The [`matrix_weights`] of `module` by path, as its layers compute with them: with what a reparameterization adds.
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
    let mut collect = Collect {
        path: Vec::new(),
        selected: matrix_weights(module),
        layouts: WeightLayouts::of(module),
        found: BTreeMap::new(),
    };
    // A visit meets the stored weight, whatever is attached to it.
    module.clone().materialize().visit(&mut collect);
    collect.found
}

struct Collect {
    path: Vec<String>,
    selected: BTreeSet<String>,
    layouts: WeightLayouts,
    found: BTreeMap<String, HostWeight>,
}

impl ModuleVisitor for Collect {
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
            let values = weight
                .into_data()
                .try_into_vec_as()
                .expect("a weight is a tensor of floats");
            self.found.insert(path, HostWeight { values, shape });
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::LinearConfig;
    use burn::tensor::Device;

    use super::*;
    use crate::{ChipSeed, Distribution, Variation, inject, manufacture};

    #[test]
    fn weights_are_those_that_layers_compute_with() {
        let layer = LinearConfig::new(3, 2).init(&Device::flex());
        let variation = Variation::from(Distribution::gaussian(0.1));
        let chip = ChipSeed::new(1, 0);
        let varied = host_weights(&inject(layer.clone(), &variation, chip));
        assert_eq!(varied, host_weights(&manufacture(&layer, &variation, chip)));
        assert_ne!(varied, host_weights(&layer));
    }
}
