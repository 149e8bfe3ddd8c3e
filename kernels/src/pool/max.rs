//! Maximum pooling.
//!
//! Forward reads the input and writes the output, with one comparison for each value of a window. For windows of two by two this is less than 1
//! operation per byte, so the floor is these bytes at memory bandwidth. The gradient goes to the position of the maximum. That position is found
//! again from the input, which is read once more; keeping positions would write and read eight bytes for each output. Of equal maxima the first
//! counts, and of several NaN the last.
//!
//! Adjacent windows of two by two process four values of two rows at a time. Other windows are processed tap by tap, over a row of windows, so that the
//! inner loop runs over neighbours. The loops are plain and vectorized by the compiler. The gradient is far from its floor: a step on 64x32x32x32
//! values took 11 ms, of which forward took 0.3 ms. With windows of three by three and a stride of two it is no faster than Burn's.
#![allow(deprecated, reason = "Burn's ndarray backend stays selectable")]

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::ModuleOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension,
    get_or_init_device_settings,
};
use burn::nn::pool::{MaxPool1d, MaxPool2d};
use burn::tensor::Tensor;
use burn::tensor::ops::MaxPoolOptions;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::geometry::{Geometry, strided, symmetric, symmetric_line};
use crate::flex::{FlexTensor, all_f32, dense, sizes, tensor, values};
use crate::fresh::zeros;
use crate::workspace::with_workspace;

/// The result of [`MaxPool2d::forward`], computed faster.
///
/// # Shapes
///
/// `[batch, channels, height, width] → [batch, channels, height_out, width_out]`
///
/// # Example
///
/// ```
/// use burn::nn::pool::MaxPool2dConfig;
/// use burn::tensor::{Device, Tensor};
///
/// let layer = MaxPool2dConfig::new([2, 2]).init();
/// let images = Tensor::<4>::zeros([2, 3, 8, 8], &Device::flex());
/// assert_eq!(crossburn_kernels::max_pool2d(&layer, images).dims(), [2, 3, 4, 4]);
/// ```
pub fn max_pool2d(layer: &MaxPool2d, input: Tensor<4>) -> Tensor<4> {
    let [_, _, height, width] = input.dims();
    let size = [height, width];
    let padding = symmetric(&layer.padding, size, layer.kernel_size, layer.stride);
    let Some(padding) = padding else {
        return layer.forward(input);
    };
    let options = MaxPoolOptions::new(layer.kernel_size)
        .with_stride(layer.stride)
        .with_padding(padding)
        .with_dilation(layer.dilation)
        .with_ceil_mode(layer.ceil_mode);
    Tensor::from_dispatch(Dispatch::max_pooling(input.into_dispatch(), options))
}

/// The result of [`MaxPool1d::forward`], computed faster.
///
/// # Shapes
///
/// `[batch, channels, length] → [batch, channels, length_out]`
///
/// # Example
///
/// ```
/// use burn::nn::pool::MaxPool1dConfig;
/// use burn::tensor::{Device, Tensor};
///
/// let layer = MaxPool1dConfig::new(2).with_stride(2).init();
/// let lines = Tensor::<3>::zeros([2, 3, 8], &Device::flex());
/// assert_eq!(crossburn_kernels::max_pool1d(&layer, lines).dims(), [2, 3, 4]);
/// ```
pub fn max_pool1d(layer: &MaxPool1d, input: Tensor<3>) -> Tensor<3> {
    let [_, _, length] = input.dims();
    let padding = symmetric_line(&layer.padding, length, layer.kernel_size, layer.stride);
    let Some(padding) = padding else {
        return layer.forward(input);
    };
    let options = MaxPoolOptions::new([1, layer.kernel_size])
        .with_stride([1, layer.stride])
        .with_padding([0, padding])
        .with_dilation([1, layer.dilation])
        .with_ceil_mode(layer.ceil_mode);
    let row = input.unsqueeze_dim::<4>(2).into_dispatch();
    Tensor::<4>::from_dispatch(Dispatch::max_pooling(row, options)).squeeze_dim(2)
}

/// Maximum pooling and its gradient. The bodies here are the backend's own operations.
///
/// Padding is the same on both sides.
#[backend_extension(Flex, NdArray: cfg(feature = "ndarray"), Cube: cfg(feature = "wgpu"), Autodiff)]
pub(crate) trait MaxPoolKernel: Backend {
    fn max_pooling(x: FloatTensor<Self>, options: MaxPoolOptions<2>) -> FloatTensor<Self> {
        pooled::<Self>(x, options)
    }

