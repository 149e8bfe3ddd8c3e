//! Ideal cells and fine converters are the digital network, whatever the layer, the mapping and the tiling.

use burn::module::Module;
use burn::nn::conv::{
    Conv1d, Conv1dConfig, Conv2d, Conv2dConfig, ConvTranspose1d, ConvTranspose1dConfig,
    ConvTranspose2d, ConvTranspose2dConfig,
};
use burn::nn::{Linear, LinearConfig, PaddingConfig1d, PaddingConfig2d};
use burn::tensor::{Device, Tensor, TensorData};
use crossburn_noise::{ChipSeed, Distribution, Philox, Scale, Variation};
use rstest::rstest;

use super::{Fab, Fidelity, Hardware, MappedNetwork};
use crate::layer::{conv1d, conv2d, linear, stack};

/// One layer of every kind, with all that a convolution can have.
#[derive(Module, Debug)]
struct Layers {
    line: Conv1d,
    image: Conv2d,
    same: Conv2d,
    fc: Linear,
}

impl Layers {
    /// Weights on a grid of eight bits whose largest level every output channel has.
    fn new(device: &Device) -> Self {
        let mut layers = Self::initial(device);
        layers.line.weight = layers.line.weight.map(|w| on_grid(w.dims(), device));
        layers.image.weight = layers.image.weight.map(|w| on_grid(w.dims(), device));
        layers.same.weight = layers.same.weight.map(|w| on_grid(w.dims(), device));
        layers.fc.weight = layers.fc.weight.map(|w| on_grid(w.dims(), device));
        layers
    }

    fn initial(device: &Device) -> Self {
        Self {
            line: Conv1dConfig::new(4, 6, 3)
                .with_stride(2)
                .with_groups(2)
                .with_dilation(2)
                .with_padding(PaddingConfig1d::Explicit(2, 1))
                .init(device),
            image: Conv2dConfig::new([2, 3], [3, 2])
                .with_stride([2, 1])
                .with_padding(PaddingConfig2d::Explicit(1, 0, 2, 1))
                .init(device),
            same: Conv2dConfig::new([6, 4], [3, 3])
                .with_groups(2)
                .with_padding(PaddingConfig2d::Same)
                .with_bias(false)
                .init(device),
            fc: LinearConfig::new(37, 11).init(device),
        }
    }

    fn forward(&self, data: &Data) -> [Vec<f32>; 4] {
        [
            values(conv1d(&self.line, data.line.clone())),
            values(conv2d(&self.image, data.image.clone())),
            values(conv2d(&self.same, data.same.clone())),
            values(linear(&self.fc, data.fc.clone())),
        ]
    }

    /// Burn's own layers.
    fn burn(&self, data: &Data) -> [Vec<f32>; 4] {
        [
            values(self.line.forward(data.line.clone())),
            values(self.image.forward(data.image.clone())),
            values(self.same.forward(data.same.clone())),
            values(self.fc.forward(data.fc.clone())),
        ]
    }
}

struct Data {
    line: Tensor<3>,
    image: Tensor<4>,
    same: Tensor<4>,
    fc: Tensor<3>,
}

impl Data {
    fn new(device: &Device) -> Self {
        Self {
            line: on_grid([3, 4, 17], device),
            image: on_grid([3, 2, 9, 8], device),
            same: on_grid([3, 6, 5, 7], device),
            fc: on_grid([3, 5, 37], device),
        }
    }
}

/// Multiples of 1/127 from -1 to 1, what eight bits hold. The first value along either of the first two axes is one, so
/// that every output channel has its largest.
fn on_grid<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    let (count, inner) = (shape.iter().product(), shape[1..].iter().product::<usize>());
    let draws = Philox::new(5, count as u64);
    let level = |at: usize| match at < inner || at.is_multiple_of(inner) {
        true => 127.0,
        false => draws.below(at as u64, 255) as f32 - 127.0,
    };
    let values: Vec<f32> = (0..count).map(|at| level(at) / 127.0).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

/// The largest difference, relative to the largest value.
fn difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0f32, |a, x| a.max(x.abs()));
    let pairs = found.iter().zip(expected);
    pairs.map(|(f, e)| (f - e).abs()).fold(0.0f32, f32::max) / largest
}

fn hardware(mapping: &str, array: &str) -> Hardware {
    Hardware::from_toml(&format!(
        "device = {{ kind = \"ideal\", g_min = \"1 uS\", g_max = \"100 uS\" }}\nmapping = {{ {mapping} }}\narray = {{ {array} }}"
    ))
    .unwrap()
}

