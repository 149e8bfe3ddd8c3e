//! What networks cost on accelerators: layers solved by hand, published totals, laws of scaling, refusals.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::BTreeMap;

use crossburn_hardware::HardwareError;
use crossburn_hardware::cost::{
    Accelerator, Accumulation, AdcEstimator, ArrayRead, ArrayShape, ChipTotals, CostConfig,
    CostReport, EnergyBreakdown, LayerShape, Layout, LevelTotal, Replication, Schedule,
    Subtraction, accelerators,
};
use crossburn_hardware::units::{Hertz, Joule, Second, Siemens, Volt, Watt};
use proptest::prelude::*;
use rstest::rstest;

/// A made-up accelerator with round figures.
const SMALL: &str = r#"
[mapping]
anything = "goes"

[cost]
array_cycle = "10 ns"
static_power = "1 mW"

[cost.adc]
estimator = "puma"
node_nm = 32
rate = "1 GHz"
columns_per_adc = 6

[cost.array_read]
kind = "fixed"
energy = "10 pJ"

[cost.events]
row_drive = "1 pJ"
input_register = "0.5 pJ"
sample_hold = "0.25 pJ"
shift_add = "0.125 pJ"
output_register = "0.5 pJ"
partial_sum = "2 pJ"
buffer_bit = "0.5 pJ"
bus_bit = "0.1 pJ"
router_bit = "0.25 pJ"

[cost.programming]
pulse_energy = "2 pJ"
pulse_time = "10 ns"
cells_at_once = 1
arrays_at_once = 1

[cost.components]
rows = 4
columns = 6
arrays_per_ima = 1
imas_per_tile = 3
tiles_per_chip = 2
ima = [
    { kind = "array", count = 1, area = "0.001 mm2" },
    { kind = "row-driver", count = 4, area = "0.002 mm2" },
    { kind = "adc", count = 1, area = "7 mm2" },
    { kind = "register", count = 1, area = "0.003 mm2" },
]
tile = [{ kind = "buffer", count = 1, area = "0.03 mm2" }]
"#;

fn small_array() -> ArrayShape {
    ArrayShape {
        rows: 4,
        columns: 6,
        weight_bits: 5,
        slice_bits: Some(2),
        input_bits: 3,
        input_slice_bits: 2,
        output_bits: 7,
        ..ArrayShape::default()
    }
}

fn small(array: ArrayShape) -> Accelerator {
    Accelerator::new(CostConfig::from_accelerator(SMALL).unwrap(), array).unwrap()
}

fn small_layer() -> LayerShape {
    LayerShape {
        groups: 2,
        positions: 3,
        ..LayerShape::linear("w", 5, 4)
    }
}

fn isaac_array() -> ArrayShape {
    ArrayShape {
        weight_bits: 16,
        slice_bits: Some(2),
        devices_per_weight: 1,
        input_bits: 16,
        output_bits: 16,
        ..ArrayShape::default()
    }
}

fn isaac() -> Accelerator {
    Accelerator::new(CostConfig::preset("isaac").unwrap(), isaac_array()).unwrap()
}

/// The papers' LeNet: 6@3×3 and 16@3×3 with padding 1 on 28×28 and 14×14, then 784-120-84-10.
fn lenet() -> Vec<LayerShape> {
    vec![
        LayerShape::convolution("conv1.weight", [1, 6], [3, 3], 1, [28, 28]),
        LayerShape::convolution("conv2.weight", [6, 16], [3, 3], 1, [14, 14]),
        LayerShape::linear("fc1.weight", 784, 120),
        LayerShape::linear("fc2.weight", 120, 84),
        LayerShape::linear("fc3.weight", 84, 10),
    ]
}

/// ResNet-18 for 32×32 images: 3×3 stem without pooling, stages of 64, 128, 256 and 512 channels.
fn resnet18() -> Vec<LayerShape> {
    let mut layers = vec![LayerShape::convolution(
        "conv1.weight",
        [3, 64],
        [3, 3],
        1,
        [32, 32],
    )];
    let mut before = 64;
    for (stage, channels) in [64, 128, 256, 512].into_iter().enumerate() {
        let side = 32 >> stage;
        for block in 0..2 {
            let path = |name: &str| format!("layer{}.{block}.{name}.weight", stage + 1);
            let output = [side, side];
            let conv = |name, inputs, kernel: usize| {
                LayerShape::convolution(path(name), [inputs, channels], [kernel; 2], 1, output)
            };
            layers.push(conv("conv1", before, 3));
            layers.push(conv("conv2", channels, 3));
            if before != channels {
                layers.push(conv("shortcut", before, 1));
            }
            before = channels;
        }
    }
    layers.push(LayerShape::linear("fc.weight", 512, 10));
    layers
}

