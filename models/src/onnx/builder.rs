//! From the nodes of a file to operators and layers.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use burn::tensor::Device;

use super::attributes::Attributes;
use super::host::{Elements, Host};
use super::layer::{Layer, NamedLayer, Part};
use super::names::{is_made, segments};
use super::node::{Failure, Node};
use super::operator::{self, Operator};
use super::origin::{Origin, Reader, Slice};
use super::proto::{GraphProto, NodeProto};
use super::stored_tensor::Becomes;
use super::{ExternalTensors, OnnxError, stored_tensor};

/// The source of an operator's input.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// Left out, or part of a layer.
    Nothing,
    /// The value of a slot.
    Slot(usize),
    Constant(Arc<Host>),
    /// A parameter, or the weight or bias of a layer, of a shape; turned where the layer holds the transposed matrix.
    Layer {
        layer: usize,
        part: Part,
        shape: Vec<usize>,
        turned: bool,
    },
}

/// A node that computes.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) node: String,
    pub(crate) kind: String,
    pub(crate) operator: Box<dyn Operator>,
    pub(crate) inputs: Vec<Source>,
    /// Slots of the outputs that somebody asks for.
    pub(crate) outputs: Vec<Option<usize>>,
    /// Slots that nobody reads after it.
    pub(crate) done: Vec<usize>,
}

impl Step {
    /// The error that names this step.
    pub(crate) fn failed(&self, cause: String) -> OnnxError {
        OnnxError::Node {
            node: self.node.clone(),
            operator: self.kind.clone(),
            cause,
        }
    }
}

/// The layer of a stored tensor, and how the tensor lies in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub(super) layer: usize,
    pub(super) lies: Lies,
}

/// How a stored tensor lies in its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lies {
    AsItIs,
    /// The layer holds the transposed matrix.
    Turned,
    /// It is cut into several layers, by the node of this number.
    InParts(usize),
}

/// An input of a step that is a stored tensor. Which layer holds it is known after all nodes.
#[derive(Debug)]
struct Open {
    step: usize,
    place: usize,
    stored: String,
    /// Whether the step takes it transposed.
    turned: bool,
    /// Whether no gradient passes to it there.
    watched: bool,
}

/// Makes layers and steps of nodes.
pub(crate) struct Builder<'a> {
    pub(super) device: &'a Device,
    pub(super) external: ExternalTensors<'a>,
    pub(super) opset: i64,
    /// Constants and initializers by name.
    pub(super) known: HashMap<String, Arc<Host>>,
    /// Initializers of floats, which learn.
    pub(super) initializers: HashSet<String>,
    /// Initializers that a product multiplies with: they are the weight of a linear layer, whoever else reads them.
    pub(super) multiplied: HashSet<String>,
    /// Names that stand for others: of values that pass unchanged.
    aliases: HashMap<String, String>,
    /// Stored tensors that are the weight of a layer.
    pub(super) owners: HashMap<String, Owner>,
    /// Tensors that are the bias of a layer; if of several, the first.
    pub(super) biases: HashMap<String, Owner>,
    /// Transposed stored matrices, by the name of the transposed tensor.
    pub(super) turned: HashMap<String, String>,
    slots: HashMap<String, usize>,
    next_slot: usize,
    /// Slots of values that are the same for every input of the network.
    steady: HashSet<usize>,
    /// The nodes that read a value.
    pub(super) readers: HashMap<&'a str, Vec<usize>>,
    pub(super) graph_outputs: HashSet<&'a str>,
    /// Nodes that are part of another one.
    pub(super) merged: HashSet<usize>,
    pub(super) paths: BTreeSet<String>,
    /// Layers by what they were made of: a node with the same weights is the same layer.
    pub(super) made: HashMap<String, usize>,
    pub(crate) layers: Vec<NamedLayer>,
    pub(crate) steps: Vec<Step>,
    open: Vec<Open>,
    /// Initializers that are a setting of a step: they stay as they are, whoever else reads them.
    settings: BTreeMap<String, usize>,
    /// The origins of the layers' tensors.
    origins: Vec<Origin>,
    /// Stored tensors that steps take as they are in the file.
    fixed: HashSet<String>,
    pub(super) graph: &'a GraphProto,
}

