//! A network as the file that it was read from, with the tensors that it has now.

use std::collections::{BTreeMap, HashMap, HashSet};

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use prost::Message;

use super::origin::{Reader, Slice};
use super::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};
use super::wire::{RawField, fields, put};
use super::{ExternalTensors, OnnxError, OnnxNetwork, stored_tensor};

/// The size of the largest message of Protocol Buffers.
const LARGEST: usize = i32::MAX as usize;

/// Numbers of fields in `onnx.proto3`.
mod field {
    pub(super) const GRAPH: u64 = 7;
    pub(super) const NODE: u64 = 1;
    pub(super) const INITIALIZER: u64 = 5;
    pub(super) const NODE_INPUT: u64 = 1;
    pub(super) const ATTRIBUTE: u64 = 5;
    pub(super) const ATTRIBUTE_TENSOR: u64 = 5;
    pub(super) const ATTRIBUTE_FLOATS: u64 = 7;
    pub(super) const RAW_DATA: u64 = 9;
    /// Those that hold the values of a tensor: its lists of numbers, its bytes, and where they lie in another file.
    pub(super) const VALUES: [u64; 8] = [4, 5, 7, RAW_DATA, 10, 11, 13, 14];
}

/// The oldest version of the format in which a stored tensor needs no input of its name.
const WITHOUT_INPUTS: i64 = 4;

impl OnnxNetwork {
    /// The file `bytes`, which this network was read from, with the values that the tensors of the network have now.
    ///
    /// All else stays as it is, to the byte: nodes, names, metadata, fields that are not known here, and every tensor whose values have
    /// not changed. A tensor keeps its type, so that a tensor of 16-bit floats holds rounded values. Tensors in files of their own,
    /// which `external` reads, move into the file. Exporters store equal tensors of several layers once: where they have become
    /// different, all layers but one get a tensor of their own, which is called as in PyTorch.
    ///
    /// Read again, the file gives a network with the same parameters at the same paths, but for rounding to 16 bits.
    ///
    /// # Errors
    /// Another file than that of the network, a value that is no finite number or too large for the type of its tensor, and
    /// more than 2 GiB in all.
    pub fn write(&self, bytes: &[u8], external: ExternalTensors<'_>) -> Result<Vec<u8>, OnnxError> {
        self.write_within(LARGEST, bytes, external)
    }

    fn write_within(
        &self,
        largest: usize,
        bytes: &[u8],
        external: ExternalTensors<'_>,
    ) -> Result<Vec<u8>, OnnxError> {
        let model = ModelProto::decode(bytes).map_err(|error| OnnxError::NotOnnx {
            cause: error.to_string(),
        })?;
        let Some(graph) = &model.graph else {
            return Err(OnnxError::graph("there is no graph in it"));
        };
        require_size(bytes.len().saturating_add(outside(graph)?), largest)?;
        let mut changes = Changes::new(self, graph, external)?;
        if !changes.added.is_empty() && model.ir_version < WITHOUT_INPUTS {
            return Err(OnnxError::graph(format!(
                "it is of version {} of the format, in which equal tensors that have become different cannot be told apart: export it \
                 from PyTorch again",
                model.ir_version
            )));
        }
        let file = changes.model(bytes)?;
        require_size(file.len(), largest)?;
        Ok(file)
    }
}

/// Refuses a file that no program would open.
fn require_size(size: usize, largest: usize) -> Result<(), OnnxError> {
    match size <= largest {
        true => Ok(()),
        false => Err(OnnxError::graph(format!(
            "with its tensors inside it would take {size} bytes, and an ONNX file holds {largest} at most: take the weights as the file \
             model.safetensors of the checkpoint"
        ))),
    }
}

/// All tensors that a graph stores.
fn tensors(graph: &GraphProto) -> impl Iterator<Item = &TensorProto> {
    let attributes = graph.node.iter().flat_map(|node| &node.attribute);
    let values = attributes.filter_map(|attribute| attribute.t.as_ref());
    graph.initializer.iter().chain(values)
}

