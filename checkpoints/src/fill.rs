//! Fills a module with the tensors of files that another program wrote.
//!
//! A parameter that nobody has used yet holds no memory, and each is made from the file on its own: beside the module there is
//! never more than one tensor.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Shape, Tensor, TensorData};
use crossburn_kernels::{
    EncodedFormat, QuantizedMatrix, StoredLines, WeightFormat, hold_quantized,
};
use crossburn_models::{HeldForm, Layout, Origin, OutputBlocks, TensorNames};
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
    /// As they are stored, blocks and halves: mapped where the file has them in this program's order, else copied in the same format. Matrices of
    /// the formats that [`QuantizedMatrix::interleaved`] names are copied into its order, here and in `Encoded`.
    Stored,
    /// In another format, made on loading. What cannot be given the format, such as rows that are not whole blocks or numbers beyond half
    /// precision, stays as it is stored; so do, in place of blocks, blocks of no more bytes.
    Encoded(EncodedFormat),
}

impl From<HeldForm> for HeldAs {
    fn from(form: HeldForm) -> Self {
        match form {
            HeldForm::Stored => Self::Stored,
            HeldForm::F16 => Self::Encoded(EncodedFormat::F16),
            HeldForm::Bf16 => Self::Encoded(EncodedFormat::BF16),
            HeldForm::Q8_0 => Self::Encoded(EncodedFormat::Q8_0),
            HeldForm::Q4_0 => Self::Encoded(EncodedFormat::Q4_0),
        }
    }
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
        plan: Plan::new(names, source, held),
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

/// Bytes of memory that [`fill_held`] takes at its peak, beside what stays in a mapped file. Matrices whose rows are interleaved do not stay there. A
/// parameter that it would refuse counts nothing. Where weights are to be encoded, they are read, since some may not fit the format.
pub(crate) fn held_bytes<M: Module>(
    module: &M,
    names: &dyn TensorNames,
    source: &dyn TensorSource,
    held: HeldAs,
) -> u128 {
    let mut counter = Counter {
        plan: Plan::new(names, source, held),
        kept: 0,
        passing: 0,
    };
    module.visit(&mut counter);
    counter.kept + counter.passing
}

/// Which tensor a parameter is made of, and how it is to be held. The parameter is the one that a walk through a module has come to.
struct Plan<'a> {
    names: &'a dyn TensorNames,
    source: &'a dyn TensorSource,
    held: HeldAs,
    path: Vec<String>,
    /// The type of the module around the parameter.
    container: String,
}

/// The tensor of a parameter.
struct Found {
    name: String,
    origin: Origin,
    /// Its shape in the files.
    stored: Vec<usize>,
}

/// Why there is none.
enum NotFound {
    /// No tensor of this name.
    Missing(String),
    /// One of another shape.
    Unfit(CheckpointError),
}

/// How a parameter may be held.
#[derive(Clone, Copy)]
enum Form {
    /// As 32-bit numbers.
    Floats,
    /// In the bytes of the file.
    Stored(StoredLines),
    /// In bytes that are made of its values.
    Encoded(EncodedFormat, StoredLines),
}

impl<'a> Plan<'a> {
    fn new(names: &'a dyn TensorNames, source: &'a dyn TensorSource, held: HeldAs) -> Self {
        Self {
            names,
            source,
            held,
            path: Vec::new(),
            container: String::new(),
        }
    }

    fn enter(&mut self, name: &str, container: &str) {
        self.path.push(name.to_string());
        self.container = container.to_string();
    }

    fn exit(&mut self) {
        self.path.pop();
    }

    fn path(&self) -> String {
        self.path.join(".")
    }

    /// The tensor of the parameter, which is of `shape`.
    fn find(&self, shape: &Shape) -> Result<Found, NotFound> {
        let path = self.path();
        let Some(origin) = self.names.origin(&path) else {
            return Err(NotFound::Missing(path));
        };
        let mut names = origin.names.iter();
        let found = names.find_map(|name| Some((name.clone(), self.source.shape(name)?)));
        let Some((name, found)) = found else {
            let name = origin.names.into_iter().next();
            return Err(NotFound::Missing(name.unwrap_or(path)));
        };
        let stored = stored_shape(&origin, shape);
        if found != stored {
            return Err(NotFound::Unfit(CheckpointError::Shape {
                path: self.source.file(&name).to_path_buf(),
                tensor: name,
                expected: stored,
                found,
            }));
        }
        Ok(Found {
            name,
            origin,
            stored,
        })
    }

