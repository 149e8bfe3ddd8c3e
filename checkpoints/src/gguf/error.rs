//! Errors of GGUF files.

use std::io;
use std::path::PathBuf;

use super::codes::known;

/// Error of reading a GGUF file: one line that names the file and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    /// The operating system refused to read.
    #[error("cannot read {}: {cause}; check the path and the disk", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The message of the operating system.
        cause: io::Error,
    },

    /// The file begins with other bytes than a GGUF file.
    #[error("{} is not a GGUF file: it starts with {found:?}, not \"GGUF\"; give a file that llama.cpp reads", path.display())]
    NotGguf {
        /// The file.
        path: PathBuf,
        /// Its first four bytes, or fewer.
        found: String,
    },

    /// The file is of a version, or of a byte order, that this reader does not know.
    #[error("{} is {found}; this reader knows little-endian GGUF of version 2 and 3: convert it with llama.cpp", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The found kind, in words.
        found: String,
    },

    /// The file ends before something that its header promises.
    #[error("{} is cut: {part} ends at byte {needed}, the file has {held}; copy it again", path.display())]
    Cut {
        /// The file.
        path: PathBuf,
        /// The part that is cut.
        part: String,
        /// Byte at which the part should end.
        needed: u128,
        /// Length of the file in bytes.
        held: usize,
    },

    /// The header contradicts the format.
    #[error("{} is damaged: {cause}; copy or convert it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The problem.
        cause: String,
    },

    /// A tensor is stored in blocks that this reader cannot decode.
    #[error("{}: tensor {tensor:?} has type {found}; this reader knows {}: quantise the model to one of them", path.display(), known())]
    Type {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Name and number of its type.
        found: String,
    },

    /// A tensor that the network needs is not in the file.
    #[error("{} has no tensor {tensor:?}, which a {architecture} network needs; convert the model again", path.display())]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// Name of the tensor in the file.
        tensor: String,
        /// Architecture of the network.
        architecture: &'static str,
    },

    /// A tensor that no part of the network takes.
    #[error("{} holds tensor {tensor:?}, which a {architecture} network does not have; this reader knows dense networks only", path.display())]
    UnexpectedTensor {
        /// The file.
        path: PathBuf,
        /// Name of the tensor in the file.
        tensor: String,
        /// Architecture of the network.
        architecture: &'static str,
    },

    /// A tensor has another shape than the hyperparameters ask for. Shapes are those of PyTorch (`[out, in]`).
    #[error("{}: tensor {tensor:?} has shape {found:?}, the hyperparameters of the file ask for {expected:?}; convert the model again", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// Name of the tensor in the file.
        tensor: String,
        /// Shape that the hyperparameters ask for.
        expected: Vec<usize>,
        /// Shape in the file.
        found: Vec<usize>,
    },

    /// A metadata value that is needed is not in the file.
    #[error("{} has no metadata {key:?}; convert the model again", path.display())]
    MissingKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
    },

    /// A metadata value cannot be what it should be.
    #[error("{}: metadata {key:?} is {found}, {expected} is needed; convert the model again", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// The value in the file.
        found: String,
        /// The possible values.
        expected: String,
    },

    /// The file holds something that this reader knows of and cannot use.
    #[error("{}: {what} {found:?} is not supported; this reader knows {known}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The kind of thing.
        what: &'static str,
        /// Its name in the file.
        found: String,
        /// Names that can be used.
        known: String,
    },
}