#[rstest]
#[case("scheme = \"one-sided-pair\", weight_bits = 8")]
#[case("scheme = \"two-sided-pair\", weight_bits = 8")]
#[case("scheme = \"digital-offset\", weight_bits = 8")]
#[case("scheme = \"unit-column\", weight_bits = 8")]
#[case("scheme = \"one-sided-pair\", weight_bits = 8, slice_bits = 3")]
#[case("scheme = \"one-sided-pair\", weight_bits = 8, slice_bits = 1")]
#[case("scheme = \"digital-offset\", weight_bits = 8, slice_bits = 4")]
#[case("scheme = \"one-sided-pair\", weight_bits = 8, scale = \"per-output\"")]
#[case("scheme = { significance-pairs = { significances = [1.0, 1.0] } }, weight_bits = 8")]
fn ideal_arrays_are_the_digital_network(
    #[case] mapping: &str,
    #[values("", ", slice_bits = 1", ", slice_bits = 4")] slices: &str,
    #[values("rows = 128, columns = 128", "rows = 7, columns = 5")] size: &str,
) {
    let device = Device::flex();
    let (layers, data) = (Layers::new(&device), Data::new(&device));
    let digital = layers.burn(&data);
    let array = format!("{size}, input = {{ bits = 8{slices} }}");
    let mapped = MappedNetwork::new(&layers, &hardware(mapping, &array), 3, |layers| {
        layers.forward(&data);
    })
    .unwrap();
    assert!(mapped.unseen().is_empty());
    // Weights and inputs are on the grids, so that only the rounding of 32-bit sums is left.
    let chip = |fidelity| {
        mapped
            .fab(fidelity)
            .unwrap()
            .chip(ChipSeed::new(1, 2))
            .unwrap()
    };
    let (weights, arrays) = (chip(Fidelity::Weight), chip(Fidelity::Array));
    for (layer, (digital, (weights, arrays))) in digital
        .iter()
        .zip(weights.burn(&data).iter().zip(&arrays.forward(&data)))
        .enumerate()
    {
        assert!(difference(weights, digital) < 1e-5, "layer {layer}");
        assert!(difference(arrays, weights) < 1e-5, "layer {layer}");
    }
    // To a layer that knows no arrays, the weight is what the cells hold.
    let (seen, held) = (arrays.burn(&data), weights.burn(&data));
    for (seen, held) in seen.iter().zip(&held) {
        assert!(difference(seen, held) < 1e-5);
    }
}

#[test]
fn chips_on_arrays_do_not_stack() {
    let device = Device::flex();
    let (layers, data) = (Layers::new(&device), Data::new(&device));
    let array = "rows = 16, columns = 16, input = { bits = 8 }";
    let run = |layers: &Layers| {
        layers.forward(&data);
    };
    let mapped = MappedNetwork::new(&layers, &hardware("weight_bits = 8", array), 3, run).unwrap();
    let ideal = |fidelity| mapped.fab(fidelity).unwrap().ideal().unwrap();
    stack(&[ideal(Fidelity::Weight)]).unwrap();
    let error = stack(&[ideal(Fidelity::Array)]).unwrap_err().to_string();
    assert!(error.starts_with("`line.weight` lies on arrays"), "{error}");
}

#[test]
fn converters_calibrated_on_data_lose_little_and_coarse_ones_more() {
    let device = Device::flex();
    let (layers, data) = (Layers::new(&device), Data::new(&device));
    let digital = layers.burn(&data);
    let error = |bits: u8| {
        let array = format!(
            "rows = 16, columns = 16, input = {{ bits = 8 }}, adc = {{ bits = {bits}, range = {{ calibrated = {{ percentile = 100.0 }} }} }}"
        );
        let hardware = hardware("weight_bits = 8", &array);
        let run = |layers: &Layers| {
            layers.forward(&data);
        };
        let mapped = MappedNetwork::new(&layers, &hardware, 3, run).unwrap();
        let refused = mapped.fab(Fidelity::Array).unwrap_err().to_string();
        assert!(
            refused.starts_with("array fidelity with calibrated converters and no calibration"),
            "{refused}"
        );
        let mapped = mapped.calibrated(run).unwrap();
        let ideal = mapped.fab(Fidelity::Array).unwrap().ideal().unwrap();
        let pairs = ideal.forward(&data).into_iter().zip(&digital);
        pairs.map(|(f, d)| difference(&f, d)).fold(0.0, f32::max)
    };
    let (coarse, fine) = (error(6), error(14));
    assert!(
        fine < 1e-3 && fine < coarse && coarse < 0.2,
        "{fine} {coarse}"
    );
}

