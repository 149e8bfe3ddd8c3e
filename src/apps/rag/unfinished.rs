//! The vectors that an interrupted index has made.

use std::collections::HashMap;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use crossburn_checkpoints::checksum;
use fs_err::File;
use serde::{Deserialize, Serialize};

use super::encoder::EncoderSettings;

/// The file in the folder of the store. It is removed when the passages are in the store.
const FILE: &str = ".unfinished.jsonl";

/// The first line. The vectors of one encoder are useless for another.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    encoder: EncoderSettings,
    dimension: usize,
}

/// Every other line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// Checksum of the text.
    passage: String,
    vector: Vec<f32>,
}

/// The vectors that an interrupted index has left, and those that are made now. Each batch is written to disk before the next begins, so that a killed
/// index loses at most one batch.
pub(crate) struct Unfinished {
    path: PathBuf,
    file: File,
    known: HashMap<String, Vec<f32>>,
}

impl Unfinished {
    /// Opens or creates the file in `folder`. Vectors of another encoder are dropped, and so are all lines from the first damaged one on.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub(crate) fn open(folder: &Path, encoder: &EncoderSettings, dimension: usize) -> Result<Self> {
        let path = folder.join(FILE);
        let mut options = fs_err::OpenOptions::new();
        let mut file = options
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)?;
        let bytes = fs_err::read(&path)?;
        let (end, known) = kept(&bytes, encoder, dimension);
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
        if end == 0 {
            let header = Header {
                encoder: encoder.clone(),
                dimension,
            };
            writeln!(file, "{}", serde_json::to_string(&header)?)?;
        }
        Ok(Self { path, file, known })
    }

    /// The number of `texts` that have a vector.
    pub(crate) fn known(&self, texts: &[&str]) -> usize {
        let known = texts.iter().filter(|text| self.vector(text).is_some());
        known.count()
    }

    /// The vector of a text, if it was made before.
    pub(crate) fn vector(&self, text: &str) -> Option<&Vec<f32>> {
        self.known.get(&checksum(text.as_bytes()))
    }

    /// Keeps new vectors.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(crate) fn keep(&mut self, texts: &[&str], vectors: Vec<Vec<f32>>) -> Result<()> {
        let mut lines = String::new();
        for (text, vector) in texts.iter().zip(vectors) {
            let line = Line {
                passage: checksum(text.as_bytes()),
                vector,
            };
            lines.push_str(&serde_json::to_string(&line)?);
            lines.push('\n');
            self.known.insert(line.passage, line.vector);
        }
        self.file
            .write_all(lines.as_bytes())
            .context("cannot keep what is done; hint: free some space")
    }

    /// Removes the file, because the store has its vectors now.
    ///
    /// # Errors
    /// A file that cannot be removed.
    pub(crate) fn remove(self) -> Result<()> {
        drop(self.file);
        Ok(fs_err::remove_file(self.path)?)
    }
}

/// The vectors in `bytes`, and the end of the last one.
fn kept(
    bytes: &[u8],
    encoder: &EncoderSettings,
    dimension: usize,
) -> (u64, HashMap<String, Vec<f32>>) {
    let mut known = HashMap::new();
    let mut end = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let whole = line.ends_with(b"\n");
        let good = whole
            && match end {
                0 => serde_json::from_slice::<Header>(line).is_ok_and(|header| {
                    header.encoder.is_same(encoder) && header.dimension == dimension
                }),
                _ => match serde_json::from_slice::<Line>(line) {
                    Ok(line) if line.vector.len() == dimension => {
                        known.insert(line.passage, line.vector);
                        true
                    }
                    _ => false,
                },
            };
        if !good {
            break;
        }
        end += line.len() as u64;
    }
    (end, known)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn encoder(seed: u64) -> EncoderSettings {
        EncoderSettings::HashedNgrams { dimension: 2, seed }
    }

    #[test]
    fn vectors_are_kept_to_the_bit_up_to_a_line_that_was_cut() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut first = Unfinished::open(folder, &encoder(0), 2).unwrap();
        let vectors = [vec![0.1, -3.4e-12], vec![f32::MIN_POSITIVE, 1.0 / 3.0]];
        first.keep(&["a", "b"], vectors.to_vec()).unwrap();
        drop(first);
        let path = folder.join(FILE);
        let bytes = fs_err::read(&path).unwrap();
        fs_err::write(&path, &bytes[..bytes.len() - 3]).unwrap();

        let mut second = Unfinished::open(folder, &encoder(0), 2).unwrap();
        assert_eq!(second.known(&["b", "a"]), 1);
        assert_eq!(second.known(&["b", "c"]), 0);
        assert_eq!(second.vector("a"), Some(&vectors[0]));
        assert_eq!(second.vector("b"), None);
        second.keep(&["b"], vectors[1..].to_vec()).unwrap();
        drop(second);
        assert_eq!(fs_err::read(&path).unwrap(), bytes);

        // With another encoder, the file starts anew.
        let other = Unfinished::open(folder, &encoder(1), 2).unwrap();
        assert_eq!(other.known(&["a", "b"]), 0);
        other.remove().unwrap();
        assert!(!path.exists());
    }
}
