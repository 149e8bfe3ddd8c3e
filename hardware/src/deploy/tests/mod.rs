//! Ideal cells and fine converters are the digital network, whatever the layer, the mapping and the tiling.

mod errors_in_one;
mod every_convolution;
mod rescale;
mod transposed;

use burn::module::Module;
use burn::nn::conv::{
    Conv1d, Conv1dConfig, Conv2d, Conv2dConfig, ConvTranspose1d, ConvTranspose1dConfig,
    ConvTranspose2d, ConvTranspose2dConfig,
};
use burn::nn::{Linear, LinearConfig, PaddingConfig1d, PaddingConfig2d};
use burn::tensor::{Device, Tensor, TensorData};
use crossburn_noise::{ChipSeed, Distribution, Granularity, Philox, Variation};
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
fn characterised_columns_scatter_on_chips_and_not_on_ideal_arrays() {
    let device = Device::flex();
    let (layers, data) = (Layers::new(&device), Data::new(&device));
    let array = "rows = 16, columns = 16, input = { bits = 8 }, adc = { bits = 12 }";
    let mapping = "scheme = \"one-sided-pair\", weight_bits = 8";
    let run = |layers: &Layers| {
        layers.forward(&data);
    };
    let on = |array: &str| MappedNetwork::new(&layers, &hardware(mapping, array), 3, run).unwrap();
    let noisy = format!("{array}, circuit = {{ sigma_lsb = 2 }}");
    let (plain, noisy) = (on(array), on(&noisy));
    let [plain, noisy] = [&plain, &noisy].map(|mapped| mapped.fab(Fidelity::Array).unwrap());
    assert_eq!(
        plain.ideal().unwrap().forward(&data),
        noisy.ideal().unwrap().forward(&data)
    );
    let outputs = |seed| noisy.chip(ChipSeed::new(4, seed)).unwrap().forward(&data);
    assert_eq!(outputs(7), outputs(7));
    assert_ne!(outputs(7), outputs(8));
    // The cells are ideal: without the circuit all chips are alike.
    let alike = |seed| plain.chip(ChipSeed::new(4, seed)).unwrap().forward(&data);
    assert_eq!(alike(7), alike(8));
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
        mapping = { weight_bits = 8, slice_bits = 2 }
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
        "weight_bits = 8, slice_bits = 2 }",
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

/// What the layers of a chip of `text` hold or compute, and their ideal.
fn on(text: &str, layers: &Layers, data: &Data) -> MappedNetwork<Layers> {
    let hardware = Hardware::from_toml(text).unwrap();
    MappedNetwork::new(layers, &hardware, 3, |layers| {
        layers.forward(data);
    })
    .unwrap()
}

/// Every cell loses the same part and nothing else happens: what is compensated is the network as it was.
#[rstest]
fn a_common_loss_is_compensated_in_every_scheme(
    #[values("one-sided-pair", "two-sided-pair", "digital-offset", "unit-column")] scheme: &str,
    #[values("0 S", "1 uS")] g_min: &str,
    #[values("global", "per-column")] compensation: &str,
    #[values(Fidelity::Weight, Fidelity::Array)] fidelity: Fidelity,
    #[values("", ", slice_bits = 2")] slices: &str,
) {
    if scheme == "two-sided-pair" && !slices.is_empty() {
        return;
    }
    let device = Device::flex();
    let (layers, data) = (Layers::new(&device), Data::new(&device));
    let mapped = |operation: &str| {
        let text = format!(
            r#"
            device = {{ kind = "state-independent", g_min = "{g_min}", g_max = "25 uS", sigma_abs = "0 S", nu_mean = 0.1, nu_std = 0.0, t_0 = "20 s", read_sigma_abs = "0 S", t_read = "250 ns" }}
            mapping = {{ scheme = "{scheme}", weight_bits = 8{slices} }}
            array = {{ rows = 7, columns = 5, input = {{ bits = 8 }} }}
            operation = {{ after = "1 y"{operation} }}
            "#
        );
        on(&text, &layers, &data)
    };
    let outputs = |operation: &str| {
        let mapped = mapped(operation);
        let chip = mapped
            .fab(fidelity)
            .unwrap()
            .chip(ChipSeed::new(1, 1))
            .unwrap();
        chip.forward(&data)
    };
    let digital = layers.burn(&data);
    let compensated = outputs(&format!(", drift_compensation = \"{compensation}\""));
    let left = outputs("");
    for layer in 0..4 {
        // Currents of a year-old cell are rounded once more than those of a new one, and the offset is twice the weight.
        assert!(
            difference(&compensated[layer], &digital[layer]) < 2e-5,
            "layer {layer}"
        );
        // e^(-0.1 ln(1 + 1 y / 20 s)) = 0.24 of the conductance is left.
        assert!(
            difference(&left[layer], &digital[layer]) > 0.5,
            "layer {layer}"
        );
    }
}

/// A weight of the largest level: one cell at g_max and one at g_min = 0, whose noise is in proportion.
#[test]
fn the_slow_part_of_read_noise_is_held_by_a_chip_and_the_fast_part_is_not() {
    let device = Device::flex();
    let mut network = LinearConfig::new(1, 4000).with_bias(false).init(&device);
    network.weight = network.weight.map(|w| Tensor::ones(w.dims(), &device));
    let text = |operation: &str| {
        format!(
            r#"
            device = {{ kind = "state-independent", g_min = "0 S", g_max = "25 uS", sigma_abs = "0 S", nu_mean = 0.0, nu_std = 0.0, t_0 = "20 s", read_sigma_abs = "0.25 uS", t_read = "250 ns" }}
            mapping = {{ weight_bits = 8 }}
            array = {{ rows = 64, columns = 64, input = {{ bits = 8 }} }}
            operation = {{ {operation} }}
            "#
        )
    };
    let mapped = on_linear(&network, &text(""));
    let (rows, outputs) = (50, 4000);
    let read = |mapped: &MappedNetwork<Linear>, fidelity, chip| {
        let fab = mapped.fab(fidelity).unwrap();
        let chip = fab.chip(ChipSeed::new(3, chip)).unwrap();
        values(linear(&chip, Tensor::<2>::ones([rows, 1], &device)))
    };
    // Q = 0.25 / 25 = 0.01 per unit of weight; ln(1 s / 500 ns) of the variance is fast, ln(20 s / 1 s) slow.
    let (fast, slow) = (1e-4 * 2e6f64.ln(), 1e-4 * 20f64.ln());
    let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|d| d * d).sum::<f64>();
    let n = outputs as f64;
    // The variance of n normals has the relative standard error sqrt(2 / n): five of them.
    let near = |found: f64, expected: f64, n: f64| {
        let error = 5.0 * (2.0 / n).sqrt();
        assert!((found / expected - 1.0).abs() < error, "{found} {expected}");
    };
    let weight = read(&mapped, Fidelity::Weight, 1);
    let array = read(&mapped, Fidelity::Array, 1);
    // Weight fidelity: all rows are the same, and the outputs scatter by the slow part.
    let held = &weight[..outputs];
    assert!(weight.chunks(outputs).all(|row| row == held));
    near(
        squares(&mut held.iter().map(|w| f64::from(w - 1.0))) / n,
        slow,
        n,
    );
    // Array fidelity: rows have the same slow part in common, and differ by the fast one.
    let differences = array.chunks(outputs).flat_map(|row| row.iter().zip(held));
    let between = squares(&mut differences.map(|(y, held)| f64::from(y - held)));
    let all = n * rows as f64;
    near(between / all, fast, all);
    let mean = |output: usize| {
        let of_rows = array.iter().skip(output).step_by(outputs);
        of_rows.map(|y| f64::from(*y)).sum::<f64>() / rows as f64
    };
    // A mean of 50 reads is off by a fiftieth of the fast variance.
    let common = squares(&mut (0..outputs).map(|output| mean(output) - 1.0)) / n;
    near(common, slow + fast / rows as f64, n);
    // Another chip holds another one, and without read noise there is none.
    assert_ne!(read(&mapped, Fidelity::Weight, 2), weight);
    let silent = on_linear(&network, &text("read_noise = false"));
    let silent = read(&silent, Fidelity::Weight, 1);
    assert!(silent.iter().all(|y| (y - 1.0).abs() < 1e-6));
}

