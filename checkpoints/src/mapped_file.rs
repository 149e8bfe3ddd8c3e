//! Files as memory: weights are read where they lie, and only those that are asked for.

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

/// The bytes of the file `path`, mapped into memory. The file must not be written or cut meanwhile: to replace it, put another file in its place.
///
/// # Errors
/// Those of the operating system.
pub(crate) fn mapped_file(path: &Path) -> io::Result<MappedFile> {
    let file = std::fs::File::open(path)?;
    // SAFETY: the map is read only, and this process writes no file of weights that it has open: what it writes it puts in place as
    // a new file. Another process that cuts the file while it is mapped ends this one with a signal. One that writes into it changes bytes
    // under a shared slice, which Rust does not allow and no program that maps its files can keep others from. What was checked when the
    // file was opened, shapes and places, is held apart from the map, so that no changed byte makes this process read elsewhere; numbers may be
    // wrong then. The documentation asks that the file be left alone.
    #[allow(
        unsafe_code,
        reason = "a map of a file is memory that others can change"
    )]
    let map = unsafe { Mmap::map(&file) };
    Ok(MappedFile(Arc::new(map?)))
}
