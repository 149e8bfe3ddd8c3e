//! Products with arrays beside the product of matrices that they contain, on one thread and on two.
//!
//! The reference of the comments is a plain implementation: one product per bit, one pass per conversion.
#![allow(missing_docs, reason = "a bench is a program of its own")]
#![allow(clippy::unwrap_used, reason = "a failed step stops the bench")]

use std::hint::black_box;
use std::time::Instant;

use criterion::{Bencher, BenchmarkId, Criterion, criterion_group, criterion_main};
use crossburn_hardware::units::Siemens;
use crossburn_hardware::{
    Adc, AdcRange, ArrayConfig, ConductanceRange, Dac, Effects, Mapping, ProgrammedMatrix, Scheme,
    WeightBits, WeightMatrix,
};
use crossburn_kernels::matrix::{Matrix, multiply};
use crossburn_noise::ChipSeed;

/// The allocator of the command line.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 128;

fn numbers(path: &str, count: usize) -> Vec<f32> {
    let mut draws = vec![0.0f64; count];
    ChipSeed::new(1, 1).generator(path).fill_uniform(&mut draws);
    draws.into_iter().map(|u| 2.0 * u as f32 - 1.0).collect()
}

/// Times `work` on the threads of `pool`, without the way there.
fn on<R>(pool: &rayon::ThreadPool, bencher: &mut Bencher<'_>, work: impl Fn() -> R + Sync) {
    bencher.iter_custom(|count| {
        pool.install(|| {
            let start = Instant::now();
            for _ in 0..count {
                black_box(work());
            }
            start.elapsed()
        })
    });
}

fn products(c: &mut Criterion) {
    let range = ConductanceRange::new(Siemens::new(1e-6), Siemens::new(1e-4)).unwrap();
    for size in [256, 1024] {
        let weights = WeightMatrix::new(size, size, numbers("w", size * size)).unwrap();
        let x = numbers("x", BATCH * size);
        let pair = Mapping::new(Scheme::OneSidedPair, WeightBits::new(8).unwrap());
        let adc = Adc::new(8).with_range(AdcRange::Fixed { lo: -8.0, hi: 8.0 });
        let made = |mapping: &Mapping, slice_bits| {
            let mapped = mapping.map(&weights, range).unwrap();
            let input = Dac {
                slice_bits,
                ..Dac::new(8)
            };
            let config = ArrayConfig::new(size, size, input).with_adc(adc);
            let targets = mapped.targets();
            ProgrammedMatrix::new(&mapped, targets, range, &config, &Effects::default()).unwrap()
        };
        let whole = made(&pair, None);
        let bits = made(&pair, Some(1));
        let slices = made(&pair.clone().with_slice_bits(2), Some(1));
        let mut group = c.benchmark_group(format!("array_{size}x{size}x{BATCH}"));
        group.sample_size(20);
        group.bench_function("floor", |b| {
            let mut out = vec![0.0; BATCH * size];
            b.iter(|| {
                let left = Matrix::new(&x, BATCH, size);
                let right = Matrix::new(&weights.values, size, size);
                multiply(&mut out, left, right.transposed(), false);
                black_box(&out);
            });
        });
        for threads in [1, 2] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let id = |name| BenchmarkId::new(name, format!("{threads} threads"));
            // The reference takes 23 ms (256) and 115 ms (1024) bit by bit, 33 and 216 ms with four slices.
            for (name, matrix) in [
                ("pair_adc8", &whole),
                ("bit_serial_per_bit", &bits),
                ("slices_4x2_bit_serial", &slices),
            ] {
                group.bench_function(id(name), |b| {
                    on(&pool, b, || matrix.multiply(&x, None));
                });
            }
            // The reference takes 125 ms (1024).
            let config = ArrayConfig::new(128, 128, Dac::new(8)).with_adc(adc);
            group.bench_function(id("map_and_tile_128"), |b| {
                on(&pool, b, || {
                    let mapped = pair.map(&weights, range).unwrap();
                    let targets = mapped.targets();
                    ProgrammedMatrix::new(&mapped, targets, range, &config, &Effects::default())
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, products);
criterion_main!(benches);
