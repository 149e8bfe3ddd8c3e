//! Products on arrays: against plain sums, by themselves, and with everything that can act on them.

mod circuit;
mod on_device;

use super::*;
use crate::units::Siemens;
use crate::{ConductanceRange, HardwareError, Mapping, Scheme, WeightBits, WeightMatrix};
use crossburn_noise::ChipSeed;
use proptest::prelude::*;
use rstest::rstest;

fn range(g_min: f64) -> ConductanceRange {
    ConductanceRange::new(Siemens::new(g_min), Siemens::new(1e-4)).unwrap()
}

fn numbers(seed: u32, count: usize) -> Vec<f32> {
    let mut draws = vec![0.0f64; count];
    ChipSeed::new(seed.into(), 0)
        .generator("test")
        .fill_uniform(&mut draws);
    draws.into_iter().map(|u| 2.0 * u as f32 - 1.0).collect()
}

fn mapping(scheme: Scheme, bits: u8, slice_bits: Option<u8>) -> Mapping {
    let mapping = Mapping::new(scheme, WeightBits::new(bits).unwrap());
    Mapping {
        slice_bits,
        ..mapping
    }
}

fn ideal(
    mapping: &Mapping,
    weights: &WeightMatrix,
    g_min: f64,
    config: &ArrayConfig,
) -> ProgrammedMatrix {
    let mapped = mapping.map(weights, range(g_min)).unwrap();
    let mapped = mapped.on_columns(config.columns).unwrap();
    let targets = mapped.targets();
    ProgrammedMatrix::new(&mapped, targets, range(g_min), config, &Effects::default()).unwrap()
}

/// `weights · x` in 64 bits.
fn digital(weights: &WeightMatrix, x: &[f32]) -> Vec<f64> {
    let dot = |row: &[f32], x: &[f32]| {
        row.iter()
            .zip(x)
            .map(|(w, x)| f64::from(*w) * f64::from(*x))
            .sum()
    };
    x.chunks_exact(weights.inputs)
        .flat_map(|x| {
            weights
                .values
                .chunks_exact(weights.inputs)
                .map(move |row| dot(row, x))
        })
        .collect()
}

