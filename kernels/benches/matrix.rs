//! Products of matrices beside Burn's, which are those of the `gemm` crate.
//!
//! PyTorch beside it: `torch_reference.py --only ops` has the square ones.
#![allow(missing_docs, reason = "a bench is a program of its own")]

use std::hint::black_box;

use burn::tensor::{Device, Distribution, Tensor};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crossburn_kernels::multiply;

/// The allocator of the command line.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn products(c: &mut Criterion) {
    let device = Device::flex();
    for [rows, inner, columns] in [
        [256, 256, 256],
        [1024, 1024, 1024],
        [2048, 2048, 2048],
        // The first linear layer of LeNet, and one of a GPT of width 256.
        [128, 400, 120],
        [1024, 256, 1024],
    ] {
        let random = |shape| Tensor::<2>::random(shape, Distribution::Default, &device);
        let (left, right) = (random([rows, inner]), random([inner, columns]));
        let mut group = c.benchmark_group(format!("product_{rows}x{inner}x{columns}"));
        group.sample_size(20);
        // Operations per second read as elements per second.
        group.throughput(Throughput::Elements((2 * rows * inner * columns) as u64));
        group.bench_function("kernels", |b| {
            b.iter(|| black_box(multiply(left.clone(), right.clone(), None)));
        });
        group.bench_function("burn", |b| {
            b.iter(|| black_box(left.clone().matmul(right.clone())));
        });
    }
}

criterion_group!(benches, products);
criterion_main!(benches);
