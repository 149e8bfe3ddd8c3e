//! Fills a module with the tensors of files that another program wrote.
//!
//! A parameter that nobody has used yet holds no memory, and each is made from the file on its own: beside the module there is
//! never more than one tensor.

use std::collections::BTreeSet;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Shape, Tensor, TensorData};
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
}

/// `module` with every parameter from `source`, found by `names`.
///
/// # Errors
/// [`CheckpointError::MissingTensors`], [`CheckpointError::Shape`], [`CheckpointError::ElementType`], or
/// [`CheckpointError::Value`] for a value that is not a number.
pub(crate) fn fill<M: Module>(
    module: M,
    names: &dyn TensorNames,
    source: &dyn TensorSource,
) -> Result<Loaded<M>, CheckpointError> {
    let mut filler = Filler {
        names,
        source,
        path: Vec::new(),
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
        true => Ok(Loaded { module, unused }),
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
    path: Vec<String>,
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
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.error.is_some() {
            return param;
        }
        let shape = param.lazy_shape();
        let (values, transposed) = match self.read(&shape) {
            Ok(Some(read)) => read,
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
