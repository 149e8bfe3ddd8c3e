//! Errors of ONNX graphs.

/// A graph that cannot be read, or cannot compute what it was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OnnxError {
    /// Bytes that are no ONNX model.
    #[error("it is no ONNX model: {cause}")]
    NotOnnx {
        /// The value that was found instead.
        cause: String,
    },
    /// A version of the standard operators that is not known.
    #[error(
        "it uses version {version} of ONNX's operators, known are {oldest} to {newest}: export it with opset_version={newest}"
    )]
    Opset {
        /// The version it asks for.
        version: i64,
        /// The oldest that is read.
        oldest: i64,
        /// The newest that is read.
        newest: i64,
    },
    /// An operator that is not known.
    #[error(
        "node `{node}` is a `{operator}`, which is not known: export the network without it, or file an issue that names it"
    )]
    Operator {
        /// The node.
        node: String,
        /// The operator, with its domain where that is not ONNX's own.
        operator: String,
    },
    /// An operator whose computation depends on values.
    #[error(
        "node `{node}` is a `{operator}`: control flow is not supported, so export the network by tracing it with fixed sizes"
    )]
    ControlFlow {
        /// The node.
        node: String,
        /// The operator.
        operator: String,
    },
    /// A node that cannot be built or cannot compute.
    #[error("node `{node}` ({operator}): {cause}")]
    Node {
        /// The node.
        node: String,
        /// The operator.
        operator: String,
        /// The problem.
        cause: String,
    },
    /// A stored tensor that cannot be read.
    #[error("tensor `{tensor}`: {cause}")]
    Tensor {
        /// The tensor.
        tensor: String,
        /// The problem.
        cause: String,
    },
    /// A graph whose parts do not fit together.
    #[error("{cause}")]
    Graph {
        /// The part that does not fit.
        cause: String,
    },
}

impl OnnxError {
    pub(super) fn graph(cause: impl Into<String>) -> Self {
        Self::Graph {
            cause: cause.into(),
        }
    }
}
