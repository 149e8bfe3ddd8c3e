//! How networks get to disk and back, and how they come in from other programs.
//!
//! ```
//! use burn::{nn::LinearConfig, tensor::Device};
//! use crossburn_checkpoints::{load_weights, save_weights};
//!
//! let device = Device::flex();
//! let folder = tempfile::tempdir()?;
//! let file = folder.path().join("layer.safetensors");
//! let layer = LinearConfig::new(3, 2).init(&device);
//! save_weights(&layer, &file)?;
//! // Load into a freshly built module.
//! let read = load_weights(LinearConfig::new(3, 2).init(&device), &file)?;
//! assert_eq!(read.weight.val().into_data(), layer.weight.val().into_data());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is stored
//!
//! | what | files | for |
//! |---|---|---|
//! | weights ([`save_weights`]) | `*.safetensors` | any program: names and layout are those of PyTorch |
//! | checkpoint ([`save_checkpoint`]) | folder with `model.safetensors` and `manifest.json` | evaluation: the [`Manifest`] says what was trained, how, and from which seed |
//! | store of vectors ([`save_vector_store`]) | folder with `store.json` and `store.safetensors` | search in memory |
//! | resume state ([`save_resume`]) | `resume.json` and a folder `resume-<n>` beside it | training: an interrupted run continues to the same bits |
//!
//! # What is read from other programs
//!
//! [`LanguageModel`] reads language models from folders of the Hugging Face hub and from GGUF files, [`SentenceEncoder`] encoders of sentences, [`OnnxFile`] ONNX
//! graphs, and [`StateDict`] the weights of PyTorch for any module.
//!
//! # What to know about Burn
//!
//! Clones of a module share its running states (the statistics of a batch norm), so loading into a module changes its clones too. Load into a freshly
//! built module. Functions that save first apply pending updates of running states, so the file includes the last training step.
//!
//! If a reparameterization (noise, fake quantization) is attached to a module, its clean weights are saved, and the tensors of the attachment under their own names.
//! Call `materialize()` first to save the effective weights.
//!
//! # Limits
//!
//! Only `hugging_face`, `gguf` and `onnx_file.rs` know networks. All other functions take any [`burn::module::Module`] and treat the architecture as an opaque JSON value
//! in the manifest, which the caller compares with [`Manifest::expect_architecture`]. Nothing of a file is executed. A checkpoint of a later format is refused.
//!
//! **Architecture invariant.** Nobody ever sees a half-written file while a file is replaced ([`write_atomic`]). A file that is cut, mixed up with another, or made by
//! another program is an error in one line, never a panic.

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
