//! Ideal arrays are the digital layer for convolutions of volumes and transposed ones, with all that these can have.

use burn::module::Param;
use burn::nn::PaddingConfig3d;
use burn::nn::conv::{Conv3d, Conv3dConfig, ConvTranspose3d, ConvTranspose3dConfig};

use super::*;
use crate::layer::{conv_transpose1d, conv_transpose2d, conv_transpose3d, conv3d};

#[derive(Module, Debug)]
struct Layers {
    line: ConvTranspose1d,
    image: ConvTranspose2d,
    volume: ConvTranspose3d,
    deep: Conv3d,
    same: Conv3d,
}

fn placed<const D: usize>(weight: Param<Tensor<D>>, device: &Device) -> Param<Tensor<D>> {
    weight.map(|weight| on_grid(weight.dims(), device))
}

impl Layers {
    fn new(device: &Device) -> Self {
        let mut layers = Self {
            line: ConvTranspose1dConfig::new([6, 4], 3)
                .with_groups(2)
                .with_stride(3)
                .with_dilation(2)
                .with_padding(1)
                .with_padding_out(2)
                .init(device),
            image: ConvTranspose2dConfig::new([3, 5], [3, 2])
                .with_stride([2, 1])
                .with_padding([2, 0])
                .with_padding_out([1, 0])
                .init(device),
            volume: ConvTranspose3dConfig::new([2, 4], [2, 1, 3])
                .with_groups(2)
                .with_stride([1, 2, 2])
                .with_padding([0, 0, 1])
                .init(device),
            deep: Conv3dConfig::new([4, 6], [2, 3, 1])
                .with_groups(2)
                .with_stride([1, 2, 1])
                .with_dilation([2, 1, 1])
                .with_padding(PaddingConfig3d::Explicit(1, 2, 0))
                .init(device),
            same: Conv3dConfig::new([2, 3], [3, 1, 3])
                .with_padding(PaddingConfig3d::Same)
                .init(device),
        };
        layers.line.weight = placed(layers.line.weight, device);
        layers.image.weight = placed(layers.image.weight, device);
        layers.volume.weight = placed(layers.volume.weight, device);
        layers.deep.weight = placed(layers.deep.weight, device);
        layers.same.weight = placed(layers.same.weight, device);
        layers
    }

    /// By Burn's layers, or by those that find arrays.
    fn forward(&self, on_arrays: bool, device: &Device) -> Vec<Vec<f32>> {
        let line = on_grid([3, 6, 5], device);
        let image = on_grid([3, 3, 4, 6], device);
        let volume = on_grid([3, 2, 3, 2, 4], device);
        let deep = on_grid([3, 4, 4, 3, 2], device);
        let same = on_grid([3, 2, 4, 3, 5], device);
        match on_arrays {
            false => vec![
                values(self.line.forward(line)),
                values(self.image.forward(image)),
                values(self.volume.forward(volume)),
                values(self.deep.forward(deep)),
                values(self.same.forward(same)),
            ],
            true => vec![
                values(conv_transpose1d(&self.line, line)),
                values(conv_transpose2d(&self.image, image)),
                values(conv_transpose3d(&self.volume, volume)),
                values(conv3d(&self.deep, deep)),
                values(conv3d(&self.same, same)),
            ],
        }
    }
}

fn mapped(layers: &Layers, hardware: &Hardware) -> MappedNetwork<Layers> {
    MappedNetwork::new(layers, hardware, 3, |layers| {
        layers.forward(true, &Device::flex());
    })
    .unwrap()
}