    /// The forms that the parameter may be held in, the wanted first; the last is 32-bit numbers.
    fn forms(&self, found: &Found, shape: &Shape) -> Vec<Form> {
        let lines = match (shape.as_slice(), self.container.as_str()) {
            ([_, _], "Struct:Linear") => StoredLines::Outputs,
            ([_, _], "Struct:Embedding") => StoredLines::Rows,
            _ => return vec![Form::Floats],
        };
        let format = self.source.format(&found.name);
        let stored = match format {
            None | Some(WeightFormat::F32) => None,
            Some(_) if found.in_lines(lines) && found.origin.outputs.is_none() => {
                Some(Form::Stored(lines))
            }
            Some(WeightFormat::F16) => Some(Form::Encoded(EncodedFormat::F16, lines)),
            Some(WeightFormat::BF16) => Some(Form::Encoded(EncodedFormat::BF16, lines)),
            // Blocks in another order have no bytes of their own.
            Some(_) => None,
        };
        // Bytes of as many numbers as every block divides.
        let size = |format: WeightFormat| format.row_bytes(256);
        let wanted = match self.held {
            HeldAs::Floats => return vec![Form::Floats],
            HeldAs::Stored => None,
            HeldAs::Encoded(wanted) => Some(wanted).filter(|wanted| {
                let asked = WeightFormat::from(*wanted);
                let [_, inputs] = matrix_dims(shape, lines);
                let smaller = format.is_some_and(|format| size(format) <= size(asked));
                let as_asked = format == Some(asked) || (asked.block_values() > 1 && smaller);
                asked.row_bytes(inputs).is_some() && !(as_asked && stored.is_some())
            }),
        };
        let wanted = wanted.map(|format| Form::Encoded(format, lines));
        let forms = [wanted, stored, Some(Form::Floats)];
        forms.into_iter().flatten().collect()
    }

    /// Whether `form` can hold the values of the parameter. Values that are to be encoded are read for it; of those that cannot be read
    /// nothing is held.
    fn holds(&self, found: &Found, shape: &Shape, form: Form) -> bool {
        let Form::Encoded(format, lines) = form else {
            return true;
        };
        let encoded = self.encoded(found, shape, format, lines);
        encoded.is_ok_and(|matrix| matrix.is_some())
    }

    /// The values of the parameter as a matrix of `format`; `None` where it cannot hold them.
    fn encoded(
        &self,
        found: &Found,
        shape: &Shape,
        format: EncodedFormat,
        lines: StoredLines,
    ) -> Result<Option<QuantizedMatrix>, CheckpointError> {
        let values = self.values(found)?;
        let dims = matrix_dims(shape, lines);
        let values = match found.in_lines(lines) {
            true => values,
            false => turned(&values, dims),
        };
        Ok(QuantizedMatrix::encoded(format, &values, dims))
    }

    /// The values of the parameter, in their stored order.
    fn values(&self, found: &Found) -> Result<Vec<f32>, CheckpointError> {
        let values = self.source.values(&found.name)?;
        Ok(match found.origin.outputs {
            Some(blocks) => {
                let axis = output_axis(found.origin.layout, found.stored.len());
                select(&values, &found.stored, axis, blocks)
            }
            None => values,
        })
    }
}

impl Found {
    /// Whether the file has the numbers in the order in which `lines` lie one after the other.
    fn in_lines(&self, lines: StoredLines) -> bool {
        match lines {
            StoredLines::Outputs => self.origin.layout == Layout::Transposed,
            StoredLines::Rows => self.origin.layout == Layout::Same,
        }
    }
}

/// Outputs and inputs of the matrix that a weight of `shape` is.
fn matrix_dims(shape: &[usize], lines: StoredLines) -> [usize; 2] {
    match lines {
        StoredLines::Outputs => [shape[1], shape[0]],
        StoredLines::Rows => [shape[0], shape[1]],
    }
}

/// Numbers of a tensor.
fn count(shape: &[usize]) -> u128 {
    shape.iter().map(|axis| *axis as u128).product()
}

/// Bytes of the numbers of a tensor in a format.
fn bytes(format: WeightFormat, shape: &[usize]) -> u128 {
    count(shape) * format.block_bytes() as u128 / format.block_values() as u128
}

/// Whether the bytes of a weight are copied into another order.
fn is_interleaved(format: WeightFormat, shape: &[usize], lines: StoredLines) -> bool {
    let [outputs, _] = matrix_dims(shape, lines);
    format.interleaves(outputs)
}

struct Counter<'a> {
    plan: Plan<'a>,
    kept: u128,
    /// The most that is there beside what is kept, at one time.
    passing: u128,
}

impl ModuleVisitor for Counter<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.plan.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.plan.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let shape = param.lazy_shape();
        let Ok(found) = self.plan.find(&shape) else {
            return;
        };
        let mut form = Form::Floats;
        for tried in self.plan.forms(&found, &shape) {
            self.passing = self.passing.max(self.passing_of(&found, &shape, tried));
            form = tried;
            if self.plan.holds(&found, &shape, tried) {
                break;
            }
        }
        let bytes = |format: WeightFormat| bytes(format, &shape);
        self.kept += match form {
            Form::Floats => 4 * count(&shape),
            Form::Stored(lines) => {
                let is_mapped = self.plan.source.is_mapped(&found.name);
                match self.plan.source.format(&found.name) {
                    Some(format) if !is_mapped || is_interleaved(format, &shape, lines) => {
                        bytes(format)
                    }
                    _ => 0,
                }
            }
            Form::Encoded(format, _) => bytes(format.into()),
        };
    }
}

