//! The hot paths of the spine: a training step, and one chip of a million weights.
#![allow(missing_docs, reason = "a bench is a program of its own")]

use std::hint::black_box;

use burn::optim::GradientsParams;
use burn::tensor::Device;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crossburn::kernels::cross_entropy;
use crossburn::models::{Classifier, LeNet, LeNetConfig, LeNetVariant, initialize};
use crossburn::noise::{ChipSeed, Distribution, Variation};
use crossburn::training::OptimizerConfig;
use crossburn::training::data::digits;

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
        set.inputs(&indices, &device),
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

criterion_group!(spine, training_step, one_chip);
criterion_main!(spine);
