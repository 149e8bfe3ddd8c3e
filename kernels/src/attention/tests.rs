//! Compares with sums over all pairs of places in 64-bit floats.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Tensor, TensorData};
use proptest::prelude::*;
use pulp::Arch;

use super::backward::{Saved, backward};
use super::forward::forward;
use super::geometry::Geometry;
use super::{AttentionOptions, attention, self_attention};
use crate::testing::{agree, cpus, numbers, paths, pool};

/// An attention whose sizes fit.
#[derive(Clone, Debug)]
struct Case {
    query: [usize; 4],
    key: [usize; 4],
    value: [usize; 4],
    options: AttentionOptions,
}

impl Case {
    fn geometry(&self) -> Geometry {
        Geometry::new(self.query, self.key, self.value, &self.options)
    }

    /// Query, key, value and the gradient of the result.
    fn numbers(&self) -> [Vec<f32>; 4] {
        let mut output = self.query;
        output[3] = self.value[3];
        let shapes = [self.query, self.key, self.value, output];
        let mut seed = 0;
        shapes.map(|shape| {
            seed += 1;
            let spread = if seed < 3 { 2.0 } else { 1.0 };
            let numbers = numbers(seed, shape.iter().product());
            numbers.iter().map(|x| spread * x).collect()
        })
    }

    /// The result and the gradients of query, key and value.
    fn oracle(&self) -> [Vec<f64>; 4] {
        let inputs = self.numbers();
        let [query, key, value, gradient] =
            inputs.map(|x| x.into_iter().map(f64::from).collect::<Vec<_>>());
        let [batch, heads, queries, width] = self.query;
        let [_, key_heads, keys, value_width] = self.value;
        let scale = self.options.scale.unwrap_or(1.0 / (width as f64).sqrt());
        let mut sums = [&gradient, &query, &key, &value].map(|x| vec![0.0; x.len()]);
        let [output, of_query, of_key, of_value] = &mut sums;
        let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
        for head in 0..batch * heads {
            let key_head = head / heads * key_heads + head % heads / (heads / key_heads);
            for i in 0..queries {
                let row = head * queries + i;
                let (at, out) = (row * width, row * value_width);
                let place = i as i64 + keys as i64 - queries as i64;
                let sees = |j: usize| {
                    let back = place - j as i64;
                    (!self.options.causal || back >= 0)
                        && self
                            .options
                            .window
                            .is_none_or(|w| back.unsigned_abs() < w as u64)
                };
                let visible: Vec<usize> = (0..keys).filter(|j| sees(*j)).collect();
                let key_at = |j: usize| (key_head * keys + j) * width;
                let value_at = |j: usize| (key_head * keys + j) * value_width;
                let powers: Vec<f64> = visible
                    .iter()
                    .map(|j| (scale * dot(&query[at..at + width], &key[key_at(*j)..])).exp())
                    .collect();
                let total: f64 = powers.iter().sum();
                for (j, power) in visible.iter().zip(&powers) {
                    for c in 0..value_width {
                        output[out + c] += power / total * value[value_at(*j) + c];
                    }
                }
                let g = &gradient[out..out + value_width];
                let mean = dot(g, &output[out..]);
                for (j, power) in visible.iter().zip(&powers) {
                    let share = power / total;
                    let slope = scale * share * (dot(g, &value[value_at(*j)..]) - mean);
                    for c in 0..width {
                        of_query[at + c] += slope * key[key_at(*j) + c];
                        of_key[key_at(*j) + c] += slope * query[at + c];
                    }
                    for c in 0..value_width {
                        of_value[value_at(*j) + c] += share * g[c];
                    }
                }
            }
        }
        sums
    }
}

