//! What language models learn from: one running text, or separate passages.

use std::path::{Path, PathBuf};

use crossburn_noise::{Philox, path_hash};

use super::options::Options;
use super::reader::Part;
use crate::TrainingError;

/// The share of test text, if no option gives one.
const TEST_SHARE: f64 = 0.1;
/// The largest file that is read, in bytes.
const MOST: u64 = 1 << 30;
/// Seed of the random order of the passages in a file. It is fixed, so that the order does not depend on a recipe.
const ORDER: u64 = 0;

/// What language models learn from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Corpus {
    /// One continuous text.
    Running(String),
    /// Texts that are independent of each other.
    Passages(Vec<Passage>),
}

/// A short text whose end is learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// Where it comes from, for messages: a file and a line.
    pub place: String,
    /// The beginning, which is given; may be empty.
    pub prompt: String,
    /// The end, which is learned.
    pub completion: String,
    /// Whose text it is, or what it is about, where the source says so: a user, an author, a category.
    pub profile: Option<String>,
    /// Whether the token that ends a text follows. Otherwise the completion ends itself, for example with a line break.
    pub ends: bool,
}

/// The options that all files with texts have.
pub(super) const OPTIONS: &[&str] = &["test", "test_share"];

/// A file with texts, and where the test texts are.
#[derive(Clone, Debug)]
pub(super) struct TextFile {
    pub(super) options: Options,
    path: PathBuf,
    /// The file of the test texts, if they have their own.
    test: Option<PathBuf>,
    /// Share of test text, if training and test texts share a file.
    test_share: f64,
}

impl TextFile {
    pub(super) fn open(kind: &str, argument: &str) -> Result<Self, TrainingError> {
        Self::open_with(kind, argument, &[])
    }

    /// A file with texts that accepts the options `further` too.
    pub(super) fn open_with(
        kind: &str,
        argument: &str,
        further: &[&str],
    ) -> Result<Self, TrainingError> {
        let options = Options::parse(kind, argument, &[OPTIONS, further])?;
        let what = "a number above 0 and below 1";
        let share = options.number("test_share", what, |share| *share > 0.0 && *share < 1.0)?;
        if share.is_some() && options.get("test").is_some() {
            return Err(options
                .refuse("test_share has no meaning beside test: give one of the two".to_string()));
        }
        Ok(Self {
            test_share: share.unwrap_or(TEST_SHARE),
            path: options.path.clone(),
            test: options.beside("test"),
            options,
        })
    }

    /// The two files of a folder, instead of one.
    pub(super) fn in_folder(self, train: &str, test: &str) -> Self {
        let file = |name: &str| self.options.path.join(name);
        Self {
            path: file(train),
            test: Some(file(test)),
            ..self
        }
    }

    /// The file that holds `part`.
    pub(super) fn file(&self, part: Part) -> PathBuf {
        match (part, &self.test) {
            (Part::Test, Some(test)) => test.clone(),
            _ => self.path.clone(),
        }
    }

