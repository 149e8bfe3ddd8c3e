//! Mean folding.

use std::collections::BTreeSet;

use burn::module::Module;

use crate::{Variation, change_host_weights, matrix_weights};

/// Adds the mean of the training variation to the matrix weights: `W <- W + m * max|W|`.
///
/// A network that was trained with a one-sided variation expects the mean of that variation, which chips do not have.
/// Folding changes `max|W|`, so every scale is computed again from the folded weights. Attached reparameterizations are
/// folded in first: the result is a plain module. A weight that two layers share has the same mean under both paths.
///
/// # Source
/// Authors' later code of Yan et al. (arXiv 2312.06137), end of the training procedure.
pub fn fold_mean<M: Module>(module: M, variation: &Variation) -> M {
    let selected = matrix_weights(&module);
    fold_mean_at(module, &selected, variation)
}

/// [`fold_mean`] into the weights at the paths `selected`, such as those of a [`Placement`](crate::Placement).
pub fn fold_mean_at<M: Module>(module: M, selected: &BTreeSet<String>, variation: &Variation) -> M {
    // Burn gives a mapper the stored weight and attaches its reparameterization again afterwards.
    change_host_weights(module.materialize(), selected, |values, shape| {
        let mean = variation.mean_deviation(values, shape);
        for (value, mean) in values.iter_mut().zip(mean) {
            *value += mean;
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::{Distribution, LogNormal};
    use burn::nn::LinearConfig;
    use burn::tensor::Device;

    #[test]
    fn weights_move_by_the_mean_and_biases_stay() {
        let device = Device::flex();
        let layer = LinearConfig::new(4, 3).init(&device);
        let variation = Variation::from(Distribution::right_censored(0.25, 1.0));
        let folded = fold_mean(layer.clone(), &variation);
        let before: Vec<f32> = layer.weight.val().into_data().try_to_vec().unwrap();
        let after: Vec<f32> = folded.weight.val().into_data().try_to_vec().unwrap();
        let largest = before.iter().fold(0.0f32, |a, w| a.max(w.abs()));
        // m(1) = -0.0833 from the papers' table.
        for (before, after) in before.iter().zip(&after) {
            assert!((after - before + 0.25 * 0.0833 * largest).abs() < 2e-5 * largest);
        }
        let bias = |layer: burn::nn::Linear| {
            layer
                .bias
                .unwrap()
                .val()
                .into_data()
                .try_to_vec::<f32>()
                .unwrap()
        };
        assert_eq!(bias(layer), bias(folded));
    }

    #[test]
    fn identity_and_gradient_flag_of_a_parameter_stay() {
        let device = Device::flex().autodiff();
        let mut layer = LinearConfig::new(4, 3).init(&device);
        let variation = Variation::from(Distribution::right_censored(0.25, 1.0));
        for trains in [true, false] {
            layer.weight = layer.weight.set_require_grad(trains);
            let folded = fold_mean(layer.clone(), &variation);
            assert_eq!(folded.weight.id, layer.weight.id);
            assert_eq!(folded.weight.val().is_require_grad(), trains);
            assert_eq!(folded.weight.val().device(), layer.weight.val().device());
        }
    }

    #[test]
    fn a_multiplicative_mean_is_relative_to_the_weight() {
        let layer = LinearConfig::new(4, 3).init(&Device::flex());
        let variation = Variation::from(Distribution::LogNormal(LogNormal { sigma_log: 0.5 }));
        let before: Vec<f32> = layer.weight.val().into_data().try_to_vec().unwrap();
        let after: Vec<f32> = fold_mean(layer, &variation)
            .weight
            .val()
            .into_data()
            .try_to_vec()
            .unwrap();
        // exp(0.5² / 2) = 1.133148.
        assert!(
            before
                .iter()
                .zip(after)
                .all(|(b, a)| (a - 1.133_148 * b).abs() <= 1e-6 * b.abs())
        );
    }
}
