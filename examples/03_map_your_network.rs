//! Your own network on arrays: plain Burn layers, called through `crossburn_hardware::layer`.
//!
//! A module that Crossburn does not know keeps Burn's layers and calls the functions `conv2d` and `linear` in place of their
//! `forward`. Its chips then compute every product on arrays. A module that calls `forward` still has chips: their weights
//! are those that the cells hold (weight fidelity), and array fidelity is refused with the names of the layers.
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use anyhow::Result;
use burn::module::Module;
use burn::nn::conv::{Conv1d, Conv1dConfig};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use crossburn::hardware::deploy::{Fab, Fidelity, Hardware, MappedNetwork};
use crossburn::hardware::layer::{conv1d, linear};
use crossburn::noise::ChipSeed;
use crossburn::training::data::digits;

/// Rows of an image as a signal of 28 channels.
#[derive(Module, Debug)]
struct Rows {
    conv: Conv1d,
    fc: Linear,
}

impl Rows {
    fn new(device: &Device) -> Self {
        Self {
            conv: Conv1dConfig::new(28, 16, 5).init(device),
            fc: LinearConfig::new(16 * 24, 10).init(device),
        }
    }

    /// As it runs on arrays.
    fn forward(&self, rows: Tensor<3>) -> Tensor<2> {
        linear(&self.fc, relu(conv1d(&self.conv, rows)).flatten(1, 2))
    }

    /// As a stranger would have written it.
    fn plain(&self, rows: Tensor<3>) -> Tensor<2> {
        self.fc.forward(relu(self.conv.forward(rows)).flatten(1, 2))
    }
}

fn main() -> Result<()> {
    let device = Device::flex();
    device.seed(1);
    let network = Rows::new(&device);
    let images = digits(1, 0, 64);
    let all: Vec<usize> = (0..images.len()).collect();
    let rows = images.inputs(&all, &device).squeeze_dim::<3>(1);
    let hardware = Hardware::from_toml(
        r#"
        device = { preset = "reram-wan-2022" }
        mapping = { weight_bits = 8 }
        array = { rows = 128, columns = 128, input = { bits = 8 }, adc = { bits = 8, range = { calibrated = { percentile = 99.9 } } } }
        "#,
    )?;

    let run = |network: &Rows| {
        network.forward(rows.clone());
    };
    let mapped = MappedNetwork::new(&network, &hardware, images.len(), run)?.calibrated(run)?;
    println!(
        "{:<12} {:>7} {:>8} {:>10}",
        "layer", "inputs", "outputs", "positions"
    );
    for shape in mapped.shapes() {
        println!(
            "{:<12} {:>7} {:>8} {:>10}",
            shape.path, shape.inputs, shape.outputs, shape.positions
        );
    }

    let exact = network.forward(rows.clone());
    let deviation = |outputs: Tensor<2>| -> f32 {
        let error = (outputs - exact.clone())
            .powi_scalar(2)
            .mean()
            .into_scalar::<f32>();
        let power = exact.clone().powi_scalar(2).mean().into_scalar::<f32>();
        100.0 * (error / power).sqrt()
    };
    let seed = ChipSeed::new(7, 17);
    let arrays = mapped.fab(Fidelity::Array)?.chip(seed)?;
    let ideal = mapped.fab(Fidelity::Array)?.ideal()?;
    let weights = mapped.fab(Fidelity::Weight)?.chip(seed)?;
    println!("\n{:<44} {:>16}", "outputs of chip 17", "off by (rms)");
    for (name, outputs) in [
        (
            "arrays and converters, ideal cells",
            ideal.forward(rows.clone()),
        ),
        (
            "arrays, converters and programmed cells",
            arrays.forward(rows.clone()),
        ),
        (
            "weight fidelity, called through layer::",
            weights.forward(rows.clone()),
        ),
        (
            "weight fidelity, Burn's own forward",
            weights.plain(rows.clone()),
        ),
    ] {
        println!("{name:<44} {:>14.2} %", deviation(outputs));
    }

    // What happens to a module that never calls the array-aware functions.
    let stranger = MappedNetwork::new(&network, &hardware, images.len(), |network| {
        network.plain(rows.clone());
    })?;
    println!("\nBurn's own calls: unseen layers {:?}", stranger.unseen());
    stranger.fab(Fidelity::Weight)?.chip(seed)?;
    if let Err(refused) = stranger.fab(Fidelity::Array) {
        println!("weight fidelity works; array fidelity says: {refused}");
    }
    Ok(())
}
