//! Compares with sums over all taps in 64-bit floats.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use burn::backend::ops::ConvOptions;
use burn::module::Param;
use burn::nn::conv::{Conv1dConfig, Conv2d, Conv2dConfig};
use burn::nn::{PaddingConfig1d, PaddingConfig2d};
use burn::tensor::{Device, Tensor, TensorData, activation};
use proptest::prelude::*;
use pulp::Arch;

use super::epilogue::Epilogue;
use super::forward::{direct, forward};
use super::geometry::Geometry;
use super::input_gradient::input_gradient;
use super::weight_gradient::{bias_gradient, weight_gradient};
use super::{
    conv1d, conv1d_relu, conv2d, conv2d_relu, convolve1d, convolve2d, same_padding, winograd,
};
use crate::relu;
use crate::testing::{agree, cpus, numbers, paths, pool};

/// A convolution whose sizes fit.
#[derive(Clone, Debug)]
struct Case {
    input: [usize; 4],
    weight: [usize; 4],
    options: ConvOptions<2>,
}

impl Case {
    fn geometry(&self) -> Geometry {
        Geometry::new(self.input, self.weight, &self.options).unwrap()
    }

    /// Calls `visit` with all combinations of indices (output, input, weight) that are multiplied.
    fn each(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let Geometry {
            output: [oh, ow],
            channels_out,
            ..
        } = self.geometry();
        let [batch, channels_in, height, width] = self.input;
        let [_, per_group, kh, kw] = self.weight;
        let outputs = channels_out / self.options.groups;
        for n in 0..batch {
            for o in 0..channels_out {
                for (y, x) in (0..oh).flat_map(|y| (0..ow).map(move |x| (y, x))) {
                    for c in 0..per_group {
                        for (i, j) in (0..kh).flat_map(|i| (0..kw).map(move |j| (i, j))) {
                            let at = |axis: usize, out: usize, tap: usize| {
                                (out * self.options.stride[axis]
                                    + tap * self.options.dilation[axis])
                                    .checked_sub(self.options.padding[axis].0)
                            };
                            let (Some(row), Some(column)) = (at(0, y, i), at(1, x, j)) else {
                                continue;
                            };
                            if row < height && column < width {
                                let channel = o / outputs * per_group + c;
                                visit(
                                    ((n * channels_out + o) * oh + y) * ow + x,
                                    ((n * channels_in + channel) * height + row) * width + column,
                                    ((o * per_group + c) * kh + i) * kw + j,
                                );
                            }
                        }
                    }
                }
            }
        }
    }

