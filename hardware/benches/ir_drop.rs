//! Wire resistance: the effective matrix of one array by each algorithm, on one thread.
//!
//! `cargo bench -p crossburn-hardware -p crossburn --bench ir_drop`
#![allow(clippy::unwrap_used, reason = "a bench that fails may panic")]
#![allow(missing_docs, reason = "criterion makes public functions")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use crossburn_hardware::ir_drop::{NodalSolver, WireNetwork, Wires};
use crossburn_hardware::units::Ohm;
use crossburn_noise::ChipSeed;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn arrays(bench: &mut Criterion) {
    for size in [64, 128, 256] {
        let mut group = bench.benchmark_group(format!("array {size}x{size}"));
        group
            .sample_size(10)
            .warm_up_time(Duration::from_millis(500))
            .measurement_time(Duration::from_secs(2));
        let mut draws = vec![0.0; size * size];
        ChipSeed::new(1, 2)
            .generator("bench")
            .fill_uniform(&mut draws);
        let conductances: Vec<f32> = draws.iter().map(|u| (1.0 + 99.0 * u) as f32).collect();
        let wires = Wires::uniform(Ohm::new(1.0)).unwrap();
        let network = WireNetwork::new(size, size, &wires).unwrap();
        group.bench_function("blocks: effective matrix", |bench| {
            bench.iter(|| network.effective(black_box(&conductances)).unwrap());
        });
        group.bench_function("nodal: symbolic", |bench| {
            bench.iter(|| NodalSolver::new(black_box(&network)).unwrap());
        });
        let solver = NodalSolver::new(&network).unwrap();
        group.bench_function("nodal: numeric", |bench| {
            bench.iter(|| solver.factor(black_box(&conductances)).unwrap());
        });
        let factor = solver.factor(&conductances).unwrap();
        group.bench_function("nodal: effective matrix of a factor", |bench| {
            bench.iter(|| black_box(&factor).effective());
        });
        group.finish();
    }
}

criterion_group!(benches, arrays);
criterion_main!(benches);
