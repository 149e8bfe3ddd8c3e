//! Which parameters lie on arrays.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::{Tensor, TensorData};

use crate::NoiseError;

/// Name of the container in which Burn shows what is attached to a parameter.
const ATTACHED: &str = "Reparameterization";

/// Paths of the matrix weights of `module`: parameters named `weight` of rank two or more, of any layer but an embedding.
///
/// In short, these are the weights of linear and convolutional layers. Biases, norms and embeddings are digital, unless
/// [`array_weights`] adds them.
pub fn matrix_weights<M: Module>(module: &M) -> BTreeSet<String> {
    Scan::of(module).matrices
}

/// The [`matrix_weights`] of `module` and the parameters at the paths `also`, such as an embedding that is looked up on an
/// array: any floating-point parameter of rank two or more.
///
/// # Errors
/// [`NoiseError::NoWeight`] for a path without such a parameter.
///
/// ```
/// use burn::{nn::EmbeddingConfig, tensor::Device};
/// use crossburn_noise::{array_weights, matrix_weights};
///
/// let words = EmbeddingConfig::new(5, 4).init(&Device::flex());
/// assert!(matrix_weights(&words).is_empty());
/// assert!(array_weights(&words, ["weight"])?.contains("weight"));
/// assert!(array_weights(&words, ["words"]).is_err());
/// # Ok::<(), crossburn_noise::NoiseError>(())
/// ```
pub fn array_weights<M: Module>(
    module: &M,
    also: impl IntoIterator<Item = impl AsRef<str>>,
) -> Result<BTreeSet<String>, NoiseError> {
    let Scan {
        mut matrices, all, ..
    } = Scan::of(module);
    for path in also {
        let path = path.as_ref();
        if all.iter().all(|(known, _)| known != path) {
            return Err(NoiseError::NoWeight {
                path: path.to_string(),
                known: all.into_iter().map(|(path, _)| path).collect(),
            });
        }
        matrices.insert(path.to_string());
    }
    Ok(matrices)
}

/// The paths of `selected` in the order of the parameters of `module`, which is usually that of its layers.
pub fn weight_order<M: Module>(module: &M, selected: &BTreeSet<String>) -> Vec<String> {
    let scan = Scan::of(module);
    let paths = scan.paths().filter(|path| selected.contains(*path));
    paths.map(str::to_string).collect()
}

/// The `selected` parameters of `module` that repeat another one, each with the path that names their draws: the first path
/// of those with the same identity and values.
///
/// A weight that two layers share is one weight on one array, so it deviates once. Copies that share an identity but were
/// trained separately are different weights, and are not listed.
///
/// ```
/// use burn::{nn::{Linear, LinearConfig}, tensor::Device};
/// use crossburn_noise::{matrix_weights, shared_weights};
///
/// let layer: Linear = LinearConfig::new(3, 3).init(&Device::flex());
/// let tied = vec![layer.clone(), layer];
/// let shared = shared_weights(&tied, &matrix_weights(&tied));
/// assert_eq!(shared["1.weight"], "0.weight");
/// ```
pub fn shared_weights<M: Module>(
    module: &M,
    selected: &BTreeSet<String>,
) -> BTreeMap<String, String> {
    Scan::of(module).shared(module, selected)
}

/// Refuses a module if one of the `selected` weights already carries a reparameterization, such as the adapter of a low-rank
/// adaptation, a quantizer or the deviation of a chip.
///
/// Burn attaches only one reparameterization to a parameter. A second one would replace the first, and a chip made of the
/// weight below would silently be wrong.
///
/// # Errors
/// [`NoiseError::Attached`].
pub fn require_unattached<M: Module>(
    module: &M,
    selected: &BTreeSet<String>,
) -> Result<(), NoiseError> {
    Scan::of(module).require_unattached(selected)
}

/// Names of what is attached to the parameters of `module`.
pub fn attached<M: Module>(module: &M) -> BTreeSet<String> {
    let found = Scan::of(module).attached;
    found.into_iter().map(|(_, what)| what).collect()
}

/// What one visit of a module finds.
#[derive(Default)]
pub(crate) struct Scan {
    path: Vec<String>,
    containers: Vec<String>,
    /// Paths of the matrix weights.
    pub(crate) matrices: BTreeSet<String>,
    /// Path and identity of every float parameter of rank two or more, except those of attached modules.
    all: Vec<(String, ParamId)>,
    /// Path and name of whatever is attached to a parameter.
    attached: Vec<(String, String)>,
}

impl Scan {
    pub(crate) fn of<M: Module>(module: &M) -> Self {
        let mut scan = Self::default();
        module.visit(&mut scan);
        scan
    }

