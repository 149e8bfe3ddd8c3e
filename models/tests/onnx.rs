//! ONNX graphs that the tests write themselves: what they compute, their gradients, chips and arrays, and what is refused.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod graph;

use burn::module::{Module, ModuleMapper, Param};
use burn::nn::conv::Conv2dConfig;
use burn::nn::{LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor, TensorData};
use crossburn_hardware::deploy::{Fab, Fidelity, Hardware, MappedNetwork};
use crossburn_hardware::manufacture;
use crossburn_models::Classifier;
use crossburn_models::onnx::{OnnxError, OnnxNetwork};
use crossburn_noise::{ChipSeed, Distribution, Philox, Variation, host_weights, matrix_weights};
use proptest::prelude::*;

use graph::{Graph, Setting, integers};

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

/// What a graph of one node gives for `x`.
fn node(
    kind: &str,
    settings: &[Setting<'_>],
    shape: &[usize],
    x: &[f32],
) -> (Vec<usize>, Vec<f32>) {
    let axes: Vec<i64> = shape[1..].iter().map(|size| *size as i64).collect();
    let graph = Graph::taking(&axes).node(kind, &["x"], &["y"], settings);
    compute(&graph.file(), shape, x)
}

fn close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        // Formulas in double precision, against a few roundings of 2^-24.
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }
}

