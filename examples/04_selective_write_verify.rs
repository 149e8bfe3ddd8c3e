//! Selective write-verify: which weights are worth the pulses?
//!
//! A cell that is written once deviates by 20 % of its range, a verified one by 6 % at the cost of several pulses. The
//! weights to which the loss is most sensitive are verified first (Yan et al., SWIM, DAC 2022), beside as many of the
//! largest weights.
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::collections::BTreeMap;

use anyhow::Result;
use burn::tensor::Device;
use crossburn::hardware::deploy::{Fab, Fidelity, Hardware, MappedNetwork};
use crossburn::hardware::program::WriteVerify;
use crossburn::models::{Classifier, LeNet, LeNetConfig, ModelConfig, initialize};
use crossburn::noise::ChipSeed;
use crossburn::training::data::digits;
use crossburn::training::{
    Batches, Classification, DataConfig, Recipe, Run, Silent, Task, TrainingConfig, evaluate,
    sensitivities, train,
};
use rayon::prelude::*;

const CHIPS: u64 = 20;

fn main() -> Result<()> {
    let device = Device::flex();
    let network = trained(&device)?;
    let test = Batches::new(&Classification::new(digits(1, 1 << 40, 300)), 100, &device)?;
    let verify = WriteVerify::reaching(0.06, 0.2, 100)?;
    let hardware = Hardware::from_toml(&format!(
        r#"
        device = {{ kind = "ideal", g_min = "1 uS", g_max = "100 uS" }}
        mapping = {{ weight_bits = 8 }}
        array = {{ rows = 128, columns = 128, input = {{ bits = 8 }} }}
        programming = {{ tolerance = {}, sigma_before = 0.2, maximum_pulses = 100 }}
        "#,
        verify.tolerance()
    ))?;
    let images = digits(1, 0, 128);
    let all: Vec<usize> = (0..images.len()).collect();
    let mapped = MappedNetwork::new(&network, &hardware, images.len(), |network| {
        network.forward(images.inputs(&all, &device));
    })?;
    let sensitive = sensitivities(
        &network,
        &Classification::new(digits(1, 0, 1000)),
        &device,
        5,
    )?;
    // Where all curvatures are alike, magnitude decides.
    let alike: BTreeMap<String, Vec<f32>> = sensitive
        .iter()
        .map(|(path, values)| (path.clone(), vec![0.0; values.len()]))
        .collect();

    println!("exact weights: {:.1} %", 100.0 * evaluate(&network, &test)?);
    println!("mean accuracy of {CHIPS} chips\n");
    println!(
        "{:>10} {:>14} {:>14} {:>12} {:>12}",
        "verified", "by sensitivity", "by magnitude", "pulses/cell", "reads/cell"
    );
    for fraction in [0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0] {
        let mean = |ranks| -> Result<(f64, f64, f64)> {
            let selection = mapped.selection(ranks, fraction)?;
            let fab = mapped.selective_fab(Fidelity::Weight, &selection)?;
            let accuracies: Vec<f64> = (0..CHIPS)
                .into_par_iter()
                .map(|chip| Ok(evaluate(&fab.chip(ChipSeed::new(7, chip))?, &test)?))
                .collect::<Result<_>>()?;
            let writes = fab.writes(ChipSeed::new(7, 0))?;
            let per_cell = |count: u64| count as f64 / writes.cells as f64;
            Ok((
                accuracies.iter().sum::<f64>() / CHIPS as f64,
                per_cell(writes.pulses),
                per_cell(writes.reads),
            ))
        };
        let (swim, pulses, reads) = mean(&sensitive)?;
        let (magnitude, ..) = mean(&alike)?;
        println!(
            "{:>8.0} % {:>12.1} % {:>12.1} % {pulses:>12.2} {reads:>12.2}",
            100.0 * fraction,
            100.0 * swim,
            100.0 * magnitude
        );
    }
    Ok(())
}

fn trained(device: &Device) -> Result<LeNet> {
    let model = LeNetConfig::default();
    let device = device.clone().autodiff();
    let network = initialize(model.init(&device), 1);
    let recipe = Recipe {
        model: ModelConfig::LeNet(model),
        data: DataConfig {
            source: "digits".parse()?,
            train: Some(3000),
            validation: 300,
            test: None,
        },
        training: TrainingConfig {
            epochs: 5,
            batch: 64,
            ..TrainingConfig::default()
        },
        ..Recipe::own(1)
    };
    let (training_set, validation) = Classification::new(digits(1, 0, 3300)).split_at(3000);
    let run = Run {
        train: &training_set,
        validation: &validation,
        device: &device,
        state: None,
        resume: false,
    };
    Ok(train(network, &recipe, &run, &mut Silent)?.network)
}
