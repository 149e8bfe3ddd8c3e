//! Networks as files again: what of a file changes, and that the network in it is the one that was written.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};
use crossburn_models::onnx::{ExternalData, OnnxNetwork};

use super::graph::{Graph, Message, Setting, elsewhere, floats};
use super::weights::{parameters, run};
use super::{numbers, read, small, values};

/// Changes every value of every parameter, in its own way, and keeps it above zero where it is.
pub(crate) struct Shift(pub(crate) f32);

impl ModuleMapper for Shift {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| {
            let (shape, device) = (tensor.dims(), tensor.device());
            let mut all = values(tensor);
            for value in &mut all {
                self.0 += 0.015_625;
                *value *= 1.0 + self.0 % 1.0;
            }
            Tensor::from_data(TensorData::new(all, shape), &device)
        })
    }
}

fn none(_: &ExternalData) -> Result<Vec<u8>, String> {
    Err("no file lies beside it".to_string())
}

fn written(network: &OnnxNetwork, file: &[u8]) -> Vec<u8> {
    network.write(file, &none).unwrap()
}

/// The file of `graph` with every parameter changed, after it was found to hold the changed network.
fn shifted(graph: &Graph, shape: &[usize]) -> Vec<u8> {
    let file = graph.file();
    let network = read(&file).unwrap();
    assert_eq!(written(&network, &file), file, "nothing has changed");
    let network = network.map(&mut Shift(0.0));
    let out = written(&network, &file);
    assert_ne!(out, file);
    let again = read(&out).unwrap();
    let (mut expected, mut found) = (parameters(&network), parameters(&again));
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(found, expected);
    let x = numbers(11, shape.iter().product());
    assert_eq!(run(&again, shape, &x), run(&network, shape, &x));
    // Written once more, it is the same file.
    assert_eq!(written(&again, &out), out);
    out
}

/// A matrix that the layer holds transposed, and one as it lies.
#[test]
fn new_values_stand_where_the_old_ones_stood() {
    let graph = |w: &[f32], v: &[f32], bias: &[f32]| {
        Graph::taking(&[3])
            .floats("fc.weight", &[2, 3], w)
            .floats("fc.bias", &[2], bias)
            .floats("out.weight", &[2, 1], v)
            .floats("mask", &[1], &[f32::NEG_INFINITY])
            .node(
                "Gemm",
                &["x", "fc.weight", "fc.bias"],
                &["h"],
                &[Setting::Int("transB", 1)],
            )
            .node("MatMul", &["h", "out.weight"], &["o"], &[])
            .node("Max", &["o", "mask"], &["y"], &[])
            .file()
    };
    let file = graph(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[7.0, 8.0], &[9.0, 10.0]);
    struct Set;
    impl ModuleMapper for Set {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|tensor| {
                let (shape, device) = (tensor.dims(), tensor.device());
                // Element [input, output] of a layer becomes 10 · input + output.
                let width = shape[D - 1];
                let place = |i: usize| (10 * (i / width) + i % width) as f32;
                let all: Vec<f32> = (0..shape.iter().product()).map(place).collect();
                Tensor::from_data(TensorData::new(all, shape), &device)
            })
        }
    }
    let network = read(&file).unwrap().map(&mut Set);
    let expected = graph(
        &[0.0, 10.0, 20.0, 1.0, 11.0, 21.0],
        &[0.0, 10.0],
        &[0.0, 1.0],
    );
    assert_eq!(written(&network, &file), expected);
}

#[test]
fn a_written_network_is_read_as_it_was() {
    shifted(&small(), &[2, 2, 4, 4]);
    let tied = Graph::taking(&[2])
        .floats("w.weight", &[2, 2], &[1.0, 2.0, 3.0, 4.0])
        .floats("shift", &[2], &[0.5, 0.25])
        .floats("temperature", &[], &[2.0])
        .node("MatMul", &["x", "w.weight"], &["h"], &[])
        .node("Transpose", &["w.weight"], &["t"], &[])
        .node("MatMul", &["h", "t"], &["i"], &[])
        .node("Add", &["i", "shift"], &["j"], &[])
        .node("Mul", &["j", "temperature"], &["y"], &[]);
    shifted(&tied, &[3, 2]);
    let table = Graph::taking(&[1])
        .floats("e.weight", &[4, 2], &numbers(5, 8))
        .node("Cast", &["x"], &["i"], &[Setting::Int("to", 7)])
        .node("Gather", &["e.weight", "i"], &["y"], &[]);
    let file = table.file();
    let network = read(&file).unwrap().map(&mut Shift(0.0));
    let again = read(&written(&network, &file)).unwrap();
    assert_eq!(parameters(&again), parameters(&network));
    let upwards = Graph::taking(&[2, 3, 3])
        .floats("up.weight", &[2, 3, 2, 2], &numbers(6, 24))
        .floats("up.bias", &[3], &[0.1, 0.2, 0.3])
        .floats("slope", &[3, 1, 1], &[0.1, 0.2, 0.3])
        .node("ConvTranspose", &["x", "up.weight", "up.bias"], &["u"], &[])
        .node("PRelu", &["u", "slope"], &["y"], &[]);
    shifted(&upwards, &[1, 2, 3, 3]);
}

