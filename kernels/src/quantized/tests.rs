//! Compares products of random blocks with 64-bit sums, on every path.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use burn::module::{Module, Param};
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

/// Bytes of random blocks. All bits are random, but the scales have an ordinary size.
fn random_bytes(format: WeightFormat, [outputs, inputs]: [usize; 2], seed: u32) -> Vec<u8> {
    let draw = numbers(seed, outputs * inputs);
    let each = draw.iter();
    match format {
        WeightFormat::F32 => return each.flat_map(|x| x.to_le_bytes()).collect(),
        WeightFormat::F16 => {
            return each
                .flat_map(|x| half::f16::from_f32(*x).to_le_bytes())
                .collect();
        }
        WeightFormat::BF16 => {
            return each
                .flat_map(|x| half::bf16::from_f32(*x).to_le_bytes())
                .collect();
        }
        _ => {}
    }
    let count = outputs * format.row_bytes(inputs).unwrap();
    let draw = numbers(seed, count);
    let mut bytes: Vec<u8> = draw.iter().map(|x| (x.to_bits() >> 7) as u8).collect();
    for (block, x) in bytes.chunks_mut(format.block_bytes()).zip(&draw) {
        for (place, x) in scales(format).iter().zip([*x, 0.5 - x]) {
            let scale = half::f16::from_f32(x / 64.0).to_le_bytes();
            block[*place..place + 2].copy_from_slice(&scale);
        }
    }
    bytes
}

fn random(format: WeightFormat, dims: [usize; 2], seed: u32) -> QuantizedMatrix {
    QuantizedMatrix::new(format, dims, random_bytes(format, dims, seed).into()).unwrap()
}

/// The numbers for which the integers of a row of inputs stand; the inputs themselves if they are not rounded.
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

/// For each output: the 64-bit sum of products of unpacked weights and inputs, and the sum of their magnitudes.
fn sums(matrix: &QuantizedMatrix, input: &[f64]) -> Vec<[f64; 2]> {
    let [outputs, inputs] = matrix.dims();
    let weights = matrix.unpacked(0..outputs);
    let rows = weights.chunks(inputs).map(|row| {
        let products = row.iter().zip(input).map(|(w, x)| f64::from(*w) * x);
        products.fold([0.0, 0.0], |[sum, size], p| [sum + p, size + p.abs()])
    });
    rows.collect()
}

/// A unit of rounding.
const UNIT: f64 = 1.0 / (1 << 24) as f64;

/// The largest error of a sum of `count` products in any order, if their magnitudes have the sum `size`: γ size, where γ = n u / (1 - n u). Here n u
/// is below 1/1000.
fn any_order(count: usize, size: f64) -> f64 {
    count as f64 * UNIT * 1.001 * size
}

/// The largest difference between the product of `row` with `input` and the sum over the unpacked weights. `size` is the sum of the magnitudes of the
/// terms of that sum.
///
/// With blocks, `A` is the sum of magnitudes of what is added, with scaled quants and offsets counted separately. A scaled quant is rounded once for
/// `scale · d`, once in each of the at most `groups / 2 + 1` sums of its lane, once when two lanes are added, three times when the eight lanes are
/// added, and once when the offsets are added. An offset is rounded less often. The unpacked weight itself is rounded only where an offset is
/// added: scales have so few bits that their products with quants are exact.
fn bound(format: WeightFormat, row: &[u8], input: &[f32], size: f64) -> f64 {
    if format.block_values() == 1 {
        return any_order(input.len(), size);
    }
    let (groups, added) = magnitudes(format, row, input);
    ((groups / 2 + 8) as f64 * added + size) * UNIT
}

/// The same for a row of a panel, which has one sum: what is added is rounded once for `scale · d`, and once in each of at most `2 groups` sums.
fn panel_bound(format: WeightFormat, row: &[u8], input: &[f32], size: f64) -> f64 {
    let (groups, added) = magnitudes(format, row, input);
    ((2 * groups + 2) as f64 * added + size) * UNIT
}