#[test]
fn functions_of_one_element_are_their_formulas() {
    let x = numbers(1, 24);
    let elu = |x: f64, alpha: f64| if x > 0.0 { x } else { alpha * (x.exp() - 1.0) };
    let soft = |x: f64| (1.0 + x.exp()).ln();
    let hard = |x: f64| (x / 6.0 + 0.5).clamp(0.0, 1.0);
    type Formula<'a> = &'a dyn Fn(f64) -> f64;
    let rows: [(&str, &[Setting<'_>], Formula<'_>); 17] = [
        ("Abs", &[], &|x| x.abs()),
        ("Neg", &[], &|x| -x),
        ("Exp", &[], &|x| x.exp()),
        ("Reciprocal", &[], &|x| 1.0 / x),
        ("Floor", &[], &|x| x.floor()),
        ("Sin", &[], &|x| x.sin()),
        ("Relu", &[], &|x| x.max(0.0)),
        ("LeakyRelu", &[Setting::Float("alpha", 0.25)], &|x| {
            x.max(0.25 * x)
        }),
        ("Elu", &[Setting::Float("alpha", 0.5)], &|x| elu(x, 0.5)),
        ("Celu", &[Setting::Float("alpha", 2.0)], &|x| {
            x.max(0.0) + elu(x.min(0.0) / 2.0, 2.0)
        }),
        ("Sigmoid", &[], &|x| 1.0 / (1.0 + (-x).exp())),
        ("Tanh", &[], &|x| x.tanh()),
        ("HardSwish", &[], &|x| x * hard(x)),
        ("HardSigmoid", &[], &|x| (0.2 * x + 0.5).clamp(0.0, 1.0)),
        ("Softplus", &[], &soft),
        ("Mish", &[], &|x| x * soft(x).tanh()),
        ("Softsign", &[], &|x| x / (1.0 + x.abs())),
    ];
    for (kind, settings, formula) in rows {
        let (shape, found) = node(kind, settings, &[2, 3, 4], &x);
        assert_eq!(shape, [2, 3, 4]);
        let expected: Vec<f32> = x.iter().map(|x| formula(f64::from(*x)) as f32).collect();
        close(&found, &expected);
    }
}

#[test]
fn pools_are_those_of_their_windows() {
    let x: Vec<f32> = (1..=9).map(|x| x as f32).collect();
    let shape = [1, 1, 3, 3];
    let kernel = Setting::Ints("kernel_shape", &[2, 2]);
    let strides = Setting::Ints("strides", &[2, 2]);
    let pads = Setting::Ints("pads", &[1, 1, 0, 0]);
    for (kind, settings, expected) in [
        ("MaxPool", vec![kernel], vec![5.0, 6.0, 8.0, 9.0]),
        (
            "AveragePool",
            vec![Setting::Ints("kernel_shape", &[2, 2])],
            vec![3.0, 4.0, 6.0, 7.0],
        ),
        (
            "MaxPool",
            vec![Setting::Ints("kernel_shape", &[2, 2]), strides, pads],
            vec![1.0, 3.0, 7.0, 9.0],
        ),
        // The padding is no part of a mean, unless asked for.
        (
            "AveragePool",
            vec![
                Setting::Ints("kernel_shape", &[2, 2]),
                Setting::Ints("strides", &[2, 2]),
                Setting::Ints("pads", &[1, 1, 0, 0]),
            ],
            vec![1.0, 2.5, 5.5, 7.0],
        ),
        (
            "AveragePool",
            vec![
                Setting::Ints("kernel_shape", &[2, 2]),
                Setting::Ints("strides", &[2, 2]),
                Setting::Ints("pads", &[1, 1, 0, 0]),
                Setting::Int("count_include_pad", 1),
            ],
            vec![0.25, 1.25, 2.75, 7.0],
        ),
        // A last window over the end counts what is there.
        (
            "AveragePool",
            vec![
                Setting::Ints("kernel_shape", &[2, 2]),
                Setting::Ints("strides", &[2, 2]),
                Setting::Int("ceil_mode", 1),
            ],
            vec![3.0, 4.5, 7.5, 9.0],
        ),
        (
            "MaxPool",
            vec![
                Setting::Ints("kernel_shape", &[2, 2]),
                Setting::Ints("strides", &[2, 2]),
                Setting::Text("auto_pad", "SAME_UPPER"),
            ],
            vec![5.0, 6.0, 8.0, 9.0],
        ),
        ("GlobalAveragePool", vec![], vec![5.0]),
        ("GlobalMaxPool", vec![], vec![9.0]),
    ] {
        close(&node(kind, &settings, &shape, &x).1, &expected);
    }
    let cube: Vec<f32> = (0..8).map(|x| x as f32).collect();
    let box2 = [Setting::Ints("kernel_shape", &[2, 2, 2])];
    close(&node("MaxPool", &box2, &[1, 1, 2, 2, 2], &cube).1, &[7.0]);
    close(
        &node("AveragePool", &box2, &[1, 1, 2, 2, 2], &cube).1,
        &[3.5],
    );
}

#[test]
fn shapes_change_as_numpy_changes_them() {
    let x: Vec<f32> = (0..12).map(|x| x as f32).collect();
    let shape = [1, 3, 4];
    let base = || Graph::taking(&[3, 4]);
    let rows: Vec<(Graph, Vec<usize>, Vec<f32>)> = vec![
        (
            base().node(
                "Transpose",
                &["x"],
                &["y"],
                &[Setting::Ints("perm", &[0, 2, 1])],
            ),
            vec![1, 4, 3],
            (0..12).map(|i| (i % 3 * 4 + i / 3) as f32).collect(),
        ),
        (
            base()
                .integers("s", &[0, -1, 2])
                .node("Reshape", &["x", "s"], &["y"], &[]),
            vec![1, 6, 2],
            x.clone(),
        ),
        (
            base()
                .integers("a", &[-1])
                .integers("b", &[-9])
                .integers("c", &[2])
                .integers("d", &[-2])
                .node("Slice", &["x", "a", "b", "c", "d"], &["y"], &[]),
            vec![1, 3, 2],
            vec![3.0, 1.0, 7.0, 5.0, 11.0, 9.0],
        ),
        (
            base()
                .integers("a", &[1])
                .integers("b", &[99])
                .integers("c", &[2])
                .integers("d", &[2])
                .node("Slice", &["x", "a", "b", "c", "d"], &["y"], &[]),
            vec![1, 3, 2],
            vec![1.0, 3.0, 5.0, 7.0, 9.0, 11.0],
        ),
        (
            base().integers("i", &[2, 0]).node(
                "Gather",
                &["x", "i"],
                &["y"],
                &[Setting::Int("axis", 1)],
            ),
            vec![1, 2, 4],
            vec![8.0, 9.0, 10.0, 11.0, 0.0, 1.0, 2.0, 3.0],
        ),
        (
            base().integers("p", &[0, 0, 1, 0, 0, 0]).node(
                "Pad",
                &["x", "p"],
                &["y"],
                &[Setting::Text("mode", "reflect")],
            ),
            vec![1, 3, 5],
            vec![1., 0., 1., 2., 3., 5., 4., 5., 6., 7., 9., 8., 9., 10., 11.],
        ),
        (
            base().integers("a", &[1]).node(
                "ReduceSum",
                &["x", "a"],
                &["y"],
                &[Setting::Int("keepdims", 0)],
            ),
            vec![1, 4],
            vec![12.0, 15.0, 18.0, 21.0],
        ),
        (
            base().node("ReduceMax", &["x"], &["y"], &[]),
            vec![1, 1, 1],
            vec![11.0],
        ),
        (
            base()
                .integers("n", &[1, 2])
                .node(
                    "Split",
                    &["x", "n"],
                    &["a", "b"],
                    &[Setting::Int("axis", 1)],
                )
                .node("Concat", &["b", "a"], &["y"], &[Setting::Int("axis", 1)]),
            vec![1, 3, 4],
            vec![4., 5., 6., 7., 8., 9., 10., 11., 0., 1., 2., 3.],
        ),
        (
            base()
                .node("Shape", &["x"], &["s"], &[])
                .node(
                    "ConstantOfShape",
                    &["s"],
                    &["o"],
                    &[Setting::Tensor("value", graph::floats("v", &[1], &[2.0]))],
                )
                .node("Mul", &["x", "o"], &["y"], &[]),
            vec![1, 3, 4],
            x.iter().map(|x| 2.0 * x).collect(),
        ),
        (
            base()
                .floats("zero", &[], &[5.0])
                .node("Greater", &["x", "zero"], &["c"], &[])
                .node("Where", &["c", "x", "zero"], &["y"], &[]),
            vec![1, 3, 4],
            x.iter().map(|x| x.max(5.0)).collect(),
        ),
    ];
    for (graph, expected_shape, expected) in rows {
        let (found_shape, found) = compute(&graph.file(), &shape, &x);
        assert_eq!(found_shape, expected_shape);
        close(&found, &expected);
    }
}

#[test]
fn images_are_resized_as_pytorch_resizes_them() {
    let x = [1.0, 2.0, 3.0, 4.0];
    let resize = |settings: &[Setting<'_>]| {
        let graph = Graph::taking(&[1, 2, 2])
            .floats("s", &[4], &[1.0, 1.0, 1.0, 2.0])
            .node("Resize", &["x", "", "s"], &["y"], settings);
        compute(&graph.file(), &[1, 1, 2, 2], &x).1
    };
    // torch.nn.functional.interpolate(x, scale_factor=(1, 2)), nearest and bilinear.
    let nearest = [
        Setting::Text("coordinate_transformation_mode", "asymmetric"),
        Setting::Text("nearest_mode", "floor"),
    ];
    close(&resize(&nearest), &[1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0]);
    let linear = [
        Setting::Text("mode", "linear"),
        Setting::Text("coordinate_transformation_mode", "half_pixel"),
    ];
    close(
        &resize(&linear),
        &[1.0, 1.25, 1.75, 2.0, 3.0, 3.25, 3.75, 4.0],
    );
    let corners = [
        Setting::Text("mode", "linear"),
        Setting::Text("coordinate_transformation_mode", "align_corners"),
    ];
    let third = 1.0 / 3.0;
    close(
        &resize(&corners),
        &[
            1.0,
            1.0 + third,
            2.0 - third,
            2.0,
            3.0,
            3.0 + third,
            4.0 - third,
            4.0,
        ],
    );
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

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec_as().unwrap()
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
fn other_free_axes_are_checked_with_the_samples() {
    let graph = Graph::with_input(&[None, Some(1), None, None], 1)
        .floats("w", &[3, 16], &numbers(1, 48))
        .node("Flatten", &["x"], &["f"], &[])
        .node("Gemm", &["f", "w"], &["y"], &[Setting::Int("transB", 1)]);
    let network = read(&graph.file()).unwrap();
    assert_eq!(network.check().unwrap(), None);
    let item = network.input().item([1, 4, 4]).unwrap();
    assert_eq!(network.check_items(&item).unwrap(), [3]);
    assert_eq!(network.input().item([2, 4, 4]), None);
    let item = network.input().item([1, 5, 4]).unwrap();
    let error = network.check_items(&item).unwrap_err().to_string();
    assert_eq!(
        error,
        "node `n1` (Gemm): its weight takes 16 values, the input is [2, 20]"
    );
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

/// Adds `step` to one element of one parameter.
struct Move<'a> {
    path: Vec<String>,
    target: (&'a str, usize),
    step: f32,
}

impl ModuleMapper for Move<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.path.join(".") != self.target.0 {
            return param;
        }
        param.map(|tensor| {
            let (shape, device) = (tensor.dims(), tensor.device());
            let mut all = values(tensor);
            all[self.target.1] += self.step;
            Tensor::from_data(TensorData::new(all, shape), &device)
        })
    }
}

/// Gradients by element of the parameters of a module.
#[derive(Default)]
struct Gradients<'a> {
    path: Vec<String>,
    all: Option<&'a burn::tensor::Gradients>,
    found: Vec<(String, Vec<f32>)>,
}

