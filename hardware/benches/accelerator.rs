//! A network of the size of the public baseline for arrhythmia detection, in integers: 1250 samples, five convolutions of 3
//! to 20 channels and two dense layers, 2:4 sparse weights. Beside it the same layers in 32-bit floats. All on one thread.
#![allow(missing_docs, reason = "a bench is a program of its own")]
#![allow(clippy::unwrap_used, reason = "a failed step stops the bench")]

use std::hint::black_box;

use burn::nn::conv::{Conv1d, Conv1dConfig};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crossburn_hardware::accelerator::{
    AcceleratorConfig, Execution, FastNetwork, IntegerLayer, IntegerNetwork, LayerOutput, Rescale,
    SignalFormat, Simulator, Sparsity,
};
use crossburn_kernels::{conv1d_relu, linear, relu};
use crossburn_noise::ChipSeed;

/// The allocator of the command line.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LENGTH: usize = 1250;

/// Signals of a batch.
const BATCH: usize = 64;

/// `[outputs, inputs, kernel]` and stride; the last two are dense layers.
const LAYERS: [([usize; 3], usize); 7] = [
    ([3, 1, 6], 2),
    ([5, 3, 5], 2),
    ([10, 5, 4], 2),
    ([20, 10, 4], 2),
    ([20, 20, 4], 2),
    ([10, 20, 37], 1),
    ([2, 10, 1], 1),
];

const SPARSITY: Sparsity = Sparsity::Balanced { kept: 2, group: 4 };

fn draws(name: &str, count: usize) -> Vec<f64> {
    let mut draws = vec![0.0; count];
    ChipSeed::new(1, 1).generator(name).fill_uniform(&mut draws);
    draws
}

/// Weights of 4 bits, of which the first two of every four are kept.
fn network() -> IntegerNetwork {
    let layers = LAYERS.iter().enumerate().map(|(number, (shape, stride))| {
        let [outputs, inputs, kernel] = *shape;
        let mut kept = vec![false; outputs * inputs * kernel];
        kept.chunks_mut(inputs * kernel)
            .for_each(|row| SPARSITY.complete(row));
        let weights = draws(&format!("layer{number}"), kept.len());
        let weights = weights.iter().zip(&kept);
        IntegerLayer {
            name: format!("layer{number}"),
            shape: *shape,
            weight_bits: 4,
            weights: weights
                .map(|(u, kept)| if *kept { (15.0 * u) as i8 - 7 } else { 0 })
                .collect(),
            sparsity: SPARSITY,
            kept,
            bias: vec![100; outputs],
            stride: *stride,
            padding: [0, 0],
            output: match number + 1 == LAYERS.len() {
                true => LayerOutput::Results {
                    scale: vec![1.0; outputs],
                },
                false => LayerOutput::Activations {
                    bits: 8,
                    exponent: 0,
                    rescale: vec![Rescale::nearest(0.1).unwrap(); outputs],
                    pool: None,
                },
            },
        }
    });
    let signal = SignalFormat {
        channels: 1,
        length: LENGTH,
        exponent: 0,
    };
    IntegerNetwork::new(signal, layers.collect()).unwrap()
}

/// The same layers in 32-bit floats.
struct Floats {
    convolutions: Vec<Conv1d>,
    dense: [Linear; 2],
}

impl Floats {
    fn new(device: &Device) -> Self {
        let convolutions = LAYERS[..5]
            .iter()
            .map(|([outputs, inputs, kernel], stride)| {
                Conv1dConfig::new(*inputs, *outputs, *kernel)
                    .with_stride(*stride)
                    .init(device)
            });
        Self {
            convolutions: convolutions.collect(),
            dense: [
                LinearConfig::new(740, 10).init(device),
                LinearConfig::new(10, 2).init(device),
            ],
        }
    }

    fn forward(&self, signals: Tensor<3>) -> Tensor<2> {
        let codes = self
            .convolutions
            .iter()
            .fold(signals, |x, layer| conv1d_relu(layer, x));
        linear(
            &self.dense[1],
            relu(linear(&self.dense[0], codes.flatten(1, 2))),
        )
    }
}

fn segments(c: &mut Criterion) {
    let network = network();
    let signal: Vec<i8> = draws("signal", LENGTH)
        .iter()
        .map(|u| (255.0 * u - 128.0) as i8)
        .collect();
    let mut group = c.benchmark_group("segment");
    group.throughput(Throughput::Elements(1));
    group.bench_function("definition", |b| {
        b.iter(|| black_box(network.evaluate(&signal).unwrap()))
    });
    let fast = FastNetwork::new(&network);
    group.bench_function("fast", |b| {
        b.iter(|| black_box(fast.evaluate(&signal).unwrap()))
    });
    let config = AcceleratorConfig::preset("sparse-40nm").unwrap();
    for execution in [Execution::Sparse, Execution::Dense] {
        let simulator = Simulator::new(&network, &config, execution).unwrap();
        let name = format!("simulator {execution:?}");
        group.bench_function(name, |b| {
            b.iter(|| black_box(simulator.evaluate(&signal).unwrap()))
        });
    }

    let device = Device::flex();
    let floats = Floats::new(&device);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    for batch in [1, BATCH] {
        group.throughput(Throughput::Elements(batch as u64));
        let signals = Tensor::<3>::ones([batch, 1, LENGTH], &device);
        group.bench_function(format!("floats, batches of {batch}"), |b| {
            b.iter(|| pool.install(|| black_box(floats.forward(signals.clone()).into_data())));
        });
    }
    group.finish();

    c.bench_function("simulator, prepared", |b| {
        b.iter(|| black_box(Simulator::new(&network, &config, Execution::Sparse).unwrap()));
    });
}

criterion_group!(benches, segments);
criterion_main!(benches);
