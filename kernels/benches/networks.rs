//! Forward pass and training step of four networks, on the kernels and on plain Burn, beside one large product.
//!
//! `benches/README.md` has the commands for this and for PyTorch. Criterion's elements per second are operations per
//! second of the products alone, two per multiply-accumulate, and a step counts as three passes: beside those of the large
//! product they say how far a network is from the machine.
#![allow(missing_docs, reason = "a bench is a program of its own")]

mod reference_networks;

use std::hint::black_box;

use burn::tensor::{Device, Distribution, Tensor};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crossburn_kernels::multiply;
use reference_networks::{By, Gpt, LeNet, Lines, Network, Training, Vgg};

/// The allocator of the command line.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `macs`: multiply-accumulates of one forward pass of the whole batch, of layers and attention alone.
fn rows<N: Network>(c: &mut Criterion, macs: u64) {
    let mut group = c.benchmark_group(N::NAME);
    group.sample_size(20);
    for by in [By::Kernels, By::Burn] {
        let kind = format!("{by:?}").to_lowercase();
        let device = Device::flex();
        let network = N::new(&device);
        let x = N::input(&device);
        group.throughput(Throughput::Elements(2 * macs));
        group.bench_function(format!("forward/{kind}"), |b| {
            b.iter(|| black_box(network.forward(by, x.clone())));
        });
        let mut training = Training::<N>::new(by);
        group.throughput(Throughput::Elements(6 * macs));
        group.bench_function(format!("step/{kind}"), |b| b.iter(|| training.step()));
    }
}

fn networks(c: &mut Criterion) {
    let random = || Tensor::<2>::random([1024, 1024], Distribution::Default, &Device::flex());
    let (left, right) = (random(), random());
    let mut group = c.benchmark_group("floor");
    group.sample_size(20);
    group.throughput(Throughput::Elements(2 * 1024 * 1024 * 1024));
    group.bench_function("product_1024", |b| {
        b.iter(|| black_box(multiply(left.clone(), right.clone(), None)));
    });
    group.finish();
    rows::<LeNet>(
        c,
        128 * (28 * 28 * 6 * 25 + 10 * 10 * 16 * 150 + 400 * 120 + 120 * 84 + 84 * 10),
    );
    rows::<Vgg>(
        c,
        64 * (9 * (1024 * (3 + 32) * 32 + 256 * (32 + 64) * 64 + 64 * (64 + 128) * 128)
            + 2048 * 10),
    );
    rows::<Lines>(
        c,
        64 * (7 * (625 * 16 + 313 * 16 * 32 + 157 * 32 * 64 + (79 + 40) * 64 * 64) + 64 * 5),
    );
    // A position sees 64.5 others on average.
    rows::<Gpt>(
        c,
        1024 * (4 * (12 * 256 * 256) + 512 * 256) + 4 * 1024 * 129 * 256,
    );
}

criterion_group!(benches, networks);
criterion_main!(benches);