fn schemes() -> impl Strategy<Value = (Scheme, Option<u8>)> {
    let sliced = prop_oneof![
        Just(Scheme::OneSidedPair),
        Just(Scheme::DigitalOffset),
        Just(Scheme::UnitColumn)
    ];
    prop_oneof![
        (sliced, prop::option::of(1u8..=4)),
        Just((Scheme::TwoSidedPair, None)),
        Just((
            Scheme::SignificancePairs {
                significances: vec![1.0, 3.0]
            },
            None
        )),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn ideal_arrays_multiply_with_the_weights_read_back(
        (scheme, slice_bits) in schemes(), bits in 2u8..=8, input_bits in 2u8..=8, input_slice in 0u8..=3,
        unsigned: bool, converted: bool, (outputs, inputs) in (1usize..300, 1usize..60), batch in 1usize..20,
        (rows, columns) in (1usize..40, 1usize..80), seed: u32,
    ) {
        let weights = WeightMatrix::new(outputs, inputs, numbers(seed, outputs * inputs)).unwrap();
        let sign = if unsigned { InputSign::Unsigned } else { InputSign::Signed };
        let slice = Some(input_slice).filter(|s| *s > 0 && u32::from(*s) < u32::from(input_bits));
        let input = Dac { sign, x_max: 1.5, slice_bits: slice, ..Dac::new(input_bits) };
        let pair = scheme.is_pair() && !matches!(scheme, Scheme::SignificancePairs { .. });
        // A unit column and an output at least.
        let columns = if scheme == Scheme::UnitColumn { columns.max(2) } else { columns };
        let mapping = mapping(scheme, bits, slice_bits);
        let mut config = ArrayConfig::new(rows, columns, input);
        // Steps of cells and inputs are told apart where g_min cancels.
        let granular = Adc::new(16).with_range(AdcRange::Granular);
        let mapped = mapping.map(&weights, range(1e-6)).unwrap();
        if converted && pair {
            let with = config.clone().with_adc(granular);
            let made = ProgrammedMatrix::new(&mapped, mapped.targets(), range(1e-6), &with, &Effects::default());
            if made.is_ok() {
                config = with;
            }
        }
        let matrix = ideal(&mapping, &weights, 1e-6, &config);
        let back = mapped.read_back(&mapped.targets()).unwrap();
        let x: Vec<f32> = numbers(seed ^ 1, batch * inputs).iter().map(|x| 2.0 * x).collect();
        let levels = input.levels() as f32;
        let applied: Vec<f32> = input.codes(&x).unwrap().iter().map(|c| 1.5 * c / levels).collect();
        let expected = digital(&back, &applied);
        let effective = matrix.effective_weights();
        let most = back.values.iter().fold(0.0f32, |a, w| a.max(w.abs()));
        for (found, expected) in effective.values.iter().zip(&back.values) {
            prop_assert!((found - expected).abs() <= 1e-5 * most);
        }
        // Relative to what a sum of this length can reach; offsets cancel to a part of it.
        let reach = f64::from(most) * 1.5 * (inputs as f64).sqrt();
        let found = matrix.multiply(&x, None).unwrap();
        for (found, expected) in found.iter().zip(&expected) {
            prop_assert!((f64::from(*found) - expected).abs() <= 1e-5 * reach, "{found} {expected}");
        }
    }

    #[test]
    fn sliced_integers_are_bit_true(
        slice_bits in 1u8..=4, input_slice in 1u8..=3, inputs in 1usize..40, outputs in 1usize..40, rows in 1usize..17,
        offset: bool, batch in 1usize..14, seed: u32,
    ) {
        let integers: Vec<f32> = numbers(seed, outputs * inputs).iter().map(|w| (w * 127.0).round()).collect();
        let mut integers = integers;
        integers[0] = 127.0;
        let weights = WeightMatrix::new(outputs, inputs, integers).unwrap();
        let scheme = if offset { Scheme::DigitalOffset } else { Scheme::OneSidedPair };
        let input = Dac { x_max: 127.0, slice_bits: Some(input_slice), ..Dac::new(8) };
        let config = ArrayConfig::new(rows, 16, input).with_adc(Adc::new(13).with_range(AdcRange::Granular));
        let matrix = ideal(&mapping(scheme, 8, Some(slice_bits)), &weights, 0.0, &config);
        let x: Vec<f32> = numbers(seed ^ 7, batch * inputs).iter().map(|x| (x * 127.0).round()).collect();
        let expected = digital(&weights, &x);
        for (found, expected) in matrix.multiply(&x, None).unwrap().iter().zip(&expected) {
            prop_assert_eq!(f64::from(found.round()), *expected);
        }
    }
}

/// One bit at a time, converted each.
fn bit_serial(bits: u8) -> ArrayConfig {
    let input = Dac {
        slice_bits: Some(1),
        ..Dac::new(8)
    };
    let range = AdcRange::Fixed { lo: -4.0, hi: 4.0 };
    ArrayConfig::new(64, 64, input).with_adc(Adc::new(bits).with_range(range))
}

#[test]
fn results_are_the_same_on_any_number_of_threads() {
    let weights = WeightMatrix::new(300, 100, numbers(1, 30_000)).unwrap();
    let x = numbers(2, 300 * 100);
    let sigma = vec![vec![0.5; 30_000]; 2];
    for (slice_bits, circuit) in [
        (None, None),
        (Some(1), None),
        (Some(3), None),
        (None, Some(0.7)),
        (Some(1), Some(0.7)),
    ] {
        let mut config = bit_serial(8);
        config.input.slice_bits = slice_bits;
        config.circuit = circuit.map(|sigma_lsb| Circuit::Even { sigma_lsb });
        let mapped = mapping(Scheme::OneSidedPair, 8, None)
            .map(&weights, range(1e-6))
            .unwrap();
        let effects = Effects {
            read_sigma: Some(&sigma),
            ..Effects::default()
        };
        let matrix =
            ProgrammedMatrix::new(&mapped, mapped.targets(), range(1e-6), &config, &effects)
                .unwrap();
        let numbers: Vec<u64> = (5..305).collect();
        let reads = Reads {
            draws: ChipSeed::new(1, 2).generator("w/read"),
            numbers: &numbers,
        };
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| matrix.multiply(&x, Some(reads)).unwrap())
        };
        let one = on(1);
        assert_eq!(one, on(2));
        // A part of the batch, read later: the noise of a row is its own.
        let later = Reads {
            numbers: &numbers[128..],
            ..reads
        };
        let part = matrix.multiply(&x[128 * 100..], Some(later)).unwrap();
        assert_eq!(part, one[128 * 300..]);
        // Rows in another order keep theirs as well.
        let backwards = |values: &[f32], width: usize| -> Vec<f32> {
            values.chunks(width).rev().flatten().copied().collect()
        };
        let last_first: Vec<u64> = numbers.iter().rev().copied().collect();
        let last_first = Reads {
            numbers: &last_first,
            ..reads
        };
        let turned = matrix.multiply(&backwards(&x, 100), Some(last_first));
        assert_eq!(turned.unwrap(), backwards(&one, 300));
        let few = Reads {
            numbers: &numbers[1..],
            ..reads
        };
        let message = matrix.multiply(&x, Some(few)).unwrap_err().to_string();
        assert!(
            message.starts_with("number of reads = 299 is outside 300"),
            "{message}"
        );
    }
}

