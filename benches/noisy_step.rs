//! What variation costs a training step: plain and noisy steps taken in turn, so that a busy machine slows them alike.
//!
//! Criterion runs one case after another, and on a shared machine the drift between two cases is larger than the
//! difference that is asked for here.
#![allow(
    missing_docs,
    clippy::print_stdout,
    reason = "a bench is a program of its own and prints its result"
)]

use std::time::{Duration, Instant};

use burn::optim::GradientsParams;
use burn::tensor::Device;
use crossburn::hardware::vary_weights;
use crossburn::kernels::cross_entropy;
use crossburn::models::{Classifier, LeNetConfig, LeNetVariant, initialize};
use crossburn::noise::{ChipSeed, Distribution, Variation};
use crossburn::training::OptimizerConfig;
use crossburn::training::data::digits;

/// The allocator of the command line.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Steps of each kind.
const STEPS: u64 = 300;

fn main() {
    let device = Device::flex().autodiff();
    let set = digits(1, 0, 128);
    let indices: Vec<usize> = (0..set.len()).collect();
    let (images, targets) = (
        set.inputs(&indices, &device),
        set.targets(&indices, &device),
    );
    let config = LeNetConfig {
        variant: LeNetVariant::Classic,
        bits: None,
    };
    let mut network = initialize(config.init(&device), 1);
    let mut optimizer = OptimizerConfig::default().init();
    let kinds = [
        ("plain", Distribution::none()),
        ("gaussian", Distribution::gaussian(0.1)),
        ("right-censored", Distribution::right_censored(0.1, 1.0)),
    ];
    let mut times = vec![Vec::new(); kinds.len()];
    for step in 0..STEPS {
        for ((_, distribution), times) in kinds.iter().zip(&mut times) {
            let variation = Variation::from(*distribution);
            let start = Instant::now();
            let chip = ChipSeed::new(1, step);
            let varied = vary_weights(network.clone(), None, &variation, chip)
                .expect("a clean network carries nothing");
            let loss = cross_entropy(varied.forward(images.clone()), targets.clone());
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            network = optimizer.step(1e-3, network.clone(), gradients);
            times.push(start.elapsed());
        }
    }
    let medians: Vec<Duration> = times.into_iter().map(median).collect();
    println!("LeNet, batch 128, {STEPS} steps of each kind in turn, medians");
    for ((name, _), median) in kinds.iter().zip(&medians) {
        let ratio = median.as_secs_f64() / medians[0].as_secs_f64();
        println!(
            "{name:<16} {:.2} ms  {ratio:.3} of plain",
            1e3 * median.as_secs_f64()
        );
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