    /// The gradient of `x`.
    fn max_pooling_gradient(
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        options: MaxPoolOptions<2>,
    ) -> FloatTensor<Self> {
        pooled_gradient::<Self>(x, gradient, options)
    }
}

fn pooled<B: Backend>(x: FloatTensor<B>, options: MaxPoolOptions<2>) -> FloatTensor<B> {
    <B as ModuleOps<B>>::max_pool2d(
        x,
        options.kernel_size,
        options.stride,
        options.padding.map(|(before, _)| before),
        options.dilation,
        options.ceil_mode,
    )
}

fn pooled_gradient<B: Backend>(
    x: FloatTensor<B>,
    gradient: FloatTensor<B>,
    options: MaxPoolOptions<2>,
) -> FloatTensor<B> {
    let padding = options.padding.map(|(before, _)| before);
    let indices = <B as ModuleOps<B>>::max_pool2d_with_indices(
        x.clone(),
        options.kernel_size,
        options.stride,
        padding,
        options.dilation,
        options.ceil_mode,
        get_or_init_device_settings::<B>(&x.device()).int_dtype,
    )
    .indices;
    <B as ModuleOps<B>>::max_pool2d_with_indices_backward(
        x,
        options.kernel_size,
        options.stride,
        padding,
        options.dilation,
        options.ceil_mode,
        gradient,
        indices,
    )
    .x_grad
}

#[cfg(feature = "ndarray")]
impl MaxPoolKernel for burn::backend::NdArray {}

#[cfg(feature = "wgpu")]
impl MaxPoolKernel for burn::backend::Cube {}

fn geometry(x: &FlexTensor, options: &MaxPoolOptions<2>) -> Option<Geometry> {
    Geometry::new(
        sizes(x),
        options.kernel_size,
        options.stride,
        options.padding,
        options.dilation,
        options.ceil_mode,
    )
}

impl MaxPoolKernel for Flex {
    fn max_pooling(x: FloatTensor<Self>, options: MaxPoolOptions<2>) -> FloatTensor<Self> {
        let Some(geometry) = geometry(&x, &options).filter(|_| all_f32([&x])) else {
            return pooled::<Self>(x, options);
        };
        let [batch, channels, _, _] = sizes(&x);
        let x = dense(x);
        tensor(
            forward(Arch::new(), &geometry, values(&x)),
            [
                batch,
                channels,
                geometry.rows.output,
                geometry.columns.output,
            ],
        )
    }

    fn max_pooling_gradient(
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        options: MaxPoolOptions<2>,
    ) -> FloatTensor<Self> {
        // Positions within a plane are stored in 32 bits.
        let geometry = geometry(&x, &options)
            .filter(|geometry| all_f32([&x, &gradient]) && geometry.input() < NOWHERE as usize);
        let Some(geometry) = geometry else {
            return pooled_gradient::<Self>(x, gradient, options);
        };
        let (x, gradient) = (dense(x), dense(gradient));
        tensor(
            input_gradient(Arch::new(), &geometry, values(&x), values(&gradient)),
            x.shape(),
        )
    }
}

/// Whether `value` replaces the largest value so far.
#[inline(always)]
fn beats(value: f32, largest: f32) -> bool {
    (value > largest) | value.is_nan()
}

#[inline(always)]
fn larger(largest: f32, value: f32) -> f32 {
    if beats(value, largest) {
        value
    } else {
        largest
    }
}

/// Computes some planes of the output.
struct Forward<'a> {
    geometry: &'a Geometry,
    input: &'a [f32],
    output: &'a mut [f32],
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
                windows(self.geometry, plane, output);
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
            *out = larger(larger(larger(*a, *b), *c), *d);
        }
    }
}

#[inline(always)]
fn windows(geometry: &Geometry, plane: &[f32], output: &mut [f32]) {
    let Geometry { rows, columns } = geometry;
    for (window, out) in output.chunks_exact_mut(columns.output).enumerate() {
        out.fill(f32::NEG_INFINITY);
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
                    out[index] = larger(out[index], value);
                });
            }
        }
    }
}

