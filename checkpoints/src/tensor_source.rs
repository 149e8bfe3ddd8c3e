//! Tensors by name, from whatever kind of file.

use std::path::Path;

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

    /// The values of a tensor, row by row.
    fn values(&self, name: &str) -> Result<Vec<f32>, CheckpointError>;
}
