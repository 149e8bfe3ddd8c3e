//! ONNX graphs of two exporters of PyTorch against what PyTorch computes with them.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]
#![allow(clippy::print_stderr, reason = "a skipped test says why")]

mod golden;

use burn::tensor::Device;
use crossburn_checkpoints::OnnxFile;
use crossburn_noise::matrix_weights;

use golden::{Golden, folder};

const NETWORKS: [&str; 7] = ["lenet", "cnn1d", "mobile", "resnet20", "unet", "vit", "rnn"];

/// Largest difference to PyTorch. Both compute with 32-bit floats and add up in another order.
const TOLERANCE: f32 = 1e-4;

#[test]
fn outputs_are_those_of_pytorch() {
    let Some(folder) = folder("golden-onnx") else {
        return;
    };
    let device = Device::flex();
    for name in NETWORKS {
        let io = folder.join(format!("{name}_io.safetensors"));
        let (input, expected) = (Golden::read(&io, "input"), Golden::read(&io, "output"));
        for exporter in ["op17", "op20"] {
            let file = folder.join(format!("{name}_{exporter}.onnx"));
            let network = OnnxFile::open(&file).unwrap().network(&device).unwrap();
            let found = network
                .run_values(&input.shape, input.floats.clone(), &device)
                .unwrap();
            assert_eq!(found.shape, expected.shape, "{name} {exporter}");
            let pairs = found.values.iter().zip(&expected.floats);
            let gap = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            eprintln!("{name} {exporter}: {gap:e}");
            assert!(gap < TOLERANCE, "{name} {exporter}: {gap}");
        }
    }
}

/// The layers of a network are called as in its `state_dict`, whichever exporter wrote it.
#[test]
fn weights_have_the_names_of_pytorch() {
    let Some(folder) = folder("golden-onnx") else {
        return;
    };
    let device = Device::flex();
    for (name, exporters) in [
        ("lenet", &["op17", "op20"][..]),
        ("cnn1d", &["op17", "op20"]),
        ("mobile", &["op17", "op20"]),
        ("resnet20", &["op17", "op20"]),
        ("unet", &["op17", "op20"]),
        ("vit", &["op17", "op20"]),
    ] {
        let mut both = exporters.iter().map(|exporter| {
            let file = folder.join(format!("{name}_{exporter}.onnx"));
            let network = OnnxFile::open(&file).unwrap().network(&device).unwrap();
            matrix_weights(&network)
        });
        let first = both.next().unwrap();
        assert!(both.all(|other| other == first), "{name}");
        eprintln!("{name}: {first:?}");
        let expected = match name {
            "lenet" => "f3.weight",
            "cnn1d" => "c.4.weight",
            "mobile" => "dw.0.weight",
            "resnet20" => "layer3.2.conv2.weight",
            "unet" => "u.weight",
            _ => "ls.1.qkv.weight",
        };
        assert!(first.contains(expected), "{name}: {first:?}");
    }
}