#[test]
fn chips_are_their_seed_at_both_fidelities_and_reads_scatter() {
    let device = Device::flex();
    let (layers, data) = (Layers::new(&device), Data::new(&device));
    let hardware = Hardware::from_toml(
        r#"
        device = { preset = "pcm-mushroom" }
        mapping = { scheme = "one-sided-pair", weight_bits = 8 }
        array = { rows = 16, columns = 16, input = { bits = 8 } }
        operation = { after = "1 d", drift_compensation = "global" }
        "#,
    )
    .unwrap();
    let run = |layers: &Layers| {
        layers.forward(&data);
    };
    let mapped = MappedNetwork::new(&layers, &hardware, 3, run).unwrap();
    for fidelity in [Fidelity::Weight, Fidelity::Array] {
        let fab = mapped.fab(fidelity).unwrap();
        let outputs = |seed| fab.chip(ChipSeed::new(4, seed)).unwrap().forward(&data);
        assert_eq!(outputs(7), outputs(7));
        assert_ne!(outputs(7), outputs(8));
        // The same chip reads differently the second time, at array fidelity alone.
        let chip = fab.chip(ChipSeed::new(4, 7)).unwrap();
        let again = chip.forward(&data) == chip.forward(&data);
        assert_eq!(again, fidelity == Fidelity::Weight);
    }
    // Both fidelities program the same cells.
    let held = |fidelity| {
        let chip = mapped
            .fab(fidelity)
            .unwrap()
            .chip(ChipSeed::new(4, 7))
            .unwrap();
        values(chip.fc.weight.val())
    };
    assert!(difference(&held(Fidelity::Array), &held(Fidelity::Weight)) < 1e-6);
}

#[test]
fn drift_compensation_brings_the_scale_back() {
    let device = Device::flex();
    let (layers, data) = (Layers::new(&device), Data::new(&device));
    let error = |compensation: &str| {
        let hardware = Hardware::from_toml(&format!(
            r#"
            device = {{ preset = "pcm-mushroom" }}
            mapping = {{ scheme = "one-sided-pair", weight_bits = 8 }}
            array = {{ rows = 64, columns = 64, input = {{ bits = 8 }} }}
            operation = {{ after = "1 y", drift_compensation = "{compensation}" }}
            "#
        ))
        .unwrap();
        let run = |layers: &Layers| {
            layers.forward(&data);
        };
        let mapped = MappedNetwork::new(&layers, &hardware, 3, run).unwrap();
        let chip = mapped
            .fab(Fidelity::Weight)
            .unwrap()
            .chip(ChipSeed::new(1, 1))
            .unwrap();
        let weights = |layers: &Layers| values(layers.fc.weight.val());
        let mean = |w: &[f32]| w.iter().map(|w| w.abs()).sum::<f32>();
        mean(&weights(&chip)) / mean(&weights(&layers)) - 1.0
    };
    // A year is 14.3 e-foldings of 20 s: a mean exponent of 0.05 leaves half of the conductance.
    assert!(error("none") < -0.3);
    assert!(error("global").abs() < 0.05 && error("per-column").abs() < 0.05);
}

