//! Which parameters training moves.

use std::collections::BTreeSet;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;

/// Paths of the parameters of `module` that take gradients.
pub(crate) fn trainable<M: Module>(module: &M) -> BTreeSet<String> {
    let mut collect = Collect {
        path: Vec::new(),
        found: BTreeSet::new(),
    };
    module.visit(&mut collect);
    collect.found
}

struct Collect {
    path: Vec<String>,
    found: BTreeSet<String>,
}

impl ModuleVisitor for Collect {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if param.base().is_require_grad() {
            self.found.insert(self.path.join("."));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::weight_gradients::tracked;
    use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
    use burn::optim::GradientsParams;
    use burn::tensor::Device;

    #[derive(Module, Debug)]
    struct Normed {
        fc: Linear,
        norm: BatchNorm,
    }

    #[test]
    fn statistics_rest_and_every_trainable_parameter_has_a_gradient() {
        let device = Device::flex().autodiff();
        let mut network = Normed {
            fc: LinearConfig::new(3, 2).init(&device),
            norm: BatchNormConfig::new(2).init(&device),
        };
        network.norm.beta = network.norm.beta.set_require_grad(false);
        let paths = trainable(&network);
        let found: Vec<&str> = paths.iter().map(String::as_str).collect();
        assert_eq!(found, ["fc.bias", "fc.weight", "norm.gamma"]);
        let copy = tracked(&network, &paths).train();
        let x = Tensor::<2>::from_floats([[1.0, 2.0, 3.0], [0.5, -1.0, 4.0]], &device);
        let running = |network: &Normed| -> Vec<f32> {
            let mean = network.norm.running_mean.value_sync();
            mean.into_data().try_to_vec().unwrap()
        };
        let before = running(&network);
        let y = copy.norm.forward(copy.fc.forward(x));
        let gradients = GradientsParams::from_grads(y.sum().backward(), &copy);
        assert_eq!(gradients.len(), 3);
        assert!(gradients.get::<2>(network.fc.weight.id).is_some());
        assert!(gradients.get::<1>(network.norm.gamma.id).is_some());
        assert_eq!(
            (running(&network), running(&copy)),
            (before.clone(), before)
        );
    }
}
