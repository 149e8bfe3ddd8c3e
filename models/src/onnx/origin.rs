//! Which stored tensor of the file each tensor of a layer is made of.

use super::layer::Part;

/// An input of a node: the number of the node in the graph, and the place among its inputs.
pub(crate) type Reader = (usize, usize);

/// A tensor of a layer, and where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// The number of the layer.
    pub(super) layer: usize,
    /// The path of the tensor in the network.
    pub(crate) path: String,
    /// Weight or bias, of which nodes may take the value; nothing of a running statistic.
    pub(super) part: Option<Part>,
    pub(crate) slice: Slice,
    /// The inputs that it is made of: several where nodes share the layer, none of a parameter that nodes take by name.
    pub(crate) readers: Vec<Reader>,
    /// Whether nodes take its value under the name of the stored tensor.
    pub(crate) named: bool,
}

/// A stored tensor, or a part of one: an initializer, or the value of a node `Constant`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) stored: String,
    /// The first element of the part.
    pub(crate) start: usize,
    /// Whether the layer holds the transposed matrix.
    pub(crate) turned: bool,
}

impl Slice {
    /// All of a stored tensor as it lies.
    pub(crate) fn whole(stored: &str) -> Self {
        Self {
            stored: stored.to_string(),
            start: 0,
            turned: false,
        }
    }
}

/// A tensor of a layer that a node makes of one of its inputs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    /// Its name in the layer.
    pub(crate) name: &'static str,
    /// The input.
    pub(crate) input: usize,
}

impl Field {
    pub(crate) const fn new(name: &'static str, input: usize) -> Self {
        Self { name, input }
    }

    /// Weight and bias are what nodes may take as values: the first two tensors of a layer.
    pub(super) fn part(place: usize) -> Option<Part> {
        match place {
            0 => Some(Part::Weight),
            1 => Some(Part::Bias),
            _ => None,
        }
    }
}
