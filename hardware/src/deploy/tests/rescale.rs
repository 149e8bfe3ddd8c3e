//! Rescaled input channels: the same products, and a full scale that no single channel sets.

use super::*;

/// Ideal cells and fine grids, with rescaled channels.
fn fine(exponent: f64) -> Hardware {
    let text = format!(
        r#"
        device = {{ kind = "ideal", g_min = "1 uS", g_max = "100 uS" }}
        mapping = {{ weight_bits = 16 }}
        array = {{ rows = 16, columns = 16, input = {{ bits = 16 }} }}
        operation = {{ rescale = {exponent:?} }}
        "#
    );
    Hardware::from_toml(&text).unwrap()
}

#[test]
fn ideal_arrays_with_rescaled_channels_are_the_digital_network() {
    let device = Device::flex();
    let (layers, data) = (Layers::new(&device), Data::new(&device));
    let digital = layers.burn(&data);
    let run = |layers: &Layers| {
        layers.forward(&data);
    };
    for exponent in [0.0, 0.3, 1.0] {
        let mapped = MappedNetwork::new(&layers, &fine(exponent), 3, run).unwrap();
        for fidelity in [Fidelity::Weight, Fidelity::Array] {
            let ideal = mapped.fab(fidelity).unwrap().ideal().unwrap();
            for (found, expected) in ideal.forward(&data).iter().zip(&digital) {
                // Half a step of 2^15, of weights and of inputs, in a few dozen terms.
                assert!(difference(found, expected) < 1e-3, "{exponent} {fidelity}");
            }
        }
    }
}

/// A layer of which the first input channel is a hundred times as large as the others, and its weights are as small.
fn outlier(device: &Device) -> (Linear, Tensor<2>) {
    let (inputs, outputs, rows) = (32, 16, 40);
    let draws = Philox::new(9, 0);
    let draw = |at: usize| draws.uniform(at as u64) as f32 * 2.0 - 1.0;
    let part = |channel: usize, large: f32| if channel == 0 { large } else { 1.0 };
    let x = (0..rows * inputs).map(|at| draw(at) * part(at % inputs, 100.0));
    let w = (0..inputs * outputs).map(|at| draw(5000 + at) * part(at / outputs, 0.01));
    let (x, w): (Vec<f32>, Vec<f32>) = (x.collect(), w.collect());
    let mut layer = LinearConfig::new(inputs, outputs)
        .with_bias(false)
        .init(device);
    let weight = Tensor::from_data(TensorData::new(w, [inputs, outputs]), device);
    layer.weight = layer.weight.map(|_| weight);
    (
        layer,
        Tensor::from_data(TensorData::new(x, [rows, inputs]), device),
    )
}

#[test]
fn a_channel_that_stands_out_costs_the_others_less() {
    let device = Device::flex();
    let (layer, x) = outlier(&device);
    let expected = values(layer.forward(x.clone()));
    let error = |operation: &str| {
        let text = format!(
            r#"
            device = {{ kind = "ideal", g_min = "1 uS", g_max = "100 uS" }}
            mapping = {{ weight_bits = 8 }}
            array = {{ rows = 64, columns = 64, input = {{ bits = 8 }}, adc = {{ bits = 8, range = {{ calibrated = {{ percentile = 100.0 }} }} }} }}
            {operation}
            "#
        );
        let hardware = Hardware::from_toml(&text).unwrap();
        let run = |layer: &Linear| {
            linear(layer, x.clone());
        };
        let mapped = MappedNetwork::new(&layer, &hardware, 40, run).unwrap();
        let mapped = mapped.calibrated(run).unwrap();
        let chip = mapped.fab(Fidelity::Array).unwrap();
        let chip = chip.chip(ChipSeed::new(1, 2)).unwrap();
        let found = values(linear(&chip, x.clone()));
        let squares = found
            .iter()
            .zip(&expected)
            .map(|(f, e)| f64::from(f - e).powi(2));
        (squares.sum::<f64>() / expected.len() as f64).sqrt()
    };
    let plain = error("");
    let rescaled = error("operation = { rescale = 0.5 }");
    // Inputs of one meet a full scale of a hundred, less than a step and a half of 127: rescaled they have all of them.
    assert!(5.0 * rescaled < plain, "{rescaled} {plain}");
}

#[test]
fn a_gradient_through_rescaled_arrays_is_that_of_the_weights_that_they_hold() {
    let device = Device::flex().autodiff();
    let (layer, x) = outlier(&Device::flex());
    let run = |layer: &Linear| {
        linear(layer, x.clone());
    };
    let mapped = MappedNetwork::new(&layer, &fine(0.5), 40, run).unwrap();
    let chip = mapped.fab(Fidelity::Array).unwrap().ideal().unwrap();
    let held = values(chip.weight.val());
    let expected = values(layer.weight.val());
    assert!(difference(&held, &expected) < 1e-3);
    let input = Tensor::<2>::from_data(x.into_data(), &device).require_grad();
    let gradients = linear(&chip.train(), input.clone()).sum().backward();
    let gradient = values(input.grad(&gradients).unwrap());
    for row in gradient.chunks(32) {
        let sums: Vec<f32> = held.chunks(16).map(|row| row.iter().sum()).collect();
        assert!(difference(row, &sums) < 1e-4);
    }
}

#[test]
fn what_does_not_go_with_a_rescaling_is_refused() {
    let refused = |operation: &str, rest: &str| {
        let text = format!(
            r#"
            device = {{ kind = "ideal", g_min = "1 uS", g_max = "100 uS" }}
            mapping = {{ weight_bits = 8 }}
            array = {{ rows = 16, columns = 16, input = {{ bits = 8 }} }}
            operation = {{ {operation} }}
            {rest}
            "#
        );
        Hardware::from_toml(&text).unwrap_err().to_string()
    };
    let cases = [
        (
            "rescale = 1.5",
            "",
            "operation.rescale = 1.5 is outside the numbers from 0 to 1",
        ),
        ("rescale = nan", "", "operation.rescale = NaN is outside"),
        (
            "rescale = 0.5\ninput_range = \"fixed\"",
            "",
            "operation.rescale with operation.input_range = fixed",
        ),
        (
            "rescale = 0.5",
            "[[layer]]\npath = \"weight\"\ninput_scale = 2.0",
            "operation.rescale and a full scale of the inputs of `weight`",
        ),
    ];
    for (operation, rest, part) in cases {
        let message = refused(&operation.replace('\n', ", "), rest);
        assert!(message.contains(part), "{message}");
    }
    let training = super::super::TrainingChips::new(&fine(0.5), Fidelity::Array, &[]);
    assert!(
        training
            .unwrap_err()
            .to_string()
            .contains("operation.rescale in training")
    );
    let device = Device::flex();
    let (layer, x) = outlier(&device);
    let mapped = MappedNetwork::new(&layer, &fine(0.5), 40, |layer| {
        linear(layer, x.clone());
    });
    let error = mapped.unwrap().stored_matrices().unwrap_err().to_string();
    assert!(
        error.contains("operation.rescale and cells that are taken for the stored weights"),
        "{error}"
    );
}
