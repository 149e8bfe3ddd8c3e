//! Passages of a user, one JSON object a line, as a source for language models.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::corpus::{Corpus, Passage, TextFile, no_samples, read_text};
use super::reader::{Kind, Part, Reader};
use super::{Amount, DataSplit};
use crate::TrainingError;

pub(super) const KIND: Kind = Kind {
    name: "jsonl",
    usage: "jsonl:FILE",
    open: |argument| Ok(Arc::new(Jsonl(TextFile::open("jsonl", argument)?))),
};

/// The data source.
#[derive(Debug)]
struct Jsonl(TextFile);

impl Reader for Jsonl {
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
            passages(&path)?;
        }
        Ok(true)
    }

    fn corpus(&self, part: Part, _: u64) -> Result<Option<Corpus>, TrainingError> {
        let passages = passages(&self.0.file(part))?;
        let passages = self.0.part_of_passages(passages, part)?;
        Ok(Some(Corpus::Passages(passages)))
    }
}

/// Every line of the file.
fn passages(path: &Path) -> Result<Vec<Passage>, TrainingError> {
    let text = read_text(path)?;
    let lines = text.lines().enumerate();
    lines
        .map(|(index, line)| passage(format!("{}, line {}", path.display(), index + 1), line))
        .collect()
}

/// What a line says: `{"prompt": "...", "completion": "..."}` or `{"text": "..."}`; other keys do not matter.
fn passage(place: String, line: &str) -> Result<Passage, TrainingError> {
    const FORMS: &str = r#"write {"prompt": "...", "completion": "..."} or {"text": "..."}"#;
    let refuse = |problem: String| Err(TrainingError::data(place.clone(), problem, FORMS));
    if line.trim().is_empty() {
        return refuse("the line is empty".to_string());
    }
    let document: Value = match serde_json::from_str(line) {
        Ok(document) => document,
        Err(error) => return refuse(format!("it is not JSON ({error})")),
    };
    let Value::Object(document) = document else {
        return refuse("it is not a JSON object".to_string());
    };
    let text = |key: &str| match document.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("{key:?} is not a text")),
    };
    let found = (|| Ok::<_, String>((text("prompt")?, text("completion")?, text("text")?)))();
    let (prompt, completion) = match found {
        Err(problem) => return refuse(problem),
        Ok((Some(prompt), Some(completion), None)) => (prompt, completion),
        Ok((None, None, Some(text))) => (String::new(), text),
        Ok((None, None, None)) => {
            return refuse(r#"it has neither "completion" nor "text""#.to_string());
        }
        Ok((_, _, Some(_))) => return refuse(r#"it has "text" and another form"#.to_string()),
        Ok((None, Some(_), None)) => return refuse(r#"it has no "prompt""#.to_string()),
        Ok((Some(_), None, None)) => return refuse(r#"it has no "completion""#.to_string()),
    };
    match completion.trim().is_empty() {
        true => refuse("there is nothing in it to learn".to_string()),
        false => Ok(Passage {
            place,
            prompt,
            completion,
            ends: true,
        }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::data::DataSource;

    #[test]
    fn every_line_is_in_one_part_and_a_bad_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("u.jsonl");
        let source: DataSource = format!("jsonl:{}", path.display()).parse().unwrap();
        let lines: Vec<String> = (0..20)
            .map(|i| match i % 2 {
                0 => format!(r#"{{"prompt": "q{i}", "completion": " a{i}", "user": 3}}"#),
                _ => format!(r#"{{"text": "t{i}"}}"#),
            })
            .collect();
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        let passages = |corpus: Corpus| match corpus {
            Corpus::Passages(passages) => passages,
            Corpus::Running(_) => unreachable!("passages"),
        };
        let train = passages(source.training_corpus(1).unwrap());
        let test = passages(source.test_corpus(9).unwrap());
        assert_eq!((train.len(), test.len()), (18, 2));
        let mut all: Vec<String> = train
            .iter()
            .chain(&test)
            .map(|p| p.completion.clone())
            .collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 20);
        assert!(
            train
                .iter()
                .any(|p| p.prompt == "q2" && p.place.ends_with("u.jsonl, line 3"))
        );

        for (line, problem) in [
            ("", "the line is empty"),
            ("{", "it is not JSON ("),
            ("[1]", "it is not a JSON object"),
            (r#"{"prompt": "a"}"#, "it has no \"completion\""),
            (r#"{"completion": "a"}"#, "it has no \"prompt\""),
            (
                r#"{"prompt": 1, "completion": "a"}"#,
                "\"prompt\" is not a text",
            ),
            (
                r#"{"text": "a", "completion": "b"}"#,
                "it has \"text\" and another form",
            ),
            (r#"{"text": " "}"#, "there is nothing in it to learn"),
            (
                r#"{"words": "a"}"#,
                "it has neither \"completion\" nor \"text\"",
            ),
        ] {
            std::fs::write(&path, format!("{}\n{line}\n{}\n", lines[0], lines[1])).unwrap();
            let message = source.check_corpus().unwrap_err().to_string();
            assert!(
                message.contains(&format!("u.jsonl, line 2: {problem}")),
                "{message}"
            );
        }
    }
}
