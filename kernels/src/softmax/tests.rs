//! Compares with sums in 64-bit floats and with Burn's own functions.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use burn::nn::loss::CrossEntropyLossConfig;
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use proptest::prelude::*;
use pulp::Arch;

use super::loss::{loss, loss_and_gradient};
use super::rows::{Scale, chain, normalize};
use crate::testing::{agree, cpus, numbers, paths, pool};

/// Values in -6..6.
fn wide(seed: u32, count: usize) -> Vec<f32> {
    numbers(seed, count).iter().map(|x| 6.0 * x).collect()
}

fn doubles(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

/// Softmax of a row in 64-bit floats.
fn shares(row: &[f64]) -> Vec<f64> {
    let sum: f64 = row.iter().map(|x| x.exp()).sum();
    row.iter().map(|x| x.exp() / sum).collect()
}

fn targets(batch: usize, classes: usize) -> Vec<usize> {
    (0..batch)
        .map(|row| (7 * row + row * row) % classes)
        .collect()
}

fn check(batch: usize, width: usize) {
    let input = wide(1, batch * width);
    let incoming = numbers(2, batch * width);
    let (logits, weights) = (doubles(&input), doubles(&incoming));
    let mut expected = [const { Vec::new() }; 6];
    let [
        shares_of,
        logarithms,
        shares_back,
        logarithms_back,
        loss_back,
        losses,
    ] = &mut expected;
    let targets = targets(batch, width);
    for (row, target) in targets.iter().enumerate() {
        let at = row * width..(row + 1) * width;
        let (y, g) = (shares(&logits[at.clone()]), &weights[at]);
        let dot: f64 = y.iter().zip(g).map(|(y, g)| y * g).sum();
        let sum: f64 = g.iter().sum();
        for (j, (y, g)) in y.iter().zip(g).enumerate() {
            shares_of.push(*y);
            logarithms.push(y.ln());
            shares_back.push(y * (g - dot));
            logarithms_back.push(g - y * sum);
            loss_back.push((y - f64::from(u8::from(j == *target))) / batch as f64);
        }
        losses.push(-y[*target].ln());
    }
    let mean = losses.iter().sum::<f64>() / batch as f64;
    for arch in paths() {
        let apply = |scale, expected: &[f64], back: &[f64]| {
            let mut output = input.clone();
            normalize(arch, scale, width, &mut output);
            agree(&output, expected, 2e-6);
            let mut gradient = incoming.clone();
            chain(arch, scale, width, &output, &mut gradient);
            // Sums of up to hundreds of terms.
            agree(&gradient, back, 1e-5);
        };
        apply(Scale::Linear, &expected[0], &expected[2]);
        apply(Scale::Logarithmic, &expected[1], &expected[3]);
        let mut gradient = input.clone();
        let both = loss_and_gradient(arch, width, &mut gradient, &targets);
        agree(&gradient, &expected[4], 1e-6);
        if batch > 0 {
            agree(&[both], &[mean], 2e-6);
        }
        let alone = loss(arch, width, &input, &targets);
        assert!(both.to_bits() == alone.to_bits());
    }
}

proptest! {
    #[test]
    fn softmax_and_cross_entropy_and_their_gradients_are_those_of_the_formula(
        batch in 0usize..20,
        width in 1usize..300,
    ) {
        check(batch, width);
    }
}

#[test]
fn rows_beyond_one_piece_agree() {
    check(3000, 10);
    check(70, 512);
}

type Function = fn(Tensor<3>) -> Tensor<3>;

/// Compares with Burn's own functions on Burn's tape.
#[test]
fn gradients_of_softmax_reach_the_input() {
    let device = Device::flex().autodiff();
    let pairs: [(Function, Function); 2] = [
        (super::softmax, |x| activation::softmax(x, 2)),
        (super::log_softmax, |x| activation::log_softmax(x, 2)),
    ];
    for (ours, burns) in pairs {
        let run = |function: Function| {
            let numbers = |seed| {
                let data = TensorData::new(wide(seed, 3 * 5 * 21), [3, 21, 5]);
                Tensor::<3>::from_data(data, &device)
            };
            let input = numbers(1).require_grad();
            let output = function(input.clone().swap_dims(1, 2));
            let gradients = (output.clone() * numbers(2).swap_dims(1, 2))
                .sum()
                .backward();
            [
                output.inner().into_data(),
                input.grad(&gradients).unwrap().into_data(),
            ]
        };
        for (found, expected) in run(ours).into_iter().zip(run(burns)) {
            let expected: Vec<f64> = expected.convert::<f64>().try_to_vec().unwrap();
            agree(&found.try_to_vec::<f32>().unwrap(), &expected, 1e-5);
        }
    }
}

fn int_tensor(targets: &[usize], device: &Device) -> Tensor<1, Int> {
    let targets: Vec<i64> = targets.iter().map(|target| *target as i64).collect();
    let shape = [targets.len()];
    Tensor::from_data(TensorData::new(targets, shape), device)
}

/// Loss and gradient of this crate and of Burn. The loss is multiplied by `factor` before the backward pass.
fn losses(device: &Device, batch: usize, classes: usize, factor: f32) -> [[Vec<f32>; 2]; 2] {
    let burns = CrossEntropyLossConfig::new().init(device);
    let run = |loss: &dyn Fn(Tensor<2>, Tensor<1, Int>) -> Tensor<1>| {
        let data = TensorData::new(wide(1, batch * classes), [batch, classes]);
        let logits = Tensor::<2>::from_data(data, device).require_grad();
        let loss = loss(logits.clone(), int_tensor(&targets(batch, classes), device));
        let gradients = (loss.clone() * factor).backward();
        [
            loss.inner().into_data().try_to_vec::<f32>().unwrap(),
            logits
                .grad(&gradients)
                .unwrap()
                .into_data()
                .try_to_vec::<f32>()
                .unwrap(),
        ]
    };
    [
        run(&super::cross_entropy),
        run(&|logits, targets| burns.forward(logits, targets)),
    ]
}

#[test]
fn the_cross_entropy_and_its_gradient_are_burns() {
    for device in cpus().into_iter().map(Device::autodiff) {
        for (batch, classes) in [(128, 10), (7, 33), (1, 1), (100, 512)] {
            for factor in [1.0, -2.5] {
                let [ours, burns] = losses(&device, batch, classes, factor);
                for (ours, burns) in ours.iter().zip(&burns) {
                    agree(ours, &doubles(burns), 2e-6);
                }
            }
        }
    }
}

/// The gradient overwrites the logits only if nothing else holds them.
#[test]
fn logits_that_others_hold_are_not_written() {
    let device = Device::flex().autodiff();
    let input = Tensor::<2>::from_data(TensorData::new(wide(1, 40), [4, 10]), &device);
    let logits = input.require_grad() * 2.0;
    let before = logits.clone().inner().into_data();
    let loss = super::cross_entropy(logits.clone(), int_tensor(&[0, 1, 2, 3], &device));
    loss.backward();
    assert_eq!(logits.inner().into_data(), before);
}

#[test]
fn targets_may_be_integers_of_any_width() {
    use burn::tensor::IntDType;
    let device = Device::flex();
    let logits = Tensor::<2>::from_data(TensorData::new(wide(1, 40), [4, 10]), &device);
    let targets = int_tensor(&[3, 9, 0, 5], &device);
    let expected = super::cross_entropy(logits.clone(), targets.clone()).into_scalar::<f32>();
    for dtype in [IntDType::I64, IntDType::I32, IntDType::I16] {
        let loss = super::cross_entropy(logits.clone(), targets.clone().cast(dtype));
        let loss = loss.into_scalar::<f32>();
        assert!(
            (loss - expected).abs() < 1e-6,
            "{dtype:?}: {loss}, not {expected}"
        );
    }
}

#[test]
#[should_panic(expected = "Cross-entropy target 10 of row 1 is not one of 10 classes.")]
fn a_target_that_is_no_class_is_refused() {
    let device = Device::flex();
    let logits = Tensor::<2>::zeros([2, 10], &device);
    super::cross_entropy(logits, int_tensor(&[9, 10], &device));
}

#[test]
#[should_panic(expected = "axis 0 expected 2, got 3")]
fn as_many_targets_as_rows_are_asked_for() {
    let device = Device::flex();
    let logits = Tensor::<2>::zeros([2, 10], &device);
    super::cross_entropy(logits, int_tensor(&[9, 1, 1], &device));
}

#[test]
fn what_is_not_finite_stays_what_it_is_in_burn() {
    let device = Device::flex();
    let (nan, infinite) = (f32::NAN, f32::INFINITY);
    let rows = [
        [0.0, nan, 1.0],
        [0.0, infinite, 1.0],
        [-infinite, 0.0, 1.0],
        [-infinite, -infinite, -infinite],
        [1e30, -1e30, 3.0],
        [nan, nan, nan],
    ];
    let kinds = |tensor: Tensor<2>| -> Vec<String> {
        let values: Vec<f32> = tensor.into_data().try_to_vec().unwrap();
        values
            .iter()
            .map(|x| match x.is_finite() {
                true => format!("{:.3}", x + 0.0),
                false => x.to_string(),
            })
            .collect()
    };
    let input = Tensor::<2>::from_floats(rows, &device);
    assert_eq!(
        kinds(super::softmax(input.clone())),
        kinds(activation::softmax(input.clone(), 1))
    );
    assert_eq!(
        kinds(super::log_softmax(input.clone())),
        kinds(activation::log_softmax(input.clone(), 1))
    );
    for row in 0..rows.len() {
        let logits = input.clone().narrow(0, row, 1);
        let targets = int_tensor(&[0], &device);
        let ours = super::cross_entropy(logits.clone(), targets.clone());
        let burns = CrossEntropyLossConfig::new()
            .init(&device)
            .forward(logits, targets);
        assert_eq!(
            kinds(ours.reshape([1, 1])),
            kinds(burns.reshape([1, 1])),
            "row {row}"
        );
    }
}

#[test]
fn the_loss_of_no_rows_is_not_a_number() {
    let device = Device::flex();
    let loss = super::cross_entropy(Tensor::zeros([0, 10], &device), int_tensor(&[], &device));
    assert!(loss.into_scalar::<f32>().is_nan());
    assert_eq!(
        super::softmax(Tensor::<2>::zeros([0, 4], &device)).dims(),
        [0, 4]
    );
    assert_eq!(
        super::softmax(Tensor::<2>::zeros([4, 0], &device)).dims(),
        [4, 0]
    );
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let (batch, width) = (500, 300);
    let input = wide(1, batch * width);
    let gradient = numbers(2, batch * width);
    let targets = targets(batch, width);
    let all = || {
        let mut output = input.clone();
        normalize(Arch::new(), Scale::Linear, width, &mut output);
        let mut back = gradient.clone();
        chain(Arch::new(), Scale::Linear, width, &output, &mut back);
        let mut logits = input.clone();
        let loss = loss_and_gradient(Arch::new(), width, &mut logits, &targets);
        (output, back, logits, loss)
    };
    assert!(pool(1).install(all) == pool(2).install(all));
}