#[rstest]
#[case(None, None)]
#[case(Some(1), None)]
#[case(Some(1), Some(Conversion::PerSlice))]
#[case(Some(3), Some(Conversion::PerSlice))]
#[case(Some(3), Some(Conversion::Accumulated))]
fn read_noise_has_the_variance_of_its_cells(
    #[case] slice_bits: Option<u8>,
    #[case] conversion: Option<Conversion>,
) {
    let weights = WeightMatrix::new(2, 3, vec![0.5, -1.0, 0.25, 0.0, 0.75, 1.0]).unwrap();
    let mapped = mapping(Scheme::OneSidedPair, 8, None)
        .map(&weights, range(0.0))
        .unwrap();
    let sigma = vec![
        vec![0.4, 0.1, 0.2, 0.3, 0.0, 0.2],
        vec![0.3, 0.2, 0.0, 0.1, 0.5, 0.4],
    ];
    let effects = Effects {
        read_sigma: Some(&sigma),
        ..Effects::default()
    };
    let mut config = ArrayConfig::new(
        2,
        2,
        Dac {
            slice_bits,
            ..Dac::new(8)
        },
    );
    if let Some(conversion) = conversion {
        // Fine enough to leave the noise alone: a step is 6e-5, the deviations are 2e-3 and more.
        let range = AdcRange::Fixed { lo: -2.0, hi: 2.0 };
        config = config.with_adc(Adc {
            conversion,
            ..Adc::new(16).with_range(range)
        });
    }
    let matrix =
        ProgrammedMatrix::new(&mapped, mapped.targets(), range(0.0), &config, &effects).unwrap();
    let x = [0.9f32, -0.4, 0.6];
    let codes = config.input.codes(&x).unwrap();
    let n = 40_000;
    let numbers: Vec<u64> = (0..n as u64).collect();
    let reads = Reads {
        draws: ChipSeed::new(3, 4).generator("w/read"),
        numbers: &numbers,
    };
    let y = matrix.multiply(&x.repeat(n), Some(reads)).unwrap();
    let width = slice_bits.map_or(7, u32::from);
    for output in 0..2 {
        let mut mean = 0.0;
        let mut variance = 0.0;
        for (input, code) in codes.iter().enumerate() {
            let at = output * 3 + input;
            mean += f64::from(matrix.effective_weights().values[at] * code / 127.0);
            let cells = (sigma[0][at].powi(2) + sigma[1][at].powi(2)) / 1e4;
            let magnitude = code.abs() as u32;
            for j in 0..7u32.div_ceil(width) {
                let digit = ((magnitude >> (width * j)) & ((1 << width) - 1)) << (width * j);
                variance += f64::from(cells) * (f64::from(digit) / 127.0).powi(2);
            }
        }
        let found: Vec<f64> = y
            .iter()
            .skip(output)
            .step_by(2)
            .map(|y| f64::from(*y))
            .collect();
        let average = found.iter().sum::<f64>() / n as f64;
        let spread = found.iter().map(|y| (y - average).powi(2)).sum::<f64>() / n as f64;
        // Four standard errors of a mean, and of a variance of normals: sigma / sqrt n and sigma² sqrt(2 / n); the mean
        // has a rounding of the converter on top.
        assert!(
            (average - mean).abs() < 4.0 * (variance / n as f64).sqrt() + 2e-5,
            "{average} {mean}"
        );
        assert!(
            (spread / variance - 1.0).abs() < 4.0 * (2.0 / n as f64).sqrt(),
            "{spread} {variance}"
        );
    }
}

