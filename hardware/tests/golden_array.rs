//! One crossbar against an independent array simulator (CrossSim 3.2), and against cases worked by hand.
//!
//! The vectors of the simulator lie in `shared/data/golden-crossbar` beside the checkout; without them those tests say so
//! and pass.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]
#![allow(clippy::print_stderr, reason = "a skipped test says why")]

use std::path::{Path, PathBuf};

use crossburn_hardware::units::Siemens;
use crossburn_hardware::{
    Adc, AdcCodes, AdcRange, ArrayConfig, ConductanceRange, Conversion, Dac, Effects, MappedMatrix,
    Mapping, ProgrammedMatrix, Scheme, WeightBits, WeightMatrix,
};
use rstest::rstest;
use safetensors::SafeTensors;

fn range(g_min: f64) -> ConductanceRange {
    ConductanceRange::new(Siemens::new(g_min * 1e-4), Siemens::new(1e-4)).unwrap()
}

/// The converter of the simulator, whose `2^bits - 1` steps leave zero between two codes.
fn full(bits: u8) -> Adc {
    Adc {
        codes: AdcCodes::Full,
        ..Adc::new(bits)
    }
}

/// One file of the simulator.
struct Case {
    bytes: Vec<u8>,
}

impl Case {
    fn read(name: &str, size: usize) -> Option<Self> {
        let folder: PathBuf =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/golden-crossbar");
        if !folder.exists() {
            eprintln!("skipped: no vectors of the simulator beside the checkout");
            return None;
        }
        let file = folder.join(format!("{name}_{size}x{size}.safetensors"));
        let bytes = std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        Some(Self { bytes })
    }

    fn tensor(&self, name: &str) -> (Vec<usize>, Vec<f32>) {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = file.tensor(name).unwrap();
        let values = view.data().as_chunks::<4>().0;
        let values = values.iter().map(|b| f32::from_le_bytes(*b)).collect();
        (view.shape().to_vec(), values)
    }

    /// `[rows, columns]` as `[columns, rows]`.
    fn turned(&self, name: &str) -> Vec<f32> {
        let (shape, values) = self.tensor(name);
        let column = |c| values.iter().skip(c).step_by(shape[1]).copied();
        (0..shape[1]).flat_map(column).collect()
    }

    fn weights(&self) -> WeightMatrix {
        let (shape, values) = self.tensor("W");
        WeightMatrix::new(shape[0], shape[1], values).unwrap()
    }
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |a, v| a.max(v.abs()))
}

/// Both sides round to 32 bits, in conductances and in sums of up to 64 terms.
const TOLERANCE: f32 = 2e-6;

#[track_caller]
fn agree(what: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let bound = TOLERANCE * largest(expected);
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (found - expected).abs() <= bound,
            "{what}: value {at} is {found}, not {expected}"
        );
    }
}

/// Compares the planes with conductances of the simulator, which are relative to `g_max`.
#[track_caller]
fn agree_planes(case: &Case, mapped: &MappedMatrix, names: &[&str]) {
    let stored: Vec<Vec<f32>> = names.iter().map(|name| case.tensor(name).1).collect();
    let slices = mapped.planes.len() / names.len();
    for (at, plane) in mapped.planes.iter().enumerate() {
        let stored = &stored[at % names.len()];
        let length = stored.len() / slices;
        let expected = &stored[plane.slice * length..][..length];
        let found: Vec<f32> = plane.targets.iter().map(|g| g / 100.0).collect();
        agree(&format!("plane {at}"), &found, expected);
    }
}

fn programmed(mapped: &MappedMatrix, config: &ArrayConfig) -> ProgrammedMatrix {
    let targets = mapped.targets();
    ProgrammedMatrix::new(mapped, targets, mapped.range, config, &Effects::default()).unwrap()
}

fn pair(bits: u8) -> Mapping {
    Mapping::new(Scheme::OneSidedPair, WeightBits::new(bits).unwrap())
}

