//! A task of your own in one file: three numbers from three others, judged by the mean squared error.
//!
//! The network is trained under noise, judged on a population of chips, attacked, and reported: none of that knows what the
//! task is about.
//!
//!     cargo run --release --example 06_your_own_task

#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};
use crossburn::models::initialize;
use crossburn::noise::Philox;
use crossburn::noise::worst_case::{Search, worst_case};
use crossburn::prelude::*;
use crossburn::report::{DataSummary, Document, Results, write_run};
use crossburn::training::{MeanTally, RaisedLoss, Silent, TrainingConfig, TrainingError, values};

/// Rows of three numbers, and what is wanted of them.
#[derive(Clone, Debug)]
struct Regression {
    rows: Arc<Vec<[f32; 3]>>,
    range: Range<usize>,
}

impl Regression {
    fn new(rows: usize) -> Self {
        let draws = Philox::new(1, 0);
        let number = |i: usize| 2.0 * draws.uniform(i as u64) as f32 - 1.0;
        let row = |i: usize| [number(3 * i), number(3 * i + 1), number(3 * i + 2)];
        Self {
            rows: Arc::new((0..rows).map(row).collect()),
            range: 0..rows,
        }
    }

    fn wanted([a, b, c]: [f32; 3]) -> [f32; 3] {
        [a * b, b.max(c), (a + b + c).sin()]
    }
}

impl Task for Regression {
    type Batch = (Tensor<2>, Tensor<2>);
    type Tally = MeanTally;

    fn metric(&self) -> Metric {
        Metric::from_zero("mean squared error")
    }

    fn items(&self) -> usize {
        self.range.len()
    }

    fn split_at(&self, count: usize) -> (Self, Self) {
        let middle = self.range.start + count.min(self.items());
        let part = |range| Self {
            range,
            ..self.clone()
        };
        (part(self.range.start..middle), part(middle..self.range.end))
    }

    fn digest(&self) -> String {
        format!("{:?} of {}", self.range, self.rows.len())
    }

    fn batch(&self, items: &[usize], device: &Device) -> Result<Self::Batch, TrainingError> {
        let tensor = |of: fn([f32; 3]) -> [f32; 3]| {
            let rows = items
                .iter()
                .map(|item| of(self.rows[self.range.start + item]));
            let data = TensorData::new(rows.flatten().collect::<Vec<f32>>(), [items.len(), 3]);
            Tensor::from_data(data, device)
        };
        Ok((tensor(|row| row), tensor(Self::wanted)))
    }

    fn value(&self, tally: &MeanTally) -> Result<f64, TrainingError> {
        Ok(tally.mean())
    }
}

/// Two layers.
#[derive(Module, Debug)]
struct Net {
    first: Linear,
    second: Linear,
}

impl Network for Net {}

impl Learn<Net> for Regression {
    type Output = Tensor<2>;
    type Surrogate = RaisedLoss;

    fn forward(&self, network: &Net, (input, _): &Self::Batch) -> Tensor<2> {
        network
            .second
            .forward(relu(network.first.forward(input.clone())))
    }

    fn loss(&self, output: Tensor<2>, (_, wanted): &Self::Batch) -> Tensor<1> {
        (output - wanted.clone()).powi_scalar(2).mean()
    }

    fn judge(
        &self,
        output: Tensor<2>,
        (_, wanted): &Self::Batch,
        tallies: &mut [MeanTally],
    ) -> Result<(), TrainingError> {
        let errors = values((output - wanted.clone()).powi_scalar(2).mean_dim(1))?;
        errors
            .into_iter()
            .for_each(|error| tallies[0].add(f64::from(error)));
        Ok(())
    }
}

/// What came of it.
pub(crate) struct Found {
    /// The document: table, page and plots.
    pub(crate) results: Results,
    /// The error of the worst chip within 0.1 that a search has found.
    pub(crate) worst: f64,
}

/// Everything, from the data to the document of the results.
pub(crate) fn run() -> Result<Found> {
    let device = Device::flex();
    let (train_set, rest) = Regression::new(3000).split_at(2000);
    let (validation, test) = rest.split_at(500);
    let autodiff = device.clone().autodiff();
    let network = Net {
        first: LinearConfig::new(3, 32).init(&autodiff),
        second: LinearConfig::new(32, 3).init(&autodiff),
    };
    let recipe = Recipe {
        noise: Variation::from(Distribution::gaussian(0.05)),
        training: TrainingConfig {
            batch: 50,
            ..TrainingConfig::default()
        },
        ..Recipe::own(1)
    };
    let run = Run::new(&train_set, &validation, &autodiff);
    let trained = train(initialize(network, 1), &recipe, &run, &mut Silent)?;

    let batches = Batches::new(&test, 250, &device)?;
    let evaluation = Evaluation::new(&trained.network, None, batches.clone());
    let chips = Variation::from(Distribution::gaussian(0.1));
    let fab = evaluation.varied(&chips);
    let stop = AtomicBool::new(false);
    let (errors, _) = evaluation.population(&fab, 7, 0..400, |_, _| {}, &stop)?;
    let errors = errors.into_iter().map(|(_, error)| error).collect();
    let population = Population::new(7, 0, errors).judged_by(Better::Lower);

    let attack = WeightAttack::new(&trained.network, None, batches)?;
    let search = Search::default();
    let on = |_: &_| ControlFlow::Continue(());
    let found = worst_case(&attack, &attack.bounds(0.1)?, &search, 1, None, on)?;
    let worst = attack.value(found.score);

    let data = DataSummary {
        source: "three numbers".into(),
        train: train_set.items(),
        validation: validation.items(),
        test: test.items(),
    };
    let (metric, clean) = (test.metric(), evaluation.clean()?);
    let results = Results::of_chips("regression", data, metric, clean, &population)?;
    Ok(Found { results, worst })
}

fn main() -> Result<()> {
    let Found { results, worst } = run()?;
    println!("{}", results.table()?);
    println!("worst chip within 0.1: {}", results.metric.show(worst));
    write_run("runs/own-task".as_ref(), &results)?;
    Ok(())
}
