//! Normalisations and pools beside Burn's own, forward and with the gradients.
//!
//! Each forward runs without a tape; each step runs on the tape, its loss the sum of the output, whose gradient costs both
//! sides the same.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a bench is a program of its own and may stop on an error"
)]

use std::hint::black_box;

use burn::module::Module;
use burn::nn::pool::{AvgPool2dConfig, MaxPool2dConfig};
use burn::nn::{BatchNormConfig, GroupNormConfig, LayerNormConfig, PaddingConfig2d, RmsNormConfig};
use burn::tensor::{Device, Distribution, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use crossburn_kernels::{avg_pool2d, batch_norm, group_norm, layer_norm, max_pool2d, rms_norm};

/// A name and a forward pass.
type Side<L, const D: usize> = (&'static str, fn(&L, Tensor<D>) -> Tensor<D>);

/// A row each for ours and Burn's, forward and step.
fn compare<const D: usize, L>(
    c: &mut Criterion,
    name: &str,
    shape: [usize; D],
    layer: impl Fn(&Device) -> L,
    sides: [Side<L, D>; 2],
) {
    let mut group = c.benchmark_group(name);
    let plain = Device::flex();
    let tape = Device::flex().autodiff();
    for (side, forward) in sides {
        let input = Tensor::<D>::random(shape, Distribution::Default, &plain);
        let on_device = layer(&plain);
        group.bench_function(format!("forward/{side}"), |b| {
            b.iter(|| black_box(forward(&on_device, input.clone())));
        });
        let input = Tensor::<D>::random(shape, Distribution::Default, &tape).require_grad();
        let on_tape = layer(&tape);
        group.bench_function(format!("step/{side}"), |b| {
            b.iter(|| black_box(forward(&on_tape, input.clone()).sum().backward()));
        });
    }
    group.finish();
}

fn norms(c: &mut Criterion) {
    for (name, shape) in [
        ("batch_norm 64x32x32x32", [64, 32, 32, 32]),
        ("batch_norm 64x128x4x4", [64, 128, 4, 4]),
        ("batch_norm 128x6x14x14", [128, 6, 14, 14]),
    ] {
        compare(
            c,
            name,
            shape,
            |device| BatchNormConfig::new(shape[1]).init(device),
            [("ours", batch_norm), ("burn", |l, x| l.forward(x))],
        );
    }
    compare(
        c,
        "batch_norm fixed 64x32x32x32",
        [64, 32, 32, 32],
        |device| BatchNormConfig::new(32).init(device).freeze(),
        [("ours", batch_norm), ("burn", |l, x| l.forward(x))],
    );
    compare(
        c,
        "batch_norm 512x512",
        [512, 512],
        |device| BatchNormConfig::new(512).init(device),
        [("ours", batch_norm), ("burn", |l, x| l.forward(x))],
    );
    for shape in [[16, 8, 64, 64], [16, 16, 32, 32], [64, 64, 16, 16]] {
        compare(
            c,
            &format!("group_norm {shape:?}"),
            shape,
            |device| GroupNormConfig::new(8, shape[1]).init(device),
            [("ours", group_norm), ("burn", |l, x| l.forward(x))],
        );
    }
    for (rows, width) in [(1024, 256), (4096, 768)] {
        compare(
            c,
            &format!("layer_norm {rows}x{width}"),
            [rows, width],
            |device| LayerNormConfig::new(width).init(device),
            [("ours", layer_norm), ("burn", |l, x| l.forward(x))],
        );
        compare(
            c,
            &format!("rms_norm {rows}x{width}"),
            [rows, width],
            |device| RmsNormConfig::new(width).init(device),
            [("ours", rms_norm), ("burn", |l, x| l.forward(x))],
        );
    }
}

fn pools(c: &mut Criterion) {
    for (name, kernel, padding) in [
        ("2x2", [2, 2], PaddingConfig2d::Valid),
        (
            "3x3 stride 2",
            [3, 3],
            PaddingConfig2d::Explicit(1, 1, 1, 1),
        ),
    ] {
        let shape = [64, 32, 32, 32];
        compare(
            c,
            &format!("max_pool {name} 64x32x32x32"),
            shape,
            |_| {
                MaxPool2dConfig::new(kernel)
                    .with_strides([2, 2])
                    .with_padding(padding.clone())
                    .init()
            },
            [("ours", max_pool2d), ("burn", |l, x| l.forward(x))],
        );
        compare(
            c,
            &format!("avg_pool {name} 64x32x32x32"),
            shape,
            |_| {
                AvgPool2dConfig::new(kernel)
                    .with_strides([2, 2])
                    .with_padding(padding.clone())
                    .init()
            },
            [("ours", avg_pool2d), ("burn", |l, x| l.forward(x))],
        );
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = norms, pools
}
criterion_main!(benches);
