//! Tensors by name, from whatever kind of file.

use std::path::Path;

use crossburn_kernels::{QuantizedMatrix, WeightFormat};

use crate::CheckpointError;

/// Files that hold tensors by name.
pub(crate) trait TensorSource {
    /// Every name.
    fn names(&self) -> Vec<String>;

    /// The file or folder, for messages about a tensor that is not there.
    fn path(&self) -> &Path;

    /// The file of a tensor.
    fn file(&self, name: &str) -> &Path;

    /// The shape of a tensor; `None` for a name that is not there.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;

    /// How a tensor is stored; `None` for a name that is not there, and where its numbers are of another kind.
    fn format(&self, name: &str) -> Option<WeightFormat>;

    /// A tensor of two axes in the bytes in which it is stored; `None` where it cannot be held so.
    fn matrix(&self, name: &str) -> Option<QuantizedMatrix>;

    /// Whether the bytes of [`matrix`](Self::matrix) are those of a mapped file, and so take no memory of their own.
    fn is_mapped(&self, name: &str) -> bool;

    /// The values of a tensor, row by row.
    fn values(&self, name: &str) -> Result<Vec<f32>, CheckpointError>;
}