#[test]
fn converters_without_deviation_are_ideal_and_others_shift_their_own_lines() {
    let weights = WeightMatrix::new(20, 30, numbers(5, 600)).unwrap();
    let x = numbers(6, 50 * 30);
    let mapped = mapping(Scheme::OneSidedPair, 8, None)
        .map(&weights, range(1e-6))
        .unwrap();
    let made = |adc: Adc, chip: u64| {
        let config = ArrayConfig::new(64, 16, Dac::new(8)).with_adc(adc);
        let draws = ChipSeed::new(1, chip).generator("w/adc");
        let effects = Effects {
            converters: adc.has_errors().then_some(&draws as _),
            ..Effects::default()
        };
        let matrix =
            ProgrammedMatrix::new(&mapped, mapped.targets(), range(1e-6), &config, &effects);
        matrix.unwrap().multiply(&x, None).unwrap()
    };
    let plain = Adc::new(8).with_range(AdcRange::Fixed { lo: -4.0, hi: 4.0 });
    let expected = made(plain, 0);
    let zero = |capacitors: bool| Adc {
        gain_error: Some(GainError { sigma: 0.0 }),
        comparator_offset: Some(ComparatorOffset {
            sigma_lsb: 0.0,
            sharing: OffsetSharing::PerColumn,
        }),
        capacitor_mismatch: capacitors.then_some(CapacitorMismatch { sigma_unit: 0.0 }),
        ..plain
    };
    assert_eq!(made(zero(false), 0), expected);
    // Half steps go up in a successive approximation and to even otherwise: no current of this case is one.
    assert_eq!(made(zero(true), 0), expected);
    // An offset of some steps per converter: lines 0..8, 8..16 of the first array and 16..20 of the second shift alike.
    let shifted = made(
        Adc {
            comparator_offset: Some(ComparatorOffset {
                sigma_lsb: 300.0,
                sharing: OffsetSharing::PerConverter,
            }),
            range: AdcRange::Fixed {
                lo: -4000.0,
                hi: 4000.0,
            },
            bits: 16,
            ..plain
        },
        1,
    );
    let shift = |line: usize| {
        (0..50)
            .map(|r| shifted[r * 20 + line] - expected[r * 20 + line])
            .sum::<f32>()
            / 50.0
    };
    for lines in [0..8, 8..16, 16..20] {
        let first = shift(lines.start);
        // A step of the shifted converter is 0.12 of a weight; both round.
        assert!(
            lines.clone().all(|line| (shift(line) - first).abs() < 0.2),
            "{lines:?}"
        );
    }
    assert!((shift(0) - shift(8)).abs() > 1.0 && (shift(8) - shift(16)).abs() > 1.0);
    let slopes = made(
        Adc {
            gain_error: Some(GainError { sigma: 0.2 }),
            ..plain
        },
        1,
    );
    assert_ne!(slopes, expected);
    assert_ne!(
        slopes,
        made(
            Adc {
                gain_error: Some(GainError { sigma: 0.2 }),
                ..plain
            },
            2
        )
    );
    let worn = made(
        Adc {
            capacitor_mismatch: Some(CapacitorMismatch { sigma_unit: 0.1 }),
            ..plain
        },
        1,
    );
    assert_ne!(worn, expected);
}

