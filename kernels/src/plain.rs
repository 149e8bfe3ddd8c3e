//! Combinations of ordinary tensor operations that several default bodies use.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};

/// `[channels]`: the sum of `[batch, channels, ..]` over all other axes.
pub(crate) fn sum_per_channel<B: Backend>(tensor: FloatTensor<B>) -> FloatTensor<B> {
    let shape = tensor.shape();
    let axes = (0..shape.num_dims()).filter(|axis| *axis != 1);
    let sum = axes.fold(tensor, B::float_sum_dim);
    B::float_reshape(sum, [shape[1]].into())
}
