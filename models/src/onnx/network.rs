//! An ONNX graph as a network.

use std::cell::Cell;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use burn::module::{
    Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor,
};
use burn::tensor::{Device, Tensor};
use prost::Message;

use super::builder::{Builder, Source, Step};
use super::dense::Dense;
use super::host::{Elements, Host, elements_of};
use super::input::{OnnxInput, described};
use super::layer::NamedLayer;
use super::origin::Origin;
use super::proto::{GraphProto, ModelProto, ValueProto};
use super::value::{Call, Value};
use super::{ExternalTensors, OnnxError, operator};
use crate::{Classifier, Network, Outputs};

/// Versions of ONNX's operators that are read.
const OPSETS: std::ops::RangeInclusive<i64> = 7..=24;

/// Items of the passes that [`OnnxNetwork::check_items`] makes: several numbers, so that a batch that the graph fixes shows, and one
/// alone, which a graph may take for an axis to leave out.
const BATCHES: [usize; 3] = [1, 2, 3];

/// A network that an ONNX file describes, with one input and its first output.
///
/// ```no_run
/// use burn::tensor::{Device, Tensor};
/// use crossburn_models::onnx::OnnxNetwork;
///
/// let device = Device::flex();
/// let bytes = std::fs::read("resnet20.onnx")?;
/// let network = OnnxNetwork::read(&bytes, &|_| Err("it has none".to_string()), &device)?;
/// let logits: Tensor<2> = network.run(Tensor::<4>::zeros([8, 3, 32, 32], &device))?;
/// assert_eq!(logits.dims(), [8, 10]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct OnnxNetwork {
    layers: Vec<NamedLayer>,
    graph: Arc<Graph>,
}

/// The fixed part: the order of the computation.
#[derive(Debug)]
struct Graph {
    input: OnnxInput,
    input_slot: usize,
    output: Source,
    slots: usize,
    steps: Vec<Step>,
    digital_products: Vec<String>,
    outputs: Vec<String>,
    /// The origins of the layers' tensors.
    origins: Vec<Origin>,
    /// Stored tensors that steps take as they are in the file.
    fixed: HashSet<String>,
    /// Why a pass for a classification failed: the first, of this network or a copy.
    failure: OnceLock<OnnxError>,
}

impl OnnxNetwork {
    /// Reads the graph in `bytes` onto `device`; `external` reads tensors that lie in files of their own.
    ///
    /// Whatever the bytes are, it gives a network or an error.
    ///
    /// # Errors
    /// [`OnnxError`]: bytes that are no model, an operator that is not known, a tensor or node that does not fit.
    pub fn read(
        bytes: &[u8],
        external: ExternalTensors<'_>,
        device: &Device,
    ) -> Result<Self, OnnxError> {
        let model = ModelProto::decode(bytes).map_err(|error| OnnxError::NotOnnx {
            cause: error.to_string(),
        })?;
        let not_onnx = |cause: &str| OnnxError::NotOnnx {
            cause: cause.to_string(),
        };
        let graph = model.graph.as_ref();
        let graph = graph.ok_or_else(|| not_onnx("there is no graph in it"))?;
        let standard = |domain: &str| matches!(domain, "" | "ai.onnx");
        let mut opsets = model.opset_import.iter();
        let opset = opsets.find(|opset| standard(&opset.domain));
        let opset = opset.ok_or_else(|| not_onnx("it names no version of its operators"))?;
        if !OPSETS.contains(&opset.version) {
            return Err(OnnxError::Opset {
                version: opset.version,
                oldest: *OPSETS.start(),
                newest: *OPSETS.end(),
            });
        }
        Self::of_graph(graph, opset.version, external, device)
    }

