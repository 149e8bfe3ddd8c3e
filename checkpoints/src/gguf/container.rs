//! The container: what a GGUF file holds and where.
//!
//! ```text
//! "GGUF", version, number of tensors, number of metadata
//! metadata:  key, type, value
//! tensors:   name, number of axes, axes (the innermost first), type, offset
//! padding to the alignment
//! the blocks of the tensors, each at its offset from here
//! ```
//!
//! Integers are little-endian. Versions 2 and 3 have the same layout.
//!
//! # Source
//!
//! The GGUF specification (`docs/gguf.md` of ggml), section "File Structure".

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::codes::format_of;
use super::cursor::Cursor;
use super::error::GgufError;
use super::metadata::Metadata;
use super::tensor::Tensor;
use crate::mapped_file::{MappedFile, mapped_file};
use crossburn_kernels::WeightFormat;

/// Axes that a tensor of ggml has at most.
const MOST_AXES: u32 = 4;

/// Alignment of tensors where the file does not say another.
const ALIGNMENT: u64 = 32;

/// An open GGUF file over its bytes, which may be a mapped file, a buffer or a borrowed slice.
///
/// # Example
///
/// ```no_run
/// use crossburn_checkpoints::gguf::GgufFile;
///
/// let file = GgufFile::read("model.gguf")?;
/// for tensor in file.tensors() {
///     println!("{} {} {:?}", tensor.name(), tensor.kind(), tensor.shape());
/// }
/// # Ok::<(), crossburn_checkpoints::gguf::GgufError>(())
/// ```
#[derive(Debug)]
pub struct GgufFile<B> {
    bytes: B,
    path: PathBuf,
    version: u32,
    metadata: Metadata,
    tensors: Vec<Entry>,
    places: HashMap<String, usize>,
}

/// A tensor of the header; its bytes lie within the file.
#[derive(Debug)]
struct Entry {
    name: String,
    kind: WeightFormat,
    shape: Vec<usize>,
    range: Range<usize>,
}

impl GgufFile<Vec<u8>> {
    /// Reads a file as a whole into memory.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is not a GGUF file that this reader knows.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, GgufError> {
        let path = path.as_ref();
        let bytes = fs_err::read(path).map_err(|error| GgufError::Read {
            path: path.to_path_buf(),
            cause: error.kind().into(),
        })?;
        Self::new(bytes, path)
    }
}

impl GgufFile<MappedFile> {
    /// Opens a file mapped into memory: only what is asked for is read.
    ///
    /// # Errors
    ///
    /// As [`read`](GgufFile::read).
    pub fn map(path: impl AsRef<Path>) -> Result<Self, GgufError> {
        let path = path.as_ref();
        let map = mapped_file(path).map_err(|cause| GgufError::Read {
            path: path.to_path_buf(),
            cause,
        })?;
        Self::new(map, path)
    }
}

impl<B: AsRef<[u8]>> GgufFile<B> {
    /// Opens a file by its bytes. `path` only names it in errors. The header is read and checked against the length of the
    /// file; the blocks of the tensors are not touched.
    ///
    /// # Errors
    ///
    /// The bytes are not a whole GGUF file of version 2 or 3, little-endian, whose tensors all have a known type.
    pub fn new(bytes: B, path: impl Into<PathBuf>) -> Result<Self, GgufError> {
        let path = path.into();
        let held = bytes.as_ref();
        let mut cursor = Cursor::new(held, &path);
        let version = version(&mut cursor, &path)?;
        let tensor_count = cursor.u64("the number of tensors")?;
        let metadata_count = cursor.u64("the number of metadata")?;
        let metadata = Metadata::read(&mut cursor, metadata_count, &path)?;
        let alignment = alignment(&metadata)?;
        let infos = (0..tensor_count)
            .map(|index| Info::read(&mut cursor, index, tensor_count, &path))
            // Not collected at once: the count is only a claim, and `collect` would trust it.
            .try_fold(Vec::new(), |mut infos, info| {
                infos.push(info?);
                Ok(infos)
            })?;
        let first = (cursor.place() as u64).next_multiple_of(alignment);
        let tensors = infos
            .into_iter()
            .map(|info| info.placed(first, alignment, held.len(), &path))
            .collect::<Result<Vec<_>, _>>()?;
        refuse_overlaps(&tensors, &path)?;
        let mut places = HashMap::new();
        for (place, tensor) in tensors.iter().enumerate() {
            if places.insert(tensor.name.clone(), place).is_some() {
                let cause = format!("tensor {:?} stands there twice", tensor.name);
                return Err(GgufError::Damaged { path, cause });
            }
        }
        Ok(Self {
            bytes,
            path,
            version,
            metadata,
            tensors,
            places,
        })
    }

    /// The [`checksum`](crate::checksum()) of the file, which is read for it.
    #[must_use]
    pub fn checksum(&self) -> String {
        crate::checksum(self.bytes.as_ref())
    }

    /// The path that names the file in errors.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Version of the format: 2 or 3.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The metadata.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// All tensors in the order of the file.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = Tensor<'_>> {
        self.tensors.iter().map(|entry| self.view(entry))
    }

    /// All bytes.
    pub(super) fn bytes(&self) -> &B {
        &self.bytes
    }

    /// The tensor of this name.
    pub fn tensor(&self, name: &str) -> Option<Tensor<'_>> {
        let place = self.places.get(name)?;
        Some(self.view(&self.tensors[*place]))
    }

    fn view<'a>(&'a self, entry: &'a Entry) -> Tensor<'a> {
        let (file, range) = (self.bytes.as_ref(), entry.range.clone());
        Tensor::new(&entry.name, entry.kind, &entry.shape, file, range)
    }
}

