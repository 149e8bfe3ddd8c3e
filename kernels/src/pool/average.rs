//! Average pooling.
//!
//! One addition for each value of a window, and one division for each window. For windows of two by two this is less than 1 operation per byte, so the
//! floor is input and output at memory bandwidth, forward and backward. Adjacent windows of two by two process four values of two rows at a time;
//! other windows are processed tap by tap, over a row of windows. The loops are plain and vectorized by the compiler. On 64x32x32x32 values the
//! forward pass took 6 ms for windows of three by three with a stride of two, and 0.3 ms for two by two: overlapping windows with a stride are far
//! from the floor.
#![allow(deprecated, reason = "Burn's ndarray backend stays selectable")]

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::ModuleOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::nn::pool::{AvgPool1d, AvgPool2d};
use burn::tensor::Tensor;
use burn::tensor::ops::AvgPoolOptions;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::geometry::{Geometry, strided, symmetric, symmetric_line};
use crate::flex::{FlexTensor, all_f32, dense, sizes, tensor, values};
use crate::fresh::zeros;
use crate::workspace::with_workspace;

/// The result of [`AvgPool2d::forward`], computed faster.
///
/// # Shapes
///
/// `[batch, channels, height, width] → [batch, channels, height_out, width_out]`
///
/// # Example
///
/// ```
/// use burn::nn::pool::AvgPool2dConfig;
/// use burn::tensor::{Device, Tensor};
///
/// let layer = AvgPool2dConfig::new([2, 2]).init();
/// let images = Tensor::<4>::zeros([2, 3, 8, 8], &Device::flex());
/// assert_eq!(crossburn_kernels::avg_pool2d(&layer, images).dims(), [2, 3, 4, 4]);
/// ```
pub fn avg_pool2d(layer: &AvgPool2d, input: Tensor<4>) -> Tensor<4> {
    let [_, _, height, width] = input.dims();
    let size = [height, width];
    let padding = symmetric(&layer.padding, size, layer.kernel_size, layer.stride);
    let Some(padding) = padding else {
        return layer.forward(input);
    };
    let options = AvgPoolOptions::new(layer.kernel_size)
        .with_stride(layer.stride)
        .with_padding(padding)
        .with_count_include_pad(layer.count_include_pad)
        .with_ceil_mode(layer.ceil_mode);
    Tensor::from_dispatch(Dispatch::average_pooling(input.into_dispatch(), options))
}

/// The result of [`AvgPool1d::forward`], computed faster.
///
/// # Shapes
///
/// `[batch, channels, length] → [batch, channels, length_out]`
///
/// # Example
///
/// ```
/// use burn::nn::pool::AvgPool1dConfig;
/// use burn::tensor::{Device, Tensor};
///
/// let layer = AvgPool1dConfig::new(2).with_stride(2).init();
/// let lines = Tensor::<3>::zeros([2, 3, 8], &Device::flex());
/// assert_eq!(crossburn_kernels::avg_pool1d(&layer, lines).dims(), [2, 3, 4]);
/// ```
pub fn avg_pool1d(layer: &AvgPool1d, input: Tensor<3>) -> Tensor<3> {
    let [_, _, length] = input.dims();
    let padding = symmetric_line(&layer.padding, length, layer.kernel_size, layer.stride);
    let Some(padding) = padding else {
        return layer.forward(input);
    };
    let options = AvgPoolOptions::new([1, layer.kernel_size])
        .with_stride([1, layer.stride])
        .with_padding([0, padding])
        .with_count_include_pad(layer.count_include_pad)
        .with_ceil_mode(layer.ceil_mode);
    let row = input.unsqueeze_dim::<4>(2).into_dispatch();
    Tensor::<4>::from_dispatch(Dispatch::average_pooling(row, options)).squeeze_dim(2)
}

