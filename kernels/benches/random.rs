//! A million normal draws, beside Burn's.
//!
//! PyTorch beside it: `torch.randn(1_000_000, out=out)`, which runs on one thread.
#![allow(missing_docs, reason = "a bench is a program of its own")]

use std::hint::black_box;

use burn::tensor::{Device, Distribution, Tensor};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crossburn_kernels::{Philox, normal_quantiles};

const DRAWS: usize = 1_000_000;

fn normals(c: &mut Criterion) {
    let mut group = c.benchmark_group("normals_1m");
    group.throughput(Throughput::Elements(DRAWS as u64));
    let mut out = vec![0.0f32; DRAWS];
    group.bench_function("ours", |b| {
        b.iter(|| Philox::new(1, 1).fill_normal(black_box(&mut out)));
    });
    group.bench_function("ours_1_thread", |b| {
        b.iter(|| {
            // Pieces this small are not shared out.
            for piece in out.chunks_mut(1 << 14) {
                Philox::new(1, 1).fill_normal(black_box(piece));
            }
        });
    });
    let device = Device::flex();
    group.bench_function("burn", |b| {
        b.iter(|| {
            let normal = Distribution::Normal(0.0, 1.0);
            black_box(Tensor::<1>::random([DRAWS], normal, &device))
        });
    });
    group.finish();
}

fn parts(c: &mut Criterion) {
    let mut group = c.benchmark_group("parts_16k_1_thread");
    let mut draws = vec![0.0f64; 1 << 14];
    group.throughput(Throughput::Elements(draws.len() as u64));
    group.bench_function("uniforms", |b| {
        b.iter(|| Philox::new(1, 1).fill_uniform(black_box(&mut draws)));
    });
    group.bench_function("uniforms_and_quantiles", |b| {
        b.iter(|| {
            Philox::new(1, 1).fill_uniform(&mut draws);
            normal_quantiles(black_box(&mut draws));
        });
    });
    group.finish();
}

criterion_group!(benches, normals, parts);
criterion_main!(benches);