fn on_linear(network: &Linear, text: &str) -> MappedNetwork<Linear> {
    let hardware = Hardware::from_toml(text).unwrap();
    MappedNetwork::new(network, &hardware, 1, |network| {
        linear(
            network,
            Tensor::<2>::ones([1, network.weight.dims()[0]], &Device::flex()),
        );
    })
    .unwrap()
}

#[test]
fn the_slow_part_is_another_one_at_another_time() {
    let device = Device::flex();
    let network = LinearConfig::new(20, 30).init(&device);
    let weights = |after: &str| {
        let text = format!(
            r#"
            device = {{ kind = "state-independent", g_min = "0 S", g_max = "25 uS", sigma_abs = "0 S", nu_mean = 1e-12, nu_std = 0.0, t_0 = "20 s", read_sigma_abs = "0.25 uS", t_read = "250 ns" }}
            mapping = {{ weight_bits = 8 }}
            array = {{ rows = 64, columns = 64, input = {{ bits = 8 }} }}
            operation = {{ after = "{after}" }}
            "#
        );
        let mapped = on_linear(&network, &text);
        let chip = |fidelity| {
            let chip = mapped
                .fab(fidelity)
                .unwrap()
                .chip(ChipSeed::new(1, 1))
                .unwrap();
            values(chip.weight.val())
        };
        // What cells hold is the same at both fidelities.
        assert!(difference(&chip(Fidelity::Array), &chip(Fidelity::Weight)) < 1e-6);
        chip(Fidelity::Weight)
    };
    let (hour, day) = (weights("1 h"), weights("1 d"));
    assert_eq!(day, weights("1 d"));
    assert_ne!(hour, day);
}

