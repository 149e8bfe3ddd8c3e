//! Compares with 64-bit floats and with Burn's own functions.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use burn::tensor::{Device, Tensor, TensorData, activation};
use proptest::prelude::*;
use pulp::Arch;

use super::elementwise::{Elementwise, PIECE, chain, map, map_in_place};
use super::error_function::ErrorFunction;
use super::exponential::Exponential;
use super::gelu::Gelu;
use super::gelu_tanh::GeluTanh;
use super::relu::Relu;
use super::sigmoid::Sigmoid;
use super::silu::Silu;
use super::tanh::Tanh;
use crate::testing::{agree, cpus, numbers, paths, pool};

/// Values in -8..8.
fn wide(seed: u32, count: usize) -> Vec<f32> {
    numbers(seed, count).iter().map(|x| 8.0 * x).collect()
}

/// Compares with the function in 64-bit floats, and with its derivative by central differences.
fn check(function: impl Elementwise, oracle: fn(f64) -> f64, of_result: bool, count: usize) {
    let (input, gradient) = (wide(1, count), numbers(2, count));
    let expected: Vec<f64> = input.iter().map(|x| oracle(f64::from(*x))).collect();
    let slopes: Vec<f64> = input
        .iter()
        .zip(&gradient)
        .map(|(x, g)| {
            let (x, step) = (f64::from(*x), 1e-5);
            f64::from(*g) * (oracle(x + step) - oracle(x - step)) / (2.0 * step)
        })
        .collect();
    for arch in paths() {
        let output = map(arch, function, &input);
        agree(&output, &expected, 1e-6);
        let mut changed = input.clone();
        map_in_place(arch, function, &mut changed);
        assert_eq!(changed, output);
        let mut found = gradient.clone();
        chain(
            arch,
            function,
            if of_result { &output } else { &input },
            &mut found,
        );
        // The central difference is accurate to 1e-8 of the function's size.
        agree(&found, &slopes, 2e-6);
    }
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `Φ` by Simpson's rule over the density from zero to `x`.
fn normal(x: f64) -> f64 {
    let steps = 400;
    let width = x / f64::from(steps);
    let sum: f64 = (0..=steps)
        .map(|i| {
            let weight = match i {
                0 => 1.0,
                i if i == steps => 1.0,
                i if i % 2 == 1 => 4.0,
                _ => 2.0,
            };
            weight * (-0.5 * (f64::from(i) * width).powi(2)).exp()
        })
        .sum();
    0.5 + sum * width / 3.0 / (2.0 * std::f64::consts::PI).sqrt()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_function_and_its_gradient_are_those_of_the_formula(count in 0usize..2100) {
        check(Relu, |x| x.max(0.0), true, count);
        check(Gelu, |x| x * normal(x), false, count);
        check(GeluTanh, |x| x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh()) / 2.0, false, count);
        check(Silu, |x| x * logistic(x), false, count);
        check(Sigmoid, logistic, true, count);
        check(Tanh, f64::tanh, true, count);
        check(Exponential, f64::exp, true, count);
        check(ErrorFunction, |x| 2.0 * normal(x * 2f64.sqrt()) - 1.0, false, count);
    }
}

type Pair = (fn(Tensor<3>) -> Tensor<3>, fn(Tensor<3>) -> Tensor<3>);

/// Each function of this crate beside Burn's.
const PAIRS: [Pair; 7] = [
    (super::relu, |x| activation::relu(x)),
    (super::gelu, |x| activation::gelu(x)),
    (super::silu, |x| activation::silu(x)),
    (super::sigmoid, |x| activation::sigmoid(x)),
    (super::tanh, |x| activation::tanh(x)),
    (super::exp, |x| x.exp()),
    (super::erf, |x| x.erf()),
];

/// Compares with Burn's own function on Burn's tape, for a tensor whose axes are swapped.
#[test]
fn gradients_reach_the_input() {
    let device = Device::flex().autodiff();
    for (index, (ours, burns)) in PAIRS.into_iter().enumerate() {
        let run = |function: fn(Tensor<3>) -> Tensor<3>| {
            let data = TensorData::new(wide(1, 3 * 5 * 7), [3, 5, 7]);
            let input = Tensor::<3>::from_data(data, &device).require_grad();
            let output = function(input.clone().swap_dims(0, 2));
            let weights =
                Tensor::<3>::from_data(TensorData::new(numbers(2, 3 * 5 * 7), [7, 5, 3]), &device);
            let gradients = (output.clone() * weights).sum().backward();
            [
                output.inner().into_data(),
                input.grad(&gradients).unwrap().into_data(),
            ]
        };
        for (found, expected) in run(ours).into_iter().zip(run(burns)) {
            let expected: Vec<f64> = expected.convert::<f64>().try_to_vec().unwrap();
            let found: Vec<f32> = found.try_to_vec().unwrap();
            for (found, expected) in found.iter().zip(&expected) {
                assert!(
                    (f64::from(*found) - expected).abs() <= 2e-6 * expected.abs().max(1.0),
                    "function {index}: {found}, not {expected}"
                );
            }
        }
    }
}

