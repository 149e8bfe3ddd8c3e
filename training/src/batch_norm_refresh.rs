//! Running statistics of batch norms, taken again without noise.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use crossburn_hardware::{WeightPlan, quantize_weights};
use crossburn_models::Network;
use crossburn_noise::{Philox, path_hash};

use crate::task::Learn;
use crate::{Passes, Recipe, Run, TrainingError};

/// `network` with running statistics that have followed `passes` passes over the training items with the weights as they
/// are programmed: pruned and quantized by `weights`, without variation. No weight moves. Items come in an order of their own for every pass, in
/// batches of the recipe's size.
///
/// Training under noise leaves statistics of noisy activations. Ranges of quantized activations follow like the
/// statistics. A network without batch norms is given back as it is, at no cost.
///
/// # Errors
/// Those of [`quantize_weights`] and of [`Task::batch`](crate::Task::batch).
///
/// # Source
/// Between training and deployment in the authors' code of Yan et al., ICCAD 2023 (arXiv 2307.15853): 3 passes.
pub(crate) fn batch_norm_refresh<N: Network, T: Learn<N>>(
    network: N,
    passes: usize,
    weights: &WeightPlan,
    recipe: &Recipe,
    run: &Run<'_, T>,
    done: &mut Passes,
) -> Result<N, TrainingError> {
    if passes == 0 || !has_batch_norms(&network) {
        return Ok(network);
    }
    // A copy with statistics of its own, and a view of it that shares them.
    let network = network.valid().train();
    let programmed = quantize_weights(network.clone(), weights)?;
    for pass in 0..passes {
        let stream = Philox::new(recipe.seed ^ path_hash("batch norm refresh"), pass as u64);
        for items in stream
            .permutation(run.train.items())
            .chunks(recipe.training.batch)
        {
            run.train
                .forward(&programmed, &run.train.batch(items, run.device)?);
            done.forward += items.len() as u64;
        }
    }
    Ok(network)
}

/// Whether a batch norm is in `module`.
fn has_batch_norms<M: Module>(module: &M) -> bool {
    let mut find = Find { found: false };
    module.visit(&mut find);
    find.found
}

struct Find {
    found: bool,
}

impl ModuleVisitor for Find {
    fn enter_module(&mut self, _name: &str, container: &str) {
        self.found |= container == "Struct:BatchNorm";
    }

    fn visit_float<const D: usize>(&mut self, _param: &Param<Tensor<D>>) {}
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::data::digits;
    use crate::testing::classes;
    use burn::nn::conv::{Conv2d, Conv2dConfig};
    use burn::nn::{BatchNorm, BatchNormConfig};
    use burn::tensor::Device;
    use crossburn_models::{Classifier, initialize};

    #[derive(Module, Debug)]
    struct Normed {
        conv: Conv2d,
        norm: BatchNorm,
    }

    impl Network for Normed {}

    impl Classifier for Normed {
        fn forward(&self, images: Tensor<4>) -> Tensor<2> {
            let x = self.norm.forward(self.conv.forward(images));
            x.mean_dim(3).mean_dim(2).flatten::<2>(1, 3)
        }
    }

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    fn recipe() -> Recipe {
        toml::from_str(
            "seed = 1\n\
             [model]\nkind = \"mlp\"\nwidths = [784, 10]\n\
             [data]\nsource = \"digits\"\n\
             [training]\nbatch = 30\n\
             [noise]\nkind = \"gaussian\"\nsigma_rel_wmax = 0.5\n",
        )
        .unwrap()
    }

    #[test]
    fn statistics_become_those_of_the_clean_weights_and_no_weight_moves() {
        let device = Device::flex().autodiff();
        let network = Normed {
            conv: Conv2dConfig::new([1, 4], [3, 3]).init(&device),
            norm: BatchNormConfig::new(4).init(&device),
        };
        let network = initialize(network, 2);
        let set = digits(1, 0, 30);
        let task = classes(&set);
        let run = Run {
            train: &task,
            validation: &task,
            device: &device,
            state: None,
            resume: false,
        };
        let mut passes = Passes::default();
        let refreshed = batch_norm_refresh(
            network.clone(),
            200,
            &WeightPlan::default(),
            &recipe(),
            &run,
            &mut passes,
        )
        .unwrap();
        assert_eq!((passes.forward, passes.backward), (200 * 30, 0));
        assert_eq!(
            values(refreshed.conv.weight.val()),
            values(network.conv.weight.val())
        );
        assert_eq!(
            values(refreshed.norm.gamma.val()),
            values(network.norm.gamma.val())
        );
        // The network that was given keeps its statistics.
        assert_eq!(values(network.norm.running_mean.value_sync()), [0.0; 4]);
        // One batch holds all images: what is left of the start after 200 steps is 0.9^200 = 7e-10.
        let all: Vec<usize> = (0..30).collect();
        let x = network
            .valid()
            .conv
            .forward(set.inputs(&all, &Device::flex()));
        let x = x.swap_dims(0, 1).flatten::<2>(1, 3);
        let mean = values(x.clone().mean_dim(1).flatten::<1>(0, 1));
        let variance = values(x.var(1).flatten::<1>(0, 1));
        let found = refreshed.valid();
        for (found, expected) in values(found.norm.running_mean.value()).iter().zip(mean) {
            assert!((found - expected).abs() < 1e-4 * expected.abs().max(0.1));
        }
        // Burn's running variance may divide by n or n - 1: 30 · 26 · 26 values are one in 20000 apart.
        for (found, expected) in values(found.norm.running_var.value()).iter().zip(variance) {
            assert!(
                (found - expected).abs() < 2e-4 * expected,
                "{found} {expected}"
            );
        }
    }

    #[test]
    fn a_network_without_batch_norms_costs_nothing() {
        let device = Device::flex().autodiff();
        let network = crate::method::tests::learner(1).network;
        let task = classes(&digits(1, 0, 4));
        let run = Run {
            train: &task,
            validation: &task,
            device: &device,
            state: None,
            resume: false,
        };
        let mut passes = Passes::default();
        batch_norm_refresh(
            network,
            3,
            &WeightPlan::default(),
            &recipe(),
            &run,
            &mut passes,
        )
        .unwrap();
        assert_eq!(passes, Passes::default());
    }
}
