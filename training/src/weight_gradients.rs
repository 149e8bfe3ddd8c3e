//! Gradients by the matrix weights of an otherwise frozen network.

use std::collections::BTreeSet;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Gradients, Tensor};

use crate::TrainingError;

/// `network` in evaluation mode (dropout, norms and ranges of activations rest), of which nothing but the `selected`
/// weights, as the layers compute with them, will take a gradient. Every thread takes its own `clone().train()`: graphs of one tensor wait for each other.
pub(crate) fn tracked<M: Module>(network: &M, selected: &BTreeSet<String>) -> M {
    network.valid().materialize().freeze().map(&mut Track {
        path: Vec::new(),
        selected,
    })
}

/// Hands path and values of every gradient of `network` to `each`, in the layout of the weight.
///
/// # Errors
/// [`TrainingError::Device`] when the device cannot give a result back.
pub(crate) fn weight_gradients<M: Module>(
    network: &M,
    gradients: Gradients,
    mut each: impl FnMut(String, Vec<f32>),
) -> Result<(), TrainingError> {
    let mut collect = Collect {
        path: Vec::new(),
        gradients: GradientsParams::from_grads(gradients, network),
        each: &mut each,
        error: None,
    };
    network.visit(&mut collect);
    collect.error.map_or(Ok(()), Err)
}

/// The numbers of a tensor.
///
/// # Errors
/// [`TrainingError::Device`] when the device cannot give them back.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, TrainingError> {
    tensor
        .into_data()
        .try_into_vec_as()
        .map_err(|error| TrainingError::Device(format!("{error:?}")))
}

/// Lets gradients reach the selected weights, and nothing else.
struct Track<'a> {
    path: Vec<String>,
    selected: &'a BTreeSet<String>,
}

impl ModuleMapper for Track<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.selected.contains(&self.path.join(".")) {
            true => param.set_require_grad(true),
            false => param,
        }
    }
}

/// Finds the gradient of every weight that has one. Knows no type of a closure, so that it is compiled once for each layer of a network.
struct Collect<'a> {
    path: Vec<String>,
    gradients: GradientsParams,
    each: &'a mut dyn FnMut(String, Vec<f32>),
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
        let Some(gradient) = self.gradients.remove::<D>(param.id) else {
            return;
        };
        match values(gradient) {
            Ok(values) => (self.each)(self.path.join("."), values),
            Err(error) => self.error = Some(error),
        }
    }
}
