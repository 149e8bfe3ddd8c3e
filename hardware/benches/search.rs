//! Searches in stored vectors beside the plain product of that size, programming of a store, and a population of chips.
#![allow(missing_docs, reason = "a bench is a program of its own")]
#![allow(clippy::unwrap_used, reason = "a failed step stops the bench")]

use std::hint::black_box;
use std::time::Instant;

use criterion::{Bencher, BenchmarkId, Criterion, criterion_group, criterion_main};
use crossburn_hardware::search::{QuantizedQueries, SearchConfig, VectorStore};
use crossburn_hardware::{MemoryDevice, Scheme};
use crossburn_kernels::matrix::{Matrix, multiply};
use crossburn_noise::ChipSeed;
use rayon::prelude::*;

/// The allocator of the command line.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ENTRIES: usize = 100_000;
const DIMENSION: usize = 64;
const QUERIES: usize = 64;
/// Rows of one product of the plain side.
const ROWS: usize = 2048;

fn numbers(path: &str, count: usize) -> Vec<f32> {
    let mut draws = vec![0.0; count];
    ChipSeed::new(1, 1).generator(path).fill_normal(&mut draws);
    draws
}

/// One cell a number, so that 100,000 vectors of 64 numbers are 6.4 million cells.
fn config() -> SearchConfig {
    let device = "kind = \"additive\"\ng_min = \"1 uS\"\ng_max = \"100 uS\"\nsigma_rel_gmax = 0.02";
    let mut config = SearchConfig::new(MemoryDevice::from_toml(device).unwrap());
    config.hardware.mapping.scheme = Scheme::DigitalOffset;
    config.hardware.mapping.slice_bits = None;
    config
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

fn pools() -> [(usize, rayon::ThreadPool); 2] {
    [1, 2].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        (threads, pool.unwrap())
    })
}

fn searches(c: &mut Criterion) {
    let config = config();
    let vectors = numbers("stored", ENTRIES * DIMENSION);
    let store = VectorStore::of(&vectors, DIMENSION, &config).unwrap();
    let chip = store.program(ChipSeed::new(7, 17)).unwrap();
    let applied = numbers("query", QUERIES * DIMENSION);
    let queries = QuantizedQueries::new(&applied, DIMENSION, &config).unwrap();
    let one = QuantizedQueries::new(&applied[..DIMENSION], DIMENSION, &config).unwrap();
    let plain = |applied: &[f32]| -> f32 {
        let count = applied.len() / DIMENSION;
        let product = |rows: &[f32]| {
            let held = rows.len() / DIMENSION;
            let mut out = vec![0.0; count * held];
            let right = Matrix::new(rows, held, DIMENSION).transposed();
            multiply(
                &mut out,
                Matrix::new(applied, count, DIMENSION),
                right,
                false,
            );
            out[0]
        };
        vectors.par_chunks(ROWS * DIMENSION).map(product).sum()
    };
    let mut group = c.benchmark_group(format!("search_{ENTRIES}x{DIMENSION}"));
    group.sample_size(20);
    for (threads, pool) in pools() {
        let id = |name: &str, queries| {
            BenchmarkId::new(name, format!("{queries} queries, {threads} threads"))
        };
        group.bench_function(id("plain_product", QUERIES), |b| {
            on(&pool, b, || plain(&applied))
        });
        group.bench_function(id("chip", QUERIES), |b| {
            on(&pool, b, || chip.search(&queries, 10))
        });
        group.bench_function(id("integers", QUERIES), |b| {
            on(&pool, b, || store.exact(&queries, 10))
        });
        group.bench_function(id("plain_product", 1), |b| {
            on(&pool, b, || plain(&applied[..DIMENSION]))
        });
        group.bench_function(id("chip", 1), |b| on(&pool, b, || chip.search(&one, 10)));
    }
    group.finish();
}

fn programming(c: &mut Criterion) {
    let config = config();
    let vectors = numbers("stored", ENTRIES * DIMENSION);
    let store = VectorStore::of(&vectors, DIMENSION, &config).unwrap();
    let mut group = c.benchmark_group("program_6400000_cells");
    group.sample_size(10);
    for (threads, pool) in pools() {
        group.bench_function(format!("{threads} threads"), |b| {
            on(&pool, b, || store.program(ChipSeed::new(7, 17)));
        });
    }
    group.finish();
}

fn population(c: &mut Criterion) {
    let config = config();
    let store = VectorStore::of(&numbers("stored", 1000 * DIMENSION), DIMENSION, &config).unwrap();
    let applied = numbers("query", 1000 * DIMENSION);
    let queries = QuantizedQueries::new(&applied, DIMENSION, &config).unwrap();
    let hits = |queries: &QuantizedQueries, chip: u64| {
        let chip = store.program(ChipSeed::new(7, chip)).unwrap();
        chip.search(queries, 5).unwrap()[0][0].entry.get()
    };
    let mut group = c.benchmark_group("population_100x1000x64");
    group.sample_size(10);
    for (threads, pool) in pools() {
        group.bench_function(BenchmarkId::new("shared_queries", threads), |b| {
            on(&pool, b, || {
                (0..100)
                    .into_par_iter()
                    .map(|chip| hits(&queries, chip))
                    .sum::<u64>()
            });
        });
        group.bench_function(BenchmarkId::new("queries_per_chip", threads), |b| {
            on(&pool, b, || {
                let chip = |chip| {
                    let queries = QuantizedQueries::new(&applied, DIMENSION, &config).unwrap();
                    hits(&queries, chip)
                };
                (0..100).into_par_iter().map(chip).sum::<u64>()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, searches, programming, population);
criterion_main!(benches);