impl<'a> Builder<'a> {
    /// Reads the initializers of `graph`.
    ///
    /// # Errors
    /// One that cannot be read.
    pub(crate) fn new(
        graph: &'a GraphProto,
        opset: i64,
        external: ExternalTensors<'a>,
        device: &'a Device,
    ) -> Result<Self, OnnxError> {
        let mut readers: HashMap<&str, Vec<usize>> = HashMap::new();
        for (number, node) in graph.node.iter().enumerate() {
            for input in &node.input {
                readers.entry(input).or_default().push(number);
            }
        }
        let mut builder = Self {
            device,
            external,
            opset,
            known: HashMap::new(),
            initializers: HashSet::new(),
            multiplied: HashSet::new(),
            aliases: HashMap::new(),
            owners: HashMap::new(),
            biases: HashMap::new(),
            turned: HashMap::new(),
            slots: HashMap::new(),
            next_slot: 0,
            steady: HashSet::new(),
            readers,
            graph_outputs: graph
                .output
                .iter()
                .map(|value| value.name.as_str())
                .collect(),
            merged: HashSet::new(),
            paths: BTreeSet::new(),
            made: HashMap::new(),
            layers: Vec::new(),
            steps: Vec::new(),
            open: Vec::new(),
            settings: BTreeMap::new(),
            origins: Vec::new(),
            fixed: HashSet::new(),
            graph,
        };
        // Exporters add axes to the slope of a PReLU and name it anew.
        let slopes: HashSet<&str> = graph
            .node
            .iter()
            .filter(|node| node.op_type == "PRelu")
            .filter_map(|node| node.input.get(1).map(String::as_str))
            .collect();
        for tensor in &graph.initializer {
            let values = stored_tensor::read(tensor, external)?;
            let name = tensor.name.clone();
            if builder.known.contains_key(&name) {
                return Err(OnnxError::graph(format!("two tensors are called `{name}`")));
            }
            if learns(&values, is_made(&name) && !slopes.contains(name.as_str())) {
                builder.initializers.insert(name.clone());
            }
            builder.known.insert(name, Arc::new(values));
        }
        builder.multiplied = builder.multiplied();
        Ok(builder)
    }

    /// The stored matrices that some node multiplies with, whether a node before hands them on or transposes them.
    fn multiplied(&self) -> HashSet<String> {
        let mut stands: HashMap<&str, &str> = self
            .initializers
            .iter()
            .filter(|name| self.known[*name].shape().len() == 2)
            .map(|name| (name.as_str(), name.as_str()))
            .collect();
        let mut multiplied = HashSet::new();
        for node in &self.graph.node {
            let stored = |place: usize| {
                let name = node.input.get(place)?;
                stands.get(name.as_str()).copied()
            };
            match node.op_type.as_str() {
                "Cast" | "Dropout" | "Identity" | "Transpose" => {
                    if let (Some(name), Some(output)) = (stored(0), node.output.first()) {
                        stands.insert(output, name);
                    }
                }
                "Gemm" => multiplied.extend(stored(1).map(str::to_string)),
                "MatMul" => {
                    multiplied.extend(
                        [stored(0), stored(1)]
                            .into_iter()
                            .flatten()
                            .map(str::to_string),
                    );
                }
                _ => {}
            }
        }
        multiplied
    }

    /// A slot for the value `name`.
    ///
    /// # Errors
    /// A value that is there already.
    pub(crate) fn slot(&mut self, name: &str) -> Result<usize, OnnxError> {
        self.require_free(name)?;
        let slot = self.next_slot;
        self.slots.insert(name.to_string(), slot);
        self.next_slot += 1;
        Ok(slot)
    }

    /// Refuses a name that a value has already.
    fn require_free(&self, name: &str) -> Result<(), OnnxError> {
        let taken = self.known.contains_key(name)
            || self.aliases.contains_key(name)
            || self.turned.contains_key(name)
            || self.slots.contains_key(name);
        match taken {
            true => Err(OnnxError::graph(format!(
                "two values are called `{name}`: export the network again, or rename one"
            ))),
            false => Ok(()),
        }
    }

    pub(crate) fn slots(&self) -> usize {
        self.next_slot
    }

