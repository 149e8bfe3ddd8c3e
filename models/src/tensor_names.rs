//! The place of a parameter in a file of another program.

/// The place of a parameter's values: a tensor, or some of its outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Names under which the tensor may stand, the likeliest first.
    pub names: Vec<String>,
    /// How its axes lie.
    pub layout: Layout,
    /// Which of its outputs; all where absent.
    pub outputs: Option<OutputBlocks>,
}

/// How the axes of a stored tensor lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// As those of the parameter.
    Same,
    /// A matrix `[outputs, inputs]` of a parameter `[inputs, outputs]`, as PyTorch's linear layers are.
    Transposed,
    /// `[1, length]` of a vector.
    Row,
    /// `[length, 1]` of a vector.
    Column,
}

/// Outputs of a tensor that holds several layers: `repeats` blocks of `count` outputs, one every `stride`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputBlocks {
    /// Outputs of the whole tensor.
    pub total: usize,
    /// The first output.
    pub first: usize,
    /// Outputs of a block.
    pub count: usize,
    /// From the start of a block to that of the next.
    pub stride: usize,
    /// Number of blocks.
    pub repeats: usize,
}

impl OutputBlocks {
    /// Outputs `first..first + count` of `total`.
    pub fn one(first: usize, count: usize, total: usize) -> Self {
        Self {
            total,
            first,
            count,
            stride: total,
            repeats: 1,
        }
    }

    /// The outputs of all blocks, in order.
    pub fn indices(self) -> impl Iterator<Item = usize> {
        (0..self.repeats).flat_map(move |block| {
            let first = self.first + block * self.stride;
            first..first + self.count
        })
    }
}

/// The names of a network's parameters in files of other programs.
pub trait TensorNames {
    /// The place of the parameter at `path` of the module; `None` for a path that the network does not have.
    fn origin(&self, path: &str) -> Option<Origin>;

    /// Whether a tensor that no parameter is made of says nothing that the network needs, such as a table of angles.
    fn ignores(&self, name: &str) -> bool;
}
