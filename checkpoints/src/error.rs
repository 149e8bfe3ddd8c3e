//! Errors of checkpoints and models.

use std::io;
use std::path::{Path, PathBuf};

use crossburn_kernels::WeightFormat;
use crossburn_models::decoder::DecoderError;
use crossburn_models::onnx::OnnxError;

use crate::gguf::GgufError;

/// Error of reading or writing a checkpoint: one line that names the file and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A vocabulary that does not hold every byte.
    #[error("a vocabulary of {asked} tokens does not hold every byte: use {least} or more")]
    Vocabulary {
        /// Tokens that were asked for.
        asked: usize,
        /// Fewest tokens.
        least: usize,
    },
    /// The operating system refused to read.
    #[error("cannot read {}: {cause}; {}", path.display(), read_remedy(cause))]
    Read {
        /// File or folder.
        path: PathBuf,
        /// The message of the operating system.
        cause: io::Error,
    },

    /// The operating system refused to write. Whatever stood at `path` before is unchanged.
    #[error("cannot write {}: {cause}; {}", path.display(), write_remedy(cause))]
    Write {
        /// File or folder.
        path: PathBuf,
        /// The message of the operating system.
        cause: io::Error,
    },

    /// A file should be replaced whose path has no file name.
    #[error("cannot write {}: the path does not end in a file name; give the path of a file", path.display())]
    NoFileName {
        /// The path as given.
        path: PathBuf,
    },

    /// A value has no JSON form.
    #[error("cannot write {} as JSON: {cause}; use string keys and plain data", path.display())]
    Encode {
        /// The file that was to be written.
        path: PathBuf,
        /// The message of the serializer.
        cause: String,
    },

    /// A value that no network computes with: NaN, infinity, or a negative variance or range.
    #[error("{}: entry {place:?} of tensor {tensor:?} is {value}, {remedy}; train again, or mend the file that it came from", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Index of the entry, one number per axis.
        place: Vec<usize>,
        /// The value.
        value: f32,
        /// The remedy.
        remedy: &'static str,
    },

    /// A tensor could not be read back from its device.
    #[error("cannot save {} tensors: {cause}; check the device that holds the model", path.display())]
    Tensor {
        /// The file that was to be written.
        path: PathBuf,
        /// The message of Burn.
        cause: String,
    },

    /// The file is no safetensors file, or its header is damaged or cut.
    #[error("{} is not a readable safetensors file ({cause}): save it again with safetensors", path.display())]
    NotSafetensors {
        /// The file.
        path: PathBuf,
        /// The problem with its header, or with the tensors after it.
        cause: String,
    },

    /// The tensors of a file are not those of the model. Shapes are those of PyTorch (linear weights `[out, in]`).
    #[error("{} does not fit this model: {}; build the model with the architecture and the widths the file was saved from", path.display(), misfit(missing, unexpected, shapes))]
    Unfit {
        /// The file.
        path: PathBuf,
        /// Tensors of the model that the file lacks.
        missing: Vec<String>,
        /// Tensors of the file that the model lacks.
        unexpected: Vec<String>,
        /// Tensors of both with different shapes.
        shapes: Vec<WrongShape>,
    },

    /// A file without tensors, where those of a network are needed.
    #[error("{} holds no tensors; save the state dict of the network", path.display())]
    NoTensors {
        /// The file.
        path: PathBuf,
    },

    /// A path that is no state dict, and what to give instead.
    #[error("{} {reason}", path.display())]
    NoStateDict {
        /// The file or folder.
        path: PathBuf,
        /// What the path is, and the remedy.
        reason: String,
    },

    /// Two tensors of a file that would have one name.
    #[error("{}: {:?} and {:?} would both be called {name:?}; rename another part", path.display(), tensors[0], tensors[1])]
    Taken {
        /// The file.
        path: PathBuf,
        /// Their names in the file.
        tensors: [String; 2],
        /// The name.
        name: String,
    },

    /// A file of `torch.save` that cannot be read.
    #[error("{} cannot be read as a file of torch.save: {cause}; save the state dict again: torch.save(network.state_dict(), FILE)", path.display())]
    TorchFile {
        /// The file.
        path: PathBuf,
        /// The message of the reader.
        cause: String,
    },

    /// A file of `torch.save` that calls something when Python loads it.
    #[error("{} calls {call} when Python loads it, which a state dict does not: nothing was executed; save the state dict alone: torch.save(network.state_dict(), FILE)", path.display())]
    Calls {
        /// The file.
        path: PathBuf,
        /// Module and name of what is called.
        call: String,
    },

    /// A file of `torch.save`, where this program was built without their reader.
    #[error("{} is no safetensors file; build with `--features pytorch` to read files of torch.save, or write it as safetensors in Python: safetensors.torch.save_file(network.state_dict(), FILE)", path.display())]
    WithoutPyTorch {
        /// The file.
        path: PathBuf,
    },

    /// A tensor has another shape in the file than in the model. Shapes are those of PyTorch (linear weights
    /// `[out, in]`).
    #[error("{}: tensor {tensor:?} has shape {found:?}, this model needs {expected:?}; build the model with the widths the file was saved from", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Shape in the model.
        expected: Vec<usize>,
        /// Shape in the file.
        found: Vec<usize>,
    },

    /// A tensor holds elements that cannot become those of the model.
    #[error("{}: tensor {tensor:?} holds {found} elements, this model needs {expected}; export it as F32, F16, BF16 or F64", path.display())]
    ElementType {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Element type in the model.
        expected: String,
        /// Element type in the file.
        found: String,
    },

    /// There is nothing at the path of a checkpoint.
    #[error("{} does not exist; give a folder that training wrote", dir.display())]
    Missing {
        /// The folder that is not there.
        dir: PathBuf,
    },

    /// The folder holds no checkpoint.
    #[error("{} is not a checkpoint: it has no {file}; give a folder that training wrote", dir.display())]
    NotACheckpoint {
        /// The folder.
        dir: PathBuf,
        /// The file that is missing.
        file: &'static str,
    },

    /// A JSON file of ours cannot be understood.
    #[error("{} cannot be understood: {cause}; restore it or write the checkpoint again", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The place and the problem.
        cause: String,
    },

    /// A JSON file of ours is of another format version.
    #[error("{} has format {found:?}, this version reads {expected:?}; use the version that wrote it", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Format that this version reads.
        expected: &'static str,
        /// Format named in the file.
        found: String,
    },

    /// A file is not the one that was written together with its manifest or pointer.
    #[error("{} has checksum {found}, {recorded_in} says {expected}: the files were mixed up or one is damaged; restore both from the same run", path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// Name of the file that holds the expected checksum.
        recorded_in: &'static str,
        /// Checksum at the time of writing.
        expected: String,
        /// Checksum now.
        found: String,
    },

    /// The checkpoint was made with another architecture than the one asked for.
    #[error(
        "the checkpoint holds architecture {found}, not {expected}; change the configuration or choose another checkpoint"
    )]
    Architecture {
        /// The expected architecture, as JSON.
        expected: String,
        /// The architecture in the manifest, as JSON.
        found: String,
    },

    /// The checkpoint of a network that is no decoder.
    #[error("{} holds no language model; give the run of a recipe with model.kind = \"decoder\" or \"pretrained\"", dir.display())]
    NotALanguageModel {
        /// The checkpoint.
        dir: PathBuf,
    },

    /// The checkpoint of an adapter, where a whole model is needed.
    #[error("{} holds an adapter for {}; give that as the model, and this as --adapter", dir.display(), base.display())]
    OnlyAnAdapter {
        /// The checkpoint.
        dir: PathBuf,
        /// The model that it belongs to.
        base: PathBuf,
    },

    /// Models that name one another as the one that their training began with.
    #[error("{} is the last of more than {most} trainings, each of which continued the one before; give a model that is nearer to the first", dir.display())]
    TooManyBases {
        /// The checkpoint.
        dir: PathBuf,
        /// Longest chain.
        most: usize,
    },

    /// A run of this program is to be held in another format than it has.
    #[error("{} is a run of this program, which stores 32-bit numbers and is not held as {format}: export it and open the exported folder", dir.display())]
    OwnFormat {
        /// The checkpoint.
        dir: PathBuf,
        /// The format.
        format: WeightFormat,
    },

    /// A model that has no form in another program's files.
    #[error("{} cannot be written for other programs: {cause}", path.display())]
    Export {
        /// The model.
        path: PathBuf,
        /// Why, with the remedy.
        cause: String,
    },

    /// There is nothing at the path of a model.
    #[error("{} does not exist; give the folder of a model with config.json, weights and tokenizer.json, or a GGUF file", dir.display())]
    MissingModel {
        /// The folder that is not there.
        dir: PathBuf,
    },

    /// The folder holds no model of the Hugging Face layout.
    #[error("{} is not the folder of a model: it has no {file}; give one with config.json and model.safetensors", dir.display())]
    NotAModel {
        /// The folder.
        dir: PathBuf,
        /// The file that is missing.
        file: &'static str,
    },

    /// A JSON file of a model cannot be understood.
    #[error("{} cannot be understood: {cause}; download the model again", path.display())]
    ModelConfig {
        /// The file.
        path: PathBuf,
        /// The place and the problem.
        cause: String,
    },

    /// A model that no code here computes, or whose settings do not fit together.
    #[error("{}: {cause}", path.display())]
    Model {
        /// The folder or file.
        path: PathBuf,
        /// The part that does not fit, with the remedy.
        cause: DecoderError,
    },

    /// An encoder that gives no vectors with which texts can be compared.
    #[error("{} gives no vectors of texts: {cause}", path.display())]
    NoVectors {
        /// The folder of the encoder.
        path: PathBuf,
        /// Why, with the remedy.
        cause: String,
    },

    /// An ONNX file whose graph cannot be read or cannot compute.
    #[error("{}: {cause}", path.display())]
    Onnx {
        /// The file.
        path: PathBuf,
        /// The problem, with the node or tensor.
        cause: OnnxError,
    },

    /// The index of several safetensors files is wrong.
    #[error("{} is not a usable index of weights: {cause}; download the model again", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// The problem.
        cause: String,
    },

    /// The files of a model lack tensors.
    #[error("{} lacks {}; {}; take the config.json that belongs to the weights", path.display(), list(tensors), others(found))]
    MissingTensors {
        /// The file or folder.
        path: PathBuf,
        /// Names of the missing tensors.
        tensors: Vec<String>,
        /// Names that nothing was made of.
        found: Vec<String>,
    },

    /// A tokenizer that cannot be read or does not belong to its model.
    #[error("{}: {cause}", path.display())]
    Tokenizer {
        /// The file or folder.
        path: PathBuf,
        /// The problem, with the remedy.
        cause: String,
    },

    /// A GGUF file that cannot be read.
    #[error(transparent)]
    Gguf(#[from] GgufError),

    /// The form that a model gives to a conversation cannot be used.
    #[error("{}: the chat template {cause}; take another version of the model, or generate from a plain prompt", path.display())]
    ChatTemplate {
        /// The file.
        path: PathBuf,
        /// The problem.
        cause: String,
    },

    /// An adapter that cannot be read or belongs to another model.
    #[error("{}: {cause}", path.display())]
    Adapter {
        /// The folder or file.
        path: PathBuf,
        /// The problem, with the remedy.
        cause: String,
    },

    /// A store of vectors that cannot be read, or is used with what it was not made for.
    #[error("{}: {cause}", path.display())]
    Store {
        /// The folder or file.
        path: PathBuf,
        /// The problem, with the remedy.
        cause: String,
    },

    /// The resume state does not fit the model or the optimizer.
    #[error("{} does not fit this run: {cause}; continue with the settings it was started with, or start in another folder", path.display())]
    Resume {
        /// File of the resume state.
        path: PathBuf,
        /// The part that does not fit.
        cause: String,
    },
}