#[rstest]
#[case("ideal_q8_noadc", 8, 0.01)]
#[case("ideal_q4_noadc", 4, 0.01)]
#[case("ideal_q8_noadc_infonoff", 8, 0.0)]
fn pairs_without_a_converter(
    #[case] name: &str,
    #[case] bits: u8,
    #[case] g_min: f64,
    #[values(16, 64)] size: usize,
    #[values(5, 16, 64)] tile: usize,
) {
    let Some(case) = Case::read(name, size) else {
        return;
    };
    let mapped = pair(bits).map(&case.weights(), range(g_min)).unwrap();
    agree_planes(&case, &mapped, &["Gpos", "Gneg"]);
    let back = mapped.read_back(&mapped.targets()).unwrap();
    agree("weights", &back.values, &case.tensor("W_read").1);
    let matrix = programmed(&mapped, &ArrayConfig::new(tile, tile, Dac::new(bits)));
    let y = matrix.multiply(&case.turned("X"), None).unwrap();
    agree("results", &y, &case.turned("Y"));
}

#[rstest]
fn two_sided_pairs_of_cells_with_128_levels(#[values(16, 64)] size: usize) {
    let Some(case) = Case::read("balanced_twosided_q8", size) else {
        return;
    };
    let mapping = Mapping {
        cell_levels: Some(128),
        ..Mapping::new(Scheme::TwoSidedPair, WeightBits::new(8).unwrap())
    };
    let mapped = mapping.map(&case.weights(), range(0.01)).unwrap();
    agree_planes(&case, &mapped, &["Gpos", "Gneg"]);
    let back = mapped.read_back(&mapped.targets()).unwrap();
    agree("weights", &back.values, &case.tensor("W_read").1);
    let matrix = programmed(&mapped, &ArrayConfig::new(size, size, Dac::new(8)));
    let y = matrix.multiply(&case.turned("X"), None).unwrap();
    agree("results", &y, &case.turned("Y"));
}

/// Codes of results: `y = lo + code lsb` in units of `unit` per normalised current.
fn codes(y: &[f32], unit: f32, range: f32, steps: f32) -> Vec<f32> {
    let code = |y: &f32| (y / unit + range) * steps / (2.0 * range);
    y.iter().map(code).collect()
}

#[rstest]
#[case("adc8_calibrated", full(8).with_range(AdcRange::Fixed { lo: -2.0, hi: 2.0 }), 2.0)]
#[case("adc8_calibrated_tight", full(8).with_range(AdcRange::Fixed { lo: -0.75, hi: 0.75 }), 0.75)]
#[case("adc6_max", full(6), 0.0)]
#[case(
    "adc8_bitserial_end",
    Adc { conversion: Conversion::Accumulated, ..full(8).with_range(AdcRange::Fixed { lo: -2.0, hi: 2.0 }) },
    2.0
)]
fn codes_of_whole_products_are_exact(
    #[case] name: &str,
    #[case] adc: Adc,
    #[case] limit: f32,
    #[values(16, 64)] size: usize,
) {
    let Some(case) = Case::read(name, size) else {
        return;
    };
    let weights = case.weights();
    let mapped = pair(8).map(&weights, range(0.01)).unwrap();
    agree_planes(&case, &mapped, &["Gpos", "Gneg"]);
    let slice_bits = (adc.conversion == Conversion::Accumulated).then_some(1);
    let input = Dac {
        slice_bits,
        ..Dac::new(8)
    };
    let matrix = programmed(&mapped, &ArrayConfig::new(size, size, input).with_adc(adc));
    let y = matrix.multiply(&case.turned("X"), None).unwrap();
    let limit = if limit == 0.0 { size as f32 } else { limit };
    let unit = largest(&weights.values) / 0.99;
    let steps = ((1 << adc.bits) - 1) as f32;
    let found = codes(&y, unit, limit, steps);
    let expected = codes(&case.turned("Y"), unit, limit, steps);
    for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert_eq!(found.round(), expected.round(), "code {at}");
    }
    agree("results", &y, &case.turned("Y"));
}

