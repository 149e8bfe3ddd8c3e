//! From the nodes of a file to operators and layers.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData};

use super::attributes::Attributes;
use super::host::{Elements, Host};
use super::layer::{Layer, NamedLayer};
use super::names::{layer_path, scope, segments};
use super::operator::{self, Operator};
use super::proto::{GraphProto, NodeProto, TensorProto};
use super::{ExternalTensors, OnnxError, stored_tensor};

/// Where an operator takes an input from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// Left out, or part of a layer.
    Nothing,
    /// The value of a slot.
    Slot(usize),
    Constant(Arc<Host>),
    /// A parameter, or the weight of a layer, of a shape; turned over where the layer holds it so.
    Layer {
        layer: usize,
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

/// What lies in the layer of an initializer.
#[derive(Clone, Copy, Debug)]
struct Owner {
    layer: usize,
    turned: bool,
}

/// Why a node cannot be built.
pub(crate) enum Failure {
    /// For a reason of its own.
    Here(String),
    /// For one that names its place.
    Of(OnnxError),
}

impl From<String> for Failure {
    fn from(cause: String) -> Self {
        Self::Here(cause)
    }
}

impl From<OnnxError> for Failure {
    fn from(error: OnnxError) -> Self {
        Self::Of(error)
    }
}

/// A node that is being built.
pub(crate) struct Node<'b, 'a> {
    pub(crate) proto: &'a NodeProto,
    number: usize,
    name: &'b str,
    pub(crate) attributes: Attributes<'a>,
    /// Places of inputs that are part of a layer.
    taken: HashSet<usize>,
    builder: &'b mut Builder<'a>,
}

/// A matrix that a node multiplies with.
pub(crate) struct Matrix {
    /// The initializer it is.
    name: String,
    /// Its values, two axes.
    pub(crate) values: Arc<Host>,
    /// Whether the graph transposes it before.
    turned: bool,
}

impl Matrix {
    /// Outputs of the layer, where the product is with the transposed matrix or not.
    pub(crate) fn outputs(&self, transposed: bool) -> usize {
        self.values.shape()[usize::from(transposed == self.turned)]
    }
}

/// Makes layers and steps of nodes.
pub(crate) struct Builder<'a> {
    device: &'a Device,
    external: ExternalTensors<'a>,
    pub(crate) opset: i64,
    /// Constants and initializers by name.
    known: HashMap<String, Arc<Host>>,
    /// Initializers of floats, which learn.
    initializers: HashSet<String>,
    /// Names that stand for others: of values that pass unchanged.
    aliases: HashMap<String, String>,
    /// Initializers that are part of a layer.
    owners: HashMap<String, Owner>,
    /// Transposed initializers, by the name of the transposed tensor.
    turned: HashMap<String, String>,
    slots: HashMap<String, usize>,
    next_slot: usize,
    /// The nodes that read a value.
    readers: HashMap<&'a str, Vec<usize>>,
    graph_outputs: HashSet<&'a str>,
    /// Nodes that are part of another one.
    merged: HashSet<usize>,
    paths: BTreeSet<String>,
    /// Layers by what they were made of: a node with the same weights is the same layer.
    made: HashMap<String, usize>,
    pub(crate) layers: Vec<NamedLayer>,
    pub(crate) steps: Vec<Step>,
    graph: &'a GraphProto,
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
            aliases: HashMap::new(),
            owners: HashMap::new(),
            turned: HashMap::new(),
            slots: HashMap::new(),
            next_slot: 0,
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
            graph,
        };
        for tensor in &graph.initializer {
            let values = stored_tensor::read(tensor, external)?;
            let name = tensor.name.clone();
            if builder.known.contains_key(&name) {
                return Err(OnnxError::graph(format!("two tensors are called `{name}`")));
            }
            // Scalars are settings, such as the limits of a clip.
            if values.is_float() && values.shape().iter().product::<usize>() > 1 {
                builder.initializers.insert(name.clone());
            }
            builder.known.insert(name, Arc::new(values));
        }
        Ok(builder)
    }

    /// A slot for the value `name`.
    ///
    /// # Errors
    /// A value that is there already.
    pub(crate) fn slot(&mut self, name: &str) -> Result<usize, OnnxError> {
        let slot = self.next_slot;
        let known = self.known.contains_key(name) || self.aliases.contains_key(name);
        if known || self.slots.insert(name.to_string(), slot).is_some() {
            return Err(OnnxError::graph(format!("two values are called `{name}`")));
        }
        self.next_slot += 1;
        Ok(slot)
    }

    pub(crate) fn slots(&self) -> usize {
        self.next_slot
    }

    /// The name of the value that `name` stands for.
    fn resolved<'n>(&'n self, name: &'n str) -> &'n str {
        // An alias is only made of a name that is resolved already.
        self.aliases.get(name).map_or(name, String::as_str)
    }

    /// Makes `name` stand for `other`.
    fn alias(&mut self, name: &str, other: &str) {
        let other = self.resolved(other).to_string();
        self.aliases.insert(name.to_string(), other);
    }

    /// Builds every node in order.
    ///
    /// # Errors
    /// The first node that cannot be built.
    pub(crate) fn nodes(&mut self) -> Result<(), OnnxError> {
        let graph = self.graph;
        for (number, node) in graph.node.iter().enumerate() {
            let name = match node.name.as_str() {
                "" => format!("{} {}", node.op_type, number + 1),
                name => name.to_string(),
            };
            operator::require_known(node, &name)?;
            self.node(node, number, &name)
                .map_err(|error| match error {
                    Failure::Here(cause) => OnnxError::Node {
                        node: name.clone(),
                        operator: node.op_type.clone(),
                        cause,
                    },
                    Failure::Of(error) => error,
                })?;
        }
        Ok(())
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
            self.alias(output, &before);
            return Ok(());
        }
        let attributes = Attributes::of(proto);
        if proto.op_type == "Constant" {
            let values = self.constant_node(&attributes)?;
            attributes.require_read()?;
            let [output] = proto.output.as_slice() else {
                return Err("it has not one output".to_string().into());
            };
            if self
                .known
                .insert(output.clone(), Arc::new(values))
                .is_some()
            {
                return Err(OnnxError::graph(format!("two values are called `{output}`")).into());
            }
            return Ok(());
        }
        if self.passes_through(proto) {
            let ([input, ..], [output, ..]) = (proto.input.as_slice(), proto.output.as_slice())
            else {
                return Err("it has no input or no output".to_string().into());
            };
            self.require_there(input)?;
            self.alias(output, input);
            return Ok(());
        }
        if let Some(initializer) = self.turns_a_weight(proto, &attributes)? {
            self.turned.insert(proto.output[0].clone(), initializer);
            return Ok(());
        }
        let mut node = Node {
            proto,
            number,
            name,
            attributes,
            taken: HashSet::new(),
            builder: self,
        };
        let operator = operator::build(&mut node)?;
        let (taken, attributes) = (node.taken, node.attributes);
        attributes.require_read()?;
        let mut inputs = Vec::with_capacity(proto.input.len());
        for (place, input) in proto.input.iter().enumerate() {
            let setting = operator.settings().contains(&place);
            let known = self.known.get(self.resolved(input));
            let source = match known.filter(|_| setting) {
                _ if taken.contains(&place) || input.is_empty() => Source::Nothing,
                Some(values) => Source::Constant(values.clone()),
                None => self.source(input)?,
            };
            inputs.push(source);
        }
        let mut outputs = Vec::with_capacity(proto.output.len());
        for output in &proto.output {
            let asked = self.readers.contains_key(output.as_str())
                || self.graph_outputs.contains(output.as_str());
            let slot = match asked && !output.is_empty() {
                true => Some(self.slot(output)?),
                false => None,
            };
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
    fn passes_through(&self, node: &NodeProto) -> bool {
        match node.op_type.as_str() {
            "Identity" => true,
            // In use, a dropout drops nothing. Its second output is a mask.
            "Dropout" => node.output.len() < 2,
            _ => false,
        }
    }

    /// The initializer that a node transposes only for matrix products to multiply with.
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
        let initializer = self.resolved(input);
        let matrix = self.initializers.contains(initializer)
            && self
                .known
                .get(initializer)
                .is_some_and(|v| v.shape().len() == 2);
        let none: &[usize] = &[];
        let readers = self
            .readers
            .get(output.as_str())
            .map_or(none, Vec::as_slice);
        let multiplies = |number: &usize| {
            let reader = &self.graph.node[*number];
            reader.op_type == "MatMul" && reader.input.first() != Some(output)
        };
        let only_multiplied = !readers.is_empty()
            && readers.iter().all(multiplies)
            && !self.graph_outputs.contains(output.as_str());
        let turns = attributes.ints("perm")?.is_none_or(|axes| axes == [1, 0]);
        let turns = matrix && only_multiplied && turns;
        Ok(turns.then(|| initializer.to_string()))
    }

    /// The tensor of a node `Constant`.
    fn constant_node(&self, attributes: &Attributes<'_>) -> Result<Host, Failure> {
        if let Some(tensor) = attributes.tensor("value")? {
            return Ok(stored_tensor::read(tensor, self.external)?);
        }
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
        Ok(Host::new(shape, elements)?)
    }

    fn require_there(&self, name: &str) -> Result<(), Failure> {
        let name = self.resolved(name);
        match self.known.contains_key(name) || self.slots.contains_key(name) {
            true => Ok(()),
            false => Err(not_there(name)),
        }
    }

    /// Where the value `name` comes from.
    fn source(&mut self, name: &str) -> Result<Source, Failure> {
        let name = self.resolved(name).to_string();
        if let Some(slot) = self.slots.get(&name) {
            return Ok(Source::Slot(*slot));
        }
        let Some(values) = self.known.get(&name).cloned() else {
            return Err(not_there(&name));
        };
        if !self.initializers.contains(&name) {
            return Ok(Source::Constant(values));
        }
        let shape = values.shape().to_vec();
        let owner = match self.owners.get(&name) {
            Some(owner) => *owner,
            None => {
                let path = segments(&name);
                let own = path.last().map_or("", String::as_str);
                let layer = Layer::parameter(own, &values, self.device)?;
                let layer = self.add(path, &[], layer)?;
                self.owners.insert(
                    name.clone(),
                    Owner {
                        layer,
                        turned: false,
                    },
                );
                Owner {
                    layer,
                    turned: false,
                }
            }
        };
        if self.layers[owner.layer].layer.value().is_none() {
            return Err(format!(
                "it takes `{name}` as a value, which is the weight of a convolution or a norm elsewhere"
            )
            .into());
        }
        Ok(Source::Layer {
            layer: owner.layer,
            shape,
            turned: owner.turned,
        })
    }

    /// Where the output `name` of the graph comes from.
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

    /// Adds a layer with tensors called `fields` below its path.
    fn add(&mut self, path: Vec<String>, fields: &[&str], layer: Layer) -> Result<usize, Failure> {
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
            return Err(format!("two tensors of the network would be called `{twice}`").into());
        }
        self.layers.push(NamedLayer::new(path, layer));
        Ok(self.layers.len() - 1)
    }
}

