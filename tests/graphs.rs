//! A classifier that another program wrote as an ONNX file, from its accuracy to its chips, its worst chip and its training.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::print_stderr, reason = "a skipped test says why")]

mod command;

use std::path::Path;

use command::{bad, crossburn, good, json};

/// One message of protobuf: what `onnx.proto3` says of the few fields that these graphs have.
#[derive(Clone, Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(mut self, mut value: u64) -> Self {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    fn number(self, field: u64, value: u64) -> Self {
        self.varint(field << 3).varint(value)
    }

    fn bytes(self, field: u64, value: &[u8]) -> Self {
        let mut message = self.varint(field << 3 | 2).varint(value.len() as u64);
        message.0.extend(value);
        message
    }

    fn text(self, field: u64, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    fn message(self, field: u64, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }
}

fn tensor(name: &str, shape: &[u64], value: impl Fn(usize) -> f32) -> Message {
    let count = shape.iter().product::<u64>() as usize;
    let raw: Vec<u8> = (0..count).flat_map(|i| value(i).to_le_bytes()).collect();
    let sizes = shape
        .iter()
        .fold(Message::default(), |m, size| m.number(1, *size));
    sizes.number(2, 1).text(8, name).bytes(9, &raw)
}

fn node(kind: &str, inputs: &[&str], output: &str) -> Message {
    let inputs = inputs
        .iter()
        .fold(Message::default(), |m, name| m.text(1, name));
    inputs.text(2, output).text(4, kind)
}

/// A classifier of digits that tells bright lower halves from bright upper ones: `x · w`, two of ten outputs of use.
fn digits(folder: &Path) {
    let axis = |size: u64| Message::default().number(1, size);
    let batch = Message::default().text(2, "batch");
    let shape = [batch, axis(1), axis(28), axis(28)];
    let shape = shape
        .iter()
        .fold(Message::default(), |m, axis| m.message(1, axis));
    let kind = Message::default().number(1, 1).message(2, &shape);
    let kind = Message::default().message(1, &kind);
    let input = Message::default().text(1, "x").message(2, &kind);
    // Formula weights: no output is better than another by more than chance, and training has something to learn.
    let weight = |i: usize| ((i * 7919 % 1009) as f32 / 1009.0 - 0.5) * 0.1;
    let graph = Message::default()
        .message(1, &node("Flatten", &["x"], "f"))
        .message(1, &node("Gemm", &["f", "fc1.weight", "fc1.bias"], "h"))
        .message(1, &node("Relu", &["h"], "r"))
        .message(1, &node("MatMul", &["r", "fc2.weight"], "y"))
        .message(5, &tensor("fc1.weight", &[784, 24], weight))
        .message(5, &tensor("fc1.bias", &[24], |_| 0.0))
        .message(5, &tensor("fc2.weight", &[24, 10], |i| 5.0 * weight(3 * i)))
        .message(11, &input)
        .message(12, &Message::default().text(1, "y"));
    let opset = Message::default().text(1, "").number(2, 18);
    let model = Message::default().number(1, 8).message(7, &graph);
    std::fs::write(folder.join("net.onnx"), model.message(8, &opset).0).unwrap();
}

const RECIPE: &str = "seed = 1\n[model]\nkind = \"lenet\"\n[data]\nsource = \"digits\"\ntrain = 1200\nvalidation = 200\ntest = 300\n\
     [training]\nepochs = 2\nbatch = 32\noptimizer = { kind = \"adam\", learning_rate = 2e-3 }\n\
     [noise]\nkind = \"gaussian\"\nsigma_rel_wmax = 0.05\n";

#[test]
fn a_graph_is_trained_and_its_checkpoint_does_without_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    digits(folder);
    std::fs::write(folder.join("r.toml"), RECIPE).unwrap();
    let untrained =
        "evaluate net.onnx --data digits --items 300 --noise none --chips 1 --json --out before";
    let before = json(&good(folder, untrained))["methods"][0]["clean"]
        .as_f64()
        .unwrap();
    let trained = json(&good(
        folder,
        "train r.toml --init net.onnx --out tuned --json",
    ));
    let clean = trained["methods"][0]["clean"].as_f64().unwrap();
    // Ten classes: a tenth by chance. Two epochs of a linear network with one hidden layer teach far more.
    assert!(before < 0.4 && clean > before + 0.2, "{before} {clean}");
    std::fs::remove_file(folder.join("net.onnx")).unwrap();
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
    assert_ne!(read("a.npy"), read("b.npy"));
    assert_ne!(read("d.npy"), read("b.npy"));
    assert_eq!(&read("a.npy")[..6], b"\x93NUMPY");
    assert_eq!(read("a.npy").len(), 128 + 3 * 10 * 4);
    // What it wrote it reads.
    good(
        folder,
        "predict net.onnx --input in.safetensors --output a.safetensors",
    );
    for (command, part) in [
        (
            "--input a.npy --output x.npy",
            "its input `x` is batch x 1 x 28 x 28, the data have the shape [3, 10]",
        ),
        (
            "--input in.safetensors --output x.txt",
            "x.txt is no .npy or .safetensors file",
        ),
        (
            "--input in.safetensors --output x.npy --sigma 0.1",
            "add --chip SEED:INDEX",
        ),
    ] {
        let line = bad(folder, &format!("predict net.onnx {command}"));
        assert!(line.contains(part), "{line}");
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
