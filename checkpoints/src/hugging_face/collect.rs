//! The parameters of a module as tensors of a file that other programs read: the way back of [`fill`](crate::fill).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use crossburn_models::{Layout, Origin, TensorNames};
use half::{bf16, f16};
use safetensors::Dtype;

use crate::fill::{output_axis, stored_shape};

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

    /// The bytes of `value`, rounded to the nearest; `None` for a finite value that is beyond the range.
    fn bytes(self, value: f32) -> Option<Vec<u8>> {
        let (bytes, finite) = match self {
            Self::F32 => (value.to_le_bytes().to_vec(), value.is_finite()),
            Self::F16 => {
                let half = f16::from_f32(value);
                (half.to_le_bytes().to_vec(), half.is_finite())
            }
            Self::Bf16 => {
                let half = bf16::from_f32(value);
                (half.to_le_bytes().to_vec(), half.is_finite())
            }
        };
        (finite || !value.is_finite()).then_some(bytes)
    }
}

/// The safetensors file of `module`, with every parameter under its name in `names`.
///
/// Layers that share a tensor in the file are put together.
///
/// # Errors
/// A parameter that the file has no place for, and a number that its type cannot hold.
pub(crate) fn collect<M: Module>(
    module: &M,
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
    if let Some(cause) = collector.error {
        return Err(cause);
    }
    let mut views = Vec::with_capacity(collector.tensors.len());
    for (name, tensor) in collector.tensors {
        let mut bytes = Vec::with_capacity(tensor.values.len() * 4);
        for &value in &tensor.values {
            let value = float.bytes(value).ok_or_else(|| {
                format!("{name:?} holds {value:e}, which is beyond {}", float.name())
            })?;
            bytes.extend(value);
        }
        let view = View {
            dtype: float.dtype(),
            shape: tensor.shape,
            bytes,
        };
        views.push((name, view));
    }
    // The mark that tools around PyTorch look for.
    let metadata = [("format".to_string(), "pt".to_string())].into();
    safetensors::serialize(views, Some(metadata)).map_err(|cause| cause.to_string())
}

/// One tensor on its way into a file.
struct View {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl safetensors::View for View {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
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