impl CheckpointError {
    /// Closure for `map_err`: a failed read of `path`.
    pub(crate) fn reading(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        |cause| Self::Read { path, cause }
    }

    /// Closure for `map_err`: a failed write of `path`.
    pub(crate) fn writing(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        |cause| Self::Write { path, cause }
    }
}

/// Remedy for a failed read.
fn read_remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::NotFound => "check the path",
        io::ErrorKind::PermissionDenied => "allow reading it",
        _ => "check the disk and the path",
    }
}

/// Remedy for a failed write.
fn write_remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space",
        io::ErrorKind::NotFound => "create the folder first",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "choose a folder you may write to"
        }
        _ => "check the disk and the path",
    }
}

impl CheckpointError {
    /// The tensors of a file that do not fit, without a remedy: `it lacks "a"; it has "b", which the model does not have`.
    /// Nothing of another error.
    pub fn misfit(&self) -> Option<String> {
        match self {
            Self::Unfit {
                missing,
                unexpected,
                shapes,
                ..
            } => Some(misfit(missing, unexpected, shapes)),
            _ => None,
        }
    }

    /// The same error, where each tensor that the file has is called as `in_file` says.
    pub(crate) fn with_names(mut self, in_file: impl Fn(&str) -> String) -> Self {
        match &mut self {
            Self::Unfit {
                unexpected, shapes, ..
            } => {
                let shapes = shapes.iter_mut().map(|shape| &mut shape.tensor);
                for name in unexpected.iter_mut().chain(shapes) {
                    *name = in_file(name);
                }
            }
            Self::ElementType { tensor, .. } | Self::Value { tensor, .. } => {
                *tensor = in_file(tensor);
            }
            _ => {}
        }
        self
    }
}

