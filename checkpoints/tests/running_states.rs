//! Buffers that the forward pass updates: names, pending updates, clones, enums.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use burn::module::{Module, RunningState};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};
use crossburn_checkpoints::{load_weights, save_weights};
use safetensors::SafeTensors;

/// A layer with a buffer of its own, such as the range of its activations.
#[derive(Module, Debug)]
struct Ranged {
    fc: Linear,
    range: RunningState<Tensor<1>>,
}

#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "as networks are")]
enum Net {
    Ranged(Ranged),
    Norm(BatchNorm),
}

fn ranged(device: &Device) -> Net {
    Net::Ranged(Ranged {
        fc: LinearConfig::new(2, 3).init(device),
        range: RunningState::new(Tensor::from_data([0.0f32, 1.0], device)),
    })
}

fn range(net: &Net) -> TensorData {
    match net {
        Net::Ranged(net) => net.range.value_sync().into_data(),
        Net::Norm(_) => panic!("not this variant"),
    }
}

#[test]
fn names_are_paths_without_enum_variants() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    for (net, expected) in [
        (
            ranged(&Device::flex()),
            &["fc.bias", "fc.weight", "range"][..],
        ),
        (
            Net::Norm(BatchNormConfig::new(2).init(&Device::flex())),
            &["bias", "running_mean", "running_var", "weight"][..],
        ),
    ] {
        save_weights(&net, &path).unwrap();
        let bytes = fs_err::read(&path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let mut names = file.names();
        names.sort_unstable();
        assert_eq!(names, expected);
    }
}

/// Burn keeps an update aside until the state is next read. A save must not lose it.
#[test]
fn the_last_update_is_saved() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    for device in [Device::flex(), Device::flex().autodiff()] {
        let net = ranged(&device);
        if let Net::Ranged(net) = &net {
            net.range.update(Tensor::from_data([-4.0f32, 4.0], &device));
            assert_eq!(
                net.range.value().into_data(),
                TensorData::from([0.0f32, 1.0])
            );
        }
        save_weights(&net, &path).unwrap();
        let loaded = load_weights(ranged(&device), &path).unwrap();
        assert_eq!(range(&loaded), TensorData::from([-4.0f32, 4.0]));
    }
}

/// A module that waits for an update of its own takes the value of the file nevertheless.
#[test]
fn a_pending_update_does_not_undo_a_load() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    let device = Device::flex();
    save_weights(&ranged(&device), &path).unwrap();
    let used = ranged(&device);
    if let Net::Ranged(net) = &used {
        net.range.update(Tensor::from_data([-4.0f32, 4.0], &device));
    }
    let loaded = load_weights(used, &path).unwrap();
    assert_eq!(range(&loaded), TensorData::from([0.0f32, 1.0]));
}

/// Clones share running states, so a load that fails half way would change the caller's other copies.
#[test]
fn a_refused_file_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    let device = Device::flex();
    let other = Ranged {
        fc: LinearConfig::new(2, 4).init(&device),
        range: RunningState::new(Tensor::from_data([-9.0f32, 9.0], &device)),
    };
    save_weights(&other, &path).unwrap();
    let net = ranged(&device);
    load_weights(net.clone(), &path).unwrap_err();
    assert_eq!(range(&net), TensorData::from([0.0f32, 1.0]));
}
