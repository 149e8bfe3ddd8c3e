//! Many chips of one network: LeNet and the papers' ConvNet.
//!
//! `benches/README.md` has the PyTorch side, which runs the same loop. Criterion's elements are chip-images, each a pass of
//! one image through one chip; the making of the chips is included, and stands alone in the last row.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a bench is a program of its own and may stop on an error"
)]

use std::hint::black_box;
use std::sync::atomic::AtomicBool;

use burn::tensor::Device;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crossburn::hardware::manufacture;
use crossburn::models::{Classifier, ConvNetConfig, LeNetConfig, LeNetVariant, initialize};
use crossburn::noise::{ChipSeed, Distribution, Variation};
use crossburn::training::data::{Normalization, Samples, Values, digits};
use crossburn::training::{Batches, Classification, Evaluation};

/// The allocator of the command line.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Images of the colours and size that ConvNet takes; what is on them does not matter here.
fn colour(images: usize) -> Samples {
    let grey = digits(1, 0, images);
    let Values::Bytes(bytes) = &grey.values else {
        unreachable!("digits are bytes")
    };
    let size = 28 * 28;
    let pixels = (0..images * 3 * 32 * 32).map(|i| bytes[i % (images * size)]);
    Samples {
        values: Values::Bytes(pixels.collect()),
        shape: [3, 32, 32],
        normalization: Normalization {
            mean: vec![0.5; 3],
            std: vec![0.25; 3],
        },
        ..grey
    }
}

fn rows<C: Classifier>(c: &mut Criterion, name: &str, network: &C, images: &Samples, chips: u64) {
    let device = Device::flex();
    let evaluation = Evaluation::new(
        network,
        None,
        Batches::new(&Classification::new(images.clone()), 128, &device).unwrap(),
    );
    let variation = Variation::from(Distribution::gaussian(0.1));
    let stop = AtomicBool::new(false);
    let mut group = c.benchmark_group("population");
    group.sample_size(10);
    group.throughput(Throughput::Elements(chips * images.len() as u64));
    group.bench_function(name, |b| {
        b.iter(|| {
            evaluation
                .population(
                    &evaluation.varied(&variation),
                    1,
                    0..chips,
                    |_, _| {},
                    &stop,
                )
                .unwrap()
        });
    });
    group.bench_function(format!("{name}_chips_alone"), |b| {
        let chip = |index| manufacture(network, None, &variation, ChipSeed::new(1, index));
        b.iter(|| (0..chips).for_each(|index| drop(black_box(chip(index)))));
    });
}

fn population(c: &mut Criterion) {
    let device = Device::flex();
    // The network of the PyTorch side: 5×5 kernels, full precision, 61,706 parameters.
    let lenet = LeNetConfig {
        variant: LeNetVariant::Classic,
        bits: None,
    };
    let lenet = initialize(lenet.init(&device), 1);
    rows(
        c,
        "lenet_100_chips_x_1000_images",
        &lenet,
        &digits(1, 0, 1000),
        100,
    );
    let convnet = ConvNetConfig {
        width: 64,
        bits: None,
    };
    let convnet = initialize(convnet.init(&device), 1);
    rows(c, "convnet_2_chips_x_512_images", &convnet, &colour(512), 2);
}

criterion_group!(benches, population);
criterion_main!(benches);