    fn of_graph(
        graph: &GraphProto,
        opset: i64,
        external: ExternalTensors<'_>,
        device: &Device,
    ) -> Result<Self, OnnxError> {
        if !graph.sparse_initializer.is_empty() {
            return Err(OnnxError::graph(
                "it stores sparse tensors, which are not read",
            ));
        }
        let stored = |name: &str| graph.initializer.iter().any(|tensor| tensor.name == name);
        let inputs: Vec<&ValueProto> = graph
            .input
            .iter()
            .filter(|value| !stored(&value.name))
            .collect();
        let [input] = inputs.as_slice() else {
            let names: Vec<&str> = inputs.iter().map(|value| value.name.as_str()).collect();
            return Err(OnnxError::graph(format!(
                "it has {} inputs ({}), networks here have one",
                names.len(),
                names.join(", ")
            )));
        };
        let Some(output) = graph.output.first() else {
            return Err(OnnxError::graph("it has no output"));
        };
        let described = described(input)?;
        let mut builder = Builder::new(graph, opset, external, device)?;
        let input_slot = builder.slot(&input.name)?;
        builder.nodes()?;
        let output = builder.output(&output.name)?;
        let slots = builder.slots();
        let digital_products = builder.digital_products();
        let (origins, fixed) = builder.origins();
        let (layers, mut steps) = (builder.layers, builder.steps);
        mark_done(&mut steps, &output);
        Ok(Self {
            layers,
            graph: Arc::new(Graph {
                input: described,
                input_slot,
                output,
                slots,
                steps,
                digital_products,
                outputs: graph
                    .output
                    .iter()
                    .map(|value| value.name.clone())
                    .collect(),
                origins,
                fixed,
                failure: OnceLock::new(),
            }),
        })
    }

