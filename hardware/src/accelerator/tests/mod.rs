//! The whole way of integer networks.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod cost;
mod cycles;
mod network;

use proptest::prelude::*;

use super::testing::{EIGHT_OF_SIXTEEN, TWO_OF_FOUR, baseline, networks, signal};
use super::*;

/// An array on which passes, blocks and tiles are many.
fn small_array() -> AcceleratorConfig {
    let mut config = AcceleratorConfig::preset("sparse-40nm").unwrap();
    config.array.cores = 1;
    config.array.spes = 3;
    config.array.convolution_pes = 3;
    config.array.mixed_pes = 2;
    config.array.scratch_pad = 16;
    config.memory = Memory {
        weight_bytes: 1 << 20,
        activation_bytes: 1 << 20,
    };
    config
}

/// Every evaluation of `network` gives the sums of the reference.
fn assert_the_same_bits(network: &IntegerNetwork, config: &AcceleratorConfig, signals: u64) {
    let fast = FastNetwork::new(network);
    let simulators = [Execution::Sparse, Execution::Dense].map(|execution| {
        let simulator = Simulator::new(network, config, execution);
        (execution, simulator.unwrap())
    });
    for seed in 0..signals {
        let signal = signal(network, seed);
        let expected = network.evaluate(&signal).unwrap();
        assert_eq!(fast.evaluate(&signal).unwrap(), expected);
        for (execution, simulator) in &simulators {
            let found = simulator.evaluate(&signal).unwrap();
            assert_eq!(found, expected, "{execution:?}");
        }
    }
}

proptest! {
    #[test]
    fn every_evaluation_gives_the_same_bits(network in networks(), core_elements in 1usize..=3) {
        let mut config = small_array();
        config.array.core_elements = core_elements;
        assert_the_same_bits(&network, &config, 2);
    }
}

#[test]
fn the_baseline_network_gives_the_same_bits() {
    let config = AcceleratorConfig::preset("sparse-40nm").unwrap();
    for (sparsity, widths) in [
        (Sparsity::Dense, [8; 7]),
        (TWO_OF_FOUR, [8, 4, 4, 2, 1, 4, 8]),
        (EIGHT_OF_SIXTEEN, [4, 1, 2, 4, 8, 2, 4]),
        (Sparsity::Unstructured, [8, 4, 2, 1, 1, 2, 4]),
    ] {
        let network = baseline(sparsity, widths, 5);
        assert_the_same_bits(&network, &config, 3);
        // Random weights give signals through all layers: results differ.
        let results: Vec<_> = (0..3)
            .map(|seed| network.evaluate(&signal(&network, seed)).unwrap())
            .collect();
        assert!(results[0] != results[1] && results[1] != results[2]);
    }
}
