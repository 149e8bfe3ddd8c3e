//! One tensor on its way into a safetensors file.

use std::borrow::Cow;

use burn::tensor::Bytes;
use safetensors::{Dtype, View};

/// A tensor with its bytes.
pub(crate) struct TensorView {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Bytes,
}

impl View for TensorView {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.data)
    }

    fn data_len(&self) -> usize {
        self.data.len()
    }
}