    /// The operators of ONNX that are known, in alphabetical order.
    pub fn operators() -> Vec<&'static str> {
        operator::known()
    }

    /// The input that it takes.
    pub fn input(&self) -> &OnnxInput {
        &self.graph.input
    }

    /// The names of the outputs that the graph has. The first is the output of the network.
    pub fn outputs(&self) -> &[String] {
        &self.graph.outputs
    }

    /// The nodes that multiply values of the network with stored numbers that are the weight of no layer, such as a stack of matrices
    /// or a matrix that the graph computes. On no chip do these deviate.
    pub fn digital_products(&self) -> &[String] {
        &self.graph.digital_products
    }

    /// The origins of its layers' tensors.
    pub(super) fn origins(&self) -> &[Origin] {
        &self.graph.origins
    }

    /// Stored tensors that steps take as they are in the file.
    pub(super) fn fixed(&self) -> &HashSet<String> {
        &self.graph.fixed
    }

    /// The output for `input`.
    ///
    /// # Errors
    /// The node that cannot compute with what it is given, and an output with another number of axes.
    pub fn run<const I: usize, const O: usize>(
        &self,
        input: Tensor<I>,
    ) -> Result<Tensor<O>, OnnxError> {
        let output = self.compute(Dense::new(input))?;
        output
            .with_axes()
            .map_err(|cause| OnnxError::graph(format!("its output: {cause}")))
    }

    /// The output for `values` of any `shape`, computed on `device`.
    ///
    /// # Errors
    /// Values that are not as many as the shape says, and those of [`run`](Self::run).
    pub fn run_values(
        &self,
        shape: &[usize],
        values: Vec<f32>,
        device: &Device,
    ) -> Result<Outputs, OnnxError> {
        let input =
            Host::new(shape.to_vec(), Elements::Floats(values)).map_err(OnnxError::graph)?;
        let output = self.compute(input.to_device(device))?;
        Ok(Outputs {
            shape: output.shape().to_vec(),
            values: output.values().map_err(OnnxError::graph)?,
        })
    }

    /// Passes items of the size that the graph asks for through the network, and gives the shape of the output of one; `None`
    /// where the graph leaves that size free: see [`check_items`](Self::check_items).
    ///
    /// # Errors
    /// A batch that is fixed, and those of [`check_items`](Self::check_items).
    pub fn check(&self) -> Result<Option<Vec<usize>>, OnnxError> {
        let Some((batch, rest)) = self.graph.input.shape.split_first() else {
            return Err(OnnxError::graph("its input is a single number"));
        };
        if let Some(fixed) = batch {
            return Err(OnnxError::graph(format!(
                "it takes batches of {fixed} alone: export it with a free batch (dynamic_axes or dynamic_shapes)"
            )));
        }
        let item: Option<Vec<usize>> = rest.iter().copied().collect();
        item.map(|item| self.check_items(&item)).transpose()
    }

    /// Passes items of the shape `item` through the network, and gives the shape of the output of one.
    ///
    /// Zeros are passed, in batches of several sizes, or of the size that the graph fixes: what runs then runs for any batch of such
    /// items.
    ///
    /// # Errors
    /// The node that cannot compute, and an output that is not one row for each item.
    pub fn check_items(&self, item: &[usize]) -> Result<Vec<usize>, OnnxError> {
        let mut found: Option<Vec<usize>> = None;
        let fixed = self.graph.input.shape.first().copied().flatten();
        let batches = fixed.map_or(BATCHES.to_vec(), |fixed| vec![fixed]);
        for items in batches {
            let shape = [&[items], item].concat();
            let output = self.try_zeros(&shape)?;
            let row = match output.split_first() {
                Some((rows, row)) if *rows == items => row.to_vec(),
                _ => {
                    return Err(OnnxError::graph(format!(
                        "for {items} items it gives an output of shape {output:?}, not a row for each: the export may have fixed the batch"
                    )));
                }
            };
            if found.get_or_insert_with(|| row.clone()) != &row {
                return Err(OnnxError::graph(
                    "the shape of its output depends on the batch",
                ));
            }
        }
        Ok(found.unwrap_or_default())
    }

    /// The shape of the output for zeros of `shape`.
    fn try_zeros(&self, shape: &[usize]) -> Result<Vec<usize>, OnnxError> {
        let count = elements_of(shape).map_err(OnnxError::graph)?;
        let device = self
            .devices()
            .into_iter()
            .next()
            .unwrap_or_else(Device::flex);
        // Operators check what they are given. What they overlook, Burn panics on: a broken file must not end the program.
        let at = Cell::new(0);
        let pass = || {
            let zeros = Dense::flat(Tensor::zeros([count], &device), shape.to_vec());
            self.valid()
                .compute_following(zeros, &at)
                .map(|output| output.shape().to_vec())
        };
        catch_unwind(AssertUnwindSafe(pass)).unwrap_or_else(|_| {
            let cause = "its tensors do not fit together: export the network again, or file an issue that names this node";
            Err(match self.graph.steps.get(at.get()) {
                Some(step) => step.failed(cause.to_string()),
                None => OnnxError::graph(cause),
            })
        })
    }

    fn compute(&self, input: Dense) -> Result<Dense, OnnxError> {
        self.compute_following(input, &Cell::new(0))
    }

    /// The output for `input`; `at` is set to the number of the step that computes.
    fn compute_following(&self, input: Dense, at: &Cell<usize>) -> Result<Dense, OnnxError> {
        let graph = self.graph.as_ref();
        graph.input.check(input.shape())?;
        let device = input.device();
        let mut slots: Vec<Option<Value>> = vec![None; graph.slots];
        slots[graph.input_slot] = Some(Value::Dense(input));
        for (number, step) in graph.steps.iter().enumerate() {
            at.set(number);
            let failed = |cause: String| step.failed(cause);
            let inputs = step.inputs.iter().map(|source| self.fetch(source, &slots));
            let inputs = inputs.collect::<Result<_, _>>().map_err(failed)?;
            let call = Call {
                inputs,
                layers: &self.layers,
                device: &device,
            };
            let outputs = step.operator.run(&call).map_err(failed)?;
            drop(call);
            let mut outputs = outputs.into_iter();
            for slot in &step.outputs {
                let output = outputs.next();
                if let Some(slot) = slot {
                    let output = output.ok_or_else(|| failed("it has fewer outputs".to_string()));
                    slots[*slot] = Some(output?);
                }
            }
            for slot in &step.done {
                slots[*slot] = None;
            }
        }
        let output = self
            .fetch(&graph.output, &slots)
            .map_err(OnnxError::graph)?;
        let output = output.ok_or_else(|| OnnxError::graph("it has no output"))?;
        Ok(output.dense(&device))
    }

    fn fetch(&self, source: &Source, slots: &[Option<Value>]) -> Result<Option<Value>, String> {
        Ok(Some(match source {
            Source::Nothing => return Ok(None),
            Source::Slot(slot) => match &slots[*slot] {
                Some(value) => value.clone(),
                None => return Err("one of its inputs was not computed".to_string()),
            },
            Source::Constant(host) => Value::Host(host.clone()),
            Source::Layer {
                layer,
                part,
                shape,
                turned,
            } => {
                let value = self.layers[*layer].layer.value(*part);
                let value = value.ok_or("one of its inputs is no tensor")?;
                Value::Dense(match turned {
                    true => {
                        let held = shape.iter().rev().copied().collect();
                        value.reshaped(held)?.permuted(&[1, 0])?
                    }
                    false => value.reshaped(shape.clone())?,
                })
            }
        }))
    }
}