#[test]
fn wires_see_every_array_and_replace_its_cells() {
    let weights = WeightMatrix::new(5, 7, numbers(8, 35)).unwrap();
    for scheme in [Scheme::OneSidedPair, Scheme::UnitColumn] {
        let config = ArrayConfig::new(3, 4, Dac::new(8));
        let mapped = mapping(scheme, 8, Some(2))
            .map(&weights, range(1e-6))
            .and_then(|mapped| mapped.on_columns(config.columns))
            .unwrap();
        let plain = ideal(
            &mapping(
                if mapped.planes.len() == 8 {
                    Scheme::OneSidedPair
                } else {
                    Scheme::UnitColumn
                },
                8,
                Some(2),
            ),
            &weights,
            1e-6,
            &config,
        );
        let seen = std::sync::Mutex::new(Vec::new());
        let wires = |tile: &Tile<'_>| {
            seen.lock().unwrap().push((
                tile.slice,
                tile.first_input,
                tile.inputs,
                tile.first_output,
                tile.outputs,
            ));
            Ok(tile.ideal().into_iter().map(|g| 0.5 * g).collect())
        };
        let effects = Effects {
            wires: Some(&wires),
            ..Effects::default()
        };
        let matrix =
            ProgrammedMatrix::new(&mapped, mapped.targets(), range(1e-6), &config, &effects)
                .unwrap();
        let found = matrix.effective_weights().values;
        for (found, plain) in found.iter().zip(plain.effective_weights().values) {
            assert!((found - 0.5 * plain).abs() < 1e-6);
        }
        let mut seen = seen.into_inner().unwrap();
        seen.sort_unstable();
        assert_eq!(seen.len(), 4 * 3 * 2);
        assert_eq!(seen[0], (0, 0, 3, 0, 4));
        assert_eq!(seen[23], (3, 6, 1, 4, mapped.lines() - 4));
    }
}

#[test]
fn calibration_uses_the_range_of_the_data() {
    let weights = WeightMatrix::new(40, 90, numbers(9, 3600)).unwrap();
    let x = numbers(10, 200 * 90);
    let wide = ArrayConfig::new(64, 64, Dac::new(8)).with_adc(Adc::new(8));
    let adc = Adc::new(8).with_range(AdcRange::Calibrated { percentile: 100.0 });
    let fitted = ArrayConfig::new(64, 64, Dac::new(8)).with_adc(adc);
    let mapping = mapping(Scheme::OneSidedPair, 8, Some(2));
    let exact = ideal(
        &mapping,
        &weights,
        1e-6,
        &ArrayConfig::new(64, 64, Dac::new(8)),
    );
    let exact = exact.multiply(&x, None).unwrap();
    let error = |matrix: &ProgrammedMatrix| {
        let y = matrix.multiply(&x, None).unwrap();
        y.iter()
            .zip(&exact)
            .map(|(a, b)| (a - b) * (a - b))
            .sum::<f32>()
    };
    let mut calibrated = ideal(&mapping, &weights, 1e-6, &fitted);
    let message = calibrated.multiply(&x, None).unwrap_err().to_string();
    assert_eq!(
        message,
        "adc range = calibrated before calibration: call `calibrate` or `set_ranges` first"
    );
    assert!(calibrated.calibrate(&[]).is_err());
    calibrated.calibrate(&x).unwrap();
    // Eight of 64 cells are seen: steps are at least four times smaller, squared errors sixteen times.
    assert!(16.0 * error(&calibrated) < error(&ideal(&mapping, &weights, 1e-6, &wide)));
    for pair in calibrated.ranges().windows(2) {
        let ratio = (pair[0].hi - pair[0].lo) / (pair[1].hi - pair[1].lo);
        assert_eq!(ratio.log2().fract(), 0.0);
    }
    let shared = calibrated.ranges().to_vec();
    assert!(calibrated.set_ranges(&shared[..2]).is_err());
    assert!(
        ideal(&mapping, &weights, 1e-6, &wide)
            .set_ranges(&shared)
            .is_err()
    );
}

