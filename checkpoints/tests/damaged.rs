//! Files that are cut, damaged, foreign or mixed up: one clear line, never a panic.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::path::Path;

use burn::module::{Module, RunningState};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use crossburn_checkpoints::{
    Manifest, load_checkpoint, load_weights, read_manifest, save_checkpoint, save_weights,
};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::json;

#[derive(Module, Debug)]
struct Two {
    fc1: Linear,
    fc2: Linear,
}

fn two(hidden: usize) -> Two {
    let device = Device::flex();
    Two {
        fc1: LinearConfig::new(3, hidden).init(&device),
        fc2: LinearConfig::new(hidden, 2).init(&device),
    }
}

#[derive(Module, Debug)]
struct Other {
    fc1: Linear,
    head: Linear,
}

#[derive(Module, Debug)]
struct One {
    fc1: Linear,
}

/// The message without the folder, which differs between runs. Checks that it is one line.
fn message<T>(result: Result<T, crossburn_checkpoints::CheckpointError>, dir: &Path) -> String {
    let message = result.err().expect("an error").to_string();
    assert!(!message.contains('\n'), "{message}");
    message.replace(&format!("{}/", dir.display()), "")
}

#[test]
fn every_cut_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    save_weights(&two(4), &path).unwrap();
    let whole = fs_err::read(&path).unwrap();
    for length in 0..whole.len() {
        fs_err::write(&path, &whole[..length]).unwrap();
        let message = message(load_weights(two(4), &path), dir.path());
        assert!(
            message.starts_with("m.safetensors is not a readable safetensors file ("),
            "{message}"
        );
    }
    fs_err::write(&path, [&whole[..], b"xyz"].concat()).unwrap();
    let longer = message(load_weights(two(4), &path), dir.path());
    assert_eq!(
        longer,
        "m.safetensors is not a readable safetensors file (3 bytes too many follow its last tensor): save it again with \
         safetensors"
    );
    // Another writer's padding: NUL bytes in place of spaces.
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let length = (header - 8 + 5) as u64;
    let padded = [
        &length.to_le_bytes()[..],
        &whole[8..header],
        &[0; 5],
        &whole[header..],
    ];
    fs_err::write(&path, padded.concat()).unwrap();
    let padded = message(load_weights(two(4), &path), dir.path());
    assert!(
        padded.contains("(its header ends with 5 NUL bytes where the format has spaces)"),
        "{padded}"
    );
}

/// Any byte of the header may be damaged: an error or, where the byte has no meaning, the same network.
#[test]
fn no_damage_of_the_header_panics() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    save_weights(&two(4), &path).unwrap();
    let whole = fs_err::read(&path).unwrap();
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let mut refused = 0;
    for position in 0..header {
        for flip in [0x01, 0x10, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[position] ^= flip;
            fs_err::write(&path, &bytes).unwrap();
            if let Err(error) = load_weights(two(4), &path) {
                assert!(!error.to_string().contains('\n'), "{error}");
                refused += 1;
            }
        }
    }
    assert!(refused > 3 * header, "{refused} of {}", 4 * header);
}

#[test]
fn foreign_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    let load = |bytes: &[u8]| {
        fs_err::write(&path, bytes).unwrap();
        message(load_weights(two(4), &path), dir.path())
    };
    let messages = [
        load(b""),
        load(b"PK\x03\x04 a zip archive, as torch.save writes it"),
        load(&u64::MAX.to_le_bytes()),
        load(&[&90_000_000u64.to_le_bytes()[..], b"{}"].concat()),
        load(&[&2u64.to_le_bytes()[..], b"{}"].concat()),
        load(&[&2u64.to_le_bytes()[..], b"\xff\xff"].concat()),
    ];
    insta::assert_snapshot!(messages.join("\n"), @r#"
    m.safetensors is not a readable safetensors file (header too small; it may be cut or of another format): save it again with safetensors
    m.safetensors is not a readable safetensors file (header too large; it may be cut or of another format): save it again with safetensors
    m.safetensors is not a readable safetensors file (header too large; it may be cut or of another format): save it again with safetensors
    m.safetensors is not a readable safetensors file (invalid header length; it may be cut or of another format): save it again with safetensors
    m.safetensors does not fit this model: it lacks "fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"; build the model with the architecture and the widths the file was saved from
    m.safetensors is not a readable safetensors file (invalid UTF-8 in header: invalid utf-8 sequence of 1 bytes from index 0; it may be cut or of another format): save it again with safetensors
    "#);
    let absent = dir.path().join("none.safetensors");
    let absent = message(load_weights(two(4), &absent), dir.path());
    assert!(
        absent.starts_with("cannot read none.safetensors: "),
        "{absent}"
    );
    assert!(absent.ends_with("; check the path"), "{absent}");
}

