//! Initial weights from a seed, the same on every backend and thread count.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Tensor, TensorData};
use crossburn_noise::Philox;

/// Standard deviation of embeddings and of what stands for them in an adapter.
const EMBEDDING: f64 = 0.02;

/// Burn's convolutions, transposed ones as well: the first axis of a weight is no part of the sum that the rule counts.
const CONVOLUTIONS: [&str; 6] = [
    "Struct:Conv1d",
    "Struct:Conv2d",
    "Struct:Conv3d",
    "Struct:ConvTranspose1d",
    "Struct:ConvTranspose2d",
    "Struct:ConvTranspose3d",
];

/// Redraws every weight that is random at first from `seed`: those of linear and convolutional layers by PyTorch's default
/// rule, embeddings as language models do.
///
/// ```text
/// weight, bias ~ U(-1 / sqrt(fan_in), 1 / sqrt(fan_in)),    embedding ~ N(0, 0.02²)
/// ```
///
/// Of an adapter of a language model, the first factor of a low-rank product follows the first rule, a prompt and a prefix the
/// second. What starts as a constant, such as norm parameters and running statistics, stays. Burn's own initializers draw from
/// one process-wide generator, whose order depends on threads; here every parameter has its own stream.
///
/// # Source
/// PyTorch `nn.Linear.reset_parameters` (Kaiming uniform with a = sqrt 5), documented formula; Radford et al. 2018,
/// "Improving language understanding by generative pre-training", section 4.1, for embeddings.
pub fn initialize<M: Module>(module: M, seed: u64) -> M {
    module.map(&mut Initialize {
        seed,
        stream: 0,
        container: Vec::new(),
        bound: None,
    })
}

struct Initialize {
    seed: u64,
    /// Position of the parameter in the module's own, fixed order: one stream each.
    stream: u64,
    container: Vec<String>,
    /// The bound of the layer whose weight came last, for its bias.
    bound: Option<f64>,
}

impl ModuleMapper for Initialize {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.container.push(format!("{container}/{name}"));
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.container.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.stream += 1;
        let Some((layer, name)) = self
            .container
            .last()
            .and_then(|entry| entry.split_once('/'))
        else {
            return param;
        };
        let shape = param.lazy_shape();
        let generator = Philox::new(self.seed, self.stream);
        match (layer, name) {
            ("Struct:Embedding", "weight") | ("Struct:Adapter", "prompt" | "prefix") => {
                let mut values = vec![0.0f32; shape.num_elements()];
                generator.fill_normal(&mut values);
                values
                    .iter_mut()
                    .for_each(|value| *value = (f64::from(*value) * EMBEDDING) as f32);
                return with_values(param, values);
            }
            // Burn keeps a linear weight as [in, out].
            ("Struct:Linear", "weight") | ("Struct:LinearAdapter", "down") => {
                self.bound = Some(1.0 / (shape[0] as f64).sqrt())
            }
            // For a transposed convolution, PyTorch counts the outputs of a group as its inputs.
            (layer, "weight") if CONVOLUTIONS.contains(&layer) => {
                let fan_in: usize = shape.iter().skip(1).product();
                self.bound = Some(1.0 / (fan_in as f64).sqrt());
            }
            ("Struct:Linear", "bias") => {}
            (layer, "bias") if CONVOLUTIONS.contains(&layer) => {}
            _ => return param,
        }
        let Some(bound) = self.bound else {
            return param;
        };
        let values: Vec<f32> = (0..shape.num_elements() as u64)
            .map(|i| ((2.0 * generator.uniform(i) - 1.0) * bound) as f32)
            .collect();
        with_values(param, values)
    }
}

/// `param` with these values in place of its own.
fn with_values<const D: usize>(param: Param<Tensor<D>>, values: Vec<f32>) -> Param<Tensor<D>> {
    param.map(|held| {
        let options = (&held.device(), held.dtype());
        let drawn = Tensor::from_data(TensorData::new(values, held.shape()), options);
        // `map` hands the tensor as it is used: keep what it says about gradients.
        if held.is_require_grad() {
            drawn.require_grad()
        } else {
            drawn
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use burn::nn::LinearConfig;
    use burn::tensor::Device;

    /// No layer keeps what Burn's own generator, of one process, has drawn.
    #[test]
    fn every_convolution_is_drawn_from_the_seed() {
        use burn::nn::conv::{
            Conv1d, Conv1dConfig, Conv3d, Conv3dConfig, ConvTranspose1d, ConvTranspose1dConfig,
            ConvTranspose2d, ConvTranspose2dConfig, ConvTranspose3d, ConvTranspose3dConfig,
        };
        #[derive(Module, Debug)]
        struct Layers {
            line: Conv1d,
            deep: Conv3d,
            up_line: ConvTranspose1d,
            up: ConvTranspose2d,
            up_deep: ConvTranspose3d,
        }
        struct Largest(Vec<f32>, Vec<f32>);
        impl burn::module::ModuleVisitor for Largest {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                let values: Vec<f32> = param.val().into_data().try_to_vec().unwrap();
                self.0
                    .push(values.iter().fold(0.0, |most, w| most.max(w.abs())));
                self.1.extend(values);
            }
        }
        let device = Device::flex();
        let drawn = || {
            let layers = Layers {
                line: Conv1dConfig::new(4, 64, 4).init(&device),
                deep: Conv3dConfig::new([2, 64], [2, 2, 2]).init(&device),
                up_line: ConvTranspose1dConfig::new([64, 4], 4).init(&device),
                up: ConvTranspose2dConfig::new([64, 4], [2, 2]).init(&device),
                up_deep: ConvTranspose3dConfig::new([64, 2], [2, 2, 2]).init(&device),
            };
            let mut largest = Largest(Vec::new(), Vec::new());
            initialize(layers, 3).visit(&mut largest);
            largest
        };
        let (first, again) = (drawn(), drawn());
        assert_eq!(first.1, again.1);
        // The last axes but the first count 16 in every layer: ±0.25, for its bias too. Of the fewest, two, one is above 0.01.
        assert_eq!(first.0.len(), 10);
        for largest in first.0 {
            assert!((0.01..=0.25).contains(&largest), "{largest}");
        }
    }

    #[test]
    fn weights_follow_the_rule_and_stay_trainable() {
        let device = Device::flex().autodiff();
        let layer = initialize(LinearConfig::new(100, 50).init(&device), 3);
        assert!(
            layer.weight.val().is_require_grad()
                && layer.bias.as_ref().unwrap().val().is_require_grad()
        );
        let values = layer
            .weight
            .val()
            .inner()
            .into_data()
            .try_to_vec::<f32>()
            .unwrap();
        assert!(values.iter().all(|w| w.abs() <= 0.1));
        let n = values.len() as f64;
        let mean = values.iter().map(|w| f64::from(*w)).sum::<f64>() / n;
        let variance = values.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>() / n;
        // Uniform on ±0.1: variance 0.01 / 3; both bounds are four standard errors.
        let expected = 0.01 / 3.0;
        assert!(mean.abs() < 4.0 * (expected / n).sqrt(), "{mean}");
        assert!(
            (variance - expected).abs() < 4.0 * (0.0001f64 * (1.0 / 5.0 - 1.0 / 9.0) / n).sqrt(),
            "{variance}"
        );
    }
}