fn check(case: &Case) {
    let geometry = case.geometry();
    let [query, key, value, gradient] = case.numbers();
    let [output, of_query, of_key, of_value] = case.oracle();
    for arch in paths() {
        let (found, normalizer) = forward(arch, &geometry, &query, &key, &value);
        // The errors are those of scores of up to a hundred products, then of sums of up to hundreds of terms.
        agree(&found, &output, 2e-5);
        let saved = Saved {
            query: &query,
            key: &key,
            value: &value,
            output: &found,
            normalizer: &normalizer,
            gradient: &gradient,
        };
        let [a, b, c] = backward(arch, &geometry, saved);
        agree(&a, &of_query, 1e-4);
        agree(&b, &of_key, 1e-4);
        agree(&c, &of_value, 1e-4);
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let sizes = (0usize..3, 1usize..3, 1usize..4, 1usize..90, 1usize..150);
    let widths = (1usize..40, 1usize..40);
    let window = prop_oneof![Just(None), (0usize..100).prop_map(Some)];
    (sizes, widths, any::<bool>(), window).prop_map(|(sizes, widths, causal, window)| {
        let (batch, key_heads, group, queries, keys) = sizes;
        let (width, value_width) = widths;
        Case {
            query: [batch, key_heads * group, queries, width],
            key: [batch, key_heads, keys, width],
            value: [batch, key_heads, keys, value_width],
            options: AttentionOptions {
                scale: (width % 2 == 0).then_some(0.3),
                causal,
                window,
            },
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn attention_and_its_gradients_are_sums_over_pairs(case in cases()) {
        check(&case);
    }
}

fn of_networks() -> Case {
    Case {
        query: [2, 4, 128, 64],
        key: [2, 4, 128, 64],
        value: [2, 4, 128, 64],
        options: AttentionOptions {
            causal: true,
            ..Default::default()
        },
    }
}

#[test]
fn the_layers_of_the_networks_agree() {
    check(&of_networks());
    check(&Case {
        query: [1, 6, 200, 32],
        key: [1, 2, 200, 32],
        value: [1, 2, 200, 32],
        options: AttentionOptions {
            causal: true,
            window: Some(70),
            scale: None,
        },
    });
}

#[test]
fn one_query_reads_all_keys_before_it() {
    check(&Case {
        query: [1, 2, 1, 16],
        key: [1, 1, 77, 16],
        value: [1, 1, 77, 16],
        options: AttentionOptions {
            causal: true,
            ..Default::default()
        },
    });
}

#[test]
fn a_query_that_sees_nothing_gives_zeros() {
    let device = Device::flex();
    let query = Tensor::<4>::ones([1, 1, 5, 4], &device);
    let key = Tensor::<4>::ones([1, 1, 2, 4], &device);
    let options = AttentionOptions {
        causal: true,
        ..Default::default()
    };
    let output = attention(query, key.clone(), key, options).into_data();
    let rows: Vec<f32> = output.try_to_vec().unwrap();
    assert!(rows[..12].iter().all(|x| *x == 0.0), "{rows:?}");
    assert!(
        rows[12..].iter().all(|x| (x - 1.0).abs() < 1e-6),
        "{rows:?}"
    );
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let case = of_networks();
    let geometry = case.geometry();
    let [query, key, value, gradient] = case.numbers();
    let all = || {
        let (output, normalizer) = forward(Arch::new(), &geometry, &query, &key, &value);
        let saved = Saved {
            query: &query,
            key: &key,
            value: &value,
            output: &output,
            normalizer: &normalizer,
            gradient: &gradient,
        };
        let gradients = backward(Arch::new(), &geometry, saved);
        (output, normalizer, gradients)
    };
    assert!(pool(1).install(all) == pool(2).install(all));
}

/// The result and the gradients of query, key and value through a tape.
fn taped(
    device: &Device,
    case: &Case,
    attend: impl Fn(Tensor<4>, Tensor<4>, Tensor<4>) -> Tensor<4>,
) -> [Vec<f32>; 4] {
    let [query, key, value, gradient] = case.numbers();
    let leaf = |values: Vec<f32>, shape: [usize; 4]| {
        Tensor::<4>::from_data(TensorData::new(values, shape), device).require_grad()
    };
    let inputs = [
        leaf(query, case.query),
        leaf(key, case.key),
        leaf(value, case.value),
    ];
    let [query, key, value] = inputs.clone();
    let output = attend(query, key, value);
    let weights = Tensor::<4>::from_data(TensorData::new(gradient, output.shape()), device);
    let gradients = (output.clone() * weights).sum().backward();
    let [query, key, value] = inputs.map(|input| input.grad(&gradients).unwrap());
    [output.inner(), query, key, value].map(|x| x.into_data().try_to_vec::<f32>().unwrap())
}

/// Compares with Burn's own attention on Burn's tape.
#[test]
fn gradients_reach_query_key_and_value() {
    let device = Device::flex().autodiff();
    for causal in [false, true] {
        let case = Case {
            query: [2, 3, 30, 20],
            key: [2, 3, 41, 20],
            value: [2, 3, 41, 12],
            options: AttentionOptions {
                causal,
                scale: Some(0.4),
                window: None,
            },
        };
        let ours = taped(&device, &case, |query, key, value| {
            attention(query, key, value, case.options.clone())
        });
        let burns = taped(&device, &case, |query, key, value| {
            let options = AttentionModuleOptions {
                scale: Some(0.4),
                softcap: None,
                is_causal: causal,
            };
            burn::tensor::module::attention(query, key, value, None, None, options)
        });
        for (ours, burns) in ours.iter().zip(&burns) {
            let burns: Vec<f64> = burns.iter().map(|x| f64::from(*x)).collect();
            agree(ours, &burns, 1e-4);
        }
    }
}

#[test]
#[cfg(feature = "ndarray")]
fn other_backends_give_the_same() {
    #[allow(deprecated, reason = "Burn's ndarray backend stays selectable")]
    let device = Device::ndarray().autodiff();
    for window in [None, Some(0), Some(9)] {
        for causal in [false, true] {
            let case = Case {
                query: [2, 4, 23, 8],
                key: [2, 2, 17, 8],
                value: [2, 2, 17, 5],
                options: AttentionOptions {
                    causal,
                    window,
                    scale: None,
                },
            };
            let found = taped(&device, &case, |query, key, value| {
                attention(query, key, value, case.options.clone())
            });
            for (found, expected) in found.iter().zip(&case.oracle()) {
                agree(found, expected, 1e-4);
            }
        }
    }
}

/// `attention`, computed by `self_attention`.
fn by_projection([query, key, value]: [Tensor<4>; 3], options: AttentionOptions) -> Tensor<4> {
    let [batch, heads, places, width] = query.dims();
    let side_by_side = [query, key, value]
        .map(|part| part.swap_dims(1, 2).reshape([batch, places, heads * width]));
    let output = self_attention(Tensor::cat(side_by_side.into(), 2), heads, options);
    output
        .reshape([batch, places, heads, width])
        .swap_dims(1, 2)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn self_attention_and_its_gradient_are_sums_over_pairs(
        [batch, heads, places, width] in [1usize..3, 1usize..4, 1usize..90, 1usize..40],
        causal: bool,
        window in prop::option::of(0usize..100),
    ) {
        let shape = [batch, heads, places, width];
        let options = AttentionOptions { scale: (width % 2 == 0).then_some(0.3), causal, window };
        let case = Case { query: shape, key: shape, value: shape, options };
        for device in cpus() {
            let found = taped(&device.autodiff(), &case, |query, key, value| {
                by_projection([query, key, value], case.options.clone())
            });
            for (found, expected) in found.iter().zip(&case.oracle()) {
                agree(found, expected, 1e-4);
            }
        }
    }
}

#[test]
fn self_attention_on_any_number_of_threads_is_attention_to_the_bit() {
    let case = of_networks();
    let device = Device::flex().autodiff();
    let packed = || {
        taped(&device, &case, |query, key, value| {
            by_projection([query, key, value], case.options.clone())
        })
    };
    let apart = taped(&device, &case, |query, key, value| {
        attention(query, key, value, case.options.clone())
    });
    assert!(pool(1).install(packed) == apart && pool(2).install(packed) == apart);
}

#[test]
fn self_attention_of_no_sequence_is_empty() {
    let output = self_attention(
        Tensor::zeros([0, 5, 24], &Device::flex()),
        2,
        AttentionOptions::default(),
    );
    assert_eq!(output.dims(), [0, 5, 8]);
}

#[test]
#[should_panic(expected = "Attention: 20 values are not query, key and value of 2 heads")]
fn a_projection_of_another_length_is_refused() {
    let projection = Tensor::zeros([1, 5, 20], &Device::flex());
    self_attention(projection, 2, AttentionOptions::default());
}

#[test]
fn what_is_not_a_number_reaches_the_queries_that_see_it() {
    let case = of_networks();
    let [mut query, key, mut value, _] = case.numbers();
    let geometry = case.geometry();
    // One value of the fourth query of the first head, and one of the hundredth value of the second head.
    query[3 * 64 + 5] = f32::NAN;
    value[(128 + 99) * 64 + 7] = f32::NAN;
    let (output, _) = forward(Arch::new(), &geometry, &query, &key, &value);
    for row in 0..128 {
        let nan = output[row * 64..(row + 1) * 64].iter().all(|x| x.is_nan());
        assert_eq!(nan, row == 3, "query {row}");
    }
    for row in 99..128 {
        assert!(output[(128 + row) * 64 + 7].is_nan(), "query {row}");
    }
}

#[test]
#[should_panic(expected = "Attention: query [1, 3, 4, 8], key [1, 2, 4, 8]")]
fn heads_that_do_not_divide_are_refused() {
    let device = Device::flex();
    let query = Tensor::<4>::ones([1, 3, 4, 8], &device);
    let key = Tensor::<4>::ones([1, 2, 4, 8], &device);
    attention(query, key.clone(), key, AttentionOptions::default());
}
