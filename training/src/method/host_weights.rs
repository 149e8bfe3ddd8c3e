//! Matrix weights and their gradients on the host, where adversaries choose deviations.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use crossburn_hardware::{Quantization, quantize_weights};
use crossburn_noise::matrix_weights;

use crate::TrainingError;

/// The values of one matrix weight, or of its gradient, in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HostWeight {
    pub(super) values: Vec<f32>,
    pub(super) shape: Vec<usize>,
}

impl HostWeight {
    /// The largest magnitude.
    pub(super) fn largest(&self) -> f32 {
        self.values.iter().fold(0.0, |a, w| a.max(w.abs()))
    }

    /// The Euclidean norm, added up in order.
    pub(super) fn norm(&self) -> f64 {
        let squares = self.values.iter().map(|v| f64::from(*v) * f64::from(*v));
        squares.sum::<f64>().sqrt()
    }
}

/// The matrix weights of `network` as they are programmed without variation, by path.
pub(super) fn programmed<M: Module>(
    network: &M,
    quantization: Option<Quantization>,
) -> Result<BTreeMap<String, HostWeight>, TrainingError> {
    let quantized = quantize_weights(network.valid(), quantization).materialize();
    collect(&quantized, None)
}

/// The gradients of the matrix weights of `module`, by path.
pub(super) fn gradients<M: Module>(
    module: &M,
    gradients: &GradientsParams,
) -> Result<BTreeMap<String, HostWeight>, TrainingError> {
    collect(module, Some(gradients))
}

/// `size` by the sign of each gradient; 0 where that is 0.
pub(super) fn sign_step(gradient: &HostWeight, size: f32) -> Vec<f32> {
    let step = |g: &f32| match *g {
        g if g > 0.0 => size,
        g if g < 0.0 => -size,
        _ => 0.0,
    };
    gradient.values.iter().map(step).collect()
}

fn collect<M: Module>(
    module: &M,
    gradients: Option<&GradientsParams>,
) -> Result<BTreeMap<String, HostWeight>, TrainingError> {
    let mut collect = Collect {
        selected: matrix_weights(module),
        path: Vec::new(),
        gradients,
        found: BTreeMap::new(),
        error: None,
    };
    module.visit(&mut collect);
    match collect.error {
        Some(error) => Err(error),
        None => Ok(collect.found),
    }
}

struct Collect<'a> {
    selected: BTreeSet<String>,
    path: Vec<String>,
    /// Whose gradients are collected; the weights themselves where absent.
    gradients: Option<&'a GradientsParams>,
    found: BTreeMap<String, HostWeight>,
    error: Option<TrainingError>,
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
        if !self.selected.contains(&path) {
            return;
        }
        let tensor = match self.gradients {
            Some(gradients) => gradients.get::<D>(param.id),
            None => Some(param.val().detach()),
        };
        let Some(tensor) = tensor else { return };
        let shape = tensor.dims().to_vec();
        match tensor.into_data().try_into_vec_as() {
            Ok(values) => {
                self.found.insert(path, HostWeight { values, shape });
            }
            Err(error) => self.error = Some(TrainingError::Device(format!("{error:?}"))),
        }
    }
}
