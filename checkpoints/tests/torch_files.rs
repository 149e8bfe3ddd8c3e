//! Files of `torch.save`, written as it writes them. Nothing of them is executed.
#![cfg(feature = "pytorch")]
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod torch_writer;

use std::path::Path;

use burn::nn::{Linear, LinearConfig};
use burn::tensor::Device;
use crossburn_checkpoints::{CheckpointError, StateDict};
use torch_writer::{Pickle, Tensor, archive, saved};

const WEIGHT: [f32; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
const BIAS: [f32; 2] = [0.5, -0.5];

fn tensors(prefix: &'static str) -> [Tensor<'static>; 2] {
    let names = match prefix {
        "" => ["weight", "bias"],
        _ => ["module.weight", "module.bias"],
    };
    [
        Tensor {
            name: names[0],
            shape: &[2, 3],
            values: &WEIGHT,
        },
        Tensor {
            name: names[1],
            shape: &[2],
            values: &BIAS,
        },
    ]
}

fn layer() -> Linear {
    LinearConfig::new(3, 2).init(&Device::flex())
}

fn load(path: &Path) -> Result<Linear, CheckpointError> {
    StateDict::open(path)?.load(layer(), &[])
}

fn message(path: &Path, bytes: &[u8]) -> String {
    fs_err::write(path, bytes).unwrap();
    let message = load(path).unwrap_err().to_string();
    assert!(!message.contains('\n'), "{message}");
    let folder = path.parent().unwrap().display().to_string();
    message.replace(&format!("{folder}/"), "")
}

#[test]
fn a_state_dict_is_read_alone_under_a_key_and_wrapped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("net.pth");
    let plain = tensors("");
    let wrapped = tensors("module.");
    // {'epoch': 'five', 'state_dict': {...}}
    let beside = Pickle::default().op(b"}(").text("epoch").text("five");
    let beside = beside.text("state_dict").state_dict(&wrapped).op(b"u");
    for bytes in [saved(&plain), saved(&wrapped), archive(beside, &wrapped)] {
        fs_err::write(&path, bytes).unwrap();
        let layer = load(&path).unwrap();
        let weight: Vec<f32> = layer.weight.val().into_data().try_to_vec().unwrap();
        // [out, in] of PyTorch is [in, out] of Burn.
        assert_eq!(weight, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        let bias = layer.bias.unwrap().val().into_data();
        assert_eq!(bias.try_to_vec::<f32>().unwrap(), BIAS);
    }
}

#[test]
fn every_key_of_training_scripts_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("net.pth");
    let plain = tensors("");
    for key in ["state_dict", "model_state_dict", "model", "net", "network"] {
        let beside = Pickle::default().op(b"}(").text("epoch").text("five");
        let beside = beside.text(key).state_dict(&plain).op(b"u");
        fs_err::write(&path, archive(beside, &plain)).unwrap();
        let bias = load(&path).unwrap().bias.unwrap().val().into_data();
        assert_eq!(bias.try_to_vec::<f32>().unwrap(), BIAS, "{key}");
    }
}

#[test]
fn what_calls_something_is_refused_by_name_and_not_executed() {
    let dir = tempfile::tempdir().unwrap();
    let (path, trace) = (dir.path().join("net.pth"), dir.path().join("executed"));
    let plain = tensors("");
    let call = |pickle: Pickle| {
        let command = format!("touch {}", trace.display());
        pickle
            .global("os", "system")
            .op(b"(")
            .text(&command)
            .op(b"tR")
    };
    // In place of a state dict, beside it, and inside of it.
    let alone = call(Pickle::default());
    let beside = Pickle::default().op(b"}(").text("state_dict");
    let beside = call(beside.state_dict(&plain).text("optimizer")).op(b"u");
    let inside = call(Pickle::default().op(b"}(").text("weight")).op(b"u");
    for pickle in [alone, beside, inside] {
        let message = message(&path, &archive(pickle, &plain));
        assert_eq!(
            message,
            "net.pth calls os.system when Python loads it, which a state dict does not: nothing was executed; save the state dict \
             alone: torch.save(network.state_dict(), FILE)"
        );
    }
    // A call whose result is thrown away leaves the state dict as it is.
    let hidden = call(Pickle::default()).op(b"0").state_dict(&plain);
    fs_err::write(&path, archive(hidden, &plain)).unwrap();
    load(&path).unwrap();
    assert!(!trace.exists());
}

#[test]
fn every_cut_and_every_foreign_file_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("net.pth");
    let whole = saved(&tensors(""));
    for length in 1..whole.len() {
        let message = message(&path, &whole[..length]);
        assert!(
            message.starts_with("net.pth cannot be read as a file of torch.save: "),
            "{length}: {message}"
        );
    }
    for bytes in [&b""[..], b"no file of PyTorch", b"\x80\x02}."] {
        let message = message(&path, bytes);
        assert!(message.starts_with("net.pth "), "{message}");
    }
}

/// Any byte may be damaged: an error, or the tensors of another file.
#[test]
fn no_damage_panics() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("net.pth");
    let whole = saved(&tensors(""));
    let mut refused = 0;
    for position in 0..whole.len() {
        for flip in [0x01, 0x10, 0xff] {
            let mut bytes = whole.clone();
            bytes[position] ^= flip;
            fs_err::write(&path, &bytes).unwrap();
            if let Err(error) = load(&path) {
                assert!(!error.to_string().contains('\n'), "{error}");
                refused += 1;
            }
        }
    }
    assert!(refused > whole.len(), "{refused} of {}", 3 * whole.len());
}

#[test]
fn other_shapes_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("net.pth");
    let tensors = [Tensor {
        name: "weight",
        shape: &[3, 2],
        values: &WEIGHT,
    }];
    assert_eq!(
        message(&path, &saved(&tensors)),
        "net.pth does not fit this model: it lacks \"bias\"; \"weight\" has shape [3, 2] where [2, 3] is needed; build the model \
         with the architecture and the widths the file was saved from"
    );
    // More elements than the storage has.
    let tensors = [Tensor {
        name: "weight",
        shape: &[2, 300],
        values: &WEIGHT,
    }];
    let message = message(&path, &saved(&tensors));
    assert!(message.starts_with("net.pth "), "{message}");
}
