//! The tensors of one or several safetensors files, mapped into memory.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossburn_kernels::{QuantizedMatrix, SharedBytes, WeightFormat};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use crate::CheckpointError;
use crate::checksum::checksum;
use crate::mapped_file::{MappedFile, mapped_file};
use crate::safetensors_header::explained;
use crate::tensor_source::TensorSource;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// The tensors of a model folder: one safetensors file, or several with an index.
#[derive(Debug)]
pub struct TensorFiles {
    path: PathBuf,
    files: Vec<(PathBuf, MappedFile)>,
    tensors: BTreeMap<String, Stored>,
}

/// The place of a tensor.
#[derive(Debug)]
struct Stored {
    file: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Range<usize>,
}

impl TensorFiles {
    /// The tensors of the folder `path`.
    ///
    /// # Errors
    /// [`CheckpointError::NotAModel`] for a folder with neither of the two files, [`CheckpointError::Read`],
    /// [`CheckpointError::NotSafetensors`], [`CheckpointError::Index`].
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let (single, index) = (path.join(SINGLE), path.join(INDEX));
        if single.is_file() {
            return Self::open_file(&single);
        }
        match index.is_file() {
            true => Self::open_index(path, &index),
            false => Err(CheckpointError::NotAModel {
                dir: path.into(),
                file: SINGLE,
            }),
        }
    }

    /// The tensors of the safetensors file `path`.
    ///
    /// # Errors
    /// [`CheckpointError::Read`], [`CheckpointError::NotSafetensors`].
    pub fn open_file(path: &Path) -> Result<Self, CheckpointError> {
        let mut files = Self::empty(path);
        let tensors = files.map(path)?;
        files.tensors = tensors.into_iter().collect();
        Ok(files)
    }

    fn empty(path: &Path) -> Self {
        Self {
            path: path.into(),
            files: Vec::new(),
            tensors: BTreeMap::new(),
        }
    }

    fn open_index(folder: &Path, index: &Path) -> Result<Self, CheckpointError> {
        let refuse = |cause: String| CheckpointError::Index {
            path: index.into(),
            cause,
        };
        let bytes = std::fs::read(index).map_err(CheckpointError::reading(index))?;
        let document: Value =
            serde_json::from_slice(&bytes).map_err(|cause| refuse(cause.to_string()))?;
        let Some(places) = document.get("weight_map").and_then(Value::as_object) else {
            return Err(refuse("it has no \"weight_map\"".to_string()));
        };
        let mut expected: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (tensor, file) in places {
            let file = file.as_str().unwrap_or_default();
            // A name alone: an index reaches no file outside its folder.
            let name = Path::new(file).file_name().and_then(|name| name.to_str());
            if name != Some(file) {
                return Err(refuse(format!(
                    "the place of {tensor:?} is not a file name"
                )));
            }
            expected.entry(file).or_default().insert(tensor);
        }
        if expected.is_empty() {
            return Err(refuse("it lists no tensor".to_string()));
        }
        let mut files = Self::empty(folder);
        for (file, names) in expected {
            let mut held = files.map(&folder.join(file))?;
            for name in names {
                let Some(stored) = held.remove(name) else {
                    return Err(refuse(format!("{file:?} does not hold {name:?}")));
                };
                files.tensors.insert(name.to_string(), stored);
            }
        }
        Ok(files)
    }

    /// Maps a file and gives what it holds.
    fn map(&mut self, path: &Path) -> Result<BTreeMap<String, Stored>, CheckpointError> {
        let map = mapped_file(path).map_err(CheckpointError::reading(path))?;
        let refuse = |cause: &str| CheckpointError::NotSafetensors {
            path: path.into(),
            cause: explained(&map, cause),
        };
        let header = SafeTensors::deserialize(&map).map_err(|cause| refuse(&cause.to_string()))?;
        let start = map.as_ptr() as usize;
        let index = self.files.len();
        let tensors = header
            .iter()
            .map(|(name, view)| {
                let first = view.data().as_ptr() as usize - start;
                let stored = Stored {
                    file: index,
                    dtype: view.dtype(),
                    shape: view.shape().to_vec(),
                    bytes: first..first + view.data().len(),
                };
                (name.to_string(), stored)
            })
            .collect();
        self.files.push((path.into(), map));
        Ok(tensors)
    }

    /// Number of tensors.
    pub fn count(&self) -> usize {
        self.tensors.len()
    }

    /// The [`checksum`](crate::checksum()) of the files, in the order of their names.
    pub fn checksum(&self) -> String {
        let of_files: Vec<String> = self.files.iter().map(|(_, map)| checksum(map)).collect();
        match of_files.as_slice() {
            [one] => one.clone(),
            all => checksum(all.concat().as_bytes()),
        }
    }

    /// Bytes of all tensors.
    pub fn bytes(&self) -> usize {
        self.tensors.values().map(|stored| stored.bytes.len()).sum()
    }
}

impl TensorSource for TensorFiles {
    fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self, name: &str) -> &Path {
        match self.tensors.get(name) {
            Some(stored) => &self.files[stored.file].0,
            None => &self.path,
        }
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(|stored| stored.shape.clone())
    }

    fn format(&self, name: &str) -> Option<WeightFormat> {
        match self.tensors.get(name)?.dtype {
            Dtype::F32 => Some(WeightFormat::F32),
            Dtype::F16 => Some(WeightFormat::F16),
            Dtype::BF16 => Some(WeightFormat::BF16),
            _ => None,
        }
    }

    fn matrix(&self, name: &str) -> Option<QuantizedMatrix> {
        let stored = self.tensors.get(name)?;
        let dims = stored.shape.as_slice().try_into().ok()?;
        let file = Arc::new(self.files[stored.file].1.clone());
        let bytes = SharedBytes::new(file, stored.bytes.clone())?;
        QuantizedMatrix::new(self.format(name)?, dims, bytes)
    }

    fn is_mapped(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    fn values(&self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        let Some(stored) = self.tensors.get(name) else {
            return Err(CheckpointError::MissingTensors {
                path: self.path.clone(),
                tensors: vec![name.to_string()],
                found: Vec::new(),
            });
        };
        let bytes = &self.files[stored.file].1[stored.bytes.clone()];
        match stored.dtype {
            Dtype::F32 => Ok(floats(bytes, f32::from_le_bytes)),
            Dtype::F64 => Ok(floats(bytes, |bytes| f64::from_le_bytes(bytes) as f32)),
            Dtype::F16 => Ok(halves(bytes, f16::from_le_bytes)),
            Dtype::BF16 => Ok(halves(bytes, bf16::from_le_bytes)),
            other => Err(CheckpointError::ElementType {
                path: self.file(name).into(),
                tensor: name.to_string(),
                expected: "F32".to_string(),
                found: other.to_string(),
            }),
        }
    }
}

fn floats<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    let (values, _) = bytes.as_chunks::<N>();
    values.iter().map(|value| read(*value)).collect()
}

/// Halves as 32-bit floats, in pieces that the processor converts many at a time.
fn halves<T: Copy>(bytes: &[u8], read: impl Fn([u8; 2]) -> T) -> Vec<f32>
where
    [T]: HalfFloatSliceExt,
{
    const PIECE: usize = 4096;
    let (values, _) = bytes.as_chunks::<2>();
    let mut result = vec![0.0; values.len()];
    let mut piece = Vec::with_capacity(PIECE);
    for (values, result) in values.chunks(PIECE).zip(result.chunks_mut(PIECE)) {
        piece.clear();
        piece.extend(values.iter().map(|value| read(*value)));
        piece[..].convert_to_f32_slice(result);
    }
    result
}