/// One line per array in what chips compute, and one column per array in what they cost.
#[rstest]
fn simulation_and_cost_count_the_same_unit_columns(
    #[values(None, Some(2))] slice_bits: Option<u8>,
    #[values(5, 6, 12, 128)] columns: usize,
) {
    let device = Device::flex();
    let (layers, data) = (Layers::new(&device), Data::new(&device));
    let mut config = Hardware::preset("isaac").unwrap().config().clone();
    config.device = crate::device::MemoryDevice::preset("ideal").unwrap();
    config.mapping.scheme = crate::Scheme::UnitColumn;
    config.mapping.slice_bits = slice_bits;
    config.array.rows = 7;
    config.array.columns = columns;
    if let Some(cost) = &mut config.cost {
        cost.adc.columns_per_adc = columns;
    }
    config.array.input.sign = crate::array::InputSign::Signed;
    let hardware = Hardware::try_from(config).unwrap();
    let mapped = MappedNetwork::new(&layers, &hardware, 3, |layers| {
        layers.forward(&data);
    })
    .unwrap();
    let cost = hardware
        .accelerator()
        .unwrap()
        .cost(&mapped.shapes())
        .unwrap();
    for layer in &cost.layers {
        let (mut cells, mut arrays) = (0, 0);
        for matrix in &mapped.weights[&layer.path].matrices {
            let tiling = crate::Tiling::new(matrix.lines(), matrix.inputs, 7, columns).unwrap();
            let planes = matrix.planes.len();
            cells += matrix.lines() * matrix.inputs * planes;
            arrays += tiling.row_tiles * tiling.column_tiles * planes;
            // A unit column for each column of arrays.
            let units = matrix.lines() - matrix.outputs;
            assert_eq!(units, tiling.column_tiles, "{}", layer.path);
            assert_eq!(units, matrix.outputs.div_ceil(columns - 1));
        }
        let copies = layer.copies as u64;
        assert_eq!(layer.arrays, copies * arrays as u64, "{}", layer.path);
        assert_eq!(
            layer.programming.cells,
            copies * cells as u64,
            "{}",
            layer.path
        );
    }
}

