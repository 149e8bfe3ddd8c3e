//! Compares with Burn's own layer, with the operations of other backends, and with results by hand.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use burn::module::Param;
use burn::nn::GroupNormConfig;
use burn::tensor::{Device, TensorData};

use super::*;
use crate::testing::{agree, cpus, numbers};

/// Output, and gradients of input, γ and β.
fn run(
    layer: &GroupNorm,
    shape: [usize; 4],
    device: &Device,
    forward: fn(&GroupNorm, Tensor<4>) -> Tensor<4>,
) -> Vec<TensorData> {
    let values = numbers(1, shape.iter().product());
    // Values far from 0, where differences of large squares would lose all digits.
    let values = values.iter().map(|value| value + 30.0).collect();
    let data = TensorData::new::<f32, _>(values, shape);
    let input = Tensor::<4>::from_data(data, device).require_grad();
    let output = forward(layer, input.clone());
    let gradients = (output.clone() * output.clone() * output.clone())
        .sum()
        .backward();
    let mut found = vec![output.inner().into_data()];
    found.extend(input.grad(&gradients).map(Tensor::into_data));
    for parameter in [&layer.gamma, &layer.beta].into_iter().flatten() {
        found.extend(parameter.val().grad(&gradients).map(Tensor::into_data));
    }
    found
}

fn parameter(seed: u32, count: usize, device: &Device) -> Option<Param<Tensor<1>>> {
    let data = TensorData::new(numbers(seed, count), [count]);
    Some(Param::from_tensor(Tensor::from_data(data, device)))
}

/// Burn's own layer shares no code with the kernel.
#[test]
fn the_layer_trains_as_burns_does() {
    for device in cpus().into_iter().map(Device::autodiff) {
        for (groups, shape) in [
            (2, [3, 6, 8, 9]),
            (1, [2, 4, 7, 5]),
            (5, [4, 5, 1, 3]),
            (8, [1, 16, 64, 64]),
        ] {
            let config = GroupNormConfig::new(groups, shape[1]).with_epsilon(0.03);
            let mut layer = config.init(&device);
            layer.gamma = parameter(2, shape[1], &device);
            layer.beta = parameter(3, shape[1], &device);
            let ours = run(&layer, shape, &device, group_norm);
            let burns = run(&layer, shape, &device, |layer, input| layer.forward(input));
            assert_eq!((ours.len(), burns.len()), (4, 4));
            for (ours, burns) in ours.into_iter().zip(burns) {
                let burns: Vec<f64> = burns.convert::<f64>().try_to_vec().unwrap();
                agree(&ours.try_to_vec::<f32>().unwrap(), &burns, 1e-3);
            }
        }
    }
}

/// Other backends use the operations of [`forward`] and [`gradients`], which share no code with the kernel's runs.
#[test]
fn the_operations_of_a_backend_give_what_the_kernel_gives() {
    let (shape, groups, epsilon) = ([3, 6, 8, 9], 2, 0.03);
    let images = |seed| tensor(numbers(seed, 3 * 6 * 8 * 9), shape);
    let channels = |seed| tensor(numbers(seed, 6), [6]);
    let same = |ours: FlexTensor, others: FlexTensor| {
        let (ours, others) = (dense(ours), dense(others));
        assert_eq!(ours.shape(), others.shape());
        let wide: Vec<f64> = values(&others).iter().map(|x| f64::from(*x)).collect();
        agree(values(&ours), &wide, 1e-4);
    };
    let (x, gamma, beta, gradient) = (images(1), channels(2), channels(3), images(4));
    let ours = Flex::group_norm(x.clone(), gamma.clone(), beta.clone(), groups, epsilon);
    let others = forward::<Flex>(x.clone(), gamma.clone(), beta, groups, epsilon);
    let (mean, variance) = (ours.1.clone(), ours.2.clone());
    same(ours.0, others.0);
    same(ours.1, others.1);
    same(ours.2, others.2);
    let ours = Flex::group_norm_gradients(
        x.clone(),
        gamma.clone(),
        mean.clone(),
        variance.clone(),
        gradient.clone(),
        epsilon,
    );
    let others = gradients::<Flex>(x, gamma, [mean, variance], gradient, epsilon);
    same(ours.0, others.0);
    same(ours.1, others.1);
    same(ours.2, others.2);
}

#[test]
fn two_groups_of_two_values_are_those_of_a_pencil() {
    let device = Device::flex();
    let layer = GroupNormConfig::new(2, 2).with_epsilon(1e-12).init(&device);
    let input = Tensor::<3>::from_floats([[[1.0, 3.0], [-5.0, 5.0]]], &device);
    let output: Vec<f32> = group_norm(&layer, input).into_data().try_to_vec().unwrap();
    agree(&output, &[-1.0, 1.0, -1.0, 1.0], 1e-6);
}

#[test]
fn a_layer_without_parameters_is_burns() {
    let device = Device::flex();
    let layer = GroupNormConfig::new(1, 2).with_affine(false).init(&device);
    let input = Tensor::<3>::from_floats([[[1.0, 2.0], [3.0, 4.0]]], &device);
    let ours: Vec<f32> = group_norm(&layer, input.clone())
        .into_data()
        .try_to_vec()
        .unwrap();
    let burns: Vec<f32> = layer.forward(input).into_data().try_to_vec().unwrap();
    assert_eq!(ours, burns);
}

#[test]
fn no_images_give_no_images() {
    let device = Device::flex();
    let layer = GroupNormConfig::new(2, 4).init(&device);
    let none = Tensor::<4>::zeros([0, 4, 3, 3], &device);
    assert_eq!(group_norm(&layer, none).dims(), [0, 4, 3, 3]);
}

#[test]
fn what_is_not_finite_stays_in_its_group() {
    let device = Device::flex();
    let layer = GroupNormConfig::new(2, 4).init(&device);
    let mut given = numbers(1, 2 * 4 * 40);
    given[3] = f32::NAN;
    let input = Tensor::<3>::from_data(TensorData::new(given, [2, 4, 40]), &device);
    let output: Vec<f32> = group_norm(&layer, input).into_data().try_to_vec().unwrap();
    assert!(output[..80].iter().all(|value| value.is_nan()));
    assert!(output[80..].iter().all(|value| value.is_finite()));
}
