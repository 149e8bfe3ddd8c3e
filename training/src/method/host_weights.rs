//! Programmed matrix weights on the host, where adversaries choose deviations.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use crossburn_hardware::{Quantization, quantize_weights};
use crossburn_noise::matrix_weights;

use crate::TrainingError;
use crate::weight_gradients::values;

/// One matrix weight: values in row-major order, and its shape.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HostWeight {
    pub(super) values: Vec<f32>,
    pub(super) shape: Vec<usize>,
}

impl HostWeight {
    /// `max|W|`.
    pub(super) fn largest(&self) -> f32 {
        self.values.iter().fold(0.0, |a, w| a.max(w.abs()))
    }
}

/// The matrix weights of `network` as they are programmed without variation, by path.
pub(super) fn programmed<M: Module>(
    network: &M,
    quantization: Option<Quantization>,
) -> Result<BTreeMap<String, HostWeight>, TrainingError> {
    let quantized = quantize_weights(network.valid(), quantization).materialize();
    let mut collect = Collect {
        selected: matrix_weights(&quantized),
        path: Vec::new(),
        found: BTreeMap::new(),
        error: None,
    };
    quantized.visit(&mut collect);
    match collect.error {
        Some(error) => Err(error),
        None => Ok(collect.found),
    }
}

/// The Euclidean norm, added up in order.
pub(super) fn norm(values: &[f32]) -> f64 {
    let squares = values.iter().map(|v| f64::from(*v) * f64::from(*v));
    squares.sum::<f64>().sqrt()
}

/// `size` by the sign of each gradient; 0 where that is 0.
pub(super) fn sign_step(gradient: &[f32], size: f32) -> Vec<f32> {
    let step = |g: &f32| match *g {
        g if g > 0.0 => size,
        g if g < 0.0 => -size,
        _ => 0.0,
    };
    gradient.iter().map(step).collect()
}

struct Collect {
    selected: BTreeSet<String>,
    path: Vec<String>,
    found: BTreeMap<String, HostWeight>,
    error: Option<TrainingError>,
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
        if !self.selected.contains(&path) {
            return;
        }
        let tensor = param.val();
        let shape = tensor.dims().to_vec();
        match values(tensor) {
            Ok(values) => {
                self.found.insert(path, HostWeight { values, shape });
            }
            Err(error) => self.error = Some(error),
        }
    }
}
