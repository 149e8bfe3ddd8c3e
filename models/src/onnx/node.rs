//! The inputs of a node: its attributes, its stored tensors, and the layers made of them.

use std::collections::HashSet;
use std::sync::Arc;

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData};

use super::attributes::Attributes;
use super::builder::{Builder, Lies, Owner};
use super::host::Host;
use super::layer::{Layer, Part};
use super::names::{layer_path, scope, segments};
use super::origin::{Field, Reader, Slice};
use super::proto::{NodeProto, TensorProto};
use super::{OnnxError, stored_tensor};

/// Why a node cannot be built.
#[derive(Debug)]
pub(crate) enum Failure {
    /// For a reason of its own.
    Here(String),
    /// For one that names its place.
    Of(OnnxError),
}

impl Failure {
    /// The error of a node called `name`, which is a `kind`.
    pub(super) fn at(self, name: &str, kind: &str) -> OnnxError {
        match self {
            Self::Here(cause) => OnnxError::Node {
                node: name.to_string(),
                operator: kind.to_string(),
                cause,
            },
            Self::Of(error) => error,
        }
    }
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
    /// The stored tensor that it is.
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

/// A stored bias, and the input that it is added by.
pub(crate) struct StoredBias {
    name: String,
    reader: Reader,
}

/// Where the tensors of a linear layer begin that is cut out of those at two inputs: input and first element. The matrix lies
/// transposed there.
pub(crate) struct Cut {
    pub(crate) weight: (usize, usize),
    pub(crate) bias: Option<(usize, usize)>,
}

/// The treatment of a weight that several nodes use in different ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// It is refused: one of them would train or vary without the other.
    Refused,
    /// Each has a copy. Exporters store equal tensors once, such as the scales of norms that have not been trained.
    Copied,
}

impl<'b, 'a> Node<'b, 'a> {
    pub(super) fn new(
        proto: &'a NodeProto,
        number: usize,
        name: &'b str,
        attributes: Attributes<'a>,
        builder: &'b mut Builder<'a>,
    ) -> Self {
        Self {
            proto,
            number,
            name,
            attributes,
            taken: HashSet::new(),
            builder,
        }
    }

    /// The places of inputs that have become part of a layer.
    ///
    /// # Errors
    /// An attribute that the operator has not read.
    pub(super) fn built(self) -> Result<HashSet<usize>, String> {
        self.attributes.require_read()?;
        Ok(self.taken)
    }

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

    /// The bias that the next node adds to the product of this one, which nothing else reads.
    pub(crate) fn next_bias(&self, outputs: usize) -> Option<StoredBias> {
        let (number, reader) = self.only_reader()?;
        let [left, right] = reader.input.as_slice() else {
            return None;
        };
        let (place, other) = if *left == self.proto.output[0] {
            (1, right)
        } else {
            (0, left)
        };
        let name = self.builder.resolved(other);
        let values = self.builder.known.get(name)?;
        let fits = reader.op_type == "Add"
            && values.shape() == [outputs]
            && require_weight(values, "bias").is_ok()
            && !self.builder.owners.contains_key(name)
            && !self.is_single_number(name);
        fits.then(|| StoredBias {
            name: name.to_string(),
            reader: (number, place),
        })
    }

    /// Whether `name` is a single number of the code, such as an epsilon, rather than of the network.
    fn is_single_number(&self, name: &str) -> bool {
        let single = self.builder.known[name].shape().iter().product::<usize>() == 1;
        single && !self.builder.initializers.contains(name)
    }

    /// Makes the node that adds `bias` part of this one.
    pub(crate) fn merges_bias(&mut self, bias: &StoredBias) {
        self.builder.merged.insert(bias.reader.0);
    }

