//! Training for bad chips: does a search for the strength of the noise find it?
//!
//! A small network is trained without noise, under Gaussian and right-censored noise of several strengths, and by TRICE (Yan
//! et al., ICCAD 2023), which searches the strength while it trains. Strengths are chosen by validation images on chips of
//! their own; the table is over fresh chips and test images. Budgets are stated: a grid of strengths trains once for each.
//! Three further methods stand beside them with one strength and their defaults, chosen by nothing.
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::sync::atomic::AtomicBool;

use anyhow::Result;
use burn::tensor::Device;
use crossburn::hardware::WeightBits;
use crossburn::models::{MlpConfig, ModelConfig, initialize};
use crossburn::noise::{Distribution, Population, Variation};
use crossburn::training::data::digits;
use crossburn::training::{
    ATrice, Awp, Batches, Classification, DataConfig, Deployment, Evaluation, Method,
    Orthogonality, Recipe, Run, Silent, Task as _, Trained, TrainingConfig, Trice, train,
};

const SEEDS: u64 = 3;
const TRAIN: usize = 8000;
const VALIDATION: usize = 500;
const TEST: usize = 1000;
const EPOCHS: usize = 15;
const CHIPS: u64 = 1000;
/// Chips that choose a strength.
const CHOOSING_CHIPS: u64 = 200;
/// Standard deviation of the deployed weights, of the largest magnitude of a layer.
const DEPLOYMENT: f64 = 0.25;
const GRID: [f64; 6] = [0.2, 0.25, 0.3, 0.35, 0.4, 0.45];
/// Of the methods that nothing chooses here.
const FIXED: f64 = 0.3;

type Network = crossburn::models::Mlp;

fn main() -> Result<()> {
    println!(
        "{CHIPS} chips, deployed under Gaussian deviations of {DEPLOYMENT} max|W|; accuracies in %, images in thousands\n"
    );
    println!(
        "{:>4} {:>15} {:>7} {:>7} {:>7} {:>7} {:>7} {:>17} {:>9}",
        "seed",
        "method",
        "sigma",
        "clean",
        "mean",
        "KPP(10)",
        "KPP(1)",
        "95 % interval",
        "backward"
    );
    for seed in 1..=SEEDS {
        let task = Setting::new(seed)?;
        let none = task.train(Variation::default(), Method::default())?;
        let backward = none.passes.backward;
        task.row("none", &none, backward)?;
        for (name, of) in [
            ("gaussian", Distribution::gaussian(1.0)),
            ("right-censored", Distribution::right_censored(1.0, 1.0)),
        ] {
            let mut best: Option<(f64, Trained<Network>)> = None;
            let mut backward = 0;
            for sigma in GRID {
                let noise = Variation::from(of.with_sigma(sigma));
                let trained = task.train(noise, Method::default())?;
                backward += trained.passes.backward;
                let judged = task.kpp(&trained, &task.validation, CHOOSING_CHIPS, 1)?;
                let judged = judged.kpp(1.0)?;
                if best.as_ref().is_none_or(|(best, _)| judged > *best) {
                    best = Some((judged, trained));
                }
            }
            if let Some((_, trained)) = best {
                task.row(name, &trained, backward)?;
            }
        }
        let trice = Method::Trice(Trice {
            quantile: 0.1,
            chips: 50,
            warm_up: 0,
            settle: 0,
            censors: Vec::new(),
            variation: task.deployment,
        });
        let upper = Variation::from(Distribution::right_censored(0.5, 1.0));
        let trained = task.train(upper, trice)?;
        task.row("trice", &trained, trained.passes.backward)?;
        let gaussian = Variation::from(Distribution::gaussian(FIXED));
        let censored = Variation::from(Distribution::right_censored(FIXED, 1.0));
        for (name, noise, method) in [
            ("a-trice", censored, Method::ATrice(ATrice::default())),
            ("awp", gaussian, Method::Awp(Awp::default())),
            (
                "orthogonality",
                gaussian,
                Method::Orthogonality(Orthogonality::default()),
            ),
        ] {
            let trained = task.train(noise, method)?;
            task.row(name, &trained, trained.passes.backward)?;
        }
    }
    Ok(())
}