#[rstest]
fn codes_of_single_bits_differ_in_ties_only(#[values(16, 64)] size: usize) {
    let Some(case) = Case::read("adc8_bitserial_perbit", size) else {
        return;
    };
    let weights = case.weights();
    let mapped = pair(8).map(&weights, range(0.01)).unwrap();
    agree_planes(&case, &mapped, &["Gpos", "Gneg"]);
    let adc = full(8).with_range(AdcRange::Fixed { lo: -2.0, hi: 2.0 });
    let input = Dac {
        slice_bits: Some(1),
        ..Dac::new(8)
    };
    let matrix = programmed(&mapped, &ArrayConfig::new(size, size, input).with_adc(adc));
    // Repeated, so that the tables of partial sums are used whatever the size of the batch.
    let x = case.turned("X").repeat(4);
    let y = matrix.multiply(&x, None).unwrap();
    let single = matrix.multiply(&case.turned("X"), None).unwrap();
    let expected = case.turned("Y");
    let lsb = 4.0 / 255.0 / 0.99 * largest(&weights.values) * 128.0 / 127.0;
    for found in [&y[..expected.len()], &single] {
        let differ = |(found, expected): &(&f32, &f32)| (*found - *expected).abs() > 1e-3 * lsb;
        let ties: Vec<f32> = found
            .iter()
            .zip(&expected)
            .filter(differ)
            .map(|(f, e)| (f - e) / lsb * 128.0)
            .collect();
        // The documented bound of the vectors: less than 2 % of outputs, one code of one bit.
        assert!(50 * ties.len() < expected.len(), "{ties:?}");
        for tie in ties {
            let bit = tie.abs().log2();
            assert!(
                (bit - bit.round()).abs() < 1e-2 && bit.round() <= 6.0,
                "{tie} is no bit"
            );
        }
    }
}

#[rstest]
fn slices_of_pairs(#[values(16, 64)] size: usize, #[values(false, true)] converted: bool) {
    let name = if converted {
        "sliced4x2_balanced_adc8max"
    } else {
        "sliced4x2_balanced_noadc"
    };
    let Some(case) = Case::read(name, size) else {
        return;
    };
    let mapping = pair(8).with_slice_bits(2);
    let mapped = mapping.map(&case.weights(), range(0.01)).unwrap();
    agree_planes(&case, &mapped, &["Gslices_pos", "Gslices_neg"]);
    let mut config = ArrayConfig::new(size, size, Dac::new(8));
    config.adc = converted.then(|| full(8));
    let y = programmed(&mapped, &config)
        .multiply(&case.turned("X"), None)
        .unwrap();
    let expected = case.turned("Y");
    if !converted {
        return agree("results", &y, &expected);
    }
    // Sums of codes: the simulator's own rounding of 32 bits reaches 2e-6 of the largest result, which is 7e-4 of a code of
    // the lowest slice.
    let weights = case.weights();
    let lsb = 2.0 * size as f32 / 255.0 / 0.99 * 3.0 / 127.0 * largest(&weights.values);
    for (at, (found, expected)) in y.iter().zip(&expected).enumerate() {
        assert!(
            (found - expected).abs() < 1e-2 * lsb,
            "code {at}: {found}, not {expected}"
        );
    }
}

#[rstest]
#[case("offset_q8_noadc", Scheme::DigitalOffset, None, "G", 254.0 / 255.0)]
#[case("offset_unitcol_q8_noadc", Scheme::UnitColumn, None, "G", 254.0 / 255.0)]
#[case(
    "sliced4x2_offset_noadc",
    Scheme::DigitalOffset,
    Some(2),
    "Gslices_pos",
    1.0
)]
fn offsets(
    #[case] name: &str,
    #[case] scheme: Scheme,
    #[case] slice_bits: Option<u8>,
    #[case] planes: &str,
    #[case] gain: f32,
    #[values(16, 64)] size: usize,
) {
    let Some(case) = Case::read(name, size) else {
        return;
    };
    let mapping = Mapping {
        slice_bits,
        ..Mapping::new(scheme, WeightBits::new(8).unwrap())
    };
    let mapped = mapping.map(&case.weights(), range(0.01)).unwrap();
    agree_planes(&case, &mapped, &[planes]);
    // The simulator has the unit column beside the array.
    let matrix = programmed(&mapped, &ArrayConfig::new(size, size + 1, Dac::new(8)));
    let y = matrix.multiply(&case.turned("X"), None).unwrap();
    // The simulator's gain is low by 254/255 in one of its two ways to offset.
    let expected: Vec<f32> = case.turned("Y").iter().map(|y| y / gain).collect();
    agree("results", &y, &expected);
}