impl burn::module::ModuleVisitor for Gradients<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.all.and_then(|all| param.val().grad(all)) {
            self.found.push((self.path.join("."), values(gradient)));
        }
    }
}

/// Compares every gradient of `Σ c y²`, with `c` counting up, with differences. Each parameter must have a gradient.
fn check_gradients(name: &str, graph: &Graph, shape: &[usize], parameters: usize) {
    let device = Device::flex().autodiff();
    let external = |_: &_| Err("none".to_string());
    let network = OnnxNetwork::read(&graph.file(), &external, &device).unwrap();
    let x = numbers(9, shape.iter().product());
    let loss_of = |network: &OnnxNetwork, x: &[f32]| -> f64 {
        let output = network.run_values(shape, x.to_vec(), &device).unwrap();
        let pairs = output.values.iter().enumerate();
        pairs
            .map(|(i, y)| (1.0 + i as f64 * 0.1) * f64::from(*y).powi(2))
            .sum()
    };
    // As a tensor of one axis, which the graph reshapes to what it takes.
    let input =
        Tensor::<1>::from_data(TensorData::new(x.clone(), [x.len()]), &device).require_grad();
    let output = run_any(&network, input.clone(), shape);
    let count = output.dims()[0];
    let weights: Vec<f32> = (0..count).map(|i| 1.0 + i as f32 * 0.1).collect();
    let weights = Tensor::<1>::from_data(TensorData::new(weights, [count]), &device);
    let gradients = (output.clone() * output * weights).sum().backward();
    let mut collect = Gradients {
        all: Some(&gradients),
        ..Gradients::default()
    };
    network.visit(&mut collect);
    let paths: Vec<&String> = collect.found.iter().map(|(path, _)| path).collect();
    assert_eq!(paths.len(), parameters, "{name}: {paths:?}");
    // In training, a batch norm normalizes by the batch, and so it does here.
    let still = network.clone();
    let check = |place: &str, index: usize, found: f32, moved: &dyn Fn(f32) -> f64| {
        let step = 1.0 / 256.0;
        let expected = (moved(step) - moved(-step)) / f64::from(2.0 * step);
        // The step squared times third derivatives of order one, and roundings of 2^-24 of losses over the step.
        let tolerance = 2e-2 * (1.0 + expected.abs());
        assert!(
            (f64::from(found) - expected).abs() < tolerance,
            "{name}: {place} {index}: {found} {expected}"
        );
    };
    for (path, gradient) in &collect.found {
        for index in (0..gradient.len()).step_by(gradient.len().div_ceil(6)) {
            check(path, index, gradient[index], &|step| {
                let moved = still.clone().map(&mut Move {
                    path: Vec::new(),
                    target: (path, index),
                    step,
                });
                loss_of(&moved, &x)
            });
        }
    }
    let gradient = values(input.grad(&gradients).unwrap());
    for index in (0..x.len()).step_by(x.len().div_ceil(8)) {
        check("x", index, gradient[index], &|step| {
            let mut moved = x.clone();
            moved[index] += step;
            loss_of(&still, &moved)
        });
    }
}

