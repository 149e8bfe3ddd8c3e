//! Images per second of LeNet on arrays, and the time of making one chip, on one thread and on two.
//!
//! `cargo bench -p crossburn-hardware -p crossburn --bench deploy`
//!
//! The reference is CrossSim on one core. Layers are those of the papers' LeNet (3×3 kernels, 784-120-84-10), batches have
//! 128 images, arrays 128×128 cells.
#![allow(missing_docs, reason = "a bench is a program of its own")]
#![allow(clippy::unwrap_used, reason = "a failed step stops the bench")]
#![allow(clippy::print_stdout, reason = "its result is a table")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor, TensorData};
use crossburn_hardware::deploy::{Fab, Fidelity, Hardware, MappedNetwork};
use crossburn_hardware::layer::{conv2d, linear};
use crossburn_kernels::{max_pool2d, relu};
use crossburn_noise::ChipSeed;

/// The allocator of the command line.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 128;

#[derive(Module, Debug)]
struct LeNet {
    conv1: Conv2d,
    conv2: Conv2d,
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
    pool: MaxPool2d,
}

impl LeNet {
    fn new(device: &Device) -> Self {
        let convolution = |from, to| {
            Conv2dConfig::new([from, to], [3, 3])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(device)
        };
        Self {
            conv1: convolution(1, 6),
            conv2: convolution(6, 16),
            fc1: LinearConfig::new(784, 120).init(device),
            fc2: LinearConfig::new(120, 84).init(device),
            fc3: LinearConfig::new(84, 10).init(device),
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
        }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = relu(max_pool2d(&self.pool, conv2d(&self.conv1, images)));
        let x = relu(max_pool2d(&self.pool, conv2d(&self.conv2, x)));
        let x = relu(linear(&self.fc1, x.flatten::<2>(1, 3)));
        let x = relu(linear(&self.fc2, x));
        linear(&self.fc3, x)
    }
}

/// What is measured: name, images per second of the reference, hardware.
const CASES: [(&str, Option<f64>, &str); 4] = [
    (
        "8-bit pair, ADC",
        Some(3000.0),
        r#"
        device = { kind = "ideal", g_min = "1 uS", g_max = "100 uS" }
        mapping = { weight_bits = 8 }
        array = { rows = 128, columns = 128, input = { bits = 8 }, adc = { bits = 8, range = { calibrated = { percentile = 99.9 } } } }
        "#,
    ),
    (
        "bit-serial, ADC per bit",
        Some(47.0),
        r#"
        device = { kind = "ideal", g_min = "1 uS", g_max = "100 uS" }
        mapping = { weight_bits = 8 }
        array = { rows = 128, columns = 128, input = { bits = 8, slice_bits = 1 }, adc = { bits = 8, range = { calibrated = { percentile = 99.9 } } } }
        "#,
    ),
    (
        "pair, ADC, 1 Ohm wires",
        Some(0.12),
        r#"
        device = { kind = "ideal", g_min = "1 uS", g_max = "100 uS" }
        mapping = { weight_bits = 8 }
        array = { rows = 128, columns = 128, input = { bits = 8 }, adc = { bits = 8, range = { calibrated = { percentile = 99.9 } } } }
        wires = { input_segment = "1 Ohm", output_segment = "1 Ohm" }
        "#,
    ),
    (
        "pair, ADC, read noise",
        None,
        r#"
        device = { preset = "pcm-mushroom" }
        mapping = { weight_bits = 8 }
        array = { rows = 128, columns = 128, input = { bits = 8 }, adc = { bits = 8, range = { calibrated = { percentile = 99.9 } } } }
        operation = { after = "1 d" }
        "#,
    ),
];

/// Median time of `work`, of at least five runs and half a second.
fn median<R>(mut work: impl FnMut() -> R) -> Duration {
    black_box(work());
    let (start, mut times) = (Instant::now(), Vec::new());
    while times.len() < 5 || start.elapsed() < Duration::from_millis(500) {
        let start = Instant::now();
        black_box(work());
        times.push(start.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2]
}

fn main() {
    let device = Device::flex();
    let network = LeNet::new(&device);
    let mut draws = vec![0.0f64; BATCH * 784];
    ChipSeed::new(1, 1)
        .generator("images")
        .fill_uniform(&mut draws);
    // Half of the pixels are background, as in digits.
    let pixels: Vec<f32> = draws
        .iter()
        .map(|u| (2.0 * u - 1.0).max(0.0) as f32)
        .collect();
    let images = Tensor::<4>::from_data(TensorData::new(pixels, [BATCH, 1, 28, 28]), &device);
    println!(
        "{:<24} {:>7} {:>12} {:>12} {:>12}",
        "LeNet, batches of 128", "threads", "chip", "images/s", "CrossSim"
    );
    for (name, reference, text) in CASES {
        let hardware = Hardware::from_toml(text).unwrap();
        let run = |network: &LeNet| {
            network.forward(images.clone());
        };
        let mapped = MappedNetwork::new(&network, &hardware, BATCH, run)
            .and_then(|mapped| mapped.calibrated(run))
            .unwrap();
        let fab = mapped.fab(Fidelity::Array).unwrap();
        for threads in [1, 2] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let (making, passing) = pool.install(|| {
                let making = median(|| fab.chip(ChipSeed::new(7, 17)).unwrap());
                let chip = fab.chip(ChipSeed::new(7, 17)).unwrap();
                let passing = median(|| {
                    let logits = chip.forward(images.clone());
                    logits.into_data().try_to_vec::<f32>().unwrap()
                });
                (making, passing)
            });
            println!(
                "{name:<24} {threads:>7} {:>9.2} ms {:>12.0} {:>12}",
                1e3 * making.as_secs_f64(),
                BATCH as f64 / passing.as_secs_f64(),
                reference.map_or("-".to_string(), |figure| figure.to_string()),
            );
        }
    }
}
