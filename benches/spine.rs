//! The hot paths of the spine: a training step, one chip of a million weights, and half an hour of a signal.
#![allow(missing_docs, reason = "a bench is a program of its own")]
#![allow(clippy::unwrap_used, reason = "a failed step stops the bench")]

use std::hint::black_box;

use burn::optim::GradientsParams;
use burn::tensor::Device;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crossburn::kernels::cross_entropy;
use crossburn::models::{Classifier, LeNet, LeNetConfig, LeNetVariant, initialize};
use crossburn::noise::{ChipSeed, Distribution, Variation};
use crossburn::training::OptimizerConfig;
use crossburn::training::data::{DataSource, digits};

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

/// A record of half an hour, two signals of 16 bits at 250 Hz, is read, filtered and cut into segments.
fn half_hour_record(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let samples = 250 * 1800;
    let signal = (0..samples).map(|sample| if sample % 200 < 8 { 900i16 } else { 100 });
    let bytes: Vec<u8> = signal
        .flat_map(|value| [value, value / 2])
        .flat_map(i16::to_le_bytes)
        .collect();
    std::fs::write(folder.path().join("x.dat"), bytes).unwrap();
    let header = format!("x 2 250 {samples}\nx.dat 16 200/mV\nx.dat 16 200/mV");
    std::fs::write(folder.path().join("x.hea"), header).unwrap();
    // The mark of a sinus rhythm at sample 0: code 28, then a note (63) of two letters.
    let marks = [28u16 << 10, (63 << 10) | 2].map(u16::to_le_bytes);
    let annotations = [marks.as_flattened(), b"(N", &[0, 0]].concat();
    std::fs::write(folder.path().join("x.atr"), annotations).unwrap();
    let source = format!("wfdb:{}?only=test", folder.path().display());
    let source: DataSource = source.parse().unwrap();
    let read = || source.load(1, None, None).unwrap().test;
    assert_eq!(read().len(), samples / 1250);
    c.bench_function("record_half_hour", |b| b.iter(|| black_box(read())));
}

criterion_group!(spine, training_step, one_chip, half_hour_record);
criterion_main!(spine);
