//! Cycles against calculations by hand, the closed form, and the claims about sparsity.

use rstest::rstest;

use super::super::testing::{Draws, blank, fill};
use super::*;

fn counts(
    network: &IntegerNetwork,
    config: &AcceleratorConfig,
    execution: Execution,
) -> Vec<LayerCounts> {
    Simulator::new(network, config, execution)
        .unwrap()
        .counts()
        .to_vec()
}

/// Two core elements, two time steps, two output channels; three outputs of two inputs with four taps, and a signal of six
/// steps, which gives three positions.
pub(super) fn worked_example() -> (IntegerNetwork, AcceleratorConfig) {
    let mut config = small_array();
    config.array.spes = 2;
    (config.array.convolution_pes, config.array.mixed_pes) = (1, 1);
    let kept = [
        1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 0,
    ]
    .map(|kept| kept == 1);
    let mut convolution = IntegerLayer {
        weights: kept.map(|kept| 3 * i8::from(kept)).to_vec(),
        kept: kept.to_vec(),
        sparsity: Sparsity::Unstructured,
        bias: vec![0; 3],
        ..blank("conv", [3, 2, 4], 1)
    };
    convolution.output = LayerOutput::Activations {
        bits: 8,
        exponent: 0,
        rescale: vec![
            Rescale {
                multiplier: 1,
                shift: 3
            };
            3
        ],
        pool: Some(Pool {
            kernel: 3,
            stride: 3,
        }),
    };
    let dense = IntegerLayer {
        weights: vec![1, 2, 3],
        bias: vec![0],
        output: LayerOutput::Results { scale: vec![1.0] },
        ..blank("dense", [1, 3, 1], 1)
    };
    let signal = SignalFormat {
        channels: 2,
        length: 6,
        exponent: 0,
    };
    (
        IntegerNetwork::new(signal, vec![convolution, dense]).unwrap(),
        config,
    )
}

/// Kept weights of the two core elements: output 0 has 4 and 1, output 1 has 0 and 2, output 2 has 1 and 3.
#[test]
fn a_worked_example_has_the_counts_of_a_calculation_by_hand() {
    let (network, config) = worked_example();
    let sparse = &counts(&network, &config, Execution::Sparse)[0];
    // Outputs 0 and 1: the slowest has 4. Output 2: 3. Two tiles of time steps.
    assert_eq!(sparse.cycles, (4 + 3) * 2);
    // Evenly spread, outputs 0 and 1 take max(4 / 2, 3 / 2 rounded up) = 2.
    assert_eq!(sparse.stall_cycles, 2 * 2);
    // Eleven kept weights at three positions; eight processing elements.
    assert_eq!(
        (
            sparse.executed_macs,
            sparse.busy_cycles,
            sparse.element_cycles
        ),
        (33, 33, 14 * 8)
    );
    assert_eq!(sparse.utilisation(), 33.0 / 112.0);
    assert_eq!(sparse.dense_macs, 24 * 3);
    // Places that a block needs: 4 and 3 (4, 5, 6) for outputs 0 and 1, 1 and 3 for output 2.
    assert_eq!(sparse.scratch_pad_reads, (4 + 3 + 1 + 3) * 3);
    // Samples of two neighbouring windows at these places: 5 + 4 + 2 + 4; of the last window alone: 11.
    assert_eq!(sparse.activation_reads, 15 + 11);
    // A bitmap of 24 bits and eleven weights of 8, for both tiles; 24 + 16 + 6 bits of each output.
    assert_eq!(
        (sparse.weight_index, sparse.weight_bits_stored),
        (WeightIndex::Bitmap, 112)
    );
    assert_eq!(
        (sparse.parameter_bits, sparse.weight_memory_reads),
        (138, 2 * 112 + 138)
    );
    // One window of three positions for each output, on 2 · 2 · 1 mixed elements: two comparisons.
    assert_eq!(
        (
            sparse.rescales,
            sparse.activation_writes,
            sparse.compares,
            sparse.pool_cycles
        ),
        (9, 3, 6, 2)
    );
    assert_eq!(sparse.total_cycles(), 16);

    let dense = &counts(&network, &config, Execution::Dense)[0];
    assert_eq!(
        (dense.cycles, dense.stall_cycles, dense.executed_macs),
        ((4 + 4) * 2, 0, 72)
    );
    assert_eq!(
        (dense.weight_index, dense.weight_bits_stored),
        (WeightIndex::Dense, 24 * 8)
    );
    assert_eq!(dense.scratch_pad_reads, 2 * 8 * 3);
}