/// `value` is `expected` up to the rounding of a few sums and products in f64.
fn assert_close(value: f64, expected: f64) {
    assert!(
        (value - expected).abs() <= 1e-12 * expected.abs(),
        "{value} instead of {expected}"
    );
}

fn macs(layers: &[LayerShape]) -> u64 {
    layers.iter().map(LayerShape::macs).sum()
}

#[test]
fn a_small_layer_costs_what_it_costs_by_hand() {
    // K = 5, M = 4, g = 2 groups, P = 3 positions. 5-bit weights: 4 bits of magnitude, S = 2 slices, d = 2 devices,
    // N = M S d = 16 columns. Arrays of 4 × 6: 2 row tiles, 3 column tiles, A = 2 · 2 · 3 = 12. 3-bit inputs, 2 per
    // cycle: n_in = 2.
    let report = small(small_array()).cost(&[small_layer()]).unwrap();
    let layer = &report.layers[0];
    assert_eq!(
        (layer.row_tiles, layer.column_tiles, layer.arrays),
        (2, 3, 12)
    );
    assert_eq!(layer.macs, 2 * 5 * 4 * 3);
    // g K N weights of A R C cells.
    assert_close(layer.utilisation, 2.0 * 5.0 * 16.0 / (12.0 * 4.0 * 6.0));
    let picojoule = |energy: Joule, expected: f64| assert_close(energy.get(), expected * 1e-12);
    let energy = layer.energy;
    // P g K 3 n_in = 180 drives of 1 pJ.
    picojoule(energy.row_drivers, 180.0);
    // P A n_in = 72 reads of 10 pJ.
    picojoule(energy.arrays, 720.0);
    // P g 2 M S n_in = 192 conversions of 2 mW · 100 ns / 128 = 1.5625 pJ.
    picojoule(energy.adc, 300.0);
    picojoule(energy.sample_hold, 192.0 * 0.25);
    picojoule(energy.shift_add, 192.0 * 0.125);
    picojoule(energy.registers, 180.0 * 0.5 + 192.0 * 0.5);
    // P g (2 - 1) M = 24 additions.
    picojoule(energy.partial_sums, 24.0 * 2.0);
    // P g K b_in = 90 bits in, P g M b_out = 168 bits out.
    picojoule(energy.buffer, 258.0 * 0.5);
    picojoule(energy.bus, 90.0 * 0.1);
    picojoule(energy.router, 168.0 * 0.25);
    // A converter has 6 columns, 3 pairs, at 1 ns each: the array's 10 ns count. 2 cycles and 3 positions: 60 ns.
    assert_close(layer.latency_per_position.get(), 20e-9);
    assert_close(layer.latency.get(), 60e-9);
    // 12 arrays leak 1 mW for that long.
    picojoule(energy.leakage, 720.0);
    picojoule(energy.total(), 2406.0);
    assert_close(layer.adc_share_of_energy, 300.0 / 2406.0);
    // Per array 0.001 cells, 0.0012 converter (PUMA's, not the table's), 0.005 periphery, 0.03 / 3 of the tile.
    let area = layer.area;
    assert_close(area.arrays.get(), 0.012);
    assert_close(area.adc.get(), 0.0144);
    assert_close(area.periphery.get(), 0.060);
    assert_close(area.tile_share.get(), 0.120);
    assert_close(layer.adc_share_of_area, 0.0144 / 0.2064);
    // 160 cells of 2 pJ; 12 arrays one after the other, the largest tile 4 × 6, 10 ns per cell.
    assert_eq!(layer.programming.cells, 160);
    picojoule(layer.programming.energy, 320.0);
    assert_close(layer.programming.time.get(), 12.0 * 24.0 * 10e-9);
    // The network is that layer.
    let total = report.total;
    picojoule(total.energy_total, 2406.0);
    assert_close(total.energy_per_mac.get(), 2406e-12 / 120.0);
    assert_close(total.area_total.get(), 0.2064);
    assert_close(total.latency_sequential.get(), 60e-9);
    assert_close(total.latency_pipelined.get(), 60e-9);
    assert_close(total.throughput_pipelined.get(), 1.0 / 60e-9);
    assert_eq!(total.adc_share_of_area, layer.adc_share_of_area);
}