#[test]
fn unit_columns_of_two_arrays_deviate_each_for_itself() {
    // Weights are zero, so that all cells of a slice have one target and a weight is the error of its cell less that of its
    // unit.
    let device = Device::flex();
    let mut network = LinearConfig::new(1, 8).with_bias(false).init(&device);
    let values_of = TensorData::new(vec![1.0f32, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], [1, 8]);
    network.weight = network
        .weight
        .map(|_| Tensor::from_data(values_of, &device));
    let text = r#"
        device = { kind = "additive", sigma_rel_gmax = 0.01, g_min = "1 uS", g_max = "100 uS" }
        mapping = { scheme = "unit-column", weight_bits = 8 }
        array = { rows = 4, columns = 5, input = { bits = 8 } }
        "#;
    let mapped = on_linear(&network, text);
    let fab = mapped.fab(Fidelity::Weight).unwrap();
    // Outputs 1..4 lie on the first array, 4..8 on the second. What outputs of one array have in common is the variance of
    // a unit, half of their own; outputs of two arrays have nothing in common.
    let chips = 4000;
    let (mut own, mut same, mut other) = (0.0, 0.0, 0.0);
    for chip in 0..chips {
        let w = values(fab.chip(ChipSeed::new(1, chip)).unwrap().weight.val());
        let product = |a: usize, b: usize| f64::from(w[a]) * f64::from(w[b]);
        own += product(1, 1);
        same += product(1, 2);
        other += product(1, 4);
    }
    // Five standard errors of a correlation.
    let error = 5.0 / (chips as f64).sqrt();
    assert!((same / own - 0.5).abs() < error, "{}", same / own);
    assert!((other / own).abs() < error, "{}", other / own);
}

#[rstest]
#[case(
    r#"device = { preset = "rram4" }
    mapping = { weight_bits = 8 }"#,
    "layer `fc.weight`: a mapping to 128 levels of a cell and device.kind = four-level, whose cells have 4 levels: set \
     mapping.slice_bits = 2 with a scheme that has slices, or use another device"
)]
#[case(
    r#"device = { preset = "rram4" }
    mapping = { weight_bits = 3, scheme = { significance-pairs = { significances = [1.0, 4.0] } } }"#,
    "layer `fc.weight`: a mapping to any conductance of a cell"
)]
#[case(
    r#"device = { kind = "ideal", g_min = "24.9999 uS", g_max = "25 uS" }
    mapping = { weight_bits = 8 }"#,
    "layer `fc.weight`: g_max - g_min = 9.918e-11 S is outside the spans from 7.570e-10 S on, in which 32-bit numbers tell 128 \
     levels apart: choose a lower g_min, or fewer bits of a cell"
)]
#[case(
    r#"device = { preset = "ideal" }
    mapping = { weight_bits = 8, scheme = "unit-column" }"#,
    "layer `fc.weight`: columns of an array with a unit column = 1 is outside the numbers from 2 on"
)]
fn conductances_that_cells_cannot_tell_apart_are_refused(
    #[case] text: &str,
    #[case] message: &str,
) {
    let columns = if text.contains("unit") { 1 } else { 8 };
    let text =
        format!("{text}\narray = {{ rows = 8, columns = {columns}, input = {{ bits = 8 }} }}");
    let hardware = Hardware::from_toml(&text).unwrap();
    let device = Device::flex();
    let (layers, data) = (Layers::new(&device), Data::new(&device));
    let error = MappedNetwork::new(&layers, &hardware, 3, |layers| {
        layers.forward(&data);
    })
    .unwrap_err()
    .to_string();
    assert!(error.starts_with(message), "{error}");
    assert!(!error.contains('\n'));
}

#[test]
fn levels_that_a_cell_has_are_mapped_to() {
    let device = Device::flex();
    let (layers, data) = (Layers::new(&device), Data::new(&device));
    for mapping in [
        r#"weight_bits = 8, slice_bits = 2"#,
        r#"weight_bits = 8, slice_bits = 1"#,
        r#"weight_bits = 3"#,
        r#"weight_bits = 3, scheme = "two-sided-pair", cell_levels = 4"#,
    ] {
        let array = "array = { rows = 8, columns = 8, input = { bits = 8 } }";
        let text = format!("device = {{ preset = \"rram4\" }}\nmapping = {{ {mapping} }}\n{array}");
        on(&text, &layers, &data);
    }
}

