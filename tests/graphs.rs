//! A classifier that another program wrote as an ONNX file, from its accuracy to its chips, its worst chip and its training.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::print_stderr, reason = "a skipped test says why")]

mod command;
#[path = "../models/tests/onnx/graph.rs"]
mod graph;

use std::path::Path;

use burn::tensor::Device;
use command::{bad, crossburn, good, json, write_npy};
use crossburn_checkpoints::OnnxFile;
use crossburn_hardware::manufacture;
use crossburn_noise::{ChipSeed, Distribution, Variation, host_weights};
use crossburn_training::data::read_npy;
use graph::{Graph, Setting};

/// A classifier of digits with one hidden layer.
fn digits(folder: &Path) {
    // Formula weights: no output is better than another by more than chance, and training has something to learn.
    let weight = |i: usize| ((i * 7919 % 1009) as f32 / 1009.0 - 0.5) * 0.1;
    let first: Vec<f32> = (0..784 * 24).map(weight).collect();
    let second: Vec<f32> = (0..24 * 10).map(|i| 5.0 * weight(3 * i)).collect();
    let graph = Graph::taking(&[1, 28, 28])
        .floats("fc1.weight", &[784, 24], &first)
        .floats("fc1.bias", &[24], &[0.0; 24])
        .floats("fc2.weight", &[24, 10], &second)
        .node("Flatten", &["x"], &["f"], &[])
        .node("Gemm", &["f", "fc1.weight", "fc1.bias"], &["h"], &[])
        .node("Relu", &["h"], &["r"], &[])
        .node("MatMul", &["r", "fc2.weight"], &["y"], &[]);
    std::fs::write(folder.join("net.onnx"), graph.file()).unwrap();
}

const RECIPE: &str = "seed = 1\n[model]\nkind = \"lenet\"\n[data]\nsource = \"digits\"\ntrain = 1200\nvalidation = 200\ntest = 300\n\
     [training]\nepochs = 2\nbatch = 32\noptimizer = { kind = \"adam\", learning_rate = 2e-3 }\n\
     [noise]\nkind = \"gaussian\"\nsigma_rel_wmax = 0.05\n";

#[test]
fn a_graph_is_trained_and_its_checkpoint_does_without_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    digits(folder);
    // A recipe of the name of the network is not read for it.
    std::fs::write(folder.join("net.toml"), RECIPE).unwrap();
    let untrained =
        "evaluate net.onnx --data digits --items 300 --noise none --chips 1 --json --out before";
    let before = json(&good(folder, untrained))["methods"][0]["clean"]
        .as_f64()
        .unwrap();
    let trained = json(&good(
        folder,
        "train net.toml --init net.onnx --out tuned --json",
    ));
    let clean = trained["methods"][0]["clean"].as_f64().unwrap();
    // Ten classes: a tenth by chance. Two epochs of a linear network with one hidden layer teach far more.
    assert!(before < 0.4 && clean > before + 0.2, "{before} {clean}");
    std::fs::remove_file(folder.join("net.onnx")).unwrap();
    assert!(folder.join("tuned/checkpoint/graph/graph.onnx").is_file());
    let again = "evaluate tuned --noise none --chips 1 --json --out again";
    let again = json(&good(folder, again))["methods"][0]["clean"]
        .as_f64()
        .unwrap();
    assert_eq!(again, clean);
    // The worst chip is a checkpoint with the same graph.
    let worst = json(&good(
        folder,
        "worst-case tuned --items 100 --budget 20 --random-chips 2 --out worst --json",
    ));
    let replay = json(&good(
        folder,
        "evaluate worst/worst-chip --noise none --chips 1 --json --out replay",
    ));
    assert_eq!(
        replay["methods"][0]["clean"].as_f64(),
        worst["worst"].as_f64()
    );
    good(folder, "map tuned --accelerator isaac --out map");
    // The trained graph is a file again.
    good(folder, "export tuned --format onnx --out again.onnx");
    let again = "evaluate again.onnx --data digits --items 300 --noise none --chips 1 --json --out exported";
    let again = json(&good(folder, again))["methods"][0]["clean"].as_f64();
    assert_eq!(again, Some(clean));
    for (command, part) in [
        (
            "export tuned --format onnx --out again.onnx",
            "again.onnx is there already: name another file with --out",
        ),
        (
            "export tuned --format onnx --out again.pb",
            "--out again.pb: the name of an ONNX file ends in .onnx",
        ),
        (
            "export tuned --format onnx --weights f16",
            "--weights has no effect with --format onnx",
        ),
        ("export tuned", "tuned/checkpoint holds no language model"),
    ] {
        let line = bad(folder, command);
        assert!(line.contains(part), "{line}");
    }
}

