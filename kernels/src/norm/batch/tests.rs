//! Compares with sums in 64-bit floats, and with Burn's own layer on the tape.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use burn::module::Module;
use burn::nn::{BatchNorm, BatchNormConfig};
use burn::tensor::{Device, Tensor, TensorData};
use proptest::prelude::*;
use pulp::Arch;

use super::backend::Sizes;
use super::{batch_norm, columns, planes};
use crate::testing::{agree, cpus, numbers, paths, pool};

const EPSILON: f64 = 1e-3;

/// Input, γ, β and output gradient of `[batch, channels, pixels]`.
struct Case {
    shape: [usize; 3],
    input: Vec<f32>,
    gamma: Vec<f32>,
    beta: Vec<f32>,
    gradient: Vec<f32>,
}

impl Case {
    fn new(shape: [usize; 3], offset: f32) -> Self {
        let count = shape.iter().product();
        Self {
            shape,
            input: numbers(1, count).iter().map(|v| v + offset).collect(),
            gamma: numbers(2, shape[1]),
            beta: numbers(3, shape[1]),
            gradient: numbers(4, count),
        }
    }

    fn sizes(&self) -> Sizes {
        let [batch, channels, pixels] = self.shape;
        Sizes::new(batch, channels, pixels)
    }

    fn channel(&self, index: usize) -> usize {
        index / self.shape[2] % self.shape[1]
    }

    /// Sums of `value` over each channel.
    fn sums(&self, value: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut sums = vec![0.0; self.shape[1]];
        for index in 0..self.input.len() {
            sums[self.channel(index)] += value(index);
        }
        sums
    }

    fn count(&self) -> f64 {
        (self.shape[0] * self.shape[2]) as f64
    }

    fn statistics(&self) -> [Vec<f64>; 2] {
        let x = |i: usize| f64::from(self.input[i]);
        let count = self.count();
        let mean: Vec<f64> = self.sums(x).iter().map(|sum| sum / count).collect();
        let variance = self.sums(|i| (x(i) - mean[self.channel(i)]).powi(2));
        (mean, variance.iter().map(|sum| sum / count).collect()).into()
    }

    /// Output and gradients of x, γ and β, with statistics that depend on the input or that are fixed.
    fn expected(&self, [mean, variance]: [&[f64]; 2], training: bool) -> [Vec<f64>; 4] {
        let inverse: Vec<f64> = variance
            .iter()
            .map(|v| 1.0 / (v + EPSILON).sqrt())
            .collect();
        let normal = |i: usize| {
            let c = self.channel(i);
            (f64::from(self.input[i]) - mean[c]) * inverse[c]
        };
        let g = |i: usize| f64::from(self.gradient[i]);
        let gamma_gradient = self.sums(|i| g(i) * normal(i));
        let beta_gradient = self.sums(g);
        let all = 0..self.input.len();
        let output = all.clone().map(|i| {
            let c = self.channel(i);
            f64::from(self.gamma[c]) * normal(i) + f64::from(self.beta[c])
        });
        let input_gradient = all.map(|i| {
            let c = self.channel(i);
            let shared = (beta_gradient[c] + normal(i) * gamma_gradient[c]) / self.count();
            let shared = if training { shared } else { 0.0 };
            f64::from(self.gamma[c]) * inverse[c] * (g(i) - shared)
        });
        [
            output.collect(),
            input_gradient.collect(),
            gamma_gradient.clone(),
            beta_gradient.clone(),
        ]
    }

