//! Your own network and data: any Burn module, trained under noise, judged on chips, attacked, and put on arrays.
//!
//!     cargo run --release --example 07_your_own_network
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor, activation::relu};
use crossburn::hardware::deploy::{Fab, Fidelity, Hardware};
use crossburn::hardware::layer::linear;
use crossburn::models::initialize;
use crossburn::noise::worst_case::{Search, worst_case};
use crossburn::prelude::*;
use crossburn::training::data::{Normalization, Samples, Values};

/// A network of yours. `linear` is `Linear::forward` that also runs on arrays.
#[derive(Module, Debug)]
struct Net {
    hidden: Linear,
    out: Linear,
}

impl Network for Net {}

impl Classifier for Net {
    fn forward(&self, rows: Tensor<4>) -> Tensor<2> {
        linear(&self.out, relu(linear(&self.hidden, rows.flatten(1, 3))))
    }
}

/// Data of yours: rows of two numbers, and whether they lie in a ring.
fn data(rows: usize) -> Samples {
    let number = |i: usize| (((i * i) as f64 * 0.618_034).fract() * 2.0 - 1.0) as f32;
    let values: Vec<f32> = (1..=2 * rows).map(number).collect();
    let inside = |row: &[f32]| u16::from((0.3..0.8).contains(&row[0].hypot(row[1])));
    Samples {
        shape: [1, 1, 2],
        labels: values.chunks(2).map(inside).collect(),
        values: Values::Floats(values),
        classes: 2,
        class_names: vec!["outside".into(), "inside".into()],
        normalization: Normalization::none(1),
        origins: None,
        masks: None,
    }
}

fn main() -> Result<()> {
    let device = Device::flex();
    let autodiff = device.clone().autodiff();
    let (learn, rest) = Classification::new(data(5000)).split_at(4000);
    let (validation, test) = rest.split_at(500);
    let network = Net {
        hidden: LinearConfig::new(2, 64).init(&autodiff),
        out: LinearConfig::new(64, 2).init(&autodiff),
    };
    let mut recipe = Recipe::own(1);
    recipe.noise = Variation::from(Distribution::gaussian(0.05));
    let run = Run::new(&learn, &validation, &autodiff);
    let trained = train(initialize(network, 1), &recipe, &run, &mut Silent)?.network;

    let judged = Evaluation::new(&trained, None, Batches::new(&test, 250, &device)?);
    let (fab, stop) = (judged.varied(&recipe.noise), AtomicBool::new(false));
    let (chips, _) = judged.population(&fab, 7, 0..500, |_, _| {}, &stop)?;
    let chips = Population::new(7, 0, chips.into_iter().map(|chip| chip.1).collect());
    println!("clean {}, KPP(1) {}", judged.clean()?, chips.kpp(1.0)?);

    let attack = WeightAttack::new(&trained, None, Batches::new(&test, 250, &device)?)?;
    let (bounds, on) = (attack.bounds(0.03)?, |_: &_| ControlFlow::Continue(()));
    let worst = worst_case(&attack, &bounds, &Search::default(), 1, None, on)?.score;
    println!("worst chip within 0.03: {worst}");

    let hardware = Hardware::preset("papers")?;
    let ranges = Batches::new(&learn, 250, &device)?;
    let chip = judged.mapped(&hardware, Fidelity::Weight, &ranges)?;
    let chip = chip.fab(Fidelity::Weight)?.chip(ChipSeed::new(7, 0))?;
    println!("a programmed chip: {}", judged.of(&chip)?);
    Ok(())
}
