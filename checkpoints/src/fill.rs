//! Fills a module with the tensors of files that another program wrote.
//!
//! A parameter that nobody has used yet holds no memory, and each is made from the file on its own: beside the module there is
//! never more than one tensor.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Shape, Tensor, TensorData};
use crossburn_kernels::{QuantizedMatrix, StoredLines, WeightFormat, hold_quantized};
use crossburn_models::{Layout, Origin, OutputBlocks, TensorNames};
use crossburn_noise::unfit_value;

use crate::CheckpointError;
use crate::tensor_source::TensorSource;

/// A module as it was loaded.
#[derive(Clone, Debug)]
pub struct Loaded<M> {
    /// The module with its weights.
    pub module: M,
    /// Names of tensors in the files that nothing was made of.
    pub unused: Vec<String>,
    /// Bytes of the parameters, each with the format that it has in memory, by path.
    pub bytes: BTreeMap<String, (WeightFormat, usize)>,
}

impl<M: Module> Loaded<M> {
    /// A module of 32-bit numbers, as a checkpoint of this program gives it.
    pub(crate) fn floats(module: M) -> Self {
        let bytes = 4 * module.num_params();
        Self {
            module,
            unused: Vec::new(),
            bytes: [(String::new(), (WeightFormat::F32, bytes))].into(),
        }
    }
}

/// How the matrices of linear layers and embeddings are held in memory. Vectors are 32-bit numbers in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeldAs {
    /// As 32-bit numbers, which training, variation and arrays need.
    #[default]
    Floats,
    /// As they are stored: blocks and halves stay in the file, which is mapped into memory.
    Stored,
    /// Made smaller on loading: F16, BF16 or Q8_0. What is stored in no more bytes stays as it is stored, and what cannot be given
    /// the format, such as rows that are not whole blocks, too.
    Encoded(WeightFormat),
}

/// `module` with every parameter from `source` as 32-bit numbers, found by `names`.
///
/// # Errors
/// Those of [`fill_held`].
pub(crate) fn fill<M: Module>(
    module: M,
    names: &dyn TensorNames,
    source: &dyn TensorSource,
) -> Result<Loaded<M>, CheckpointError> {
    fill_held(module, names, source, HeldAs::Floats)
}

/// `module` with every parameter from `source`, found by `names`, matrices as `held` says.
///
/// # Errors
/// [`CheckpointError::MissingTensors`], [`CheckpointError::Shape`], [`CheckpointError::ElementType`], or
/// [`CheckpointError::Value`] for a value that is not a number.
pub(crate) fn fill_held<M: Module>(
    module: M,
    names: &dyn TensorNames,
    source: &dyn TensorSource,
    held: HeldAs,
) -> Result<Loaded<M>, CheckpointError> {
    let mut filler = Filler {
        names,
        source,
        held,
        path: Vec::new(),
        container: String::new(),
        matrices: BTreeMap::new(),
        bytes: BTreeMap::new(),
        used: BTreeSet::new(),
        missing: Vec::new(),
        error: None,
    };
    let module = module.map(&mut filler);
    if let Some(error) = filler.error {
        return Err(error);
    }
    let unused: Vec<String> = source
        .names()
        .into_iter()
        .filter(|name| !filler.used.contains(name) && !names.ignores(name))
        .collect();
    match filler.missing.is_empty() {
        true => Ok(Loaded {
            module: hold_quantized(module, filler.matrices),
            unused,
            bytes: filler.bytes,
        }),
        false => Err(CheckpointError::MissingTensors {
            path: source.path().into(),
            tensors: filler.missing,
            found: unused,
        }),
    }
}

struct Filler<'a> {
    names: &'a dyn TensorNames,
    source: &'a dyn TensorSource,
    held: HeldAs,
    path: Vec<String>,
    /// The type of the module around the current parameter.
    container: String,
    /// Weights that stay in their bytes.
    matrices: BTreeMap<String, (QuantizedMatrix, StoredLines)>,
    bytes: BTreeMap<String, (WeightFormat, usize)>,
    used: BTreeSet<String>,
    missing: Vec<String>,
    /// The first.
    error: Option<CheckpointError>,
}

/// The axis of outputs in a stored tensor of `rank` axes.
pub(crate) fn output_axis(layout: Layout, rank: usize) -> usize {
    match layout {
        Layout::Transposed => 0,
        _ => rank - 1,
    }
}

/// The shape that a stored tensor must have for a parameter of `shape`.
pub(crate) fn stored_shape(origin: &Origin, shape: &[usize]) -> Vec<usize> {
    let mut stored = match origin.layout {
        Layout::Same => shape.to_vec(),
        Layout::Transposed => shape.iter().rev().copied().collect(),
        Layout::Row => [&[1], shape].concat(),
        Layout::Column => [shape, &[1]].concat(),
    };
    if let Some(blocks) = origin.outputs {
        let axis = output_axis(origin.layout, stored.len());
        stored[axis] = blocks.total;
    }
    stored
}

/// The values of some outputs.
fn select(values: &[f32], shape: &[usize], axis: usize, blocks: OutputBlocks) -> Vec<f32> {
    let inner: usize = shape[axis + 1..].iter().product();
    let outer: usize = shape[..axis].iter().product();
    let row = blocks.total * inner;
    let count = blocks.count * blocks.repeats;
    let mut selected = Vec::with_capacity(outer * count * inner);
    for start in (0..outer).map(|index| index * row) {
        for block in 0..blocks.repeats {
            let first = start + (blocks.first + block * blocks.stride) * inner;
            selected.extend_from_slice(&values[first..first + blocks.count * inner]);
        }
    }
    selected
}