/// The gradient of a sum is one number, expanded. Other holders of a tensor must not see it change.
#[test]
fn shared_values_are_not_written() {
    let device = Device::flex().autodiff();
    for (ours, _) in PAIRS {
        let input = Tensor::<3>::from_data(TensorData::new(numbers(1, 24), [2, 3, 4]), &device)
            .require_grad();
        let double = input.clone() * 2.0;
        let before = double.clone().inner().into_data();
        let output = ours(double.clone());
        let kept = output.clone().inner().into_data();
        let gradients = (output.clone().sum() + double.clone().sum()).backward();
        assert_eq!(double.inner().into_data(), before);
        assert_eq!(output.inner().into_data(), kept);
        let first = input.grad(&gradients).unwrap().into_data();
        assert!(
            first
                .try_to_vec::<f32>()
                .unwrap()
                .iter()
                .all(|x| x.is_finite())
        );
    }
}

#[test]
fn a_part_of_a_larger_tensor_is_its_own_input() {
    let device = Device::flex();
    let whole = Tensor::<3>::from_data(TensorData::new(numbers(1, 24), [4, 3, 2]), &device);
    let kept = whole.to_data();
    let part = super::exp(whole.clone().narrow(0, 1, 2)).into_data();
    let expected = whole.clone().narrow(0, 1, 2).exp().into_data();
    let expected: Vec<f64> = expected.convert::<f64>().try_to_vec().unwrap();
    agree(&part.try_to_vec::<f32>().unwrap(), &expected, 1e-6);
    assert_eq!(whole.into_data(), kept);
    let last = Tensor::<3>::from_data(TensorData::new(numbers(1, 24), [4, 3, 2]), &device);
    let part = super::exp(last.narrow(0, 1, 2)).into_data();
    agree(&part.try_to_vec::<f32>().unwrap(), &expected, 1e-6);
}

#[test]
fn what_is_not_finite_stays_what_it_is_in_burn() {
    let device = Device::flex().autodiff();
    let values = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -1e30, 0.0];
    for (index, (ours, burns)) in PAIRS.into_iter().enumerate() {
        let run = |function: fn(Tensor<3>) -> Tensor<3>| {
            let input =
                Tensor::<3>::from_data(TensorData::new(values.to_vec(), [1, 1, 6]), &device)
                    .require_grad();
            let output = function(input.clone());
            let gradients = output.clone().sum().backward();
            let gradient = input.grad(&gradients).unwrap();
            [output.inner(), gradient].map(|tensor| tensor.into_data().try_to_vec::<f32>().unwrap())
        };
        for (found, expected) in run(ours).into_iter().zip(run(burns)) {
            let kind = |x: &f32| match x {
                x if x.is_nan() => "nan",
                x if *x == f32::INFINITY => "inf",
                x if *x == f32::NEG_INFINITY => "-inf",
                _ => "finite",
            };
            let kinds = |values: &[f32]| values.iter().map(kind).collect::<Vec<_>>();
            assert_eq!(
                kinds(&found),
                kinds(&expected),
                "function {index}: {found:?}, {expected:?}"
            );
        }
    }
}

#[test]
fn gelu_keeps_the_digits_of_its_tail() {
    let found = map(Arch::new(), Gelu, &[-6.0]);
    // -6 Φ(-6)
    assert!((found[0] / -5.919_526e-9 - 1.0).abs() < 1e-5, "{found:?}");
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let count = 5 * PIECE + 77;
    let (input, gradient) = (wide(1, count), numbers(2, count));
    let all = || {
        let output = map(Arch::new(), Gelu, &input);
        let mut changed = input.clone();
        map_in_place(Arch::new(), Silu, &mut changed);
        let mut chained = gradient.clone();
        chain(Arch::new(), Gelu, &input, &mut chained);
        [output, changed, chained]
    };
    assert!(pool(1).install(all) == pool(2).install(all));
}

#[test]
fn other_types_and_backends_take_burns_own_functions() {
    use burn::tensor::FloatDType;
    let wide = Tensor::<1>::from_floats([0.5, -0.5], &Device::flex()).cast(FloatDType::F64);
    assert_eq!(
        super::gelu(wide.clone()).into_data(),
        activation::gelu(wide).into_data()
    );
    for device in cpus().into_iter().map(Device::autodiff) {
        let input = Tensor::<1>::from_floats([0.5, -0.5], &device).require_grad();
        let gradients = super::silu(input.clone()).sum().backward();
        let found = input.grad(&gradients).unwrap().into_data();
        let slope = |x: f64| logistic(x) * (1.0 + x * (1.0 - logistic(x)));
        let slopes = [slope(0.5), slope(-0.5)];
        agree(&found.try_to_vec::<f32>().unwrap(), &slopes, 1e-6);
    }
}
