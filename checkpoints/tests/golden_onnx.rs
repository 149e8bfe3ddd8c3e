//! ONNX graphs of two exporters of PyTorch against what PyTorch computes with them.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]
#![allow(clippy::print_stderr, reason = "a skipped test says why")]

mod golden;
#[path = "../../models/tests/onnx/graph.rs"]
mod graph;

use burn::tensor::Device;
use crossburn_checkpoints::OnnxFile;
use crossburn_hardware::deploy::{Fidelity, Hardware, MappedNetwork};
use crossburn_hardware::manufacture;
use crossburn_noise::matrix_weights;

use crossburn_models::onnx::OnnxNetwork;
use crossburn_noise::{ChipSeed, Distribution, Philox, Variation, host_weights};
use golden::{Golden, folder};
use graph::{Graph, elsewhere};

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

/// A network that has not changed is its file to the byte. One whose weights have changed is read from its file as it was written.
#[test]
fn a_written_network_is_the_one_that_is_read() {
    let Some(folder) = folder("golden-onnx") else {
        return;
    };
    let device = Device::flex();
    let variation = Variation::from(Distribution::gaussian(0.05));
    let place = tempfile::tempdir().unwrap();
    for name in NETWORKS {
        let input = Golden::read(&folder.join(format!("{name}_io.safetensors")), "input");
        for exporter in ["op17", "op20"] {
            let path = folder.join(format!("{name}_{exporter}.onnx"));
            let file = OnnxFile::open(&path).unwrap();
            let network = file.network(&device).unwrap();
            let bytes = file.with_tensors_of(&network).unwrap();
            assert!(bytes == std::fs::read(&path).unwrap(), "{name} {exporter}");
            let chip = manufacture(&network, None, &variation, ChipSeed::new(7, 0));
            let written = place.path().join("net.onnx");
            std::fs::write(&written, file.with_tensors_of(&chip).unwrap()).unwrap();
            let again = OnnxFile::open(&written).unwrap().network(&device).unwrap();
            assert_eq!(host_weights(&again), host_weights(&chip), "{name}");
            let run = |network: &OnnxNetwork| {
                let output = network.run_values(&input.shape, input.floats.clone(), &device);
                output.unwrap().values
            };
            let (found, expected) = (run(&again), run(&chip));
            assert_eq!(found, expected, "{name} {exporter}");
            assert_ne!(found, run(&network), "{name} {exporter}");
        }
    }
}

/// Files of real networks with a few other bytes, cut somewhere: a network or an error.
#[test]
fn damaged_networks_are_errors_and_no_panics() {
    let Some(folder) = folder("golden-onnx") else {
        return;
    };
    let device = Device::flex();
    let external = |_: &_| Err("none".to_string());
    let mut runs = 0;
    for name in NETWORKS {
        let whole = std::fs::read(folder.join(format!("{name}_op17.onnx"))).unwrap();
        let input = Golden::read(&folder.join(format!("{name}_io.safetensors")), "input");
        let undamaged = OnnxNetwork::read(&whole, &external, &device).unwrap();
        undamaged.check_items(&input.shape[1..]).unwrap();
        for case in 0..60 {
            let draws = Philox::new(case, 0);
            let mut file = whole.clone();
            if case.is_multiple_of(4) {
                file.truncate(draws.below(0, file.len() as u32) as usize);
            }
            // Half of the changes lie where the nodes are: exporters write them before the tensors.
            for change in 0..4u64 {
                let part = if change.is_multiple_of(2) { 1 } else { 16 };
                let place = draws.below(2 * change + 1, (file.len() / part).max(1) as u32);
                if let Some(byte) = file.get_mut(place as usize) {
                    *byte = draws.below(2 * change + 2, 256) as u8;
                }
            }
            // What a check has passed, runs.
            if let Ok(network) = OnnxNetwork::read(&file, &external, &device)
                && network.check_items(&input.shape[1..]).is_ok()
            {
                runs += 1;
                let _ = network.run_values(&input.shape, input.floats.clone(), &device);
            }
        }
    }
    // Of a small file nearly every change breaks the messages. Of the large ones most changes fall into weights.
    assert!(runs > 60, "{runs} damaged files run");
}

