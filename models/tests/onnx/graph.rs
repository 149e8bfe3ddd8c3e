//! Writes small ONNX files: the protobuf messages of `onnx.proto3`, field by field.
#![allow(dead_code, reason = "every test uses its part")]

/// `type` of attributes.
const FLOAT: u64 = 1;
const INT: u64 = 2;
const STRING: u64 = 3;
const TENSOR: u64 = 4;
const FLOATS: u64 = 6;
const INTS: u64 = 7;

/// One message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message(pub(crate) Vec<u8>);

impl Message {
    fn varint(mut self, mut value: u64) -> Self {
        loop {
            let low = (value & 0x7f) as u8;
            value >>= 7;
            self.0.push(low | if value > 0 { 0x80 } else { 0 });
            if value == 0 {
                return self;
            }
        }
    }

    pub(crate) fn number(self, field: u64, value: i64) -> Self {
        self.varint(field << 3).varint(value as u64)
    }

    fn float(self, field: u64, value: f32) -> Self {
        let mut message = self.varint(field << 3 | 5);
        message.0.extend(value.to_le_bytes());
        message
    }

    pub(crate) fn bytes(self, field: u64, value: &[u8]) -> Self {
        let mut message = self.varint(field << 3 | 2).varint(value.len() as u64);
        message.0.extend(value);
        message
    }

    pub(crate) fn text(self, field: u64, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    pub(crate) fn message(self, field: u64, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }
}

/// An attribute of a node.
pub(crate) enum Setting<'a> {
    Int(&'a str, i64),
    Ints(&'a str, &'a [i64]),
    Float(&'a str, f32),
    Floats(&'a str, &'a [f32]),
    Text(&'a str, &'a str),
    Tensor(&'a str, Message),
}

impl Setting<'_> {
    fn message(&self) -> Message {
        let named = |name: &str, kind| Message::default().text(1, name).number(20, kind as i64);
        match self {
            Self::Int(name, value) => named(name, INT).number(3, *value),
            Self::Ints(name, values) => values.iter().fold(named(name, INTS), |message, value| {
                message.number(8, *value)
            }),
            Self::Float(name, value) => named(name, FLOAT).float(2, *value),
            Self::Floats(name, values) => {
                values.iter().fold(named(name, FLOATS), |message, value| {
                    message.float(7, *value)
                })
            }
            Self::Text(name, value) => named(name, STRING).text(4, value),
            Self::Tensor(name, value) => named(name, TENSOR).message(5, value),
        }
    }
}

/// A graph with one input `x` and the output `y`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    message: Message,
    nodes: usize,
}

/// A stored tensor of floats.
pub(crate) fn floats(name: &str, shape: &[i64], values: &[f32]) -> Message {
    let raw: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let sizes = Message::default();
    let sizes = shape
        .iter()
        .fold(sizes, |message, size| message.number(1, *size));
    sizes.number(2, 1).text(8, name).bytes(9, &raw)
}

/// A stored list of whole numbers.
pub(crate) fn integers(name: &str, values: &[i64]) -> Message {
    let raw: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let sizes = Message::default().number(1, values.len() as i64);
    sizes.number(2, 7).text(8, name).bytes(9, &raw)
}

/// A tensor of floats whose values lie in the file `location`: `length` bytes from `offset` on, or from its start.
pub(crate) fn elsewhere(
    name: &str,
    shape: &[i64],
    location: &str,
    offset: Option<u64>,
    length: u64,
) -> Message {
    let sizes = Message::default();
    let sizes = shape
        .iter()
        .fold(sizes, |message, size| message.number(1, *size));
    let entry = |key: &str, value: &str| Message::default().text(1, key).text(2, value);
    let tensor = sizes
        .number(2, 1)
        .text(8, name)
        .message(13, &entry("location", location))
        .message(13, &entry("length", &length.to_string()));
    let tensor = match offset {
        Some(offset) => tensor.message(13, &entry("offset", &offset.to_string())),
        None => tensor,
    };
    tensor.number(14, 1)
}

/// A value with a type; `None` is a free axis.
fn value(name: &str, shape: &[Option<i64>], kind: i64) -> Message {
    let shape = shape.iter().fold(Message::default(), |message, size| {
        let axis = match size {
            Some(size) => Message::default().number(1, *size),
            None => Message::default().text(2, "batch"),
        };
        message.message(1, &axis)
    });
    let tensor = Message::default().number(1, kind).message(2, &shape);
    let kind = Message::default().message(1, &tensor);
    Message::default().text(1, name).message(2, &kind)
}

impl Graph {
    /// A graph whose input has a free batch and then `shape`.
    pub(crate) fn taking(shape: &[i64]) -> Self {
        let mut axes = vec![None];
        axes.extend(shape.iter().copied().map(Some));
        Self::with_input(&axes, 1)
    }

    pub(crate) fn with_input(shape: &[Option<i64>], kind: i64) -> Self {
        let message = Message::default().message(11, &value("x", shape, kind));
        let message = message.message(12, &value("y", &[], 1));
        Self { message, nodes: 0 }
    }

    /// One more output.
    pub(crate) fn output(self, name: &str) -> Self {
        Self {
            message: self.message.message(12, &value(name, &[], 1)),
            ..self
        }
    }

    pub(crate) fn stored(self, tensor: &Message) -> Self {
        Self {
            message: self.message.message(5, tensor),
            ..self
        }
    }

    pub(crate) fn floats(self, name: &str, shape: &[i64], values: &[f32]) -> Self {
        self.stored(&floats(name, shape, values))
    }

    pub(crate) fn integers(self, name: &str, values: &[i64]) -> Self {
        self.stored(&integers(name, values))
    }

    pub(crate) fn node(
        self,
        kind: &str,
        inputs: &[&str],
        outputs: &[&str],
        settings: &[Setting<'_>],
    ) -> Self {
        let name = format!("n{}", self.nodes);
        self.named(&name, kind, inputs, outputs, settings)
    }

    /// A node called `name`.
    pub(crate) fn named(
        self,
        name: &str,
        kind: &str,
        inputs: &[&str],
        outputs: &[&str],
        settings: &[Setting<'_>],
    ) -> Self {
        let texts = |message: Message, field, names: &[&str]| {
            names
                .iter()
                .fold(message, |message, name| message.text(field, name))
        };
        let node = texts(Message::default(), 1, inputs);
        let node = texts(node, 2, outputs).text(3, name).text(4, kind);
        let node = settings
            .iter()
            .fold(node, |node, setting| node.message(5, &setting.message()));
        Self {
            message: self.message.message(1, &node),
            nodes: self.nodes + 1,
        }
    }

    /// The file.
    pub(crate) fn file(&self) -> Vec<u8> {
        self.with_opset(18)
    }

    pub(crate) fn with_opset(&self, version: i64) -> Vec<u8> {
        self.versioned(8, version)
    }

    /// The file in a version of the format.
    pub(crate) fn of_format(&self, version: i64) -> Vec<u8> {
        self.versioned(version, 18)
    }

    fn versioned(&self, format: i64, operators: i64) -> Vec<u8> {
        let opset = Message::default().text(1, "").number(2, operators);
        let model = Message::default().number(1, format);
        model.message(7, &self.message).message(8, &opset).0
    }

    /// One more field of the graph.
    pub(crate) fn with_field(self, field: u64, text: &str) -> Self {
        Self {
            message: self.message.text(field, text),
            ..self
        }
    }
}