    fn sizes(&self) -> [usize; 3] {
        let geometry = self.geometry();
        [
            self.input.iter().product(),
            self.weight.iter().product(),
            geometry.batch * geometry.channels_out * geometry.output_pixels(),
        ]
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let axis = (
        1usize..4,
        1usize..4,
        1usize..3,
        0usize..3,
        0usize..3,
        0usize..12,
    );
    (
        axis.clone(),
        axis,
        1usize..4,
        1usize..4,
        1usize..9,
        0usize..4,
    )
        .prop_map(|(y, x, groups, inputs, outputs, batch)| {
            // Kernel, stride, dilation, padding on both sides, and how much the input extends beyond the kernel's reach.
            let size = |(kernel, _, dilation, before, after, extra): (
                usize,
                usize,
                usize,
                usize,
                usize,
                usize,
            )| {
                (dilation * (kernel - 1) + 1 + extra)
                    .saturating_sub(before + after)
                    .max(1)
            };
            Case {
                input: [batch, groups * inputs, size(y), size(x)],
                weight: [groups * outputs, inputs, y.0, x.0],
                options: ConvOptions::new_with_padding(
                    [y.1, x.1],
                    [(y.3, y.4), (x.3, x.4)],
                    [y.2, x.2],
                    groups,
                ),
            }
        })
}

fn check(case: &Case) {
    let geometry = case.geometry();
    let [inputs, weights, outputs] = case.sizes();
    let (input, weight) = (numbers(1, inputs), numbers(2, weights));
    let (bias, gradient) = (numbers(3, geometry.channels_out), numbers(4, outputs));
    let mut sums = [vec![0.0; outputs], vec![0.0; inputs], vec![0.0; weights]];
    let pixels = geometry.output_pixels();
    for (index, sum) in sums[0].iter_mut().enumerate() {
        *sum = f64::from(bias[index / pixels % geometry.channels_out]);
    }
    case.each(|o, i, w| {
        sums[0][o] += f64::from(input[i]) * f64::from(weight[w]);
        sums[1][i] += f64::from(gradient[o]) * f64::from(weight[w]);
        sums[2][w] += f64::from(gradient[o]) * f64::from(input[i]);
    });
    for arch in paths() {
        let found = [
            forward(
                arch,
                &geometry,
                &input,
                &weight,
                Some(&bias),
                Epilogue::Identity,
            ),
            input_gradient(arch, &geometry, &weight, &gradient),
            weight_gradient(arch, &geometry, &input, &gradient),
        ];
        for (found, sums) in found.iter().zip(&sums) {
            agree(found, sums, 1e-4);
        }
        let rectified = forward(
            arch,
            &geometry,
            &input,
            &weight,
            Some(&bias),
            Epilogue::Relu,
        );
        let expected: Vec<f32> = found[0].iter().map(|sum| sum.max(0.0)).collect();
        assert_eq!(rectified, expected);
    }
    let mut sums = vec![0.0; geometry.channels_out];
    for (index, value) in gradient.iter().enumerate() {
        sums[index / pixels % geometry.channels_out] += f64::from(*value);
    }
    agree(
        &bias_gradient(geometry.channels_out, pixels, &gradient),
        &sums,
        1e-4,
    );
}

proptest! {
    #[test]
    fn a_convolution_and_its_gradients_are_sums_over_taps(case in cases()) {
        check(&case);
    }
}

proptest! {
    #[test]
    fn minimal_filtering_is_the_sum_over_taps(
        batch in 0usize..5,
        (inputs, outputs) in (1usize..15, 1usize..15),
        (height, width) in (1usize..20, 1usize..20),
        padding in (0usize..3, 0usize..3, 0usize..3, 0usize..3),
        infinite in prop::option::of(0usize..1000),
    ) {
        let case = Case {
            input: [batch, inputs, height.max(3), width.max(3)],
            weight: [outputs, inputs, 3, 3],
            options: ConvOptions::new_with_padding(
                [1, 1], [(padding.0, padding.1), (padding.2, padding.3)], [1, 1], 1,
            ),
        };
        let geometry = case.geometry();
        let [inputs, weights, _] = case.sizes();
        let (mut input, weight) = (numbers(1, inputs), numbers(2, weights));
        if let Some(index) = infinite && inputs > 0 {
            input[index % inputs] = f32::INFINITY;
        }
        let bias = numbers(3, outputs);
        for arch in paths() {
            for epilogue in [Epilogue::Identity, Epilogue::Relu] {
                let found = winograd::forward(arch, &geometry, &input, &weight, Some(&bias), epilogue);
                let expected = direct(arch, &geometry, &input, &weight, Some(&bias), epilogue);
                for (found, expected) in found.iter().zip(&expected) {
                    let same = found == expected || found.is_nan() && expected.is_nan();
                    let near = (found - expected).abs() <= 1e-5 * expected.abs().max(1.0);
                    prop_assert!(same || near, "{found} {expected}");
                }
            }
        }
    }
}

/// The shapes of the networks. Their runs are longer than a tile.
#[test]
fn the_layers_of_the_networks_agree() {
    for (input, weight, stride, padding) in [
        ([3, 1, 28, 28], [6, 1, 5, 5], 1, 2),
        ([2, 6, 14, 14], [16, 6, 5, 5], 1, 0),
        ([2, 32, 16, 16], [64, 32, 3, 3], 1, 1),
        ([5, 32, 8, 8], [16, 32, 3, 3], 1, 1),
        ([3, 12, 15, 7], [13, 12, 3, 3], 1, 0),
        ([2, 16, 16, 16], [32, 16, 1, 1], 2, 0),
        ([2, 16, 1, 313], [32, 16, 1, 7], 2, 3),
    ] {
        let rows = if input[2] == 1 { 0 } else { padding };
        check(&Case {
            input,
            weight,
            options: ConvOptions::new(
                [if rows == 0 && padding > 0 { 1 } else { stride }, stride],
                [rows, padding],
                [1, 1],
                1,
            ),
        });
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    for channels in [4, 16] {
        check_threads(&Case {
            input: [37, channels, 9, 9],
            weight: [channels + 6, channels, 3, 3],
            options: ConvOptions::new([1, 1], [1, 1], [1, 1], 1),
        });
    }
}

fn check_threads(case: &Case) {
    let geometry = case.geometry();
    let [inputs, weights, outputs] = case.sizes();
    let (input, weight, gradient) = (numbers(1, inputs), numbers(2, weights), numbers(3, outputs));
    let all = || {
        [
            forward(
                Arch::new(),
                &geometry,
                &input,
                &weight,
                None,
                Epilogue::Relu,
            ),
            input_gradient(Arch::new(), &geometry, &weight, &gradient),
            weight_gradient(Arch::new(), &geometry, &input, &gradient),
        ]
    };
    assert!(pool(1).install(all) == pool(2).install(all));
}

/// Compares with Burn's own convolution on Burn's tape.
#[test]
fn gradients_reach_input_weight_and_bias() {
    let device = Device::flex().autodiff();
    let leaf = |seed, shape: [usize; 4]| {
        let data = TensorData::new(numbers(seed, shape.iter().product()), shape);
        Tensor::<4>::from_data(data, &device).require_grad()
    };
    let options = || ConvOptions::new([2, 1], [1, 2], [1, 2], 2);
    let bias = || Some(Tensor::<1>::from_floats([0.1, -0.2, 0.3, 0.4], &device).require_grad());
    let run =
        |convolve: fn(Tensor<4>, Tensor<4>, Option<Tensor<1>>, ConvOptions<2>) -> Tensor<4>| {
            let (input, weight, bias) = (leaf(1, [2, 6, 9, 8]), leaf(2, [4, 3, 3, 3]), bias());
            let output = convolve(input.clone(), weight.clone(), bias.clone(), options());
            let gradients = (output.clone() * output.clone()).sum().backward();
            [
                output.inner().into_data(),
                input.grad(&gradients).unwrap().into_data(),
                weight.grad(&gradients).unwrap().into_data(),
                bias.unwrap().grad(&gradients).unwrap().into_data(),
            ]
        };
    let ours = run(convolve2d);
    let burns = run(burn::tensor::module::conv2d);
    for (ours, burns) in ours.into_iter().zip(burns) {
        let burns: Vec<f64> = burns.convert::<f64>().try_to_vec().unwrap();
        agree(&ours.try_to_vec::<f32>().unwrap(), &burns, 1e-4);
    }
}

/// Output and gradients of input, weight and bias of a layer, for the loss Σ output².
fn of_layer(
    device: &Device,
    size: [usize; 2],
    channels: usize,
    bias: bool,
    apply: impl Fn(&Conv2d, Tensor<4>) -> Tensor<4>,
) -> Vec<TensorData> {
    let device = device.clone().autodiff();
    let shape = [2, channels, size[0], size[1]];
    let input = TensorData::new(numbers(1, shape.iter().product()), shape);
    let input = Tensor::<4>::from_data(input, &device).require_grad();
    let mut layer = Conv2dConfig::new([channels, 13], [3, 3])
        .with_bias(bias)
        .init(&device);
    let weight = TensorData::new(numbers(2, 13 * channels * 9), [13, channels, 3, 3]);
    layer.weight = Param::from_tensor(Tensor::from_data(weight, &device));
    layer.bias = layer
        .bias
        .map(|_| Param::from_data(TensorData::new(numbers(3, 13), [13]), &device));
    let output = apply(&layer, input.clone());
    let gradients = (output.clone() * output.clone()).sum().backward();
    let mut found = vec![
        output.inner().into_data(),
        input.grad(&gradients).unwrap().into_data(),
        layer.weight.grad(&gradients).unwrap().into_data(),
    ];
    found.extend(
        layer
            .bias
            .map(|bias| bias.grad(&gradients).unwrap().into_data()),
    );
    found
}

/// Compares with both operations in turn. On this backend the bits are the same, tap by tap and with minimal filtering.
#[test]
fn a_layer_with_relu_is_relu_behind_a_layer() {
    for (size, channels) in [([9, 8], 3), ([9, 8], 14)] {
        for bias in [false, true] {
            let together = of_layer(&Device::flex(), size, channels, bias, conv2d_relu);
            let apart = of_layer(&Device::flex(), size, channels, bias, |layer, input| {
                relu(conv2d(layer, input))
            });
            assert!(together == apart);
            // The first backend is this one.
            for device in cpus().into_iter().skip(1) {
                let others = of_layer(&device, size, channels, bias, conv2d_relu);
                for (ours, others) in together.iter().zip(others) {
                    let others: Vec<f64> = others.convert::<f64>().try_to_vec().unwrap();
                    agree(&ours.try_to_vec::<f32>().unwrap(), &others, 1e-4);
                }
            }
        }
    }
}

#[test]
fn a_layer_of_lines_with_relu_is_relu_behind_it() {
    let device = Device::flex();
    let layer = Conv1dConfig::new(3, 8, 7)
        .with_stride(2)
        .with_padding(PaddingConfig1d::Explicit(3, 3))
        .init(&device);
    let mut values = numbers(1, 2 * 3 * 53);
    (values[20], values[60], values[100]) = (f32::NAN, f32::INFINITY, f32::NEG_INFINITY);
    let input = Tensor::<3>::from_data(TensorData::new(values, [2, 3, 53]), &device);
    let bits = |output: Tensor<3>| -> Vec<u32> {
        let values: Vec<f32> = output.into_data().try_to_vec().unwrap();
        values.into_iter().map(f32::to_bits).collect()
    };
    let together = bits(conv1d_relu(&layer, input.clone()));
    assert_eq!(together, bits(relu(conv1d(&layer, input.clone()))));
    let burns = activation::relu(layer.forward(input)).into_data();
    let burns: Vec<f32> = burns.try_to_vec().unwrap();
    for (ours, burn) in together.into_iter().map(f32::from_bits).zip(burns) {
        let same = ours == burn || ours.is_nan() && burn.is_nan();
        assert!(same || (ours - burn).abs() <= 1e-5, "{ours} {burn}");
    }
}

#[test]
fn a_convolution_of_lines_is_one_of_images_of_one_row() {
    let device = Device::flex();
    let input =
        Tensor::<3>::from_data(TensorData::new(numbers(1, 2 * 3 * 50), [2, 3, 50]), &device);
    let weight = Tensor::<3>::from_data(TensorData::new(numbers(2, 4 * 3 * 7), [4, 3, 7]), &device);
    let options = || ConvOptions::new([2], [3], [1], 1);
    let ours = convolve1d(input.clone(), weight.clone(), None, options()).into_data();
    let burns = burn::tensor::module::conv1d(input, weight, None, options()).into_data();
    let burns: Vec<f64> = burns.convert::<f64>().try_to_vec().unwrap();
    agree(&ours.try_to_vec::<f32>().unwrap(), &burns, 1e-4);
}

#[test]
fn infinite_values_reach_the_outputs_that_read_them() {
    let device = Device::flex().autodiff();
    let mut values = numbers(1, 36);
    values[14] = f32::INFINITY;
    let input =
        Tensor::<4>::from_data(TensorData::new(values, [1, 1, 6, 6]), &device).require_grad();
    let weight = Tensor::<4>::ones([1, 1, 3, 3], &device).require_grad();
    let output = convolve2d(
        input,
        weight.clone(),
        None,
        ConvOptions::new([1, 1], [0, 0], [1, 1], 1),
    );
    let infinite: Vec<bool> = output
        .clone()
        .inner()
        .into_data()
        .try_to_vec::<f32>()
        .unwrap()
        .iter()
        .map(|value| value.is_infinite())
        .collect();
    // Value 14 is row 2, column 2: output rows 0 to 2 and columns 0 to 2 of four by four.
    let expected: Vec<bool> = (0..16).map(|i| i / 4 <= 2 && i % 4 <= 2).collect();
    assert_eq!(infinite, expected);
    let gradient = weight.grad(&output.sum().backward()).unwrap().into_data();
    let gradient: Vec<f32> = gradient.try_to_vec().unwrap();
    assert!(
        gradient.iter().all(|value| *value == f32::INFINITY),
        "{gradient:?}"
    );
}

#[test]
fn layers_take_every_padding_of_burn() {
    let device = Device::flex();
    let input = Tensor::<4>::from_data(
        TensorData::new(numbers(1, 2 * 3 * 11 * 8), [2, 3, 11, 8]),
        &device,
    );
    for (kernel, stride) in [
        ([3, 3], [1, 1]),
        ([2, 4], [1, 1]),
        ([5, 3], [2, 3]),
        ([1, 1], [2, 2]),
    ] {
        for padding in [
            PaddingConfig2d::Valid,
            PaddingConfig2d::Same,
            PaddingConfig2d::Explicit(1, 2, 0, 1),
        ] {
            let layer = Conv2dConfig::new([3, 4], kernel)
                .with_stride(stride)
                .with_padding(padding)
                .init(&device);
            let burns = layer.forward(input.clone());
            let ours = conv2d(&layer, input.clone());
            assert_eq!(ours.dims(), burns.dims());
            let burns: Vec<f64> = burns.into_data().convert::<f64>().try_to_vec().unwrap();
            agree(&ours.into_data().try_to_vec::<f32>().unwrap(), &burns, 1e-4);
        }
    }
    assert_eq!(same_padding(5, 2, 1), (0, 1));
}
