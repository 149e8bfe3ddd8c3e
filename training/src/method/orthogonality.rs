//! Orthogonality of weights as a penalty, beside noise injection.

use std::collections::BTreeSet;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use crossburn_models::Network;
use crossburn_noise::{WeightLayout, WeightLayouts, require_unattached};
use serde::{Deserialize, Serialize};

use super::{finite_from_zero, noise_injection};
use crate::TrainingError;
use crate::learner::{Learned, Learner, Step};
use crate::task::Learn;

/// The penalty `β Σ_layers ||W Wᵀ - λ I||²_F` on the clean weights, beside the noise of `[noise]`.
///
/// W has one row per output: `[d_out, d_in]` of a linear layer, `[channels_out, channels_in · k · k]` of a convolution.
/// Rows that are orthogonal and of length √λ keep a layer from amplifying deviations of its input, which are what the
/// variation of the layers before it makes.
///
/// # Source
/// The CorrectNet-style baseline in the authors' code of Yan et al., ICCAD 2023 (arXiv 2307.15853), λ = 1, β from 1e-4 to
/// 5e-4, with Gaussian noise. That code takes products over the last two axes, so of single kernels for a convolution; here
/// a convolution is the matrix that its array holds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Orthogonality {
    /// β: weight of the penalty.
    pub beta: f64,
    /// λ: squared length that rows should have.
    pub lambda: f64,
}

impl Default for Orthogonality {
    fn default() -> Self {
        Self {
            beta: 1e-4,
            lambda: 1.0,
        }
    }
}

impl Orthogonality {
    pub(super) fn check(&self) -> Result<(), TrainingError> {
        finite_from_zero("method.beta", self.beta)?;
        finite_from_zero("method.lambda", self.lambda)
    }

    pub(super) fn step<N: Network, T: Learn<N>>(
        &self,
        learner: &mut Learner<N>,
        step: &Step<'_, T>,
    ) -> Result<Learned<T::Tally>, TrainingError> {
        // The penalty is about stored weights, which are then those that layers compute with.
        let selected = step.weights.placement().on_arrays(&learner.network);
        require_unattached(&learner.network, &selected)?;
        let penalty = self.penalty(&learner.network, selected);
        noise_injection::step(learner, step, penalty)
    }

    /// `[1]`; nothing of a network without weights on arrays.
    fn penalty<M: Module>(&self, network: &M, selected: BTreeSet<String>) -> Option<Tensor<1>> {
        let mut sum = Sum {
            selected,
            layouts: WeightLayouts::of(network),
            path: Vec::new(),
            lambda: self.lambda,
            sum: None,
        };
        network.visit(&mut sum);
        sum.sum.map(|sum| sum * self.beta)
    }
}

