//! Modules with something attached to their weights: noise, fake quantization.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use burn::module::{Module, Param, Reparameterization, Reparameterizer};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};
use crossburn_checkpoints::{load_weights, save_weights};

/// Stands for whatever changes weights on their way into the forward pass.
#[derive(Module, Debug)]
struct Double;

impl Reparameterization for Double {
    const NAME: &'static str = "double";

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        base.mul_scalar(2.0)
    }
}

struct AttachDouble;

impl Reparameterizer for AttachDouble {
    type Reparam = Double;

    fn reparameterize<const D: usize>(
        &mut self,
        _path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<Double>) {
        (param, Some(Double))
    }
}

fn layer() -> Linear {
    LinearConfig::new(2, 3)
        .with_bias(false)
        .init(&Device::flex())
}

fn values(layer: &Linear) -> TensorData {
    layer.weight.val().into_data()
}

#[test]
fn clean_weights_are_saved_unless_folded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    let plain = layer();
    let (clean, doubled) = (
        values(&plain),
        plain.weight.val().mul_scalar(2.0).into_data(),
    );
    let attached = plain.apply_reparameterization(AttachDouble);
    assert_eq!(values(&attached), doubled);

    save_weights(&attached, &path).unwrap();
    assert_eq!(values(&load_weights(layer(), &path).unwrap()), clean);

    // Loading below an attachment: it stays and acts on what was loaded.
    let other = layer().apply_reparameterization(AttachDouble);
    assert_eq!(values(&load_weights(other, &path).unwrap()), doubled);

    save_weights(&attached.materialize(), &path).unwrap();
    assert_eq!(values(&load_weights(layer(), &path).unwrap()), doubled);
}