#[test]
fn slow_converters_and_integrators_set_the_time() {
    let slow = SMALL.replace("rate = \"1 GHz\"", "rate = \"0.1 GHz\"");
    let config = CostConfig::from_accelerator(&slow).unwrap();
    let position = |array: ArrayShape| {
        let accelerator = Accelerator::new(config.clone(), array).unwrap();
        let report = accelerator.cost(&[small_layer()]).unwrap();
        report.layers[0].latency_per_position.get()
    };
    // 3 pairs at 10 ns, twice; 6 columns at 10 ns, twice; once after both cycles.
    assert_close(position(small_array()), 2.0 * 30e-9);
    let digital = ArrayShape {
        subtraction: Subtraction::Digital,
        ..small_array()
    };
    assert_close(position(digital), 2.0 * 60e-9);
    let integrated = ArrayShape {
        accumulation: Accumulation::Analog,
        ..small_array()
    };
    assert_close(position(integrated), 30e-9);
}

#[test]
fn current_counts_used_cells_alone() {
    let mut config = CostConfig::from_accelerator(SMALL).unwrap();
    config.array_read = ArrayRead::Conductance {
        read_voltage: Volt::new(0.2),
        mean_conductance: Siemens::new(50e-6),
        pulse: Second::new(5e-9),
        activity: 0.5,
    };
    let report = Accelerator::new(config, small_array())
        .unwrap()
        .cost(&[small_layer()])
        .unwrap();
    // 0.5 · (0.2 V)² · 50 µS · 5 ns = 5 fJ per cell and read; 160 cells, 3 positions, 2 cycles.
    assert_close(report.layers[0].energy.arrays.get(), 160.0 * 6.0 * 5e-15);
}

#[test]
fn slices_on_arrays_of_their_own_take_more_arrays_and_as_many_conversions() {
    let separate = ArrayShape {
        layout: Layout::Separate,
        ..small_array()
    };
    let report = small(separate).cost(&[small_layer()]).unwrap();
    let together = small(small_array()).cost(&[small_layer()]).unwrap();
    // Four planes of 4 columns: one array each instead of three for all.
    assert_eq!(report.layers[0].arrays, 16);
    assert_eq!(
        report.layers[0].events.conversions,
        together.layers[0].events.conversions
    );
    let plan = small(separate).floor_plan(&[small_layer()]).unwrap();
    assert!(plan.placements.iter().all(|array| array.columns == 4));
}

#[test]
fn the_isaac_chip_is_the_sum_of_its_components() {
    let ChipTotals {
        ima,
        tile,
        tiles,
        chip,
    } = CostConfig::preset("isaac").unwrap().components.totals();
    // The published figures are rounded: half a unit of their last digit.
    let check = |level: LevelTotal, watt: f64, watt_bound: f64, area: f64, area_bound: f64| {
        let power = level.power.unwrap().get();
        assert!((power - watt).abs() <= watt_bound, "{power} W");
        assert!(
            (level.area.get() - area).abs() <= area_bound,
            "{}",
            level.area
        );
    };
    let twelve = LevelTotal {
        power: ima.power.map(|power| Watt::new(12.0 * power.get())),
        area: crossburn_hardware::units::SquareMillimetre::new(12.0 * ima.area.get()),
    };
    check(twelve, 0.289, 0.0005, 0.157, 0.0005);
    check(tile, 0.330, 0.0005, 0.372, 0.0005);
    check(tiles, 55.4, 0.05, 62.5, 0.05);
    check(chip, 65.8, 0.05, 85.4, 0.05);
}