/// `[batch, channels, height_out, width_out]` from the input.
fn forward(arch: Arch, geometry: &Geometry, input: &[f32]) -> Vec<f32> {
    let planes = input.len() / geometry.input();
    let mut output = zeros(planes * geometry.output());
    let at_once = geometry.planes_at_once();
    output
        .par_chunks_mut(at_once * geometry.output())
        .zip(input.par_chunks(at_once * geometry.input()))
        .for_each(|(output, input)| {
            arch.dispatch(Forward {
                geometry,
                input,
                output,
            });
        });
    output
}

/// The position for a window without values.
const NOWHERE: u32 = u32::MAX;

/// Computes some planes of the input gradient, which hold zeros at first.
struct InputGradient<'a> {
    geometry: &'a Geometry,
    input: &'a [f32],
    gradient: &'a [f32],
    output: &'a mut [f32],
    /// `[2, width_out]`.
    scratch: &'a mut [f32],
}

impl WithSimd for InputGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let geometry = self.geometry;
        let planes = self.input.chunks_exact(geometry.input());
        let gradients = self.gradient.chunks_exact(geometry.output());
        let outputs = self.output.chunks_exact_mut(geometry.input());
        let all = planes.zip(gradients).zip(outputs);
        if geometry.squares() {
            for ((plane, gradient), output) in all {
                squares_gradient(geometry, plane, gradient, output);
            }
        } else {
            let (largest, place) = self.scratch.split_at_mut(geometry.columns.output);
            let place = bytemuck::cast_slice_mut(place);
            for ((plane, gradient), output) in all {
                windows_gradient(geometry, plane, gradient, output, largest, place);
            }
        }
    }
}

/// `value` or zero, without a branch: a processor cannot predict which value is the largest.
#[inline(always)]
fn keep(whether: bool, value: f32) -> f32 {
    f32::from_bits(value.to_bits() & u32::from(whether).wrapping_neg())
}

#[inline(always)]
fn squares_gradient(geometry: &Geometry, plane: &[f32], gradient: &[f32], output: &mut [f32]) {
    let (width, columns) = (geometry.columns.input, geometry.columns.output);
    let rows = plane.chunks_exact(2 * width);
    let outputs = output.chunks_exact_mut(2 * width);
    let gradients = gradient.chunks_exact(columns);
    for ((rows, out), gradient) in rows.zip(outputs).zip(gradients) {
        let (top, bottom) = rows.split_at(width);
        let (top, _) = top[..2 * columns].as_chunks::<2>();
        let (bottom, _) = bottom[..2 * columns].as_chunks::<2>();
        let (out_top, out_bottom) = out.split_at_mut(width);
        let (out_top, _) = out_top[..2 * columns].as_chunks_mut::<2>();
        let (out_bottom, _) = out_bottom[..2 * columns].as_chunks_mut::<2>();
        // The compiler knows these lengths, so it checks no index and uses vectors.
        let (top, bottom, gradient) = (&top[..columns], &bottom[..columns], &gradient[..columns]);
        let (out_top, out_bottom) = (&mut out_top[..columns], &mut out_bottom[..columns]);
        for i in 0..columns {
            let ([a, b], [c, d], g) = (top[i], bottom[i], gradient[i]);
            let second = beats(b, a);
            let above = if second { b } else { a };
            let third = beats(c, above);
            let fourth = beats(d, if third { c } else { above });
            let below = third | fourth;
            out_top[i] = [keep(!(below | second), g), keep(!below & second, g)];
            out_bottom[i] = [keep(third & !fourth, g), keep(fourth, g)];
        }
    }
}

#[inline(always)]
fn windows_gradient(
    geometry: &Geometry,
    plane: &[f32],
    gradient: &[f32],
    output: &mut [f32],
    largest: &mut [f32],
    place: &mut [u32],
) {
    let Geometry { rows, columns } = geometry;
    for (window, gradient) in gradient.chunks_exact(columns.output).enumerate() {
        largest.fill(f32::NEG_INFINITY);
        place.fill(NOWHERE);
        for row in rows.taps(window) {
            let start = rows.at(window, row) * columns.input;
            let line = &plane[start..][..columns.input];
            for tap in 0..columns.kernel {
                let range = columns.windows(tap);
                if range.is_empty() {
                    continue;
                }
                let first = columns.at(range.start, tap);
                let from = (start + first) as u32;
                let step = columns.stride as u32;
                let (largest, place) = (&mut largest[range.clone()], &mut place[range]);
                let count = place.len();
                let largest = &mut largest[..count];
                strided(
                    &line[first..],
                    columns.stride,
                    place.len(),
                    |index, value| {
                        let wins = beats(value, largest[index]) | (place[index] == NOWHERE);
                        largest[index] = if wins { value } else { largest[index] };
                        place[index] = if wins {
                            from + step * index as u32
                        } else {
                            place[index]
                        };
                    },
                );
            }
        }
        for (place, gradient) in place.iter().zip(gradient) {
            if *place != NOWHERE {
                output[*place as usize] += gradient;
            }
        }
    }
}