/// The output in a row, for an input of any number of axes.
fn run_any(network: &OnnxNetwork, input: Tensor<1>, shape: &[usize]) -> Tensor<1> {
    fn as_shape<const D: usize>(input: Tensor<1>, shape: &[usize]) -> Tensor<D> {
        let shape: [usize; D] = shape.try_into().unwrap();
        input.reshape(shape)
    }
    fn flat(network: &OnnxNetwork, input: Input) -> Tensor<1> {
        let row = |network: &OnnxNetwork| -> usize { network.check().unwrap().unwrap().len() };
        match (input, row(network)) {
            (Input::Two(x), 1) => network.run::<2, 2>(x).unwrap().flatten(0, 1),
            (Input::Two(x), _) => network.run::<2, 3>(x).unwrap().flatten(0, 2),
            (Input::Three(x), 1) => network.run::<3, 2>(x).unwrap().flatten(0, 1),
            (Input::Three(x), 2) => network.run::<3, 3>(x).unwrap().flatten(0, 2),
            (Input::Three(x), _) => network.run::<3, 4>(x).unwrap().flatten(0, 3),
            (Input::Four(x), 1) => network.run::<4, 2>(x).unwrap().flatten(0, 1),
            (Input::Four(x), 2) => network.run::<4, 3>(x).unwrap().flatten(0, 2),
            (Input::Four(x), _) => network.run::<4, 4>(x).unwrap().flatten(0, 3),
        }
    }
    enum Input {
        Two(Tensor<2>),
        Three(Tensor<3>),
        Four(Tensor<4>),
    }
    let input = match shape.len() {
        2 => Input::Two(as_shape(input, shape)),
        3 => Input::Three(as_shape(input, shape)),
        _ => Input::Four(as_shape(input, shape)),
    };
    flat(network, input)
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let image = [2, 2, 4, 4];
    let line = [2, 3, 6];
    let of_image = || Graph::taking(&[2, 4, 4]);
    let of_line = || Graph::taking(&[3, 6]);
    let rows: Vec<(&str, Graph, &[usize], usize)> = vec![
        ("convolution, norm, linear", small(), &image, 6),
        (
            "grouped, dilated convolution with a padding that follows the size",
            of_image()
                .floats("g.weight", &[4, 1, 2, 2], &numbers(11, 16))
                .node(
                    "Conv",
                    &["x", "g.weight"],
                    &["y"],
                    &[
                        Setting::Int("group", 2),
                        Setting::Ints("dilations", &[2, 1]),
                        Setting::Text("auto_pad", "SAME_UPPER"),
                    ],
                ),
            &image,
            1,
        ),
        (
            "convolution of lines",
            of_line()
                .floats("l.weight", &[2, 3, 3], &numbers(12, 18))
                .floats("l.bias", &[2], &numbers(13, 2))
                .node(
                    "Conv",
                    &["x", "l.weight", "l.bias"],
                    &["y"],
                    &[
                        Setting::Ints("pads", &[2, 1]),
                        Setting::Ints("strides", &[2]),
                    ],
                ),
            &line,
            2,
        ),
        (
            "transposed convolution",
            of_image()
                .floats("u.weight", &[2, 3, 3, 3], &numbers(14, 54))
                .floats("u.bias", &[3], &numbers(15, 3))
                .node(
                    "ConvTranspose",
                    &["x", "u.weight", "u.bias"],
                    &["y"],
                    &[
                        Setting::Ints("strides", &[2, 2]),
                        Setting::Ints("pads", &[1, 1, 1, 1]),
                        Setting::Ints("output_padding", &[1, 1]),
                    ],
                ),
            &image,
            2,
        ),
        (
            "pools",
            of_image()
                .node(
                    "MaxPool",
                    &["x"],
                    &["m"],
                    &[Setting::Ints("kernel_shape", &[2, 2])],
                )
                .node(
                    "AveragePool",
                    &["m"],
                    &["y"],
                    &[
                        Setting::Ints("kernel_shape", &[2, 2]),
                        Setting::Ints("pads", &[1, 1, 0, 0]),
                    ],
                ),
            &image,
            0,
        ),
        (
            "norms of layers and of groups",
            of_line()
                .floats("ln.weight", &[6], &numbers(16, 6))
                .floats("ln.bias", &[6], &numbers(17, 6))
                .floats("gn.weight", &[3], &numbers(18, 3))
                .floats("gn.bias", &[3], &numbers(19, 3))
                .node(
                    "LayerNormalization",
                    &["x", "ln.weight", "ln.bias"],
                    &["a"],
                    &[],
                )
                .node(
                    "InstanceNormalization",
                    &["a", "gn.weight", "gn.bias"],
                    &["y"],
                    &[],
                ),
            &line,
            4,
        ),
        (
            "attention",
            of_line()
                .floats("q.weight", &[6, 4], &numbers(20, 24))
                .floats("q.bias", &[4], &numbers(21, 4))
                .floats("k.weight", &[6, 4], &numbers(22, 24))
                .floats("half", &[], &[0.5])
                .node("MatMul", &["x", "q.weight"], &["q0"], &[])
                .node("Add", &["q0", "q.bias"], &["q"], &[])
                .node("MatMul", &["x", "k.weight"], &["k"], &[])
                .node(
                    "Transpose",
                    &["k"],
                    &["t"],
                    &[Setting::Ints("perm", &[0, 2, 1])],
                )
                .node("MatMul", &["q", "t"], &["s0"], &[])
                .node("Mul", &["s0", "half"], &["s"], &[])
                .node("Softmax", &["s"], &["p"], &[Setting::Int("axis", -1)])
                .node("MatMul", &["p", "k"], &["y"], &[]),
            &line,
            3,
        ),
        (
            "slices, joins and padding",
            of_image()
                .integers("a", &[0, 0])
                .integers("b", &[9, 9])
                .integers("c", &[2, 3])
                .integers("d", &[2, 2])
                .integers("p", &[0, 1, 0, 0, 0, 1, 0, 0])
                .node("Slice", &["x", "a", "b", "c", "d"], &["s"], &[])
                .node("Pad", &["s", "p"], &["z"], &[])
                .node("Concat", &["z", "z"], &["y"], &[Setting::Int("axis", 1)]),
            &image,
            0,
        ),
        (
            "resizing",
            of_image().floats("s", &[4], &[1.0, 1.0, 1.5, 2.0]).node(
                "Resize",
                &["x", "", "s"],
                &["y"],
                &[Setting::Text("mode", "linear")],
            ),
            &image,
            0,
        ),
        (
            "reductions",
            of_line()
                .integers("a", &[2])
                .node("ReduceL2", &["x", "a"], &["n"], &[])
                .node("Div", &["x", "n"], &["d"], &[])
                .node(
                    "ReduceLogSumExp",
                    &["d"],
                    &["m"],
                    &[Setting::Ints("axes", &[1])],
                )
                .node("Sub", &["d", "m"], &["y"], &[]),
            &line,
            0,
        ),
        (
            "activations",
            of_line()
                .floats("slope.weight", &[3, 1], &[0.1, 0.2, 0.3])
                .node("PRelu", &["x", "slope.weight"], &["a"], &[])
                .node("Gelu", &["a"], &["b"], &[])
                .node("Mish", &["b"], &["c"], &[])
                .node("Elu", &["c"], &["d"], &[])
                .node("HardSwish", &["d"], &["y"], &[]),
            &line,
            1,
        ),
        ("gated units", recurrent("GRU", 3), &line, 4),
        ("long short-term memory", recurrent("LSTM", 4), &line, 4),
    ];
    for (name, graph, shape, parameters) in rows {
        check_gradients(name, &graph, shape, parameters);
    }
}

