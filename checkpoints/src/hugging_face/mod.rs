//! Models in the folder layout of the Hugging Face hub.
//!
//! ```text
//! config.json                        what the network is
//! model.safetensors                  its weights, or
//! model.safetensors.index.json       which of several files holds which weight
//! tokenizer.json                     see `Tokenizer`
//! ```
//!
//! Weights are mapped into memory and read tensor by tensor; halves (F16, BF16) become 32-bit floats on the way.

mod adapter;
mod collect;
mod export;
mod model_folder;
mod sentence_encoder;
mod tensor_files;

pub use adapter::{load_adapter, save_adapter};
pub use collect::FloatType;
pub use export::{export_language_model, export_pruned_model};
pub use model_folder::ModelFolder;
pub(crate) use model_folder::read_json;
pub use sentence_encoder::SentenceEncoder;
pub use tensor_files::TensorFiles;