impl Filler<'_> {
    /// The parameter at the current path in few bytes, where it is to be held so and can be. What is wrong with its tensor is left to
    /// [`read`](Self::read) to say.
    fn matrix(&mut self, shape: &Shape) -> Option<(QuantizedMatrix, StoredLines)> {
        let lines = match (shape.as_slice(), self.container.as_str()) {
            ([_, _], "Struct:Linear") => StoredLines::Outputs,
            ([_, _], "Struct:Embedding") => StoredLines::Rows,
            _ => return None,
        };
        let origin = self.names.origin(&self.path.join("."))?;
        let mut names = origin.names.iter();
        let name = names.find(|name| self.source.shape(name).is_some())?;
        if self.source.shape(name)? != stored_shape(&origin, shape) {
            return None;
        }
        let format = self.source.format(name)?;
        // Bytes of as many numbers as every block divides.
        let size = |format: WeightFormat| format.row_bytes(256);
        let wanted = match self.held {
            HeldAs::Floats => return None,
            HeldAs::Encoded(wanted) if size(wanted) < size(format) => wanted,
            HeldAs::Encoded(_) | HeldAs::Stored => format,
        };
        if wanted == WeightFormat::F32 {
            return None;
        }
        let in_lines = match lines {
            StoredLines::Outputs => origin.layout == Layout::Transposed,
            StoredLines::Rows => origin.layout == Layout::Same,
        };
        let matrix = match wanted == format && in_lines && origin.outputs.is_none() {
            true => self.source.matrix(name)?,
            false => self.encoded(name, &origin, shape, wanted, in_lines)?,
        };
        if !matrix.is_finite() {
            return None;
        }
        self.used.insert(name.clone());
        Some((matrix, lines))
    }

    /// The values of the parameter in another format, or from another order.
    fn encoded(
        &self,
        name: &str,
        origin: &Origin,
        shape: &Shape,
        wanted: WeightFormat,
        in_lines: bool,
    ) -> Option<QuantizedMatrix> {
        let stored = stored_shape(origin, shape);
        let mut values = self.source.values(name).ok()?;
        if let Some(blocks) = origin.outputs {
            let axis = output_axis(origin.layout, stored.len());
            values = select(&values, &stored, axis, blocks);
        }
        let [first, second] = shape.as_slice().try_into().ok()?;
        if in_lines {
            let dims = match origin.layout {
                Layout::Transposed => [second, first],
                _ => [first, second],
            };
            return QuantizedMatrix::encoded(wanted, &values, dims);
        }
        let turned: Vec<f32> = (0..second)
            .flat_map(|column| values[column..].iter().step_by(second).copied())
            .collect();
        QuantizedMatrix::encoded(wanted, &turned, [second, first])
    }

    /// The values of the parameter at the current path, in their stored order, and whether its axes are exchanged.
    fn read(&mut self, shape: &Shape) -> Result<Option<(Vec<f32>, bool)>, CheckpointError> {
        let path = self.path.join(".");
        let Some(origin) = self.names.origin(&path) else {
            self.missing.push(path);
            return Ok(None);
        };
        let found = origin
            .names
            .iter()
            .find_map(|name| self.source.shape(name).map(|shape| (name, shape)));
        let Some((name, found)) = found else {
            self.missing.extend(origin.names.into_iter().take(1));
            return Ok(None);
        };
        let expected = stored_shape(&origin, shape);
        let file = || self.source.file(name).to_path_buf();
        if found != expected {
            return Err(CheckpointError::Shape {
                path: file(),
                tensor: name.clone(),
                expected,
                found,
            });
        }
        let mut values = self.source.values(name)?;
        if let Some(blocks) = origin.outputs {
            let axis = output_axis(origin.layout, expected.len());
            values = select(&values, &expected, axis, blocks);
        }
        if !values.iter().all(|value| value.is_finite())
            && let Some(unfit) = unfit_value(&values, shape.as_slice(), false)
        {
            return Err(CheckpointError::Value {
                path: file(),
                tensor: name.clone(),
                place: unfit.place,
                value: unfit.value,
                remedy: unfit.remedy,
            });
        }
        self.used.insert(name.clone());
        Ok(Some((values, origin.layout == Layout::Transposed)))
    }
}

impl ModuleMapper for Filler<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.push(name.to_string());
        self.container = container.to_string();
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.error.is_some() {
            return param;
        }
        let shape = param.lazy_shape();
        if let Some(held) = self.matrix(&shape) {
            let path = self.path.join(".");
            let (format, bytes) = (held.0.format(), held.0.byte_count());
            self.bytes.insert(path.clone(), (format, bytes));
            self.matrices.insert(path, held);
            return param;
        }
        let (values, transposed) = match self.read(&shape) {
            Ok(Some(read)) => {
                let bytes = (WeightFormat::F32, 4 * read.0.len());
                self.bytes.insert(self.path.join("."), bytes);
                read
            }
            Ok(None) => return param,
            Err(error) => {
                self.error = Some(error);
                return param;
            }
        };
        let device = param.lazy_device();
        let tensor = match transposed {
            // The values stay in the order of the file.
            true => {
                let stored: Vec<usize> = shape.iter().rev().copied().collect();
                let stored = TensorData::new(values, stored);
                Tensor::<D>::from_data(stored, &device).swap_dims(0, 1)
            }
            false => Tensor::from_data(TensorData::new(values, shape), &device),
        };
        let id = param.id;
        param.transform_for_load(tensor, id)
    }
}