    /// The name of the value that `name` stands for.
    pub(super) fn resolved<'n>(&'n self, name: &'n str) -> &'n str {
        // An alias is only made of a name that is resolved already.
        self.aliases.get(name).map_or(name, String::as_str)
    }

    /// Makes `name` stand for `other`.
    ///
    /// # Errors
    /// A name that is taken.
    fn alias(&mut self, name: &str, other: &str) -> Result<(), OnnxError> {
        self.require_free(name)?;
        let other = self.resolved(other).to_string();
        self.aliases.insert(name.to_string(), other);
        Ok(())
    }

    /// Builds every node in order.
    ///
    /// # Errors
    /// The first node that cannot be built.
    pub(crate) fn nodes(&mut self) -> Result<(), OnnxError> {
        let graph = self.graph;
        let named = |(number, node): (usize, &'a NodeProto)| {
            let name = match node.name.as_str() {
                "" => format!("{} {}", node.op_type, number + 1),
                name => name.to_string(),
            };
            (number, node, name)
        };
        let nodes: Vec<(usize, &NodeProto, String)> =
            graph.node.iter().enumerate().map(named).collect();
        for (_, node, name) in &nodes {
            operator::require_known(node, name)?;
        }
        // A layer may take a constant that stands after it in the file, such as the bias of a product.
        let (constants, others): (Vec<_>, Vec<_>) = nodes
            .into_iter()
            .partition(|(_, node, _)| node.op_type == "Constant");
        for (_, node, name) in constants {
            self.constant_node(node)
                .map_err(|error| error.at(&name, &node.op_type))?;
        }
        for (number, node, name) in others {
            self.node(node, number, &name)
                .map_err(|error| error.at(&name, &node.op_type))?;
        }
        self.settle()
    }

