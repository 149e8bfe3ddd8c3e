//! A plain text, as a source for language models.

use std::path::PathBuf;
use std::sync::Arc;

use super::corpus::{Corpus, TextFile, no_samples, read_text};
use super::reader::{Kind, Part, Reader};
use super::{Amount, DataSplit};
use crate::TrainingError;

pub(super) const KIND: Kind = Kind {
    name: "text",
    usage: "text:FILE",
    open: |argument| Ok(Arc::new(Text(TextFile::open("text", argument)?))),
};

/// The data source.
#[derive(Debug)]
struct Text(TextFile);

impl Reader for Text {
    fn classes(&self) -> Result<usize, TrainingError> {
        Err(no_samples(KIND.usage))
    }

    fn files(&self, part: Part) -> Result<Vec<PathBuf>, TrainingError> {
        Ok(vec![self.0.file(part)])
    }

    fn both(&self, _: u64, _: Amount, _: Amount) -> Result<DataSplit, TrainingError> {
        Err(no_samples(KIND.usage))
    }

    fn check_corpus(&self) -> Result<bool, TrainingError> {
        for path in self.0.files() {
            read_text(&path)?;
        }
        Ok(true)
    }

    fn corpus(&self, part: Part, _: u64) -> Result<Option<Corpus>, TrainingError> {
        let text = read_text(&self.0.file(part))?;
        let part = self.0.part_of_text(&text, part)?;
        Ok(Some(Corpus::Running(part.to_string())))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::data::DataSource;

    #[test]
    fn parts_do_not_overlap_and_files_that_are_no_text_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        let text: String = (0..100).map(|line| format!("line {line}\n")).collect();
        std::fs::write(&path, format!("\u{feff}{text}")).unwrap();
        let source = |options: &str| -> DataSource {
            format!("text:{}{options}", path.display()).parse().unwrap()
        };
        let running = |corpus: Corpus| match corpus {
            Corpus::Running(text) => text,
            Corpus::Passages(_) => unreachable!("a text"),
        };
        let parts = |source: &DataSource| {
            let train = running(source.training_corpus(1).unwrap());
            (train, running(source.test_corpus(1).unwrap()))
        };
        let (train, test) = parts(&source(""));
        assert_eq!(train.clone() + &test, text);
        assert!(
            test.starts_with("line 9") && train.ends_with('\n'),
            "{test}"
        );
        let (train, test) = parts(&source("?test_share=0.5"));
        assert!(train.len().abs_diff(test.len()) < 16);
        std::fs::write(folder.path().join("b.txt"), "other").unwrap();
        let apart = parts(&source("?test=b.txt"));
        assert_eq!(apart, (text, "other".to_string()));

        std::fs::write(folder.path().join("b.txt"), b"one\ntwo\xff\n").unwrap();
        let message = source("?test=b.txt")
            .check_corpus()
            .unwrap_err()
            .to_string();
        assert!(
            message.ends_with("b.txt, line 2: it is not UTF-8; save it as UTF-8"),
            "{message}"
        );
        std::fs::write(&path, " \n").unwrap();
        assert!(
            source("")
                .check_corpus()
                .unwrap_err()
                .to_string()
                .contains("it holds no text")
        );
        std::fs::write(&path, "x").unwrap();
        let message = source("").test_corpus(1).and(source("").training_corpus(1));
        assert!(message.unwrap_err().to_string().contains("it is too short"));
        let message = source("").classes().unwrap_err().to_string();
        assert!(
            message.contains("has text, samples with labels are needed"),
            "{message}"
        );
        let digits = DataSource::digits().check_corpus().unwrap_err().to_string();
        assert!(
            digits.contains("`digits` has samples, text is needed"),
            "{digits}"
        );
    }
}
