//! Weights of any module as a safetensors file, in the names and the layout of PyTorch.
//!
//! | Burn | File |
//! |---|---|
//! | `Linear` weight `[in, out]` | weight `[out, in]` |
//! | `BatchNorm`, `LayerNorm`, `GroupNorm`, `RmsNorm`: `gamma`, `beta` | `weight`, `bias` |
//! | `BatchNorm` running states | `running_mean`, `running_var` |
//! | variant of an enum | left out of the path |
//! | everything else, such as further running states | its path in the module |
//!
//! The table goes by the type of the layer: a linear layer of a type that is not Burn's own keeps its layout.
//!
//! Elements are written as the module holds them. On loading, F64, F32, F16 and BF16 become what the module holds.
//! The file carries no identities of parameters: those of the module stay.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use burn::module::Module;
use burn::tensor::{Bytes, TensorData};
use burn_store::{
    Applier, BurnToPyTorchAdapter, ModuleSnapshot, PyTorchToBurnAdapter, bridge, burn_pack,
};
use crossburn_noise::{PathPattern, unfit_value};

use crate::atomic::write_bytes;
use crate::error::{CheckpointError, WrongShape};
use crate::resting::rests;
use crate::stored_tensor::{StoredTensors, file_dtype, of_safetensors};
use crate::tensor_view::TensorView;

/// Enum variants are no part of a tensor's name, as PyTorch has none.
const SKIP_ENUM_VARIANTS: bool = true;

/// The end of the name of a quantized activation's range. Networks of full precision, and those of PyTorch, have no such
/// tensor.
pub const ACTIVATION_RANGE: &str = "quantizer.range";

/// Running states that are no negative number: the variance of a batch norm, the range of an activation quantizer.
const FROM_ZERO: [&str; 2] = ["running_var", ACTIVATION_RANGE];

/// Counters of PyTorch without a counterpart in Burn: of a batch norm, and of `AveragedModel`.
const IGNORED: [&str; 2] = ["num_batches_tracked", "n_averaged"];

/// Whether no module has a place for the tensor `name` of PyTorch, nor needs it.
pub(crate) fn is_ignored(name: &str) -> bool {
    let last = name.rsplit('.').next();
    last.is_some_and(|last| IGNORED.contains(&last))
}

/// Writes the weights of `module` to the file `path`, replacing it as a whole.
///
/// The same weights give the same bytes.
///
/// # Errors
///
/// [`CheckpointError::Write`] when the operating system refuses, [`CheckpointError::Tensor`] when a tensor cannot be
/// read from its device or has elements that the format lacks.
///
/// ```
/// use burn::{nn::LinearConfig, tensor::Device};
/// use crossburn_checkpoints::{load_weights, save_weights};
///
/// let device = Device::flex();
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("layer.safetensors");
/// save_weights(&LinearConfig::new(3, 2).init(&device), &path)?;
/// let layer = load_weights(LinearConfig::new(3, 2).init(&device), &path)?;
/// let error = load_weights(LinearConfig::new(3, 4).init(&device), &path).unwrap_err();
/// assert!(error.to_string().contains(r#""weight" has shape [2, 3] where [4, 3] is needed"#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn save_weights<M: Module>(module: &M, path: &Path) -> Result<(), CheckpointError> {
    write_bytes(path, &encode(module, &[], path)?)
}

/// Loads the file `path`, written by [`save_weights`] or by PyTorch, into `module`.
///
/// Every tensor of the module must be in the file with its shape, and every tensor of the file in the module, except
/// PyTorch's `num_batches_tracked` and `n_averaged`, and every value must be a finite number. All of that is checked before the first weight
/// changes.
///
/// # Errors
///
/// [`CheckpointError::Read`], [`CheckpointError::NotSafetensors`], [`CheckpointError::Unfit`] with all tensors that are missing,
/// unexpected or of another shape, [`CheckpointError::ElementType`], or [`CheckpointError::Value`] for a value that is NaN or infinite in the elements of the module, and for a variance or range
/// of activations below 0.
pub fn load_weights<M: Module>(module: M, path: &Path) -> Result<M, CheckpointError> {
    let bytes = std::fs::read(path).map_err(CheckpointError::reading(path))?;
    decode(module, &[], &bytes, path)
}

/// Content of the safetensors file of `module`, without its `resting` weights; `path` is for messages.
pub(crate) fn encode<M: Module>(
    module: &M,
    resting: &[PathPattern],
    path: &Path,
) -> Result<Vec<u8>, CheckpointError> {
    let failed = |tensor: &str, cause: String| CheckpointError::Tensor {
        path: path.into(),
        cause: format!("{tensor:?}: {cause}"),
    };
    let mut views = Vec::new();
    for tensor in snapshot(module, resting) {
        let data = tensor
            .to_bytes()
            .map_err(|e| failed(&tensor.name, e.to_string()))?;
        let dtype = file_dtype(tensor.dtype)
            .ok_or_else(|| failed(&tensor.name, format!("no file type for {:?}", tensor.dtype)))?;
        views.push((
            tensor.name,
            TensorView {
                dtype,
                shape: tensor.shape.to_vec(),
                data,
            },
        ));
    }
    // The mark that tools around PyTorch look for. A single key: the order of several would differ between runs.
    let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
    safetensors::serialize(views, Some(metadata)).map_err(|e| failed("header", e.to_string()))
}

