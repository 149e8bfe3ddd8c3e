//! Energy, power and area of the worked example, by hand.

use super::cycles::worked_example;
use super::*;
use crate::units::{Hertz, Joule, Second, SquareMillimetre, Watt};

/// Figures that are easy to multiply.
fn round_figures() -> (IntegerNetwork, AcceleratorConfig) {
    let (network, mut config) = worked_example();
    let picojoule = |value: f64| Joule::new(value * 1e-12);
    config.array.clock = Hertz::new(1e6);
    config.memory = Memory {
        weight_bytes: 100,
        activation_bytes: 25,
    };
    config.energy = Energies {
        multiply_8x8: picojoule(1.0),
        accumulate: picojoule(0.1),
        rescale: picojoule(2.0),
        compare: picojoule(0.5),
        scratch_pad_code: picojoule(0.2),
        sram_bit: picojoule(0.01),
    };
    config.leakage.per_mm2 = Watt::new(1e-6);
    let area = SquareMillimetre::new;
    config.area = Areas {
        convolution_pe: area(0.1),
        mixed_pe: area(0.2),
        scratch_pad_code: area(0.01),
        sram_bit: area(0.001),
        other: area(1.0),
    };
    (network, config)
}

fn assert_picojoule(found: Joule, expected: f64) {
    // Roundings of f64.
    assert!(
        (found.get() * 1e12 - expected).abs() < 1e-9 * expected.abs().max(1.0),
        "{found} {expected} pJ"
    );
}

#[test]
fn the_worked_example_costs_what_a_calculation_by_hand_gives() {
    let (network, config) = round_figures();
    // Four SPEs: 4 · 0.1 + 4 · 0.2 + 4 · 16 · 0.01 + 1000 · 0.001 + 1 mm2.
    assert!((config.total_area().get() - 3.84).abs() < 1e-12);
    let simulator = Simulator::new(&network, &config, Execution::Sparse).unwrap();
    let cost = AcceleratorCost::new(simulator.counts(), &config, Second::new(1e-3)).unwrap();
    let conv = &cost.layers[0];
    // 33 products of 8 × 8 bits; 33 reads; 362 bits of weights; 26 codes in and 3 out; 9 rescales; 6 comparisons.
    for ((cause, energy), expected) in conv
        .causes()
        .iter()
        .zip([33.0, 3.3, 6.6, 3.62, 2.32, 18.0, 3.0])
    {
        assert!(
            (energy.get() * 1e12 - expected).abs() < 1e-9,
            "{cause}: {energy}"
        );
    }
    assert_picojoule(conv.switching(), 69.84);
    // 16 cycles of 1 us with 3.84 uW.
    assert_picojoule(conv.leakage, 61.44);
    assert_picojoule(conv.total(), 69.84 + 61.44);
    let parts = conv.parts();
    assert_eq!(
        (parts[0].0, parts[7]),
        ("multiply", ("leakage", conv.leakage))
    );
    // The dense layer: 3 weights at one position, 2 of the first core element; one bias of 24 bits and 24 bits of weights.
    assert_eq!(cost.latency, Second::new(18e-6));
    let dense = 3.0 + 0.3 + 0.6 + 0.48 + 0.24;
    assert_picojoule(cost.switching_energy, 69.84 + dense);
    assert_picojoule(cost.active_energy(), 69.84 + dense + 18.0 * 3.84);
    assert_eq!(
        (cost.operations, cost.operations_counting_skipped),
        (2 * 36, 2 * 75)
    );
    // 74.46 pJ in 1 ms are 74.46 nW; leakage flows all the time.
    assert!((cost.average_power.get() * 1e9 - (74.46 + 3840.0)).abs() < 1e-6);
    assert!((cost.duty - 0.018).abs() < 1e-12);
    let per_joule = 72.0 / ((69.84 + dense + 69.12) * 1e-12);
    assert!((cost.active_operations_per_joule() / per_joule - 1.0).abs() < 1e-12);
    // Eight processing elements, two operations, 1 MHz.
    assert_eq!(cost.peak_operations_per_second, 16e6);
}

#[test]
fn products_of_narrow_weights_and_codes_take_their_part() {
    let (network, config) = round_figures();
    let mut counts = Simulator::new(&network, &config, Execution::Sparse)
        .unwrap()
        .counts()
        .to_vec();
    (counts[0].weight_bits, counts[0].input_bits) = (2, 4);
    let cost = AcceleratorCost::new(&counts, &config, Second::new(1.0)).unwrap();
    assert_picojoule(cost.layers[0].multiply, 33.0 / 8.0);
}

#[test]
fn periods_that_cannot_be_are_refused() {
    let (network, config) = round_figures();
    let simulator = Simulator::new(&network, &config, Execution::Sparse).unwrap();
    let refused = |seconds| {
        AcceleratorCost::new(simulator.counts(), &config, Second::new(seconds))
            .unwrap_err()
            .to_string()
    };
    assert!(refused(0.0).starts_with("period = 0 s is outside"));
    assert!(refused(f64::NAN).starts_with("period = "));
    assert!(
        refused(17e-6).starts_with("an inference takes 18 us, longer than the period of 17 us")
    );
}

/// The published average is nearly all leakage: one inference each 5 s adds less than a hundredth to it.
#[test]
fn a_duty_cycled_average_says_nothing_about_an_inference() {
    let config = AcceleratorConfig::preset("sparse-40nm").unwrap();
    let network = baseline(TWO_OF_FOUR, [8, 4, 4, 4, 2, 2, 4], 1);
    let [sparse, dense] = [Execution::Sparse, Execution::Dense].map(|execution| {
        let simulator = Simulator::new(&network, &config, execution).unwrap();
        AcceleratorCost::new(simulator.counts(), &config, Second::new(5.0)).unwrap()
    });
    // Half of the products and cycles, and yet the same average.
    assert!(sparse.switching_energy.get() < 0.8 * dense.switching_energy.get());
    assert!((sparse.average_power.get() / dense.average_power.get() - 1.0).abs() < 0.01);
    assert!((sparse.average_power.get() - 10.6e-6).abs() < 0.15e-6);
    assert!(sparse.duty < 1e-5);
}
