//! A device of your own: a table of measurements in, a population of chips out.
//!
//! Three rows of (conductance, mean, standard deviation) describe a cell that scatters most in the middle of its range. A
//! small network is trained on procedural digits and programmed into 50 chips of it, once as measured and once with half
//! the scatter.
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use anyhow::Result;
use burn::tensor::Device;
use crossburn::hardware::deploy::{Fab, Fidelity, Hardware, MappedNetwork};
use crossburn::models::{Classifier, Mlp, MlpConfig, ModelConfig, initialize};
use crossburn::noise::{ChipSeed, Population};
use crossburn::training::data::digits;
use crossburn::training::{
    Batches, Classification, DataConfig, Recipe, Run, Silent, Task, TrainingConfig, evaluate, train,
};
use rayon::prelude::*;

fn main() -> Result<()> {
    let device = Device::flex();
    let network = trained(&device)?;
    let test = Batches::new(&Classification::new(digits(1, 1 << 40, 500)), 128, &device)?;
    println!(
        "without any error of a device: {:.1} %\n",
        100.0 * evaluate(&network, &test)?
    );
    println!(
        "{:<16} {:>8} {:>8} {:>8}",
        "50 chips", "mean", "KPP(5)", "worst"
    );
    for (name, factor) in [("as measured", 1.0), ("half the scatter", 0.5)] {
        // In a file this is [device] with `kind = "table"`; the rest of the hardware is 8-bit differential pairs.
        let sigma = [4.0, 25.0, 8.0].map(|sigma| factor * sigma);
        let hardware = Hardware::from_toml(&format!(
            r#"
            [device]
            kind = "table"
            unit = "uS"
            rows = [[1.0, 1.5, {:?}], [50.0, 49.0, {:?}], [100.0, 97.0, {:?}]]

            [mapping]
            weight_bits = 8

            [array]
            rows = 128
            columns = 128
            input = {{ bits = 8 }}
            "#,
            sigma[0], sigma[1], sigma[2]
        ))?;
        let images = digits(1, 0, 128);
        let all: Vec<usize> = (0..images.len()).collect();
        let mapped = MappedNetwork::new(&network, &hardware, images.len(), |network| {
            network.forward(images.inputs(&all, &device));
        })?;
        let fab = mapped.fab(Fidelity::Weight)?;
        let accuracies: Vec<f64> = (0..50)
            .into_par_iter()
            .map(|chip| Ok(evaluate(&fab.chip(ChipSeed::new(7, chip))?, &test)?))
            .collect::<Result<_>>()?;
        let population = Population::new(7, 0, accuracies);
        println!(
            "{name:<16} {:>6.1} % {:>6.1} % {:>6.1} %",
            100.0 * population.mean(),
            100.0 * population.kpp(5.0)?,
            100.0 * population.worst_of_n()
        );
    }
    Ok(())
}

fn trained(device: &Device) -> Result<Mlp> {
    let model = MlpConfig {
        widths: vec![784, 64, 10],
        bits: None,
    };
    let device = device.clone().autodiff();
    let network = initialize(model.init(&device), 1);
    let recipe = Recipe {
        model: ModelConfig::Mlp(model),
        data: DataConfig {
            source: "digits".parse()?,
            train: Some(3000),
            validation: 300,
            test: None,
        },
        training: TrainingConfig {
            epochs: 10,
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
