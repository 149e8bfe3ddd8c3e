//! Graphs that are refused, and files that are damaged.

use burn::tensor::{Device, Tensor};
use crossburn_models::Classifier;
use crossburn_models::onnx::OnnxNetwork;
use proptest::prelude::*;

use super::graph::{self, Graph, Setting, integers};
use super::{numbers, read, small, values};

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
                .integers("s", &[2, 8])
                .node("Reshape", &["x", "s"], &["y"], &[]),
            "node `n0` (Reshape): shape [1, 3, 6] has not as many values as [2, 8]",
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
            line().floats("g", &[6], &[1.0; 6]).node(
                "LayerNormalization",
                &["x", "g"],
                &["y"],
                &[Setting::Float("epsilon", 0.0)],
            ),
            "its epsilon is 0: export it with a small number above zero",
        ),
        (
            Graph::taking(&[3, 1])
                .floats("g", &[1], &[1.0])
                .node("LayerNormalization", &["x", "g"], &["a"], &[])
                .node("Clip", &["a", "g"], &["y"], &[]),
            "node `n1` (Clip): it takes `g` as a setting, which is a weight elsewhere",
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

/// A norm with outputs of training, or a dropout with a flag and a mask.
#[test]
fn exports_of_training_are_refused() {
    let one = |name: &str, graph: Graph| graph.floats(name, &[3], &[1.0; 3]);
    let tensors = ["g", "b", "m", "v"];
    let norm = tensors
        .iter()
        .fold(Graph::taking(&[3]), |graph, name| one(name, graph));
    let inputs = ["x", "g", "b", "m", "v"];
    let trains = norm.clone().node(
        "BatchNormalization",
        &inputs,
        &["y", "m1", "v1", "m2", "v2"],
        &[],
    );
    let error = read(&trains.with_opset(9)).unwrap_err().to_string();
    assert!(error.contains("call eval() before the export"), "{error}");
    let rests = norm.node("BatchNormalization", &inputs, &["y", "", ""], &[]);
    assert!(read(&rests.with_opset(9)).is_ok());
    let flag = |value: i64| Graph::taking(&[3]).integers("t", &[value]);
    let dropped = |graph: Graph, flag: &str, outputs: &[&str]| {
        let graph = graph.node("Dropout", &["x", "", flag], outputs, &[]);
        graph.node("Relu", &["d"], &["y"], &[])
    };
    let asks = |graph: Graph| {
        let graph = graph.node("Not", &["mask"], &["n"], &[]);
        graph.node("Cast", &["n"], &["f"], &[Setting::Int("to", 1)])
    };
    let computed = Graph::taking(&[3]).node("Shape", &["x"], &["s"], &[]);
    for (graph, part) in [
        (
            dropped(flag(1), "t", &["d"]),
            "it drops values, as in training",
        ),
        (
            dropped(computed, "s", &["d"]),
            "it drops values, as in training",
        ),
        (
            asks(dropped(flag(0), "t", &["d", "mask"])),
            "its mask is read",
        ),
    ] {
        let error = read(&graph.file()).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
        assert!(error.contains("call eval() before the export"), "{error}");
    }
    for outputs in [&["d"][..], &["d", "mask"]] {
        let network = read(&dropped(flag(0), "t", outputs).file()).unwrap();
        assert_eq!(network.check().unwrap(), Some(vec![3]));
    }
}

#[test]
fn one_item_alone_is_checked() {
    let graph = Graph::taking(&[3])
        .node("Squeeze", &["x"], &["s"], &[])
        .node("Softmax", &["s"], &["y"], &[Setting::Int("axis", -1)]);
    let error = read(&graph.file())
        .unwrap()
        .check()
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("for 1 items it gives an output of shape [3]"),
        "{error}"
    );
}

