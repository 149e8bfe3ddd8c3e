//! Which stored tensors of a graph are one weight, which learn, and which deviate.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use crossburn_hardware::manufacture;
use crossburn_models::onnx::OnnxNetwork;
use crossburn_noise::{ChipSeed, Distribution, Variation, matrix_weights};

use super::gradients::Move;
use super::graph::{self, Graph, Setting};
use super::{close, compute, numbers, read, values};

/// The parameters of a network by path.
#[derive(Default)]
struct Paths {
    path: Vec<String>,
    found: Vec<(String, Vec<f32>)>,
}

impl ModuleVisitor for Paths {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.found.push((self.path.join("."), values(param.val())));
    }
}

pub(crate) fn parameters(network: &OnnxNetwork) -> Vec<(String, Vec<f32>)> {
    let mut paths = Paths::default();
    network.visit(&mut paths);
    paths.found
}

fn paths(graph: &Graph) -> Vec<String> {
    let network = read(&graph.file()).unwrap();
    parameters(&network)
        .into_iter()
        .map(|(path, _)| path)
        .collect()
}

fn matrices(network: &OnnxNetwork) -> Vec<String> {
    matrix_weights(network).into_iter().collect()
}

/// A chip of `network`, and the values of its parameter at `path`.
fn chip(network: &OnnxNetwork, path: &str) -> (OnnxNetwork, Vec<f32>) {
    let variation = Variation::from(Distribution::gaussian(0.1));
    let chip = manufacture(network, None, &variation, ChipSeed::new(7, 0));
    let found = parameters(&chip).into_iter().find(|(own, _)| own == path);
    (chip, found.unwrap().1)
}

pub(crate) fn run(network: &OnnxNetwork, shape: &[usize], x: &[f32]) -> Vec<f32> {
    let output = network.run_values(shape, x.to_vec(), &Device::flex());
    output.unwrap().values
}

#[test]
fn a_matrix_and_its_transpose_are_one_weight() {
    let autoencoder = Graph::taking(&[2])
        .floats("w.weight", &[2, 2], &[1.0, 2.0, 3.0, 4.0])
        .node("MatMul", &["x", "w.weight"], &["h"], &[])
        .node("Transpose", &["w.weight"], &["t"], &[])
        .node("MatMul", &["h", "t"], &["y"], &[]);
    let network = read(&autoencoder.file()).unwrap();
    // (1 + 3, 2 + 4), and (4 + 2 · 6, 3 · 4 + 4 · 6).
    close(&run(&network, &[1, 2], &[1.0, 1.0]), &[16.0, 36.0]);
    assert_eq!(matrices(&network), ["w.weight"]);
    assert!(network.digital_products().is_empty());
    let (chip, w) = chip(&network, "w.weight");
    assert!(w.iter().zip([1.0, 2.0, 3.0, 4.0]).all(|(a, b)| *a != b));
    let h = [w[0] + w[2], w[1] + w[3]];
    let expected = [h[0] * w[0] + h[1] * w[1], h[0] * w[2] + h[1] * w[3]];
    close(&run(&chip, &[1, 2], &[1.0, 1.0]), &expected);
}

