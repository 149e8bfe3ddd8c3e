//! Files that are replaced as a whole.
//!
//! The new content goes to a temporary file in the same folder, is synchronised to the disk and then takes the name
//! of the old file in one step. A crash or a full disk leaves the old file as it was.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::CheckpointError;

/// Replaces the file at `path` by what `write` writes.
///
/// The folder must exist.
///
/// # Errors
///
/// [`CheckpointError::Write`] when `write` fails or the operating system refuses; the file at `path` is then unchanged
/// and nothing is left beside it.
///
/// ```
/// use std::io::Write;
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("curve.csv");
/// crossburn_checkpoints::write_atomic(&path, |file| writeln!(file, "epoch,loss"))?;
/// assert_eq!(fs_err::read_to_string(&path)?, "epoch,loss\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_atomic(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), CheckpointError> {
    Prepared::new(path, write)?.commit()
}

/// Replaces the file at `path` by `bytes`. See [`write_atomic`].
///
/// # Errors
///
/// [`CheckpointError::Write`], and the file at `path` is unchanged.
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), CheckpointError> {
    write_atomic(path, |file| file.write_all(bytes))
}

/// A file that is complete on the disk but does not have its name yet.
///
/// Files that belong together are all prepared before the first is committed, so a full disk cannot tear them apart.
pub(crate) struct Prepared {
    file: NamedTempFile,
    path: PathBuf,
}

impl Prepared {
    /// Writes the content of `path` to a temporary file beside it.
    pub(crate) fn new(
        path: &Path,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<Self, CheckpointError> {
        let name = path
            .file_name()
            .ok_or_else(|| CheckpointError::NoFileName { path: path.into() })?;
        let mut prefix = std::ffi::OsString::from(".");
        prefix.push(name);
        prefix.push(".");
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(".tmp");
        #[cfg(unix)]
        {
            // As a file made by `File::create`: the umask decides. Temporary files are private otherwise.
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let write_file = || {
            let mut file = builder.tempfile_in(parent(path))?;
            let mut buffered = BufWriter::new(file.as_file_mut());
            write(&mut buffered)?;
            buffered.flush()?;
            drop(buffered);
            file.as_file().sync_all()?;
            Ok(file)
        };
        let file = write_file().map_err(CheckpointError::writing(path))?;
        Ok(Self {
            file,
            path: path.into(),
        })
    }

    /// Gives the file its name, replacing the file that has it.
    pub(crate) fn commit(self) -> Result<(), CheckpointError> {
        let Self { file, path } = self;
        file.persist(&path)
            .map_err(|e| e.error)
            .and_then(|_| sync_dir(parent(&path)))
            .map_err(CheckpointError::writing(&path))
    }
}

/// The folder that holds `path`.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

/// Makes the names in a folder durable. Only Unix lets a folder be opened for that.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    #[cfg(unix)]
    fs_err::File::open(dir)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = dir;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step fails the test")]
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs_err::read_dir(dir).unwrap();
        entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn replaces_and_leaves_nothing_beside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        write_bytes(&path, b"old and long").unwrap();
        write_bytes(&path, b"new").unwrap();
        assert_eq!(fs_err::read(&path).unwrap(), b"new");
        assert_eq!(names(dir.path()), ["a.json"]);
    }

    #[test]
    fn failed_write_keeps_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        write_bytes(&path, b"old").unwrap();
        let error = write_atomic(&path, |file| {
            file.write_all(b"half")?;
            Err(io::ErrorKind::StorageFull.into())
        })
        .unwrap_err();
        assert!(error.to_string().ends_with("; free some space"), "{error}");
        assert_eq!(fs_err::read(&path).unwrap(), b"old");
        assert_eq!(names(dir.path()), ["a.json"]);
    }

    #[test]
    fn missing_folder_names_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let error = write_bytes(&dir.path().join("no/a.json"), b"").unwrap_err();
        assert!(
            error.to_string().ends_with("; create the folder first"),
            "{error}"
        );
        assert!(!error.to_string().contains('\n'));
    }

    #[test]
    fn path_without_a_name_is_refused() {
        let error = write_bytes(Path::new(".."), b"").unwrap_err();
        assert!(matches!(error, CheckpointError::NoFileName { .. }));
    }

    #[cfg(unix)]
    #[test]
    fn permissions_are_those_of_an_ordinary_file() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (ours, ordinary) = (dir.path().join("ours"), dir.path().join("ordinary"));
        write_bytes(&ours, b"").unwrap();
        fs_err::write(&ordinary, b"").unwrap();
        let mode = |p: &Path| fs_err::metadata(p).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&ordinary));
    }
}
