//! Laws of your own: how weights deviate, and how a memory cell misses its target.
//!
//! A network is trained and judged under deviations that follow Laplace's law, whose tails are heavier than those of a normal one. Then
//! it is programmed into cells that are written short of their target and relax further within a day.
//!
//!     cargo run --release --example 08_your_own_law
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::f64::consts::SQRT_2;

use anyhow::Result;
use burn::tensor::Device;
use crossburn::hardware::HardwareError;
use crossburn::hardware::deploy::{Fab, Fidelity, Hardware, Operation};
use crossburn::hardware::device::{
    Ageing, ConductanceRange, DeviceConfig, Law, MemoryDevice, NoReadNoise, OwnConfig, Programming,
    RawMoments, Spread,
};
use crossburn::models::{MlpConfig, initialize};
use crossburn::noise::{Deviate, Moments};
use crossburn::prelude::*;
use crossburn::training::data::digits;

/// Deviations of weights by Laplace's law with the standard deviation `sigma_rel_wmax`.
///
/// ```text
/// d = -s / √2 · sign(u - ½) · ln(1 - 2 |u - ½|)          mean 0, second moment s²
/// ```
#[derive(Clone, Copy, Debug)]
pub(crate) struct Laplace {
    pub(crate) sigma_rel_wmax: f64,
}

impl Deviate for Laplace {
    const NAME: &'static str = "laplace";

    fn sigma_mut(&mut self) -> &mut f64 {
        &mut self.sigma_rel_wmax
    }

    fn moments(&self) -> Moments {
        Moments::new(0.0, self.sigma_rel_wmax.powi(2))
    }

    fn deviate(&self, draws: &mut [f64], _relative: &[f64]) {
        let scale = self.sigma_rel_wmax / SQRT_2;
        for draw in draws {
            let from_middle = *draw - 0.5;
            let size = -scale * (1.0 - 2.0 * from_middle.abs()).ln();
            *draw = size.copysign(from_middle);
        }
    }
}

/// Cells that are written to 97 % of their target, with a spread of 3 % of it, and lose up to 5 % more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaky {
    range: ConductanceRange,
}

impl Programming for Leaky {
    fn spread(&self, target: f64) -> Spread {
        Spread {
            mean: 0.97 * target,
            sigma: 0.03 * target,
        }
    }
}

/// What is left of a cell after a time, and how much that scatters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Relaxed {
    left: f64,
    sigma: f64,
}

impl Ageing for Relaxed {
    fn age(&self, programmed: f64, _target: f64, draw: f64) -> f64 {
        programmed * (self.left + self.sigma * draw)
    }

    fn moments(&self, programmed: f64, _target: f64) -> RawMoments {
        RawMoments {
            mean: programmed * self.left,
            second: programmed.powi(2) * (self.left.powi(2) + self.sigma.powi(2)),
        }
    }
}

impl Law for Leaky {
    type Ageing = Relaxed;
    type Read = NoReadNoise;

    fn range(&self) -> ConductanceRange {
        self.range
    }

    /// Half of the loss has come after an hour.
    fn ageing(&self, after: f64) -> Result<Option<Relaxed>, HardwareError> {
        let loss = 0.05 * (1.0 - (-after * 2f64.ln() / 3600.0).exp());
        Ok(Some(Relaxed {
            left: 1.0 - loss,
            sigma: 0.2 * loss,
        }))
    }
}

/// The cell as a device.
pub(crate) fn leaky() -> Result<MemoryDevice> {
    let range = ConductanceRange::new("1 uS".parse()?, "50 uS".parse()?)?;
    let config = OwnConfig::new("leaky", Leaky { range });
    Ok(MemoryDevice::try_from(DeviceConfig::from(config))?)
}

/// Accuracies that the example finds.
pub(crate) struct Found {
    pub(crate) clean: f64,
    /// Mean and KPP(1) of chips by Laplace's law, and by the normal one of the same strength.
    pub(crate) laplace: [f64; 2],
    pub(crate) gaussian: [f64; 2],
    /// Mean of programmed chips, just written and after a day.
    pub(crate) written: f64,
    pub(crate) aged: f64,
}

pub(crate) fn run() -> Result<Found> {
    let device = Device::flex();
    let autodiff = device.clone().autodiff();
    let (learn, validation) = Classification::new(digits(1, 0, 2200)).split_at(2000);
    let test = Classification::new(digits(1, 1 << 40, 500));
    let model = MlpConfig {
        widths: vec![784, 32, 10],
        bits: None,
    };
    let mut recipe = Recipe::own(1);
    recipe.noise = Variation::from(Distribution::own(Laplace {
        sigma_rel_wmax: 0.1,
    }));
    recipe.training.epochs = 6;
    let run = Run::new(&learn, &validation, &autodiff);
    let network = initialize(model.init(&autodiff), 1);
    let network = train(network, &recipe, &run, &mut Silent)?.network;

    let judged = Evaluation::new(&network, None, Batches::new(&test, 250, &device)?);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let chips = |noise: Variation| -> Result<[f64; 2]> {
        let fab = judged.varied(&noise);
        let (chips, _) = judged.population(&fab, 7, 0..200, |_, _| {}, &stop)?;
        let chips = Population::new(7, 0, chips.into_iter().map(|chip| chip.1).collect());
        Ok([chips.mean(), chips.kpp(1.0)?])
    };
    let noise = recipe.noise;
    let gaussian = Variation::from(Distribution::gaussian(noise.sigma()));

    let ranges = Batches::new(&learn, 128, &device)?;
    let hardware = Hardware::preset("papers")?;
    let programmed = |after: &str| -> Result<f64> {
        let operation = Operation {
            after: after.parse()?,
            ..hardware.config().operation
        };
        let hardware = hardware.with(Some(leaky()?), Some(operation))?;
        let mapped = judged.mapped(&hardware, Fidelity::Weight, &ranges)?;
        let fab = mapped.fab(Fidelity::Weight)?;
        let chips = (0..20).map(|chip| Ok(judged.of(&fab.chip(ChipSeed::new(7, chip))?)?));
        let chips: Vec<f64> = chips.collect::<Result<_>>()?;
        Ok(chips.iter().sum::<f64>() / chips.len() as f64)
    };
    Ok(Found {
        clean: judged.clean()?,
        laplace: chips(noise)?,
        gaussian: chips(gaussian)?,
        written: programmed("0 s")?,
        aged: programmed("1 d")?,
    })
}

fn main() -> Result<()> {
    let found = run()?;
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    println!("without variation        {}", percent(found.clean));
    for (law, [mean, kpp]) in [("Laplace", found.laplace), ("normal", found.gaussian)] {
        println!(
            "200 chips, {law:<12}  mean {}, KPP(1) {}",
            percent(mean),
            percent(kpp)
        );
    }
    for (age, mean) in [("just written", found.written), ("after a day", found.aged)] {
        println!("20 leaky chips, {age:<12} mean {}", percent(mean));
    }
    Ok(())
}