/// Loads `bytes`, the content of the safetensors file `path`, into `module`, which keeps its `resting` weights.
pub(crate) fn decode<M: Module>(
    module: M,
    resting: &[PathPattern],
    bytes: &[u8],
    path: &Path,
) -> Result<M, CheckpointError> {
    fill(module, resting, of_safetensors(bytes, path)?, path)
}

/// Loads `stored`, the tensors of the file `path` by their names in PyTorch, into `module`, which keeps its `resting` weights.
pub(crate) fn fill<M: Module>(
    module: M,
    resting: &[PathPattern],
    mut stored: StoredTensors,
    path: &Path,
) -> Result<M, CheckpointError> {
    stored.retain(|name, _| !is_ignored(name));
    let expected = snapshot(&module, resting);
    require_fit(&expected, &stored, path)?;
    let mut tensors = Vec::with_capacity(expected.len());
    for target in &expected {
        let Some(found) = stored.remove(&target.name) else {
            continue;
        };
        let dtype = found
            .dtype
            .filter(|&dtype| dtype == target.dtype || (dtype.is_float() && target.dtype.is_float()))
            .ok_or_else(|| CheckpointError::ElementType {
                path: path.into(),
                tensor: target.name.clone(),
                expected: format!("{:?}", target.dtype),
                found: found.type_name.clone(),
            })?;
        let data = Bytes::from_bytes_vec((found.read)()?.into_owned());
        let data = TensorData::from_bytes(data, target.shape.clone(), dtype);
        let data = data.convert_dtype(target.dtype);
        if target.dtype.is_float() {
            require_values(&data, &target.name, path)?;
        }
        tensors.push(bridge::from_data(data, target.name.clone(), None));
    }
    let adapter = Box::new(PyTorchToBurnAdapter);
    let mut applier = Applier::new(tensors, None, Some(adapter), SKIP_ENUM_VARIANTS);
    let module = module.map(&mut applier);
    // The checks above leave nothing for this to report, but a load that did less than asked must not pass.
    let result = applier.into_result();
    let mut missing: Vec<String> = result.missing.into_iter().map(|(name, _)| name).collect();
    missing.retain(|tensor| !rests(tensor, resting));
    match result.errors.first() {
        Some(error) => Err(CheckpointError::Tensor {
            path: path.into(),
            cause: error.to_string(),
        }),
        None if !missing.is_empty() => Err(CheckpointError::Unfit {
            path: path.into(),
            missing,
            unexpected: result.unused,
            shapes: Vec::new(),
        }),
        None => Ok(module),
    }
}

/// Refuses tensors that are not those of a module, with everything that is wrong.
fn require_fit(
    expected: &[burn_pack::Tensor],
    stored: &StoredTensors,
    path: &Path,
) -> Result<(), CheckpointError> {
    let known: BTreeSet<&str> = expected.iter().map(|target| target.name.as_str()).collect();
    let unexpected = stored.keys().filter(|name| !known.contains(name.as_str()));
    let unexpected: Vec<String> = unexpected.cloned().collect();
    let (mut missing, mut shapes) = (Vec::new(), Vec::new());
    for target in expected {
        match stored.get(&target.name) {
            None => missing.push(target.name.clone()),
            Some(found) if found.shape != target.shape.as_slice() => shapes.push(WrongShape {
                tensor: target.name.clone(),
                expected: target.shape.to_vec(),
                found: found.shape.clone(),
            }),
            Some(_) => {}
        }
    }
    if missing.is_empty() && unexpected.is_empty() && shapes.is_empty() {
        return Ok(());
    }
    Err(CheckpointError::Unfit {
        path: path.into(),
        missing,
        unexpected,
        shapes,
    })
}

/// Refuses values that no network computes with, as the module will hold them.
fn require_values(data: &TensorData, tensor: &str, path: &Path) -> Result<(), CheckpointError> {
    let values: Vec<f32> =
        data.clone()
            .try_into_vec_as()
            .map_err(|cause| CheckpointError::Tensor {
                path: path.into(),
                cause: format!("{tensor:?}: {cause:?}"),
            })?;
    let from_zero = FROM_ZERO.iter().any(|state| {
        tensor
            .strip_suffix(state)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    });
    match unfit_value(&values, data.shape().as_slice(), from_zero) {
        Some(unfit) => Err(CheckpointError::Value {
            path: path.into(),
            tensor: tensor.to_string(),
            place: unfit.place,
            value: unfit.value,
            remedy: unfit.remedy,
        }),
        None => Ok(()),
    }
}

/// The tensors of a module that do not rest, in the names and shapes of the file; their bytes are read on demand.
fn snapshot<M: Module>(module: &M, resting: &[PathPattern]) -> Vec<burn_pack::Tensor> {
    // `valid` lets pending updates of running states take effect; without it the last one would be lost.
    let mut tensors = module.valid().collect(
        None,
        Some(Box::new(BurnToPyTorchAdapter)),
        SKIP_ENUM_VARIANTS,
    );
    tensors.retain(|tensor| !rests(&tensor.name, resting));
    tensors
}
