//! Checkpoints: safetensors with a manifest, resume state, atomic files.
//!
//! Four things are stored, each for another reader. Networks of other programs are read: language models ([`LanguageModel`]),
//! encoders of sentences ([`SentenceEncoder`]), ONNX graphs ([`OnnxFile`]), and state dicts of PyTorch for any module ([`StateDict`]).
//!
//! | What | Files | For |
//! |---|---|---|
//! | weights | `*.safetensors` | anybody: names and layout are those of PyTorch |
//! | checkpoint | folder with `model.safetensors` and `manifest.json` | evaluation: the manifest says what was trained, how, and from which seed |
//! | store of vectors | folder with `store.json` and `store.safetensors` | search in memory: what was stored is found again |
//! | resume state | `resume.json` and a folder `resume-<n>` beside it | training: continue an interrupted run, bit for bit |
//!
//! **Architecture Invariant:** nothing outside of `hugging_face`, `gguf` and `onnx_file.rs` knows a network. Every other function takes any
//! [`burn::module::Module`]; the architecture is an opaque JSON value in the [`Manifest`], which the caller compares
//! with [`Manifest::expect_architecture`].
//!
//! **Architecture Invariant:** a file that is being replaced is never seen half written ([`write_atomic`]), and a file
//! that was cut, mixed up or made by another program is an error in one line, not a panic.
//!
//! # Two properties of Burn to know
//!
//! Clones of a module share its running states (the statistics of a batch norm): loading into a module changes its
//! clones too. Load into a freshly built module. All functions that save first let pending updates of the running
//! states take effect, so the last training step is in the file.
//!
//! Of a module with an attached reparameterization (noise, fake quantization) the clean weights are saved, and tensors
//! of the attachment itself under its own name. `materialize()` folds it in where the effective weights are wanted.

mod atomic;
mod byte_pairs;
mod chat_template;
mod checkpoint;
mod checksum;
mod error;
mod fill;
pub mod gguf;
mod hugging_face;
mod language_model;
mod manifest;
mod mapped_file;
mod onnx_file;
mod own_model;
mod resting;
mod resume;
mod safetensors_header;
mod shipped;
mod state_dict;
mod stored_tensor;
mod tensor_source;
mod tensor_view;
mod tokenizer;
#[cfg(feature = "pytorch")]
mod torch_file;
mod vector_store;
mod weights;

pub use atomic::{write_atomic, write_bytes};
pub use chat_template::{ChatMessage, ChatRole, ChatTemplate};
pub use checkpoint::{
    MANIFEST_FILE, WEIGHTS_FILE, checkpoint_folder, load_checkpoint, read_manifest, save_checkpoint,
};
pub use checksum::{Checksum, checksum};
pub use error::{CheckpointError, WrongShape};
pub use fill::{HeldAs, Loaded};
pub use hugging_face::{
    FloatType, ModelFolder, SentenceEncoder, TensorFiles, export_language_model,
    export_pruned_model, load_adapter, save_adapter,
};
pub use language_model::LanguageModel;
pub use manifest::{FORMAT, Manifest};
pub use mapped_file::MappedFile;
pub use onnx_file::OnnxFile;
pub use resume::{has_resume, load_resume, read_progress, save_resume};
pub use shipped::{write_shipped_detector, write_shipped_model};
pub use state_dict::StateDict;
pub use tokenizer::{TextStream, Tokenizer};
pub use vector_store::{StoreOrigin, load_vector_store, save_vector_store};
pub use weights::{ACTIVATION_RANGE, load_weights, save_weights};