#[test]
fn another_architecture() {
    let device = Device::flex();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    save_weights(&two(4), &path).unwrap();

    insta::assert_snapshot!(message(load_weights(two(5), &path), dir.path()), @r#"m.safetensors does not fit this model: "fc1.weight" has shape [4, 3] where [5, 3] is needed, "fc1.bias" has shape [4] where [5] is needed, "fc2.weight" has shape [2, 4] where [2, 5] is needed; build the model with the architecture and the widths the file was saved from"#);
    let other = Other {
        fc1: LinearConfig::new(3, 4).init(&device),
        head: LinearConfig::new(4, 2).init(&device),
    };
    insta::assert_snapshot!(message(load_weights(other, &path), dir.path()), @r#"m.safetensors does not fit this model: it lacks "head.weight", "head.bias"; it has "fc2.bias", "fc2.weight", which the model does not have; build the model with the architecture and the widths the file was saved from"#);
    let one = One {
        fc1: LinearConfig::new(3, 4).init(&device),
    };
    insta::assert_snapshot!(message(load_weights(one.clone(), &path), dir.path()), @r#"m.safetensors does not fit this model: it has "fc2.bias", "fc2.weight", which the model does not have; build the model with the architecture and the widths the file was saved from"#);
    save_weights(&one, &path).unwrap();
    insta::assert_snapshot!(message(load_weights(two(4), &path), dir.path()), @r#"m.safetensors does not fit this model: it lacks "fc2.weight", "fc2.bias"; build the model with the architecture and the widths the file was saved from"#);
}

#[test]
fn wrong_element_type() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    let one = || One {
        fc1: LinearConfig::new(1, 2)
            .with_bias(false)
            .init(&Device::flex()),
    };
    for dtype in [Dtype::I32, Dtype::BOOL, Dtype::F8_E4M3] {
        let bytes = vec![0; 2 * dtype.bitsize() / 8];
        let view = TensorView::new(dtype, vec![2, 1], &bytes).unwrap();
        safetensors::serialize_to_file([("fc1.weight", view)], None, &path).unwrap();
        assert_eq!(
            message(load_weights(one(), &path), dir.path()),
            format!(
                "m.safetensors: tensor \"fc1.weight\" holds {dtype} elements, this model needs F32; export it as F32, F16, BF16 or F64"
            )
        );
    }
}

fn manifest() -> Manifest {
    Manifest::new(json!({"kind": "two"}), json!({"lr": 0.1}), 7, json!("none"))
}

#[test]
fn checkpoint_round_trip() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("a/b");
    let net = two(4);
    let manifest = manifest().with_metric("accuracy", 0.5);
    save_checkpoint(&dir, &net, &manifest).unwrap();
    let (loaded, read) = load_checkpoint(&dir, two(4)).unwrap();
    assert_eq!(
        loaded.fc2.weight.val().into_data(),
        net.fc2.weight.val().into_data()
    );
    assert_eq!(read, read_manifest(&dir).unwrap());
    assert_eq!(read.metrics, manifest.metrics);
    let weights = fs_err::read(dir.join("model.safetensors")).unwrap();
    assert_eq!(
        read.weights_checksum(),
        crossburn_checkpoints::checksum(&weights)
    );
    // The same weights and manifest give the same bytes, whatever was there before.
    let before = fs_err::read(dir.join("manifest.json")).unwrap();
    save_checkpoint(&dir, &two(4), &read).unwrap();
    save_checkpoint(&dir, &loaded, &read).unwrap();
    assert_eq!(fs_err::read(dir.join("manifest.json")).unwrap(), before);
    assert_eq!(fs_err::read_dir(&dir).unwrap().count(), 2);
}

#[test]
fn mixed_up_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    insta::assert_snapshot!(message(read_manifest(&run), dir.path()), @"run does not exist; give a folder that training wrote");
    fs_err::create_dir(&run).unwrap();
    insta::assert_snapshot!(message(read_manifest(&run), dir.path()), @"run is not a checkpoint: it has no manifest.json; give a folder that training wrote");
    save_checkpoint(&run, &two(4), &manifest()).unwrap();

    // What a crash between the two files leaves: the weights of another save.
    let weights = run.join("model.safetensors");
    save_weights(&two(4), &weights).unwrap();
    let found = crossburn_checkpoints::checksum(&fs_err::read(&weights).unwrap());
    let expected = read_manifest(&run).unwrap().weights_checksum().to_string();
    let torn = message(load_checkpoint(&run, two(4)), dir.path());
    let torn = torn.replace(&found, "FOUND").replace(&expected, "EXPECTED");
    insta::assert_snapshot!(torn, @"run/model.safetensors has checksum FOUND, manifest.json says EXPECTED: the files were mixed up or one is damaged; restore both from the same run");

    fs_err::remove_file(&weights).unwrap();
    insta::assert_snapshot!(message(load_checkpoint(&run, two(4)), dir.path()), @"run is not a checkpoint: it has no model.safetensors; give a folder that training wrote");
    fs_err::write(run.join("manifest.json"), b"{").unwrap();
    insta::assert_snapshot!(message(read_manifest(&run), dir.path()), @"run/manifest.json cannot be understood: EOF while parsing an object at line 1 column 1; restore it or write the checkpoint again");
}

/// A network of every kind of value that has a rule.
#[derive(Module, Debug)]
struct Ruled {
    conv: Conv2d,
    norm: BatchNorm,
    quantizer: Ranged,
    fc: Linear,
}

/// Named as the activation quantizers of our networks.
#[derive(Module, Debug)]
struct Ranged {
    range: RunningState<Tensor<1>>,
}

fn ruled() -> Ruled {
    let device = Device::flex();
    Ruled {
        conv: Conv2dConfig::new([1, 2], [3, 3]).init(&device),
        norm: BatchNormConfig::new(2).init(&device),
        quantizer: Ranged {
            range: RunningState::new(Tensor::ones([1], &device)),
        },
        fc: LinearConfig::new(4, 3).init(&device),
    }
}

/// The file at `path` with one value of one tensor replaced.
fn spoil(path: &Path, tensor: &str, index: usize, value: f32) {
    let whole = fs_err::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&whole).unwrap();
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = file
        .iter()
        .map(|(name, view)| {
            let mut bytes = view.data().to_vec();
            if name == tensor {
                bytes[4 * index..][..4].copy_from_slice(&value.to_le_bytes());
            }
            (name.to_string(), view.shape().to_vec(), bytes)
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap();
        (name.as_str(), view)
    });
    safetensors::serialize_to_file(views, None, path).unwrap();
}

