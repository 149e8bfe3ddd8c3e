//! What single operators compute, against formulas and values by hand.

use std::f32::consts::{LN_2, SQRT_2};

use super::graph::{self, Graph, Setting};
use super::{close, compute, numbers};

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

#[test]
fn functions_of_one_element_are_their_formulas() {
    let x = numbers(1, 24);
    let elu = |x: f64, alpha: f64| if x > 0.0 { x } else { alpha * (x.exp() - 1.0) };
    let soft = |x: f64| (1.0 + x.exp()).ln();
    let hard = |x: f64| (x / 6.0 + 0.5).clamp(0.0, 1.0);
    type Formula<'a> = &'a dyn Fn(f64) -> f64;
    let swish = |x: f64| x / (1.0 + (-x).exp());
    // The constants of the standard, at which mean zero and variance one stay.
    let selu = |x: f64| 1.050_701 * elu(x, 1.673_263_2);
    let rows: [(&str, &[Setting<'_>], Formula<'_>); 22] = [
        ("Ceil", &[], &|x| x.ceil()),
        ("Cos", &[], &|x| x.cos()),
        ("Sign", &[], &|x| x.signum()),
        ("Selu", &[], &selu),
        ("Swish", &[], &swish),
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
fn functions_of_one_element_have_their_values() {
    // The values of the error function are those of tables.
    for (kind, x, expected) in [
        ("Log", [1.0, 2.0, 0.5], [0.0, LN_2, -LN_2]),
        ("Sqrt", [0.25, 2.0, 9.0], [0.5, SQRT_2, 3.0]),
        ("Round", [0.5, 1.5, -2.5], [0.0, 2.0, -2.0]),
        (
            "Erf",
            [0.5, 1.0, -2.0],
            [0.520_499_9, 0.842_700_8, -0.995_322_3],
        ),
    ] {
        close(&node(kind, &[], &[1, 3], &x).1, &expected);
    }
}

#[test]
fn functions_of_several_tensors_take_them_element_by_element() {
    for (kind, expected) in [
        ("Max", [2.0, 4.0, 3.0]),
        ("Min", [1.0, 0.0, 3.0]),
        ("Sum", [3.0, 4.0, 6.0]),
        ("Mean", [1.5, 2.0, 3.0]),
    ] {
        let graph = Graph::taking(&[3])
            .floats("b", &[3], &[2.0, 0.0, 3.0])
            .node(kind, &["x", "b"], &["y"], &[]);
        close(
            &compute(&graph.file(), &[1, 3], &[1.0, 4.0, 3.0]).1,
            &expected,
        );
    }
}

#[test]
fn conditions_are_those_of_their_elements() {
    let holds = |graph: Graph| {
        let graph = graph.node("Cast", &["c"], &["y"], &[Setting::Int("to", 1)]);
        compute(&graph.file(), &[1, 3], &[1.0, 2.0, 3.0]).1
    };
    let two = || Graph::taking(&[3]).floats("two", &[], &[2.0]);
    for (kind, expected) in [
        ("Equal", [0.0, 1.0, 0.0]),
        ("Less", [1.0, 0.0, 0.0]),
        ("LessOrEqual", [1.0, 1.0, 0.0]),
        ("GreaterOrEqual", [0.0, 1.0, 1.0]),
    ] {
        close(
            &holds(two().node(kind, &["x", "two"], &["c"], &[])),
            &expected,
        );
    }
    let not = two()
        .node("Equal", &["x", "two"], &["e"], &[])
        .node("Not", &["e"], &["c"], &[]);
    close(&holds(not), &[1.0, 0.0, 1.0]);
    for (kind, expected) in [
        ("And", [0.0, 1.0, 0.0]),
        ("Or", [1.0, 1.0, 1.0]),
        ("Xor", [1.0, 0.0, 1.0]),
    ] {
        let graph = two()
            .node("LessOrEqual", &["x", "two"], &["a"], &[])
            .node("GreaterOrEqual", &["x", "two"], &["b"], &[])
            .node(kind, &["a", "b"], &["c"], &[]);
        close(&holds(graph), &expected);
    }
}

#[test]
fn channels_become_blocks_and_blocks_channels() {
    let x: Vec<f32> = (0..8).map(|x| x as f32).collect();
    for (kind, mode, shape, expected) in [
        // By the reshapes of the standard: the place in a block is counted first, or last.
        (
            "DepthToSpace",
            Some("DCR"),
            [1, 8, 1, 1],
            [0., 2., 4., 6., 1., 3., 5., 7.],
        ),
        (
            "DepthToSpace",
            Some("CRD"),
            [1, 8, 1, 1],
            [0., 1., 2., 3., 4., 5., 6., 7.],
        ),
        (
            "SpaceToDepth",
            None,
            [1, 2, 2, 2],
            [0., 4., 1., 5., 2., 6., 3., 7.],
        ),
    ] {
        let mut settings = vec![Setting::Int("blocksize", 2)];
        settings.extend(mode.map(|mode| Setting::Text("mode", mode)));
        close(&node(kind, &settings, &shape, &x).1, &expected);
    }
}

#[test]
fn groups_of_channels_are_normalized_together() {
    // Both groups have the variance 1, so that each element is 1 or -1 over the root of 1.5625.
    let x = [1.0, -1.0, 3.0, 5.0];
    for (opset, scale, bias, expected) in [
        (
            21,
            vec![1.0, 2.0, 3.0, 4.0],
            vec![0.0, 0.0, 0.0, 1.0],
            [0.8, -1.6, -2.4, 4.2],
        ),
        // At first, the operator had a scale for each group.
        (18, vec![1.0, 2.0], vec![0.0, 1.0], [0.8, -0.8, -0.6, 2.6]),
    ] {
        let count = scale.len() as i64;
        let graph = Graph::taking(&[4, 1])
            .floats("s", &[count], &scale)
            .floats("b", &[count], &bias)
            .node(
                "GroupNormalization",
                &["x", "s", "b"],
                &["y"],
                &[
                    Setting::Int("num_groups", 2),
                    Setting::Float("epsilon", 0.5625),
                ],
            );
        close(
            &compute(&graph.with_opset(opset), &[1, 4, 1], &x).1,
            &expected,
        );
    }
}

#[test]
fn rows_are_reduced_and_ranked() {
    let x = [1.0, 2.0, 3.0, 4.0, 5.0, -6.0];
    let axes = || Setting::Ints("axes", &[1]);
    close(&node("ReduceMean", &[axes()], &[2, 3], &x).1, &[2.0, 1.0]);
    close(&node("ReduceMin", &[axes()], &[2, 3], &x).1, &[1.0, -6.0]);
    close(
        &node("ReduceProd", &[axes()], &[2, 3], &x).1,
        &[6.0, -120.0],
    );
    let three = [0.0, 3.0f32.ln()];
    let softmax = [Setting::Int("axis", -1)];
    let expected = [0.25f32.ln(), 0.75f32.ln()];
    close(&node("LogSoftmax", &softmax, &[1, 2], &three).1, &expected);
    for (kind, expected) in [("ArgMin", [0.0, 2.0]), ("ArgMax", [2.0, 1.0])] {
        let place = Graph::taking(&[3])
            .node(kind, &["x"], &["i"], &[Setting::Int("axis", 1)])
            .node("Cast", &["i"], &["y"], &[Setting::Int("to", 1)]);
        close(&compute(&place.file(), &[2, 3], &x).1, &expected);
    }
    let counted = Graph::taking(&[3])
        .node("Size", &["x"], &["n"], &[])
        .node("Cast", &["n"], &["f"], &[Setting::Int("to", 1)])
        .node("Sub", &["x", "f"], &["y"], &[]);
    let expected = x.map(|x| x - 6.0);
    close(&compute(&counted.file(), &[2, 3], &x).1, &expected);
}

#[test]
fn tensors_are_repeated_cut_and_given_axes() {
    let x = [1.0, 2.0, 3.0, 4.0];
    let square = || Graph::taking(&[2, 2]);
    let rows = |graph: Graph| compute(&graph.file(), &[1, 2, 2], &x);
    let tiled = square()
        .integers("n", &[1, 1, 2])
        .node("Tile", &["x", "n"], &["y"], &[]);
    close(&rows(tiled).1, &[1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 4.0]);
    let spread =
        Graph::taking(&[1, 2])
            .integers("n", &[1, 2, 2])
            .node("Expand", &["x", "n"], &["y"], &[]);
    let found = compute(&spread.file(), &[1, 1, 2], &x[..2]);
    assert_eq!(found, (vec![1, 2, 2], vec![1.0, 2.0, 1.0, 2.0]));
    let axis = square()
        .integers("a", &[1])
        .node("Unsqueeze", &["x", "a"], &["y"], &[]);
    assert_eq!(rows(axis), (vec![1, 1, 2, 2], x.to_vec()));
    for (upper, expected) in [(1, [1.0, 2.0, 0.0, 4.0]), (0, [1.0, 0.0, 3.0, 4.0])] {
        let triangle = square().node("Trilu", &["x"], &["y"], &[Setting::Int("upper", upper)]);
        close(&rows(triangle).1, &expected);
    }
    // As a `Resize` with the places i / 2.
    for (mode, expected) in [
        ("nearest", [1.0, 1.0, 2.0, 2.0]),
        ("linear", [1.0, 1.5, 2.0, 2.0]),
    ] {
        let wide = Graph::taking(&[1, 1, 2])
            .floats("s", &[4], &[1.0, 1.0, 1.0, 2.0])
            .node(
                "Upsample",
                &["x", "s"],
                &["y"],
                &[Setting::Text("mode", mode)],
            );
        let found = compute(&wide.with_opset(9), &[1, 1, 1, 2], &x[..2]).1;
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

/// Scales whose products with ten are whole numbers only where they are rounded to 32 bits: 0.7 is a little less than seven tenths
/// there. The values are those of onnxruntime 1.32, and the sizes those of PyTorch's `interpolate`.
#[test]
fn scales_of_a_size_are_those_of_32_bits() {
    let x: Vec<f32> = (0..10).map(|x| x as f32).collect();
    let resize = |mode: &str, place: &str, scale: Option<f32>, size: i64| {
        let settings = [
            Setting::Text("mode", mode),
            Setting::Text("coordinate_transformation_mode", place),
            Setting::Text("nearest_mode", "floor"),
        ];
        let graph = Graph::taking(&[1, 10]);
        let graph = match scale {
            Some(scale) => graph.floats("s", &[3], &[1.0, 1.0, scale]).node(
                "Resize",
                &["x", "", "s"],
                &["y"],
                &settings,
            ),
            None => graph.integers("s", &[1, 1, size]).node(
                "Resize",
                &["x", "", "", "s"],
                &["y"],
                &settings,
            ),
        };
        compute(&graph.file(), &[1, 1, 10], &x).1
    };
    let nearest: [(f32, &[u8]); 6] = [
        (0.4, &[0, 2, 5, 7]),
        (0.6, &[0, 1, 3, 5, 6, 8]),
        (0.7, &[0, 1, 2, 4, 5, 7, 8]),
        (0.9, &[0, 1, 2, 3, 4, 5, 6, 7, 8]),
        (1.4, &[0, 0, 1, 2, 2, 3, 4, 5, 5, 6, 7, 7, 8, 9]),
        (
            2.3,
            &[
                0, 0, 0, 1, 1, 2, 2, 3, 3, 3, 4, 4, 5, 5, 6, 6, 6, 7, 7, 8, 8, 9, 9,
            ],
        ),
    ];
    for (scale, expected) in nearest {
        let expected: Vec<f32> = expected.iter().map(|x| f32::from(*x)).collect();
        let found = resize("nearest", "asymmetric", Some(scale), 0);
        assert_eq!(found, expected, "{scale}");
        // Here onnxruntime has (i + 1/2) / scale - 1/2, between the first and the last place.
        let linear = resize("linear", "half_pixel", Some(scale), 0);
        let place = |i: usize| ((i as f64 + 0.5) / f64::from(scale) - 0.5).clamp(0.0, 9.0) as f32;
        let expected: Vec<f32> = (0..expected.len()).map(place).collect();
        close(&linear, &expected);
    }
    // Where sizes are given, the scale is their ratio.
    let sized: [(i64, &[u8]); 2] = [
        (7, &[0, 1, 2, 4, 5, 7, 8]),
        (13, &[0, 0, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 9]),
    ];
    for (size, expected) in sized {
        let expected: Vec<f32> = expected.iter().map(|x| f32::from(*x)).collect();
        assert_eq!(resize("nearest", "asymmetric", None, size), expected);
    }
}

/// Without axes, a reduction with `noop_with_empty_axes` does to each element what it does before it sums.
#[test]
fn a_reduction_of_no_axes_is_that_of_each_element() {
    for (kind, expected) in [
        ("ReduceL1", [3.0, 4.0]),
        ("ReduceL2", [3.0, 4.0]),
        ("ReduceSumSquare", [9.0, 16.0]),
        ("ReduceSum", [-3.0, 4.0]),
        ("ReduceMax", [-3.0, 4.0]),
        ("ReduceLogSumExp", [-3.0, 4.0]),
    ] {
        let settings = [Setting::Int("noop_with_empty_axes", 1)];
        let (shape, found) = node(kind, &settings, &[1, 2], &[-3.0, 4.0]);
        assert_eq!(shape, [1, 2], "{kind}");
        close(&found, &expected);
    }
}

/// A vector of zeros has no direction: it stays as it is, as onnxruntime and PyTorch leave it.
#[test]
fn a_vector_of_zeros_stays_one() {
    let x = [3.0, -4.0, 0.0, 0.0];
    let settings = [Setting::Int("axis", 1)];
    let found = node("LpNormalization", &settings, &[2, 2], &x).1;
    close(&found, &[0.6, -0.8, 0.0, 0.0]);
    let settings = [Setting::Ints("axes", &[1])];
    close(&node("ReduceL2", &settings, &[2, 2], &x).1, &[5.0, 0.0]);
}

/// A remainder has the sign of its divisor as in Python, or with `fmod` that of its dividend as in C.
#[test]
fn remainders_of_whole_numbers_have_the_sign_that_is_asked_for() {
    for (fmod, expected) in [(0, [1.0, 2.0, -2.0, -1.0]), (1, [1.0, -1.0, 1.0, -1.0])] {
        let graph = Graph::taking(&[4])
            .integers("a", &[7, -7, 7, -7])
            .integers("b", &[3, 3, -3, -3])
            .node("Mod", &["a", "b"], &["r"], &[Setting::Int("fmod", fmod)])
            .node("Cast", &["r"], &["f"], &[Setting::Int("to", 1)])
            .node("Add", &["x", "f"], &["y"], &[]);
        close(&compute(&graph.file(), &[1, 4], &[0.0; 4]).1, &expected);
    }
}

/// The condition is spread as the two tensors are.
#[test]
fn a_condition_is_spread_to_both_choices() {
    let choose = |condition: &[i64], shape: &[i64], x: &[f32], rows: usize| {
        let graph = Graph::taking(&[2])
            .integers("c", condition)
            .integers("s", shape)
            .floats("no", &[2], &[-1.0, -2.0])
            .node("Reshape", &["c", "s"], &["d"], &[])
            .node("Cast", &["d"], &["b"], &[Setting::Int("to", 9)])
            .node("Where", &["b", "x", "no"], &["y"], &[]);
        compute(&graph.file(), &[rows, 2], x).1
    };
    let x = [1.0, 2.0, 3.0, 4.0];
    close(&choose(&[1, 0], &[2], &x, 2), &[1.0, -2.0, 3.0, -2.0]);
    close(&choose(&[0, 1], &[2, 1], &x, 2), &[-1.0, -2.0, 3.0, 4.0]);
    close(&choose(&[1], &[1, 1, 1], &x[..2], 1), &[1.0, 2.0]);
}

#[test]
fn what_hands_a_value_on_changes_nothing() {
    let graph = Graph::taking(&[2])
        .node("Identity", &["x"], &["a"], &[])
        .node("Dropout", &["a"], &["b"], &[])
        .node("Neg", &["b"], &["y"], &[]);
    close(
        &compute(&graph.file(), &[1, 2], &[1.0, -2.0]).1,
        &[-1.0, 2.0],
    );
}

#[test]
fn ranges_end_before_their_limit() {
    for (start, end, step, expected) in [
        (5, 0, -2, vec![5.0, 3.0, 1.0]),
        (4, 0, -2, vec![4.0, 2.0]),
        (0, 5, 2, vec![0.0, 2.0, 4.0]),
        (0, 4, 2, vec![0.0, 2.0]),
        (-1, -4, -1, vec![-1.0, -2.0, -3.0]),
    ] {
        let graph = Graph::taking(&[expected.len() as i64])
            .integers("a", &[start])
            .integers("b", &[end])
            .integers("c", &[step])
            .node("Range", &["a", "b", "c"], &["r"], &[])
            .node("Cast", &["r"], &["f"], &[Setting::Int("to", 1)])
            .node("Add", &["x", "f"], &["y"], &[]);
        let x = vec![0.0; expected.len()];
        close(&compute(&graph.file(), &[1, x.len()], &x).1, &expected);
    }
}

#[test]
fn limits_of_whole_numbers_are_exact() {
    let graph = Graph::taking(&[1])
        .integers("i", &[(1 << 24) + 3])
        .integers("low", &[0])
        .integers("high", &[(1 << 24) + 1])
        .integers("base", &[1 << 24])
        .node("Clip", &["i", "low", "high"], &["c"], &[])
        .node("Sub", &["c", "base"], &["s"], &[])
        .node("Cast", &["s"], &["f"], &[Setting::Int("to", 1)])
        .node("Add", &["x", "f"], &["y"], &[]);
    close(&compute(&graph.file(), &[1, 1], &[0.0]).1, &[1.0]);
}

/// A slice and a join of tensors without elements have none.
#[test]
fn empty_axes_stay_empty() {
    let graph = Graph::taking(&[2])
        .integers("shape", &[1, 0])
        .integers("start", &[-1])
        .integers("end", &[-9])
        .integers("axis", &[1])
        .integers("step", &[-1])
        .node("ConstantOfShape", &["shape"], &["e"], &[])
        .node("Slice", &["e", "start", "end", "axis", "step"], &["s"], &[])
        .node("Concat", &["s", "e"], &["n"], &[Setting::Int("axis", 1)])
        .node("Concat", &["x", "n"], &["y"], &[Setting::Int("axis", 1)]);
    let (shape, found) = compute(&graph.file(), &[1, 2], &[1.0, 2.0]);
    assert_eq!(shape, [1, 2]);
    close(&found, &[1.0, 2.0]);
}