#[test]
fn the_same_product_in_two_spellings_is_one_layer() {
    let both = Graph::taking(&[2])
        .floats("w.weight", &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        .node(
            "Gemm",
            &["x", "w.weight"],
            &["a"],
            &[Setting::Int("transB", 1)],
        )
        .node("Transpose", &["w.weight"], &["t"], &[])
        .node("MatMul", &["x", "t"], &["b"], &[])
        .node("Add", &["a", "b"], &["y"], &[]);
    assert_eq!(paths(&both), ["w.weight"]);
    let (_, found) = compute(&both.file(), &[1, 2], &[1.0, 10.0]);
    close(&found, &[42.0, 86.0, 130.0]);
}

/// Every stored matrix of a product is a linear layer, and so deviates, however the product is written.
#[test]
fn stored_matrices_are_linear_layers() {
    let w = [1.0, 0.0, 2.0, 0.0, 1.0, 3.0];
    let x = [1.0, 2.0, 3.0, 4.0];
    let rows = |graph: Graph| graph.floats("w.weight", &[2, 3], &w);
    let cases: Vec<(&str, Graph, Vec<f32>)> = vec![
        (
            "factors and a transposed input",
            rows(Graph::taking(&[2]))
                .floats("c", &[3], &[1.0, 2.0, 4.0])
                .node(
                    "Gemm",
                    &["x", "w.weight", "c"],
                    &["y"],
                    &[
                        Setting::Float("alpha", 2.0),
                        Setting::Float("beta", 0.5),
                        Setting::Int("transA", 1),
                    ],
                ),
            // 2 · ((1, 3), (2, 4)) · w + (0.5, 1, 2).
            vec![2.5, 7.0, 24.0, 4.5, 9.0, 34.0],
        ),
        (
            "a factor of a bias that is left out",
            rows(Graph::taking(&[2])).node(
                "Gemm",
                &["x", "w.weight"],
                &["y"],
                &[Setting::Float("beta", 0.5)],
            ),
            vec![1.0, 2.0, 8.0, 3.0, 4.0, 18.0],
        ),
        (
            "a bias with a row",
            rows(Graph::taking(&[2]))
                .floats("c", &[1, 3], &[1.0, 2.0, 4.0])
                .node("Gemm", &["x", "w.weight", "c"], &["y"], &[]),
            vec![2.0, 4.0, 12.0, 4.0, 6.0, 22.0],
        ),
        (
            "a bias of one number",
            rows(Graph::taking(&[2])).floats("c", &[1], &[5.0]).node(
                "Gemm",
                &["x", "w.weight", "c"],
                &["y"],
                &[],
            ),
            vec![6.0, 7.0, 13.0, 8.0, 9.0, 23.0],
        ),
        (
            "a cast",
            rows(Graph::taking(&[2]))
                .node("Cast", &["w.weight"], &["v"], &[Setting::Int("to", 1)])
                .node("MatMul", &["x", "v"], &["y"], &[]),
            vec![1.0, 2.0, 8.0, 3.0, 4.0, 18.0],
        ),
    ];
    for (name, graph, expected) in cases {
        let network = read(&graph.file()).unwrap();
        assert_eq!(matrices(&network), ["w.weight"], "{name}");
        assert!(network.digital_products().is_empty(), "{name}");
        close(&run(&network, &[2, 2], &x), &expected);
    }
    let left = Graph::taking(&[2, 2])
        .floats("w.weight", &[3, 2], &[1.0, 0.0, 0.0, 1.0, 2.0, 1.0])
        .node("MatMul", &["w.weight", "x"], &["y"], &[]);
    let network = read(&left.file()).unwrap();
    assert_eq!(matrices(&network), ["w.weight"]);
    close(
        &run(&network, &[1, 2, 2], &x),
        &[1.0, 2.0, 3.0, 4.0, 5.0, 8.0],
    );
}

#[test]
fn a_tied_embedding_is_the_weight_of_the_head() {
    let w = [1.0, 0.0, 0.0, 2.0, 1.0, 1.0];
    let tied = Graph::taking(&[2])
        .floats("e.weight", &[3, 2], &w)
        .node("Cast", &["x"], &["i"], &[Setting::Int("to", 7)])
        .node("Gather", &["e.weight", "i"], &["h"], &[])
        .node("Transpose", &["e.weight"], &["t"], &[])
        .node("MatMul", &["h", "t"], &["y"], &[]);
    let network = read(&tied.file()).unwrap();
    close(
        &run(&network, &[1, 2], &[0.0, 1.0]),
        &[1.0, 0.0, 1.0, 0.0, 4.0, 2.0],
    );
    assert_eq!(matrices(&network), ["e.weight"]);
    assert_eq!(paths(&tied), ["e.weight"]);
    // The layer holds the table transposed.
    let (chip, held) = chip(&network, "e.weight");
    let table = |row: usize| [held[row], held[3 + row]];
    let dot = |a: usize, b: usize| table(a)[0] * table(b)[0] + table(a)[1] * table(b)[1];
    let expected: Vec<f32> = (0..6).map(|at| dot(at / 3, at % 3)).collect();
    close(&run(&chip, &[1, 2], &[0.0, 1.0]), &expected);
}

#[test]
fn products_with_numbers_of_no_layer_are_named() {
    let stack = Graph::taking(&[2, 2])
        .floats("w", &[1, 2, 2], &[1.0, 2.0, 3.0, 4.0])
        .node("MatMul", &["x", "w"], &["y"], &[]);
    assert_eq!(read(&stack.file()).unwrap().digital_products(), ["n0"]);
    let computed = Graph::taking(&[2])
        .floats("w", &[2, 2], &[1.0, 2.0, 3.0, 4.0])
        .node("Exp", &["w"], &["e"], &[])
        .node("MatMul", &["x", "e"], &["y"], &[]);
    assert_eq!(read(&computed.file()).unwrap().digital_products(), ["n1"]);
    let attention = Graph::taking(&[2, 2]).node("MatMul", &["x", "x"], &["y"], &[]);
    assert!(
        read(&attention.file())
            .unwrap()
            .digital_products()
            .is_empty()
    );
}

#[test]
fn norms_that_share_a_scale_keep_their_statistics() {
    let one = |name: &str, value: f32| (name.to_string(), value);
    let tensors = [
        one("bn1.weight", 2.0),
        one("bn1.bias", 1.0),
        one("bn1.running_mean", 0.0),
        one("bn1.running_var", 0.75),
        one("bn2.running_mean", 1.0),
        one("bn2.running_var", 3.75),
    ];
    let graph = tensors
        .iter()
        .fold(Graph::taking(&[1]), |graph, (name, value)| {
            graph.floats(name, &[1], &[*value])
        });
    let norm = |graph: Graph, number: usize, from: &str, to: &str| {
        let (mean, var) = (
            format!("bn{number}.running_mean"),
            format!("bn{number}.running_var"),
        );
        let inputs = [from, "bn1.weight", "bn1.bias", &mean, &var];
        graph.node(
            "BatchNormalization",
            &inputs,
            &[to],
            &[Setting::Float("epsilon", 0.25)],
        )
    };
    let graph = norm(norm(graph, 1, "x", "h"), 2, "h", "y");
    // With 0.25 the variances are 1 and 4: 2 · 3 + 1, and 2 · (7 - 1) / 2 + 1.
    close(&compute(&graph.file(), &[1, 1], &[3.0]).1, &[7.0]);
    close(&compute(&graph.file(), &[1, 1], &[4.0]).1, &[9.0]);
    let found = paths(&graph);
    assert!(found.contains(&"bn1.gamma".to_string()), "{found:?}");
    assert!(found.contains(&"bn2.gamma".to_string()), "{found:?}");
    let layers = Graph::taking(&[2])
        .floats("ln.weight", &[2], &[1.0, 1.0])
        .node(
            "LayerNormalization",
            &["x", "ln.weight"],
            &["a"],
            &[Setting::Float("epsilon", 0.5625)],
        )
        .node(
            "LayerNormalization",
            &["x", "ln.weight"],
            &["b"],
            &[Setting::Float("epsilon", 3.0)],
        )
        .node("Add", &["a", "b"], &["y"], &[]);
    // The variance is 1: 1 / 1.25 and 1 / 2.
    let (_, found) = compute(&layers.file(), &[1, 2], &[1.0, -1.0]);
    close(&found, &[1.3, -1.3]);
}

#[test]
fn single_numbers_learn_and_masks_and_limits_do_not() {
    let graph = Graph::taking(&[2])
        .floats("temperature", &[], &[2.0])
        .floats("onnx::PRelu_7", &[1], &[0.5])
        .floats("onnx::Add_8", &[], &[1e-5])
        .floats("val_3", &[], &[1e-5])
        .floats("mask", &[2], &[0.0, f32::NEG_INFINITY])
        .floats("low", &[], &[-1.0])
        .floats("two", &[], &[2.0])
        .floats("fc.weight", &[2, 1], &[1.0, 1.0])
        .floats("fc.bias", &[1], &[0.5])
        .node("Mul", &["x", "temperature"], &["a"], &[])
        .node("PRelu", &["a", "onnx::PRelu_7"], &["b"], &[])
        .node("Add", &["b", "onnx::Add_8"], &["c"], &[])
        .node("Add", &["c", "val_3"], &["d"], &[])
        .node("Add", &["d", "mask"], &["e"], &[])
        .node("Clip", &["e", "low"], &["f"], &[])
        .node("Pow", &["f", "two"], &["g"], &[])
        .node("MatMul", &["g", "fc.weight"], &["h"], &[])
        .node("Add", &["h", "fc.bias"], &["y"], &[]);
    let mut found = paths(&graph);
    found.sort_unstable();
    assert_eq!(
        found,
        ["fc.bias", "fc.weight", "onnx::PRelu_7", "temperature"]
    );
    // The mask leaves (2 · 3)², and the limit 1 of what is -inf.
    let (_, output) = compute(&graph.file(), &[1, 2], &[3.0, 5.0]);
    assert!((output[0] - 37.5).abs() < 1e-3, "{output:?}");
}

/// A graph that stores the matrix or kernel `name` as an initializer, or in a node `Constant`.
type Stores = fn(Graph, &str, &[i64], &[f32]) -> Graph;

const STORES: [Stores; 2] = [
    |graph, name, shape, values| graph.floats(name, shape, values),
    |graph, name, shape, values| {
        let tensor = graph::floats("", shape, values);
        graph.node(
            "Constant",
            &[],
            &[name],
            &[Setting::Tensor("value", tensor)],
        )
    },
];

/// What a layer takes as its weight is one, wherever the file stores it, whoever else reads it, and in whichever order.
#[test]
fn a_constant_that_a_layer_takes_is_its_weight() {
    for store in STORES {
        let turned = Graph::taking(&[2])
            .node("Transpose", &["k"], &["t"], &[])
            .node("MatMul", &["x", "k"], &["a"], &[])
            .node("MatMul", &["x", "t"], &["b"], &[])
            .node("Add", &["a", "c"], &["d"], &[])
            .node("Concat", &["d", "b"], &["y"], &[Setting::Int("axis", 1)]);
        let graph = store(turned, "k", &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
        let graph = store(graph, "c", &[2], &[0.5, 0.25]);
        let network = read(&graph.file()).unwrap();
        assert_eq!(paths(&graph), ["k.weight", "k.bias"]);
        assert_eq!(matrices(&network), ["k.weight"]);
        assert!(network.digital_products().is_empty());
        close(
            &run(&network, &[1, 2], &[1.0, 10.0]),
            &[31.5, 42.25, 21.0, 43.0],
        );
        let (chip, k) = chip(&network, "k.weight");
        assert!(k.iter().zip([1.0, 2.0, 3.0, 4.0]).all(|(a, b)| *a != b));
        // The rows of the identity are the matrix and its transpose.
        let found = run(&chip, &[2, 2], &[1.0, 0.0, 0.0, 1.0]);
        let expected = [
            k[0] + 0.5,
            k[1] + 0.25,
            k[0],
            k[2],
            k[2] + 0.5,
            k[3] + 0.25,
            k[1],
            k[3],
        ];
        close(&found, &expected);
        let kernel = store(Graph::taking(&[1, 2]), "k", &[1, 1, 1], &[2.0]).node(
            "Conv",
            &["x", "k"],
            &["y"],
            &[],
        );
        assert_eq!(matrices(&read(&kernel.file()).unwrap()), ["k.weight"]);
        let error = store(Graph::taking(&[1, 2]), "k", &[1, 1, 1], &[2.0])
            .node("Conv", &["x", "k"], &["h"], &[])
            .node("Add", &["h", "k"], &["y"], &[]);
        let error = read(&error.file()).unwrap_err().to_string();
        assert!(
            error.contains("it takes `k` as a value, which is part of"),
            "{error}"
        );
    }
}

#[test]
fn a_constant_that_no_layer_takes_stays_as_it_is() {
    let graph = STORES[1](Graph::taking(&[2, 2]), "k", &[2, 2], &[1.0, 2.0, 3.0, 4.0])
        .node("Transpose", &["k"], &["t"], &[])
        .node("Mul", &["x", "t"], &["a"], &[])
        .node("Add", &["a", "k"], &["y"], &[]);
    assert!(paths(&graph).is_empty());
    let (_, found) = compute(&graph.file(), &[1, 2, 2], &[1.0, 10.0, 100.0, 1000.0]);
    close(&found, &[2.0, 32.0, 203.0, 4004.0]);
}

/// A bias that is read as a value is the parameter of its layer there, too.
#[test]
fn a_bias_that_is_read_is_one_parameter() {
    let matrix = || {
        Graph::taking(&[2])
            .floats("fc.weight", &[2, 2], &[1.0, 2.0, 3.0, 4.0])
            .floats("fc.bias", &[2], &[0.5, 0.25])
    };
    let scaled = |graph: Graph| graph.node("Mul", &["h", "fc.bias"], &["y"], &[]);
    let product = scaled(
        matrix()
            .node("MatMul", &["x", "fc.weight"], &["a"], &[])
            .node("Add", &["a", "fc.bias"], &["h"], &[]),
    );
    let gemm = scaled(matrix().node("Gemm", &["x", "fc.weight", "fc.bias"], &["h"], &[]));
    for graph in [product, gemm] {
        assert_eq!(paths(&graph), ["fc.weight", "fc.bias"]);
        let network = read(&graph.file()).unwrap();
        // (1 + 30 + 0.5) 0.5 and (2 + 40 + 0.25) 0.25.
        close(&run(&network, &[1, 2], &[1.0, 10.0]), &[15.75, 10.5625]);
        let moved = network.map(&mut Move {
            path: Vec::new(),
            target: ("fc.bias", 0),
            step: 1.5,
        });
        // (1 + 30 + 2) 2.
        close(&run(&moved, &[1, 2], &[1.0, 10.0]), &[66.0, 10.5625]);
    }
    let norm = Graph::taking(&[2])
        .floats("ln.weight", &[2], &[1.0, 1.0])
        .floats("ln.bias", &[2], &[3.0, 4.0])
        .node(
            "LayerNormalization",
            &["x", "ln.weight", "ln.bias"],
            &["h"],
            &[],
        )
        .node("Mul", &["h", "ln.bias"], &["y"], &[]);
    assert_eq!(paths(&norm), ["ln.gamma", "ln.beta"]);
    // Of (1, 1) the norm is its bias.
    close(&compute(&norm.file(), &[1, 2], &[1.0, 1.0]).1, &[9.0, 16.0]);
}

/// A threshold that is subtracted as well is one number in both places; the limit of a clip stays as it is in all.
#[test]
fn a_number_has_one_value_wherever_it_is_read() {
    let shrinks = Graph::taking(&[1])
        .floats("t", &[1], &[0.5])
        .node("Greater", &["x", "t"], &["c"], &[])
        .node("Cast", &["c"], &["f"], &[Setting::Int("to", 1)])
        .node("Sub", &["x", "t"], &["s"], &[])
        .node("Add", &["f", "s"], &["y"], &[]);
    assert_eq!(paths(&shrinks), ["t"]);
    let network = read(&shrinks.file()).unwrap();
    close(&run(&network, &[1, 1], &[1.0]), &[1.5]);
    let moved = network.map(&mut Move {
        path: Vec::new(),
        target: ("t", 0),
        step: 1.0,
    });
    close(&run(&moved, &[1, 1], &[1.0]), &[-0.5]);
    let only_compared = Graph::taking(&[1])
        .floats("t", &[1], &[0.5])
        .node("Greater", &["x", "t"], &["c"], &[])
        .node("Cast", &["c"], &["y"], &[Setting::Int("to", 1)]);
    assert!(paths(&only_compared).is_empty());
    let limit = Graph::taking(&[1])
        .floats("t", &[], &[0.5])
        .node("Add", &["x", "t"], &["a"], &[])
        .node("Clip", &["a", "t"], &["y"], &[]);
    assert!(paths(&limit).is_empty());
    close(&compute(&limit.file(), &[1, 1], &[-1.0]).1, &[0.5]);
    close(&compute(&limit.file(), &[1, 1], &[1.0]).1, &[1.5]);
}

/// Two cells over lines, with the tensors of the second.
fn cells(weight: &str, recurrence: &str, bias: &str) -> Graph {
    let hidden = [Setting::Int("hidden_size", 2)];
    Graph::taking(&[3, 2])
        .floats("w", &[1, 2, 2], &numbers(1, 4))
        .floats("r", &[1, 2, 2], &numbers(2, 4))
        .floats("b", &[1, 4], &numbers(3, 4))
        .floats("w2", &[1, 2, 2], &numbers(4, 4))
        .floats("r2", &[1, 2, 2], &numbers(5, 4))
        .floats("b2", &[1, 4], &numbers(6, 4))
        .integers("axis", &[1])
        .named("/rnn/RNN", "RNN", &["x", "w", "r", "b"], &["a"], &hidden)
        .node("Squeeze", &["a", "axis"], &["s"], &[])
        .named(
            "/rnn/RNN_1",
            "RNN",
            &["s", weight, recurrence, bias],
            &["y"],
            &hidden,
        )
}

#[test]
fn recurrent_cells_with_the_same_weights_are_one() {
    let first = [
        "rnn.input.weight",
        "rnn.input.bias",
        "rnn.state.weight",
        "rnn.state.bias",
    ];
    assert_eq!(paths(&cells("w", "r", "b")), first);
    let stacked = paths(&cells("w2", "r2", "b2"));
    let second = first.map(|path| path.replace("rnn.", "rnn.RNN_1."));
    let all: Vec<String> = first.map(String::from).into_iter().chain(second).collect();
    assert_eq!(stacked, all);
    let error = read(&cells("w", "r2", "b2").file())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("it uses `w` as another node does, but in another way"),
        "{error}"
    );
}