/// Average pooling and its gradient. The bodies here are the backend's own operations.
///
/// Padding is the same on both sides.
#[backend_extension(Flex, NdArray: cfg(feature = "ndarray"), Cube: cfg(feature = "wgpu"), Autodiff)]
pub(crate) trait AveragePoolKernel: Backend {
    fn average_pooling(x: FloatTensor<Self>, options: AvgPoolOptions<2>) -> FloatTensor<Self> {
        pooled::<Self>(x, options)
    }

    /// The gradient of `x`. Only the shape of `x` is used.
    fn average_pooling_gradient(
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        options: AvgPoolOptions<2>,
    ) -> FloatTensor<Self> {
        pooled_gradient::<Self>(x, gradient, options)
    }
}

fn pooled<B: Backend>(x: FloatTensor<B>, options: AvgPoolOptions<2>) -> FloatTensor<B> {
    <B as ModuleOps<B>>::avg_pool2d(
        x,
        options.kernel_size,
        options.stride,
        options.padding.map(|(before, _)| before),
        options.count_include_pad,
        options.ceil_mode,
    )
}

fn pooled_gradient<B: Backend>(
    x: FloatTensor<B>,
    gradient: FloatTensor<B>,
    options: AvgPoolOptions<2>,
) -> FloatTensor<B> {
    <B as ModuleOps<B>>::avg_pool2d_backward(
        x,
        gradient,
        options.kernel_size,
        options.stride,
        options.padding.map(|(before, _)| before),
        options.count_include_pad,
        options.ceil_mode,
    )
}

#[cfg(feature = "ndarray")]
impl AveragePoolKernel for burn::backend::NdArray {}

#[cfg(feature = "wgpu")]
impl AveragePoolKernel for burn::backend::Cube {}

fn geometry(x: &FlexTensor, options: &AvgPoolOptions<2>) -> Option<Geometry> {
    Geometry::new(
        sizes(x),
        options.kernel_size,
        options.stride,
        options.padding,
        [1, 1],
        options.ceil_mode,
    )
}

impl AveragePoolKernel for Flex {
    fn average_pooling(x: FloatTensor<Self>, options: AvgPoolOptions<2>) -> FloatTensor<Self> {
        let Some(geometry) = geometry(&x, &options).filter(|_| all_f32([&x])) else {
            return pooled::<Self>(x, options);
        };
        let [batch, channels, _, _] = sizes(&x);
        let x = dense(x);
        tensor(
            forward(
                Arch::new(),
                &geometry,
                options.count_include_pad,
                values(&x),
            ),
            [
                batch,
                channels,
                geometry.rows.output,
                geometry.columns.output,
            ],
        )
    }

    fn average_pooling_gradient(
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        options: AvgPoolOptions<2>,
    ) -> FloatTensor<Self> {
        let Some(geometry) = geometry(&x, &options).filter(|_| all_f32([&x, &gradient])) else {
            return pooled_gradient::<Self>(x, gradient, options);
        };
        let gradient = dense(gradient);
        tensor(
            input_gradient(
                Arch::new(),
                &geometry,
                options.count_include_pad,
                values(&gradient),
            ),
            x.shape(),
        )
    }
}

/// Computes some planes of the output.
struct Forward<'a> {
    geometry: &'a Geometry,
    input: &'a [f32],
    output: &'a mut [f32],
    /// `[height_out, width_out]`.
    divisors: &'a [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let planes = self.input.chunks_exact(self.geometry.input());
        let outputs = self.output.chunks_exact_mut(self.geometry.output());
        if self.geometry.squares() {
            for (plane, output) in planes.zip(outputs) {
                squares(self.geometry, plane, output);
            }
        } else {
            for (plane, output) in planes.zip(outputs) {
                windows(self.geometry, plane, self.divisors, output);
            }
        }
    }
}

