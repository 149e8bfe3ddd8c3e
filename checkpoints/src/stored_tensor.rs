//! A tensor of a file, before a module takes it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::DType;
use safetensors::{Dtype, SafeTensors};

use crate::error::CheckpointError;
use crate::safetensors_header::explained;

/// A tensor of a file. Its elements are read when they are wanted.
pub(crate) struct StoredTensor<'a> {
    pub(crate) shape: Vec<usize>,
    /// The type of its elements; `None` for one that no parameter can hold.
    pub(crate) dtype: Option<DType>,
    /// The type as its file calls it.
    pub(crate) type_name: String,
    pub(crate) read: Box<dyn Fn() -> Result<Cow<'a, [u8]>, CheckpointError> + 'a>,
}

/// The tensors of a file by name.
pub(crate) type StoredTensors<'a> = BTreeMap<String, StoredTensor<'a>>;

/// Those of `bytes`, the content of the safetensors file `path`.
///
/// # Errors
/// [`CheckpointError::NotSafetensors`].
pub(crate) fn of_safetensors<'a>(
    bytes: &'a [u8],
    path: &Path,
) -> Result<StoredTensors<'a>, CheckpointError> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| CheckpointError::NotSafetensors {
        path: path.into(),
        cause: explained(bytes, &e.to_string()),
    })?;
    let stored = file.tensors().into_iter().map(|(name, view)| {
        let elements = view.data();
        let tensor = StoredTensor {
            shape: view.shape().to_vec(),
            dtype: burn_dtype(view.dtype()),
            type_name: view.dtype().to_string(),
            read: Box::new(move || Ok(Cow::Borrowed(elements))),
        };
        (name, tensor)
    });
    Ok(stored.collect())
}

/// Element types that both sides have and that a parameter or buffer can hold.
const DTYPES: [(DType, Dtype); 12] = [
    (DType::F64, Dtype::F64),
    (DType::F32, Dtype::F32),
    (DType::F16, Dtype::F16),
    (DType::BF16, Dtype::BF16),
    (DType::I64, Dtype::I64),
    (DType::I32, Dtype::I32),
    (DType::I16, Dtype::I16),
    (DType::I8, Dtype::I8),
    (DType::U64, Dtype::U64),
    (DType::U32, Dtype::U32),
    (DType::U16, Dtype::U16),
    (DType::U8, Dtype::U8),
];

/// The type of safetensors for `dtype`.
pub(crate) fn file_dtype(dtype: DType) -> Option<Dtype> {
    DTYPES.iter().find(|(b, _)| *b == dtype).map(|(_, f)| *f)
}

fn burn_dtype(dtype: Dtype) -> Option<DType> {
    DTYPES.iter().find(|(_, f)| *f == dtype).map(|(b, _)| *b)
}
