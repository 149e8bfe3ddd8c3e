//! Networks of other programs, as ONNX graphs: each is one Burn module.
//!
//! [`OnnxNetwork::read`] reads the file that `torch.onnx.export` writes. The nodes become operators over Burn tensors, the stored
//! tensors become parameters under their own names, so that paths, seeds and patterns such as `fc*.weight` speak of the same
//! tensors as PyTorch's `state_dict`:
//!
//! | in the graph | in the module |
//! |---|---|
//! | `Conv` with weight and bias | `NAME.weight`, `NAME.bias` of a convolution of [`layer`](crossburn_hardware::layer) |
//! | `Gemm`, `MatMul` with a stored matrix | `NAME.weight`, `NAME.bias` of a linear layer there, `[inputs, outputs]` |
//! | `GRU`, `LSTM`, `RNN` | `NAME.input.weight`, `NAME.state.weight` and biases, `_reverse` for the other direction |
//! | `BatchNormalization`, `LayerNormalization` | those of Burn: `NAME.gamma`, `NAME.beta`, running states |
//! | `Gather` from a stored table | `NAME.weight` of an embedding |
//! | other stored floats | a parameter of that name |
//! | settings of operators, masks, whole numbers, nodes `Constant` that no layer takes | constants |
//!
//! A matrix that several nodes use, transposed or not, is one weight, and so is one that a layer takes from a node `Constant`. What a layer is called: `names.rs`. A graph is refused before
//! anything runs where it has an operator that is not known, or control flow. The batch stays free where the export left it free.
//!
//! | file | question |
//! |---|---|
//! | `proto.rs`, `stored_tensor.rs`, `attributes.rs` | what does the file say? |
//! | `builder.rs`, `node.rs`, `names.rs`, `layer.rs` | which layers and steps are that? |
//! | `operator/` | what does a node compute? A file for each family, registered in `operator/mod.rs` |
//! | `dense.rs`, `host.rs`, `value.rs` | what flows between nodes? |
//! | `input.rs` | what does it take? |
//! | `network.rs` | how does the whole run? |
//! | `origin.rs`, `write.rs`, `wire.rs` | how does a trained network become a file again? |

mod attributes;
mod builder;
mod dense;
mod error;
mod host;
mod input;
mod layer;
mod names;
mod network;
mod node;
mod operator;
mod origin;
mod proto;
mod stored_tensor;
mod value;
mod wire;
mod write;

pub use error::OnnxError;
use host::Host;
pub use input::OnnxInput;
pub use network::OnnxNetwork;

/// The place of a tensor's values outside of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalData {
    /// A path relative to the file of the graph.
    pub location: String,
    /// The first byte.
    pub offset: u64,
    /// How many bytes; all to the end where absent.
    pub length: Option<u64>,
}

/// Reads the bytes of a tensor that lies elsewhere, or says why not.
pub type ExternalTensors<'a> = &'a dyn Fn(&ExternalData) -> Result<Vec<u8>, String>;