/// The graph and its tensors in other files make a checkpoint that does without them.
#[test]
fn tensors_beside_a_graph_are_read_from_its_folder_alone() {
    let place = tempfile::tempdir().unwrap();
    let graph = place.path().join("net.onnx");
    let read = |location: &str| {
        std::fs::write(&graph, external_graph(location)).unwrap();
        let file = OnnxFile::open(&graph).unwrap();
        let network = file.network(&Device::flex());
        network.map(|network| {
            let output = network.run_values(&[1, 2], vec![10.0, 20.0], &Device::flex());
            file.copy_to(&place.path().join("copy/net.onnx")).unwrap();
            output.unwrap().values
        })
    };
    let missing = read("net.data").unwrap_err().to_string();
    assert!(
        missing.contains("put that file beside the graph"),
        "{missing}"
    );
    let data = place.path().join("net.data");
    std::fs::write(&data, [0u8; 7]).unwrap();
    let short = read("net.data").unwrap_err().to_string();
    assert!(short.contains("it lies beyond the 7 bytes of"), "{short}");
    let values: Vec<u8> = [1f32, 2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    std::fs::write(&data, values).unwrap();
    assert_eq!(read("net.data").unwrap(), [11.0, 22.0]);
    assert!(place.path().join("copy/net.data").is_file());
    // A file where the graph goes would take its place.
    std::fs::copy(&data, place.path().join("copy.onnx")).unwrap();
    std::fs::write(&graph, external_graph("copy.onnx")).unwrap();
    let file = OnnxFile::open(&graph).unwrap();
    file.network(&Device::flex()).unwrap();
    let taken = file.copy_to(&place.path().join("copy/copy.onnx"));
    let taken = taken.unwrap_err().to_string();
    assert!(taken.contains("give that file another name"), "{taken}");
    #[cfg(unix)]
    {
        let elsewhere = tempfile::tempdir().unwrap();
        let secret = elsewhere.path().join("secret");
        std::fs::copy(&data, &secret).unwrap();
        std::os::unix::fs::symlink(&secret, place.path().join("link.data")).unwrap();
        let refused = read("link.data").unwrap_err().to_string();
        assert!(
            refused.contains("outside of the folder of the graph"),
            "{refused}"
        );
        // A link within the folder is as good as its file.
        std::os::unix::fs::symlink("net.data", place.path().join("same.data")).unwrap();
        assert_eq!(read("same.data").unwrap(), [11.0, 22.0]);
    }
    for location in ["../net.data", "/etc/hostname", "a/../../net.data"] {
        let refused = read(location).unwrap_err().to_string();
        assert!(
            refused.contains("outside of the folder of the graph"),
            "{refused}"
        );
    }
}

/// `y = x + b` with two values of `b` in the file `location`.
fn external_graph(location: &str) -> Vec<u8> {
    let graph = Graph::taking(&[2]).stored(&elsewhere("b", &[2], location, None, 8));
    graph.node("Add", &["x", "b"], &["y"], &[]).file()
}

/// Every matrix of every network multiplies on arrays, ideal ones as PyTorch does up to codes of 14 bits.
#[test]
fn every_layer_runs_on_arrays() {
    let Some(folder) = folder("golden-onnx") else {
        return;
    };
    let device = Device::flex();
    let hardware = Hardware::from_toml(
        "device = { kind = \"ideal\", g_min = \"0 uS\", g_max = \"100 uS\" }
         mapping = { weight_bits = 14, scale = \"per-output\" }
         array = { rows = 128, columns = 128, input = { bits = 14 } }",
    )
    .unwrap();
    for name in NETWORKS {
        let io = folder.join(format!("{name}_io.safetensors"));
        let (input, expected) = (Golden::read(&io, "input"), Golden::read(&io, "output"));
        let file = folder.join(format!("{name}_op17.onnx"));
        let network = OnnxFile::open(&file).unwrap().network(&device).unwrap();
        let run = |network: &OnnxNetwork| {
            network
                .run_values(&input.shape, input.floats.clone(), &device)
                .unwrap()
                .values
        };
        let mapped = MappedNetwork::new(&network, &hardware, input.shape[0], |network| {
            run(network);
        })
        .unwrap();
        assert_eq!(mapped.unseen(), Vec::<&str>::new(), "{name}");
        assert_eq!(
            mapped.layers().len(),
            matrix_weights(&network).len(),
            "{name}"
        );
        let found = run(&mapped.fab(Fidelity::Array).unwrap().ideal().unwrap());
        let largest = expected.floats.iter().fold(0.0f32, |a, x| a.max(x.abs()));
        let pairs = found.iter().zip(&expected.floats);
        let gap = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / largest;
        eprintln!("{name}: {gap:e}");
        // Codes are off by 2^-14 of their range, and errors of many layers add up.
        assert!(gap < 2e-3, "{name}: {gap}");
    }
}