/// Without room for a whole share, processing elements wait after each pass.
#[test]
fn small_scratch_pads_make_more_of_the_load_imbalance() {
    let (network, mut config) = worked_example();
    // Two codes for each core element: passes of places 0 to 3 and 4 to 7, of which each core element takes two.
    config.array.scratch_pad = 2;
    let small = &counts(&network, &config, Execution::Sparse)[0];
    // First pass: outputs 0 and 1 have 2 + 2 and 0 + 0, output 2 has 0 + 1. Second: 1 + 0 and 1 + 1; output 2 has 2 + 1.
    assert_eq!(small.cycles, ((2 + 1) + (1 + 2)) * 2);
    assert_eq!(
        counts(&network, &config, Execution::Dense)[0].cycles,
        ((2 + 2) + (2 + 2)) * 2
    );
}

#[test]
fn a_layer_without_kept_weights_has_no_work() {
    let layer = IntegerLayer {
        weights: vec![0; 4],
        kept: vec![false; 4],
        sparsity: Sparsity::Unstructured,
        bias: vec![7],
        output: LayerOutput::Results { scale: vec![1.0] },
        ..blank("empty", [1, 1, 4], 1)
    };
    let signal = SignalFormat {
        channels: 1,
        length: 4,
        exponent: 0,
    };
    let network = IntegerNetwork::new(signal, vec![layer]).unwrap();
    let counts = &counts(&network, &small_array(), Execution::Sparse)[0];
    assert_eq!((counts.cycles, counts.utilisation()), (0, 0.0));
}

/// More time steps than positions: the scratch space follows the positions, and the results stay.
#[test]
fn an_array_may_be_longer_than_the_signal() {
    let (network, mut config) = worked_example();
    (config.array.cores, config.array.spes) = (256, 256);
    assert_the_same_bits(&network, &config, 2);
    // One tile of time steps.
    assert_eq!(
        counts(&network, &config, Execution::Sparse)[0].cycles,
        4 + 3
    );
}

#[test]
fn lanes_let_narrow_weights_save_cycles() {
    let mut layer = IntegerLayer {
        output: LayerOutput::Results { scale: Vec::new() },
        ..blank("dense", [1, 4, 10], 1)
    };
    let mut config = small_array();
    config.array.scratch_pad = 64;
    config.array.packing = Packing::Lanes;
    // 20 weights for each core element, one to eight at a time.
    for (weight_bits, cycles) in [(8, 20), (4, 10), (2, 5), (1, 3)] {
        layer.weight_bits = weight_bits;
        fill(&mut layer, &mut Draws::new(1));
        let signal = SignalFormat {
            channels: 4,
            length: 10,
            exponent: 0,
        };
        let network = IntegerNetwork::new(signal, vec![layer.clone()]).unwrap();
        assert_eq!(
            counts(&network, &config, Execution::Dense)[0].cycles,
            cycles
        );
    }
}

/// `ceil(inputs / 2) ceil(outputs / 16) ceil(positions / 16) ceil(kernel density)`, the formula of the specification.
fn closed_form(
    [outputs, inputs, kernel]: [usize; 3],
    positions: usize,
    [kept, group]: [usize; 2],
) -> u64 {
    let tap_cycles = (kernel * kept).div_ceil(group);
    (inputs.div_ceil(2) * outputs.div_ceil(16) * positions.div_ceil(16) * tap_cycles) as u64
}

