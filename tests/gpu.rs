//! The GPU path against the CPU: one training step and a small population through wgpu.
//!
//! Runs with `--features wgpu`; a machine without any Vulkan, Metal or DirectX driver skips it with a message, unless
//! `CROSSBURN_REQUIRE_GPU` is set.
#![cfg(feature = "wgpu")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::sync::atomic::AtomicBool;

use burn::module::Module;
use burn::nn::conv::{ConvTranspose2d, ConvTranspose2dConfig};
use burn::optim::GradientsParams;
use burn::tensor::{Device, DeviceType, Tensor, TensorData};
use crossburn::hardware::deploy::{Fab, Fidelity, Hardware, MappedNetwork};
use crossburn::hardware::layer::conv_transpose2d;
use crossburn::hardware::{Quantization, WeightBits, vary_weights};
use crossburn::models::{Classifier, LeNet, LeNetConfig, initialize};
use crossburn::noise::{ChipSeed, Distribution, Variation};
use crossburn::training::data::{Samples, digits};
use crossburn::training::{Batches, Classification, Evaluation, OptimizerConfig};

fn gpu() -> Option<Device> {
    let found = Device::enumerate(DeviceType::Wgpu)
        .into_vec()
        .into_iter()
        .next();
    if found.is_none() {
        assert!(
            std::env::var_os("CROSSBURN_REQUIRE_GPU").is_none(),
            "no wgpu device"
        );
        eprintln!("skipped: no wgpu device");
    }
    found
}

fn four_bits() -> Option<Quantization> {
    Some(WeightBits::new(4).unwrap().into())
}

fn lenet(device: &Device) -> LeNet {
    initialize(LeNetConfig::default().init(device), 5)
}

/// Loss and the weights of every layer after one noisy Adam step, and the chip's effective weights.
fn step(device: &Device, images: &Samples) -> (f32, Vec<Vec<f32>>) {
    let device = device.clone().autodiff();
    let clean = lenet(&device);
    let variation = Variation::from(Distribution::gaussian(0.1));
    let varied = vary_weights(clean.clone(), four_bits(), &variation, ChipSeed::new(1, 2)).unwrap();
    let indices: Vec<usize> = (0..images.len()).collect();
    let logits = varied.forward(images.inputs(&indices, &device));
    let targets = images.targets(&indices, &device);
    let loss = burn::nn::loss::CrossEntropyLossConfig::new()
        .init(&device)
        .forward(logits, targets);
    let value = loss.clone().into_scalar::<f32>();
    let gradients = GradientsParams::from_grads(loss.backward(), &clean);
    let mut optimizer = OptimizerConfig::default().init();
    let stepped = optimizer.step(1e-3, clean, gradients);
    (value, weights(&stepped))
}

fn weights<M: Module>(module: &M) -> Vec<Vec<f32>> {
    struct Collect(Vec<Vec<f32>>);
    impl burn::module::ModuleVisitor for Collect {
        fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
            self.0.push(param.val().into_data().try_to_vec().unwrap());
        }
    }
    let mut collect = Collect(Vec::new());
    module.visit(&mut collect);
    collect.0
}

#[test]
fn a_training_step_agrees_with_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let images = digits(3, 0, 32);
    let (cpu_loss, cpu) = step(&Device::flex(), &images);
    let (gpu_loss, gpu) = step(&gpu, &images);
    // Sums of up to 784 products in another order: relative 784 * 2^-24 = 5e-5 at worst, on a loss near ln 10.
    assert!((cpu_loss - gpu_loss).abs() < 5e-4, "{cpu_loss} {gpu_loss}");
    for (cpu, gpu) in cpu.iter().zip(&gpu) {
        for (a, b) in cpu.iter().zip(gpu) {
            // The first Adam step moves a weight by its rate times the gradient's sign: a gradient that is zero up to
            // rounding may move either way, so no weight differs by more than twice the rate.
            assert!((a - b).abs() <= 2.1e-3, "{a} {b}");
        }
        let moved = cpu
            .iter()
            .zip(gpu)
            .filter(|(a, b)| (**a - **b).abs() > 1e-4)
            .count();
        assert!(
            moved * 20 <= cpu.len().max(20),
            "{moved} of {} weights differ",
            cpu.len()
        );
    }
}

#[test]
fn a_population_agrees_with_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let task = Classification::new(digits(3, 0, 64));
    let variation = Variation::from(Distribution::gaussian(0.1));
    let draw = |device: &Device, side_by_side: usize| {
        let network = lenet(device);
        let evaluation = Evaluation::new(
            &network,
            four_bits(),
            Batches::new(&task, 64, device).unwrap(),
        );
        let evaluation = evaluation.side_by_side(side_by_side);
        evaluation
            .population(
                &evaluation.varied(&variation),
                9,
                0..4,
                |_, _| {},
                &AtomicBool::new(false),
            )
            .unwrap()
            .0
    };
    let cpu = draw(&Device::flex(), 1);
    for side_by_side in [1, 3] {
        for ((chip, cpu), (_, gpu)) in cpu.iter().zip(draw(&gpu, side_by_side)) {
            // The chips are the same to the bit; an image whose two best logits tie up to rounding may fall either way.
            assert!((cpu - gpu).abs() <= 2.0 / 64.0, "chip {chip}: {cpu} {gpu}");
        }
    }
}