/// A recurrent cell over the last axis of lines.
fn recurrent(kind: &str, gates: i64) -> Graph {
    let count = |columns: i64| (gates * 4 * columns) as usize;
    let graph = Graph::taking(&[3, 6])
        .floats("w", &[1, gates * 4, 6], &numbers(30, count(6)))
        .floats("r", &[1, gates * 4, 4], &numbers(31, count(4)))
        .floats("b", &[1, gates * 8], &numbers(32, count(2)))
        .node(
            "Transpose",
            &["x"],
            &["t"],
            &[Setting::Ints("perm", &[1, 0, 2])],
        );
    let reset = [
        Setting::Int("hidden_size", 4),
        Setting::Int("linear_before_reset", 1),
    ];
    let settings = if kind == "GRU" {
        &reset[..]
    } else {
        &reset[..1]
    };
    graph
        .node(kind, &["t", "w", "r", "b"], &["", "h"], settings)
        .node(
            "Transpose",
            &["h"],
            &["y"],
            &[Setting::Ints("perm", &[1, 0, 2])],
        )
}

#[test]
fn what_cannot_run_is_refused_by_its_node() {
    let line = || Graph::taking(&[3, 6]);
    let error = |graph: &Graph| {
        let network = match read(&graph.file()) {
            Ok(network) => network,
            Err(error) => return error.to_string(),
        };
        network.check().unwrap_err().to_string()
    };
    let weight = || line().floats("w", &[2, 3, 3], &numbers(1, 18));
    for (graph, part) in [
        (
            line().node("Einsum", &["x"], &["y"], &[]),
            "node `n0` is a `Einsum`, which is not known",
        ),
        (
            line().node("If", &["x"], &["y"], &[]),
            "node `n0` is a `If`: control flow is not supported",
        ),
        (
            line().node("Relu", &["z"], &["y"], &[]),
            "node `n0` (Relu): its input `z` is not computed before it: the graph has a cycle",
        ),
        (
            line().node("Relu", &["x"], &["z"], &[]),
            "its output `y` is not computed",
        ),
        (
            line().node("Elu", &["x"], &["y"], &[Setting::Int("alpha", 1)]),
            "attribute `alpha` has a type that it cannot have",
        ),
        (
            line().node("Relu", &["x"], &["y"], &[Setting::Int("beta", 1)]),
            "attribute `beta` is not known",
        ),
        (
            weight().node(
                "Conv",
                &["x", "w"],
                &["y"],
                &[Setting::Ints("strides", &[0])],
            ),
            "strides = [0] is not above zero",
        ),
        (
            weight().node("Conv", &["x", "w"], &["y"], &[Setting::Int("group", 0)]),
            "0 groups do not share 2 outputs",
        ),
        (
            weight().node("Conv", &["x", "w"], &["y"], &[Setting::Int("group", 2)]),
            "its weight takes 6 channels, the input has 3",
        ),
        (
            line().node("Conv", &["x", "x"], &["y"], &[]),
            "its weight is computed by the graph",
        ),
        (
            line()
                .stored(&integers("w", &[1, 2]))
                .node("Conv", &["x", "w"], &["y"], &[]),
            "its weight is not of floats: quantized graphs are not read",
        ),
        (
            line()
                .floats("w", &[2, 3, 1], &[f32::NAN; 6])
                .node("Conv", &["x", "w"], &["y"], &[]),
            "value 0 of its weight is no finite number",
        ),
        (
            line()
                .floats("w", &[2, 0, 1], &[])
                .node("Conv", &["x", "w"], &["y"], &[]),
            "its weight of shape [2, 0, 1] is empty",
        ),
        (
            line()
                .floats("w", &[2, 2], &[1.0])
                .node("Relu", &["x"], &["y"], &[]),
            "tensor `w`: shape [2, 2] with 1 values",
        ),
        (
            line()
                .integers("s", &[2, 9])
                .node("Reshape", &["x", "s"], &["y"], &[]),
            "node `n0` (Reshape): shape [2, 3, 6] has not as many values as [2, 9]",
        ),
        (
            line()
                .integers("s", &[2, 18])
                .node("Reshape", &["x", "s"], &["y"], &[]),
            "has not as many values as [2, 18]",
        ),
        (
            line()
                .integers("s", &[1 << 40, 1 << 40, 1])
                .node("Expand", &["x", "s"], &["y"], &[]),
            "is too large",
        ),
        (
            line().node("ReduceMean", &["x"], &["y"], &[]),
            "it gives an output of shape [1, 1, 1], not a row for each",
        ),
        (
            Graph::with_input(&[Some(3), Some(6)], 1).node("Relu", &["x"], &["y"], &[]),
            "it takes batches of 3 alone: export it with a free batch",
        ),
        (
            Graph::with_input(&[None, Some(6)], 7).node("Relu", &["x"], &["y"], &[]),
            "its input `x` is not of floats",
        ),
    ] {
        let found = error(&graph);
        assert!(found.contains(part), "{found}\nexpected {part}");
        assert_eq!(found.lines().count(), 1, "{found}");
    }
    let relu = line().node("Relu", &["x"], &["y"], &[]);
    for (file, part) in [
        (
            relu.with_opset(3),
            "it uses version 3 of ONNX's operators, known are 7 to 24",
        ),
        (b"GIF89a".to_vec(), "it is no ONNX model"),
        (Vec::new(), "it is no ONNX model: there is no graph in it"),
    ] {
        let found = read(&file).unwrap_err().to_string();
        assert!(found.contains(part), "{found}");
    }
    let network = read(&relu.file()).unwrap();
    let found = network.run_values(&[1, 4, 6], vec![0.0; 24], &Device::flex());
    let found = found.unwrap_err().to_string();
    assert_eq!(
        found,
        "its input `x` is batch x 3 x 6, the data have the shape [1, 4, 6]"
    );
}