#[inline(always)]
fn squares(geometry: &Geometry, plane: &[f32], output: &mut [f32]) {
    let (width, columns) = (geometry.columns.input, geometry.columns.output);
    let rows = plane.chunks_exact(2 * width);
    for (rows, out) in rows.zip(output.chunks_exact_mut(columns)) {
        let (top, bottom) = rows.split_at(width);
        let (top, _) = top[..2 * columns].as_chunks::<2>();
        let (bottom, _) = bottom[..2 * columns].as_chunks::<2>();
        for ((out, [a, b]), [c, d]) in out.iter_mut().zip(top).zip(bottom) {
            *out = (a + b + c + d) / 4.0;
        }
    }
}

#[inline(always)]
fn windows(geometry: &Geometry, plane: &[f32], divisors: &[f32], output: &mut [f32]) {
    let Geometry { rows, columns } = geometry;
    for (window, out) in output.chunks_exact_mut(columns.output).enumerate() {
        out.fill(0.0);
        for row in rows.taps(window) {
            let line = &plane[rows.at(window, row) * columns.input..][..columns.input];
            for tap in 0..columns.kernel {
                let range = columns.windows(tap);
                if range.is_empty() {
                    continue;
                }
                let line = &line[columns.at(range.start, tap)..];
                let out = &mut out[range];
                strided(line, columns.stride, out.len(), |index, value| {
                    out[index] += value;
                });
            }
        }
        let divisors = &divisors[window * columns.output..][..columns.output];
        for (out, divisor) in out.iter_mut().zip(divisors) {
            *out /= divisor;
        }
    }
}

/// The divisor of every window, `[height_out, width_out]`. All planes share it.
fn divisors(geometry: &Geometry, padding_counts: bool) -> Vec<f32> {
    let Geometry { rows, columns } = geometry;
    let count = |row: usize, column: usize| match padding_counts {
        true => rows.padded(row) * columns.padded(column),
        false => rows.taps(row).len() * columns.taps(column).len(),
    };
    (0..rows.output)
        .flat_map(|row| (0..columns.output).map(move |column| (row, column)))
        .map(|(row, column)| count(row, column).max(1) as f32)
        .collect()
}

/// `[batch, channels, height_out, width_out]` from the input.
fn forward(arch: Arch, geometry: &Geometry, padding_counts: bool, input: &[f32]) -> Vec<f32> {
    let planes = input.len() / geometry.input();
    let mut output = zeros(planes * geometry.output());
    let divisors = divisors(geometry, padding_counts);
    let at_once = geometry.planes_at_once();
    output
        .par_chunks_mut(at_once * geometry.output())
        .zip(input.par_chunks(at_once * geometry.input()))
        .for_each(|(output, input)| {
            arch.dispatch(Forward {
                geometry,
                input,
                output,
                divisors: &divisors,
            });
        });
    output
}

/// Computes some planes of the input gradient, which hold zeros at first.
struct InputGradient<'a> {
    geometry: &'a Geometry,
    gradient: &'a [f32],
    output: &'a mut [f32],
    /// `[height_out, width_out]`.
    divisors: &'a [f32],
    /// `[width_out]`.
    scratch: &'a mut [f32],
}

impl WithSimd for InputGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let geometry = self.geometry;
        let gradients = self.gradient.chunks_exact(geometry.output());
        let outputs = self.output.chunks_exact_mut(geometry.input());
        let all = gradients.zip(outputs);
        if geometry.squares() {
            for (gradient, output) in all {
                squares_gradient(geometry, gradient, output);
            }
        } else {
            let (divisors, scratch) = (self.divisors, self.scratch);
            for (gradient, output) in all {
                windows_gradient(geometry, gradient, divisors, output, scratch);
            }
        }
    }
}