/// Each direction is cut out of one tensor.
#[test]
fn recurrent_cells_are_put_together_again() {
    let (inputs, hidden, gates) = (2i64, 3i64, 3i64);
    let count = |shape: &[i64]| shape.iter().product::<i64>() as usize;
    let (w, r, b) = (
        [2, gates * hidden, inputs],
        [2, gates * hidden, hidden],
        [2, 2 * gates * hidden],
    );
    let turned = [Setting::Ints("perm", &[1, 0, 2])];
    let graph = Graph::taking(&[4, inputs])
        .floats("w", &w, &numbers(1, count(&w)))
        .floats("r", &r, &numbers(2, count(&r)))
        .floats("b", &b, &numbers(3, count(&b)))
        .node("Transpose", &["x"], &["t"], &turned)
        .node(
            "GRU",
            &["t", "w", "r", "b"],
            &["", "h"],
            &[
                Setting::Int("hidden_size", hidden),
                Setting::Text("direction", "bidirectional"),
            ],
        )
        .node("Transpose", &["h"], &["y"], &turned);
    shifted(&graph, &[2, 4, inputs as usize]);
}

/// A weight may be the value of a node, as a tensor or as a list.
#[test]
fn constants_that_learn_are_replaced_in_their_node() {
    let graph = Graph::taking(&[2])
        .node(
            "Constant",
            &[],
            &["w"],
            &[Setting::Tensor(
                "value",
                floats("", &[2, 2], &[1.0, 2.0, 3.0, 4.0]),
            )],
        )
        .node(
            "Constant",
            &[],
            &["b"],
            &[Setting::Floats("value_floats", &[0.5, 0.25])],
        )
        .node("Gemm", &["x", "w", "b"], &["y"], &[]);
    shifted(&graph, &[3, 2]);
}

/// Exporters store equal tensors once. After a training they differ.
#[test]
fn tensors_that_have_become_different_are_told_apart() {
    let norm = |graph: Graph, number: usize, from: &str, to: &str, scale: &str, bias: &str| {
        let (mean, var) = (
            format!("bn{number}.running_mean"),
            format!("bn{number}.running_var"),
        );
        let inputs = [from, scale, bias, &mean, &var];
        graph
            .floats(&mean, &[2], &[0.5 * number as f32, 0.25])
            .floats(&var, &[2], &[1.0, 2.0 * number as f32])
            .node("BatchNormalization", &inputs, &[to], &[])
    };
    let start = Graph::taking(&[2])
        .floats("bn1.weight", &[2], &[1.0, 1.0])
        .floats("bn1.bias", &[2], &[0.5, 0.25])
        .node("Identity", &["bn1.weight"], &["other"], &[]);
    let first = norm(start, 1, "x", "h", "bn1.weight", "bn1.bias");
    let graph = norm(first, 2, "h", "y", "other", "bn1.bias");
    let out = shifted(&graph, &[3, 2]);
    let names = |name: &str| {
        let name = name.as_bytes();
        out.windows(name.len()).filter(|part| *part == name).count()
    };
    // The tensor, and the input that takes it.
    assert_eq!((names("bn2.weight"), names("bn2.bias")), (2, 2));

    // Before version 4 of the format, a stored tensor needs an input of its own.
    let old = |graph: &Graph| graph.of_format(3);
    let network = read(&old(&graph)).unwrap().map(&mut Shift(0.0));
    let message = network.write(&old(&graph), &none).unwrap_err().to_string();
    assert!(
        message.starts_with("it is of version 3 of the format"),
        "{message}"
    );
}

/// Another tensor after a cast would have another type.
#[test]
fn a_shared_tensor_that_is_converted_is_named() {
    let norm = |graph: Graph, from: &str, to: &str, scale: &str, epsilon: f32| {
        let settings = [Setting::Float("epsilon", epsilon)];
        graph.node("LayerNormalization", &[from, scale], &[to], &settings)
    };
    let graph = Graph::taking(&[2])
        .floats("ln.weight", &[2], &[1.0, 1.0])
        .node("Cast", &["ln.weight"], &["cast"], &[Setting::Int("to", 1)]);
    let graph = norm(graph, "x", "h", "ln.weight", 0.5);
    let file = norm(graph, "h", "y", "cast", 0.25).file();
    let network = read(&file).unwrap().map(&mut Shift(0.0));
    let message = network.write(&file, &none).unwrap_err().to_string();
    assert!(
        message.starts_with("node `n2` (LayerNormalization): `ln.weight`, which it takes through"),
        "{message}"
    );
}