#[test]
fn a_tensor_that_lies_elsewhere_is_asked_for() {
    let graph::Message(mut bytes) = graph::Message::default()
        .number(1, 2)
        .number(2, 1)
        .text(8, "b");
    let entry = |key: &str, value: &str| graph::Message::default().text(1, key).text(2, value);
    let entries = graph::Message::default()
        .message(13, &entry("location", "net.data"))
        .message(13, &entry("offset", "16"))
        .message(13, &entry("length", "8"))
        .number(14, 1);
    bytes.extend(entries.0);
    let graph =
        Graph::taking(&[2])
            .stored(&graph::Message(bytes))
            .node("Add", &["x", "b"], &["y"], &[]);
    let device = Device::flex();
    let external = |data: &crossburn_models::onnx::ExternalData| {
        assert_eq!(
            (data.location.as_str(), data.offset, data.length),
            ("net.data", 16, Some(8))
        );
        Ok([1f32, 2.0].iter().flat_map(|x| x.to_le_bytes()).collect())
    };
    let network = OnnxNetwork::read(&graph.file(), &external, &device).unwrap();
    let output = network
        .run_values(&[1, 2], vec![10.0, 20.0], &device)
        .unwrap();
    assert_eq!(output.values, [11.0, 22.0]);
    let message = read(&graph.file()).unwrap_err().to_string();
    assert_eq!(message, "tensor `b`: no file lies beside it");
}