    /// Checks both layouts of the work, with every instruction set.
    fn check(&self, tolerance: f64) {
        let (sizes, [mean, variance]) = (self.sizes(), self.statistics());
        let trained = self.expected([&mean, &variance], true);
        let narrow = |values: &[f64]| values.iter().map(|v| *v as f32).collect::<Vec<f32>>();
        let (means, variances) = (narrow(&mean), narrow(&variance));
        let fixed = self.expected([&mean, &variance], false);
        let Self {
            input,
            gamma,
            beta,
            gradient,
            ..
        } = self;
        for arch in paths() {
            for columns in [false, true] {
                let training = if columns {
                    columns::training
                } else {
                    planes::training
                };
                let (output, m, v) = training(arch, sizes, input, gamma, beta, EPSILON);
                agree(&output, &trained[0], tolerance);
                agree(&m, &mean, 1e-6);
                agree(&v, &variance, 1e-5);

                let gradients = match columns {
                    true => columns::training_gradients,
                    false => planes::training_gradients,
                };
                let mut found = gradient.clone();
                let sums = gradients(arch, sizes, input, [gamma, &m, &v], &mut found, EPSILON);
                agree(&found, &trained[1], tolerance);
                agree(&sums.0, &trained[2], tolerance);
                agree(&sums.1, &trained[3], tolerance);

                let forward = if columns {
                    columns::fixed
                } else {
                    planes::fixed
                };
                let statistics = [&gamma[..], beta, &means, &variances];
                let output = forward(arch, sizes, input, statistics, EPSILON);
                agree(&output, &fixed[0], tolerance);

                let scale = match columns {
                    true => columns::fixed_input_gradient,
                    false => planes::fixed_input_gradient,
                };
                let mut found = gradient.clone();
                scale(arch, sizes, [gamma, &variances], &mut found, EPSILON);
                agree(&found, &fixed[1], tolerance);

                let sums = match columns {
                    true => columns::parameter_gradients,
                    false => planes::parameter_gradients,
                };
                let sums = sums(arch, sizes, input, [&means, &variances], gradient, EPSILON);
                agree(&sums.0, &fixed[2], tolerance);
                agree(&sums.1, &fixed[3], tolerance);
            }
        }
    }
}

proptest! {
    #[test]
    fn a_batch_is_normalised_by_its_statistics(
        batch in 1usize..9,
        channels in 1usize..7,
        pixels in 1usize..120,
    ) {
        Case::new([batch, channels, pixels], 0.0).check(1e-4);
    }
}

#[test]
fn parts_and_blocks_of_long_batches_add_up() {
    Case::new([700, 3, 31], 0.0).check(2e-4);
    Case::new([3, 2, 9001], 0.0).check(2e-4);
}

/// The mean is a thousand times the deviation: E[x²] - E[x]² in 32 bits would lose all digits. The values themselves are exact to 3e-5, the deviation
/// is 0.58 and the mean is found to 6e-5. The tolerance allows for this.
#[test]
fn a_large_mean_costs_no_digits_of_the_variance() {
    Case::new([16, 3, 64], 1000.0).check(1e-3);
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    for (shape, columns) in [([64, 16, 49], false), ([3001, 16, 1], true)] {
        let case = Case::new(shape, 0.0);
        let all = || {
            let arch = Arch::new();
            let training = if columns {
                columns::training
            } else {
                planes::training
            };
            let (output, mean, variance) = training(
                arch,
                case.sizes(),
                &case.input,
                &case.gamma,
                &case.beta,
                EPSILON,
            );
            let gradients = match columns {
                true => columns::training_gradients,
                false => planes::training_gradients,
            };
            let mut gradient = case.gradient.clone();
            let sums = gradients(
                arch,
                case.sizes(),
                &case.input,
                [&case.gamma, &mean, &variance],
                &mut gradient,
                EPSILON,
            );
            (output, gradient, sums)
        };
        assert!(pool(1).install(all) == pool(2).install(all));
    }
}

/// Output, gradients of input, γ and β, and running statistics after two batches.
fn two_batches<const D: usize>(
    layer: BatchNorm,
    shape: [usize; D],
    device: &Device,
    forward: fn(&BatchNorm, Tensor<D>) -> Tensor<D>,
) -> Vec<TensorData> {
    let mut found = vec![];
    for seed in 1..3 {
        let data = TensorData::new(numbers(seed, shape.iter().product()), shape);
        let input = Tensor::<D>::from_data(data, device).require_grad();
        let output = forward(&layer, input.clone());
        found.push(output.clone().inner().into_data());
        let gradients = (output.clone() * output.clone() * output).sum().backward();
        found.extend(input.grad(&gradients).map(Tensor::into_data));
        found.extend(layer.gamma.val().grad(&gradients).map(Tensor::into_data));
        found.extend(layer.beta.val().grad(&gradients).map(Tensor::into_data));
    }
    let running = [&layer.running_mean, &layer.running_var];
    found.extend(running.map(|state| state.value_sync().into_data()));
    found
}