#[rstest]
#[case("weight_bits = 8")]
#[case("scheme = \"digital-offset\", weight_bits = 8")]
#[case("scheme = \"unit-column\", weight_bits = 8")]
#[case("weight_bits = 8, slice_bits = 3")]
#[case("weight_bits = 8, scale = \"per-output\"")]
fn ideal_arrays_are_the_digital_layer(
    #[case] mapping: &str,
    #[values("", ", slice_bits = 1")] slices: &str,
    #[values("rows = 128, columns = 128", "rows = 7, columns = 5")] size: &str,
) {
    let device = Device::flex();
    let layers = Layers::new(&device);
    let array = format!("{size}, input = {{ bits = 8{slices} }}");
    let mapped = mapped(&layers, &hardware(mapping, &array));
    assert!(mapped.unseen().is_empty());
    let chip = |fidelity| {
        let fab = mapped.fab(fidelity).unwrap();
        fab.chip(ChipSeed::new(1, 2)).unwrap()
    };
    let (weights, arrays) = (chip(Fidelity::Weight), chip(Fidelity::Array));
    let held = weights.forward(false, &device);
    // Weights and inputs are on the grids; with a scale for each output, weights are those of its own grid.
    if !mapping.contains("per-output") {
        for (held, digital) in held.iter().zip(&layers.forward(false, &device)) {
            assert!(difference(held, digital) < 1e-5);
        }
    }
    // To a layer that knows no arrays, the weight is what the cells hold.
    for on_arrays in [true, false] {
        let found = arrays.forward(on_arrays, &device);
        for (layer, (found, held)) in found.iter().zip(&held).enumerate() {
            assert!(difference(found, held) < 1e-5, "layer {layer}");
        }
    }
}

/// The matrices that arrays see, and how many products an image takes.
#[test]
fn layers_are_seen_as_their_matrices() {
    let device = Device::flex();
    let layers = Layers::new(&device);
    let hardware = hardware(
        "weight_bits = 8",
        "rows = 8, columns = 8, input = { bits = 8 }",
    );
    let mapped = mapped(&layers, &hardware);
    let of = |path: &str| {
        let shapes = mapped.shapes();
        let shape = shapes
            .iter()
            .find(|shape| shape.path == path)
            .unwrap()
            .clone();
        (shape.inputs, shape.outputs, shape.groups, shape.positions)
    };
    // Three of six channels times three taps; (5 - 1) 3 + 2 · 2 + 1 + 2 - 2 = 17 positions.
    assert_eq!(of("line.weight"), (9, 2, 2, 17));
    // (4 - 1) 2 + 3 + 1 - 4 = 6 rows of (6 - 1) + 2 = 7.
    assert_eq!(of("image.weight"), (18, 5, 1, 42));
    // One channel times six taps; 4 layers of 3 rows of (4 - 1) 2 + 3 - 2 = 7.
    assert_eq!(of("volume.weight"), (6, 2, 2, 84));
    // Two channels times six taps; 4 + 2 - 3 + 1 = 4 layers of (3 + 4 - 3) / 2 + 1 = 3 rows of 2.
    assert_eq!(of("deep.weight"), (12, 3, 2, 24));
}

/// The shape of a weight does not tell the groups of its layer.
#[test]
fn groups_without_a_bias_are_refused() {
    let device = Device::flex();
    let layer = ConvTranspose2dConfig::new([2, 4], [2, 2])
        .with_groups(2)
        .with_bias(false)
        .init(&device);
    let hardware = hardware(
        "weight_bits = 8",
        "rows = 8, columns = 8, input = { bits = 8 }",
    );
    let mapped = MappedNetwork::new(&layer, &hardware, 1, |layer| {
        conv_transpose2d(layer, Tensor::ones([1, 2, 3, 3], &device));
    });
    let found = mapped.unwrap_err().to_string();
    let start = "the transposed convolution `weight` has 2 groups and no bias";
    assert!(found.starts_with(start), "{found}");
}

/// A gradient is that of the weights which the cells hold.
#[test]
fn gradients_pass_through_arrays() {
    let device = Device::flex();
    let layers = Layers::new(&device);
    let hardware = hardware(
        "weight_bits = 8",
        "rows = 8, columns = 8, input = { bits = 8 }",
    );
    let mapped = mapped(&layers, &hardware);
    let fab = mapped.fab(Fidelity::Array).unwrap();
    let arrays = fab.chip(ChipSeed::new(1, 2)).unwrap();
    let gradient = |forward: &dyn Fn(Tensor<4>) -> Tensor<4>| {
        let image = on_grid([3, 3, 4, 6], &device).autodiff().require_grad();
        let loss = forward(image.clone()).powi_scalar(2).sum();
        values(image.grad(&loss.backward()).unwrap())
    };
    let layer = arrays.train().image;
    let found = gradient(&|image| conv_transpose2d(&layer, image));
    let plain = layers.train().image;
    let expected = gradient(&|image| plain.forward(image));
    assert!(difference(&found, &expected) < 1e-4);
}
