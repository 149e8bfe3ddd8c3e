//! Products of random blocks against 64-bit sums, on every path.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use burn::module::Module;
use burn::nn::{EmbeddingConfig, LinearConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};
use proptest::prelude::*;
use pulp::Arch;

use super::input::QuantizedInput;
use super::product::Path;
use super::*;
use crate::testing::{numbers, pool};

/// The formats whose inputs are rounded to eight bits.
fn blocks() -> Vec<WeightFormat> {
    WeightFormat::all()
        .filter(|format| format.block_values() > 1)
        .collect()
}

/// Places of the half-precision scales of a block.
fn scales(format: WeightFormat) -> &'static [usize] {
    match format {
        WeightFormat::Q8_0 | WeightFormat::Q4_0 | WeightFormat::Q5_0 => &[0],
        WeightFormat::Q6_K => &[208],
        _ => &[0, 2],
    }
}

/// Random blocks: any bits but those of the scales, which are of ordinary size.
fn random(format: WeightFormat, [outputs, inputs]: [usize; 2], seed: u32) -> QuantizedMatrix {
    let count = outputs * format.row_bytes(inputs).unwrap();
    let draw = numbers(seed, count);
    let mut bytes: Vec<u8> = draw.iter().map(|x| (x.to_bits() >> 7) as u8).collect();
    if format.block_values() > 1 {
        for (block, x) in bytes.chunks_mut(format.block_bytes()).zip(&draw) {
            for (place, x) in scales(format).iter().zip([*x, 0.5 - x]) {
                let scale = half::f16::from_f32(x / 64.0).to_le_bytes();
                block[*place..place + 2].copy_from_slice(&scale);
            }
        }
    } else {
        let values = numbers(seed, outputs * inputs);
        return match format {
            WeightFormat::F32 => {
                let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
                QuantizedMatrix::new(format, [outputs, inputs], bytes.into()).unwrap()
            }
            _ => QuantizedMatrix::encoded(format, &values, [outputs, inputs]).unwrap(),
        };
    }
    QuantizedMatrix::new(format, [outputs, inputs], bytes.into()).unwrap()
}

/// What the integers of a row of inputs stand for, or the inputs themselves where they are not rounded.
fn as_taken(format: WeightFormat, row: &[f32]) -> Vec<f64> {
    if format.block_values() == 1 {
        return row.iter().map(|x| f64::from(*x)).collect();
    }
    let groups = QuantizedInput::new(Arch::new(), row).groups;
    groups
        .iter()
        .flat_map(|group| group.quants.map(|q| f64::from(group.scale) * f64::from(q)))
        .collect()
}

/// 64-bit sums of the unpacked weights and the inputs, and the sums of the magnitudes.
fn sums(matrix: &QuantizedMatrix, input: &[f64]) -> Vec<[f64; 2]> {
    let [outputs, inputs] = matrix.dims();
    let weights = matrix.unpacked(0..outputs);
    let rows = weights.chunks(inputs).map(|row| {
        let products = row.iter().zip(input).map(|(w, x)| f64::from(*w) * x);
        products.fold([0.0, 0.0], |[sum, size], p| [sum + p, size + p.abs()])
    });
    rows.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The tolerance: the scale and the offset of a group are each rounded a few times, and a group has eight lanes, so that the
    /// error is a few roundings of what is added, whose size that of scaled quants and offsets apart is.
    #[test]
    fn products_are_sums_on_every_path(
        outputs in 1usize..20,
        blocks in 1usize..7,
        seed: u32,
    ) {
        for format in WeightFormat::all() {
            let inputs = match format.block_values() {
                1 => 13 * blocks,
                values => values * blocks,
            };
            let matrix = random(format, [outputs, inputs], seed);
            let input = numbers(seed ^ 1, inputs);
            let taken = as_taken(format, &input);
            let expected = sums(&matrix, &taken);
            let mut first: Option<Vec<u32>> = None;
            for path in Path::all() {
                let found = matrix.few_rows(path, &input);
                for (found, [sum, size]) in found.iter().zip(&expected) {
                    let error = (f64::from(*found) - sum).abs();
                    prop_assert!(error <= 4e-6 * (size + 1.0), "{format} {path:?}: {found}, not {sum} of {size}");
                }
                let bits: Vec<u32> = found.iter().map(|x| x.to_bits()).collect();
                match &first {
                    Some(first) => prop_assert_eq!(first, &bits, "{} {:?}", format, path),
                    None => first = Some(bits),
                }
            }
        }
    }
}

#[test]
fn extreme_quants_do_not_overflow() {
    for format in blocks() {
        let inputs = 2 * format.block_values();
        for byte in [0x00, 0x7f, 0x80, 0xff] {
            let mut bytes = vec![byte; format.row_bytes(inputs).unwrap()];
            for block in bytes.chunks_mut(format.block_bytes()) {
                for place in scales(format) {
                    block[*place..place + 2].copy_from_slice(&half::f16::ONE.to_le_bytes());
                }
            }
            let matrix = QuantizedMatrix::new(format, [1, inputs], bytes.into()).unwrap();
            for input in [vec![-1.0f32; inputs], vec![1.0; inputs]] {
                let [sum, size] = sums(&matrix, &as_taken(format, &input))[0];
                for path in Path::all() {
                    let found = f64::from(matrix.few_rows(path, &input)[0]);
                    assert!(
                        (found - sum).abs() <= 1e-5 * (size + 1.0),
                        "{format} {byte:#x} {path:?}: {found}, not {sum}"
                    );
                }
            }
        }
    }
}