#[test]
fn a_network_that_fills_the_isaac_chip_has_the_area_of_its_tiles() {
    // 126 × 128 arrays = 168 tiles · 96: K = 126 · 128, M = 128 · 128 / 8 slices.
    let layer = LayerShape::linear("all", 126 * 128, 2048);
    let accelerator = isaac();
    let report = accelerator.cost(std::slice::from_ref(&layer)).unwrap();
    assert_eq!(report.total.arrays, 16_128);
    assert_eq!(report.total.utilisation, 1.0);
    let area = report.total.area_total.get();
    let tiles = accelerator.config().components.totals().tiles.area.get();
    // The same sums in another order.
    assert!((area - tiles).abs() < 1e-9 * tiles, "{area} {tiles}");
    let plan = accelerator.floor_plan(&[layer]).unwrap();
    assert_eq!((plan.tiles, plan.chips), (168, 1));
}

#[test]
fn a_fully_used_isaac_unit_takes_the_power_of_its_components() {
    // 128 inputs and 128 outputs of 8 slices: the eight arrays of an IMA, 16 cycles of 100 ns.
    let layer = [LayerShape::linear("ima", 128, 128)];
    let mut config = CostConfig::preset("isaac").unwrap();
    // PUMA's converter is 2 mW at 1.28 GS/s, as the power of the table over the time of the text.
    config.adc.estimator = AdcEstimator::Puma;
    let power = config.components.totals().ima.power.unwrap().get();
    let report = Accelerator::new(config, isaac_array())
        .unwrap()
        .cost(&layer)
        .unwrap();
    assert_eq!(report.total.arrays, 8);
    assert_close(report.total.latency_sequential.get(), 1.6e-6);
    let energy = report.total.energy;
    let inside = energy.dynamic().get()
        - [
            energy.partial_sums,
            energy.buffer,
            energy.bus,
            energy.router,
        ]
        .iter()
        .map(|energy| energy.get())
        .sum::<f64>();
    // The preset writes the energies of events with eight digits.
    let expected = power * 1.6e-6;
    assert!((inside - expected).abs() < 1e-8 * expected, "{inside}");
    // The row of the table at 8 bits, 1.67 pJ, is 2 mW at 1.2 GS/s: 6.9 % more.
    let table = isaac().cost(&layer).unwrap().total.energy.adc.get();
    assert_close(table / energy.adc.get(), 1.67 / 1.5625);
}

#[test]
fn lists_of_layers_have_the_known_counts() {
    assert_eq!(
        macs(&lenet()),
        9 * 6 * 784 + 54 * 16 * 196 + 784 * 120 + 120 * 84 + 840
    );
    assert_eq!(macs(&lenet()), 316_680);
    // 0.56 G multiplications; 11,173,962 parameters less 9,600 of batch norm and 10 biases.
    assert_eq!(macs(&resnet18()), 555_422_720);
    assert_eq!(
        resnet18().iter().map(LayerShape::weights).sum::<u64>(),
        11_173_962 - 9_600 - 10
    );
    assert_eq!(resnet18().len(), 21);
}

#[test]
fn every_preset_costs_both_networks_and_names_its_converter() {
    for name in accelerators() {
        let array = match name {
            "isaac" => isaac_array(),
            "prime" => ArrayShape {
                rows: 256,
                columns: 256,
                slice_bits: Some(4),
                layout: Layout::Separate,
                input_bits: 6,
                input_slice_bits: 3,
                adc_bits: 6,
                output_bits: 6,
                ..ArrayShape::default()
            },
            "neurosim-22nm" => ArrayShape {
                slice_bits: Some(1),
                devices_per_weight: 1,
                adc_bits: 5,
                ..ArrayShape::default()
            },
            _ => ArrayShape {
                slice_bits: Some(2),
                ..ArrayShape::default()
            },
        };
        let accelerator = Accelerator::new(CostConfig::preset(name).unwrap(), array)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        for layers in [lenet(), resnet18()] {
            let report = accelerator.cost(&layers).unwrap();
            check_sums(&report);
            assert_eq!(report.total.macs, macs(&layers), "{name}");
            let own = report
                .adc_range
                .estimates
                .iter()
                .find(|named| named.estimator == report.adc_estimator)
                .unwrap();
            assert_eq!(own.estimate, report.adc, "{name}");
            assert!(report.adc_range.energy_min <= report.adc.energy);
            assert!(report.adc_range.energy_max >= report.adc.energy);
            let plan = accelerator.floor_plan(&layers).unwrap();
            assert_eq!(plan.placements.len() as u64, report.total.arrays, "{name}");
        }
    }
}