/// Reads the first eight bytes: the version, where it is one that can be read.
fn version(cursor: &mut Cursor, path: &Path) -> Result<u32, GgufError> {
    let start = cursor.take(cursor.left().min(4) as u64, "the magic number")?;
    let unknown = |found: &str| GgufError::Version {
        path: path.to_path_buf(),
        found: found.to_string(),
    };
    match start {
        b"GGUF" => {}
        b"FUGG" => return Err(unknown("big-endian")),
        // The magic numbers before GGUF are 32-bit integers, which stand in reverse in the file.
        b"tjgg" | b"fmgg" | b"algg" | b"lmgg" => {
            return Err(unknown("of a ggml format older than GGUF"));
        }
        other => {
            return Err(GgufError::NotGguf {
                path: path.to_path_buf(),
                found: String::from_utf8_lossy(other).into_owned(),
            });
        }
    }
    match cursor.u32("the version")? {
        version @ (2 | 3) => Ok(version),
        // A small number in the other byte order.
        version if version.swap_bytes() < 1 << 16 && version >= 1 << 16 => Err(unknown(&format!(
            "big-endian GGUF of version {}",
            version.swap_bytes()
        ))),
        version => Err(unknown(&format!("GGUF of version {version}"))),
    }
}

/// The alignment that the file asks for.
fn alignment(metadata: &Metadata) -> Result<u64, GgufError> {
    const KEY: &str = "general.alignment";
    let Some(found) = metadata.count(KEY)? else {
        return Ok(ALIGNMENT);
    };
    let fits = found.is_power_of_two() && found <= 1 << 20;
    fits.then_some(found as u64)
        .ok_or_else(|| metadata.unusable(KEY, found.to_string(), "a power of two".to_string()))
}

/// A tensor as the header describes it.
struct Info {
    name: String,
    kind: WeightFormat,
    shape: Vec<usize>,
    bytes: usize,
    offset: u64,
}

impl Info {
    fn read(cursor: &mut Cursor, index: u64, count: u64, path: &Path) -> Result<Self, GgufError> {
        let part = format!("the name of tensor {index} of {count}");
        let name = cursor.text(&part)?.to_string();
        let part = format!("the description of tensor {name:?}");
        let axes = cursor.u32(&part)?;
        if axes > MOST_AXES {
            let cause = format!("tensor {name:?} has {axes} axes, more than {MOST_AXES}");
            return Err(cursor.damaged(cause));
        }
        let mut shape = Vec::new();
        for _ in 0..axes {
            let axis = cursor.u64(&part)?;
            shape.push(usize::try_from(axis).unwrap_or(usize::MAX));
        }
        shape.reverse();
        let kind = format_of(cursor.u32(&part)?).map_err(|found| GgufError::Type {
            path: path.to_path_buf(),
            tensor: name.clone(),
            found,
        })?;
        let offset = cursor.u64(&part)?;
        let columns = shape.last().copied().unwrap_or(1);
        let row = kind.row_bytes(columns);
        let rows = shape[..shape.len().saturating_sub(1)]
            .iter()
            .try_fold(1usize, |product, axis| product.checked_mul(*axis));
        let bytes = row.and_then(|row| rows?.checked_mul(row)).ok_or_else(|| {
            let cause = format!(
                "tensor {name:?} of type {kind} has shape {shape:?}, whose rows are no whole blocks of {} or too many",
                kind.block_values()
            );
            cursor.damaged(cause)
        })?;
        Ok(Self {
            name,
            kind,
            shape,
            bytes,
            offset,
        })
    }

    /// The tensor in a file of `held` bytes whose tensors begin at `first`.
    fn placed(
        self,
        first: u64,
        alignment: u64,
        held: usize,
        path: &Path,
    ) -> Result<Entry, GgufError> {
        let Self {
            name,
            kind,
            shape,
            bytes,
            offset,
        } = self;
        let path = || path.to_path_buf();
        if !offset.is_multiple_of(alignment) {
            let cause = format!(
                "tensor {name:?} has the offset {offset}, which the alignment {alignment} does not divide"
            );
            let path = path();
            return Err(GgufError::Damaged { path, cause });
        }
        let start = u128::from(first) + u128::from(offset);
        let end = start + bytes as u128;
        match (usize::try_from(start), usize::try_from(end)) {
            (Ok(start), Ok(end)) if end <= held => Ok(Entry {
                name,
                kind,
                shape,
                range: start..end,
            }),
            _ => Err(GgufError::Cut {
                path: path(),
                part: format!("tensor {name:?}"),
                needed: end,
                held,
            }),
        }
    }
}

/// Tensors that share bytes could ask for more memory than the file warrants.
fn refuse_overlaps(tensors: &[Entry], path: &Path) -> Result<(), GgufError> {
    let mut order: Vec<&Entry> = tensors.iter().filter(|t| !t.range.is_empty()).collect();
    order.sort_by_key(|tensor| tensor.range.start);
    let overlap = (order.windows(2)).find(|pair| pair[1].range.start < pair[0].range.end);
    match overlap {
        None => Ok(()),
        Some(pair) => Err(GgufError::Damaged {
            path: path.to_path_buf(),
            cause: format!("tensors {:?} and {:?} overlap", pair[0].name, pair[1].name),
        }),
    }
}