#[test]
fn values_that_no_network_computes_with_are_named_with_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    let load = |tensor: &str, index: usize, value: f32| {
        save_weights(&ruled(), &path).unwrap();
        spoil(&path, tensor, index, value);
        load_weights(ruled(), &path)
    };
    // A linear weight of the file is [out, in] = [3, 4]: entry 7 is [1, 3]. A filter is 1 x 3 x 3: entry 13 is a middle tap.
    let messages = [
        ("fc.weight", 7, f32::NAN),
        ("fc.weight", 0, f32::INFINITY),
        ("fc.bias", 2, f32::NEG_INFINITY),
        ("conv.weight", 13, f32::NAN),
        ("norm.weight", 1, f32::NAN),
        ("norm.running_mean", 1, f32::INFINITY),
        ("norm.running_var", 0, -1.0),
        ("norm.running_var", 1, f32::NAN),
        ("quantizer.range", 0, -1.0),
        ("quantizer.range", 0, f32::INFINITY),
    ]
    .map(|(tensor, index, value)| message(load(tensor, index, value), dir.path()));
    insta::assert_snapshot!(messages.join("\n"), @r#"
    m.safetensors: entry [1, 3] of tensor "fc.weight" is NaN, where a finite number belongs; train again, or mend the file that it came from
    m.safetensors: entry [0, 0] of tensor "fc.weight" is inf, where a finite number belongs; train again, or mend the file that it came from
    m.safetensors: entry [2] of tensor "fc.bias" is -inf, where a finite number belongs; train again, or mend the file that it came from
    m.safetensors: entry [1, 0, 1, 1] of tensor "conv.weight" is NaN, where a finite number belongs; train again, or mend the file that it came from
    m.safetensors: entry [1] of tensor "norm.weight" is NaN, where a finite number belongs; train again, or mend the file that it came from
    m.safetensors: entry [1] of tensor "norm.running_mean" is inf, where a finite number belongs; train again, or mend the file that it came from
    m.safetensors: entry [0] of tensor "norm.running_var" is -1, where a finite number from 0 on belongs; train again, or mend the file that it came from
    m.safetensors: entry [1] of tensor "norm.running_var" is NaN, where a finite number from 0 on belongs; train again, or mend the file that it came from
    m.safetensors: entry [0] of tensor "quantizer.range" is -1, where a finite number from 0 on belongs; train again, or mend the file that it came from
    m.safetensors: entry [0] of tensor "quantizer.range" is inf, where a finite number from 0 on belongs; train again, or mend the file that it came from
    "#);
    for (tensor, value) in [
        ("norm.running_mean", -1.0),
        ("norm.running_var", 0.0),
        ("quantizer.range", 0.0),
        ("fc.weight", f32::MAX),
    ] {
        load(tensor, 0, value).unwrap();
    }
}

#[test]
fn a_number_that_the_elements_of_the_module_cannot_hold_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    let one = || One {
        fc1: LinearConfig::new(1, 2)
            .with_bias(false)
            .init(&Device::flex()),
    };
    // 1e300 fits 64 bits and not 32.
    let bytes: Vec<u8> = [1.0f64, 1e300]
        .into_iter()
        .flat_map(f64::to_le_bytes)
        .collect();
    let view = TensorView::new(Dtype::F64, vec![2, 1], &bytes).unwrap();
    safetensors::serialize_to_file([("fc1.weight", view)], None, &path).unwrap();
    let refused = message(load_weights(one(), &path), dir.path());
    assert!(
        refused.starts_with("m.safetensors: entry [1, 0] of tensor \"fc1.weight\" is inf,"),
        "{refused}"
    );
}