#[inline(always)]
fn squares_gradient(geometry: &Geometry, gradient: &[f32], output: &mut [f32]) {
    let (width, columns) = (geometry.columns.input, geometry.columns.output);
    let outputs = output.chunks_exact_mut(2 * width);
    for (out, gradient) in outputs.zip(gradient.chunks_exact(columns)) {
        for out in out.chunks_exact_mut(width) {
            let (pairs, _) = out[..2 * columns].as_chunks_mut::<2>();
            for (pair, gradient) in pairs.iter_mut().zip(gradient) {
                *pair = [gradient / 4.0; 2];
            }
        }
    }
}

#[inline(always)]
fn windows_gradient(
    geometry: &Geometry,
    gradient: &[f32],
    divisors: &[f32],
    output: &mut [f32],
    scratch: &mut [f32],
) {
    let Geometry { rows, columns } = geometry;
    let all = gradient.chunks_exact(columns.output);
    for (window, (gradient, divisors)) in all.zip(divisors.chunks_exact(columns.output)).enumerate()
    {
        for ((scaled, gradient), divisor) in scratch.iter_mut().zip(gradient).zip(divisors) {
            *scaled = gradient / divisor;
        }
        for row in rows.taps(window) {
            let line = &mut output[rows.at(window, row) * columns.input..][..columns.input];
            for tap in 0..columns.kernel {
                let range = columns.windows(tap);
                if range.is_empty() {
                    continue;
                }
                let line = &mut line[columns.at(range.start, tap)..];
                let scaled = &scratch[range];
                if columns.stride == 1 {
                    for (out, scaled) in line.iter_mut().zip(scaled) {
                        *out += scaled;
                    }
                } else {
                    for (out, scaled) in line.iter_mut().step_by(columns.stride).zip(scaled) {
                        *out += scaled;
                    }
                }
            }
        }
    }
}

/// The gradient of the input from that of the output.
fn input_gradient(
    arch: Arch,
    geometry: &Geometry,
    padding_counts: bool,
    gradient: &[f32],
) -> Vec<f32> {
    let planes = gradient.len() / geometry.output();
    let mut output = zeros(planes * geometry.input());
    let divisors = divisors(geometry, padding_counts);
    let at_once = geometry.planes_at_once();
    output
        .par_chunks_mut(at_once * geometry.input())
        .zip(gradient.par_chunks(at_once * geometry.output()))
        .for_each(|(output, gradient)| {
            with_workspace(geometry.columns.output, |scratch| {
                arch.dispatch(InputGradient {
                    geometry,
                    gradient,
                    output,
                    divisors: &divisors,
                    scratch,
                });
            });
        });
    output
}

#[derive(Debug)]
struct AveragePooling;

impl<B: AveragePoolKernel> Backward<B, 1> for AveragePooling {
    type State = (NodeId, AvgPoolOptions<2>);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let gradient = grads.consume::<B>(&ops.node);
        let (x, options) = ops.state;
        let x = checkpointer.retrieve_node_output::<FloatTensor<B>>(x);
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, B::average_pooling_gradient(x, gradient, options));
        }
    }
}

