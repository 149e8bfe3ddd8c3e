//! Files with what other programs computed, which lie beside the project and not in it.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};

use burn::tensor::TensorData;
use safetensors::{Dtype, SafeTensors};

/// The folder `name` of the data beside the project, if it is there.
pub(crate) fn folder(name: &str) -> Option<PathBuf> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = data.join(name);
    if !folder.is_dir() {
        eprintln!("skipped: {} is not there", folder.display());
        return None;
    }
    Some(folder)
}

/// A tensor of a safetensors file, as 32-bit floats or 64-bit integers.
pub(crate) struct Golden {
    pub(crate) shape: Vec<usize>,
    pub(crate) floats: Vec<f32>,
    pub(crate) integers: Vec<i64>,
}

impl Golden {
    pub(crate) fn read(file: &Path, name: &str) -> Self {
        let bytes = std::fs::read(file).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let view = file.tensor(name).unwrap();
        let (mut floats, mut integers) = (Vec::new(), Vec::new());
        match view.dtype() {
            Dtype::F32 => {
                let values = view.data().as_chunks::<4>().0;
                floats = values
                    .iter()
                    .map(|value| f32::from_le_bytes(*value))
                    .collect();
            }
            Dtype::I64 => {
                let values = view.data().as_chunks::<8>().0;
                integers = values
                    .iter()
                    .map(|value| i64::from_le_bytes(*value))
                    .collect();
            }
            Dtype::I32 => {
                let values = view.data().as_chunks::<4>().0;
                integers = values
                    .iter()
                    .map(|value| i64::from(i32::from_le_bytes(*value)))
                    .collect();
            }
            other => panic!("{name} holds {other}"),
        }
        Self {
            shape: view.shape().to_vec(),
            floats,
            integers,
        }
    }

    /// The integers as token numbers.
    pub(crate) fn tokens(&self) -> Vec<u32> {
        self.integers.iter().map(|token| *token as u32).collect()
    }

    /// The integers as a tensor's data.
    pub(crate) fn data(&self) -> TensorData {
        TensorData::new(self.integers.clone(), self.shape.clone())
    }

    /// The largest difference to `found`.
    pub(crate) fn difference(&self, found: TensorData) -> f32 {
        assert_eq!(found.shape().as_slice(), self.shape);
        let found = found.try_into_vec_as::<f32>().unwrap();
        let pairs = found.iter().zip(&self.floats);
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }
}
