//! One optimizer step on a parameter, beside Burn's.
//!
//! PyTorch beside it: `torch.optim.Adam(.., fused=True)` and the other two of that name, on a parameter of as many values.
#![allow(missing_docs, reason = "a bench is a program of its own")]

use std::hint::black_box;

use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamConfig, AdamWConfig, Optimizer, SgdConfig};
use burn::tensor::{Device, Distribution, Tensor};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crossburn_kernels::{Adam, AdamW, Sgd};

fn steps<O: Optimizer>(c: &mut Criterion, name: &str, optimizer: &O) {
    let device = Device::flex();
    let mut group = c.benchmark_group("optimizer_step");
    for count in [10_000, 1_000_000, 10_000_000] {
        group.throughput(Throughput::Elements(count as u64));
        let normal = || Tensor::<1>::random([count], Distribution::Normal(0.0, 1.0), &device);
        let (parameter, gradient) = (normal(), normal());
        let mut held = Some(optimizer.step(1e-3, parameter, gradient.clone(), None));
        group.bench_function(format!("{name}/{count}"), |b| {
            b.iter(|| {
                let (parameter, state) = held.take().expect("the step before");
                held = Some(optimizer.step(1e-3, parameter, black_box(gradient.clone()), state));
            });
        });
    }
    group.finish();
}

fn all(c: &mut Criterion) {
    steps(c, "adam/ours", &Adam::new());
    steps(
        c,
        "adam/burn",
        &AdamConfig::new().with_epsilon(1e-8).build(),
    );
    steps(c, "adamw/ours", &AdamW::new());
    steps(
        c,
        "adamw/burn",
        &AdamWConfig::new().with_epsilon(1e-8).build(),
    );
    steps(c, "sgd/ours", &Sgd::new().with_momentum(0.9));
    let momentum = MomentumConfig {
        momentum: 0.9,
        dampening: 0.0,
        nesterov: false,
    };
    let burn = SgdConfig::new().with_momentum(Some(momentum)).build();
    steps(c, "sgd/burn", &burn);
}

criterion_group!(benches, all);
criterion_main!(benches);
