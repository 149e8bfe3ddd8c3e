//! Chips of a hardware at draws that no seed alone gives: walks in the space of draws, and rare percentiles.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::sync::atomic::AtomicBool;

use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use crossburn_hardware::HardwareError;
use crossburn_hardware::deploy::{Fab, Fidelity, Hardware, MappedNetwork};
use crossburn_hardware::layer::linear;
use crossburn_noise::{ChipSeed, Move, RareChip, RareConfig};

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

fn layer(inputs: usize, outputs: usize) -> Linear {
    let config = LinearConfig::new(inputs, outputs).with_bias(false);
    let layer = config.init(&Device::flex());
    let shape = [inputs, outputs];
    let weight = Tensor::full(shape, 0.5, &Device::flex());
    // The largest sets the scale of all others.
    let largest = Tensor::full([1, 1], 1.0, &Device::flex());
    Linear {
        weight: layer
            .weight
            .map(|_| weight.slice_assign([0..1, 0..1], largest)),
        ..layer
    }
}

fn mapped(layer: &Linear, hardware: &str) -> MappedNetwork<Linear> {
    let hardware = Hardware::from_toml(hardware).unwrap();
    let inputs = layer.weight.dims()[0];
    let run = |layer: &Linear| {
        linear(layer, Tensor::<2>::ones([2, inputs], &Device::flex()));
    };
    let mapped = MappedNetwork::new(layer, &hardware, 2, run).unwrap();
    mapped.calibrated(run).unwrap()
}

/// Every draw of a chip: writes that are verified, time, slow and fast noise of reads, faults and converters.
const EVERYTHING: &str = "
    device = { preset = \"pcm-hermes-1\", faults = { stuck_on = 0.02, stuck_off = 0.03 } }
    mapping = { weight_bits = 8 }
    array = { rows = 16, columns = 8, input = { bits = 8 }, adc = { bits = 8, range = { calibrated = { percentile = 100.0 } }, codes = \"symmetric\", gain_error = { sigma = 0.02 }, comparator_offset = { sigma_lsb = 0.5 } } }
    operation = { after = \"1 d\" }";

#[test]
fn the_chip_of_a_seed_is_the_same_whichever_way_it_is_drawn_and_a_walk_leads_to_another() {
    let layer = layer(20, 12);
    let verified = format!(
        "{EVERYTHING}\n[programming]\ntolerance = 0.05\nsigma_before = 0.1\nmaximum_pulses = 20"
    );
    for hardware in [EVERYTHING, &verified] {
        let mapped = mapped(&layer, hardware);
        for fidelity in [Fidelity::Weight, Fidelity::Array] {
            let fab = mapped.fab(fidelity).unwrap();
            let x = Tensor::<2>::ones([3, 20], &Device::flex()) * 0.7;
            let output =
                |chip: Result<Linear, HardwareError>| values(linear(&chip.unwrap(), x.clone()));
            let start = RareChip::new(ChipSeed::new(7, 3));
            let moved = start.moved(Move {
                index: 900,
                rho: 0.6,
            });
            let seed = output(fab.chip(ChipSeed::new(7, 3)));
            assert_eq!(output(fab.drawn(&start)), seed);
            assert_eq!(output(fab.drawn(&moved)), output(fab.drawn(&moved.clone())));
            assert_ne!(output(fab.drawn(&moved)), seed);
        }
    }
}

/// Errors of writing are normal, so that a move keeps ρ of each: the correlation of 20,000 pairs is known to 0.005.
#[test]
fn a_move_of_the_draws_is_a_move_of_every_cell() {
    let layer = layer(200, 100);
    let mapped = mapped(
        &layer,
        "device = { preset = \"state-independent\" }
         mapping = { weight_bits = 8 }
         array = { rows = 256, columns = 256, input = { bits = 8 } }",
    );
    let fab = mapped.fab(Fidelity::Weight).unwrap();
    let deviations = |chip: &RareChip| -> Vec<f64> {
        let held = values(fab.drawn(chip).unwrap().weight.val());
        let ideal = values(fab.ideal().unwrap().weight.val());
        let pairs = held.iter().zip(&ideal);
        pairs.map(|(held, ideal)| f64::from(held - ideal)).collect()
    };
    let start = RareChip::new(ChipSeed::new(7, 3));
    let before = deviations(&start);
    for rho in [0.3, 0.9] {
        let after = deviations(&start.moved(Move { index: 50, rho }));
        let sum = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
        let correlation =
            sum(&before, &after) / (sum(&before, &before) * sum(&after, &after)).sqrt();
        // Cells of a pair that holds nothing are cut at zero, which takes a little of the correlation.
        assert!((correlation - rho).abs() < 0.06, "{correlation} {rho}");
        let ratio = sum(&after, &after) / sum(&before, &before);
        assert!((ratio - 1.0).abs() < 0.05, "{ratio}");
    }
}

/// A percentile of 0.1 % by a few thousand chips is where 40,000 plain chips have it.
#[test]
fn rare_percentiles_of_programmed_chips_are_those_of_many_plain_ones() {
    let layer = layer(3, 4);
    let mapped = mapped(
        &layer,
        "device = { preset = \"pcm-mushroom\" }
         mapping = { weight_bits = 8 }
         array = { rows = 16, columns = 8, input = { bits = 8 } }
         operation = { after = \"1 h\" }",
    );
    let fab = mapped.fab(Fidelity::Weight).unwrap();
    let metric = |chip: Result<Linear, HardwareError>| -> Result<f64, HardwareError> {
        let weights = values(chip?.weight.val());
        Ok(weights.iter().copied().map(f64::from).sum())
    };
    let simulation = RareConfig {
        seed: 5,
        chips: 600,
        conditional: 0.1,
        percentages: vec![0.1],
        confidence: 0.95,
    };
    let simulation = simulation.check().unwrap();
    let stop = AtomicBool::new(false);
    let found = simulation.run(|chip| metric(fab.drawn(chip)), &(), &stop);
    let quantile = found.unwrap().unwrap().quantiles.remove(0);
    let plain = 40_000u64;
    let below = (0..plain)
        .filter(|chip| metric(fab.chip(ChipSeed::new(6, *chip))).unwrap() <= quantile.value)
        .count();
    // 40 are expected. The simulation knows the probability to a third, and 40 counts scatter by a sixth.
    assert!((14..=110).contains(&below), "{below}");
    assert_eq!(metric(fab.drawn(&quantile.chip)).unwrap(), quantile.value);
}