#[test]
fn symmetric_codes_read_zero_as_zero() {
    let weights = WeightMatrix::new(3, 4, numbers(11, 12)).unwrap();
    let y = |codes| {
        let adc = Adc {
            codes,
            ..Adc::new(4)
        };
        let config = ArrayConfig::new(8, 8, Dac::new(8)).with_adc(adc);
        ideal(
            &mapping(Scheme::OneSidedPair, 8, None),
            &weights,
            0.0,
            &config,
        )
        .multiply(&[0.0; 4], None)
        .unwrap()
    };
    assert_eq!(y(AdcCodes::Symmetric), [0.0; 3]);
    assert!(y(AdcCodes::Full).iter().all(|y| *y != 0.0));
}

/// No input, whatever the range of the converter: no result.
#[rstest]
fn converters_read_no_current_as_none(
    #[values(Scheme::OneSidedPair, Scheme::DigitalOffset, Scheme::UnitColumn)] scheme: Scheme,
    #[values(InputSign::Signed, InputSign::Unsigned)] sign: InputSign,
    #[values(None, Some(1))] slice_bits: Option<u8>,
    #[values(
        AdcRange::Max,
        AdcRange::Fixed { lo: -2.0, hi: 2.0 },
        AdcRange::Fixed { lo: -0.7, hi: 2.0 },
        AdcRange::Fixed { lo: 0.0, hi: 2.0 },
        AdcRange::Calibrated { percentile: 99.9 },
        AdcRange::Calibrated { percentile: 100.0 }
    )]
    range: AdcRange,
) {
    let weights = WeightMatrix::new(20, 40, numbers(11, 800)).unwrap();
    let input = Dac {
        sign,
        slice_bits,
        ..Dac::new(8)
    };
    let config = ArrayConfig::new(16, 8, input).with_adc(Adc::new(6).with_range(range));
    let mut matrix = ideal(&mapping(scheme, 8, Some(2)), &weights, 1e-6, &config);
    if let AdcRange::Calibrated { .. } = range {
        // Inputs as after a rectifier: half of them are nothing, and two whole rows.
        let mut x: Vec<f32> = numbers(12, 60 * 40).iter().map(|x| x.max(0.0)).collect();
        x[..80].fill(0.0);
        if sign == InputSign::Signed {
            x[200] = -0.5;
        }
        matrix.calibrate(&x).unwrap();
    }
    let rows = 40;
    let y = matrix.multiply(&vec![0.0; rows * 40], None).unwrap();
    assert_eq!(y, vec![0.0; rows * 20], "{:?}", matrix.ranges());
}

/// Zero and one more code on either side need two bits.
#[test]
fn one_bit_reads_currents_of_one_sign() {
    let weights = WeightMatrix::new(2, 2, vec![1.0, 0.0, 0.5, -1.0]).unwrap();
    let made = |scheme: Scheme, codes: AdcCodes| {
        let input = Dac {
            sign: InputSign::Unsigned,
            ..Dac::new(8)
        };
        let adc = Adc {
            codes,
            ..Adc::new(1)
        };
        let config = ArrayConfig::new(8, 8, input).with_adc(adc);
        let mapped = mapping(scheme, 4, None).map(&weights, range(1e-6)).unwrap();
        let targets = mapped.targets();
        ProgrammedMatrix::new(&mapped, targets, range(1e-6), &config, &Effects::default())
    };
    assert!(made(Scheme::DigitalOffset, AdcCodes::Auto).is_ok());
    assert!(made(Scheme::OneSidedPair, AdcCodes::Full).is_ok());
    let message = made(Scheme::OneSidedPair, AdcCodes::Auto)
        .unwrap_err()
        .to_string();
    assert_eq!(
        message,
        "adc bits = 1 is outside 2..=16 for currents of both signs, one of whose codes is zero: use more bits, or codes = \
         \"full\""
    );
}

