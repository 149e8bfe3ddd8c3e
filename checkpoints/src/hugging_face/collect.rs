//! The parameters of a module as tensors of a file that other programs read: the way back of [`fill`](crate::fill).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Bytes, Tensor};
use crossburn_models::{Layout, Origin, TensorNames};
use half::{bf16, f16};
use safetensors::Dtype;

use crate::fill::{output_axis, stored_shape};
use crate::tensor_view::TensorView;

/// The type of numbers in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FloatType {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits, 11 of them significant; up to 65,504.
    F16,
    /// 16 bits, 8 of them significant; the range of 32 bits.
    Bf16,
}

impl FloatType {
    /// Its name in `config.json` of the Hugging Face hub.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
        }
    }

    fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::BF16,
        }
    }

    /// The bytes of `values`, each rounded to the nearest.
    ///
    /// # Errors
    /// The first value that the type cannot hold as a finite number.
    fn encode(self, values: &[f32]) -> Result<Vec<u8>, f32> {
        fn all<const N: usize>(
            values: &[f32],
            encode: impl Fn(f32) -> (bool, [u8; N]),
        ) -> Result<Vec<u8>, f32> {
            let mut bytes = Vec::with_capacity(N * values.len());
            for &value in values {
                let (finite, encoded) = encode(value);
                if !finite {
                    return Err(value);
                }
                bytes.extend(encoded);
            }
            Ok(bytes)
        }
        match self {
            Self::F32 => all(values, |value| (value.is_finite(), value.to_le_bytes())),
            Self::F16 => all(values, |value| {
                let half = f16::from_f32(value);
                (half.is_finite(), half.to_le_bytes())
            }),
            Self::Bf16 => all(values, |value| {
                let half = bf16::from_f32(value);
                (half.is_finite(), half.to_le_bytes())
            }),
        }
    }
}

/// The safetensors file of `module`, with every parameter under its name in `names`. The module is let go before the file is made: no more than
/// two copies of the numbers are there at a time.
///
/// Layers that share a tensor in the file are put together.
///
/// # Errors
/// A parameter that the file has no place for, and a number that its type cannot hold.
pub(crate) fn collect<M: Module>(
    module: M,
    names: &dyn TensorNames,
    float: FloatType,
) -> Result<Vec<u8>, String> {
    let mut collector = Collector {
        names,
        path: Vec::new(),
        tensors: BTreeMap::new(),
        error: None,
    };
    module.valid().visit(&mut collector);
    drop(module);
    if let Some(cause) = collector.error {
        return Err(cause);
    }
    let mut views = Vec::with_capacity(collector.tensors.len());
    for (name, tensor) in collector.tensors {
        let bytes = float
            .encode(&tensor.values)
            .map_err(|value| format!("{name:?} holds {value:e}, which {} cannot", float.name()))?;
        let view = TensorView {
            dtype: float.dtype(),
            shape: tensor.shape,
            data: Bytes::from_bytes_vec(bytes),
        };
        views.push((name, view));
    }
    // The mark that tools around PyTorch look for.
    let metadata = [("format".to_string(), "pt".to_string())].into();
    safetensors::serialize(views, Some(metadata)).map_err(|cause| cause.to_string())
}

struct Collected {
    shape: Vec<usize>,
    values: Vec<f32>,
}

struct Collector<'a> {
    names: &'a dyn TensorNames,
    path: Vec<String>,
    tensors: BTreeMap<String, Collected>,
    /// The first.
    error: Option<String>,
}

impl Collector<'_> {
    /// Puts `values`, a parameter of `shape` in its stored order, where it belongs.
    fn put(&mut self, origin: Origin, shape: &[usize], values: Vec<f32>) {
        let whole = stored_shape(&origin, shape);
        let name = origin.names.into_iter().next().unwrap_or_default();
        let Some(blocks) = origin.outputs else {
            let shape = whole;
            self.tensors.insert(name, Collected { shape, values });
            return;
        };
        let tensor = match self.tensors.entry(name) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(free) => free.insert(Collected {
                values: vec![0.0; whole.iter().product()],
                shape: whole.clone(),
            }),
        };
        let axis = output_axis(origin.layout, whole.len());
        let inner: usize = whole[axis + 1..].iter().product();
        let outputs = blocks.count * blocks.repeats;
        let lines = tensor.values.chunks_exact_mut(blocks.total * inner);
        for (line, own) in lines.zip(values.chunks_exact(outputs * inner)) {
            for (output, own) in blocks.indices().zip(own.chunks_exact(inner)) {
                line[output * inner..][..inner].copy_from_slice(own);
            }
        }
    }
}

impl ModuleVisitor for Collector<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.path.join(".");
        let Some(origin) = self.names.origin(&path) else {
            self.error
                .get_or_insert(format!("{path} has no place in the file"));
            return;
        };
        let value = param.val();
        let shape = value.dims();
        let value = match origin.layout {
            Layout::Transposed => value.swap_dims(0, 1),
            Layout::Same | Layout::Row | Layout::Column => value,
        };
        match value.into_data().try_into_vec_as::<f32>() {
            Ok(values) => self.put(origin, &shape, values),
            Err(cause) => {
                self.error.get_or_insert(format!("{path}: {cause:?}"));
            }
        }
    }
}