impl Counter<'_> {
    /// Bytes that are there for a while where a parameter is held, or tried to be held, in the form `form`: the values of the file, before
    /// something else is made of them; those that the parameter takes of them, or in another order, beside.
    fn passing_of(&self, found: &Found, shape: &Shape, form: Form) -> u128 {
        let selected = found.origin.outputs.is_some();
        match form {
            Form::Encoded(_, lines) if selected || !found.in_lines(lines) => {
                4 * (count(&found.stored) + count(shape))
            }
            Form::Encoded(..) => 4 * count(&found.stored),
            _ if selected => 4 * count(&found.stored),
            Form::Stored(lines) if !self.plan.source.is_mapped(&found.name) => {
                match self.plan.source.format(&found.name) {
                    Some(format) if is_interleaved(format, shape, lines) => bytes(format, shape),
                    _ => 0,
                }
            }
            _ => 0,
        }
    }
}

struct Filler<'a> {
    plan: Plan<'a>,
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
    /// The matrix that the parameter is in the form `form`; `None` for 32-bit numbers, and where the form cannot hold what is there.
    fn matrix(
        &self,
        found: &Found,
        shape: &Shape,
        form: Form,
    ) -> Result<Option<(QuantizedMatrix, StoredLines)>, CheckpointError> {
        let (matrix, lines) = match form {
            Form::Floats => return Ok(None),
            Form::Stored(lines) => {
                let matrix = self.plan.source.matrix(&found.name);
                (matrix.filter(QuantizedMatrix::is_finite), lines)
            }
            Form::Encoded(format, lines) => {
                (self.plan.encoded(found, shape, format, lines)?, lines)
            }
        };
        Ok(matrix.map(|matrix| (matrix.interleaved(), lines)))
    }

    /// The values of the parameter as 32-bit numbers, which are finite.
    fn floats(&self, found: &Found, shape: &Shape) -> Result<Vec<f32>, CheckpointError> {
        let values = self.plan.values(found)?;
        if !values.iter().all(|value| value.is_finite())
            && let Some(unfit) = unfit_value(&values, shape.as_slice(), false)
        {
            return Err(CheckpointError::Value {
                path: self.plan.source.file(&found.name).to_path_buf(),
                tensor: found.name.clone(),
                place: unfit.place,
                value: unfit.value,
                remedy: unfit.remedy,
            });
        }
        Ok(values)
    }

    /// The values of `param`; `None` where they are held as a matrix.
    fn tensor<const D: usize>(
        &mut self,
        param: &Param<Tensor<D>>,
        found: &Found,
    ) -> Result<Option<Tensor<D>>, CheckpointError> {
        let (shape, path) = (param.lazy_shape(), self.plan.path());
        for form in self.plan.forms(found, &shape) {
            if let Some(held) = self.matrix(found, &shape, form)? {
                let bytes = (held.0.format(), held.0.byte_count());
                self.bytes.insert(path.clone(), bytes);
                self.matrices.insert(path, held);
                return Ok(None);
            }
        }
        let values = self.floats(found, &shape)?;
        self.bytes
            .insert(path, (WeightFormat::F32, 4 * values.len()));
        let device = param.lazy_device();
        Ok(Some(match found.origin.layout {
            // The values stay in the order of the file.
            Layout::Transposed => {
                let stored: Vec<usize> = shape.iter().rev().copied().collect();
                let stored = TensorData::new(values, stored);
                Tensor::<D>::from_data(stored, &device).swap_dims(0, 1)
            }
            _ => Tensor::from_data(TensorData::new(values, shape), &device),
        }))
    }
}

/// The rows of `[rows, columns]` one after the other, of `values` that are its columns one after the other.
fn turned(values: &[f32], [rows, _]: [usize; 2]) -> Vec<f32> {
    (0..rows)
        .flat_map(|row| values[row..].iter().step_by(rows).copied())
        .collect()
}

impl ModuleMapper for Filler<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.plan.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.plan.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.error.is_some() {
            return param;
        }
        let found = match self.plan.find(&param.lazy_shape()) {
            Ok(found) => found,
            Err(NotFound::Missing(name)) => {
                self.missing.push(name);
                return param;
            }
            Err(NotFound::Unfit(error)) => {
                self.error = Some(error);
                return param;
            }
        };
        let tensor = match self.tensor(&param, &found) {
            Ok(tensor) => tensor,
            Err(error) => {
                self.error = Some(error);
                return param;
            }
        };
        self.used.insert(found.name);
        match tensor {
            Some(tensor) => {
                let id = param.id;
                param.transform_for_load(tensor, id)
            }
            None => param,
        }
    }
}
