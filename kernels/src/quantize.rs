//! Rectification, clipping and quantization of activations in one pass.
//!
//! Four operations for each value that is read and written (8 bytes): bound by memory. Ordinary tensor operations need nine passes: rectify,
//! compare, select, divide, round, multiply, and three for the straight-through gradient.
#![allow(deprecated, reason = "Burn's ndarray backend stays selectable")]

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{BoolTensor, FloatTensor};
use burn::backend::{
    Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension,
    get_or_init_device_settings,
};
use burn::tensor::{DType, Scalar, Tensor};
use pulp::{Arch, Simd};

use crate::activation::{Elementwise, chain, in_place, map};
use crate::flex::{all_f32, dense, tensor, values};

/// `round(min(max(x, 0), range) / step) step` with `step = range / steps`; halves round to even.
///
/// The gradient is that of clipping: one where `0 < x <= range`, zero elsewhere. NaN stays NaN. `range` gets no gradient. If `range / steps` is no
/// normal positive number (for a range that is zero, negative or too small), the range counts as zero: all results and gradients are zero.
///
/// # Shapes
/// input: any shape, which is kept; range: `[1]`.
///
/// # Panics
/// Without steps, or with more than 2²¹.
///
/// ```
/// use burn::tensor::{Device, Tensor};
///
/// let device = Device::flex();
/// let x = Tensor::<1>::from_floats([-1.0, 0.4, 2.6, 9.0], &device);
/// let y = crossburn_kernels::quantize_clipped(x, Tensor::from_floats([3.0], &device), 3);
/// assert_eq!(y.into_data().try_to_vec::<f32>().unwrap(), [0.0, 0.0, 3.0, 3.0]);
/// ```
pub fn quantize_clipped<const D: usize>(
    input: Tensor<D>,
    range: Tensor<1>,
    steps: u32,
) -> Tensor<D> {
    assert!(
        (1..=1 << 21).contains(&steps),
        "quantize: {steps} steps are not from 1 to 2097152"
    );
    Tensor::from_dispatch(Dispatch::clipped(
        input.into_dispatch(),
        range.into_dispatch(),
        steps,
    ))
}

/// The bodies here consist of ordinary tensor operations.
#[backend_extension(Flex, NdArray: cfg(feature = "ndarray"), Cube: cfg(feature = "wgpu"), Autodiff)]
pub(crate) trait QuantizeKernel: Backend {
    fn clipped(
        input: FloatTensor<Self>,
        range: FloatTensor<Self>,
        steps: u32,
    ) -> FloatTensor<Self> {
        plain::<Self>(input, range, steps)
    }

    fn clipped_gradient(
        input: FloatTensor<Self>,
        range: FloatTensor<Self>,
        steps: u32,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        plain_gradient::<Self>(input, range, steps, gradient)
    }
}

/// `range` and its step; zero and one if there is no valid step.
fn divided<B: Backend>(range: FloatTensor<B>, steps: u32) -> (FloatTensor<B>, FloatTensor<B>) {
    let least = match range.dtype() {
        // The smallest positive number of the type; normal ones start at 6e-5.
        DType::F16 => 2f64.powi(-24),
        _ => f64::from(f32::MIN_POSITIVE),
    };
    let step = B::float_div_scalar(range.clone(), Scalar::from(steps));
    let dtype = get_or_init_device_settings::<B>(&TensorMetadata::device(&step)).bool_dtype;
    let none = B::float_lower_elem(step.clone(), Scalar::from(least), dtype);
    (
        B::float_mask_fill(range, none.clone(), Scalar::from(0.0f32)),
        B::float_mask_fill(step, none, Scalar::from(1.0f32)),
    )
}

fn plain<B: Backend>(input: FloatTensor<B>, range: FloatTensor<B>, steps: u32) -> FloatTensor<B> {
    let (range, step) = divided::<B>(range, steps);
    let range = expand_like::<B>(range, &input);
    let step = expand_like::<B>(step, &input);
    let below = not_positive::<B>(input.clone());
    let clipped = B::float_mask_fill(input, below, Scalar::from(0.0f32));
    let above = above::<B>(clipped.clone(), range.clone());
    let clipped = B::float_mask_where(clipped, above, range);
    let levels = B::float_round(B::float_div(clipped, step.clone()));
    B::float_mul(levels, step)
}

fn plain_gradient<B: Backend>(
    input: FloatTensor<B>,
    range: FloatTensor<B>,
    steps: u32,
    gradient: FloatTensor<B>,
) -> FloatTensor<B> {
    let (range, _) = divided::<B>(range, steps);
    let range = expand_like::<B>(range, &input);
    let zero = || Scalar::from(0.0f32);
    let gradient = B::float_mask_fill(gradient, not_positive::<B>(input.clone()), zero());
    B::float_mask_fill(gradient, above::<B>(input, range), zero())
}