/// The number of groups of a row, and the sum of magnitudes of what is added.
fn magnitudes(format: WeightFormat, row: &[u8], input: &[f32]) -> (usize, f64) {
    let groups = QuantizedInput::new(Arch::new(), input).groups;
    let (mut added, mut inputs) = (0.0, groups.iter());
    format.each_group(row, |group| {
        let x = inputs.next().unwrap();
        let d = f64::from(x.scale);
        for (i, (q, x)) in group.quants.iter().zip(x.quants).enumerate() {
            added += (f64::from(group.scales[i / 16]) * f64::from(*q) * d * f64::from(x)).abs();
        }
        let sum: i32 = x.quants.iter().map(|x| i32::from(*x)).sum();
        added += (f64::from(group.offset.unwrap_or(0.0)) * d * f64::from(sum)).abs();
    });
    (groups.len(), added)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

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
            let bytes = random_bytes(format, [outputs, inputs], seed);
            let matrix = QuantizedMatrix::new(format, [outputs, inputs], bytes.clone().into()).unwrap();
            let input = numbers(seed ^ 1, inputs);
            let taken = as_taken(format, &input);
            let expected = sums(&matrix, &taken);
            let mut first: Option<Vec<u32>> = None;
            for path in Path::all() {
                let found = matrix.few_rows(path, &input);
                let rows = bytes.chunks(format.row_bytes(inputs).unwrap());
                for ((found, [sum, size]), row) in found.iter().zip(&expected).zip(rows) {
                    let error = (f64::from(*found) - sum).abs();
                    let most = bound(format, row, &input, *size);
                    prop_assert!(error <= most, "{format} {path:?}: {found}, not {sum} ± {most}");
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

/// The formats of matrices that can be interleaved.
const IN_PANELS: [WeightFormat; 3] = [WeightFormat::Q8_0, WeightFormat::Q4_0, WeightFormat::Q4_1];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn interleaved_products_are_sums_on_every_path(
        panels in 1usize..5,
        groups in 1usize..7,
        rows in 1usize..5,
        seed: u32,
    ) {
        for format in IN_PANELS {
            let [outputs, inputs] = [16 * panels, 32 * groups];
            let bytes = random_bytes(format, [outputs, inputs], seed);
            let plain = QuantizedMatrix::new(format, [outputs, inputs], bytes.clone().into()).unwrap();
            let matrix = plain.clone().interleaved();
            prop_assert_eq!(matrix.unpacked(3..outputs), plain.unpacked(3..outputs));
            let input = numbers(seed ^ 1, rows * inputs);
            let mut first: Option<Vec<u32>> = None;
            for path in Path::all() {
                let found = matrix.few_rows(path, &input);
                for (input, found) in input.chunks(inputs).zip(found.chunks(outputs)) {
                    let expected = sums(&plain, &as_taken(format, input));
                    let bytes = bytes.chunks(format.row_bytes(inputs).unwrap());
                    for ((found, [sum, size]), row) in found.iter().zip(&expected).zip(bytes) {
                        let error = (f64::from(*found) - sum).abs();
                        let most = panel_bound(format, row, input, *size);
                        prop_assert!(error <= most, "{format} {path:?}: {found}, not {sum} ± {most}");
                    }
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
fn an_interleaved_matrix_is_the_same_one() {
    for format in IN_PANELS {
        // 65,536 / 480 rows are no whole panels: pieces are larger, and the last one is shorter.
        let bytes = random_bytes(format, [720, 480], 3);
        let plain = random(format, [720, 480], 3);
        let matrix = plain.clone().interleaved();
        let again = matrix.clone().interleaved();
        assert_eq!(matrix.byte_count(), plain.byte_count());
        assert_eq!(matrix.unpacked(0..720), plain.unpacked(0..720));
        assert_eq!(again.unpacked(100..102), plain.unpacked(100..102));
        let many = numbers(5, 9 * 480);
        assert_eq!(matrix.product(&many, None), plain.product(&many, None));
        let gradient = numbers(6, 5 * 720);
        assert_eq!(
            matrix.input_gradient(&gradient),
            plain.input_gradient(&gradient)
        );
        for rows in [1, 4] {
            let input = &many[..rows * 480];
            let bits = |threads| {
                let found = pool(threads).install(|| matrix.product(input, None));
                found.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
            };
            let one = bits(1);
            assert!([2, 3, 8].iter().all(|threads| bits(*threads) == one));
            for (input, found) in input.chunks(480).zip(one.chunks(720)) {
                let expected = sums(&plain, &as_taken(format, input));
                let rows = bytes.chunks(format.row_bytes(480).unwrap());
                for ((found, [sum, size]), row) in found.iter().zip(expected).zip(rows) {
                    let error = (f64::from(f32::from_bits(*found)) - sum).abs();
                    assert!(error <= panel_bound(format, row, input, size), "{format}");
                }
            }
        }
    }
    // Neither outputs that are no whole panels nor other formats have another order.
    for (format, outputs) in [
        (WeightFormat::Q8_0, 20),
        (WeightFormat::Q6_K, 32),
        (WeightFormat::F16, 32),
    ] {
        let plain = random(format, [outputs, 256], 3);
        let input = numbers(5, 256);
        let found = plain.clone().interleaved().product(&input, None);
        assert_eq!(found, plain.product(&input, None), "{format}");
    }
}

#[test]
fn an_interleaved_product_with_what_is_not_finite_is_not_a_number() {
    for format in IN_PANELS {
        let matrix = random(format, [16, 64], 3).interleaved();
        let mut input = numbers(5, 64);
        input[40] = f32::INFINITY;
        for path in Path::all() {
            let found = matrix.few_rows(path, &input);
            assert!(
                found.iter().all(|value| value.is_nan()),
                "{format} {path:?}"
            );
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
            let matrix = QuantizedMatrix::new(format, [1, inputs], bytes.clone().into()).unwrap();
            let sixteen = bytes.repeat(16);
            let sixteen = QuantizedMatrix::new(format, [16, inputs], sixteen.into()).unwrap();
            let sixteen = sixteen.interleaved();
            for input in [vec![-1.0f32; inputs], vec![1.0; inputs]] {
                let [sum, size] = sums(&matrix, &as_taken(format, &input))[0];
                for path in Path::all() {
                    let found = f64::from(matrix.few_rows(path, &input)[0]);
                    assert!(
                        (found - sum).abs() <= bound(format, &bytes, &input, size),
                        "{format} {byte:#x} {path:?}: {found}, not {sum}"
                    );
                    let most = panel_bound(format, &bytes, &input, size);
                    let most = most.max(bound(format, &bytes, &input, size));
                    for found in sixteen.few_rows(path, &input) {
                        assert!(
                            (f64::from(found) - sum).abs() <= most,
                            "{format} {byte:#x} {path:?}: {found}, not {sum}"
                        );
                    }
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
            for (found, [sum, size]) in found.iter().zip(sums(&matrix, &row)) {
                let error = (f64::from(*found) - sum).abs();
                assert!(
                    error <= any_order(256, size),
                    "{format}: {found}, not {sum} of {size}"
                );
            }
        }
    }
}

/// Rows share the pieces of the weight, and nothing else.
#[test]
fn a_few_rows_are_each_as_if_alone() {
    for format in WeightFormat::all() {
        // Three pieces of the weight.
        let matrix = random(format, [600, 256], 3);
        let input = numbers(5, 4 * 256);
        for path in Path::all() {
            let alone = input
                .chunks(256)
                .flat_map(|row| matrix.few_rows(path, row))
                .collect::<Vec<_>>();
            assert_eq!(matrix.few_rows(path, &input), alone, "{format} {path:?}");
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
        (EncodedFormat::F16, 1.0 / 2048.0),
        (EncodedFormat::BF16, 1.0 / 256.0),
        (EncodedFormat::Q8_0, 0.5 / 127.0 + 1e-3),
        // The end without a level is a whole step away from the nearest one.
        (EncodedFormat::Q4_0, 1.0 / 8.0 + 1e-3),
    ] {
        let matrix = QuantizedMatrix::encoded(format, &values, [3, 64]).unwrap();
        assert_eq!(matrix.format(), format.into());
        for (found, value) in matrix.unpacked(0..3).iter().zip(&values) {
            assert!(
                (found - value).abs() <= most,
                "{format:?}: {found}, not {value}"
            );
        }
    }
}

#[test]
fn what_a_format_cannot_hold_is_not_encoded() {
    use EncodedFormat::{BF16, F16, Q4_0, Q8_0};
    let values = numbers(9, 192);
    let encoded = |format, values: &[f32], dims| QuantizedMatrix::encoded(format, values, dims);
    // Rows that are not whole blocks; too few or too many values; values too large for half precision, or for being rounded to the upper half.
    assert!(encoded(Q8_0, &values, [4, 48]).is_none());
    assert!(encoded(Q8_0, &values, [5, 32]).is_none());
    assert!(encoded(Q8_0, &[1.0; 33], [1, 32]).is_none());
    assert!(encoded(F16, &[1e6; 2], [1, 2]).is_none());
    assert!(encoded(BF16, &[f32::MAX; 2], [1, 2]).is_none());
    assert!(encoded(Q8_0, &[1e9; 32], [1, 32]).is_none());
    assert!(encoded(Q4_0, &[1e9; 32], [1, 32]).is_none());
    for format in [F16, BF16, Q8_0, Q4_0] {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = [1.0; 64];
            values[32] = bad;
            assert!(encoded(format, &values, [2, 32]).is_none(), "{format:?}");
            values[32..].fill(bad);
            assert!(encoded(format, &values, [2, 32]).is_none(), "{format:?}");
        }
        assert!(encoded(format, &[0.0; 64], [2, 32]).is_some());
    }
}

#[test]
fn a_matrix_without_outputs_or_inputs_is_none() {
    let empty = |dims| QuantizedMatrix::new(WeightFormat::Q8_0, dims, Vec::new().into());
    assert!(empty([0, 32]).is_none());
    assert!(empty([32, 0]).is_none());
}

#[test]
fn a_number_that_is_not_finite_is_found() {
    for bad in [f32::NAN, f32::INFINITY] {
        let matrix = |values: [f32; 4]| {
            let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
            QuantizedMatrix::new(WeightFormat::F32, [2, 2], bytes.into()).unwrap()
        };
        assert!(!matrix([1.0, 2.0, 3.0, bad]).is_finite());
        assert!(matrix([1.0, 2.0, 3.0, 4.0]).is_finite());
    }
}

#[test]
#[should_panic(expected = "the module has no weights [\"wieght\"]")]
fn a_path_without_a_weight_is_named() {
    let layer = LinearConfig::new(32, 2).init(&Device::flex());
    let matrix = random(WeightFormat::Q8_0, [2, 32], 3);
    let held = (matrix, StoredLines::Outputs);
    hold_quantized(layer, [("wieght".to_string(), held)].into());
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
    // A few rows meet the blocks.
    for rows in [1, 4] {
        let values = numbers(7, rows * 64);
        let product = matrix.few_rows(Path::best(), &values);
        let product = Tensor::<2>::from_data(TensorData::new(product, [rows, 48]), &device);
        let input = Tensor::<2>::from_data(TensorData::new(values, [rows, 64]), &device);
        let bias = linear.bias.as_ref().unwrap().val().unsqueeze();
        let found = crate::linear(&linear, input.clone());
        assert_eq!(difference(found, product.clone() + bias), 0.0);
        assert_eq!(
            difference(multiply_by_embedding(&table, input), product),
            0.0
        );
    }
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

#[test]
fn gradients_of_inputs_are_those_of_the_numbers() {
    let device = Device::flex().autodiff();
    for format in WeightFormat::all() {
        // More outputs than are unpacked at a time; and few rows, which must not be rounded on the tape.
        for (outputs, rows) in [(48, 3), (2100, 2), (48, 70)] {
            let matrix = random(format, [outputs, 512], 3);
            let numbers_of = TensorData::new(matrix.unpacked(0..outputs), [outputs, 512]);
            let numbers_of = Tensor::<2>::from_data(numbers_of, &device);
            let bias = Tensor::<1>::from_floats(numbers(4, outputs).as_slice(), &device);
            let mut layer = LinearConfig::new(512, outputs).init(&device);
            layer.bias = Some(Param::from_tensor(bias.clone()));
            let held = [("weight".to_string(), (matrix, StoredLines::Outputs))];
            let layer = hold_quantized(layer, held.into());
            let run = |apply: &dyn Fn(Tensor<3>) -> Tensor<3>| {
                let input = TensorData::new(numbers(5, rows * 512), [1, rows, 512]);
                let input = Tensor::<3>::from_data(input, &device).require_grad();
                let output = apply(input.clone());
                let gradients = (output.clone() * output.clone()).sum().backward();
                let gradient = input.grad(&gradients).unwrap();
                [
                    output.inner().reshape([rows, outputs]),
                    gradient.reshape([rows, 512]),
                ]
            };
            let found = run(&|input| crate::linear(&layer, input));
            let expected = run(&|input| {
                crate::multiply(input, numbers_of.clone().transpose(), Some(bias.clone()))
            });
            for (found, expected) in found.into_iter().zip(expected) {
                let size = expected.clone().abs().max().into_scalar::<f32>();
                let difference = (found - expected).abs().max().into_scalar::<f32>();
                // The same products, summed in another order.
                assert!(
                    difference <= 1e-5 * size,
                    "{format}: {difference} of {size}"
                );
            }
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_gradient() {
    let matrix = random(WeightFormat::Q4_0, [700, 512], 3);
    let gradient = numbers(5, 40 * 700);
    let of = |threads| pool(threads).install(|| matrix.input_gradient(&gradient));
    assert!(of(1) == of(2) && of(1) == of(3));
}
