//! Attention, functions of every value, softmax and cross-entropy: the kernels beside Burn's own operations on the same
//! backend.
//!
//! `cargo bench -p crossburn-kernels -p crossburn --bench attention`
#![allow(clippy::unwrap_used, reason = "a bench that fails may panic")]
#![allow(missing_docs, reason = "criterion makes public functions")]

use burn::nn::loss::CrossEntropyLossConfig;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Distribution, Int, Tensor, activation};
use criterion::{Criterion, criterion_group, criterion_main};
use crossburn_kernels::{self as kernels, AttentionOptions};

type Function = fn(Tensor<3>) -> Tensor<3>;

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

fn functions(bench: &mut Criterion) {
    let pairs: [(&str, [usize; 3], Function, Function); 5] = [
        ("exp 1M", [1, 1024, 1024], kernels::exp, |x| x.exp()),
        ("relu 64x32x1024", [64, 32, 1024], kernels::relu, |x| {
            activation::relu(x)
        }),
        ("gelu 8x128x1024", [8, 128, 1024], kernels::gelu, |x| {
            activation::gelu(x)
        }),
        ("silu 8x128x1024", [8, 128, 1024], kernels::silu, |x| {
            activation::silu(x)
        }),
        (
            "softmax 32x128x128",
            [32, 128, 128],
            kernels::softmax,
            |x| activation::softmax(x, 2),
        ),
    ];
    let device = Device::flex();
    for (name, shape, ours, burns) in pairs {
        let mut group = bench.benchmark_group(name);
        let input = random(shape, &device);
        for (who, function) in [("ours", ours), ("burn", burns)] {
            group.bench_function(format!("forward/{who}"), |bench| {
                bench.iter(|| function(input.clone()));
            });
            let device = Device::flex().autodiff();
            let (input, gradient) = (random(shape, &device), random(shape, &device));
            group.bench_function(format!("both/{who}"), |bench| {
                bench.iter(|| {
                    let input = input.clone().require_grad();
                    let output = function(input.clone());
                    // A factor with a gradient keeps the output for the way back, as a layer would.
                    let factor = gradient.clone().require_grad();
                    let gradients = (output * factor).sum().backward();
                    input.grad(&gradients).unwrap()
                });
            });
        }
        // What the product, the sum and their gradients cost without the function.
        let device = Device::flex().autodiff();
        let (input, gradient) = (random(shape, &device), random(shape, &device));
        group.bench_function("both/nothing", |bench| {
            bench.iter(|| {
                let input = input.clone().require_grad();
                let factor = gradient.clone().require_grad();
                let gradients = (input.clone() * factor).sum().backward();
                input.grad(&gradients).unwrap()
            });
        });
        group.finish();
    }
}

fn losses(bench: &mut Criterion) {
    let device = Device::flex().autodiff();
    let burns = CrossEntropyLossConfig::new().init(&device);
    for [batch, classes] in [[128, 10], [1024, 512]] {
        let mut group = bench.benchmark_group(format!("cross-entropy {batch}x{classes}"));
        let logits = random([batch, classes], &device);
        let targets: Vec<i64> = (0..batch).map(|row| (row * 7 % classes) as i64).collect();
        let targets = Tensor::<1, Int>::from_ints(targets.as_slice(), &device);
        group.bench_function("both/ours", |bench| {
            bench.iter(|| {
                let logits = logits.clone().require_grad();
                let loss = kernels::cross_entropy(logits.clone(), targets.clone());
                logits.grad(&loss.backward()).unwrap()
            });
        });
        group.bench_function("both/burn", |bench| {
            bench.iter(|| {
                let logits = logits.clone().require_grad();
                let loss = burns.forward(logits.clone(), targets.clone());
                logits.grad(&loss.backward()).unwrap()
            });
        });
        group.finish();
    }
}

fn attentions(bench: &mut Criterion) {
    let attend: fn([Tensor<4>; 3]) -> Tensor<4> = |[query, key, value]| {
        let options = AttentionOptions {
            causal: true,
            ..Default::default()
        };
        kernels::attention(query, key, value, options)
    };
    let burns: fn([Tensor<4>; 3]) -> Tensor<4> = |[query, key, value]| {
        let options = AttentionModuleOptions {
            is_causal: true,
            ..Default::default()
        };
        burn::tensor::module::attention(query, key, value, None, None, options)
    };
    for shape in [[8, 4, 128, 64], [1, 8, 1024, 64]] {
        let mut group = bench.benchmark_group(format!("causal attention {shape:?}"));
        let [batch, heads, length, width] = shape;
        for (who, attend) in [("ours", attend), ("burn", burns)] {
            let device = Device::flex();
            let inputs = [0, 1, 2].map(|_| random([batch, heads, length, width], &device));
            group.bench_function(format!("forward/{who}"), |bench| {
                bench.iter(|| attend(inputs.clone()));
            });
            let device = Device::flex().autodiff();
            let inputs = [0, 1, 2].map(|_| random([batch, heads, length, width], &device));
            group.bench_function(format!("both/{who}"), |bench| {
                bench.iter(|| {
                    let inputs = inputs.clone().map(|input| input.require_grad());
                    let gradients = attend(inputs.clone()).sum().backward();
                    inputs.map(|input| input.grad(&gradients).unwrap())
                });
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_millis(800));
    targets = attentions, functions, losses
}
criterion_main!(benches);