/// A tensor that has another shape in a file than in the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongShape {
    /// Its name.
    pub tensor: String,
    /// Shape in the model.
    pub expected: Vec<usize>,
    /// Shape in the file.
    pub found: Vec<usize>,
}

/// The problem with the tensors of a file: `it lacks "a"; it has "b", which the model does not have; "c" has shape [1] where
/// [2] is needed`.
fn misfit(missing: &[String], unexpected: &[String], shapes: &[WrongShape]) -> String {
    let mut parts = Vec::new();
    if !missing.is_empty() {
        parts.push(format!("it lacks {}", list(missing)));
    }
    if !unexpected.is_empty() {
        let all = list(unexpected);
        parts.push(format!("it has {all}, which the model does not have"));
    }
    if !shapes.is_empty() {
        let one = |shape: &WrongShape| {
            let (found, expected) = (&shape.found, &shape.expected);
            let tensor = &shape.tensor;
            format!("{tensor:?} has shape {found:?} where {expected:?} is needed")
        };
        parts.push(shortened(shapes.iter().map(one).collect()));
    }
    parts.join("; ")
}

/// The first names of a list and the number of the others: `"a", "b", "c", "d" and 3 more`.
fn list(names: &[String]) -> String {
    match names.is_empty() {
        true => "no tensors".to_string(),
        false => shortened(names.iter().map(|name| format!("{name:?}")).collect()),
    }
}

/// The first of `parts` and the number of the others.
fn shortened(parts: Vec<String>) -> String {
    const SHOWN: usize = 4;
    let shown = &parts[..parts.len().min(SHOWN)];
    match parts.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Tensors of a model's files that were not used.
fn others(names: &[String]) -> String {
    match names.is_empty() {
        true => "nothing else is unknown".to_string(),
        false => format!("unknown are {}", list(names)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_disk_is_named_with_its_remedy() {
        let error = CheckpointError::writing(Path::new("run/model.safetensors"))(
            io::ErrorKind::StorageFull.into(),
        );
        assert_eq!(
            error.to_string(),
            "cannot write run/model.safetensors: no storage space; free some space"
        );
    }

    #[test]
    fn long_lists_are_cut_and_names_escaped() {
        let names: Vec<String> = ["a", "b\n", "c", "d", "e", "f"].map(String::from).to_vec();
        assert_eq!(list(&names), r#""a", "b\n", "c", "d" and 2 more"#);
        assert_eq!(list(&names[..2]), r#""a", "b\n""#);
        assert_eq!(list(&[]), "no tensors");
    }
}