/// Totals are sums of layers, shares lie within 0..=1.
fn check_sums(report: &CostReport) {
    let layers = &report.layers;
    let total = &report.total;
    let sum = |value: fn(&crossburn_hardware::cost::LayerCost) -> f64| -> f64 {
        layers.iter().map(value).sum()
    };
    let near = |a: f64, b: f64| assert!((a - b).abs() <= 1e-9 * a.abs().max(b.abs()), "{a} {b}");
    near(total.energy_total.get(), sum(|l| l.energy.total().get()));
    near(total.energy.adc.get(), sum(|l| l.energy.adc.get()));
    near(total.area_total.get(), sum(|l| l.area.total().get()));
    near(total.latency_sequential.get(), sum(|l| l.latency.get()));
    near(
        total.programming.energy.get(),
        sum(|l| l.programming.energy.get()),
    );
    assert_eq!(total.arrays, layers.iter().map(|l| l.arrays).sum::<u64>());
    assert!(total.interval_pipelined <= total.latency_pipelined);
    assert!(total.latency_pipelined.get() <= total.latency_sequential.get() * (1.0 + 1e-12));
    for layer in layers {
        assert!(layer.utilisation > 0.0 && layer.utilisation <= 1.0);
        assert!((0.0..=1.0).contains(&layer.adc_share_of_energy));
        assert!((0.0..=1.0).contains(&layer.adc_share_of_area));
    }
    assert!(total.utilisation > 0.0 && total.utilisation <= 1.0);
}

#[test]
fn copies_of_early_layers_shorten_the_pipeline_within_the_chip() {
    let mut config = CostConfig::preset("isaac").unwrap();
    let once = isaac().cost(&resnet18()).unwrap().total;
    let budget = config.components.arrays_per_chip();
    config.replication = Replication::Balanced { arrays: budget };
    let balanced = Accelerator::new(config, isaac_array())
        .unwrap()
        .cost(&resnet18())
        .unwrap();
    check_sums(&balanced);
    assert!(balanced.total.arrays <= budget as u64);
    // The slowest layers have 32 × 32 positions of 1.6 µs.
    assert_close(once.interval_pipelined.get(), 1024.0 * 1.6e-6);
    assert!(balanced.total.interval_pipelined.get() < 0.2 * once.interval_pipelined.get());
    assert!(balanced.layers[0].copies > balanced.layers[20].copies);
    // Copies cost area and writing, not events.
    assert_eq!(balanced.total.events, once.events);
    assert_eq!(balanced.total.energy.dynamic(), once.energy.dynamic());
    assert!(balanced.total.area_total > once.area_total);
    assert!(balanced.total.programming.cells > once.programming.cells);
}

#[test]
fn leakage_lasts_as_long_as_the_schedule_says() {
    let layers = [small_layer(), LayerShape::linear("fc", 5, 4)];
    let energy = |schedule| {
        let mut config = CostConfig::from_accelerator(SMALL).unwrap();
        config.schedule = schedule;
        let accelerator = Accelerator::new(config, small_array()).unwrap();
        accelerator.cost(&layers).unwrap().total.energy.leakage
    };
    // 12 and 6 arrays; 60 ns and 20 ns one after the other, 60 ns between images of a pipeline.
    assert_close(energy(Schedule::Sequential).get(), 18.0 * 80e-9 * 1e-3);
    assert_close(energy(Schedule::Pipelined).get(), 18.0 * 60e-9 * 1e-3);
}

