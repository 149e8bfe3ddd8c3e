//! The files of a store that changes as a whole: each change writes new ones, under the number of the next generation, and one small file that is
//! replaced in one step says which generation holds.

use std::path::Path;

use anyhow::Result;

/// Removes the files and folders in `folder` that are called one of `names`, followed by the number of another generation than `generation` and perhaps
/// an ending.
///
/// # Errors
/// What the operating system refuses.
pub(crate) fn remove_others(folder: &Path, names: &[&str], generation: u64) -> Result<()> {
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let number = names.iter().find_map(|start| {
            let rest = name.strip_prefix(start)?;
            rest.split('.').next()?.parse::<u64>().ok()
        });
        match number {
            Some(number) if number != generation => match path.is_dir() {
                true => fs_err::remove_dir_all(&path)?,
                false => fs_err::remove_file(&path)?,
            },
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn other_generations_go_and_other_files_stay() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for name in ["a-1", "a-12", "b-2"] {
            std::fs::create_dir(folder.join(name)).unwrap();
            std::fs::write(folder.join(format!("{name}.jsonl")), "").unwrap();
        }
        std::fs::write(folder.join("a-last"), "").unwrap();
        remove_others(folder, &["a-", "c-"], 12).unwrap();
        let mut left: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["a-12", "a-12.jsonl", "a-last", "b-2", "b-2.jsonl"]);
    }
}