#[test]
fn wires_lower_the_product() {
    let device = Device::flex();
    let (layers, data) = (Layers::new(&device), Data::new(&device));
    let fc = |wires: &str| {
        let hardware = Hardware::from_toml(&format!(
            r#"
            device = {{ kind = "ideal", g_min = "1 uS", g_max = "100 uS" }}
            mapping = {{ weight_bits = 8 }}
            array = {{ rows = 64, columns = 64, input = {{ bits = 8 }} }}
            {wires}
            "#
        ))
        .unwrap();
        let run = |layers: &Layers| {
            layers.forward(&data);
        };
        let mapped = MappedNetwork::new(&layers, &hardware, 3, run).unwrap();
        if wires.contains("5 Ohm") {
            let refused = mapped.fab(Fidelity::Weight).unwrap_err().to_string();
            insta::assert_snapshot!(refused, @"[wires] at weight fidelity, where no current flows: use array fidelity, or leave [wires] out");
        }
        let chip = mapped.fab(Fidelity::Array).unwrap().ideal().unwrap();
        values(chip.fc.weight.val())
            .iter()
            .map(|w| w.abs())
            .sum::<f32>()
    };
    let ideal = fc("");
    let none = fc(r#"wires = { input_segment = "0 Ohm", output_segment = "0 Ohm" }"#);
    let some = fc(r#"wires = { input_segment = "5 Ohm", output_segment = "5 Ohm" }"#);
    assert!((none / ideal - 1.0).abs() < 1e-5);
    assert!(some < 0.99 * ideal && some > 0.5 * ideal, "{some} {ideal}");
}

#[rstest]
#[case(r#"device = { preset = "pcm" }"#, "there is no device `pcm`")]
#[case(
    r#"device = { preset = "ideal", g_min = "1 uS" }"#,
    "unknown field `g_min` beside device.preset"
)]
#[case(
    "device = { preset = \"rram4\" }\noperation = { after = \"1 d\" }",
    "which has no time law"
)]
#[case(
    "device = { preset = \"rram4\" }\noperation = { read_noise = true }",
    "whose reads do not scatter"
)]
#[case(
    "device = { preset = \"pcm-mushroom\" }\noperation = { drift_compensation = \"global\" }",
    "nothing has drifted"
)]
#[case(
    "device = { preset = \"rram4\" }\noperation = { later = true }",
    "unknown field `later`"
)]
#[case(
    "pair_arrangement = \"interleaved\"\ndevice = { preset = \"rram4\" }",
    "without [wires]"
)]
#[case(
    "device = { preset = \"rram4\" }\nlayer = [{ path = \"a\", digital = true }, { path = \"b\", digital = true }, \
     { path = \"a\", mapping = { weight_bits = 2 } }]",
    "two sections [[layer]] for the path `a`: keep one of them"
)]
fn what_cannot_hold_together_is_refused(#[case] text: &str, #[case] part: &str) {
    let rest =
        "mapping = { weight_bits = 8 }\narray = { rows = 8, columns = 8, input = { bits = 8 } }";
    let message = Hardware::from_toml(&format!(
        "{text}
{rest}"
    ))
    .unwrap_err()
    .to_string();
    assert!(message.contains(part), "{message}");
    assert!(!message.contains('\n'), "{message}");
}

#[test]
fn layers_and_data_that_are_not_there_are_refused() {
    let device = Device::flex();
    let (layers, data) = (Layers::new(&device), Data::new(&device));
    let run = |layers: &Layers| {
        layers.forward(&data);
    };
    let base = r#"
        device = { preset = "rram4" }
        mapping = { weight_bits = 8 }
        array = { rows = 8, columns = 8, input = { bits = 8 } }
        "#;
    let digital = format!("{base}\n[[layer]]\npath = \"fc2.weight\"\ndigital = true");
    let hardware = Hardware::from_toml(&digital).unwrap();
    let message = MappedNetwork::new(&layers, &hardware, 3, run)
        .unwrap_err()
        .to_string();
    insta::assert_snapshot!(message, @"there is no weight `fc2.weight`: use one of fc.weight, image.weight, line.weight, same.weight");
    let hardware = Hardware::from_toml(base).unwrap();
    assert!(MappedNetwork::new(&layers, &hardware, 0, run).is_err());
    // A network that calls Burn's layers: fine as weights, refused on arrays.
    let stranger = MappedNetwork::new(&layers, &hardware, 3, |layers| {
        layers.burn(&data);
    })
    .unwrap();
    assert_eq!(stranger.unseen().len(), 4);
    assert!(stranger.fab(Fidelity::Weight).is_ok());
    let message = stranger.fab(Fidelity::Array).unwrap_err().to_string();
    assert!(
        message.starts_with("array fidelity for fc.weight, image.weight"),
        "{message}"
    );
    // Negative inputs of converters without a sign.
    let unsigned = base.replace("bits = 8 }", "bits = 8, sign = \"unsigned\" }");
    let unsigned = unsigned.replace(
        "weight_bits = 8, sign = \"unsigned\" }",
        "weight_bits = 8 }",
    );
    let hardware = Hardware::from_toml(&unsigned).unwrap();
    let message = MappedNetwork::new(&layers, &hardware, 3, run)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("inputs down to -1 at `fc.weight`"),
        "{message}"
    );
}