struct Sum {
    selected: BTreeSet<String>,
    layouts: WeightLayouts,
    path: Vec<String>,
    lambda: f64,
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for Sum {
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
        let weight = param.base();
        let shape = weight.dims();
        let rows: Tensor<2> = match (self.layouts.layout(&path), shape.as_slice()) {
            // [in, out / groups, taps..]: an output reads the inputs of its group.
            (WeightLayout::Transposed { groups }, [d_in, d_out, taps @ ..]) => {
                let (inputs, taps) = (d_in / groups, taps.iter().product::<usize>());
                weight
                    .reshape([groups, inputs, *d_out, taps])
                    .swap_dims(1, 2)
                    .reshape([groups * d_out, inputs * taps])
            }
            // Burn keeps a linear weight as [in, out].
            (_, [d_in, d_out]) => weight.reshape([*d_in, *d_out]).transpose(),
            (_, [d_out, rest @ ..]) => weight.reshape([*d_out, rest.iter().product()]),
            (_, []) => return,
        };
        let [d_out, _] = rows.dims();
        let unit = Tensor::<2>::eye(d_out, &rows.device()) * self.lambda;
        let term = (rows.clone().matmul(rows.transpose()) - unit)
            .powi_scalar(2)
            .sum();
        self.sum = Some(match self.sum.take() {
            Some(sum) => sum + term,
            None => term,
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose1dConfig};
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::Device;
    use crossburn_noise::matrix_weights;

    #[derive(Module, Debug)]
    struct Two {
        conv: Conv2d,
        fc: Linear,
    }

    #[test]
    fn rows_of_a_transposed_convolution_are_its_outputs() {
        let device = Device::flex();
        // Two groups of two inputs and one output, two taps: the rows are [1, 2, 3, 4] and [5, 6, 7, 8].
        let mut up = ConvTranspose1dConfig::new([4, 2], 2)
            .with_groups(2)
            .init(&device);
        let values = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        up.weight = up
            .weight
            .map(|_| Tensor::<1>::from_floats(values, &device).reshape([4, 1, 2]));
        let penalty = Orthogonality {
            beta: 1.0,
            lambda: 10.0,
        }
        .penalty(&up, matrix_weights(&up));
        let rows = [vec![1.0, 2.0, 3.0, 4.0], vec![5.0, 6.0, 7.0, 8.0]];
        let expected: f64 = residual(&rows, 10.0).iter().flatten().map(|r| r * r).sum();
        let found = f64::from(penalty.unwrap().into_scalar::<f32>());
        assert!((found / expected - 1.0).abs() < 1e-6, "{found} {expected}");
        // One group of the same weights has its two outputs side by side.
        let mut whole = ConvTranspose1dConfig::new([2, 2], 2).init(&device);
        whole.weight = whole
            .weight
            .map(|_| Tensor::<1>::from_floats(values, &device).reshape([2, 2, 2]));
        let penalty = Orthogonality {
            beta: 1.0,
            lambda: 10.0,
        }
        .penalty(&whole, matrix_weights(&whole));
        let rows = [vec![1.0, 2.0, 5.0, 6.0], vec![3.0, 4.0, 7.0, 8.0]];
        let expected: f64 = residual(&rows, 10.0).iter().flatten().map(|r| r * r).sum();
        let found = f64::from(penalty.unwrap().into_scalar::<f32>());
        assert!((found / expected - 1.0).abs() < 1e-6, "{found} {expected}");
    }

    /// `W Wᵀ - λ I` of row-major `rows`.
    fn residual(rows: &[Vec<f64>], lambda: f64) -> Vec<Vec<f64>> {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        (0..rows.len())
            .map(|i| {
                (0..rows.len())
                    .map(|j| dot(&rows[i], &rows[j]) - if i == j { lambda } else { 0.0 })
                    .collect()
            })
            .collect()
    }

    #[test]
    fn penalty_and_gradient_are_those_of_the_formula() {
        let device = Device::flex().autodiff();
        let network = Two {
            conv: Conv2dConfig::new([2, 3], [2, 2]).init(&device),
            fc: LinearConfig::new(4, 3).init(&device),
        };
        let values = |data: burn::tensor::TensorData| -> Vec<f64> {
            let values: Vec<f32> = data.try_to_vec().unwrap();
            values.into_iter().map(f64::from).collect()
        };
        let conv = values(network.conv.weight.val().into_data());
        let conv: Vec<Vec<f64>> = conv.chunks(8).map(<[f64]>::to_vec).collect();
        let fc = values(network.fc.weight.val().into_data());
        let fc: Vec<Vec<f64>> = (0..3)
            .map(|out| (0..4).map(|input| fc[input * 3 + out]).collect())
            .collect();
        let method = Orthogonality {
            beta: 0.25,
            lambda: 0.7,
        };
        let penalty = method.penalty(&network, matrix_weights(&network)).unwrap();
        let square = |rows: &[Vec<f64>]| -> f64 {
            residual(rows, 0.7).iter().flatten().map(|r| r * r).sum()
        };
        let expected = 0.25 * (square(&conv) + square(&fc));
        let found = f64::from(penalty.clone().into_scalar::<f32>());
        assert!(
            (found - expected).abs() < 1e-5 * expected,
            "{found} {expected}"
        );
        // d/dW ||W Wᵀ - λ I||² = 4 (W Wᵀ - λ I) W.
        let gradients = penalty.backward();
        let found = values(network.fc.weight.grad(&gradients).unwrap().into_data());
        let left = residual(&fc, 0.7);
        for out in 0..3 {
            for input in 0..4 {
                let product: f64 = (0..3).map(|k| left[out][k] * fc[k][input]).sum();
                let expected = 0.25 * 4.0 * product;
                let found = found[input * 3 + out];
                assert!((found - expected).abs() < 1e-5, "{found} {expected}");
            }
        }
    }

    #[test]
    fn rows_of_the_right_length_at_right_angles_cost_nothing() {
        let device = Device::flex();
        let mut fc = LinearConfig::new(3, 2).init(&device);
        let rows = [[0.0, 0.5], [0.5, 0.0], [0.0, 0.0]];
        fc.weight = Param::from_tensor(Tensor::from_floats(rows, &device));
        let method = Orthogonality {
            beta: 1.0,
            lambda: 0.25,
        };
        assert_eq!(
            method
                .penalty(&fc, matrix_weights(&fc))
                .unwrap()
                .into_scalar::<f32>(),
            0.0
        );
    }
}
