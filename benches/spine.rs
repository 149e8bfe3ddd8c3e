//! The hot paths of the spine: a training step, one chip of a million weights, a population.
//!
//! `benches/README.md` says how to run the PyTorch side beside it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a bench is a program of its own and may stop on an error"
)]

use std::hint::black_box;
use std::sync::atomic::AtomicBool;

use burn::optim::GradientsParams;
use burn::tensor::Device;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crossburn::kernels::cross_entropy;
use crossburn::models::{Classifier, LeNet, LeNetConfig, LeNetVariant, initialize};
use crossburn::noise::{ChipSeed, Distribution, Variation};
use crossburn::training::data::digits;
use crossburn::training::{Batches, Evaluation, OptimizerConfig};

/// The allocator of the command line.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The network of the PyTorch side: 5×5 kernels, full precision, 61,706 parameters.
fn lenet(device: &Device) -> LeNet {
    let config = LeNetConfig {
        variant: LeNetVariant::Classic,
        bits: None,
    };
    initialize(config.init(device), 1)
}

fn training_step(c: &mut Criterion) {
    let device = Device::flex().autodiff();
    let set = digits(1, 0, 128);
    let indices: Vec<usize> = (0..set.len()).collect();
    let (images, targets) = (
        set.images(&indices, &device),
        set.targets(&indices, &device),
    );
    let mut network = lenet(&device);
    let mut optimizer = OptimizerConfig::default().init();
    c.bench_function("lenet_b128_step", |b| {
        b.iter(|| {
            let loss = cross_entropy(network.forward(images.clone()), targets.clone());
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            network = optimizer.step(1e-3, network.clone(), gradients);
        });
    });
}

fn one_chip(c: &mut Criterion) {
    let weights: Vec<f32> = (0..1 << 20)
        .map(|i| (i % 201) as f32 / 100.0 - 1.0)
        .collect();
    let mut group = c.benchmark_group("chip_1m_weights");
    group.throughput(Throughput::Elements(1 << 20));
    for (name, distribution) in [
        ("gaussian", Distribution::gaussian(0.1)),
        ("right-censored", Distribution::right_censored(0.1, 1.0)),
    ] {
        let variation = Variation::from(distribution);
        group.bench_function(name, |b| {
            b.iter(|| {
                black_box(variation.draw(ChipSeed::new(1, 2), "weight", &weights, &[1024, 1024]))
            });
        });
    }
}

fn population(c: &mut Criterion) {
    let device = Device::flex();
    let evaluation = Evaluation::new(
        &lenet(&device),
        None,
        Batches::new(&digits(1, 0, 1000), 128, &device),
    );
    let variation = Variation::from(Distribution::gaussian(0.1));
    let stop = AtomicBool::new(false);
    let mut group = c.benchmark_group("population");
    group.sample_size(10);
    group.throughput(Throughput::Elements(100 * 1000));
    group.bench_function("lenet_100_chips_x_1000_images", |b| {
        b.iter(|| {
            evaluation
                .population(&evaluation.varied(&variation), 1, 0..100, |_, _| {}, &stop)
                .unwrap()
        });
    });
}

criterion_group!(spine, training_step, one_chip, population);
criterion_main!(spine);