proptest! {
    /// Dense layers whose share fits the scratch pads have the cycles of the formula, whatever their shape; so have balanced ones whose
    /// groups end with their channel, where the formula counts what a channel keeps.
    #[test]
    fn the_closed_form_counts_what_is_simulated(
        outputs in 1usize..40, inputs in 1usize..9, groups in 1usize..4, extra in 0usize..4, length in 16usize..120, stride in 1usize..4, seed: u64,
    ) {
        let config = AcceleratorConfig::preset("sparse-40nm").unwrap();
        for (sparsity, kernel, density) in [
            (Sparsity::Dense, 4 * groups + extra, [1, 1]),
            (TWO_OF_FOUR, 4 * groups, [2, 4]),
            (Sparsity::Balanced { kept: 1, group: 4 }, 4 * groups, [1, 4]),
        ] {
            prop_assume!(inputs.div_ceil(2) * kernel <= config.array.scratch_pad);
            let mut layer = IntegerLayer {
                sparsity,
                weight_bits: 4,
                output: LayerOutput::Results { scale: Vec::new() },
                ..blank("conv", [outputs, inputs, kernel], stride)
            };
            fill(&mut layer, &mut Draws::new(seed));
            let network = IntegerNetwork::new(SignalFormat { channels: inputs, length, exponent: 0 }, vec![layer]).unwrap();
            let counts = &counts(&network, &config, Execution::Sparse)[0];
            let positions = (length - kernel) / stride + 1;
            prop_assert_eq!(counts.cycles, closed_form([outputs, inputs, kernel], positions, density));
            prop_assert_eq!(counts.stall_cycles, 0);
            let kept = network.layers()[0].kept_weights();
            prop_assert_eq!(counts.busy_cycles, (kept * positions) as u64);
        }
    }
}

fn total(counts: &[LayerCounts]) -> u64 {
    counts.iter().map(LayerCounts::total_cycles).sum()
}

/// Cycles of the baseline network with this sparsity over those of the dense execution, and the stalled part of them.
fn ratio(sparsity: Sparsity, seed: u64) -> (f64, f64) {
    let config = AcceleratorConfig::preset("sparse-40nm").unwrap();
    let network = baseline(sparsity, [8, 4, 4, 4, 2, 2, 4], seed);
    let [sparse, dense] =
        [Execution::Sparse, Execution::Dense].map(|execution| counts(&network, &config, execution));
    let stalled: u64 = sparse.iter().map(|counts| counts.stall_cycles).sum();
    (
        total(&sparse) as f64 / total(&dense) as f64,
        stalled as f64 / total(&sparse) as f64,
    )
}

/// By hand: tiles times words of the first core element, of 1, 2, 2, 2, 4, 4 and 2 weights. The last but one layer takes five passes
/// of 64 weights for each core element and one of 50; with 2:4 sparsity of 32 and 25.
#[test]
fn lanes_save_the_cycles_of_whole_words() {
    let mut config = AcceleratorConfig::preset("sparse-40nm").unwrap();
    config.array.packing = Packing::Lanes;
    let network = baseline(TWO_OF_FOUR, [8, 4, 4, 4, 2, 2, 4], 1);
    let cycles = |execution| -> Vec<u64> {
        let counts = counts(&network, &config, execution);
        counts.iter().map(|counts| counts.cycles).collect()
    };
    let dense = [39 * 6, 20 * 5, 10 * 6, 10 * 10, 6 * 10, 5 * 16 + 13, 3];
    assert_eq!(cycles(Execution::Dense), dense);
    let sparse = [39 * 3, 20 * 3, 10 * 3, 10 * 5, 6 * 5, 5 * 8 + 7, 2];
    assert_eq!(cycles(Execution::Sparse), sparse);
}