/// One initial network, its images, and where it will live.
struct Setting {
    seed: u64,
    device: Device,
    model: MlpConfig,
    train: Classification,
    validation: Classification,
    test: Classification,
    deployment: Variation,
}

impl Setting {
    fn new(seed: u64) -> Result<Self> {
        let all = Classification::new(digits(seed, 0, TRAIN + VALIDATION));
        let (train, validation) = all.split_at(TRAIN);
        Ok(Self {
            seed,
            device: Device::flex(),
            model: MlpConfig {
                widths: vec![784, 64, 32, 10],
                bits: Some(WeightBits::new(4)?),
            },
            train,
            validation,
            test: Classification::new(digits(seed, 1 << 40, TEST)),
            deployment: Variation::from(Distribution::gaussian(DEPLOYMENT)),
        })
    }

    fn train(&self, noise: Variation, method: Method) -> Result<Trained<Network>> {
        let device = self.device.clone().autodiff();
        let recipe = Recipe {
            model: ModelConfig::Mlp(self.model.clone()),
            data: DataConfig {
                source: "digits".parse()?,
                train: Some(TRAIN + VALIDATION),
                validation: VALIDATION,
                test: Some(TEST),
            },
            training: TrainingConfig {
                epochs: EPOCHS,
                batch: 64,
                deployment: match &method {
                    Method::ATrice(_) => Deployment::MeanFolded,
                    _ => Deployment::AsTrained,
                },
                ..TrainingConfig::default()
            },
            method,
            noise,
            ..Recipe::own(self.seed)
        };
        let run = Run {
            train: &self.train,
            validation: &self.validation,
            device: &device,
            state: None,
            resume: false,
        };
        let network = initialize(self.model.init(&device), self.seed);
        Ok(train(network, &recipe, &run, &mut Silent)?)
    }

    /// Chips of a trained network on `items`; the populations of different `seed` share no chip.
    fn kpp(
        &self,
        trained: &Trained<Network>,
        items: &Classification,
        chips: u64,
        seed: u64,
    ) -> Result<Population> {
        let evaluation = self.evaluation(trained, items)?;
        let (accuracy, _) = evaluation.population(
            &evaluation.varied(&self.deployment),
            seed,
            0..chips,
            |_, _| {},
            &AtomicBool::new(false),
        )?;
        let accuracy = accuracy.into_iter().map(|(_, value)| value).collect();
        Ok(Population::new(seed, 0, accuracy))
    }

    fn evaluation(
        &self,
        trained: &Trained<Network>,
        items: &Classification,
    ) -> Result<Evaluation<Network, Classification>> {
        let batches = Batches::new(items, 250, &self.device)?;
        let quantization = self.model.bits.map(Into::into);
        Ok(Evaluation::new(&trained.network, quantization, batches))
    }

    fn row(&self, name: &str, trained: &Trained<Network>, backward: u64) -> Result<()> {
        let clean = self.evaluation(trained, &self.test)?.clean()?;
        let chips = self.kpp(trained, &self.test, CHIPS, 2)?;
        let (low, high) = chips.kpp_interval(1.0, 0.95)?.bounds((0.0, 1.0));
        println!(
            "{:>4} {name:>15} {:>7.4} {:>7.1} {:>7.1} {:>7.1} {:>7.1} {:>8.1} to {:>5.1} {:>9}",
            self.seed,
            trained.noise.sigma(),
            100.0 * clean,
            100.0 * chips.mean(),
            100.0 * chips.kpp(10.0)?,
            100.0 * chips.kpp(1.0)?,
            100.0 * low,
            100.0 * high,
            backward / 1000,
        );
        Ok(())
    }
}