#[test]
fn the_floor_plan_fills_tiles_in_order() {
    let mut config = CostConfig::from_accelerator(SMALL).unwrap();
    config.replication = Replication::Given {
        copies: BTreeMap::from([("w".to_string(), 3)]),
    };
    let layers = [small_layer(), LayerShape::linear("fc", 3, 1)];
    let plan = Accelerator::new(config, small_array())
        .unwrap()
        .floor_plan(&layers)
        .unwrap();
    // 3 copies · 12 arrays and one more; 3 arrays per tile, 2 tiles per chip.
    assert_eq!(plan.placements.len(), 37);
    assert_eq!((plan.tiles, plan.chips), (13, 7));
    assert_eq!(plan.layers, ["w", "fc"]);
    for (index, array) in plan.placements.iter().enumerate() {
        assert_eq!((array.chip * 2 + array.tile) * 3 + array.slot, index);
        assert!((1..=4).contains(&array.rows) && (1..=6).contains(&array.columns));
    }
    let cells = |layer| -> usize {
        let arrays = plan.placements.iter().filter(|array| array.layer == layer);
        arrays.map(|array| array.rows * array.columns).sum()
    };
    assert_eq!(cells(0), 3 * 160);
    // 3 inputs, 1 output in 4 columns.
    let last = plan.placements[36];
    assert_eq!(
        (last.layer, last.copy, last.rows, last.columns),
        (1, 0, 3, 4)
    );
}

#[rstest]
#[case(|_: &mut CostConfig, array: &mut ArrayShape| array.adc_bits = 0, "adc_bits = 0")]
#[case(|_: &mut CostConfig, array: &mut ArrayShape| array.rows = 0, "rows = 0")]
#[case(|_: &mut CostConfig, array: &mut ArrayShape| array.adc_bits = 9, "adc bits = 9 is outside 4..=8, the range of isaac")]
#[case(|_: &mut CostConfig, array: &mut ArrayShape| array.adc_bits = 3, "adc bits = 3")]
#[case(|_: &mut CostConfig, array: &mut ArrayShape| array.columns = 64, "cost.adc.columns_per_adc = 128 is outside 1..=64")]
#[case(|config: &mut CostConfig, _: &mut ArrayShape| config.adc.node_nm = 22.0, "adc node_nm = 22")]
#[case(
    |config: &mut CostConfig, _: &mut ArrayShape| config.adc.rate = Hertz::new(2e9),
    "cost.adc.rate = 2 GHz is outside the rates up to 1.28 GHz of isaac"
)]
#[case(
    |config: &mut CostConfig, _: &mut ArrayShape| config.adc.estimator = AdcEstimator::NeurosimSar,
    "cost.adc.rate = 1.28 GHz is outside the rates up to 111.1111111 MHz of neurosim-sar"
)]
#[case(|config: &mut CostConfig, _: &mut ArrayShape| config.components.rows = 0, "components.rows = 0")]
fn what_cannot_be_is_refused(
    #[case] change: fn(&mut CostConfig, &mut ArrayShape),
    #[case] start: &str,
) {
    let (mut config, mut array) = (CostConfig::preset("isaac").unwrap(), isaac_array());
    change(&mut config, &mut array);
    let message = Accelerator::new(config, array).unwrap_err().to_string();
    assert!(message.starts_with(start), "{message}");
}

#[test]
fn no_layers_and_layers_without_size_are_refused() {
    assert!(matches!(
        isaac().cost(&[]),
        Err(HardwareError::Limit { .. })
    ));
    let zero = LayerShape {
        positions: 0,
        ..LayerShape::linear("fc", 8, 8)
    };
    assert!(isaac().cost(std::slice::from_ref(&zero)).is_err());
    assert!(isaac().floor_plan(&[zero]).is_err());
    // 2^40 cells in 2^26 arrays and eight slices: too many to list, not too many to cost.
    let huge = LayerShape::linear("fc", 1 << 20, 1 << 20);
    assert!(isaac().cost(std::slice::from_ref(&huge)).is_ok());
    assert!(isaac().floor_plan(&[huge]).is_err());
}

