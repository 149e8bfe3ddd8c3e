//! A state dict of PyTorch, for a module of ours.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use burn::module::Module;
use crossburn_noise::PathPattern;

use crate::error::CheckpointError;
use crate::stored_tensor::{StoredTensors, of_safetensors};
#[cfg(feature = "pytorch")]
use crate::torch_file::TorchFile;
use crate::weights::fill;

/// What wrappers of PyTorch put before every name: `DataParallel` and `torch.compile`.
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
    /// [`CheckpointError::Read`], [`CheckpointError::NotSafetensors`], [`CheckpointError::NoTensors`]; of a file of `torch.save`
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
            stored
                .iter()
                .all(|name| name[wrapped..].starts_with(wrapper))
        }) {
            wrapped += wrapper.len();
        }
        let bare = |name: String| (name[wrapped..].to_string(), name);
        dict.names = stored
            .into_iter()
            .map(bare)
            .map(|(bare, name)| (name, bare))
            .collect();
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
    /// between dots, or several. A name that another tensor has already is not given again.
    #[must_use]
    pub fn renamed(mut self, from: &str, to: &str) -> Self {
        let mut taken: BTreeSet<String> = self.names().map(str::to_string).collect();
        for (_, name) in &mut self.names {
            let parts = format!(".{name}.").replace(&format!(".{from}."), &format!(".{to}."));
            let new = parts.trim_matches('.');
            if taken.insert(new.to_string()) {
                *name = new.to_string();
            }
        }
        self
    }

    /// `module` with these tensors, as [`load_weights`](crate::load_weights) loads them. Weights at the paths `keep` stay as they are
    /// and are not looked for.
    ///
    /// # Errors
    /// Those of [`load_weights`](crate::load_weights), where [`CheckpointError::Unfit`] names all tensors that do not fit.
    pub fn load<M: Module>(&self, module: M, keep: &[PathPattern]) -> Result<M, CheckpointError> {
        let mut stored = self.stored()?;
        let named = self
            .names
            .iter()
            .filter_map(|(old, new)| Some((new.clone(), stored.remove(old)?)))
            .collect();
        fill(module, keep, named, &self.path)
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

/// Whether the file at `path` is one of `torch.save`: it begins as no safetensors file does, and is not called one.
fn is_torch(path: &Path) -> Result<bool, CheckpointError> {
    let reading = || CheckpointError::reading(path);
    let mut start = Vec::new();
    let file = std::fs::File::open(path).map_err(reading())?;
    file.take(9).read_to_end(&mut start).map_err(reading())?;
    let safetensors = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("safetensors"));
    Ok(!safetensors && start.get(8) != Some(&b'{'))
}

#[cfg(feature = "pytorch")]
fn torch(path: &Path) -> Result<Content, CheckpointError> {
    TorchFile::open(path).map(Content::Torch)
}

#[cfg(not(feature = "pytorch"))]
fn torch(path: &Path) -> Result<Content, CheckpointError> {
    Err(CheckpointError::WithoutPyTorch { path: path.into() })
}
