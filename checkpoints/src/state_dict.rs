//! A state dict of PyTorch, for a module of ours.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use burn::module::Module;
use crossburn_noise::PathPattern;

use crate::error::CheckpointError;
use crate::stored_tensor::{StoredTensors, of_safetensors};
#[cfg(feature = "pytorch")]
use crate::torch_file::TorchFile;
use crate::weights::{fill, is_ignored};

/// Prefixes of names that wrappers of PyTorch add: `DataParallel` and `torch.compile`.
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];

/// The tensors of a network by their names in PyTorch: a safetensors file, or with the cargo feature `pytorch` a file of
/// `torch.save`, of which nothing is executed.
///
/// What `DataParallel` and `torch.compile` put before every name is left out.
///
/// ```
/// use burn::{nn::LinearConfig, tensor::Device};
/// use crossburn_checkpoints::{StateDict, save_weights};
///
/// let device = Device::flex();
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("layer.safetensors");
/// save_weights(&LinearConfig::new(3, 2).init(&device), &path)?;
/// let dict = StateDict::open(&path)?;
/// assert_eq!(dict.names().collect::<Vec<_>>(), ["bias", "weight"]);
/// let layer = dict.load(LinearConfig::new(3, 2).init(&device), &[])?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct StateDict {
    path: PathBuf,
    content: Content,
    /// The name of each tensor in the file, and the one that it goes by.
    names: Vec<(String, String)>,
}

#[derive(Debug)]
enum Content {
    Safetensors(Vec<u8>),
    #[cfg(feature = "pytorch")]
    Torch(TorchFile),
}

impl StateDict {
    /// Reads the file at `path`. What it is, its first bytes say.
    ///
    /// # Errors
    /// [`CheckpointError::Read`], [`CheckpointError::NotSafetensors`], [`CheckpointError::NoTensors`],
    /// [`CheckpointError::NoStateDict`] for a folder, an empty file, and a file that needs no import; of a file of `torch.save`
    /// [`CheckpointError::TorchFile`], [`CheckpointError::Calls`], or without the cargo feature
    /// [`CheckpointError::WithoutPyTorch`].
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let content = match is_torch(path)? {
            true => torch(path)?,
            false => {
                let bytes = std::fs::read(path).map_err(CheckpointError::reading(path))?;
                Content::Safetensors(bytes)
            }
        };
        let mut dict = Self {
            path: path.into(),
            content,
            names: Vec::new(),
        };
        let stored: Vec<String> = dict.stored()?.into_keys().collect();
        if stored.is_empty() {
            return Err(CheckpointError::NoTensors { path: path.into() });
        }
        let mut wrapped = 0;
        while let Some(wrapper) = WRAPPERS.into_iter().find(|wrapper| {
            let of_network = |name: &&String| !is_ignored(name);
            let mut names = stored.iter().filter(of_network).peekable();
            names.peek().is_some() && names.all(|name| name[wrapped..].starts_with(wrapper))
        }) {
            wrapped += wrapper.len();
        }
        let bare = |name: String| {
            let bare = if is_ignored(&name) {
                &name
            } else {
                &name[wrapped..]
            };
            (name.clone(), bare.to_string())
        };
        dict.names = stored.into_iter().map(bare).collect();
        Ok(dict)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of its tensors, in the order of the names in the file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|(_, name)| name.as_str())
    }

    /// The same tensors, where every path part `from` is called `to`: `("downsample.0", "downsample.conv")`. A part is one name
    /// between dots, or several; an empty `to` takes it off. A name of which nothing would be left stays.
    ///
    /// # Errors
    /// [`CheckpointError::Taken`] where two tensors would have one name.
    pub fn renamed(mut self, from: &str, to: &str) -> Result<Self, CheckpointError> {
        let from: Vec<&str> = from.split('.').collect();
        let mut taken: BTreeMap<String, String> = BTreeMap::new();
        for (stored, name) in &mut self.names {
            let new = renamed(name, &from, to);
            if let Some(other) = taken.insert(new.clone(), stored.clone()) {
                return Err(CheckpointError::Taken {
                    path: self.path,
                    tensors: [other, stored.clone()],
                    name: new,
                });
            }
            *name = new;
        }
        Ok(self)
    }

    /// `module` with these tensors, as [`load_weights`](crate::load_weights) loads them. Weights at the paths `keep` stay as they are
    /// and are not looked for.
    ///
    /// # Errors
    /// Those of [`load_weights`](crate::load_weights), where [`CheckpointError::Unfit`] names all tensors that do not fit. Tensors of the
    /// file are named as the file names them.
    pub fn load<M: Module>(&self, module: M, keep: &[PathPattern]) -> Result<M, CheckpointError> {
        let mut stored = self.stored()?;
        let named = self
            .names
            .iter()
            .filter_map(|(old, new)| Some((new.clone(), stored.remove(old)?)))
            .collect();
        fill(module, keep, named, &self.path)
            .map_err(|error| error.with_names(|name| self.stored_name(name)))
    }

    /// The name of the tensor `name` in the file; the same name if the file does not have it.
    fn stored_name(&self, name: &str) -> String {
        let found = self.names.iter().find(|(_, new)| new == name);
        found.map_or(name, |(stored, _)| stored).to_string()
    }

    /// The tensors by their names in the file.
    fn stored(&self) -> Result<StoredTensors<'_>, CheckpointError> {
        match &self.content {
            Content::Safetensors(bytes) => of_safetensors(bytes, &self.path),
            #[cfg(feature = "pytorch")]
            Content::Torch(file) => Ok(file.tensors(&self.path)),
        }
    }
}