#[test]
fn a_chip_is_the_same_to_the_bit() {
    let Some(gpu) = gpu() else { return };
    let variation = Variation::from(Distribution::right_censored(0.2, 1.0));
    let chip = |device: &Device| {
        weights(&crossburn::hardware::manufacture(
            &lenet(device),
            None,
            &variation,
            ChipSeed::new(4, 7),
        ))
    };
    assert_eq!(chip(&Device::flex()), chip(&gpu));
}

/// Every product on arrays: cells, converters, slices, read noise.
#[test]
fn arrays_compute_on_the_gpu_what_they_compute_on_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let hardware = Hardware::from_toml(
        "device = { preset = \"pcm-mushroom\" }
         mapping = { weight_bits = 8 }
         array = { rows = 128, columns = 128, input = { bits = 8, slice_bits = 3 }, \
          adc = { bits = 14, range = \"max\", codes = \"symmetric\" } }",
    )
    .unwrap();
    let images = digits(3, 0, 16);
    let all: Vec<usize> = (0..images.len()).collect();
    let outputs = |device: &Device| -> Vec<f32> {
        let network = lenet(device);
        let run = |network: &LeNet| {
            network.forward(images.inputs(&all, device));
        };
        let mapped = MappedNetwork::new(&network, &hardware, images.len(), run).unwrap();
        let fab = mapped.fab(Fidelity::Array).unwrap();
        let chip = fab.chip(ChipSeed::new(4, 7)).unwrap();
        let logits = chip.forward(images.inputs(&all, device));
        logits.into_data().try_to_vec().unwrap()
    };
    let (cpu, gpu) = (outputs(&Device::flex()), outputs(&gpu));
    assert_eq!(cpu.len(), gpu.len());
    let largest = cpu.iter().fold(0.0f32, |a, x| a.max(x.abs()));
    let errors = cpu.iter().zip(&gpu).map(|(a, b)| (a - b).abs() / largest);
    let most = errors.fold(0.0f32, f32::max);
    // Sums in another order move a current across the middle of two codes now and then: a step is a 16,382nd of the range of an
    // array, which is about sixty times what flows.
    assert!(most < 0.02, "{most}");
}

/// One layer that is read exactly: nothing but the rounding of sums is left. An image with a NaN has no result where that reaches.
#[test]
fn one_layer_on_arrays_is_that_of_the_cpu_up_to_rounding() {
    let Some(gpu) = gpu() else { return };
    let hardware = Hardware::from_toml(
        "device = { preset = \"pcm-mushroom\" }
         mapping = { weight_bits = 8 }
         array = { rows = 16, columns = 16, input = { bits = 8, slice_bits = 3 } }",
    )
    .unwrap();
    let config = ConvTranspose2dConfig::new([3, 5], [3, 3])
        .with_stride([2, 2])
        .with_padding([1, 1])
        .with_padding_out([1, 0])
        .with_bias(false);
    let value = |at: usize| ((at * 37 + 5) % 101) as f32 / 50.0 - 1.0;
    let values: Vec<f32> = (0..2 * 3 * 4 * 6).map(value).collect();
    let outputs = |device: &Device| -> Vec<f32> {
        let mut layer = config.init(device);
        layer.weight = layer.weight.map(|weight| {
            let values = (0..weight.shape().num_elements()).map(value).collect();
            Tensor::from_data(TensorData::new(values, weight.dims()), device)
        });
        let image = |values: &[f32]| {
            Tensor::<4>::from_data(TensorData::new(values.to_vec(), [2, 3, 4, 6]), device)
        };
        let run = |layer: &ConvTranspose2d| {
            conv_transpose2d(layer, image(&values));
        };
        let mapped = MappedNetwork::new(&layer, &hardware, 2, run).unwrap();
        let chip = mapped
            .fab(Fidelity::Array)
            .unwrap()
            .chip(ChipSeed::new(4, 7))
            .unwrap();
        let mut values = values.clone();
        values[1] = f32::NAN;
        conv_transpose2d(&chip, image(&values))
            .into_data()
            .try_to_vec()
            .unwrap()
    };
    let (cpu, gpu) = (outputs(&Device::flex()), outputs(&gpu));
    assert_eq!(cpu.len(), gpu.len());
    let finite = cpu.iter().filter(|y| y.is_finite());
    let largest = finite.fold(0.0f32, |most, y| most.max(y.abs()));
    assert!(cpu.iter().any(|y| y.is_nan()));
    for (cpu, gpu) in cpu.iter().zip(&gpu) {
        assert_eq!(cpu.is_nan(), gpu.is_nan());
        // Fifteen products of each output, and the root of a variance.
        assert!(
            cpu.is_nan() || (cpu - gpu).abs() < 1e-5 * largest,
            "{cpu} {gpu}"
        );
    }
}