    /// Gives every step the stored tensors that it takes as values.
    ///
    /// # Errors
    /// A tensor that is a value, or a setting, here and part of another layer elsewhere.
    fn settle(&mut self) -> Result<(), OnnxError> {
        if let Some((name, step)) = self.settings.iter().find(|(name, _)| self.in_layer(name)) {
            return Err(self.steps[*step].failed(format!(
                "it takes `{name}` as a setting, which is a weight elsewhere: give each a tensor of its own"
            )));
        }
        // A tensor that is only watched learns through the other nodes that take it, if there are any.
        let (watched, taken): (Vec<Open>, Vec<Open>) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|open| open.watched);
        for open in taken.into_iter().chain(watched) {
            let name = &open.stored;
            let learns = self.initializers.contains(name) && !open.watched;
            let fixed = self.settings.contains_key(name) || !(learns || self.in_layer(name));
            if fixed {
                self.fixed.insert(name.clone());
            }
            let source = match (self.known.get(name), open.turned) {
                (Some(values), false) if fixed => Ok(Source::Constant(values.clone())),
                (Some(values), true) if fixed => values
                    .transposed()
                    .map(|values| Source::Constant(Arc::new(values)))
                    .map_err(Failure::Here),
                _ => self.stored(name, open.turned),
            };
            let step = &mut self.steps[open.step];
            step.inputs[open.place] = source.map_err(|error| error.at(&step.node, &step.kind))?;
        }
        Ok(())
    }

    /// Nodes that multiply values of the network with stored numbers that are the weight of no layer: on no chip do these deviate.
    pub(crate) fn digital_products(&self) -> Vec<String> {
        let is_layer = |source: &Source| match source {
            Source::Layer { layer, .. } => matches!(self.layers[*layer].layer, Layer::Linear(_)),
            _ => false,
        };
        let digital = |step: &&Step| {
            let [left, right, ..] = step.inputs.as_slice() else {
                return false;
            };
            // An input that is part of a layer is left out.
            let operands = [left, right].map(|source| match source {
                Source::Nothing => None,
                source => Some((self.is_steady(source), is_layer(source))),
            });
            match (step.kind.as_str(), operands) {
                ("Gemm" | "MatMul", [Some(left), Some(right)]) => {
                    let stored = |(steady, layer): (bool, bool)| steady && !layer;
                    left.0 != right.0 && (stored(left) || stored(right))
                }
                _ => false,
            }
        };
        let nodes = self.steps.iter().filter(digital);
        nodes.map(|step| step.node.clone()).collect()
    }

    /// Whether a value is the same for every input of the network.
    fn is_steady(&self, source: &Source) -> bool {
        match source {
            Source::Slot(slot) => self.steady.contains(slot),
            Source::Nothing | Source::Constant(_) | Source::Layer { .. } => true,
        }
    }

    fn node(&mut self, proto: &'a NodeProto, number: usize, name: &str) -> Result<(), Failure> {
        if self.merged.contains(&number) {
            // Its work is done by the node before it, whose value passes through.
            let before = proto.input.iter().find(|input| {
                let resolved = self.resolved(input);
                self.slots.contains_key(resolved)
            });
            let (Some(before), [output]) = (before.cloned(), proto.output.as_slice()) else {
                return Err("it has no input".to_string().into());
            };
            self.alias(output, &before)?;
            return Ok(());
        }
        let attributes = Attributes::of(proto);
        if self.passes_through(proto, &attributes)? {
            let ([input, ..], [output, ..]) = (proto.input.as_slice(), proto.output.as_slice())
            else {
                return Err("it has no input or no output".to_string().into());
            };
            self.require_there(input)?;
            self.alias(output, input)?;
            return Ok(());
        }
        if let Some(initializer) = self.turns_a_weight(proto, &attributes)? {
            self.require_free(&proto.output[0])?;
            self.turned.insert(proto.output[0].clone(), initializer);
            return Ok(());
        }
        let mut node = Node::new(proto, number, name, attributes, self);
        let operator = operator::build(&mut node)?;
        let taken = node.built()?;
        let mut inputs = Vec::with_capacity(proto.input.len());
        for (place, input) in proto.input.iter().enumerate() {
            let setting = operator.settings().contains(&place);
            let known = self.known.get(self.resolved(input));
            let source = match known.filter(|_| setting) {
                _ if taken.contains(&place) || input.is_empty() => Source::Nothing,
                Some(values) => {
                    let values = values.clone();
                    if let Some((name, _)) = self.stored_floats(input) {
                        self.settings.insert(name, self.steps.len());
                    }
                    Source::Constant(values)
                }
                None => match self.stored_floats(input) {
                    Some((stored, turned)) => {
                        self.open.push(Open {
                            step: self.steps.len(),
                            place,
                            stored,
                            turned,
                            watched: operator.watched().contains(&place),
                        });
                        Source::Nothing
                    }
                    None => self.source(input)?,
                },
            };
            inputs.push(source);
        }
        let steady = inputs.iter().all(|source| self.is_steady(source));
        let mut outputs = Vec::with_capacity(proto.output.len());
        for output in &proto.output {
            let asked = self.readers.contains_key(output.as_str())
                || self.graph_outputs.contains(output.as_str());
            let slot = match asked && !output.is_empty() {
                true => Some(self.slot(output)?),
                false => None,
            };
            self.steady.extend(slot.filter(|_| steady));
            outputs.push(slot);
        }
        self.steps.push(Step {
            node: name.to_string(),
            kind: proto.op_type.clone(),
            operator,
            inputs,
            outputs,
            done: Vec::new(),
        });
        Ok(())
    }

    /// Whether a node only hands its input on.
    ///
    /// # Errors
    /// A dropout as in training.
    fn passes_through(
        &self,
        node: &NodeProto,
        attributes: &Attributes<'_>,
    ) -> Result<bool, Failure> {
        let known = |name: &String| self.known.get(self.resolved(name));
        Ok(match node.op_type.as_str() {
            "Identity" => true,
            // Stored floats of every width are kept as 32-bit floats.
            "Cast" => {
                let stored = node.input.first().and_then(known);
                let to = i32::try_from(attributes.int("to", 0)?).unwrap_or_default();
                stored.is_some_and(|values| values.is_float())
                    && Becomes::of(to)? == Becomes::Floats
            }
            "Dropout" => {
                // Its third input says whether it trains. A flag that the graph computes may.
                let flag = node.input.get(2).filter(|name| !name.is_empty());
                let trains = flag.is_some_and(|flag| {
                    known(flag).is_none_or(|flag| flag.conditions().contains(&true))
                });
                if trains {
                    return Err(
                        "it drops values, as in training: call eval() before the export"
                            .to_string()
                            .into(),
                    );
                }
                // In use, a dropout drops nothing. Its second output is a mask.
                let asked = |output: &String| {
                    self.readers.contains_key(output.as_str())
                        || self.graph_outputs.contains(output.as_str())
                };
                let mask = node.output.get(1).filter(|name| !name.is_empty());
                if mask.is_some_and(asked) {
                    return Err(
                        "its mask is read, which is made for training: call eval() before the export"
                            .to_string()
                            .into(),
                    );
                }
                true
            }
            _ => false,
        })
    }

    /// The stored matrix that a node transposes. Its readers take it from its layer.
    fn turns_a_weight(
        &self,
        node: &NodeProto,
        attributes: &Attributes<'_>,
    ) -> Result<Option<String>, Failure> {
        let ("Transpose", [input], [output]) = (
            node.op_type.as_str(),
            node.input.as_slice(),
            node.output.as_slice(),
        ) else {
            return Ok(None);
        };
        let stored = self.resolved(input);
        let known = self.known.get(stored);
        let matrix = known.is_some_and(|values| values.is_float() && values.shape().len() == 2);
        let turns = attributes.ints("perm")?.is_none_or(|axes| axes == [1, 0]);
        let inner = !self.graph_outputs.contains(output.as_str());
        Ok((matrix && turns && inner).then(|| stored.to_string()))
    }

    /// Adds the tensor of a node `Constant`.
    fn constant_node(&mut self, node: &'a NodeProto) -> Result<(), Failure> {
        let attributes = Attributes::of(node);
        let values = if let Some(tensor) = attributes.tensor("value")? {
            stored_tensor::read(tensor, self.external)?
        } else {
            let (shape, elements) = if let Some(x) = attributes.given_float("value_float")? {
                (Vec::new(), Elements::Floats(vec![x]))
            } else if let Some(x) = attributes.given_int("value_int")? {
                (Vec::new(), Elements::Integers(vec![x]))
            } else if let Some(x) = attributes.floats("value_floats")? {
                (vec![x.len()], Elements::Floats(x))
            } else if let Some(x) = attributes.ints("value_ints")? {
                (vec![x.len()], Elements::Integers(x))
            } else {
                return Err("it has no value that is read".to_string().into());
            };
            Host::new(shape, elements)?
        };
        attributes.require_read()?;
        let [output] = node.output.as_slice() else {
            return Err("it has not one output".to_string().into());
        };
        self.require_free(output)?;
        self.known.insert(output.clone(), Arc::new(values));
        Ok(())
    }

    fn require_there(&self, name: &str) -> Result<(), Failure> {
        let name = self.resolved(name);
        let there = self.known.contains_key(name)
            || self.turned.contains_key(name)
            || self.slots.contains_key(name);
        match there {
            true => Ok(()),
            false => Err(not_there(name)),
        }
    }

    /// The stored tensor of floats that `name` is, and whether transposed.
    fn stored_floats(&self, name: &str) -> Option<(String, bool)> {
        let name = self.resolved(name);
        let (stored, turned) = match self.turned.get(name) {
            Some(stored) => (stored.as_str(), true),
            None => (name, false),
        };
        let floats = self.known.get(stored)?.is_float();
        floats.then(|| (stored.to_string(), turned))
    }

    /// Whether a stored tensor is the weight or the bias of a layer.
    fn in_layer(&self, name: &str) -> bool {
        self.owners.contains_key(name) || self.biases.contains_key(name)
    }

    /// The source of the value `name`, which is not a stored tensor of floats.
    fn source(&self, name: &str) -> Result<Source, Failure> {
        let name = self.resolved(name);
        match (self.slots.get(name), self.known.get(name)) {
            (Some(slot), _) => Ok(Source::Slot(*slot)),
            (None, Some(values)) => Ok(Source::Constant(values.clone())),
            (None, None) => Err(not_there(name)),
        }
    }

    /// The value of a stored tensor, `turned` where it is transposed: the weight or bias of its layer, or a parameter of its own.
    fn stored(&mut self, name: &str, turned: bool) -> Result<Source, Failure> {
        let Some(values) = self.known.get(name).cloned() else {
            return Err(not_there(name));
        };
        let owner = self.owners.get(name).map(|owner| (*owner, Part::Weight));
        let bias = || self.biases.get(name).map(|owner| (*owner, Part::Bias));
        let (owner, part) = match owner.or_else(bias) {
            Some(found) => found,
            None => {
                let path = segments(name);
                let own = path.last().map_or("", String::as_str);
                let layer = Layer::parameter(own, &values, self.device)?;
                let owner = Owner {
                    layer: self.add(path, &[], layer)?,
                    lies: Lies::AsItIs,
                };
                self.origins.push(Origin {
                    layer: owner.layer,
                    path: name.to_string(),
                    part: Some(Part::Weight),
                    slice: Slice::whole(name),
                    readers: Vec::new(),
                    named: true,
                });
                self.owners.insert(name.to_string(), owner);
                (owner, Part::Weight)
            }
        };
        let whole = !matches!(owner.lies, Lies::InParts(_));
        if !whole || self.layers[owner.layer].layer.value(part).is_none() {
            return Err(format!(
                "it takes `{name}` as a value, which is part of a convolution, a norm or a recurrent cell elsewhere: \
                 give each a tensor of its own"
            )
            .into());
        }
        for origin in &mut self.origins {
            origin.named |= origin.layer == owner.layer && origin.part == Some(part);
        }
        let mut shape = values.shape().to_vec();
        if turned {
            shape.reverse();
        }
        Ok(Source::Layer {
            layer: owner.layer,
            part,
            shape,
            turned: turned != (owner.lies == Lies::Turned),
        })
    }

    /// The source of the output `name` of the graph.
    ///
    /// # Errors
    /// An output that no node computes.
    pub(crate) fn output(&mut self, name: &str) -> Result<Source, OnnxError> {
        match self.source(name) {
            Ok(source @ Source::Slot(_)) => Ok(source),
            _ => Err(OnnxError::graph(format!(
                "its output `{name}` is not computed"
            ))),
        }
    }

    /// Notes that the tensor `field` of `layer`, its weight or bias where `part` says so, is made of `slice` by `reader`.
    pub(super) fn made_of(
        &mut self,
        layer: usize,
        (field, part): (&str, Option<Part>),
        slice: Slice,
        reader: Reader,
    ) {
        let path = self.layers[layer].path_of(field);
        match self.origins.iter_mut().find(|origin| origin.path == path) {
            Some(origin) => origin.readers.push(reader),
            None => self.origins.push(Origin {
                layer,
                path,
                part,
                slice,
                readers: vec![reader],
                named: false,
            }),
        }
    }

    /// The origins of the layers' tensors, and the stored tensors that steps take unchanged from the file.
    pub(crate) fn origins(&mut self) -> (Vec<Origin>, HashSet<String>) {
        let mut fixed = std::mem::take(&mut self.fixed);
        fixed.extend(self.settings.keys().cloned());
        (std::mem::take(&mut self.origins), fixed)
    }

    /// Adds a layer with tensors called `fields` below its path.
    pub(super) fn add(
        &mut self,
        path: Vec<String>,
        fields: &[&str],
        layer: Layer,
    ) -> Result<usize, Failure> {
        let name = path.join(".");
        let paths: Vec<String> = match fields {
            [] => vec![name],
            fields => fields
                .iter()
                .map(|field| format!("{name}.{field}"))
                .collect(),
        };
        if let Some(twice) = paths
            .iter()
            .find(|path| !self.paths.insert((*path).clone()))
        {
            return Err(format!(
                "two tensors of the network would be called `{twice}`: rename one in the graph"
            )
            .into());
        }
        self.layers.push(NamedLayer::new(path, layer));
        Ok(self.layers.len() - 1)
    }
}

fn not_there(name: &str) -> Failure {
    let cause = format!(
        "its input `{name}` is not computed before it: the graph has a cycle, or its nodes are not in order; export the network \
         again"
    );
    Failure::Here(cause)
}

/// Whether a stored tensor learns; `made` where its name is the exporter's.
///
/// Numbers that are not finite are masks. A single number whose name the exporter made is a constant of the code, such as the
/// epsilon of a norm that is written out.
fn learns(values: &Host, made: bool) -> bool {
    let fits = match values.shape().iter().product() {
        0 => false,
        1 => !made,
        _ => true,
    };
    values.is_float() && fits && values.floats().iter().all(|value| value.is_finite())
}