/// The file has the weights that chips are programmed with.
#[test]
fn a_graph_of_few_bits_is_exported_as_it_is_programmed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    digits(folder);
    let recipe = RECIPE
        .replace("train = 1200", "train = 300")
        .replace("epochs = 2", "epochs = 1");
    std::fs::write(folder.join("r.toml"), recipe).unwrap();
    good(
        folder,
        "train r.toml --init net.onnx --set model.bits=3 --out tuned",
    );
    let output = good(folder, "export tuned --format onnx");
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(notes.contains("weights are quantized"), "{notes}");
    let file = folder.join("runs/export-tuned.onnx");
    let network = OnnxFile::open(&file).unwrap();
    let network = network.network(&Device::flex()).unwrap();
    for (path, weight) in host_weights(&network) {
        let mut values: Vec<u32> = weight.values.iter().map(|x| x.abs().to_bits()).collect();
        values.sort_unstable();
        values.dedup();
        // Three bits: zero, and one to three steps of either sign.
        assert!(values.len() <= 4, "{path}: {} magnitudes", values.len());
    }
    for (index, model) in ["tuned", "runs/export-tuned.onnx"].into_iter().enumerate() {
        let values = vec![0.25f32; 784].into_iter().flat_map(f32::to_le_bytes);
        let values: Vec<u8> = values.collect();
        write_npy(&folder.join("in.npy"), "<f4", &[1, 1, 28, 28], &values);
        good(
            folder,
            &format!("predict {model} --input in.npy --output {index}.npy"),
        );
    }
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    assert_eq!(read("0.npy"), read("1.npy"));
}

/// A chip of `predict` is that of the population.
#[test]
fn outputs_of_one_chip_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    digits(folder);
    let raw: Vec<u8> = (0..3 * 784)
        .flat_map(|i| ((i % 13) as f32 / 13.0).to_le_bytes())
        .collect();
    let view = |name: &str| {
        let view =
            safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![3, 1, 28, 28], &raw);
        (name.to_string(), view.unwrap())
    };
    let file = safetensors::serialize([view("input"), view("other")], None).unwrap();
    std::fs::write(folder.join("in.safetensors"), file).unwrap();
    for (command, output) in [
        ("--output a.npy", "a.npy"),
        ("--output b.npy --chip 7:0 --sigma 0.05", "b.npy"),
        ("--output c.npy --chip 7:0 --sigma 0.05", "c.npy"),
        ("--output d.npy --chip 7:1 --sigma 0.05", "d.npy"),
    ] {
        good(
            folder,
            &format!("predict net.onnx --input in.safetensors {command}"),
        );
        assert!(folder.join(output).is_file());
    }
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    assert_eq!(read("b.npy"), read("c.npy"));
    // The same chips of the same network, made here.
    let device = Device::flex();
    let network = OnnxFile::open(&folder.join("net.onnx")).unwrap();
    let network = network.network(&device).unwrap();
    let variation = Variation::from(Distribution::gaussian(0.05));
    let values = raw.as_chunks::<4>().0.iter();
    let input: Vec<f32> = values.map(|x| f32::from_le_bytes(*x)).collect();
    for (index, file) in [(0, "b.npy"), (1, "d.npy")] {
        let chip = manufacture(&network, None, &variation, ChipSeed::new(7, index));
        let expected = chip.run_values(&[3, 1, 28, 28], input.clone(), &device);
        let (shape, found) = read_npy(&folder.join(file)).unwrap();
        assert_eq!(shape, [3, 10]);
        assert_eq!(found, expected.unwrap().values, "{file}");
    }
    assert_ne!(read("a.npy"), read("b.npy"));
    assert_ne!(read("d.npy"), read("b.npy"));
    assert_eq!(&read("a.npy")[..6], b"\x93NUMPY");
    assert_eq!(read("a.npy").len(), 128 + 3 * 10 * 4);
    // What it wrote it reads.
    good(
        folder,
        "predict net.onnx --input in.safetensors --output a.safetensors",
    );
    write_npy(&folder.join("bytes.npy"), "|u1", &[1, 1, 28, 28], &[7; 784]);
    let mut holes = raw.clone();
    holes[8..12].copy_from_slice(&f32::NAN.to_le_bytes());
    let view =
        safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![3, 1, 28, 28], &holes);
    let file = safetensors::serialize([("input", view.unwrap())], None).unwrap();
    std::fs::write(folder.join("holes.safetensors"), file).unwrap();
    for (command, part) in [
        (
            "--input a.npy --output x.npy",
            "its input `x` is batch x 1 x 28 x 28, the data have the shape [3, 10]",
        ),
        (
            "--input bytes.npy --output x.npy",
            "bytes.npy: it holds bytes",
        ),
        (
            "--input holes.safetensors --output x.npy",
            "value 2 of holes.safetensors is NaN, not a finite number",
        ),
        (
            "--input in.safetensors --output x.txt",
            "x.txt is no .npy or .safetensors file",
        ),
        (
            "--input in.safetensors --output x.npy --sigma 0.1",
            "add --chip SEED:INDEX",
        ),
        (
            "--input in.safetensors --output x.npy --scale per-channel",
            "a variation has no effect without a chip: add --chip SEED:INDEX",
        ),
        (
            "--input in.safetensors --output x.npy --digital fc1.weight",
            "--digital has no effect here: no weight of the network is quantized",
        ),
        (
            "--input in.safetensors --output none/x.npy",
            "the folder none of --output is not there: create it first",
        ),
    ] {
        let line = bad(folder, &format!("predict net.onnx {command}"));
        assert!(line.contains(part), "{line}");
    }
}

