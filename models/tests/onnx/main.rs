//! ONNX graphs that the tests write themselves: what they compute, which of their tensors are weights, their
//! gradients, chips and arrays, and what is refused.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod chips;
mod gradients;
mod graph;
mod layers;
mod operators;
mod refusals;
mod weights;
mod write;

use burn::tensor::{Device, Tensor};
use crossburn_models::onnx::{OnnxError, OnnxNetwork};
use crossburn_noise::Philox;

use graph::{Graph, Setting};

fn read(file: &[u8]) -> Result<OnnxNetwork, OnnxError> {
    let external = |_: &_| Err("no file lies beside it".to_string());
    OnnxNetwork::read(file, &external, &Device::flex())
}

/// Numbers between -2 and 2, none near a kink.
fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut values = vec![0.0; count];
    Philox::new(seed, 0).fill_normal(&mut values);
    let away = |x: &f32| x.clamp(-2.0, 2.0) + if *x < 0.0 { -0.1 } else { 0.1 };
    values.iter().map(away).collect()
}

fn compute(file: &[u8], shape: &[usize], values: &[f32]) -> (Vec<usize>, Vec<f32>) {
    let network = read(file).unwrap();
    let output = network
        .run_values(shape, values.to_vec(), &Device::flex())
        .unwrap();
    (output.shape, output.values)
}

fn close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        // Formulas in double precision, against a few roundings of 2^-24.
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }
}

/// A convolutional network with a batch norm: `c`, `bn`, `fc`.
fn small() -> Graph {
    Graph::taking(&[2, 4, 4])
        .floats("c.weight", &[3, 2, 3, 3], &numbers(2, 54))
        .floats("c.bias", &[3], &numbers(3, 3))
        .floats("bn.weight", &[3], &[1.0, 2.0, 0.5])
        .floats("bn.bias", &[3], &[0.1, 0.2, 0.3])
        .floats("bn.running_mean", &[3], &[0.5, -0.5, 0.0])
        .floats("bn.running_var", &[3], &[1.0, 4.0, 0.25])
        .floats("fc.weight", &[5, 12], &numbers(4, 60))
        .floats("fc.bias", &[5], &numbers(5, 5))
        .node(
            "Conv",
            &["x", "c.weight", "c.bias"],
            &["a"],
            &[
                Setting::Ints("pads", &[1, 1, 1, 1]),
                Setting::Ints("strides", &[2, 2]),
            ],
        )
        .node(
            "BatchNormalization",
            &[
                "a",
                "bn.weight",
                "bn.bias",
                "bn.running_mean",
                "bn.running_var",
            ],
            &["b"],
            &[],
        )
        .node("Relu", &["b"], &["r"], &[])
        .node("Flatten", &["r"], &["f"], &[])
        .node(
            "Gemm",
            &["f", "fc.weight", "fc.bias"],
            &["y"],
            &[Setting::Int("transB", 1)],
        )
}

/// The list of operators in the guide is that of the code.
#[test]
fn the_guide_names_every_operator() {
    let guide = include_str!("../../../docs/from-pytorch.md");
    let section = guide.split("### Operators\n").nth(1).unwrap();
    let list = section.trim_start().split("\n\n").next().unwrap();
    let named: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
    assert_eq!(named, OnnxNetwork::operators());
}

/// A graph of these tests, or of the other files beside them, holds every operator.
#[test]
fn every_operator_is_in_a_graph() {
    let tests = [
        include_str!("chips.rs"),
        include_str!("gradients.rs"),
        include_str!("layers.rs"),
        include_str!("main.rs"),
        include_str!("operators.rs"),
        include_str!("weights.rs"),
        include_str!("write.rs"),
    ];
    for operator in OnnxNetwork::operators() {
        let quoted = format!("\"{operator}\"");
        let tested = tests.iter().any(|test| test.contains(&quoted));
        assert!(tested, "no graph here holds a {operator}");
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec_as().unwrap()
}
