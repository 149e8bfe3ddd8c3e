//! Conversions between Burn's CPU tensors and slices.

use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, Shape, TensorData};

use crate::fresh::of_lines;

/// Burn's CPU tensor.
pub(crate) type FlexTensor = FloatTensor<Flex>;

/// The tensor with its values in row-major order.
pub(crate) fn dense(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() {
        return tensor;
    }
    match all_f32([&tensor]) {
        true => gather_lines(&tensor).unwrap_or_else(|| tensor.to_contiguous()),
        false => tensor.to_contiguous(),
    }
}

/// Copies a tensor line by line on all cores, if the values of its last axis are contiguous, as in a head or a part of a projection. `None` for
/// other tensors.
fn gather_lines(strided: &FlexTensor) -> Option<FlexTensor> {
    let layout = strided.layout();
    let shape: Vec<usize> = layout.shape().to_vec();
    let strides: Vec<usize> = layout
        .strides()
        .iter()
        .map(|stride| usize::try_from(*stride).ok())
        .collect::<Option<_>>()?;
    let (&width, outer) = shape.split_last()?;
    // Lines must be long enough, and the copy large enough to be worth a thread.
    if strides.last() != Some(&1) || width < 16 || strided.shape().num_elements() < 1 << 14 {
        return None;
    }
    let (start, source) = (layout.start_offset(), strided.storage::<f32>());
    let values = of_lines(outer.iter().product(), width, |mut index| {
        let mut at = start;
        for (size, stride) in outer.iter().zip(&strides).rev() {
            at += index % size * stride;
            index /= size;
        }
        &source[at..]
    });
    Some(tensor(values, shape))
}

/// Whether nothing else holds the tensor's memory, and the tensor is all of it, in row-major order.
pub(crate) fn owned(tensor: &FlexTensor) -> bool {
    tensor.is_unique()
        && tensor.layout().contiguous_offsets()
            == Some((0, tensor.bytes().len() / size_of::<f32>()))
}

/// The values of a tensor of 32-bit floats, to be overwritten: its own memory if nothing else holds it, otherwise a copy.
///
/// Fresh memory for eight megabytes costs as much as a pass over the values. The gradient of an input therefore overwrites that of the output.
pub(crate) fn into_values(tensor: FlexTensor) -> Vec<f32> {
    let data = dense(tensor).into_data();
    data.try_into_vec().expect("a tensor of 32-bit floats")
}

/// Whether all tensors hold 32-bit floats, the only type that the kernels support.
pub(crate) fn all_f32<'a>(tensors: impl IntoIterator<Item = &'a FlexTensor>) -> bool {
    tensors
        .into_iter()
        .all(|tensor| TensorMetadata::dtype(tensor) == DType::F32)
}

/// The values of a [`dense`] tensor of 32-bit floats.
pub(crate) fn values(tensor: &FlexTensor) -> &[f32] {
    // A slice of an empty tensor may start beyond its end.
    if tensor.shape().num_elements() == 0 {
        return &[];
    }
    tensor.as_slice().expect("a dense tensor of 32-bit floats")
}

/// A tensor of `shape` that owns `values`.
pub(crate) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape.into()))
}

/// The sizes of a tensor of rank `D`.
pub(crate) fn sizes<const D: usize>(tensor: &FlexTensor) -> [usize; D] {
    tensor.shape().dims()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::testing::numbers;
    use burn::backend::ops::FloatTensorOps;

    #[test]
    fn views_are_copied_in_their_order() {
        let whole = tensor(numbers(1, 8 * 40 * 96), [8, 40, 96]);
        // A slice of the last axis, like a head: [8, 40, 2, 32] with the middle axes exchanged.
        let part = Flex::float_slice(
            whole,
            &[
                burn::tensor::Slice::from(0..8),
                burn::tensor::Slice::from(0..40),
                burn::tensor::Slice::from(32..96),
            ],
        );
        let heads = part.reshape(Shape::from([8, 40, 2, 32]));
        let heads = Flex::float_swap_dims(heads, 1, 2);
        for view in [part, heads] {
            assert!(!view.is_contiguous());
            let plain = view.to_contiguous();
            assert!(gather_lines(&view).is_some());
            assert_eq!(values(&dense(view)), values(&plain));
        }
    }
}