/// Marks for each slot the step after which nobody reads it.
fn mark_done(steps: &mut [Step], output: &Source) {
    let mut seen = HashSet::new();
    if let Source::Slot(slot) = output {
        seen.insert(*slot);
    }
    for step in steps.iter_mut().rev() {
        let read = step.inputs.iter().filter_map(|source| match source {
            Source::Slot(slot) => Some(*slot),
            _ => None,
        });
        let made = step.outputs.iter().flatten().copied();
        let done: Vec<usize> = read.chain(made).filter(|slot| seen.insert(*slot)).collect();
        step.done = done;
    }
}

impl Network for OnnxNetwork {}

impl OnnxNetwork {
    /// A row of logits for each sample.
    ///
    /// # Errors
    /// Those of [`run`](Self::run), and an output that is no row for each.
    fn logits(&self, inputs: Tensor<4>) -> Result<Tensor<2>, OnnxError> {
        let items = inputs.dims()[0];
        let shape = self.graph.input.of_samples(inputs.dims());
        let inputs = Dense::new(inputs).reshaped(shape);
        let output = self.compute(inputs.map_err(OnnxError::graph)?)?;
        let count: usize = output.shape().iter().product();
        let row = count.checked_div(items).unwrap_or_default();
        let rows = output.reshaped(vec![items, row]);
        rows.and_then(Dense::with_axes).map_err(OnnxError::graph)
    }
}

impl Classifier for OnnxNetwork {
    /// NaN where a node cannot compute with the values that reach it, which [`failure`](Classifier::failure) then names.
    /// [`OnnxNetwork::check_items`] finds all that does not depend on values.
    fn forward(&self, inputs: Tensor<4>) -> Tensor<2> {
        let (dims, device) = (inputs.dims(), inputs.device());
        self.logits(inputs).unwrap_or_else(|error| {
            let item = &self.graph.input.of_samples(dims)[1..];
            let row = self.check_items(item).unwrap_or_default();
            self.graph.failure.get_or_init(|| error);
            let none = Tensor::full([dims[0], row.iter().product()], f32::NAN, &device);
            // Whoever asks for gradients must get some.
            match device.is_autodiff() {
                true => none.require_grad(),
                false => none,
            }
        })
    }

    fn failure(&self) -> Option<String> {
        self.graph.failure.get().map(OnnxError::to_string)
    }
}

impl std::fmt::Debug for OnnxNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let layers = self.layers.iter().map(NamedLayer::describe);
        f.debug_map().entries(layers).finish()
    }
}

impl Module for OnnxNetwork {
    fn collect_devices(&self, devices: Devices) -> Devices {
        let layers = self.layers.iter();
        layers.fold(devices, |devices, layer| layer.collect_devices(devices))
    }

    fn fork(self, device: &Device) -> Self {
        self.each(|layer| layer.fork(device))
    }

    fn to_device(self, device: &Device) -> Self {
        self.each(|layer| layer.moved(device))
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        self.layers.iter().for_each(|layer| layer.visit(visitor));
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        self.each(|layer| layer.map(mapper))
    }

    fn valid(&self) -> Self {
        Self {
            layers: self.layers.iter().map(NamedLayer::valid).collect(),
            graph: self.graph.clone(),
        }
    }

    fn train(self) -> Self {
        self.each(NamedLayer::train)
    }

    fn materialize(self) -> Self {
        self.each(NamedLayer::materialize)
    }
}

impl OnnxNetwork {
    fn each(self, change: impl FnMut(NamedLayer) -> NamedLayer) -> Self {
        Self {
            layers: self.layers.into_iter().map(change).collect(),
            graph: self.graph,
        }
    }
}

impl ModuleDisplayDefault for OnnxNetwork {
    fn content(&self, content: Content) -> Option<Content> {
        let layers = self.layers.iter().map(NamedLayer::describe);
        let content = layers.fold(content, |content, (path, kind)| {
            content.add_debug_attribute(&path, &kind)
        });
        content.optional()
    }
}

impl ModuleDisplay for OnnxNetwork {}