/// `name` with every run of parts `from` replaced by `to`.
fn renamed(name: &str, from: &[&str], to: &str) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    let mut new = Vec::new();
    let mut at = 0;
    while at < parts.len() {
        if parts[at..].starts_with(from) {
            new.extend((!to.is_empty()).then_some(to));
            at += from.len();
        } else {
            new.push(parts[at]);
            at += 1;
        }
    }
    match new.is_empty() {
        true => name.to_string(),
        false => new.join("."),
    }
}

/// Whether the file at `path` is one of `torch.save`: a zip archive or a pickle, by its first bytes.
///
/// # Errors
/// A file that cannot be read, and what is neither that nor may be a safetensors file.
fn is_torch(path: &Path) -> Result<bool, CheckpointError> {
    let no_state_dict = |reason: String| CheckpointError::NoStateDict {
        path: path.into(),
        reason,
    };
    if path.is_dir() {
        return Err(no_state_dict(in_folder(path)));
    }
    let reading = || CheckpointError::reading(path);
    let mut start = Vec::new();
    let file = std::fs::File::open(path).map_err(reading())?;
    file.take(9).read_to_end(&mut start).map_err(reading())?;
    let called = |ending: &str| {
        let found = path.extension();
        found.is_some_and(|found| found.eq_ignore_ascii_case(ending))
    };
    let no_import = |what: &str| {
        no_state_dict(format!(
            "is {what}, which needs no import: every verb takes it as it is, such as crossburn evaluate {}",
            path.display()
        ))
    };
    match start.as_slice() {
        [] => Err(no_state_dict(
            "is empty: save the state dict again".to_string(),
        )),
        [b'G', b'G', b'U', b'F', ..] => Err(no_import("a GGUF file")),
        // The length of a header, of which the bytes of a pickle may be the first ones.
        [_, _, _, _, _, _, _, _, b'{'] => Ok(false),
        [b'P', b'K', 3 | 5, ..] | [0x80, 1..=5, ..] => Ok(true),
        _ if called("onnx") => Err(no_import("an ONNX file")),
        // Nothing that is known: the name says which reader explains it.
        _ => Ok(["pth", "pt", "bin"].into_iter().any(called)),
    }
}

/// Which files of a folder may be meant.
fn in_folder(path: &Path) -> String {
    let endings = ["safetensors", "pth", "pt", "bin"];
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut files: Vec<String> = entries
        .map(|entry| entry.path())
        .filter(|file| {
            let ending = file.extension().and_then(|ending| ending.to_str());
            ending.is_some_and(|ending| endings.contains(&ending)) && file.is_file()
        })
        .map(|file| file.display().to_string())
        .collect();
    files.sort();
    match files.first() {
        Some(file) => format!("is a folder: give the file, such as {file}"),
        None => "is a folder without weights: give a .safetensors, .pth or .pt file".to_string(),
    }
}

#[cfg(feature = "pytorch")]
fn torch(path: &Path) -> Result<Content, CheckpointError> {
    TorchFile::open(path).map(Content::Torch)
}

#[cfg(not(feature = "pytorch"))]
fn torch(path: &Path) -> Result<Content, CheckpointError> {
    Err(CheckpointError::WithoutPyTorch { path: path.into() })
}