/// Bytes of the tensors that lie in other files.
fn outside(graph: &GraphProto) -> Result<usize, OnnxError> {
    let mut size = 0usize;
    for tensor in tensors(graph).filter(|tensor| stored_tensor::is_external(tensor)) {
        size = size.saturating_add(stored_tensor::size(tensor)?);
    }
    Ok(size)
}

/// A stored tensor with values of its own, as an initializer or a node `Constant` has it.
enum Stored<'a> {
    Tensor(&'a TensorProto),
    Floats(&'a [f32]),
}

impl Stored<'_> {
    fn of_node(node: &NodeProto) -> Option<(&str, Stored<'_>)> {
        let ([output], "Constant") = (node.output.as_slice(), node.op_type.as_str()) else {
            return None;
        };
        let stored = node.attribute.iter().find_map(Self::of_attribute)?;
        Some((output, stored))
    }

    fn of_attribute(attribute: &AttributeProto) -> Option<Stored<'_>> {
        match (attribute.name.as_str(), &attribute.t) {
            ("value", Some(tensor)) => Some(Stored::Tensor(tensor)),
            ("value_floats", _) => Some(Stored::Floats(&attribute.floats)),
            _ => None,
        }
    }

    fn values(&self, external: ExternalTensors<'_>) -> Result<Vec<f32>, OnnxError> {
        Ok(match self {
            Self::Tensor(tensor) => stored_tensor::read(tensor, external)?.floats(),
            Self::Floats(values) => values.to_vec(),
        })
    }

    /// Another tensor of the same shape and type.
    fn like(&self, name: String, values: &[f32]) -> Result<TensorProto, OnnxError> {
        let (dims, data_type) = match self {
            Self::Tensor(tensor) => (tensor.dims.clone(), tensor.data_type),
            Self::Floats(values) => (vec![values.len() as i64], stored_tensor::FLOAT),
        };
        let raw_data = raw(&name, values, data_type)?;
        Ok(TensorProto {
            dims,
            data_type,
            name,
            raw_data,
            ..TensorProto::default()
        })
    }
}

fn raw(name: &str, values: &[f32], data_type: i32) -> Result<Vec<u8>, OnnxError> {
    stored_tensor::raw(values, data_type).map_err(|cause| OnnxError::Tensor {
        tensor: name.to_string(),
        cause,
    })
}

/// A stored tensor as some inputs take it, with the values that the network has for them.
struct Use<'a> {
    /// A path in the network of a tensor that it holds.
    path: &'a str,
    readers: &'a [Reader],
    /// Whether nodes take it under its name.
    named: bool,
    values: Vec<f32>,
}

/// The differences from the file.
struct Changes<'a> {
    graph: &'a GraphProto,
    external: ExternalTensors<'a>,
    /// New values, by stored tensor.
    values: HashMap<&'a str, Vec<f32>>,
    /// Inputs that take an added tensor.
    rewired: HashMap<Reader, String>,
    added: Vec<TensorProto>,
    /// Initializers and nodes that have been written.
    initializers: usize,
    nodes: usize,
}

impl<'a> Changes<'a> {
    fn new(
        network: &'a OnnxNetwork,
        graph: &'a GraphProto,
        external: ExternalTensors<'a>,
    ) -> Result<Self, OnnxError> {
        let initializers = graph.initializer.iter();
        let stored: BTreeMap<&str, Stored<'_>> = initializers
            .map(|tensor| (tensor.name.as_str(), Stored::Tensor(tensor)))
            .chain(graph.node.iter().filter_map(Stored::of_node))
            .collect();
        let mut changes = Self {
            graph,
            external,
            values: HashMap::new(),
            rewired: HashMap::new(),
            added: Vec::new(),
            initializers: 0,
            nodes: 0,
        };
        let mut names = taken_names(graph);
        for (name, mut uses) in uses(network, &stored, external)? {
            let stored = &stored[name];
            let before = stored.values(external)?;
            // One of them keeps the tensor: the one that nodes take by name, or else the first.
            let keeps = match network.fixed().contains(name) {
                true => None,
                false => Some(uses.iter().position(|one| one.named).unwrap_or(0)),
            };
            let kept = match keeps.map(|keeps| uses.remove(keeps)) {
                Some(kept) if !same(&kept.values, &before) => {
                    changes.values.insert(name, kept.values.clone());
                    kept.values
                }
                _ => before,
            };
            for other in uses.into_iter().filter(|other| !same(&other.values, &kept)) {
                let own = free_name(&mut names, other.path);
                changes.added.push(stored.like(own.clone(), &other.values)?);
                for reader in other.readers {
                    changes.require_direct(name, *reader)?;
                    changes.rewired.insert(*reader, own.clone());
                }
            }
        }
        Ok(changes)
    }

