//! GGUF files, as llama.cpp and its kin write them: weights in blocks, hyperparameters and the tokenizer in one file.
//!
//! [`GgufFile`] reads what a file holds. [`GgufFile::decoder`] and [`GgufFile::tokenizer`] make a language model of it, whose
//! weights are decoded to 32-bit numbers.

mod codes;
mod container;
mod cursor;
mod decoder;
mod error;
mod metadata;
mod model;
mod names;
mod tensor;
mod texts;
mod tokenizer;

pub use container::GgufFile;
pub use crossburn_kernels::{EncodedFormat, WeightFormat};
pub use error::GgufError;
pub use metadata::{Array, Metadata, Value};
pub use model::{Architecture, GgufModel, RopeScaling};
pub use names::NamedTensor;
pub use tensor::Tensor;
pub use texts::Texts;