/// A tensor keeps its type: 16-bit floats are rounded, and those that do not fit are refused.
#[test]
fn tensors_keep_their_types() {
    let halves = |values: &[f32]| {
        let raw: Vec<u8> = values
            .iter()
            .flat_map(|value| half::f16::from_f32(*value).to_le_bytes())
            .collect();
        let sizes = Message::default().number(1, values.len() as i64);
        sizes.number(2, 10).text(8, "shift").bytes(9, &raw)
    };
    let graph = |shift: Message| {
        let graph = Graph::taking(&[2]).stored(&shift);
        graph.node("Add", &["x", "shift"], &["y"], &[]).file()
    };
    let file = graph(halves(&[1.0, 2.0]));
    let network = read(&file).unwrap();
    assert_eq!(written(&network, &file), file);
    let set = |values: [f32; 2]| {
        struct Set([f32; 2]);
        impl ModuleMapper for Set {
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                let Self(values) = *self;
                param.map(|tensor| {
                    Tensor::from_data(
                        TensorData::new(values.to_vec(), tensor.dims()),
                        &tensor.device(),
                    )
                })
            }
        }
        network.clone().map(&mut Set(values))
    };
    // 1/3 lies between the halves 1365 / 4096 and 1366 / 4096, nearer to the first.
    let third = 1365.0 / 4096.0;
    let out = written(&set([1.0 / 3.0, 5.0]), &file);
    assert_eq!(out, graph(halves(&[third, 5.0])));
    for (values, part) in [
        (
            [1.0, 70000.0],
            "tensor `shift`: value 1 is 70000, too large for its 16-bit floats",
        ),
        (
            [f32::NAN, 1.0],
            "tensor `shift`: value 0 is NaN, no finite number",
        ),
    ] {
        let message = set(values).write(&file, &none).unwrap_err().to_string();
        assert!(message.starts_with(part), "{message}");
    }
}

/// Numbers in a list of the message, and fields that are not known, of the model, the graph, a node and a tensor.
#[test]
fn what_is_not_known_is_kept() {
    let numbers: Vec<u8> = [0.5f32, 0.25]
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    let tensor = Message::default()
        .number(1, 2)
        .number(2, 1)
        .bytes(4, &numbers)
        .text(8, "shift")
        .text(12, "of the tensor");
    let graph = Graph::taking(&[2])
        .stored(&tensor)
        .node("Add", &["x", "shift"], &["y"], &[])
        .with_field(10, "of the graph");
    let mut file = graph.file();
    file.extend(
        Message::default()
            .text(2, "a producer")
            .text(777, "unknown")
            .0,
    );
    let network = read(&file).unwrap();
    assert_eq!(written(&network, &file), file);
    let out = written(&network.map(&mut Shift(0.0)), &file);
    for text in ["of the tensor", "of the graph", "a producer", "unknown"] {
        let text = text.as_bytes();
        assert!(out.windows(text.len()).any(|part| part == text));
    }
    // The list is replaced, not kept beside the new values.
    assert!(!out.windows(8).any(|part| part == numbers.as_slice()));
    // Of each value four bytes, as before.
    assert_eq!(out.len(), file.len());
}

/// Tensors in other files move into the one that is written, whether they have changed or not.
#[test]
fn tensors_beside_the_graph_move_into_it() {
    let graph = |first: Message, second: Message| {
        let graph = Graph::taking(&[2]).stored(&first).stored(&second);
        let graph = graph.node("Add", &["x", "a"], &["h"], &[]);
        graph.node("Max", &["h", "low"], &["y"], &[]).file()
    };
    let low = [f32::NEG_INFINITY, f32::NEG_INFINITY];
    let file = graph(
        elsewhere("a", &[2], "net.data", Some(0), 8),
        elsewhere("low", &[2], "net.data", Some(8), 8),
    );
    let external = |data: &ExternalData| -> Result<Vec<u8>, String> {
        let all = [1.0, 2.0, low[0], low[1]];
        let bytes: Vec<u8> = all.iter().flat_map(|x: &f32| x.to_le_bytes()).collect();
        Ok(bytes[data.offset as usize..][..8].to_vec())
    };
    let network = OnnxNetwork::read(&file, &external, &Device::flex()).unwrap();
    let inside = graph(floats("a", &[2], &[1.0, 2.0]), floats("low", &[2], &low));
    assert_eq!(network.write(&file, &external).unwrap(), inside);
    // No layer holds `low`: only its own size says that something is missing.
    let short = |data: &ExternalData| match data.offset {
        8 => Ok(vec![0; 4]),
        _ => external(data),
    };
    let message = network.write(&file, &short).unwrap_err().to_string();
    assert!(
        message.contains("low") && message.contains("4 bytes"),
        "{message}"
    );
}

#[test]
fn another_file_is_refused() {
    let network = read(&small().file()).unwrap();
    let other = Graph::taking(&[2]).floats("shift", &[2], &[1.0, 2.0]).node(
        "Add",
        &["x", "shift"],
        &["y"],
        &[],
    );
    let message = network.write(&other.file(), &none).unwrap_err().to_string();
    assert_eq!(
        message,
        "it is not the graph that the network was read from"
    );
    assert!(network.write(b"no model", &none).is_err());
}