/// `[1]`, expanded to the shape of `input`.
fn expand_like<B: Backend>(range: FloatTensor<B>, input: &FloatTensor<B>) -> FloatTensor<B> {
    let shape = input.shape();
    let unit = vec![1; shape.num_dims()];
    B::float_expand(B::float_reshape(range, unit.into()), shape)
}

fn above<B: Backend>(left: FloatTensor<B>, right: FloatTensor<B>) -> BoolTensor<B> {
    let dtype = get_or_init_device_settings::<B>(&TensorMetadata::device(&left)).bool_dtype;
    B::float_greater(left, right, dtype)
}

fn not_positive<B: Backend>(tensor: FloatTensor<B>) -> BoolTensor<B> {
    let dtype = get_or_init_device_settings::<B>(&TensorMetadata::device(&tensor)).bool_dtype;
    B::float_lower_equal_elem(tensor, Scalar::from(0.0f32), dtype)
}

#[cfg(feature = "ndarray")]
impl QuantizeKernel for burn::backend::NdArray {}

#[cfg(feature = "wgpu")]
impl QuantizeKernel for burn::backend::Cube {}

impl QuantizeKernel for Flex {
    fn clipped(
        input: FloatTensor<Self>,
        range: FloatTensor<Self>,
        steps: u32,
    ) -> FloatTensor<Self> {
        if !all_f32([&input, &range]) {
            return plain::<Self>(input, range, steps);
        }
        let (input, range) = (dense(input), dense(range));
        let clip = Clip::new(values(&range)[0], steps);
        tensor(map(Arch::new(), clip, values(&input)), input.shape())
    }

    fn clipped_gradient(
        input: FloatTensor<Self>,
        range: FloatTensor<Self>,
        steps: u32,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        if !all_f32([&input, &range, &gradient]) {
            return plain_gradient::<Self>(input, range, steps, gradient);
        }
        let (input, range) = (dense(input), dense(range));
        let clip = Clip::new(values(&range)[0], steps);
        in_place(gradient, |gradient| {
            chain(Arch::new(), clip, values(&input), gradient);
        })
    }
}

/// Clips to a range, and rounds to steps.
#[derive(Clone, Copy)]
struct Clip {
    range: f32,
    step: f32,
}

impl Clip {
    fn new(range: f32, steps: u32) -> Self {
        let step = range / steps as f32;
        // A range of NaN is not treated as zero: NaN appears in every result.
        match step < f32::MIN_POSITIVE {
            true => Self {
                range: 0.0,
                step: 1.0,
            },
            false => Self { range, step },
        }
    }
}

/// Adding this to a number below 2²², and subtracting it again, rounds to the nearest integer, halves to even.
const WHOLE: f32 = 12_582_912.0;

impl Elementwise for Clip {
    #[inline(always)]
    fn value<S: Simd>(self, simd: S, x: S::f32s) -> S::f32s {
        let splat = |value: f32| simd.splat_f32s(value);
        // Selections keep NaN; a minimum and a maximum would not.
        let below = simd.less_than_or_equal_f32s(x, splat(0.0));
        let x = simd.select_f32s(below, splat(0.0), x);
        let above = simd.greater_than_f32s(x, splat(self.range));
        let x = simd.select_f32s(above, splat(self.range), x);
        let level = simd.div_f32s(x, splat(self.step));
        let level = simd.sub_f32s(simd.add_f32s(level, splat(WHOLE)), splat(WHOLE));
        simd.mul_f32s(level, splat(self.step))
    }

    #[inline(always)]
    fn gradient<S: Simd>(self, simd: S, argument: S::f32s, gradient: S::f32s) -> S::f32s {
        let zero = simd.splat_f32s(0.0);
        let below = simd.less_than_or_equal_f32s(argument, zero);
        let above = simd.greater_than_f32s(argument, simd.splat_f32s(self.range));
        simd.select_f32s(simd.or_m32s(below, above), zero, gradient)
    }
}

#[derive(Debug)]
struct Clipped;

impl<B: QuantizeKernel> Backward<B, 1> for Clipped {
    type State = (NodeId, FloatTensor<B>, u32);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let gradient = grads.consume::<B>(&ops.node);
        let [parent] = ops.parents;
        let (input, range, steps) = ops.state;
        let input = checkpointer.retrieve_node_output::<FloatTensor<B>>(input);
        if let Some(node) = parent {
            let value = B::clipped_gradient(input, range, steps, gradient);
            grads.register::<B>(node.id, value);
        }
    }
}

