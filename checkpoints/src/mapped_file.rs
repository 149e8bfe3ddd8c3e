//! Files as memory: weights and samples are read where they lie, and only those that are asked for.

use std::io;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;

/// The bytes of a file in memory. Clones share them.
#[derive(Clone, Debug)]
pub struct MappedFile(Arc<Mmap>);

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// The bytes of the file `path`, mapped into memory. The file must not be written or cut meanwhile.
///
/// # Errors
/// Those of the operating system.
pub fn mapped_file(path: &Path) -> io::Result<MappedFile> {
    let file = std::fs::File::open(path)?;
    // SAFETY: the map is read only, and this process writes no file of weights or samples that it has open. Another process that
    // cuts the file while it is mapped ends this one with a signal, as with every program that maps its files.
    #[allow(
        unsafe_code,
        reason = "a map of a file is memory that others can change"
    )]
    let map = unsafe { Mmap::map(&file) };
    Ok(MappedFile(Arc::new(map?)))
}
