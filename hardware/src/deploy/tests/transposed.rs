//! Transposed convolutions: whose scale and whose deviations are those of an output.

use super::*;

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
        granularity: Granularity::PerChannel,
        ..crate::Quantization::from(crate::WeightBits::new(4).unwrap())
    };
    let quantized = crate::manufacture(
        &layers,
        Some(quantization),
        &Variation::default(),
        ChipSeed::new(1, 0),
    );
    let variation = Variation {
        scale: Granularity::PerChannel,
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