/// By hand: tiles times the kept weights of the first core element. It has 3 of 3, 6 of 8, 6 of 10, 10 of 20 and 20 of 40 of the
/// convolutions; of the 370 of the first dense layer half, in passes of 32 and a last one of 25; and 3 of the last 5.
#[rstest]
#[case(TWO_OF_FOUR)]
#[case(EIGHT_OF_SIXTEEN)]
fn balanced_halves_of_the_baseline_take_the_cycles_of_their_shapes(#[case] sparsity: Sparsity) {
    let config = AcceleratorConfig::preset("sparse-40nm").unwrap();
    let counts = counts(&baseline(sparsity, [8; 7], 1), &config, Execution::Sparse);
    let cycles: Vec<u64> = counts.iter().map(|counts| counts.cycles).collect();
    let by_hand = [
        39 * 3,
        20 * 6,
        10 * 6,
        5 * 2 * 10,
        3 * 2 * 20,
        5 * 32 + 25,
        3,
    ];
    assert_eq!(cycles, by_hand);
    assert_eq!(total(&counts), 705);
}

#[rstest]
#[case(TWO_OF_FOUR)]
#[case(EIGHT_OF_SIXTEEN)]
fn balanced_halves_take_half_of_the_cycles(#[case] sparsity: Sparsity) {
    for seed in 0..3 {
        let (ratio, stalled) = ratio(sparsity, seed);
        assert!((ratio - 0.5).abs() <= 0.02, "{ratio}");
        assert_eq!(stalled, 0.0);
    }
}

#[test]
fn unstructured_halves_take_more_since_processing_elements_wait() {
    for seed in 0..10 {
        let (ratio, stalled) = ratio(Sparsity::Unstructured, seed);
        assert!((0.6..=0.75).contains(&ratio), "{ratio}");
        assert!(stalled > 0.1, "{stalled}");
    }
}

/// What the dense baseline takes: `ceil(inputs / 2) kernel ceil(outputs / 16) ceil(positions / 16)` of each layer.
#[test]
fn the_dense_baseline_network_takes_the_cycles_of_its_shapes() {
    let config = AcceleratorConfig::preset("sparse-40nm").unwrap();
    let counts = counts(&baseline(TWO_OF_FOUR, [8; 7], 1), &config, Execution::Dense);
    let cycles: Vec<u64> = counts.iter().map(|counts| counts.cycles).collect();
    assert_eq!(
        cycles,
        [
            39 * 6,
            20 * 2 * 5,
            10 * 3 * 4,
            2 * 5 * 5 * 4,
            2 * 3 * 10 * 4,
            10 * 37,
            5
        ]
    );
    // The first layer has one input channel and three output channels: 3 of 16 elements of one of two core elements.
    assert!((counts[0].utilisation() - 3.0 / 32.0 * 623.0 / 624.0).abs() < 1e-12);
}

#[test]
fn networks_that_do_not_fit_are_refused_by_name() {
    let network = baseline(EIGHT_OF_SIXTEEN, [8; 7], 1);
    let refused = |spoil: fn(&mut AcceleratorConfig)| {
        let mut config = AcceleratorConfig::preset("sparse-40nm").unwrap();
        spoil(&mut config);
        Simulator::new(&network, &config, Execution::Sparse)
            .unwrap_err()
            .to_string()
    };
    let message = refused(|config| config.memory.weight_bytes = 1000);
    assert!(
        message.contains("memory.weight_bytes = 1000: "),
        "{message}"
    );
    let message = refused(|config| config.memory.activation_bytes = 2000);
    assert!(
        message.starts_with("layer `layer0`: activations before and after it take 3119 bytes"),
        "{message}"
    );
    let message = refused(|config| config.array.scratch_pad = 8);
    assert!(
        message.starts_with(
            "layer `layer1`: array.scratch_pad = 8 holds less than a group of 15 weights"
        ),
        "{message}"
    );
    let message = refused(|config| config.array.cores = 0);
    assert!(message.starts_with("array.cores = 0"), "{message}");
}