/// A network that only works for several items is refused, and what of a graph is not used or never varies is said.
#[test]
fn a_graph_is_checked_before_it_predicts() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let values: Vec<u8> = (0..6).flat_map(|i| (i as f32).to_le_bytes()).collect();
    write_npy(&folder.join("in.npy"), "<f4", &[2, 3], &values);
    let squeezed = Graph::taking(&[3]).node("Squeeze", &["x"], &["y"], &[]);
    std::fs::write(folder.join("net.onnx"), squeezed.file()).unwrap();
    let line = bad(folder, "predict net.onnx --input in.npy --output out.npy");
    assert!(
        line.contains("for 1 items it gives an output of shape [3]"),
        "{line}"
    );
    let two = Graph::taking(&[3])
        .floats("w", &[3, 3], &[1.0; 9])
        .node("Exp", &["w"], &["e"], &[])
        .node("MatMul", &["x", "e"], &["y"], &[])
        .node("Relu", &["x"], &["z"], &[])
        .output("z");
    std::fs::write(folder.join("net.onnx"), two.file()).unwrap();
    let output = good(folder, "predict net.onnx --input in.npy --output out.npy");
    let notes = String::from_utf8(output.stderr).unwrap();
    for part in [
        "net.onnx has 2 outputs: the first is used, `y`",
        "net.onnx: n1 multiply with stored numbers that are no matrix of a layer, and never vary",
    ] {
        assert!(notes.contains(part), "{notes}");
    }
    // A batch that the graph fixes is passed as it is.
    let fixed = Graph::with_input(&[Some(2), Some(3)], 1).node("Relu", &["x"], &["y"], &[]);
    std::fs::write(folder.join("net.onnx"), fixed.file()).unwrap();
    good(folder, "predict net.onnx --input in.npy --output out.npy");
    let values: Vec<u8> = (0..9).flat_map(|i| (i as f32).to_le_bytes()).collect();
    write_npy(&folder.join("three.npy"), "<f4", &[3, 3], &values);
    let line = bad(
        folder,
        "predict net.onnx --input three.npy --output out.npy",
    );
    assert!(
        line.contains(
            "three.npy holds 3 items, and the network takes batches of 2 alone: add or take out items"
        ),
        "{line}"
    );
}

/// The file beside a network says how it sees its inputs, unless the command or the source does.
#[test]
fn a_recipe_knows_the_normalization_of_its_network() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    digits(folder);
    std::fs::write(folder.join("net.onnx.toml"), "normalize = \"0.5/0.25\"\n").unwrap();
    let recipe = RECIPE
        .replace("kind = \"lenet\"", "kind = \"onnx\"\nfile = \"net.onnx\"")
        .replace("source = \"digits\"", "source = \"mnist:DIR\"");
    std::fs::write(folder.join("r.toml"), recipe).unwrap();
    for (options, source) in [
        ("", "mnist:DIR?mean=0.5&std=0.25"),
        ("--data mnist:DIR?mean=1&std=2", "mnist:DIR?mean=1&std=2"),
        ("--normalize 1/2", "mnist:DIR?mean=1&std=2"),
    ] {
        let output = good(folder, &format!("train r.toml --print-config {options}"));
        let config = String::from_utf8(output.stdout).unwrap();
        assert!(
            config.contains(&format!("source = \"{source}\"")),
            "{config}"
        );
    }
}