#[test]
fn many_rows_are_products_with_the_unpacked_weight() {
    for format in WeightFormat::all() {
        let matrix = random(format, [200, 256], 3);
        let input = numbers(5, 9 * 256);
        let found = matrix.product(&input, None);
        for (row, found) in input.chunks(256).zip(found.chunks(200)) {
            let row: Vec<f64> = row.iter().map(|x| f64::from(*x)).collect();
            // Offsets and scaled quants cancel: what is added up says how far a sum may be off.
            for (found, [sum, size]) in found.iter().zip(sums(&matrix, &row)) {
                let error = (f64::from(*found) - sum).abs();
                assert!(
                    error <= 4e-6 * (size + 1.0),
                    "{format}: {found}, not {sum} of {size}"
                );
            }
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for format in [WeightFormat::F16, WeightFormat::Q4_1, WeightFormat::Q6_K] {
        let matrix = random(format, [700, 512], 3);
        for rows in [1, 3, 40] {
            let input = numbers(5, rows * 512);
            let bits = |threads| {
                let found = pool(threads).install(|| matrix.product(&input, None));
                found.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
            };
            let one = bits(1);
            assert!([2, 3, 8].iter().all(|threads| bits(*threads) == one));
        }
    }
}

#[test]
fn eight_bits_and_halves_of_a_weight_are_close_to_it() {
    let values = numbers(9, 3 * 64);
    for (format, most) in [
        (WeightFormat::F16, 1.0 / 2048.0),
        (WeightFormat::BF16, 1.0 / 256.0),
        (WeightFormat::Q8_0, 0.5 / 127.0 + 1e-3),
    ] {
        let matrix = QuantizedMatrix::encoded(format, &values, [3, 64]).unwrap();
        for (found, value) in matrix.unpacked(0..3).iter().zip(&values) {
            assert!(
                (found - value).abs() <= most,
                "{format}: {found}, not {value}"
            );
        }
    }
    let encoded = |format, values: &[f32], dims| QuantizedMatrix::encoded(format, values, dims);
    // Not whole blocks; too large for half precision; no format to encode.
    assert!(encoded(WeightFormat::Q8_0, &values, [4, 48]).is_none());
    assert!(encoded(WeightFormat::F16, &[1e6; 2], [1, 2]).is_none());
    assert!(encoded(WeightFormat::Q8_0, &[1e9; 32], [1, 32]).is_none());
    assert!(encoded(WeightFormat::Q4_0, &values, [3, 64]).is_none());
}

#[test]
fn the_first_number_that_is_not_finite_is_found() {
    let mut bytes: Vec<u8> = [1.0f32, 2.0, 3.0, f32::NAN]
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    let matrix =
        |bytes: Vec<u8>| QuantizedMatrix::new(WeightFormat::F32, [2, 2], bytes.into()).unwrap();
    let (place, value) = matrix(bytes.clone()).first_not_finite().unwrap();
    assert!(place == 3 && value.is_nan());
    bytes[12..].copy_from_slice(&4.0f32.to_le_bytes());
    assert!(matrix(bytes).is_finite());
}

#[test]
fn inputs_that_are_not_finite_stay_so() {
    for format in WeightFormat::all() {
        let matrix = random(format, [2, 256], 3);
        for bad in [f32::NAN, f32::INFINITY] {
            let mut input = numbers(1, 256);
            input[17] = bad;
            for path in Path::all() {
                let found = matrix.few_rows(path, &input);
                assert!(found.iter().all(|x| !x.is_finite()), "{format} {path:?}");
            }
        }
    }
}

#[test]
fn layers_compute_with_the_bytes_and_gradients_with_what_they_stand_for() {
    let device = Device::flex();
    let (linear, table) = (
        LinearConfig::new(64, 48).with_bias(true).init(&device),
        EmbeddingConfig::new(48, 64).init(&device),
    );
    let matrix = random(WeightFormat::Q5_1, [48, 64], 3);
    let unpacked =
        Tensor::<2>::from_data(TensorData::new(matrix.unpacked(0..48), [48, 64]), &device);
    let hold = |lines| [("weight".to_string(), (matrix.clone(), lines))].into();
    let linear = hold_quantized(linear, hold(StoredLines::Outputs));
    let table = hold_quantized(table, hold(StoredLines::Rows));
    assert!(
        (linear.weight.val().transpose() - unpacked.clone())
            .abs()
            .max()
            .into_scalar::<f32>()
            == 0.0
    );
    // Many rows: no input is rounded.
    let input = Tensor::<2>::from_data(TensorData::new(numbers(5, 6 * 64), [6, 64]), &device);
    let expected = input.clone().matmul(unpacked.clone().transpose());
    let bias = linear.bias.as_ref().unwrap().val().unsqueeze();
    let found = crate::linear(&linear, input.clone());
    let difference = |a: Tensor<2>, b: Tensor<2>| (a - b).abs().max().into_scalar::<f32>();
    assert!(difference(found, expected.clone() + bias) < 1e-4);
    assert!(difference(multiply_by_embedding(&table, input.clone()), expected) < 1e-4);
    let rows = Tensor::<2, Int>::from_data([[7, 0, 47]], &device);
    let found = embedding(&table, rows).reshape([3, 64]);
    let picked = Tensor::cat(
        [7, 0, 47]
            .map(|row| unpacked.clone().narrow(0, row, 1))
            .to_vec(),
        0,
    );
    assert_eq!(difference(found, picked), 0.0);
    // The gradient of the sum of all outputs.
    let tracked =
        Tensor::<2>::from_data(input.into_data(), &device.clone().autodiff()).require_grad();
    let gradients = crate::linear(&linear.train(), tracked.clone())
        .sum()
        .backward();
    let gradient = tracked.grad(&gradients).unwrap();
    let expected = unpacked.sum_dim(0).expand([6, 64]);
    assert!(difference(gradient, expected) < 1e-3);
}