impl<B: QuantizeKernel, C: CheckpointStrategy> QuantizeKernel for Autodiff<B, C> {
    fn clipped(
        input: FloatTensor<Self>,
        range: FloatTensor<Self>,
        steps: u32,
    ) -> FloatTensor<Self> {
        let range = range.into_primitive();
        let output = B::clipped(input.primitive().clone(), range.clone(), steps);
        match Clipped
            .prepare::<C>([input.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&input), range, steps);
                prep.finish(state, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::testing::{cpus, numbers, paths, pool};
    use burn::tensor::{Device, FloatDType, TensorData};
    use proptest::prelude::*;

    /// Test values, including both edges.
    fn inputs(count: usize, range: f32) -> Vec<f32> {
        let edges = [0.0, -0.0, range, f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
        let values = numbers(1, count).into_iter().map(|v| 2.0 * range * v);
        values.chain(edges).collect()
    }

    fn same(found: &[f32], expected: &[f32]) -> bool {
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        bits(found) == bits(expected)
    }

    proptest! {
        #[test]
        fn values_fall_on_the_grid(count in 0usize..200, range in 0.1f32..10.0, steps in 1u32..256) {
            let input = inputs(count, range);
            let gradient = numbers(2, input.len());
            let step = range / steps as f32;
            for arch in paths() {
                let clip = Clip::new(range, steps);
                let found = map(arch, clip, &input);
                for (found, value) in found.iter().zip(&input) {
                    prop_assert_eq!(found.is_nan(), value.is_nan());
                    if !value.is_nan() {
                        let level = (f64::from(value.clamp(0.0, range)) / f64::from(step)).round();
                        // If the division was rounded, a half may be rounded either way.
                        prop_assert!((f64::from(*found) - level * f64::from(step)).abs() <= 1.001 * f64::from(step));
                        prop_assert_eq!((found / step).round() * step, *found);
                    }
                }
                let mut found = gradient.clone();
                chain(arch, clip, &input, &mut found);
                for ((found, value), gradient) in found.iter().zip(&input).zip(&gradient) {
                    let passes = value.is_nan() || (*value > 0.0 && *value <= range);
                    prop_assert_eq!(*found, if passes { *gradient } else { 0.0 });
                }
            }
        }
    }

    /// The range of a dead layer shrinks to nothing.
    #[test]
    fn a_range_that_cannot_be_divided_gives_zeros_and_no_gradient() {
        let values = inputs(100, 1e-44);
        for range in [0.0, -0.0, 1e-45, 1e-44, 1e-38, -1.0, f32::NEG_INFINITY] {
            for device in cpus() {
                for dtype in [FloatDType::F32, FloatDType::F16] {
                    // The ndarray backend has no half precision.
                    if dtype == FloatDType::F16 && device != Device::flex() {
                        continue;
                    }
                    let device = device.clone().autodiff();
                    let input = Tensor::<1>::from_floats(&values[..], &device);
                    let input = input.cast(dtype).detach().require_grad();
                    let range = Tensor::<1>::from_floats([range], &device).cast(dtype);
                    let output = quantize_clipped(input.clone(), range, 15);
                    let gradients = output.clone().sum().backward();
                    let gradient = input.grad(&gradients).unwrap();
                    let floats = |tensor: Tensor<1>| -> Vec<f32> {
                        let data = tensor.into_data().convert::<f32>();
                        data.try_to_vec().unwrap()
                    };
                    let found = floats(output.inner()).into_iter().zip(floats(gradient));
                    for ((found, gradient), value) in found.zip(&values) {
                        assert!(found == 0.0 || value.is_nan(), "{value} {found}");
                        assert!(gradient == 0.0 || value.is_nan(), "{value} {gradient}");
                    }
                }
            }
        }
        // Slightly above, there is a step.
        let device = Device::flex();
        let range = Tensor::<1>::from_floats([15.0 * f32::MIN_POSITIVE], &device);
        let top = quantize_clipped(Tensor::<1>::from_floats([1.0], &device), range, 15);
        assert!(top.into_scalar::<f32>() > 0.0);
    }

    #[test]
    fn every_path_and_the_plain_operations_give_the_same_bits() {
        let device = Device::flex().autodiff();
        let values = inputs(40_000, 1.3);
        let input =
            Tensor::<1>::from_data(TensorData::from(values.as_slice()), &device).require_grad();
        let range = Tensor::<1>::from_floats([1.3], &device);
        let output = quantize_clipped(input.clone(), range, 15);
        let gradients = output.clone().sum().backward();
        let output: Vec<f32> = output.into_data().try_to_vec().unwrap();
        let gradient: Vec<f32> = input
            .grad(&gradients)
            .unwrap()
            .into_data()
            .try_to_vec()
            .unwrap();
        for arch in paths() {
            let found = || map(arch, Clip::new(1.3, 15), &values);
            assert!(
                same(&pool(1).install(found), &output) && same(&pool(2).install(found), &output)
            );
        }
        let cpu = |values: &[f32]| tensor(values.to_vec(), [values.len()]);
        let found = plain::<Flex>(cpu(&values), cpu(&[1.3]), 15);
        assert!(same(crate::flex::values(&found), &output));
        let ones = vec![1.0; values.len()];
        let found = plain_gradient::<Flex>(cpu(&values), cpu(&[1.3]), 15, cpu(&ones));
        assert!(same(crate::flex::values(&found), &gradient));
    }
}