    /// The bias at an input of its own.
    pub(crate) fn bias(&self, input: usize) -> StoredBias {
        StoredBias {
            name: self.resolved_input(input),
            reader: (self.number, input),
        }
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

    /// The matrix of a product, where the input is a stored tensor of floats with two axes.
    pub(crate) fn matrix(&self, input: usize) -> Option<Matrix> {
        let name = self.builder.resolved(self.proto.input.get(input)?);
        let (name, turned) = match self.builder.turned.get(name) {
            Some(stored) => (stored.as_str(), true),
            None => (name, false),
        };
        let values = self.builder.known.get(name)?.clone();
        let is_matrix = values.is_float() && values.shape().len() == 2;
        is_matrix.then(|| Matrix {
            name: name.to_string(),
            values,
            turned,
        })
    }

    /// Rows and columns of a stored table of floats that is only looked up.
    pub(crate) fn free_table(&self, input: usize) -> Option<[usize; 2]> {
        let name = self.resolved_input(input);
        let table = self
            .builder
            .known
            .get(&name)
            .filter(|table| table.is_float())?;
        let stored = self.builder.initializers.contains(&name);
        // A table that is multiplied with as well is the weight of a linear layer.
        let free = !self.builder.multiplied.contains(&name);
        match table.shape() {
            [rows, columns] if stored && free => Some([*rows, *columns]),
            _ => None,
        }
    }

    /// The layer of `matrix`, which lies `[outputs, inputs]` where `transposed`, and `bias`. `None` where another node has made a
    /// layer of the matrix transposed, or with another bias: this one multiplies with the weight of that layer.
    ///
    /// # Errors
    /// Numbers that no layer computes with.
    pub(crate) fn linear(
        &mut self,
        input: usize,
        matrix: &Matrix,
        transposed: bool,
        bias: Option<&StoredBias>,
    ) -> Result<Option<usize>, Failure> {
        require_weight(&matrix.values, "weight")?;
        let turned = transposed != matrix.turned;
        let added = bias.map(|bias| bias.reader);
        let bias = bias.map(|bias| bias.name.as_str());
        let key = format!("linear {} {turned} {bias:?}", matrix.name);
        if let Some(layer) = self.builder.made.get(&key).copied() {
            self.taken.insert(input);
            self.linear_is_made_of(layer, (matrix, turned, input), bias.zip(added));
            return Ok(Some(layer));
        }
        if self.builder.owners.contains_key(&matrix.name) {
            return Ok(None);
        }
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
        let fields: &[&str] = match bias {
            Some(_) => &["weight", "bias"],
            None => &["weight"],
        };
        let layer = self.place(path, &matrix.name, fields, Layer::Linear(layer))?;
        let lies = if turned { Lies::Turned } else { Lies::AsItIs };
        let owner = Owner { layer, lies };
        self.builder.owners.insert(matrix.name.clone(), owner);
        if let Some(bias) = bias {
            self.owns_bias(bias, layer, Lies::AsItIs);
        }
        self.builder.made.insert(key, layer);
        self.taken.insert(input);
        self.linear_is_made_of(layer, (matrix, turned, input), bias.zip(added));
        Ok(Some(layer))
    }

    fn linear_is_made_of(
        &mut self,
        layer: usize,
        (matrix, turned, input): (&Matrix, bool, usize),
        bias: Option<(&str, Reader)>,
    ) {
        let slice = Slice {
            turned,
            ..Slice::whole(&matrix.name)
        };
        let reader = (self.number, input);
        let weight = ("weight", Some(Part::Weight));
        self.builder.made_of(layer, weight, slice, reader);
        if let Some((name, reader)) = bias {
            let bias = ("bias", Some(Part::Bias));
            self.builder
                .made_of(layer, bias, Slice::whole(name), reader);
        }
    }

    /// Adds the layer that the tensors at the inputs of `fields` belong to, weight and bias first, or gives the one that another
    /// node has made of the same tensors in the same way; `settings` say in which.
    ///
    /// # Errors
    /// A weight that is used in another way elsewhere, where `reuse` refuses that.
    pub(crate) fn layer(
        &mut self,
        fields: &[Field],
        settings: &str,
        reuse: Reuse,
        make: impl FnOnce(&Device) -> Layer,
    ) -> Result<usize, Failure> {
        let layer = self.found_or_made(fields, settings, reuse, make)?;
        for (place, field) in fields.iter().enumerate() {
            let slice = Slice::whole(&self.resolved_input(field.input));
            let tensor = (field.name, Field::part(place));
            let reader = (self.number, field.input);
            self.builder.made_of(layer, tensor, slice, reader);
        }
        Ok(layer)
    }

    fn found_or_made(
        &mut self,
        fields: &[Field],
        settings: &str,
        reuse: Reuse,
        make: impl FnOnce(&Device) -> Layer,
    ) -> Result<usize, Failure> {
        let mut inputs = fields.iter().map(|field| self.resolved_input(field.input));
        let (name, bias) = (inputs.next().unwrap_or_default(), inputs.next());
        let fields: Vec<&str> = fields.iter().map(|field| field.name).collect();
        let fields = fields.as_slice();
        let key = format!("{name} {bias:?} {settings}");
        if let Some(layer) = self.builder.made.get(&key) {
            return Ok(*layer);
        }
        let owned = self.builder.owners.contains_key(&name);
        if owned && reuse == Reuse::Refused {
            return Err(used_otherwise(&name));
        }
        let layer = make(self.builder.device);
        let layer = match owned {
            false => {
                let path = layer_path(&name, bias.as_deref(), self.name);
                self.place(path, &name, fields, layer)?
            }
            // Its weight names another layer. Running means are its own, and so is the scope of its node.
            true => {
                let mean = |name: &String| name.strip_suffix(".running_mean").map(segments);
                let path = self.proto.input.iter().find_map(mean);
                let path = path.unwrap_or_else(|| self.own_path());
                self.place(path, &self.fallback(), fields, layer)?
            }
        };
        if !owned {
            let lies = Lies::AsItIs;
            self.builder.owners.insert(name, Owner { layer, lies });
        }
        if let Some(bias) = &bias {
            self.owns_bias(bias, layer, Lies::AsItIs);
        }
        self.builder.made.insert(key, layer);
        Ok(layer)
    }

    /// Notes that the bias called `name` is that of `layer`, unless another layer has it.
    fn owns_bias(&mut self, name: &str, layer: usize, lies: Lies) {
        let biases = &mut self.builder.biases;
        biases
            .entry(name.to_string())
            .or_insert(Owner { layer, lies });
    }

    /// Adds the layer called `part`, one of those that the tensors of `cut` are cut into; or gives the one that another node has made
    /// of the same tensors.
    ///
    /// # Errors
    /// A weight that another node uses in another way.
    pub(crate) fn part(&mut self, part: &str, cut: &Cut, layer: Layer) -> Result<usize, Failure> {
        let layer = self.found_or_cut(part, cut, layer)?;
        let weight = ("weight", Some(Part::Weight), cut.weight, true);
        let bias = cut.bias.map(|bias| ("bias", Some(Part::Bias), bias, false));
        for (field, part, (input, start), turned) in std::iter::once(weight).chain(bias) {
            let slice = Slice {
                stored: self.resolved_input(input),
                start,
                turned,
            };
            let reader = (self.number, input);
            self.builder.made_of(layer, (field, part), slice, reader);
        }
        Ok(layer)
    }

    fn found_or_cut(&mut self, part: &str, cut: &Cut, layer: Layer) -> Result<usize, Failure> {
        let named = |(input, _)| self.resolved_input(input);
        let (name, bias) = (named(cut.weight), cut.bias.map(named));
        let fields: &[&str] = match bias {
            Some(_) => &["weight", "bias"],
            None => &["weight"],
        };
        let key = format!("{part} of {name} {bias:?}");
        if let Some(layer) = self.builder.made.get(&key) {
            return Ok(*layer);
        }
        let lies = Lies::InParts(self.number);
        let others = self.builder.owners.get(&name);
        if others.is_some_and(|owner| owner.lies != lies) {
            return Err(used_otherwise(&name));
        }
        let below = |mut path: Vec<String>| {
            path.push(part.to_string());
            path
        };
        let fallback = below(segments(&self.fallback())).join(".");
        let layer = self.place(below(self.own_path()), &fallback, fields, layer)?;
        self.builder.owners.insert(name, Owner { layer, lies });
        if let Some(bias) = &bias {
            self.owns_bias(bias, layer, lies);
        }
        self.builder.made.insert(key, layer);
        Ok(layer)
    }

    /// Its scope, or its name where it has none.
    fn own_path(&self) -> Vec<String> {
        segments(&scope(self.name).unwrap_or_else(|| self.name.to_string()))
    }

    /// Where its layers lie where another node of its scope has the path of the scope.
    fn fallback(&self) -> String {
        match (scope(self.name), self.name.rsplit_once('/')) {
            (Some(scope), Some((_, own))) if !own.is_empty() => format!("{scope}.{own}"),
            _ => format!("node{}", self.number + 1),
        }
    }

    /// Adds a layer at `path`, or at `fallback` where that path is taken.
    fn place(
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

fn used_otherwise(name: &str) -> Failure {
    let cause = format!(
        "it uses `{name}` as another node does, but in another way: give each a weight of its own"
    );
    Failure::Here(cause)
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