    /// Refuses an input that does not take the tensor `name` as it is stored, so that another tensor would not fit in its place.
    fn require_direct(&self, name: &str, (number, place): Reader) -> Result<(), OnnxError> {
        let Some(node) = self.graph.node.get(number) else {
            return Err(other_file());
        };
        let mut input = node.input.get(place).ok_or_else(other_file)?;
        let passes = |input: &String| {
            let mut nodes = self.graph.node.iter();
            let node = nodes.find(|node| node.output.contains(input))?;
            (node.op_type == "Identity").then(|| node.input.first())?
        };
        while input != name {
            input = passes(input).ok_or_else(|| OnnxError::Node {
                node: node.name.clone(),
                operator: node.op_type.clone(),
                cause: format!(
                    "`{name}`, which it takes through another node, is a tensor of several layers that have become different: give \
                     each layer a tensor of its own before the training"
                ),
            })?;
        }
        Ok(())
    }

    fn model(&mut self, bytes: &[u8]) -> Result<Vec<u8>, OnnxError> {
        let mut out = Vec::with_capacity(bytes.len());
        for field in fields(bytes)? {
            match field {
                RawField {
                    number: field::GRAPH,
                    content: Some(graph),
                    ..
                } => put(&mut out, field::GRAPH, &self.graph(graph)?),
                field => out.extend_from_slice(field.whole),
            }
        }
        Ok(out)
    }

    fn graph(&mut self, bytes: &[u8]) -> Result<Vec<u8>, OnnxError> {
        let mut out = Vec::with_capacity(bytes.len());
        let graph = self.graph;
        for field in fields(bytes)? {
            let changed = match (field.number, field.content) {
                (field::INITIALIZER, Some(content)) => {
                    let tensor = graph.initializer.get(self.initializers);
                    let tensor = tensor.ok_or_else(other_file)?;
                    self.initializers += 1;
                    let values = self.values.get(tensor.name.as_str());
                    self.tensor(content, tensor, values)?
                }
                (field::NODE, Some(content)) => {
                    let number = self.nodes;
                    self.nodes += 1;
                    self.node(content, number)?
                }
                _ => None,
            };
            match changed {
                Some(content) => put(&mut out, field.number, &content),
                None => out.extend_from_slice(field.whole),
            }
        }
        for tensor in std::mem::take(&mut self.added) {
            put(&mut out, field::INITIALIZER, &tensor.encode_to_vec());
        }
        Ok(out)
    }

    /// The message of `tensor` with other `values`, or with those of another file inside; nothing where it stays as it is.
    fn tensor(
        &self,
        bytes: &[u8],
        tensor: &TensorProto,
        values: Option<&Vec<f32>>,
    ) -> Result<Option<Vec<u8>>, OnnxError> {
        let content = match values {
            Some(values) => raw(&tensor.name, values, tensor.data_type)?,
            None if stored_tensor::is_external(tensor) => {
                stored_tensor::fetched(tensor, self.external)?
            }
            None => return Ok(None),
        };
        let mut out = Vec::with_capacity(content.len() + 64);
        for field in fields(bytes)? {
            if !field::VALUES.contains(&field.number) {
                out.extend_from_slice(field.whole);
            }
        }
        put(&mut out, field::RAW_DATA, &content);
        Ok(Some(out))
    }