/// A network that adds the row of a table whose number it computes from the image: zeros have the row 0, images one that is not
/// there. Nothing but the values says so.
#[test]
fn a_node_that_cannot_compute_with_the_data_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let weights: Vec<f32> = (0..7840).map(|i| (i % 7) as f32 / 700.0).collect();
    let graph = Graph::taking(&[1, 28, 28])
        .floats("fc.weight", &[784, 10], &weights)
        .floats("table", &[2, 10], &[0.5; 20])
        .floats("many", &[2], &[1000.0; 2])
        .integers("axis", &[1])
        .node("Flatten", &["x"], &["f"], &[])
        .node("MatMul", &["f", "fc.weight"], &["h"], &[])
        .node(
            "ReduceMax",
            &["f", "axis"],
            &["m"],
            &[Setting::Int("keepdims", 0)],
        )
        .node(
            "ReduceMax",
            &["many"],
            &["k"],
            &[Setting::Int("keepdims", 0)],
        )
        .node("Mul", &["m", "k"], &["n"], &[])
        .node("Cast", &["n"], &["i"], &[Setting::Int("to", 7)])
        .named("/pick/Gather", "Gather", &["table", "i"], &["g"], &[])
        .node("Add", &["h", "g"], &["y"], &[]);
    std::fs::write(folder.join("net.onnx"), graph.file()).unwrap();
    std::fs::write(folder.join("r.toml"), RECIPE).unwrap();
    let node = ": node `/pick/Gather` (Gather): index ";
    for (command, start) in [
        (
            "evaluate net.onnx --data digits --items 200 --noise none --chips 1",
            "the network cannot compute one of the items 0 to ",
        ),
        (
            "train r.toml --init net.onnx --out tuned",
            "the network cannot compute in epoch 1, step 1",
        ),
        (
            "worst-case net.onnx --data digits --items 100 --budget 20",
            "the network cannot compute ",
        ),
    ] {
        let line = bad(folder, command);
        assert!(line.contains(start), "{command}: {line}");
        assert!(line.contains(node), "{command}: {line}");
    }
}

#[test]
fn what_does_not_fit_is_named_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    digits(folder);
    std::fs::write(folder.join("bad.onnx"), "no graph").unwrap();
    for (command, part) in [
        (
            "evaluate bad.onnx --data digits",
            "bad.onnx: it is no ONNX model",
        ),
        (
            "evaluate net.onnx",
            "net.onnx is a model without data: name samples, such as --data cifar10:DIR",
        ),
        (
            "evaluate net.onnx --data waveforms",
            "onnx takes batch x 1 x 28 x 28 inputs, the data has 1x1x",
        ),
        (
            "evaluate net.onnx --data digits --normalize 0.5/0.5",
            "its mean and std are fixed",
        ),
    ] {
        let line = bad(folder, command);
        assert!(line.contains(part), "{command}: {line}");
    }
    let output = crossburn(folder)
        .args([
            "evaluate",
            "net.onnx",
            "--data",
            "digits",
            "--normalize",
            "0.5",
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn resnet20_has_its_published_accuracy() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let (images, graphs) = (data.join("cifar-10"), data.join("golden-onnx"));
    if !images.is_dir() || !graphs.is_dir() {
        eprintln!(
            "skipped: {} or {} is not there",
            images.display(),
            graphs.display()
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for exporter in ["op17", "op20"] {
        let command = format!(
            "evaluate {}/resnet20_{exporter}.onnx --data cifar10:{} --normalize 0.485,0.456,0.406/0.229,0.224,0.225 \
             --noise none --chips 1 --json --out {exporter}",
            graphs.display(),
            images.display()
        );
        let clean = json(&good(folder, &command))["methods"][0]["clean"]
            .as_f64()
            .unwrap();
        // 91.8 % by its authors on 10,000 images. Of 2,000 of them, two standard errors are 1.2 points.
        assert!((clean - 0.918).abs() < 0.012, "{exporter}: {clean}");
    }
}
