//! Bytes that stay in their file and are read from there.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

use crate::TrainingError;

/// A file that any thread may read at any offset, and that no other program should change meanwhile.
///
/// The file is read rather than mapped into memory. If another program cuts the file, a read reports an error, but a map ends the process.
#[derive(Debug)]
pub(super) struct StoredBytes {
    path: PathBuf,
    file: File,
    /// Length, and time of the last change, when it was opened.
    opened: (u64, Option<SystemTime>),
    /// The reason why a read failed.
    failure: OnceLock<String>,
}

impl StoredBytes {
    /// The file at `path`.
    ///
    /// # Errors
    /// [`TrainingError::Read`].
    pub(super) fn open(path: &Path) -> Result<Self, TrainingError> {
        let file = File::open(path).map_err(|cause| unreadable(path, cause))?;
        Self::of(path, file)
    }

    /// The open `file` of `path`.
    ///
    /// # Errors
    /// [`TrainingError::Read`].
    pub(super) fn of(path: &Path, file: File) -> Result<Self, TrainingError> {
        let metadata = file.metadata().map_err(|cause| unreadable(path, cause))?;
        Ok(Self {
            path: path.to_path_buf(),
            file,
            opened: state(&metadata),
            failure: OnceLock::new(),
        })
    }

    /// Bytes of the file when it was opened.
    pub(super) fn len(&self) -> u64 {
        self.opened.0
    }

    /// Fills `bytes` with those from offset `at` on. If they cannot be read they become zeros, and [`check_read`](Self::check_read) fails from then
    /// on.
    pub(super) fn read(&self, at: u64, bytes: &mut [u8]) {
        if let Err(cause) = read_exact_at(&self.file, bytes, at) {
            bytes.fill(0);
            self.failure.get_or_init(|| cause.to_string());
        }
    }

    /// A reader of the bytes in `range`, which must be within the file.
    pub(super) fn reader(&self, range: Range<u64>) -> impl Read + '_ {
        Reader {
            file: &self.file,
            range,
        }
    }

    /// Fails if a part of the file could not be read, or if the file was changed since it was opened.
    ///
    /// # Errors
    /// [`TrainingError::Data`] that names the file.
    pub(super) fn check_read(&self) -> Result<(), TrainingError> {
        let problem = match (self.failure.get(), self.file.metadata()) {
            (Some(cause), _) => cause.clone(),
            (None, Err(cause)) => cause.to_string(),
            (None, Ok(now)) if state(&now) != self.opened => {
                let (before, after) = (self.opened.0, now.len());
                match before == after {
                    true => "it was written to".to_string(),
                    false => format!("it had {before} bytes and has {after}"),
                }
            }
            (None, Ok(_)) => return Ok(()),
        };
        Err(TrainingError::data(
            self.path.display().to_string(),
            format!("this file has changed since the data was opened: {problem}"),
            "leave the files alone while they are in use",
        ))
    }
}

fn unreadable(path: &Path, cause: io::Error) -> TrainingError {
    TrainingError::Read {
        path: path.to_path_buf(),
        cause,
    }
}

fn state(metadata: &Metadata) -> (u64, Option<SystemTime>) {
    (metadata.len(), metadata.modified().ok())
}

/// Reads the bytes of a range, one after the other.
struct Reader<'a> {
    file: &'a File,
    range: Range<u64>,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.range.end.saturating_sub(self.range.start);
        let wanted = buffer.len().min(left.try_into().unwrap_or(usize::MAX));
        let count = read_at(self.file, &mut buffer[..wanted], self.range.start)?;
        self.range.start += count as u64;
        Ok(count)
    }
}

fn read_exact_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    let range = at..at + bytes.len() as u64;
    Reader { file, range }.read_exact(bytes)
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, bytes, at)
}

#[cfg(windows)]
fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, bytes, at)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_where_they_lie_and_a_changed_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        let all: Vec<u8> = (0..100).collect();
        std::fs::write(&path, &all).unwrap();
        let stored = StoredBytes::open(&path).unwrap();
        assert_eq!(stored.len(), 100);
        let read = |at: usize| {
            let mut bytes = [7; 10];
            stored.read(at as u64, &mut bytes);
            bytes
        };
        for at in [90, 0, 41] {
            assert_eq!(read(at), all[at..at + 10]);
        }
        let mut some = Vec::new();
        stored.reader(20..50).read_to_end(&mut some).unwrap();
        assert_eq!(some, all[20..50]);
        stored.check_read().unwrap();
        // If another file takes its name, the opened file still exists.
        let other = folder.path().join("other");
        std::fs::write(&other, [9; 100]).unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_eq!(read(90), all[90..]);
        stored.check_read().unwrap();
        // The new file is cut.
        let stored = StoredBytes::open(&path).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(95).unwrap();
        let message = stored.check_read().unwrap_err().to_string();
        let part = "x.npy: this file has changed since the data was opened: it had 100 bytes and has 95; leave the files alone";
        assert!(message.contains(part), "{message}");
        let mut bytes = [7; 10];
        stored.read(90, &mut bytes);
        assert_eq!(bytes, [0; 10]);
        file.set_len(100).unwrap();
        // After zeros were given, the error remains.
        let message = stored.check_read().unwrap_err().to_string();
        assert!(message.contains("opened: failed to fill"), "{message}");
    }

    #[test]
    fn a_file_that_was_written_to_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        std::fs::write(&path, [1; 20]).unwrap();
        let stored = StoredBytes::open(&path).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let message = stored.check_read().unwrap_err().to_string();
        assert!(message.contains("it was written to"), "{message}");
    }
}
