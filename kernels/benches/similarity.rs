//! Structural similarity: the map of one slice of a brain, and a step of the loss on a batch, beside a step of the absolute difference.
#![allow(missing_docs, reason = "a bench is a program of its own")]

use std::hint::black_box;

use burn::tensor::{Device, Distribution, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use crossburn_kernels::structural_dissimilarity;

fn similarity(c: &mut Criterion) {
    let plain = Device::flex();
    let tape = Device::flex().autodiff();
    let images = |shape: [usize; 4], device: &Device| {
        Tensor::<4>::random(shape, Distribution::Uniform(0.0, 1.0), device)
    };
    let slice = [1, 1, 192, 192];
    let (x, y) = (images(slice, &plain), images(slice, &plain));
    c.bench_function("map 192x192", |b| {
        b.iter(|| black_box(structural_dissimilarity(x.clone(), y.clone())));
    });
    let batch = [16, 1, 64, 64];
    let x = images(batch, &tape);
    let y = images(batch, &tape).require_grad();
    c.bench_function("step 16x64x64/structural", |b| {
        b.iter(|| {
            black_box(
                structural_dissimilarity(x.clone(), y.clone())
                    .mean()
                    .backward(),
            )
        });
    });
    c.bench_function("step 16x64x64/absolute", |b| {
        b.iter(|| black_box((x.clone() - y.clone()).abs().mean().backward()));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30);
    targets = similarity
}
criterion_main!(benches);
