//! A million cells: programmed on every published device, aged and read on those that drift.
#![allow(missing_docs, reason = "a bench is a program of its own")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use crossburn_hardware::device::MemoryDevice;
use crossburn_hardware::units::Second;
use crossburn_noise::{ChipSeed, Philox};

const CELLS: usize = 1 << 20;

fn targets(device: &MemoryDevice) -> Vec<f32> {
    let range = device.range();
    let share = |i: usize| (i % 4001) as f32 / 4000.0;
    (0..CELLS)
        .map(|i| (range.g_min + share(i) * range.span()).min(range.g_max))
        .collect()
}

fn draws() -> Philox {
    ChipSeed::new(1, 1).generator("weight")
}

fn devices(c: &mut Criterion) {
    let day = Second::new(86_400.0);
    let mut group = c.benchmark_group("cells_1m");
    group
        .throughput(Throughput::Elements(CELLS as u64))
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    group.bench_function("normals_alone", |b| {
        let mut out = vec![0.0f32; CELLS];
        b.iter(|| draws().fill_normal(black_box(&mut out)));
    });
    for name in MemoryDevice::preset_names() {
        let Ok(device) = MemoryDevice::preset(name) else {
            continue;
        };
        let targets = targets(&device);
        group.bench_function(format!("program/{name}"), |b| {
            b.iter(|| black_box(device.program(&targets, &draws())));
        });
        if !device.has_drift() {
            continue;
        }
        let cells = device.program(&targets, &draws());
        group.bench_function(format!("age/{name}"), |b| {
            b.iter_batched(
                || cells.clone(),
                |cells| black_box(device.age(cells, &targets, day, &draws())),
                BatchSize::LargeInput,
            );
        });
        group.bench_function(format!("read_sigma/{name}"), |b| {
            b.iter(|| black_box(device.read_sigma(&cells, day)));
        });
    }
    group.finish();
}

criterion_group!(benches, devices);
criterion_main!(benches);
