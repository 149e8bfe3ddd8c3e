//! Files that are written whole or not at all.

use std::io::{self, Write};
use std::path::Path;

use super::ReportError;

/// Writes `text` to a temporary file in the folder of `path`, then renames it, so that a reader never sees half a file
/// and an interrupted run leaves the earlier one.
pub(crate) fn write_file(path: &Path, text: &str) -> Result<(), ReportError> {
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let write = || -> io::Result<()> {
        let mut builder = tempfile::Builder::new();
        // Temporary files are private by default; a result is as readable as any other new file.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.prefix(".crossburn-").tempfile_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|source| write_error(path, source))
}

/// Makes a folder and its parents.
pub(crate) fn create_folder(path: &Path) -> Result<(), ReportError> {
    fs_err::create_dir_all(path).map_err(|source| write_error(path, source))
}

/// Removes a file if it is there.
pub(crate) fn remove_file(path: &Path) -> Result<(), ReportError> {
    match fs_err::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(write_error(path, source)),
        _ => Ok(()),
    }
}

fn write_error(path: &Path, source: io::Error) -> ReportError {
    ReportError::Write {
        path: path.into(),
        reason: source.kind(),
        source,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn replaces_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write_file(&path, "one").unwrap();
        write_file(&path, "two").unwrap();
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn names_the_path_and_the_remedy_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        write_file(&file, "").unwrap();
        // A file stands where a folder is needed, which no user may write into, not even an administrator.
        for error in [
            create_folder(&file.join("run")),
            write_file(&file.join("run.json"), ""),
        ] {
            let message = error.unwrap_err().to_string();
            assert!(
                message.contains("file/run") && message.contains("choose a run folder"),
                "{message}"
            );
            assert!(!message.contains('\n'), "{message}");
        }
    }
}