/// The gradient of the input from that of the output.
fn input_gradient(arch: Arch, geometry: &Geometry, input: &[f32], gradient: &[f32]) -> Vec<f32> {
    let mut output = zeros(input.len());
    let at_once = geometry.planes_at_once();
    output
        .par_chunks_mut(at_once * geometry.input())
        .zip(input.par_chunks(at_once * geometry.input()))
        .zip(gradient.par_chunks(at_once * geometry.output()))
        .for_each(|((output, input), gradient)| {
            with_workspace(2 * geometry.columns.output, |scratch| {
                arch.dispatch(InputGradient {
                    geometry,
                    input,
                    gradient,
                    output,
                    scratch,
                });
            });
        });
    output
}

#[derive(Debug)]
struct MaxPooling;

impl<B: MaxPoolKernel> Backward<B, 1> for MaxPooling {
    type State = (NodeId, MaxPoolOptions<2>);

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
            grads.register::<B>(node.id, B::max_pooling_gradient(x, gradient, options));
        }
    }
}

impl<B: MaxPoolKernel, C: CheckpointStrategy> MaxPoolKernel for Autodiff<B, C> {
    fn max_pooling(x: FloatTensor<Self>, options: MaxPoolOptions<2>) -> FloatTensor<Self> {
        let output = B::max_pooling(x.primitive().clone(), options.clone());
        match MaxPooling
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
    use burn::nn::pool::{MaxPool1dConfig, MaxPool2dConfig};
    use burn::nn::{PaddingConfig1d, PaddingConfig2d};
    use burn::tensor::{Device, TensorData};
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{cpus, numbers, paths, pool};

    /// Output and input gradient, value by value. Of equal maxima the first counts, and of several NaN the last.
    fn expected(geometry: &Geometry, input: &[f32], gradient: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let Geometry { rows, columns } = *geometry;
        let (mut output, mut result) = (vec![], vec![0.0; input.len()]);
        for plane in 0..input.len() / geometry.input() {
            for (y, x) in (0..rows.output).flat_map(|y| (0..columns.output).map(move |x| (y, x))) {
                let inside = |axis: &super::super::geometry::Axis, window: usize, tap: usize| {
                    (window * axis.stride + tap * axis.dilation)
                        .checked_sub(axis.padding)
                        .filter(|at| *at < axis.input)
                };
                let mut best: Option<usize> = None;
                for (i, j) in
                    (0..rows.kernel).flat_map(|i| (0..columns.kernel).map(move |j| (i, j)))
                {
                    if let (Some(row), Some(column)) = (inside(&rows, y, i), inside(&columns, x, j))
                    {
                        let at = plane * geometry.input() + row * columns.input + column;
                        if best.is_none_or(|best| input[at] > input[best] || input[at].is_nan()) {
                            best = Some(at);
                        }
                    }
                }
                if let Some(best) = best {
                    result[best] += gradient[output.len()];
                }
                output.push(best.map_or(f32::NEG_INFINITY, |best| input[best]));
            }
        }
        (output, result)
    }

    /// Compares bits, except those of NaN.
    #[track_caller]
    fn same(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
            let both = found.is_nan() && expected.is_nan();
            assert!(
                both || found == expected,
                "value {index} is {found}, not {expected}"
            );
        }
    }

    /// Few different values, so that many are equal, and some special ones.
    fn coarse(count: usize) -> Vec<f32> {
        let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
        numbers(1, count)
            .iter()
            .enumerate()
            .map(|(index, value)| match index % 17 {
                at @ 0..3 => special[at],
                _ => (value * 3.0).round(),
            })
            .collect()
    }

    fn check(input: [usize; 4], options: &MaxPoolOptions<2>) {
        let Some(geometry) = Geometry::new(
            input,
            options.kernel_size,
            options.stride,
            options.padding,
            options.dilation,
            options.ceil_mode,
        ) else {
            return;
        };
        let count = input.iter().product();
        let gradient = numbers(2, input[0] * input[1] * geometry.output());
        for values in [numbers(1, count), coarse(count)] {
            let (output, result) = expected(&geometry, &values, &gradient);
            for arch in paths() {
                same(&forward(arch, &geometry, &values), &output);
                same(
                    &input_gradient(arch, &geometry, &values, &gradient),
                    &result,
                );
            }
        }
    }

