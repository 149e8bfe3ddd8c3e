//! Searches for designs: costs of designs, and whole searches whose quality is a formula.
#![allow(missing_docs, reason = "a bench is a program of its own")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed bench")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::ops::ControlFlow;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crossburn_hardware::cost::Accelerator;
use crossburn_hardware::deploy::Hardware;
use crossburn_models::nas::{CandidateLayer, ConvolutionalCandidate};
use crossburn_noise::Better;
use crossburn_training::TrainingError;
use crossburn_training::search::{
    Design, Draws, Judge, Judged, Measure, Score, ScoreConfig, Search, Space, SpaceConfig, built_in,
};

/// Seeds of each proposer, and evaluations of each search.
const SEEDS: u64 = 20;
const BUDGET: usize = 500;

/// The space of LCDA: six convolutions, 11.4 million networks.
const SPACE: &str = r#"
    name = "bench"
    network.channels = { times = 6, of = [32, 64, 128, 256, 512] }
    network.kernels = { times = 6, of = [3, 5, 7] }
"#;

fn space() -> Space {
    Space::new(toml::from_str::<SpaceConfig>(SPACE).unwrap()).unwrap()
}

/// The network of a design.
fn network(space: &Space, design: &Design) -> ConvolutionalCandidate {
    let of = |name| -> Vec<usize> {
        let chosen = space.chosen(design, name).unwrap();
        chosen.iter().map(|choice| choice.size().unwrap()).collect()
    };
    let layers = of("channels").into_iter().zip(of("kernels"));
    let layers = layers.map(|(channels, kernel)| CandidateLayer::new(channels, kernel));
    ConvolutionalCandidate {
        hidden: Some(1024),
        ..ConvolutionalCandidate::new([3, 32, 32], 10, layers.collect())
    }
}

/// Judges by the cost model, and by a quality that rises with the number of weights.
struct Formula {
    accelerator: Accelerator,
    measures: Vec<Measure>,
}

impl Judge for Formula {
    fn measures(&self) -> &[Measure] {
        &self.measures
    }

    fn judge(&self, space: &Space, design: &Design) -> Result<Judged, TrainingError> {
        let shapes = network(space, design).shapes();
        let cost = self.accelerator.cost(&shapes)?;
        let weights: f64 = shapes.iter().map(|shape| shape.weights() as f64).sum();
        let quality = 1.0 - 1.0 / weights.log10();
        Ok(Judged::Measured(vec![
            quality,
            cost.total.energy_total.get() * 1e12,
        ]))
    }
}

fn searches(c: &mut Criterion) {
    let space = space();
    let accelerator = Hardware::preset("isaac").unwrap().accelerator().unwrap();

    let mut draws = Draws::new(1, "bench");
    let designs: Vec<Design> = (0..1000).map(|_| space.draw(&mut draws).unwrap()).collect();
    let shapes: Vec<_> = designs
        .iter()
        .map(|design| network(&space, design).shapes())
        .collect();
    let mut group = c.benchmark_group("costs of 1,000 designs");
    group.throughput(Throughput::Elements(1000));
    group.bench_function("isaac", |b| {
        b.iter(|| {
            for shapes in &shapes {
                black_box(accelerator.cost(shapes).unwrap());
            }
        });
    });
    group.finish();

    let judge = Formula {
        accelerator,
        measures: vec![
            Measure::new("quality", "", Better::Higher),
            Measure::new("energy", "pJ", Better::Lower),
        ],
    };
    let config = ScoreConfig::RAe {
        quality: "quality".to_string(),
        energy: "energy".to_string(),
        reference: 2.2e9,
    };
    let score = Score::new(config, &judge.measures).unwrap();
    let search = Search {
        space: &space,
        view: &space,
        score: &score,
        limits: &[],
        budget: BUDGET,
    };
    let mut group = c.benchmark_group("20 searches of 500 evaluations");
    group.sample_size(10);
    for name in ["random", "evolution", "reinforce", "tpe"] {
        group.bench_function(name, |b| {
            b.iter(|| {
                for seed in 1..=SEEDS {
                    let mut proposer = built_in(name, seed).unwrap();
                    let mut watch = |_: &[_]| ControlFlow::Continue(());
                    let found =
                        search.run(&judge, &mut *proposer, &mut BTreeMap::new(), &mut watch);
                    assert_eq!(found.unwrap().trials.len(), BUDGET);
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, searches);
criterion_main!(benches);