fn not_there(name: &str) -> Failure {
    let cause = format!(
        "its input `{name}` is not computed before it: the graph has a cycle, or its nodes are not in order"
    );
    Failure::Here(cause)
}

impl<'a> Node<'_, 'a> {
    pub(crate) fn opset(&self) -> i64 {
        self.builder.opset
    }

    pub(crate) fn device(&self) -> &Device {
        self.builder.device
    }

    /// The values of a tensor among the attributes.
    ///
    /// # Errors
    /// A tensor that cannot be read.
    pub(crate) fn stored(&self, tensor: &TensorProto) -> Result<Host, Failure> {
        Ok(stored_tensor::read(tensor, self.builder.external)?)
    }

    /// Whether an input is given.
    pub(crate) fn has(&self, input: usize) -> bool {
        self.proto
            .input
            .get(input)
            .is_some_and(|name| !name.is_empty())
    }

    /// The only reader of its only output.
    fn only_reader(&self) -> Option<(usize, &'a NodeProto)> {
        let [output] = self.proto.output.as_slice() else {
            return None;
        };
        if self.builder.graph_outputs.contains(output.as_str()) {
            return None;
        }
        match self.builder.readers.get(output.as_str())?.as_slice() {
            [reader] => Some((*reader, &self.builder.graph.node[*reader])),
            _ => None,
        }
    }

    /// Whether the next node is a `kind` that only this one feeds; it is part of this one then.
    pub(crate) fn merges(&mut self, kind: &str) -> bool {
        match self.only_reader() {
            Some((number, reader)) if reader.op_type == kind && reader.input.len() == 1 => {
                self.builder.merged.insert(number);
                true
            }
            _ => false,
        }
    }

    /// The bias that the next node adds to the product of this one, and nothing else does: it is part of this one then.
    pub(crate) fn merges_bias(&mut self, outputs: usize) -> Option<String> {
        let (number, reader) = self.only_reader()?;
        let [left, right] = reader.input.as_slice() else {
            return None;
        };
        let other = if *left == self.proto.output[0] {
            right
        } else {
            left
        };
        let name = self.builder.resolved(other);
        let fits = reader.op_type == "Add"
            && self.builder.initializers.contains(name)
            && !self.builder.owners.contains_key(name)
            && self
                .builder
                .known
                .get(name)
                .is_some_and(|v| v.shape() == [outputs]);
        if !fits {
            return None;
        }
        let name = name.to_string();
        self.builder.merged.insert(number);
        Some(name)
    }

    /// The name of the value at an input.
    pub(crate) fn resolved_input(&self, input: usize) -> String {
        let name = self.proto.input.get(input).map_or("", String::as_str);
        self.builder.resolved(name).to_string()
    }

    /// A constant or initializer, where the input is one.
    pub(crate) fn constant(&self, input: usize) -> Option<Arc<Host>> {
        let name = self.proto.input.get(input)?;
        let values = self.builder.known.get(self.builder.resolved(name));
        values.cloned()
    }

    /// An initializer or constant of floats that becomes part of a layer.
    ///
    /// # Errors
    /// Another tensor, or none.
    pub(crate) fn weight(&mut self, input: usize, what: &str) -> Result<Arc<Host>, Failure> {
        let values = self.constant(input).ok_or_else(|| {
            format!("its {what} is computed by the graph: only stored tensors can be {what} here")
        })?;
        require_weight(&values, what)?;
        self.taken.insert(input);
        Ok(values)
    }

    /// The same of an input that may be left out, with a value for each of `channels`.
    pub(crate) fn vector(
        &mut self,
        input: usize,
        what: &str,
        channels: usize,
    ) -> Result<Option<Arc<Host>>, Failure> {
        if !self.has(input) {
            return Ok(None);
        }
        let values = self.weight(input, what)?;
        match values.shape() == [channels] {
            true => Ok(Some(values)),
            false => Err(format!(
                "its {what} has the shape {:?}, not [{channels}]",
                values.shape()
            )
            .into()),
        }
    }

    /// The matrix of a product, where the input is an initializer with two axes.
    pub(crate) fn matrix(&self, input: usize) -> Option<Matrix> {
        let name = self.builder.resolved(self.proto.input.get(input)?);
        let (name, turned) = match self.builder.turned.get(name) {
            Some(initializer) => (initializer.as_str(), true),
            None => (name, false),
        };
        let values = self.builder.known.get(name)?.clone();
        let is_matrix = values.is_float() && values.shape().len() == 2;
        // A tensor that is a parameter already stays one.
        let free =
            self.builder.owners.get(name).is_none_or(|owner| {
                matches!(self.builder.layers[owner.layer].layer, Layer::Linear(_))
            });
        (is_matrix && free).then(|| Matrix {
            name: name.to_string(),
            values,
            turned,
        })
    }

    /// Rows and columns of a stored table of floats that is no parameter yet.
    pub(crate) fn free_table(&self, input: usize) -> Option<[usize; 2]> {
        let name = self.resolved_input(input);
        let table = self
            .builder
            .known
            .get(&name)
            .filter(|table| table.is_float())?;
        let stored = self.builder.initializers.contains(&name);
        let free = self.builder.owners.get(&name).is_none_or(|owner| {
            matches!(self.builder.layers[owner.layer].layer, Layer::Embedding(_))
        });
        match table.shape() {
            [rows, columns] if stored && free => Some([*rows, *columns]),
            _ => None,
        }
    }

    /// The layer of `matrix`, which lies `[outputs, inputs]` where `transposed`, and `bias`.
    ///
    /// # Errors
    /// A matrix that another node uses with another bias.
    pub(crate) fn linear(
        &mut self,
        input: usize,
        matrix: &Matrix,
        transposed: bool,
        bias: Option<&str>,
    ) -> Result<usize, Failure> {
        require_weight(&matrix.values, "weight")?;
        self.taken.insert(input);
        let key = format!("linear {} {transposed} {bias:?}", matrix.name);
        if let Some(layer) = self.builder.made.get(&key) {
            return Ok(*layer);
        }
        if self.builder.owners.contains_key(&matrix.name) {
            return Err(format!(
                "it multiplies with `{}` as another node does, but in another way: give each a weight of its own",
                matrix.name
            )
            .into());
        }
        let turned = transposed != matrix.turned;
        let [a, b] = [matrix.values.shape()[0], matrix.values.shape()[1]];
        let bias_values = bias.and_then(|name| self.builder.known.get(name).cloned());
        let layer = linear_layer(
            &matrix.values.floats(),
            [a, b],
            turned,
            bias_values.as_deref(),
            self.builder.device,
        );
        let path = layer_path(&matrix.name, bias, self.name);
        let layer = self.place(path, &matrix.name, bias.is_some(), Layer::Linear(layer))?;
        let owner = Owner { layer, turned };
        self.builder.owners.insert(matrix.name.clone(), owner);
        self.builder.made.insert(key, layer);
        Ok(layer)
    }

    /// Adds the layer that its input `weight` belongs to, or gives the one that another node has made of the same tensors in the
    /// same way; `settings` say in which.
    ///
    /// # Errors
    /// A weight that is used in another way elsewhere.
    pub(crate) fn layer(
        &mut self,
        weight: usize,
        bias: Option<usize>,
        fields: &[&str],
        settings: &str,
        make: impl FnOnce(&Device) -> Layer,
    ) -> Result<usize, Failure> {
        let named = |input| self.resolved_input(input);
        let name = named(weight);
        let bias = bias.filter(|bias| self.has(*bias)).map(named);
        let key = format!("{name} {bias:?} {settings}");
        if let Some(layer) = self.builder.made.get(&key) {
            return Ok(*layer);
        }
        if self.builder.owners.contains_key(&name) {
            return Err(format!(
                "it uses `{name}` as another node does, but in another way: give each a weight of its own"
            )
            .into());
        }
        let layer = make(self.builder.device);
        let path = layer_path(&name, bias.as_deref(), self.name);
        let layer = self.place_fields(path, &name, fields, layer)?;
        let owner = Owner {
            layer,
            turned: false,
        };
        self.builder.owners.insert(name, owner);
        self.builder.made.insert(key, layer);
        Ok(layer)
    }

    /// Adds a layer of its own under its scope, or its name where it has none.
    ///
    /// # Errors
    /// A path that is taken.
    pub(crate) fn part(
        &mut self,
        part: &str,
        fields: &[&str],
        layer: Layer,
    ) -> Result<usize, Failure> {
        let scope = scope(self.name).unwrap_or_else(|| self.name.to_string());
        let mut path = segments(&scope);
        path.push(part.to_string());
        let fallback = format!("node{}.{part}", self.number + 1);
        self.place_fields(path, &fallback, fields, layer)
    }

    fn place(
        &mut self,
        path: Vec<String>,
        weight: &str,
        bias: bool,
        layer: Layer,
    ) -> Result<usize, Failure> {
        let fields: &[&str] = if bias {
            &["weight", "bias"]
        } else {
            &["weight"]
        };
        self.place_fields(path, weight, fields, layer)
    }

    /// Adds a layer at `path`, or at `fallback` where that path is taken.
    fn place_fields(
        &mut self,
        path: Vec<String>,
        fallback: &str,
        fields: &[&str],
        layer: Layer,
    ) -> Result<usize, Failure> {
        let name = path.join(".");
        let taken = |field: &&str| self.builder.paths.contains(&format!("{name}.{field}"));
        let path = match fields.iter().any(taken) {
            true => segments(fallback),
            false => path,
        };
        self.builder.add(path, fields, layer)
    }
}

