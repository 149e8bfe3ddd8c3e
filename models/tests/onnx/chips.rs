//! Chips and arrays of graphs.

use burn::module::{Module, Param};
use burn::nn::conv::Conv2dConfig;
use burn::nn::{LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor, TensorData};
use crossburn_hardware::deploy::{Fab, Fidelity, Hardware, MappedNetwork};
use crossburn_hardware::manufacture;
use crossburn_models::Classifier;
use crossburn_models::onnx::OnnxNetwork;
use crossburn_noise::{ChipSeed, Distribution, Philox, Variation, host_weights, matrix_weights};

use super::graph::{Graph, Setting};
use super::{close, numbers, read, small, values};

/// The same network of Burn's layers.
#[derive(Module, Debug)]
struct Small {
    c: burn::nn::conv::Conv2d,
    fc: burn::nn::Linear,
}

fn plain() -> Small {
    let device = Device::flex();
    let mut c = Conv2dConfig::new([2, 3], [3, 3])
        .with_stride([2, 2])
        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
        .init(&device);
    c.weight = Param::from_data(TensorData::new(numbers(2, 54), [3, 2, 3, 3]), &device);
    c.bias = Some(Param::from_data(
        TensorData::new(numbers(3, 3), [3]),
        &device,
    ));
    let mut fc = LinearConfig::new(12, 5).init(&device);
    let weight = Tensor::<2>::from_data(TensorData::new(numbers(4, 60), [5, 12]), &device);
    fc.weight = Param::from_tensor(weight.transpose());
    fc.bias = Some(Param::from_data(
        TensorData::new(numbers(5, 5), [5]),
        &device,
    ));
    Small { c, fc }
}

fn images(count: usize) -> Tensor<4> {
    let data = TensorData::new(numbers(6, count * 32), [count, 2, 4, 4]);
    Tensor::from_data(data, &Device::flex())
}

#[test]
fn a_graph_has_the_tensors_and_the_chips_of_the_same_network() {
    let network = read(&small().file()).unwrap();
    assert_eq!(network.check().unwrap(), Some(vec![5]));
    let paths: Vec<String> = matrix_weights(&network).into_iter().collect();
    assert_eq!(paths, ["c.weight", "fc.weight"]);
    let variation = Variation::from(Distribution::gaussian(0.1));
    for chip in 0..3 {
        let seed = ChipSeed::new(7, chip);
        let of_graph = host_weights(&manufacture(&network, None, &variation, seed));
        let of_plain = host_weights(&manufacture(&plain(), None, &variation, seed));
        assert_eq!(of_graph, of_plain);
    }
}

#[test]
fn the_batch_is_free() {
    let network = read(&small().file()).unwrap();
    let all = values(network.forward(images(6)));
    let each = (0..6).flat_map(|item| {
        let image = images(6).narrow(0, item, 1);
        values(network.forward(image))
    });
    close(&each.collect::<Vec<f32>>(), &all);
}

#[test]
fn ideal_arrays_are_the_digital_network() {
    let hardware = Hardware::from_toml(
        "device = { kind = \"ideal\", g_min = \"1 uS\", g_max = \"100 uS\" }\nmapping = { scheme = \"one-sided-pair\", weight_bits = 8 }\narray = { rows = 7, columns = 5, input = { bits = 8 } }",
    )
    .unwrap();
    // Weights and inputs lie on the grids of eight bits, so that only the rounding of 32-bit sums is left.
    let conv = [
        Setting::Int("group", 2),
        Setting::Ints("pads", &[1, 0, 1, 2]),
    ];
    let cell = [Setting::Int("hidden_size", 4)];
    let rows = [
        (
            "grouped convolution",
            Graph::taking(&[2, 4, 4])
                .floats("w", &[4, 1, 3, 3], &on_grid(1, 36))
                .node("Conv", &["x", "w"], &["y"], &conv),
            true,
        ),
        (
            "linear layer",
            Graph::taking(&[2, 4, 4])
                .floats("w", &[5, 32], &on_grid(2, 160))
                .node("Flatten", &["x"], &["f"], &[])
                .node("Gemm", &["f", "w"], &["y"], &[Setting::Int("transB", 1)]),
            true,
        ),
        (
            // The state after the first step is exact and lies on no grid: in the second, each of four products with weights up
            // to 1 is off by half a step of 1/127 at most, and a tanh makes no difference larger.
            "recurrent cell",
            Graph::taking(&[2, 4, 4])
                .integers("s", &[0, 2, 16])
                .floats("w", &[1, 4, 16], &on_grid(3, 64))
                .floats("r", &[1, 4, 4], &on_grid(4, 16))
                .node("Reshape", &["x", "s"], &["b"], &[])
                .node(
                    "Transpose",
                    &["b"],
                    &["t"],
                    &[Setting::Ints("perm", &[1, 0, 2])],
                )
                .node("RNN", &["t", "w", "r"], &["", "h"], &cell)
                .node(
                    "Transpose",
                    &["h"],
                    &["y"],
                    &[Setting::Ints("perm", &[1, 0, 2])],
                ),
            false,
        ),
    ];
    let data = TensorData::new(on_grid(5, 160), [5, 2, 4, 4]);
    let data = Tensor::<4>::from_data(data, &Device::flex());
    for (name, graph, exact) in rows {
        let network = read(&graph.file()).unwrap();
        let digital = values(network.forward(data.clone()));
        let run = |network: &OnnxNetwork| {
            network.forward(data.clone());
        };
        let mapped = MappedNetwork::new(&network, &hardware, 5, run).unwrap();
        assert!(mapped.unseen().is_empty(), "{name}: {:?}", mapped.unseen());
        let largest = digital.iter().fold(0.0f32, |a, b| a.max(b.abs()));
        for fidelity in [Fidelity::Weight, Fidelity::Array] {
            let chip = mapped
                .fab(fidelity)
                .unwrap()
                .chip(ChipSeed::new(1, 0))
                .unwrap();
            let found = values(chip.forward(data.clone()));
            let bound = match exact || fidelity == Fidelity::Weight {
                true => 1e-5 * largest,
                false => 4.0 * 0.5 / 127.0,
            };
            for (found, expected) in found.iter().zip(&digital) {
                let gap = (found - expected).abs();
                assert!(gap < bound, "{name} {fidelity:?}: {found} {expected}");
            }
        }
    }
}

/// Multiples of 1/127 from -1 to 1, of which the first is 1.
fn on_grid(seed: u64, count: usize) -> Vec<f32> {
    let draws = Philox::new(seed, 1);
    let level = |at: usize| draws.below(at as u64, 255) as f32 - 127.0;
    let level = |at: usize| {
        if at.is_multiple_of(9) {
            127.0
        } else {
            level(at)
        }
    };
    (0..count).map(|at| level(at) / 127.0).collect()
}