    /// The message of a node with other inputs or another constant; nothing where it stays as it is.
    fn node(&self, bytes: &[u8], number: usize) -> Result<Option<Vec<u8>>, OnnxError> {
        let node = self.graph.node.get(number).ok_or_else(other_file)?;
        let constant = match Stored::of_node(node) {
            Some((name, _)) => self.values.get(name),
            None => None,
        };
        let mut out = Vec::with_capacity(bytes.len());
        let (mut inputs, mut attributes, mut changed) = (0, 0, false);
        for field in fields(bytes)? {
            let content = match (field.number, field.content) {
                (field::NODE_INPUT, Some(_)) => {
                    let place = inputs;
                    inputs += 1;
                    let own = self.rewired.get(&(number, place));
                    own.map(|name| name.as_bytes().to_vec())
                }
                (field::ATTRIBUTE, Some(content)) => {
                    let attribute = node.attribute.get(attributes).ok_or_else(other_file)?;
                    attributes += 1;
                    self.attribute(content, attribute, constant)?
                }
                _ => None,
            };
            changed |= content.is_some();
            match content {
                Some(content) => put(&mut out, field.number, &content),
                None => out.extend_from_slice(field.whole),
            }
        }
        Ok(changed.then_some(out))
    }

    /// The message of an attribute with the values of a `constant`; nothing where it stays as it is.
    fn attribute(
        &self,
        bytes: &[u8],
        attribute: &AttributeProto,
        constant: Option<&Vec<f32>>,
    ) -> Result<Option<Vec<u8>>, OnnxError> {
        let constant = constant.filter(|_| Stored::of_attribute(attribute).is_some());
        let (replaced, content) = match (&attribute.t, constant) {
            (Some(tensor), values) => {
                let mut found = fields(bytes)?.into_iter();
                let message = found.find(|field| field.number == field::ATTRIBUTE_TENSOR);
                let message = message.and_then(|field| field.content);
                let message = message.ok_or_else(other_file)?;
                match self.tensor(message, tensor, values)? {
                    Some(tensor) => (field::ATTRIBUTE_TENSOR, tensor),
                    None => return Ok(None),
                }
            }
            (None, Some(values)) => {
                let floats = values.iter().flat_map(|value| value.to_le_bytes());
                (field::ATTRIBUTE_FLOATS, floats.collect())
            }
            (None, None) => return Ok(None),
        };
        let mut out = Vec::with_capacity(content.len() + bytes.len());
        for field in fields(bytes)? {
            if field.number != replaced {
                out.extend_from_slice(field.whole);
            }
        }
        put(&mut out, replaced, &content);
        Ok(Some(out))
    }
}

/// Whether two tensors are equal to the bit.
fn same(a: &[f32], b: &[f32]) -> bool {
    let mut pairs = a.iter().zip(b);
    a.len() == b.len() && pairs.all(|(a, b)| a.to_bits() == b.to_bits())
}

/// By stored tensor, how inputs take it.
fn uses<'a>(
    network: &'a OnnxNetwork,
    stored: &BTreeMap<&'a str, Stored<'_>>,
    external: ExternalTensors<'_>,
) -> Result<BTreeMap<&'a str, Vec<Use<'a>>>, OnnxError> {
    let mut floats = Floats::default();
    // `valid` lets pending updates of running statistics take effect.
    network.valid().visit(&mut floats);
    let mut found: BTreeMap<&str, Vec<Use<'_>>> = BTreeMap::new();
    for origin in network.origins() {
        let name = origin.slice.stored.as_str();
        let all = found.entry(name).or_default();
        let place = all.iter().position(|one| one.readers == origin.readers);
        let place = match place {
            Some(place) => place,
            None => {
                let before = stored.get(name).ok_or_else(other_file)?;
                all.push(Use {
                    path: &origin.path,
                    readers: &origin.readers,
                    named: false,
                    values: before.values(external)?,
                });
                all.len() - 1
            }
        };
        let one = &mut all[place];
        one.named |= origin.named;
        let part = floats.found.get(&origin.path).ok_or_else(other_file)?;
        part.write(&origin.path, &origin.slice, &mut one.values)?;
    }
    Ok(found)
}

/// The error of a file that the network is not from.
fn other_file() -> OnnxError {
    OnnxError::graph("it is not the graph that the network was read from")
}