/// Reads and, where that gives a network, runs it: neither may panic.
fn survive(file: &[u8]) {
    if let Ok(network) = read(file) {
        let _ = network.check();
        let _ = network.run_values(&[2, 2, 4, 4], vec![0.5; 64], &Device::flex());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn damaged_files_are_errors_and_no_panics(
        place in 0.0f64..1.0,
        cut in proptest::bool::ANY,
        changes in proptest::collection::vec((0.0f64..1.0, any::<u8>()), 1..4),
    ) {
        let mut file = small().file();
        if cut {
            file.truncate((place * file.len() as f64) as usize);
        }
        let length = file.len();
        for (place, byte) in changes {
            if let Some(at) = file.get_mut((place * length as f64) as usize) {
                *at = byte;
            }
        }
        survive(&file);
    }

    #[test]
    fn settings_of_any_size_are_errors_and_no_panics(
        kernel in -3i64..5,
        stride in -1i64..4,
        dilation in -1i64..4,
        pad in -2i64..4,
        group in -1i64..4,
        ceil in 0i64..2,
    ) {
        let sizes = [kernel, kernel];
        let (strides, dilations, pads) = ([stride, 1], [1, dilation], [pad, 0, 1, pad]);
        let settings = || vec![
            Setting::Ints("strides", &strides),
            Setting::Ints("dilations", &dilations),
            Setting::Ints("pads", &pads),
        ];
        let mut conv = settings();
        conv.push(Setting::Int("group", group));
        let weights = numbers(40, 3 * 2 * 9);
        let graph = Graph::taking(&[2, 4, 4]).floats("w", &[3, 2, 3, 3], &weights);
        survive(&graph.clone().node("Conv", &["x", "w"], &["y"], &conv).file());
        let weights = numbers(41, 2 * 3 * 9);
        let graph = Graph::taking(&[2, 4, 4]).floats("w", &[2, 3, 3, 3], &weights);
        survive(&graph.node("ConvTranspose", &["x", "w"], &["y"], &conv).file());
        let mut pool = settings();
        pool.push(Setting::Ints("kernel_shape", &sizes));
        pool.push(Setting::Int("ceil_mode", ceil));
        let graph = Graph::taking(&[2, 4, 4]);
        survive(&graph.clone().node("MaxPool", &["x"], &["y"], &pool).file());
        pool.remove(1);
        survive(&graph.node("AveragePool", &["x"], &["y"], &pool).file());
    }
}