#[rstest]
#[case(AdcRange::Fixed { lo: 0.0, hi: 1e-40 }, "range = [0, 0.")]
fn ranges_without_room_for_steps_are_refused(#[case] range: AdcRange, #[case] message: &str) {
    let config = ArrayConfig::new(8, 8, Dac::new(8)).with_adc(Adc::new(8).with_range(range));
    let found = config.check().unwrap_err().to_string();
    assert!(found.starts_with(message), "{found}");
    let dac = Dac {
        x_max: 1e-44,
        ..Dac::new(8)
    };
    assert!(dac.codes(&[0.0]).is_err());
}

#[test]
fn a_row_with_a_nan_gives_a_row_of_nan() {
    let weights = WeightMatrix::new(3, 4, numbers(12, 12)).unwrap();
    for config in [
        bit_serial(8),
        ArrayConfig::new(8, 8, Dac::new(8)).with_adc(Adc::new(8)),
    ] {
        let matrix = ideal(
            &mapping(Scheme::OneSidedPair, 8, None),
            &weights,
            0.0,
            &config,
        );
        let mut x = vec![0.5; 80];
        x[5] = f32::NAN;
        let y = matrix.multiply(&x, None).unwrap();
        assert!(y[3..6].iter().all(|y| y.is_nan()));
        assert!(y[..3].iter().chain(&y[6..]).all(|y| y.is_finite()));
    }
}

#[test]
fn what_cannot_apply_is_refused() {
    let weights = WeightMatrix::new(2, 2, vec![1.0, 0.0, 0.5, -1.0]).unwrap();
    let mapped = mapping(Scheme::OneSidedPair, 4, None)
        .map(&weights, range(1e-6))
        .unwrap();
    let plain = ArrayConfig::new(8, 8, Dac::new(8));
    let new = |range, config: &ArrayConfig, effects: &Effects<'_>| {
        ProgrammedMatrix::new(&mapped, mapped.targets(), range, config, effects)
    };
    let none = Effects::default();
    let text = |result: Result<ProgrammedMatrix, HardwareError>| result.unwrap_err().to_string();
    assert!(
        text(new(range(2e-6), &plain, &none))
            .starts_with("range 2..100 uS and weights mapped to 1..100 uS")
    );
    let accumulated = Adc {
        conversion: Conversion::Accumulated,
        ..Adc::new(8)
    };
    assert!(
        text(new(
            range(1e-6),
            &plain.clone().with_adc(accumulated),
            &none
        ))
        .contains("nothing to accumulate")
    );
    let skewed = Adc {
        gain_error: Some(GainError { sigma: 0.1 }),
        ..Adc::new(8)
    };
    assert!(
        text(new(range(1e-6), &plain.clone().with_adc(skewed), &none)).contains("without a stream")
    );
    let granular = Adc::new(4).with_range(AdcRange::Granular);
    assert!(
        text(new(range(1e-6), &plain.clone().with_adc(granular), &none))
            .starts_with("adc bits = 4")
    );
    let matrix = new(range(1e-6), &plain, &none).unwrap();
    assert!(matrix.multiply(&[1.0; 3], None).is_err());
    assert!(matrix.multiply(&[], None).unwrap().is_empty());
    let reads = Reads {
        draws: ChipSeed::new(1, 1).generator("w"),
        numbers: &[0],
    };
    assert!(matrix.multiply(&[1.0; 2], Some(reads)).is_err());
    let sigma = vec![vec![0.1; 4]; 2];
    let effects = Effects {
        read_sigma: Some(&sigma),
        ..none
    };
    assert!(
        new(range(1e-6), &plain, &effects)
            .unwrap()
            .multiply(&[1.0; 2], None)
            .is_err()
    );
    let short = vec![vec![0.1; 3]; 2];
    let effects = Effects {
        read_sigma: Some(&short),
        ..none
    };
    assert!(new(range(1e-6), &plain, &effects).is_err());
}