/// Names of values and tensors.
fn taken_names(graph: &GraphProto) -> HashSet<String> {
    let stored = graph.initializer.iter().map(|tensor| &tensor.name);
    let values = graph.input.iter().chain(&graph.output);
    let values = values.map(|value| &value.name);
    let nodes = graph.node.iter();
    let of_nodes = nodes.flat_map(|node| node.input.iter().chain(&node.output));
    stored.chain(values).chain(of_nodes).cloned().collect()
}

/// A name that no tensor has, of the tensor at `path` of the network: what PyTorch calls it, where that is free.
fn free_name(taken: &mut HashSet<String>, path: &str) -> String {
    let ending = |from: &str, to: &str| path.strip_suffix(from).map(|layer| format!("{layer}{to}"));
    let name = ending(".gamma", ".weight").or_else(|| ending(".beta", ".bias"));
    let name = name.unwrap_or_else(|| path.to_string());
    let mut numbered = std::iter::once(name.clone())
        .chain((2u64..).map(|number| format!("{name}_{number}")))
        .filter(|name| !taken.contains(name));
    let free = numbered.next().unwrap_or(name);
    taken.insert(free.clone());
    free
}

/// Values of a tensor of the network.
struct Values {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Values {
    /// Writes them into `stored`, all values of the stored tensor that `slice` is a part of.
    ///
    /// # Errors
    /// A value that is no finite number, and a part that lies outside.
    fn write(&self, path: &str, slice: &Slice, stored: &mut [f32]) -> Result<(), OnnxError> {
        if let Some(place) = self.values.iter().position(|value| !value.is_finite()) {
            return Err(OnnxError::Tensor {
                tensor: path.to_string(),
                cause: format!(
                    "value {place} is {}, no finite number: train the network again",
                    self.values[place]
                ),
            });
        }
        let part = stored.get_mut(slice.start..).ok_or_else(other_file)?;
        let part = part.get_mut(..self.values.len()).ok_or_else(other_file)?;
        match (slice.turned, self.shape.as_slice()) {
            (true, [rows, columns]) => {
                for (place, value) in part.iter_mut().enumerate() {
                    *value = self.values[place % rows * columns + place / rows];
                }
            }
            _ => part.copy_from_slice(&self.values),
        }
        Ok(())
    }
}

/// The tensors of a module by path.
#[derive(Default)]
struct Floats {
    path: Vec<String>,
    found: BTreeMap<String, Values>,
}

impl ModuleVisitor for Floats {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        let shape = tensor.dims().to_vec();
        let values = tensor.into_data().try_into_vec_as();
        let values = values.expect("a parameter is a tensor of floats");
        self.found
            .insert(self.path.join("."), Values { shape, values });
    }
}

#[cfg(test)]
#[path = "../../tests/onnx/graph.rs"]
mod graph;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use burn::tensor::Device;

    use super::graph::{Graph, elsewhere};
    use super::*;
    use crate::onnx::ExternalData;

    /// A file that no program would open is refused, by what its tensors in other files say before these are read.
    #[test]
    fn a_file_that_is_too_large_is_refused() {
        let graph = Graph::taking(&[2]).stored(&elsewhere("b", &[2], "net.data", None, 8));
        let file = graph.node("Add", &["x", "b"], &["y"], &[]).file();
        let there = |_: &ExternalData| Ok(vec![0; 8]);
        let network = OnnxNetwork::read(&file, &there, &Device::flex()).unwrap();
        let size = network.write(&file, &there).unwrap().len();
        let not_read = |_: &ExternalData| -> Result<Vec<u8>, String> { panic!("it is not read") };
        let refused = network.write_within(file.len() + 7, &file, &not_read);
        let message = refused.unwrap_err().to_string();
        assert!(
            message.starts_with(&format!(
                "with its tensors inside it would take {} bytes, and an ONNX file holds {} at most",
                file.len() + 8,
                file.len() + 7
            )),
            "{message}"
        );
        // What is written is shorter: it does not name the other file.
        assert!(size < file.len() + 8);
        assert!(network.write_within(size, &file, &there).is_err());
        assert!(network.write_within(file.len() + 8, &file, &there).is_ok());
    }
}
