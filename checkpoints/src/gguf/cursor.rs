//! A place in the bytes of a file, from which numbers and texts are read.

use std::path::Path;

use super::error::GgufError;

/// Reads on from a place in a file. Nothing beyond the last byte is ever touched: what is not there is an error that
/// names the part.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    place: usize,
    path: &'a Path,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8], path: &'a Path) -> Self {
        let place = 0;
        Self { bytes, place, path }
    }

    /// Bytes from the start of the file.
    pub(super) fn place(&self) -> usize {
        self.place
    }

    /// Bytes that follow.
    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.place
    }

    /// The error of a `part` of `length` bytes that is longer than what follows.
    fn cut(&self, length: u128, part: &str) -> GgufError {
        GgufError::Cut {
            path: self.path.to_path_buf(),
            part: part.to_string(),
            needed: self.place as u128 + length,
            held: self.bytes.len(),
        }
    }

    /// The next `length` bytes.
    pub(super) fn take(&mut self, length: u64, part: &str) -> Result<&'a [u8], GgufError> {
        let found = usize::try_from(length)
            .ok()
            .and_then(|length| self.bytes[self.place..].get(..length))
            .ok_or_else(|| self.cut(length.into(), part))?;
        self.place += found.len();
        Ok(found)
    }

    /// The next `count` items of `size` bytes each.
    pub(super) fn items(
        &mut self,
        count: u64,
        size: usize,
        part: &str,
    ) -> Result<&'a [u8], GgufError> {
        let length = u128::from(count) * size as u128;
        let length = u64::try_from(length).map_err(|_| self.cut(length, part))?;
        self.take(length, part)
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self, part: &str) -> Result<[u8; N], GgufError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64, part)?);
        Ok(array)
    }

    pub(super) fn u32(&mut self, part: &str) -> Result<u32, GgufError> {
        self.array(part).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, part: &str) -> Result<u64, GgufError> {
        self.array(part).map(u64::from_le_bytes)
    }

    /// A text: its length in bytes, then UTF-8.
    pub(super) fn text(&mut self, part: &str) -> Result<&'a str, GgufError> {
        let length = self.u64(part)?;
        let bytes = self.take(length, part)?;
        std::str::from_utf8(bytes)
            .map_err(|cause| self.damaged(format!("{part} is not UTF-8 ({cause})")))
    }

    pub(super) fn damaged(&self, cause: String) -> GgufError {
        GgufError::Damaged {
            path: self.path.to_path_buf(),
            cause,
        }
    }
}
