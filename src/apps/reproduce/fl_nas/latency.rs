//! Measures the latency of a network on this machine.

use std::time::Instant;

use burn::tensor::{Device, Tensor};
use crossburn_models::Classifier;
use crossburn_models::nas::ConvolutionalCandidate;

/// Numbers of passes that are not counted, and of those that are.
const WARM_UP: usize = 3;
const REPETITIONS: usize = 25;

/// The shortest time of one input through `candidate` on the CPU, in seconds. The weights do not matter, so the network is not trained.
pub(super) fn measured_latency(candidate: &ConvolutionalCandidate) -> f64 {
    let device = Device::flex();
    let network = candidate.init(&device);
    let [channels, height, width] = candidate.input;
    let item = Tensor::<4>::zeros([1, channels, height, width], &device);
    let mut times = Vec::with_capacity(REPETITIONS);
    for number in 0..WARM_UP + REPETITIONS {
        let start = Instant::now();
        // Reading the data forces a device that computes lazily to finish.
        let output = network.forward(item.clone()).into_data();
        let took = start.elapsed().as_secs_f64();
        drop(output);
        if number >= WARM_UP {
            times.push(took);
        }
    }
    // The shortest time is the least disturbed, because other trainings run at the same time.
    times.into_iter().fold(f64::INFINITY, f64::min)
}
