//! An accelerator of your own: one TOML description in, energy, time and area of every layer out.
//!
//! The shapes of the layers come from the network itself: one pass of one image shows how every layer is used.
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use anyhow::Result;
use burn::tensor::{Device, Tensor};
use crossburn::hardware::deploy::{Hardware, MappedNetwork};
use crossburn::models::{Classifier, LeNetConfig};

/// What a file would hold. Every figure is yours to change; those of the events are ISAAC's (Shafiee et al., ISCA 2016).
const ACCELERATOR: &str = r#"
[device]
kind = "ideal"
g_min = "1 uS"
g_max = "50 uS"

[mapping]
scheme = "one-sided-pair"
weight_bits = 8
slice_bits = 4

[array]
rows = 128
columns = 128
input = { bits = 8, slice_bits = 1 }

[array.adc]
bits = 8
range = { calibrated = { percentile = 99.9 } }

[cost]
array_cycle = "10 ns"

[cost.adc]
estimator = "neurosim-sar"
node_nm = 22
rate = "100 MHz"
columns_per_adc = 8

[cost.array_read]
kind = "conductance"
read_voltage = "0.2 V"
mean_conductance = "10 uS"
pulse = "10 ns"
activity = 0.5

[cost.events]
row_drive = "0.390625 pJ"
shift_add = "0.02 pJ"
partial_sum = "0.02 pJ"
buffer_bit = "0.080078125 pJ"
bus_bit = "0.054 pJ"
router_bit = "0.080859375 pJ"

[cost.programming]
pulse_energy = "10 pJ"
pulse_time = "100 ns"
cells_at_once = 1
arrays_at_once = 1

[cost.components]
rows = 128
columns = 128
arrays_per_ima = 1
imas_per_tile = 16
tiles_per_chip = 64
ima = [
    { kind = "array", count = 1, area = "0.00038 mm2" },
    { kind = "row-driver", count = 128, area = "0.00002125 mm2" },
    { kind = "shift-add", count = 1, area = "0.00003 mm2" },
]
"#;

fn main() -> Result<()> {
    let device = Device::flex();
    let network = LeNetConfig::default().init(&device);
    let hardware = Hardware::from_toml(ACCELERATOR)?;
    let mapped = MappedNetwork::new(&network, &hardware, 1, |network| {
        network.forward(Tensor::ones([1, 1, 28, 28], &device));
    })?;
    let report = hardware.accelerator()?.cost(&mapped.shapes())?;
    println!(
        "{:<14} {:>9} {:>7} {:>6} {:>10} {:>10} {:>10} {:>10}",
        "layer", "MACs", "arrays", "used", "energy", "ADC share", "latency", "area"
    );
    for layer in &report.layers {
        println!(
            "{:<14} {:>9} {:>7} {:>4.0} % {:>7.2} nJ {:>8.0} % {:>7.1} us {:>6.4} mm2",
            layer.path,
            layer.macs,
            layer.arrays,
            100.0 * layer.utilisation,
            1e9 * layer.energy.total().get(),
            100.0 * layer.adc_share_of_energy,
            1e6 * layer.latency.get(),
            layer.area.total().get()
        );
    }
    let total = &report.total;
    println!(
        "{:<14} {:>9} {:>7} {:>4.0} % {:>7.2} nJ {:>8.0} % {:>7.1} us {:>6.4} mm2",
        "total",
        total.macs,
        total.arrays,
        100.0 * total.utilisation,
        1e9 * total.energy_total.get(),
        100.0 * total.adc_share_of_energy,
        1e6 * total.latency_sequential.get(),
        total.area_total.get()
    );
    println!(
        "\nconverter figures: {}; another estimator changes them by more than an order of magnitude",
        report.adc_estimator.name()
    );
    Ok(())
}
