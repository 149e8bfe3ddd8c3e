//! Between Burn's CPU tensors and slices.

use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, Shape, TensorData};

use crate::fresh::of_lines;

/// The CPU tensor of Burn.
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

/// A copy line by line, on all cores, of a tensor whose last axis lies in order, as that of a head or a part of a
/// projection does; `None` for other tensors.
fn gather_lines(strided: &FlexTensor) -> Option<FlexTensor> {
    let layout = strided.layout();
    let shape: Vec<usize> = layout.shape().to_vec();
    let strides: Vec<usize> = layout
        .strides()
        .iter()
        .map(|stride| usize::try_from(*stride).ok())
        .collect::<Option<_>>()?;
    let (&width, outer) = shape.split_last()?;
    // Short lines are not worth it, and the copy must be worth a thread.
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

/// Whether the tensor alone holds its memory, all of it and in row-major order.
pub(crate) fn owned(tensor: &FlexTensor) -> bool {
    tensor.is_unique()
        && tensor.layout().contiguous_offsets()
            == Some((0, tensor.bytes().len() / size_of::<f32>()))
}

/// The values of a tensor of 32-bit floats, to be written over: its own memory where nobody else holds it, a copy where
/// somebody does.
///
/// A fresh tensor of eight megabytes costs as much in pages as a whole pass over it, so the gradient of an input takes
/// the place of the output's.
pub(crate) fn into_values(tensor: FlexTensor) -> Vec<f32> {
    let data = dense(tensor).into_data();
    data.try_into_vec().expect("a tensor of 32-bit floats")
}

/// Whether all tensors hold 32-bit floats, which is what the kernels are written for.
pub(crate) fn all_f32<'a>(tensors: impl IntoIterator<Item = &'a FlexTensor>) -> bool {
    tensors
        .into_iter()
        .all(|tensor| TensorMetadata::dtype(tensor) == DType::F32)
}

/// The values of a [`dense`] tensor of 32-bit floats.
pub(crate) fn values(tensor: &FlexTensor) -> &[f32] {
    // A part of an empty tensor may start after its end.
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
        // A part of the last axis, as heads: [8, 40, 2, 32] with the middle axes exchanged.
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