#[track_caller]
fn same(ours: Vec<TensorData>, burns: Vec<TensorData>) {
    assert_eq!(ours.len(), burns.len());
    for (ours, burns) in ours.into_iter().zip(burns) {
        let burns: Vec<f64> = burns.convert::<f64>().try_to_vec().unwrap();
        agree(&ours.try_to_vec::<f32>().unwrap(), &burns, 2e-4);
    }
}

#[test]
fn the_layer_trains_as_burns_does() {
    let device = Device::flex().autodiff();
    let layer = || BatchNormConfig::new(3).with_momentum(0.3).init(&device);
    let burns = two_batches(layer(), [4, 3, 6, 7], &device, |l, x| l.forward(x));
    same(
        two_batches(layer(), [4, 3, 6, 7], &device, batch_norm),
        burns,
    );
    let burns = two_batches(layer(), [9, 3], &device, |l, x| l.forward(x));
    assert_eq!(burns.len(), 10);
    same(two_batches(layer(), [9, 3], &device, batch_norm), burns);
}

#[test]
fn a_frozen_layer_uses_its_running_statistics_as_burns_does() {
    let device = Device::flex().autodiff();
    let layer = || {
        let layer = BatchNormConfig::new(3).init(&device);
        two_batches(layer.clone(), [4, 3, 6], &device, |l, x| l.forward(x));
        layer.freeze()
    };
    let burns = two_batches(layer(), [4, 3, 6], &device, |l, x| l.forward(x));
    assert_eq!(burns.len(), 6);
    same(two_batches(layer(), [4, 3, 6], &device, batch_norm), burns);
}

#[test]
fn parameters_learn_while_the_statistics_are_fixed() {
    use burn::module::ParamGroup;

    for device in cpus().into_iter().map(Device::autodiff) {
        let layer = || {
            let layer = BatchNormConfig::new(3).init(&device).freeze();
            let group = ParamGroup::ids_from_module(layer.clone());
            layer.set_require_grad_group(group, true)
        };
        let burns = two_batches(layer(), [4, 3, 6], &device, |l, x| l.forward(x));
        assert_eq!(burns.len(), 10);
        same(two_batches(layer(), [4, 3, 6], &device, batch_norm), burns);
    }
}

#[test]
fn evaluation_agrees_on_every_cpu_backend_and_layout() {
    for device in cpus() {
        let layer = BatchNormConfig::new(5).init(&device);
        let data = TensorData::new(numbers(1, 6 * 7 * 5), [6, 7, 5]);
        // Not contiguous.
        let input = Tensor::<3>::from_data(data, &device).swap_dims(1, 2);
        let burns = vec![layer.forward(input.clone()).into_data()];
        same(vec![batch_norm(&layer, input).into_data()], burns);
    }
}

#[test]
fn what_is_not_finite_spreads_over_its_channel_as_burns_does() {
    let device = Device::flex().autodiff();
    for special in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30] {
        for shape in [[4, 3, 1], [4, 3, 40]] {
            let mut values = numbers(1, shape.iter().product());
            values[shape[2]] = special;
            let input = Tensor::<3>::from_data(TensorData::new(values, shape), &device);
            let layer = BatchNormConfig::new(3).init(&device);
            let ours = batch_norm(&layer, input.clone()).inner().into_data();
            let burns = layer.forward(input).inner().into_data();
            let bits = |data: TensorData| data.try_to_vec::<f32>().unwrap();
            for (ours, burns) in bits(ours).into_iter().zip(bits(burns)) {
                assert_eq!(ours.is_nan(), burns.is_nan(), "{special}: {ours} {burns}");
                assert!(burns.is_nan() || (ours - burns).abs() < 1e-4, "{special}");
            }
        }
    }
}

#[test]
#[should_panic(expected = "axis 1 expected 3, got 4")]
fn another_number_of_channels_is_refused_by_the_layer() {
    let device = Device::flex();
    let layer = BatchNormConfig::new(3).init(&device);
    batch_norm(&layer, Tensor::<3>::zeros([2, 4, 5], &device));
}

#[test]
fn an_empty_batch_is_normalised_in_evaluation() {
    let device = Device::flex();
    let layer = BatchNormConfig::new(3).init(&device);
    let output = batch_norm(&layer, Tensor::<3>::zeros([0, 3, 5], &device));
    assert_eq!(output.dims(), [0, 3, 5]);
}