    /// Paths of every float parameter of rank two or more.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|(path, _)| path.as_str())
    }

    /// See [`require_unattached`].
    pub(crate) fn require_unattached(&self, selected: &BTreeSet<String>) -> Result<(), NoiseError> {
        match self
            .attached
            .iter()
            .find(|(path, _)| selected.contains(path))
        {
            Some((path, what)) => Err(NoiseError::Attached {
                path: path.clone(),
                what: what.clone(),
            }),
            None => Ok(()),
        }
    }

    /// See [`shared_weights`].
    pub(crate) fn shared<M: Module>(
        &self,
        module: &M,
        selected: &BTreeSet<String>,
    ) -> BTreeMap<String, String> {
        let mut owners: Vec<(ParamId, Vec<&str>)> = Vec::new();
        for (path, id) in &self.all {
            if !selected.contains(path) {
                continue;
            }
            match owners.iter_mut().find(|(known, _)| known == id) {
                Some((_, paths)) => paths.push(path),
                None => owners.push((*id, vec![path])),
            }
        }
        owners.retain(|(_, paths)| paths.len() > 1);
        let mut shared = BTreeMap::new();
        if owners.is_empty() {
            return shared;
        }
        let mut read = Read {
            path: Vec::new(),
            wanted: owners
                .iter()
                .flat_map(|(_, paths)| paths)
                .copied()
                .collect(),
            found: BTreeMap::new(),
        };
        module.visit(&mut read);
        for (_, mut paths) in owners {
            paths.sort_unstable();
            for (place, path) in paths.iter().enumerate() {
                let first = paths[..place]
                    .iter()
                    .find(|first| read.found.get(**first) == read.found.get(*path));
                if let Some(first) = first {
                    shared.insert((*path).to_string(), (*first).to_string());
                }
            }
        }
        shared
    }
}

impl ModuleVisitor for Scan {
    fn enter_module(&mut self, name: &str, container: &str) {
        if container == ATTACHED {
            self.attached.push((self.path.join("."), name.to_string()));
        }
        self.path.push(name.to_string());
        self.containers.push(container.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
        self.containers.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let attached = self
            .containers
            .iter()
            .any(|container| container == ATTACHED);
        if D < 2 || attached {
            return;
        }
        let path = self.path.join(".");
        let named_weight = self.path.last().is_some_and(|name| name == "weight");
        let embedding = self
            .containers
            .last()
            .is_some_and(|container| container == "Struct:Embedding");
        if named_weight && !embedding {
            self.matrices.insert(path.clone());
        }
        self.all.push((path, param.id));
    }
}

/// Reads the stored values of a few parameters.
struct Read<'a> {
    path: Vec<String>,
    wanted: BTreeSet<&'a str>,
    found: BTreeMap<String, TensorData>,
}

impl ModuleVisitor for Read<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.path.join(".");
        if self.wanted.contains(path.as_str()) {
            self.found.insert(path, param.base().into_data());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use burn::module::Lora;
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

    fn mixed() -> Mixed {
        let device = Device::flex();
        Mixed {
            words: EmbeddingConfig::new(5, 4).init(&device),
            conv: Conv1dConfig::new(4, 3, 3).init(&device),
            norm: BatchNormConfig::new(3).init(&device),
            layer_norm: LayerNormConfig::new(3).init(&device),
            up: ConvTranspose2dConfig::new([3, 2], [2, 2]).init(&device),
            heads: vec![
                LinearConfig::new(3, 2).init(&device),
                LinearConfig::new(2, 2).init(&device),
            ],
        }
    }

    #[test]
    fn linear_and_convolution_weights_are_selected_and_nothing_else() {
        let expected = [
            "conv.weight",
            "heads.0.weight",
            "heads.1.weight",
            "up.weight",
        ];
        let found: Vec<String> = matrix_weights(&mixed()).into_iter().collect();
        assert_eq!(found, expected);
        // What is attached to a weight holds no weights of the network.
        let adapted: Vec<String> = matrix_weights(&mixed().apply_lora(Lora::new(1, 1.0)))
            .into_iter()
            .collect();
        assert_eq!(adapted, expected);
    }

    #[test]
    fn an_embedding_is_selected_by_its_path() {
        let selected = array_weights(&mixed(), ["words.weight"]).unwrap();
        assert_eq!(selected.len(), 5);
        assert!(selected.contains("words.weight"));
        for path in ["words", "norm.gamma", "conv.bias"] {
            let error = array_weights(&mixed(), [path]).unwrap_err().to_string();
            assert!(
                error.contains(&format!("`{path}`")) && error.contains("words.weight"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_shared_weight_is_found_and_copies_trained_apart_are_not() {
        let device = Device::flex();
        let layer: Linear = LinearConfig::new(3, 2).init(&device);
        let other: Linear = LinearConfig::new(3, 2).init(&device);
        let mut moved = layer.clone();
        moved.weight = moved.weight.map(|weight| weight + 1.0);
        let heads = vec![layer.clone(), other, layer.clone(), moved, layer];
        let selected = matrix_weights(&heads);
        let shared = shared_weights(&heads, &selected);
        let expected = [("2.weight", "0.weight"), ("4.weight", "0.weight")];
        let expected = expected.map(|(path, first)| (path.to_string(), first.to_string()));
        assert_eq!(shared, BTreeMap::from(expected));
        // Only one of them lies on arrays: it shares nothing.
        let one = BTreeSet::from(["2.weight".to_string()]);
        assert!(shared_weights(&heads, &one).is_empty());
    }

    #[test]
    fn a_weight_that_carries_something_is_named() {
        let selected = matrix_weights(&mixed());
        assert_eq!(require_unattached(&mixed(), &selected), Ok(()));
        let adapted = mixed().apply_lora(Lora::new(1, 1.0));
        let error = require_unattached(&adapted, &selected).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`heads.0.weight` carries a `lora` already, and Burn attaches one thing to a weight: materialize the network \
             first, or take what is attached off"
        );
    }
}