    proptest! {
        #[test]
        fn every_window_gives_its_first_largest_value(
            size in (1usize..3, 1usize..3, 1usize..20, 1usize..40),
            kernel in (1usize..4, 1usize..4),
            stride in (1usize..4, 1usize..4),
            padding in (0usize..3, 0usize..3),
            dilation in (1usize..3, 1usize..3),
            ceil_mode: bool,
        ) {
            let options = MaxPoolOptions::new(kernel.into())
                .with_stride(stride.into())
                .with_padding(padding.into())
                .with_dilation(dilation.into())
                .with_ceil_mode(ceil_mode);
            check(size.into(), &options);
        }

        #[test]
        fn squares_give_their_first_largest_value(
            size in (1usize..5, 1usize..5, 2usize..12, 2usize..70),
            ceil_mode: bool,
        ) {
            check(size.into(), &MaxPoolOptions::new([2, 2]).with_ceil_mode(ceil_mode));
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let size = [9, 7, 31, 33];
        for options in [
            MaxPoolOptions::new([2, 2]),
            MaxPoolOptions::new([3, 3]).with_stride([1, 2]),
        ] {
            let x = tensor(numbers(1, size.iter().product()), size);
            let geometry = geometry(&x, &options).unwrap();
            let gradient = numbers(2, 63 * geometry.output());
            let all = || {
                (
                    forward(Arch::new(), &geometry, values(&x)),
                    input_gradient(Arch::new(), &geometry, values(&x), &gradient),
                )
            };
            assert!(pool(1).install(all) == pool(2).install(all));
        }
    }

    fn run(
        device: &Device,
        layer: &MaxPool2d,
        pool: fn(&MaxPool2d, Tensor<4>) -> Tensor<4>,
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
            for (kernel, stride, padding, ceil_mode) in [
                ([2, 2], [2, 2], PaddingConfig2d::Valid, false),
                ([2, 2], [2, 2], PaddingConfig2d::Valid, true),
                ([3, 3], [2, 2], PaddingConfig2d::Explicit(1, 1, 1, 1), false),
                ([3, 2], [1, 2], PaddingConfig2d::Explicit(0, 1, 1, 0), true),
                ([3, 3], [1, 1], PaddingConfig2d::Same, false),
                ([2, 2], [1, 1], PaddingConfig2d::Same, false),
                ([3, 3], [2, 2], PaddingConfig2d::Same, false),
            ] {
                let layer = MaxPool2dConfig::new(kernel)
                    .with_strides(stride)
                    .with_padding(padding)
                    .with_ceil_mode(ceil_mode)
                    .init();
                let ours = run(&device, &layer, max_pool2d);
                let burns = run(&device, &layer, |layer, input| layer.forward(input));
                for (ours, burns) in ours.into_iter().zip(burns) {
                    assert_eq!(ours, burns, "{layer}");
                }
            }
        }
    }

    #[test]
    fn lines_are_pooled_as_burns_are() {
        let data = TensorData::new(numbers(1, 2 * 3 * 21), [2, 3, 21]);
        let input = Tensor::<3>::from_data(data, &Device::flex());
        for (kernel, stride, padding, dilation) in [
            (2, 2, PaddingConfig1d::Valid, 1),
            (3, 2, PaddingConfig1d::Explicit(1, 1), 2),
            (4, 1, PaddingConfig1d::Same, 1),
            (3, 1, PaddingConfig1d::Same, 1),
        ] {
            let layer = MaxPool1dConfig::new(kernel)
                .with_stride(stride)
                .with_padding(padding)
                .with_dilation(dilation)
                .init();
            let ours = max_pool1d(&layer, input.clone()).into_data();
            assert_eq!(ours, layer.forward(input.clone()).into_data(), "{layer}");
        }
    }

    #[test]
    fn no_images_give_no_images() {
        let layer = MaxPool2dConfig::new([2, 2]).init();
        let output = max_pool2d(&layer, Tensor::zeros([0, 3, 4, 4], &Device::flex()));
        assert_eq!(output.dims(), [0, 3, 2, 2]);
    }
}