#[test]
fn every_preset_is_a_hardware_with_its_cost() {
    for name in crate::cost::accelerators() {
        let hardware = Hardware::preset(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        let text = toml::to_string(hardware.config()).unwrap();
        assert_eq!(Hardware::from_toml(&text).unwrap(), hardware, "{name}");
        hardware.accelerator().unwrap();
    }
}

/// Transposed convolutions of one group and of two, the weights of an output a hundredth of those of the one before.
#[derive(Module, Debug)]
struct Transposed {
    whole: ConvTranspose2d,
    grouped: ConvTranspose1d,
}

impl Transposed {
    fn new(device: &Device) -> Self {
        let mut layers = Self {
            whole: ConvTranspose2dConfig::new([4, 3], [2, 2]).init(device),
            grouped: ConvTranspose1dConfig::new([6, 4], 3)
                .with_groups(2)
                .init(device),
        };
        let whole = values_of(4 * 3 * 4, OUTPUTS[0]);
        layers.whole.weight = layers
            .whole
            .weight
            .map(|_| Tensor::<1>::from_floats(&whole[..], device).reshape([4, 3, 2, 2]));
        let grouped = values_of(6 * 2 * 3, OUTPUTS[1]);
        layers.grouped.weight = layers
            .grouped
            .weight
            .map(|_| Tensor::<1>::from_floats(&grouped[..], device).reshape([6, 2, 3]));
        layers
    }

    fn weights(&self) -> [Vec<f32>; 2] {
        [
            values(self.whole.weight.val()),
            values(self.grouped.weight.val()),
        ]
    }
}

/// The output of an element: `[4, 3, 2, 2]` of one group, and `[6, 2, 3]` of two, three inputs each.
const OUTPUTS: [fn(usize) -> usize; 2] = [|i| i / 4 % 3, |i| i / 18 * 2 + i / 3 % 2];

/// The largest magnitude of one output.
fn largest(weights: &[f32], output: fn(usize) -> usize, of: usize) -> f32 {
    let own = weights.iter().enumerate().filter(|(i, _)| output(*i) == of);
    own.fold(0.0f32, |most, (_, w)| most.max(w.abs()))
}

fn values_of(count: usize, output: fn(usize) -> usize) -> Vec<f32> {
    let level = |i: usize| ((i * 37 + 5) % 41) as f32 / 20.0 - 1.0;
    let of = |i: usize| level(i) * 0.01f32.powi(output(i) as i32);
    (0..count).map(of).collect()
}

#[rstest]
fn a_transposed_convolution_is_scaled_by_its_outputs(
    #[values("one-sided-pair", "digital-offset", "unit-column")] scheme: &str,
) {
    let device = Device::flex();
    let layers = Transposed::new(&device);
    let mapping = format!(r#"scheme = "{scheme}", weight_bits = 8, scale = "per-output""#);
    let hardware = hardware(&mapping, "rows = 8, columns = 8, input = { bits = 8 }");
    let mapped = MappedNetwork::new(&layers, &hardware, 1, |_| ()).unwrap();
    let ideal = mapped.fab(Fidelity::Weight).unwrap().ideal().unwrap();
    for ((found, weights), output) in ideal.weights().iter().zip(layers.weights()).zip(OUTPUTS) {
        for (i, (found, weight)) in found.iter().zip(&weights).enumerate() {
            // Half a step of the own output's largest, and the rounding of 32-bit conductances.
            let own = largest(&weights, output, output(i));
            assert!(
                (found - weight).abs() <= 0.51 / 127.0 * own,
                "{i}: {found} {weight}"
            );
        }
    }
}

/// Deviations and quantization by output channel.
#[test]
fn per_channel_settings_of_a_transposed_convolution_follow_its_outputs() {
    let device = Device::flex();
    let layers = Transposed::new(&device);
    let quantization = crate::Quantization {
        granularity: crate::quantize::Granularity::PerChannel,
        ..crate::Quantization::from(crate::WeightBits::new(4).unwrap())
    };
    let quantized = crate::manufacture(
        &layers,
        Some(quantization),
        &Variation::default(),
        ChipSeed::new(1, 0),
    );
    let variation = Variation {
        scale: Scale::PerChannel,
        ..Variation::from(Distribution::gaussian(1.0))
    };
    let whole = Variation::from(Distribution::gaussian(1.0));
    let [by_channel, by_tensor] = [variation, whole].map(|variation| {
        crate::manufacture(&layers, None, &variation, ChipSeed::new(1, 0)).weights()
    });
    for (at, weights) in layers.weights().iter().enumerate() {
        let tensor = weights.iter().fold(0.0f32, |most, w| most.max(w.abs()));
        for (i, weight) in weights.iter().enumerate() {
            let top = largest(weights, OUTPUTS[at], OUTPUTS[at](i));
            let found = quantized.weights()[at][i];
            assert!(
                (found - weight).abs() <= 0.501 / 7.0 * top,
                "{i}: {found} {weight}"
            );
            // The same draws, relative to the output's largest in place of the tensor's.
            let expected = (by_tensor[at][i] - weight) / tensor * top;
            let found = by_channel[at][i] - weight;
            assert!(
                (found - expected).abs() <= 1e-5 * (expected.abs() + top),
                "{i}: {found} {expected}"
            );
        }
    }
}
