//! Gradients of graphs, against finite differences.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};
use crossburn_models::onnx::OnnxNetwork;

use super::graph::{Graph, Setting};
use super::{numbers, small, values};

/// Adds `step` to one element of one parameter.
pub(crate) struct Move<'a> {
    pub(crate) path: Vec<String>,
    pub(crate) target: (&'a str, usize),
    pub(crate) step: f32,
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

/// Roundings, one after the other, of the numbers that a loss of these graphs is made of.
const ROUNDINGS: f64 = 8.0;

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
    let loss = loss_of(&still, &x);
    let check = |place: &str, index: usize, found: f32, moved: &dyn Fn(f32) -> f64| {
        let difference = |step: f32| (moved(step) - moved(-step)) / f64::from(2.0 * step);
        let step = 1.0 / 256.0;
        let expected = difference(step);
        // A difference is off by the third derivative times step^2 / 6: that of twice the step by four times as much, so that
        // the two are apart by three times the error. The loss has an error of a few roundings of 2^-24, and the difference that
        // of the loss over the step; the gradient itself has as many.
        let curved = (difference(2.0 * step) - expected).abs() / 3.0;
        let rounded = ROUNDINGS * 2f64.powi(-24);
        let tolerance = 2.0 * curved + rounded * (loss / f64::from(step) + expected.abs());
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
            4,
        ),
        (
            "single numbers",
            of_line()
                .floats("slope", &[1], &[0.3])
                .floats("temperature", &[], &[0.7])
                .floats("fc.weight", &[6, 1], &numbers(23, 6))
                .floats("fc.bias", &[1], &[0.4])
                .node("PRelu", &["x", "slope"], &["a"], &[])
                .node("Mul", &["a", "temperature"], &["b"], &[])
                .node("MatMul", &["b", "fc.weight"], &["c"], &[])
                .node("Add", &["c", "fc.bias"], &["y"], &[]),
            &line,
            4,
        ),
        (
            "a matrix and its transpose",
            of_line()
                .floats("w.weight", &[6, 6], &numbers(24, 36))
                .node("MatMul", &["x", "w.weight"], &["h"], &[])
                .node("Transpose", &["w.weight"], &["t"], &[])
                .node("Tanh", &["h"], &["a"], &[])
                .node("MatMul", &["a", "t"], &["y"], &[]),
            &line,
            1,
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
            "choices",
            of_line()
                .floats("a", &[3, 1], &numbers(33, 3))
                .floats("no", &[6], &numbers(34, 6))
                .node("Greater", &["a", "zero"], &["c"], &[])
                .floats("zero", &[], &[0.0])
                .node("Where", &["c", "x", "no"], &["y"], &[]),
            &line,
            1,
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

/// The length of a vector has no slope at zero, and its direction none either. PyTorch has the gradient zero of such a length, and a
/// vector that stays as it is has the gradient one.
#[test]
fn a_vector_of_zeros_has_a_finite_gradient() {
    let device = Device::flex().autodiff();
    let gradient = |kind: &str, settings: &[Setting<'_>]| {
        let graph = Graph::taking(&[2]).node(kind, &["x"], &["y"], settings);
        let external = |_: &_| Err("none".to_string());
        let network = OnnxNetwork::read(&graph.with_opset(17), &external, &device).unwrap();
        let x = Tensor::<2>::from_floats([[3.0, 4.0], [0.0, 0.0]], &device).require_grad();
        let gradients = network.run::<2, 2>(x.clone()).unwrap().sum().backward();
        values(x.grad(&gradients).unwrap())
    };
    // Of a length, x / |x|. Of the sum of a direction u, (1 - (u1 + u2) u) / |x|: (1 - 1.4 * 0.6) / 5, (1 - 1.4 * 0.8) / 5.
    for (kind, settings, expected) in [
        (
            "ReduceL2",
            Setting::Ints("axes", &[1]),
            [0.6, 0.8, 0.0, 0.0],
        ),
        (
            "LpNormalization",
            Setting::Int("axis", 1),
            [0.032, -0.024, 1.0, 1.0],
        ),
    ] {
        let found = gradient(kind, &[settings]);
        let near = |(found, expected): (&f32, &f32)| (found - expected).abs() < 1e-6;
        assert!(found.iter().zip(&expected).all(near), "{kind}: {found:?}");
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
