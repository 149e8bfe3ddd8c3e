//! Which parameters live on arrays.

use std::collections::BTreeSet;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;

/// Paths of the matrix weights of `module`: parameters named `weight` of rank two or more, of any layer but an embedding.
///
/// Those of linear and convolutional layers, in short. Biases, norms and embeddings are computed digitally.
pub fn matrix_weights<M: Module>(module: &M) -> BTreeSet<String> {
    let mut collect = Collect {
        path: Vec::new(),
        containers: Vec::new(),
        found: BTreeSet::new(),
    };
    module.visit(&mut collect);
    collect.found
}

struct Collect {
    path: Vec<String>,
    containers: Vec<String>,
    found: BTreeSet<String>,
}

impl ModuleVisitor for Collect {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.push(name.to_string());
        self.containers.push(container.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
        self.containers.pop();
    }

    fn visit_float<const D: usize>(&mut self, _param: &Param<Tensor<D>>) {
        let named_weight = self.path.last().is_some_and(|name| name == "weight");
        let embedding = self
            .containers
            .last()
            .is_some_and(|container| container == "Struct:Embedding");
        if D >= 2 && named_weight && !embedding {
            self.found.insert(self.path.join("."));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::conv::{Conv1d, Conv1dConfig, ConvTranspose2d, ConvTranspose2dConfig};
    use burn::nn::{
        BatchNorm, BatchNormConfig, Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear,
        LinearConfig,
    };
    use burn::tensor::Device;

    #[derive(Module, Debug)]
    struct Mixed {
        words: Embedding,
        conv: Conv1d,
        norm: BatchNorm,
        layer_norm: LayerNorm,
        up: ConvTranspose2d,
        heads: Vec<Linear>,
    }

    #[test]
    fn linear_and_convolution_weights_are_selected_and_nothing_else() {
        let device = Device::flex();
        let mixed = Mixed {
            words: EmbeddingConfig::new(5, 4).init(&device),
            conv: Conv1dConfig::new(4, 3, 3).init(&device),
            norm: BatchNormConfig::new(3).init(&device),
            layer_norm: LayerNormConfig::new(3).init(&device),
            up: ConvTranspose2dConfig::new([3, 2], [2, 2]).init(&device),
            heads: vec![
                LinearConfig::new(3, 2).init(&device),
                LinearConfig::new(2, 2).init(&device),
            ],
        };
        let found: Vec<String> = matrix_weights(&mixed).into_iter().collect();
        assert_eq!(
            found,
            [
                "conv.weight",
                "heads.0.weight",
                "heads.1.weight",
                "up.weight"
            ]
        );
    }
}
