//! The convolutions of the networks, forward and backward, beside Burn's own.
#![allow(missing_docs, reason = "a bench is a program of its own")]

use std::hint::black_box;

use burn::backend::ops::ConvOptions;
use burn::tensor::module::conv2d;
use burn::tensor::{Device, Distribution, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use crossburn_kernels::convolve2d;

/// Name, input, weight, stride, padding.
type Shape = (&'static str, [usize; 4], [usize; 4], [usize; 2], [usize; 2]);

const SHAPES: [Shape; 9] = [
    ("lenet1", [128, 1, 28, 28], [6, 1, 5, 5], [1, 1], [2, 2]),
    ("lenet2", [128, 6, 14, 14], [16, 6, 5, 5], [1, 1], [0, 0]),
    ("vgg1", [64, 3, 32, 32], [32, 3, 3, 3], [1, 1], [1, 1]),
    ("vgg2", [64, 32, 32, 32], [32, 32, 3, 3], [1, 1], [1, 1]),
    ("vgg4", [64, 64, 16, 16], [64, 64, 3, 3], [1, 1], [1, 1]),
    ("vgg6", [64, 128, 8, 8], [128, 128, 3, 3], [1, 1], [1, 1]),
    ("line1", [64, 1, 1, 1250], [16, 1, 1, 7], [1, 2], [0, 3]),
    ("line3", [64, 32, 1, 313], [64, 32, 1, 7], [1, 2], [0, 3]),
    ("line5", [64, 64, 1, 79], [64, 64, 1, 7], [1, 2], [0, 3]),
];

type Convolve = fn(Tensor<4>, Tensor<4>, Option<Tensor<1>>, ConvOptions<2>) -> Tensor<4>;

fn convolutions(c: &mut Criterion) {
    let device = Device::flex();
    let mut group = c.benchmark_group("conv");
    group.sample_size(20);
    for (name, input, weight, stride, padding) in SHAPES {
        let options = || ConvOptions::new(stride, padding, [1, 1], 1);
        let random = |shape| Tensor::<4>::random(shape, Distribution::Default, &device);
        let (input, weight) = (random(input), random(weight));
        let kinds: [(&str, Convolve); 2] = [
            ("ours", convolve2d),
            ("burn", |x, w, b, o| conv2d(x, w, b, o)),
        ];
        for (kind, convolve) in kinds {
            group.bench_function(format!("{name}/forward/{kind}"), |b| {
                b.iter(|| black_box(convolve(input.clone(), weight.clone(), None, options())));
            });
            let input = Tensor::from_inner(input.clone()).require_grad();
            let weight = Tensor::from_inner(weight.clone()).require_grad();
            group.bench_function(format!("{name}/both/{kind}"), |b| {
                b.iter(|| {
                    let output = convolve(input.clone(), weight.clone(), None, options());
                    black_box(output.sum().backward())
                });
            });
        }
    }
}

criterion_group!(benches, convolutions);
criterion_main!(benches);