/// Refuses what no layer computes with.
fn require_weight(values: &Host, what: &str) -> Result<(), String> {
    if !values.is_float() {
        return Err(format!(
            "its {what} is not of floats: quantized graphs are not read"
        ));
    }
    if values.shape().contains(&0) {
        return Err(format!("its {what} of shape {:?} is empty", values.shape()));
    }
    match values.floats().iter().position(|x| !x.is_finite()) {
        Some(place) => Err(format!("value {place} of its {what} is no finite number")),
        None => Ok(()),
    }
}

/// A linear layer of the matrix of `shape`, which is transposed where `turned`, as Burn holds it: `[inputs, outputs]`.
pub(crate) fn linear_layer(
    matrix: &[f32],
    [rows, columns]: [usize; 2],
    turned: bool,
    bias: Option<&Host>,
    device: &Device,
) -> Linear {
    let (shape, values) = match turned {
        false => ([rows, columns], matrix.to_vec()),
        true => {
            let place = |i: usize| matrix[i % rows * columns + i / rows];
            ([columns, rows], (0..matrix.len()).map(place).collect())
        }
    };
    Linear {
        weight: Param::from_data(TensorData::new(values, shape), device),
        bias: bias.map(|bias| vector(&bias.floats(), device)),
    }
}

/// A parameter with one axis.
pub(crate) fn vector(values: &[f32], device: &Device) -> Param<Tensor<1>> {
    let length = values.len();
    Param::from_data(TensorData::new(values.to_vec(), [length]), device)
}