#[test]
fn pulses_that_correct_are_a_way_to_program() {
    let device = Device::flex();
    let network = LinearConfig::new(20, 30).init(&device);
    let text = |steps: &str| {
        format!(
            r#"
            device = {{ kind = "ideal", g_min = "1 uS", g_max = "100 uS" }}
            mapping = {{ weight_bits = 8 }}
            array = {{ rows = 64, columns = 64, input = {{ bits = 8 }} }}
            programming = {{ tolerance = 0.01, sigma_before = 0.2{steps}, maximum_pulses = 1000 }}
            "#
        )
    };
    let writes = |steps: &str| {
        let mapped = on_linear(&network, &text(steps));
        let fab = mapped.fab(Fidelity::Weight).unwrap();
        let seed = ChipSeed::new(1, 1);
        let writes = fab.writes(seed).unwrap();
        assert_eq!((writes.cells, writes.failures), (1200, 0));
        // Both accept by the same rule: |g - target| <= 0.01 of the range, on two cells of a weight of at most 1/127 less.
        let ideal = values(fab.ideal().unwrap().weight.val());
        let largest = ideal.iter().fold(0.0f32, |a, w| a.max(w.abs()));
        let chip = values(fab.chip(seed).unwrap().weight.val());
        let far = chip
            .iter()
            .zip(&ideal)
            .map(|(w, i)| (w - i).abs())
            .fold(0.0, f32::max);
        assert!(far > 0.0 && far <= 0.0201 * largest, "{far} {largest}");
        // Every weight is verified in turn, the others are written once.
        let sensitivities = [("weight".to_string(), vec![1.0; 600])].into();
        let selection = mapped.selection(&sensitivities, 0.25).unwrap();
        let selective = mapped.selective_fab(Fidelity::Weight, &selection).unwrap();
        let some = selective.writes(seed).unwrap();
        assert!(some.pulses < writes.pulses && some.reads == some.pulses - 900);
        writes.pulses
    };
    // A write from 0.2 meets 0.01 in 1 / 0.04 = 25 pulses; correcting half of the error takes 4 or 5 halvings.
    let anew = writes("");
    let steps = writes(", correction = 0.5, sigma_pulse = 0.002");
    assert!(
        anew > 20 * 1200 * 9 / 10 && steps < 7 * 1200,
        "{anew} {steps}"
    );
}

/// One cell per output, which a factor per column takes back to what its new readout was.
#[test]
fn readouts_see_what_a_chip_holds_and_nothing_that_changes_from_read_to_read() {
    let device = Device::flex();
    let mut network = LinearConfig::new(1, 4000).with_bias(false).init(&device);
    network.weight = network.weight.map(|w| Tensor::ones(w.dims(), &device));
    let variance = |compensation: &str| {
        let text = format!(
            r#"
            device = {{ kind = "state-independent", g_min = "0 S", g_max = "25 uS", sigma_abs = "0 S", nu_mean = 0.01, nu_std = 0.0, t_0 = "20 s", read_sigma_abs = "0.25 uS", t_read = "250 ns" }}
            mapping = {{ weight_bits = 8 }}
            array = {{ rows = 64, columns = 64, input = {{ bits = 8 }} }}
            operation = {{ after = "1 d", drift_compensation = "{compensation}" }}
            "#
        );
        let mapped = on_linear(&network, &text);
        let fab = mapped.fab(Fidelity::Weight).unwrap();
        let weights = values(fab.chip(ChipSeed::new(6, 1)).unwrap().weight.val());
        let squares = weights.iter().map(|w| f64::from(w - 1.0).powi(2));
        squares.sum::<f64>() / 4000.0
    };
    // Q = 0.01. New cells hold ln(20 s / 1 s) of the variance and cells of a day ln(86420 s / 1 s); fast reads would add
    // ln(1 s / 500 ns) = 14.5 per readout. 4000 outputs: five relative standard errors sqrt(2 / 4000). The relative noise of
    // an old cell is that of a new one, as its sigma drifts with it; the global factor adds a 4000th.
    for (compensation, expected) in [("per-column", 20f64.ln()), ("global", 86_420f64.ln())] {
        let found = variance(compensation);
        let error = 5.0 * (2.0f64 / 4000.0).sqrt() + 1e-3;
        assert!(
            (found / (1e-4 * expected) - 1.0).abs() < error,
            "{compensation}: {found}"
        );
    }
}