    /// All files.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let own = std::iter::once(self.path.clone());
        own.chain(self.test.clone()).collect()
    }

    /// `part` of a text: the whole text if the part has its own file, otherwise the text before or after a line end.
    pub(super) fn part_of_text<'a>(
        &self,
        text: &'a str,
        part: Part,
    ) -> Result<&'a str, TrainingError> {
        if self.test.is_some() {
            return Ok(text);
        }
        let (train, test) = text.split_at(cut(text, self.test_share));
        let found = match part {
            Part::Train => train,
            Part::Test => test,
        };
        match found.trim().is_empty() {
            true => Err(TrainingError::data(
                self.path.display().to_string(),
                format!("it is too short to hold {} text", part.name()),
                "give a longer text, or the test text in a file of its own with ?test=FILE",
            )),
            false => Ok(found),
        }
    }

    /// `part` of passages: all if the part has its own file, otherwise some of them, in a random order that never changes.
    pub(super) fn part_of_passages(
        &self,
        passages: Vec<Passage>,
        part: Part,
    ) -> Result<Vec<Passage>, TrainingError> {
        let count = passages.len();
        let order = Philox::new(path_hash("order of passages"), ORDER).permutation(count);
        let mut passages: Vec<Option<Passage>> = passages.into_iter().map(Some).collect();
        let mut ordered: Vec<Passage> = order
            .into_iter()
            .filter_map(|at| passages[at].take())
            .collect();
        if self.test.is_some() {
            return Ok(ordered);
        }
        if count < 2 {
            return Err(TrainingError::data(
                self.path.display().to_string(),
                "one passage cannot be learned from and be kept apart",
                "give more passages, or the test passages in a file of their own with ?test=FILE",
            ));
        }
        let test = (self.test_share * count as f64).round() as usize;
        let rest = ordered.split_off(count - test.clamp(1, count - 1));
        Ok(match part {
            Part::Train => ordered,
            Part::Test => rest,
        })
    }
}

/// The place where `text` is cut, so that about `share` of it comes after: at the end of a line, or between two characters if no line ends
/// soon.
fn cut(text: &str, share: f64) -> usize {
    let mut at = ((1.0 - share) * text.len() as f64) as usize;
    while !text.is_char_boundary(at) {
        at += 1;
    }
    let line = text[at..].find('\n').map(|end| at + end + 1);
    // If the last line is most of the test text, it is cut.
    line.filter(|line| 2 * (text.len() - line) >= text.len() - at)
        .unwrap_or(at)
}

/// The text of a file, without a byte-order mark.
///
/// # Errors
/// Those of [`read_utf8`], and [`TrainingError::Data`] for a file that is empty.
pub(super) fn read_text(path: &Path) -> Result<String, TrainingError> {
    let text = read_utf8(path)?;
    match text.trim().is_empty() {
        true => Err(TrainingError::data(
            path.display().to_string(),
            "it holds no text",
            "name a file with text",
        )),
        false => Ok(text),
    }
}

/// The text of a file of at most 1 GiB, which may be empty, without a byte-order mark.
///
/// # Errors
/// [`TrainingError::Read`], [`TrainingError::TooLarge`], and [`TrainingError::Data`] with the first line that is not UTF-8.
pub fn read_utf8(path: &Path) -> Result<String, TrainingError> {
    let failed = |cause| TrainingError::Read {
        path: path.to_path_buf(),
        cause,
    };
    if std::fs::metadata(path).map_err(failed)?.len() > MOST {
        return Err(TrainingError::TooLarge {
            path: path.to_path_buf(),
            mebibytes: MOST >> 20,
        });
    }
    let bytes = std::fs::read(path).map_err(failed)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        TrainingError::data(
            format!("{}, line {line}", path.display()),
            "it is not UTF-8",
            "save it as UTF-8",
        )
    })?;
    Ok(text
        .strip_prefix('\u{feff}')
        .map(str::to_string)
        .unwrap_or(text))
}

/// The error for a source of texts that is used where labelled samples are needed.
pub(super) fn no_samples(kind: &str) -> TrainingError {
    TrainingError::Content {
        source_name: kind.to_string(),
        has: "text",
        needs: "samples with labels are",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_a_line_end_and_between_characters() {
        let lines = "one\ntwo\nthree\nfour\nfive\n";
        // 24 bytes: a quarter begins at byte 18, the line ends at 19.
        assert_eq!(&lines[cut(lines, 0.25)..], "five\n");
        let line = "日本語日本語";
        // The cut falls on byte 9 of 18, which begins a character; byte 10 does not.
        assert_eq!(cut(line, 0.5), 9);
        assert_eq!(cut(line, 0.45), 9);
        assert_eq!(cut(line, 0.4), 12);
        // The only line end is the last one.
        assert_eq!(cut("abcdefghi\n", 0.5), 5);
    }
}
