//! Weights in a file of `torch.save`: tensors, and a pickle that says what they are called.
//!
//! A pickle is a program. The one of a state dict only calls what makes tensors. Any other call is refused by its name, and none is ever
//! made: the reader knows the few calls of PyTorch, and keeps the name of any other in place of its result.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::DType;
use pytorch_reader::{PickleValue, PytorchError, PytorchReader, Tensor};

use crate::error::CheckpointError;
use crate::stored_tensor::{StoredTensor, StoredTensors};

/// Keys under which training scripts keep the state dict beside other things.
const KEYS: [&str; 5] = ["state_dict", "model_state_dict", "model", "net", "network"];

/// How the reader calls a tensor.
const TENSOR: &str = "torch.Tensor";

/// Types of plain data that training scripts keep beside weights. No call of theirs does more than hold values.
const PLAIN: [&str; 24] = [
    TENSOR,
    "torch.TypedStorage",
    "torch.UntypedStorage",
    "torch.Size",
    "torch.device",
    "torch.float64",
    "torch.float32",
    "torch.float16",
    "torch.bfloat16",
    "torch.int64",
    "torch.int32",
    "torch.int16",
    "torch.int8",
    "torch.uint8",
    "torch.bool",
    "collections.OrderedDict",
    "collections.defaultdict",
    "collections.Counter",
    "argparse.Namespace",
    "numpy.dtype",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
];

/// The tensors of a file of `torch.save`, whose elements stay on the disk.
#[derive(Debug)]
pub(crate) struct TorchFile {
    tensors: BTreeMap<String, Tensor>,
}

impl TorchFile {
    /// Reads the names and shapes of the tensors at `path`, those of the state dict alone where other things lie beside it.
    ///
    /// # Errors
    /// [`CheckpointError::TorchFile`], [`CheckpointError::Calls`].
    pub(crate) fn open(path: &Path) -> Result<Self, CheckpointError> {
        let unreadable = |error: PytorchError| unreadable(path, &error);
        let content = PytorchReader::read_pickle_data(path, None).map_err(unreadable)?;
        if let Some(call) = call(&content) {
            return Err(CheckpointError::Calls {
                path: path.into(),
                call: call.to_string(),
            });
        }
        let reader = match KEYS.into_iter().find(|key| holds_tensors(&content, key)) {
            Some(key) => PytorchReader::with_top_level_key(path, key),
            None => PytorchReader::new(path),
        };
        let tensors = reader.map_err(unreadable)?.into_tensors();
        Ok(Self {
            tensors: tensors.into_iter().collect(),
        })
    }

    /// The tensors by name; `path` is that of the file, for messages.
    pub(crate) fn tensors<'a>(&'a self, path: &'a Path) -> StoredTensors<'a> {
        let stored = |(name, tensor): (&String, &'a Tensor)| {
            let stored = StoredTensor {
                shape: tensor.shape().to_vec(),
                dtype: burn_dtype(tensor.dtype()),
                type_name: format!("{:?}", tensor.dtype()),
                read: Box::new(move || {
                    let bytes = tensor.read().map_err(|error| unreadable(path, &error))?;
                    Ok(Cow::Owned(bytes))
                }),
            };
            (name.clone(), stored)
        };
        self.tensors.iter().map(stored).collect()
    }
}

fn unreadable(path: &Path, cause: &dyn std::error::Error) -> CheckpointError {
    CheckpointError::TorchFile {
        path: path.into(),
        cause: cause.to_string().replace(['\n', '\r'], " "),
    }
}

/// A call in `value` that is neither a tensor nor plain data.
fn call(value: &PickleValue) -> Option<&str> {
    match value {
        PickleValue::Unsupported(name) => {
            (!PLAIN.contains(&name.as_str())).then_some(name.as_str())
        }
        PickleValue::List(items) => items.iter().find_map(call),
        // The first by key: which one is named does not depend on the order of a map.
        PickleValue::Dict(items) => {
            let items: BTreeMap<_, _> = items.iter().collect();
            items.into_values().find_map(call)
        }
        _ => None,
    }
}

/// Whether `content` is a dictionary with one of tensors under `key`.
fn holds_tensors(content: &PickleValue, key: &str) -> bool {
    let PickleValue::Dict(items) = content else {
        return false;
    };
    let is_tensor = |value: &PickleValue| *value == PickleValue::Unsupported(TENSOR.to_string());
    match items.get(key) {
        Some(PickleValue::Dict(inner)) => inner.values().any(is_tensor),
        _ => false,
    }
}

fn burn_dtype(dtype: pytorch_reader::DType) -> Option<DType> {
    use pytorch_reader::DType as Stored;
    Some(match dtype {
        Stored::F64 => DType::F64,
        Stored::F32 => DType::F32,
        Stored::F16 => DType::F16,
        Stored::BF16 => DType::BF16,
        Stored::I64 => DType::I64,
        Stored::I32 => DType::I32,
        Stored::I16 => DType::I16,
        Stored::I8 => DType::I8,
        Stored::U64 => DType::U64,
        Stored::U32 => DType::U32,
        Stored::U16 => DType::U16,
        Stored::U8 => DType::U8,
        Stored::Bool => return None,
    })
}
