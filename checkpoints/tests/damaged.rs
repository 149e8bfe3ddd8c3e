//! Files that are cut, damaged, foreign or mixed up: one clear line, never a panic.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::path::Path;

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::Device;
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
    fs_err::write(&path, [&whole[..], b"x"].concat()).unwrap();
    assert!(load_weights(two(4), &path).is_err(), "longer than it says");
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
    m.safetensors is not a readable safetensors file (header too small); it may be cut or of another format: save it again with safetensors
    m.safetensors is not a readable safetensors file (header too large); it may be cut or of another format: save it again with safetensors
    m.safetensors is not a readable safetensors file (header too large); it may be cut or of another format: save it again with safetensors
    m.safetensors is not a readable safetensors file (invalid header length); it may be cut or of another format: save it again with safetensors
    m.safetensors has no tensor "fc1.weight"; it holds no tensors; build the model with the architecture the file was saved from
    m.safetensors is not a readable safetensors file (invalid UTF-8 in header: invalid utf-8 sequence of 1 bytes from index 0); it may be cut or of another format: save it again with safetensors
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

    insta::assert_snapshot!(message(load_weights(two(5), &path), dir.path()), @r#"m.safetensors: tensor "fc1.weight" has shape [4, 3], this model needs [5, 3]; build the model with the widths the file was saved from"#);
    let other = Other {
        fc1: LinearConfig::new(3, 4).init(&device),
        head: LinearConfig::new(4, 2).init(&device),
    };
    insta::assert_snapshot!(message(load_weights(other, &path), dir.path()), @r#"m.safetensors has no tensor "head.weight"; it holds "fc2.bias", "fc2.weight"; build the model with the architecture the file was saved from"#);
    let one = One {
        fc1: LinearConfig::new(3, 4).init(&device),
    };
    insta::assert_snapshot!(message(load_weights(one.clone(), &path), dir.path()), @r#"m.safetensors holds "fc2.bias", "fc2.weight", unknown to this model; build the model with the architecture the file was saved from"#);
    save_weights(&one, &path).unwrap();
    insta::assert_snapshot!(message(load_weights(two(4), &path), dir.path()), @r#"m.safetensors has no tensor "fc2.weight"; it holds "fc1.bias", "fc1.weight"; build the model with the architecture the file was saved from"#);
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