#[test]
fn what_is_no_number_has_no_place_and_no_whole_number() {
    let places = Graph::taking(&[3])
        .node("ArgMax", &["x"], &["i"], &[Setting::Int("axis", 1)])
        .node("Cast", &["i"], &["y"], &[Setting::Int("to", 1)]);
    let whole = Graph::taking(&[3])
        .node("Cast", &["x"], &["i"], &[Setting::Int("to", 7)])
        .node("Cast", &["i"], &["y"], &[Setting::Int("to", 1)]);
    for (graph, part) in [
        (places, "(ArgMax): one of its values is no number"),
        (whole, "(Cast): value 1 of its input is NaN"),
    ] {
        let network = read(&graph.file()).unwrap();
        let x = vec![0.0, f32::NAN, 1.0];
        let error = network.run_values(&[1, 3], x, &Device::flex()).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
}

/// Types of whole numbers by ONNX's numbers, with the ends of what they hold. Programs wrap other values around or cut them off,
/// each in its own way.
#[test]
fn a_cast_refuses_what_its_type_does_not_hold() {
    for (number, name, low, high) in [
        (2, "uint8", 0.0, 255.0),
        (3, "int8", -128.0, 127.0),
        (4, "uint16", 0.0, 65_535.0),
        (5, "int16", -32_768.0, 32_767.0),
        // The largest float below 2^31, and below 2^32 and 2^63.
        (6, "int32", -2_147_483_648.0, 2_147_483_520.0),
        (12, "uint32", 0.0, 4_294_967_040.0),
        (
            7,
            "int64",
            -9_223_372_036_854_775_808.0,
            9_223_371_487_098_961_920.0,
        ),
    ] {
        let cast = Graph::taking(&[2])
            .node("Cast", &["x"], &["i"], &[Setting::Int("to", number)])
            .node("Cast", &["i"], &["y"], &[Setting::Int("to", 1)]);
        let network = read(&cast.file()).unwrap();
        let run = |x: f32| network.run_values(&[1, 2], vec![0.0, x], &Device::flex());
        for inside in [low, high] {
            assert_eq!(run(inside).unwrap().values[1], inside, "{name}");
        }
        // The next float beyond, or the next whole number where floats have a fraction.
        let beyond = |x: f32| match x.abs() < 1e6 {
            true => x + 1.0f32.copysign(if x > 0.0 { 1.0 } else { -1.0 }),
            false if x > 0.0 => x.next_up(),
            false => x.next_down(),
        };
        for outside in [beyond(low), beyond(high)] {
            let error = run(outside).unwrap_err().to_string();
            let part = format!("(Cast): value 1 of its input is {outside:.0}, outside of {name}");
            assert!(error.contains(&part), "{error}\n{part}");
            assert!(error.contains(": clip the values before it"), "{error}");
        }
    }
}

#[test]
fn remainders_of_floats_are_refused() {
    let graph = Graph::taking(&[2]).floats("b", &[2], &[3.0, 3.0]).node(
        "Mod",
        &["x", "b"],
        &["y"],
        &[Setting::Int("fmod", 1)],
    );
    let error = read(&graph.file()).unwrap().check().unwrap_err();
    assert!(
        error
            .to_string()
            .contains("node `n0` (Mod): it divides floats"),
        "{error}"
    );
}

/// A classifier has no error to give: its outputs are no numbers then, and it says why.
#[test]
fn a_classifier_says_why_its_outputs_are_no_numbers() {
    let graph = Graph::taking(&[3])
        .floats("table", &[2, 4], &numbers(1, 8))
        .node(
            "ReduceMax",
            &["x"],
            &["m"],
            &[Setting::Ints("axes", &[1]), Setting::Int("keepdims", 0)],
        )
        .node("Cast", &["m"], &["i"], &[Setting::Int("to", 7)])
        .node("Gather", &["table", "i"], &["y"], &[]);
    let network = OnnxNetwork::read(
        &graph.with_opset(17),
        &|_| Err("none".to_string()),
        &Device::flex(),
    )
    .unwrap();
    assert_eq!(network.check().unwrap(), Some(vec![4]));
    let outputs = |largest: f32| {
        let rows = [[0.0, 1.0, 0.0], [0.0, largest, 0.0]];
        let x = Tensor::<2>::from_floats(rows, &Device::flex());
        let y = network.forward(x.reshape([2, 1, 1, 3]));
        (y.dims(), values(y))
    };
    let (shape, found) = outputs(0.0);
    assert_eq!((shape, &found[4..]), ([2, 4], &numbers(1, 8)[..4]));
    assert_eq!(network.failure(), None);
    let (shape, found) = outputs(2.0);
    assert_eq!(shape, [2, 4]);
    assert!(found.iter().all(|y| y.is_nan()), "{found:?}");
    assert_eq!(
        network.failure().unwrap(),
        "node `n2` (Gather): index 2 is not among 2 elements: clip the indices before it"
    );
}

#[test]
fn a_name_has_one_value() {
    let matrix = || Graph::taking(&[2]).floats("w", &[2, 2], &numbers(1, 4));
    for graph in [
        matrix().node("Identity", &["x"], &["w"], &[]),
        matrix()
            .node("Relu", &["x"], &["a"], &[])
            .node("Transpose", &["w"], &["a"], &[]),
        matrix()
            .node("Transpose", &["w"], &["a"], &[])
            .node("Identity", &["x"], &["a"], &[]),
    ] {
        let graph = graph.node("MatMul", &["x", "a"], &["y"], &[]);
        let error = read(&graph.file()).unwrap_err().to_string();
        assert!(error.starts_with("two values are called"), "{error}");
    }
}

#[test]
fn a_tensor_that_lies_elsewhere_is_asked_for() {
    let elsewhere = graph::elsewhere("b", &[2], "net.data", Some(16), 8);
    let graph = Graph::taking(&[2])
        .stored(&elsewhere)
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
        "node `n1` (Gemm): its weight takes 16 values, the input is [1, 20]"
    );
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