/// Two outputs, two inputs, three bits, worked by hand.
///
/// ```text
/// W = round(3 w) = [3, -2; 1, 2]          x codes 2 and -3 of 3: x = 2/3, -1
/// I = W x / 3 = 4/3, -4/9
/// ```
#[rstest]
#[case(None, None, [4.0 / 3.0, -4.0 / 9.0])]
// Seven steps over ±1: 4/3 is clipped to 1, -4/9 is at 1.94 steps and read as two: -3/7.
#[case(Some(full(3)), None, [1.0, -3.0 / 7.0])]
// Bit 0 applies 0, -1: 2/3 and -2/3, read as 5/7 and -5/7. Bit 1 applies 1, -1: 5/3 and -1/3, read as 1 and -3/7.
#[case(Some(full(3)), Some(1), [19.0 / 21.0, -11.0 / 21.0])]
fn a_small_array_worked_by_hand(
    #[case] adc: Option<Adc>,
    #[case] slice_bits: Option<u8>,
    #[case] expected: [f32; 2],
    #[values(1, 40)] repeats: usize,
) {
    let weights = WeightMatrix::new(2, 2, vec![1.0, -0.5, 0.25, 0.75]).unwrap();
    let mapped = pair(3).map(&weights, range(0.0)).unwrap();
    let input = Dac {
        slice_bits,
        ..Dac::new(3)
    };
    let mut config = ArrayConfig::new(2, 2, input);
    config.adc = adc.map(|adc| adc.with_range(AdcRange::Fixed { lo: -1.0, hi: 1.0 }));
    let y = programmed(&mapped, &config)
        .multiply(&[0.5, -1.0].repeat(repeats), None)
        .unwrap();
    agree("results", &y, &expected.repeat(repeats));
}

/// The same weights with an offset of four: cells 7, 2, 5, 6 of 7. Arrays are one input wide, so every input is converted
/// alone, to codes of 0.4 from -1.4 on.
///
/// ```text
/// input 2/3:   2/3 and 10/21 are at 5.17 and 4.69 steps: 0.6, 0.6           unit column 8/21 at 4.45: 0.2
/// input -1:    -2/7 and -6/7 are at 2.79 and 1.36 steps: -0.2, -1.0         unit column -4/7 at 2.07: -0.6
/// sums         0.4, -0.4                                                    unit column -0.4, digital 4/7 (2/3 - 1)
/// ```
#[rstest]
#[case(Scheme::UnitColumn, -0.4)]
#[case(Scheme::DigitalOffset, -4.0 / 21.0)]
fn partial_sums_of_row_tiles_are_converted_one_by_one(#[case] scheme: Scheme, #[case] unit: f32) {
    let weights = WeightMatrix::new(2, 2, vec![1.0, -0.5, 0.25, 0.75]).unwrap();
    let mapping = Mapping::new(scheme, WeightBits::new(3).unwrap());
    let mapped = mapping.map(&weights, range(0.0)).unwrap();
    let outputs = &mapped.planes[0].targets[2 * (mapped.lines() - 2)..];
    let cells: Vec<f32> = outputs.iter().map(|g| (0.07 * g).round()).collect();
    assert_eq!(cells, [7.0, 2.0, 5.0, 6.0]);
    let adc = full(3).with_range(AdcRange::Fixed { lo: -1.4, hi: 1.4 });
    let config = ArrayConfig::new(1, 4, Dac::new(3)).with_adc(adc);
    let y = programmed(&mapped, &config)
        .multiply(&[0.5, -1.0], None)
        .unwrap();
    // Seven steps are three units of weight.
    let expected = [0.4 - unit, -0.4 - unit].map(|current| current * 7.0 / 3.0);
    for (found, expected) in y.iter().zip(expected) {
        assert!((found - expected).abs() < 4e-6, "{y:?}");
    }
}