#[test]
fn a_report_is_written_and_read_strictly() {
    let report = isaac().cost(&lenet()).unwrap();
    let text = serde_json::to_string(&report).unwrap();
    let again: CostReport = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&again).unwrap(), text);
    assert!(text.contains(r#""adc_estimator":"isaac""#));
    let unknown = text.replacen("\"schedule\"", "\"schedules\"", 1);
    assert!(serde_json::from_str::<CostReport>(&unknown).is_err());
    let array = serde_json::from_str::<ArrayShape>(r#"{"rows":64,"colums":64}"#);
    assert!(
        array
            .unwrap_err()
            .to_string()
            .contains("unknown field `colums`")
    );
}

/// Layers and arrays of any size that do not divide each other.
fn cases() -> impl Strategy<Value = (LayerShape, ArrayShape)> {
    let layer = (1usize..700, 1usize..300, 1usize..5, 1usize..50);
    let array = (
        1usize..300,
        2usize..300,
        2u8..=16,
        1u8..=4,
        1u8..=2,
        1u8..=16,
        any::<bool>(),
    );
    (layer, array).prop_map(|((inputs, outputs, groups, positions), array)| {
        let (rows, columns, weight_bits, slice_bits, devices_per_weight, input_bits, separate) =
            array;
        let layer = LayerShape {
            path: "layer".to_string(),
            inputs,
            outputs,
            groups,
            positions,
        };
        let array = ArrayShape {
            rows,
            columns,
            weight_bits,
            slice_bits: Some(slice_bits.min(weight_bits)),
            devices_per_weight,
            input_bits,
            layout: if separate {
                Layout::Separate
            } else {
                Layout::Interleaved
            },
            ..ArrayShape::default()
        };
        (layer, array)
    })
}

fn cost(layer: &LayerShape, array: &ArrayShape, replication: Replication) -> CostReport {
    let mut config = CostConfig::preset("isaac").unwrap();
    config.adc.columns_per_adc = config.adc.columns_per_adc.min(array.columns);
    config.static_power = Some(Watt::new(1e-3));
    config.replication = replication;
    let accelerator = Accelerator::new(config, *array).unwrap();
    accelerator.cost(std::slice::from_ref(layer)).unwrap()
}

/// Every component but leakage of `a` is `factor` times that of `b`, up to roundings of f64.
fn is_multiple(a: &EnergyBreakdown, b: &EnergyBreakdown, factor: f64) -> bool {
    let pairs = a.named().into_iter().zip(b.named());
    pairs
        .filter(|((name, _), _)| *name != "leakage")
        .all(|((_, a), (_, b))| (a.get() - factor * b.get()).abs() <= 1e-12 * a.get())
}

proptest! {
    #[test]
    fn twice_the_positions_cost_twice_the_energy_and_time_on_the_same_arrays(
        (layer, array) in cases(),
    ) {
        let twice = LayerShape { positions: 2 * layer.positions, ..layer.clone() };
        let (one, two) = (cost(&layer, &array, Replication::default()), cost(&twice, &array, Replication::default()));
        prop_assert!(is_multiple(&two.total.energy, &one.total.energy, 2.0));
        prop_assert!((two.total.latency_sequential.get() / one.total.latency_sequential.get() - 2.0).abs() < 1e-12);
        prop_assert_eq!(two.total.area, one.total.area);
        prop_assert_eq!(two.total.programming, one.total.programming);
        check_sums(&one);
        check_sums(&two);
    }

    #[test]
    fn groups_add_up((layer, array) in cases()) {
        let one = LayerShape { groups: 1, ..layer.clone() };
        let groups = layer.groups as f64;
        let (one, all) = (cost(&one, &array, Replication::default()), cost(&layer, &array, Replication::default()));
        prop_assert!(is_multiple(&all.total.energy, &one.total.energy, groups));
        prop_assert_eq!(all.total.arrays, layer.groups as u64 * one.total.arrays);
        prop_assert_eq!(all.total.programming.cells, layer.groups as u64 * one.total.programming.cells);
        prop_assert_eq!(all.total.latency_sequential, one.total.latency_sequential);
        prop_assert!((all.total.utilisation - one.total.utilisation).abs() < 1e-12);
    }

    #[test]
    fn copies_divide_the_time_and_multiply_the_arrays((layer, array) in cases(), copies in 1usize..50) {
        let copies = copies.min(layer.positions);
        let given = Replication::Given { copies: BTreeMap::from([("layer".to_string(), copies)]) };
        let (one, many) = (cost(&layer, &array, Replication::default()), cost(&layer, &array, given));
        prop_assert!(is_multiple(&many.total.energy, &one.total.energy, 1.0));
        prop_assert_eq!(many.total.arrays, copies as u64 * one.total.arrays);
        let position = one.layers[0].latency_per_position.get();
        let expected = layer.positions.div_ceil(copies) as f64 * position;
        prop_assert!((many.total.latency_sequential.get() - expected).abs() <= 1e-12 * expected);
    }
}
