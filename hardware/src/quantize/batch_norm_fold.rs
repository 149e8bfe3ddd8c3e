//! Batch norm folded into the convolution before it.

use burn::module::{Param, RunningState};
use burn::nn::BatchNorm;
use burn::nn::conv::{Conv1d, Conv2d};
use burn::tensor::Tensor;

/// Folds `norm` into the convolution that it follows and leaves a norm that does nothing in its place.
///
/// ```text
/// f = gamma / sqrt(var + epsilon)        weight <- f weight        bias <- f (bias - mean) + beta
/// ```
///
/// with the running mean and variance, so the pair computes what it computed in evaluation mode. The scale of every
/// channel then lies in cells instead of in digital logic, and a grid per tensor has to hold them all: quantize per
/// channel, or calibrate.
///
/// # Source
/// Jacob et al., CVPR 2018 (arXiv 1712.05877), equation 14.
pub fn fold_batch_norm2d(conv: Conv2d, norm: BatchNorm) -> (Conv2d, BatchNorm) {
    let (mut conv, fold) = (conv, Fold::of(&norm));
    conv.weight = conv.weight.map(|weight| fold.weight(weight));
    conv.bias = Some(fold.bias(conv.bias));
    (conv, fold.neutral(norm))
}

/// The same for a convolution on lines: see [`fold_batch_norm2d`].
pub fn fold_batch_norm1d(conv: Conv1d, norm: BatchNorm) -> (Conv1d, BatchNorm) {
    let (mut conv, fold) = (conv, Fold::of(&norm));
    conv.weight = conv.weight.map(|weight| fold.weight(weight));
    conv.bias = Some(fold.bias(conv.bias));
    (conv, fold.neutral(norm))
}

/// The effect of a norm on channel c: `x -> factor_c (x - mean_c) + beta_c`.
struct Fold {
    factor: Tensor<1>,
    mean: Tensor<1>,
    beta: Tensor<1>,
}

impl Fold {
    fn of(norm: &BatchNorm) -> Self {
        let deviation = (norm.running_var.value_sync() + norm.epsilon).sqrt();
        Self {
            factor: norm.gamma.val() / deviation,
            mean: norm.running_mean.value_sync(),
            beta: norm.beta.val(),
        }
    }

    fn weight<const D: usize>(&self, weight: Tensor<D>) -> Tensor<D> {
        let mut shape = [1; D];
        shape[0] = weight.dims()[0];
        weight * self.factor.clone().reshape(shape)
    }

    fn bias(&self, bias: Option<Param<Tensor<1>>>) -> Param<Tensor<1>> {
        let centred = match &bias {
            Some(bias) => bias.val() - self.mean.clone(),
            None => -self.mean.clone(),
        };
        let folded = centred * self.factor.clone() + self.beta.clone();
        match bias {
            Some(bias) => bias.map(|_| folded),
            None => Param::from_tensor(folded),
        }
    }

    /// A norm that hands its input on. The variance is one less epsilon, so that their sum is one.
    fn neutral(&self, mut norm: BatchNorm) -> BatchNorm {
        let (zeros, ones) = (self.mean.zeros_like(), self.mean.ones_like());
        norm.gamma = norm.gamma.map(|_| ones.clone());
        norm.beta = norm.beta.map(|_| zeros.clone());
        norm.running_mean = RunningState::new(zeros);
        norm.running_var = RunningState::new(ones - norm.epsilon);
        norm
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use burn::nn::conv::{Conv1dConfig, Conv2dConfig};
    use burn::nn::{BatchNormConfig, PaddingConfig1d};
    use burn::tensor::{Device, Distribution};

    /// A norm with statistics and parameters that are not the initial ones.
    fn used_norm(channels: usize, device: &Device) -> BatchNorm {
        let mut norm = BatchNormConfig::new(channels).init(device);
        let draw =
            |low, high| Tensor::<1>::random([channels], Distribution::Uniform(low, high), device);
        norm.gamma = norm.gamma.map(|_| draw(-2.0, 2.0));
        norm.beta = norm.beta.map(|_| draw(-1.0, 1.0));
        norm.running_mean = RunningState::new(draw(-1.0, 1.0));
        norm.running_var = RunningState::new(draw(0.1, 3.0));
        norm
    }

    fn largest<const D: usize>(x: Tensor<D>) -> f32 {
        x.abs().max().into_scalar::<f32>()
    }

    #[test]
    fn the_folded_pair_computes_the_same() {
        let device = Device::flex();
        for (groups, bias) in [(1, true), (2, false)] {
            let conv = Conv2dConfig::new([4, 6], [3, 3])
                .with_groups(groups)
                .with_bias(bias)
                .init(&device);
            let norm = used_norm(6, &device);
            let x = Tensor::<4>::random([2, 4, 7, 7], Distribution::Normal(0.0, 1.0), &device);
            let before = norm.forward(conv.forward(x.clone()));
            let (conv, norm) = fold_batch_norm2d(conv, norm);
            let alone = conv.forward(x);
            // A few roundings of f32 on values of a few units.
            assert!(largest(alone.clone() - before) < 2e-5);
            assert!(largest(norm.forward(alone.clone()) - alone) < 2e-6);
        }
        let conv = Conv1dConfig::new(3, 5, 3)
            .with_padding(PaddingConfig1d::Explicit(1, 1))
            .init(&device);
        let norm = used_norm(5, &device);
        let x = Tensor::<3>::random([2, 3, 9], Distribution::Normal(0.0, 1.0), &device);
        let before = norm.forward(conv.forward(x.clone()));
        let (conv, norm) = fold_batch_norm1d(conv, norm);
        assert!(largest(norm.forward(conv.forward(x)) - before) < 2e-5);
    }
}