impl<B: AveragePoolKernel, C: CheckpointStrategy> AveragePoolKernel for Autodiff<B, C> {
    fn average_pooling(x: FloatTensor<Self>, options: AvgPoolOptions<2>) -> FloatTensor<Self> {
        let output = B::average_pooling(x.primitive().clone(), options.clone());
        match AveragePooling
            .prepare::<C>([x.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&x), options);
                prep.finish(state, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use burn::nn::pool::{AvgPool1dConfig, AvgPool2dConfig};
    use burn::nn::{PaddingConfig1d, PaddingConfig2d};
    use burn::tensor::{Device, TensorData};
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{agree, cpus, numbers, paths, pool};

    fn check(input: [usize; 4], options: &AvgPoolOptions<2>) {
        let Some(geometry) = Geometry::new(
            input,
            options.kernel_size,
            options.stride,
            options.padding,
            [1, 1],
            options.ceil_mode,
        ) else {
            return;
        };
        let Geometry { rows, columns } = geometry;
        let values = numbers(1, input.iter().product());
        let gradient = numbers(2, input[0] * input[1] * geometry.output());
        let (mut output, mut result) = (vec![], vec![0.0; values.len()]);
        for plane in 0..input[0] * input[1] {
            for (y, x) in (0..rows.output).flat_map(|y| (0..columns.output).map(move |x| (y, x))) {
                let (mut inside, mut padded) = (vec![], 0);
                for (i, j) in
                    (0..rows.kernel).flat_map(|i| (0..columns.kernel).map(move |j| (i, j)))
                {
                    let (row, column) = (y * rows.stride + i, x * columns.stride + j);
                    let within = |at: usize, axis: &super::super::geometry::Axis| {
                        at.checked_sub(axis.padding).filter(|at| *at < axis.input)
                    };
                    if row < rows.input + 2 * rows.padding
                        && column < columns.input + 2 * columns.padding
                    {
                        padded += 1;
                    }
                    if let (Some(row), Some(column)) =
                        (within(row, &rows), within(column, &columns))
                    {
                        inside.push(plane * geometry.input() + row * columns.input + column);
                    }
                }
                let count = if options.count_include_pad {
                    padded
                } else {
                    inside.len()
                };
                let count = count.max(1) as f64;
                let sum: f64 = inside.iter().map(|at| f64::from(values[*at])).sum();
                for at in inside {
                    result[at] += f64::from(gradient[output.len()]) / count;
                }
                output.push(sum / count);
            }
        }
        for arch in paths() {
            let counts = options.count_include_pad;
            agree(&forward(arch, &geometry, counts, &values), &output, 1e-5);
            agree(
                &input_gradient(arch, &geometry, counts, &gradient),
                &result,
                1e-5,
            );
        }
    }

    proptest! {
        #[test]
        fn every_window_gives_the_mean_of_what_it_sees(
            size in (1usize..3, 1usize..3, 1usize..20, 1usize..40),
            kernel in (1usize..4, 1usize..4),
            stride in (1usize..4, 1usize..4),
            padding in (0usize..3, 0usize..3),
            count_include_pad: bool,
            ceil_mode: bool,
        ) {
            let options = AvgPoolOptions::new(kernel.into())
                .with_stride(stride.into())
                .with_padding(padding.into())
                .with_count_include_pad(count_include_pad)
                .with_ceil_mode(ceil_mode);
            check(size.into(), &options);
        }

        #[test]
        fn squares_give_their_mean(size in (1usize..5, 1usize..5, 2usize..12, 2usize..70)) {
            check(size.into(), &AvgPoolOptions::new([2, 2]));
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let size = [9, 7, 31, 33];
        for options in [
            AvgPoolOptions::new([2, 2]),
            AvgPoolOptions::new([3, 3]).with_stride([1, 2]),
        ] {
            let x = tensor(numbers(1, size.iter().product()), size);
            let geometry = geometry(&x, &options).unwrap();
            let gradient = numbers(2, 63 * geometry.output());
            let all = || {
                (
                    forward(Arch::new(), &geometry, true, values(&x)),
                    input_gradient(Arch::new(), &geometry, true, &gradient),
                )
            };
            assert!(pool(1).install(all) == pool(2).install(all));
        }
    }

    fn run(
        device: &Device,
        layer: &AvgPool2d,
        pool: fn(&AvgPool2d, Tensor<4>) -> Tensor<4>,
    ) -> [TensorData; 2] {
        let data = TensorData::new(numbers(1, 2 * 3 * 9 * 10), [2, 3, 9, 10]);
        let input = Tensor::<4>::from_data(data, device).require_grad();
        let output = pool(layer, input.clone());
        let gradients = (output.clone() * output.clone()).sum().backward();
        [
            output.inner().into_data(),
            input.grad(&gradients).unwrap().into_data(),
        ]
    }

    /// Compares on Burn's tape, with every kind of padding, on every CPU backend.
    #[test]
    fn the_layer_pools_as_burns_does() {
        for device in cpus().into_iter().map(Device::autodiff) {
            for (kernel, stride, padding, counts, ceil_mode) in [
                ([2, 2], [2, 2], PaddingConfig2d::Valid, true, false),
                ([2, 2], [2, 2], PaddingConfig2d::Valid, false, true),
                (
                    [3, 3],
                    [2, 2],
                    PaddingConfig2d::Explicit(1, 1, 1, 1),
                    true,
                    false,
                ),
                (
                    [3, 3],
                    [2, 2],
                    PaddingConfig2d::Explicit(1, 1, 1, 1),
                    false,
                    true,
                ),
                (
                    [3, 2],
                    [1, 2],
                    PaddingConfig2d::Explicit(0, 1, 1, 0),
                    false,
                    true,
                ),
                ([3, 3], [1, 1], PaddingConfig2d::Same, true, false),
                ([2, 2], [1, 1], PaddingConfig2d::Same, false, false),
            ] {
                let layer = AvgPool2dConfig::new(kernel)
                    .with_strides(stride)
                    .with_padding(padding)
                    .with_count_include_pad(counts)
                    .with_ceil_mode(ceil_mode)
                    .init();
                let ours = run(&device, &layer, avg_pool2d);
                let burns = run(&device, &layer, |layer, input| layer.forward(input));
                for (ours, burns) in ours.into_iter().zip(burns) {
                    assert_eq!(ours.shape(), burns.shape());
                    let burns: Vec<f64> = burns.convert::<f64>().try_to_vec().unwrap();
                    agree(&ours.try_to_vec::<f32>().unwrap(), &burns, 1e-5);
                }
            }
        }
    }

    #[test]
    fn lines_are_pooled_as_burns_are() {
        let data = TensorData::new(numbers(1, 2 * 3 * 21), [2, 3, 21]);
        let input = Tensor::<3>::from_data(data, &Device::flex());
        for (kernel, stride, padding) in [
            (2, 2, PaddingConfig1d::Valid),
            (3, 2, PaddingConfig1d::Explicit(1, 1)),
            (4, 1, PaddingConfig1d::Same),
            (3, 1, PaddingConfig1d::Same),
        ] {
            let layer = AvgPool1dConfig::new(kernel)
                .with_stride(stride)
                .with_padding(padding)
                .init();
            let ours = avg_pool1d(&layer, input.clone()).into_data();
            let burns = layer.forward(input.clone()).into_data();
            let burns: Vec<f64> = burns.convert::<f64>().try_to_vec().unwrap();
            agree(&ours.try_to_vec::<f32>().unwrap(), &burns, 1e-5);
        }
    }

    #[test]
    fn what_is_not_finite_reaches_the_windows_that_see_it() {
        let mut input = numbers(1, 36);
        input[14] = f32::NAN;
        let input = Tensor::<4>::from_data(TensorData::new(input, [1, 1, 6, 6]), &Device::flex());
        for (kernel, stride) in [([2, 2], [2, 2]), ([3, 3], [1, 1])] {
            let layer = AvgPool2dConfig::new(kernel).with_strides(stride).init();
            let not = |data: TensorData| -> Vec<bool> {
                data.try_to_vec::<f32>()
                    .unwrap()
                    .iter()
                    .map(|v| v.is_nan())
                    .collect()
            };
            let ours = not(avg_pool2d(&layer, input.clone()).into_data());
            assert_eq!(ours, not(layer.forward(input.clone()).into_data()));
        }
    }

    #[test]
    fn no_images_give_no_images() {
        let layer = AvgPool2dConfig::new([2, 2]).init();
        let output = avg_pool2d(&layer, Tensor::zeros([0, 3, 4, 4], &Device::flex()));
        assert_eq!(output.dims(), [0, 3, 2, 2]);
    }
}
