//! A network in an ONNX file, with the files beside it that hold its larger tensors.

use std::collections::BTreeSet;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use burn::module::Module;
use burn::tensor::Device;
use crossburn_models::onnx::{ExternalData, OnnxError, OnnxNetwork};

use crate::atomic::write_bytes;
use crate::checksum::Checksum;
use crate::error::CheckpointError;

/// An ONNX file. Opening it reads its bytes; [`network`](Self::network) makes the network of them, once.
///
/// ```no_run
/// use std::path::Path;
/// use burn::tensor::{Device, Tensor};
/// use crossburn_checkpoints::OnnxFile;
///
/// let network = OnnxFile::open(Path::new("lenet.onnx"))?.network(&Device::flex())?;
/// println!("it takes {}", network.input());
/// # Ok::<(), crossburn_checkpoints::CheckpointError>(())
/// ```
#[derive(Debug)]
pub struct OnnxFile {
    path: PathBuf,
    bytes: Vec<u8>,
    /// The network on the CPU, once it has been asked for.
    network: OnceLock<OnnxNetwork>,
    /// Files beside it that its tensors lie in, as far as they have been read.
    beside: Mutex<BTreeSet<String>>,
}

impl OnnxFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`CheckpointError::Read`].
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let bytes = std::fs::read(path).map_err(CheckpointError::reading(path))?;
        Ok(Self {
            path: path.to_path_buf(),
            bytes,
            network: OnceLock::new(),
            beside: Mutex::default(),
        })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The network on `device`, with the weights of the file. Each call gives a copy that shares nothing that moves.
    ///
    /// # Errors
    /// [`CheckpointError::Onnx`].
    pub fn network(&self, device: &Device) -> Result<OnnxNetwork, CheckpointError> {
        let opened = match self.network.get() {
            Some(opened) => opened,
            None => {
                let read = |data: &ExternalData| {
                    let bytes = self.external(data)?;
                    self.beside().insert(data.location.clone());
                    Ok(bytes)
                };
                let read = OnnxNetwork::read(&self.bytes, &read, &Device::flex());
                let read = read.map_err(|cause| self.at(cause))?;
                self.network.get_or_init(|| read)
            }
        };
        let network = opened.valid().to_device(&device.clone().without_autodiff());
        Ok(match device.is_autodiff() {
            true => network.train(),
            false => network,
        })
    }

    /// The file with the tensors that `network` has now, which is of this file; tensors of files beside it lie inside. See
    /// [`OnnxNetwork::write`].
    ///
    /// # Errors
    /// [`CheckpointError::Onnx`].
    pub fn with_tensors_of(&self, network: &OnnxNetwork) -> Result<Vec<u8>, CheckpointError> {
        let read = |data: &ExternalData| self.external(data);
        let written = network.write(&self.bytes, &read);
        written.map_err(|cause| self.at(cause))
    }

    /// Checksum of the file and of those beside it that [`network`](Self::network) has read.
    ///
    /// # Errors
    /// [`CheckpointError::Read`].
    pub fn checksum(&self) -> Result<String, CheckpointError> {
        let mut sum = Checksum::default();
        sum.add(&self.bytes);
        for location in self.beside().iter() {
            let path = self.folder().join(location);
            sum.add(&std::fs::read(&path).map_err(CheckpointError::reading(&path))?);
        }
        Ok(sum.to_string())
    }

    /// Writes the file to `path`, and those beside it that [`network`](Self::network) has read into the same folder.
    ///
    /// # Errors
    /// [`CheckpointError::Read`] and [`CheckpointError::Write`], and [`CheckpointError::Onnx`] where a file beside it has the name of
    /// `path`.
    pub fn copy_to(&self, path: &Path) -> Result<(), CheckpointError> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let same = |location: &&String| folder.join(location).components().eq(path.components());
        if let Some(location) = self.beside().iter().find(same) {
            return Err(self.refused(format!(
                "its tensors lie in `{location}`, where the graph itself goes in a checkpoint: give that file another name"
            )));
        }
        std::fs::create_dir_all(folder).map_err(CheckpointError::writing(folder))?;
        for location in self.beside().iter() {
            let (from, to) = (self.folder().join(location), folder.join(location));
            if let Some(inner) = to.parent() {
                std::fs::create_dir_all(inner).map_err(CheckpointError::writing(inner))?;
            }
            let bytes = std::fs::read(&from).map_err(CheckpointError::reading(&from))?;
            write_bytes(&to, &bytes)?;
        }
        write_bytes(path, &self.bytes)
    }

    fn beside(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.beside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        }
    }

    fn refused(&self, cause: String) -> CheckpointError {
        self.at(OnnxError::Graph { cause })
    }

    fn at(&self, cause: OnnxError) -> CheckpointError {
        CheckpointError::Onnx {
            path: self.path.clone(),
            cause,
        }
    }

    /// The bytes of a tensor in a file beside this one.
    fn external(&self, data: &ExternalData) -> Result<Vec<u8>, String> {
        let location = Path::new(&data.location);
        let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        let outside = || {
            format!(
                "it lies in `{}`, outside of the folder of the graph, where no file is read: copy that file beside the graph",
                data.location
            )
        };
        if !location.components().all(inside) {
            return Err(outside());
        }
        let path = self.folder().join(location);
        let failed = |error: std::io::Error| {
            format!(
                "it lies in {}, which cannot be read: {error}; put that file beside the graph",
                path.display()
            )
        };
        // A symbolic link may lead elsewhere.
        let folder = self.folder().canonicalize().map_err(failed)?;
        if !path.canonicalize().map_err(failed)?.starts_with(folder) {
            return Err(outside());
        }
        let mut file = std::fs::File::open(&path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let rest = size.checked_sub(data.offset);
        let length = data.length.or(rest).filter(|length| Some(*length) <= rest);
        let Some(length) = length.and_then(|length| usize::try_from(length).ok()) else {
            return Err(format!(
                "it lies beyond the {size} bytes of {}: copy that file again",
                path.display()
            ));
        };
        file.seek(SeekFrom::Start(data.offset)).map_err(failed)?;
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes).map_err(failed)?;
        Ok(bytes)
    }
}
