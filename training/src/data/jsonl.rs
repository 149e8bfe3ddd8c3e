//! Passages of a user, one JSON object a line, as a source for language models.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::corpus::{Corpus, Passage, TextFile, no_samples, read_text};
use super::reader::{Kind, Part, Reader};
use super::{Amount, DataSplit};
use crate::TrainingError;

pub(super) const KIND: Kind = Kind {
    name: "jsonl",
    usage: "jsonl:FILE",
    open: |argument| Ok(Arc::new(Jsonl::open(argument)?)),
};

/// The names of the options beside those of all files with texts.
const OPTIONS: &[&str] = &["prompt", "completion", "least"];

/// The data source.
#[derive(Debug)]
struct Jsonl {
    file: TextFile,
    /// The keys of prompts and completions, where they have other names.
    keys: Option<[String; 2]>,
    /// Letters of a completion; shorter ones, and those that came before, are left out.
    least: Option<usize>,
    /// What was left out of the lines that were read last.
    left_out: Mutex<Option<String>>,
}

impl Jsonl {
    fn open(argument: &str) -> Result<Self, TrainingError> {
        let file = TextFile::open_with(KIND.name, argument, OPTIONS)?;
        let options = &file.options;
        let keys = match (options.get("prompt"), options.get("completion")) {
            (None, None) => None,
            (Some(prompt), Some(completion)) => Some([prompt.to_string(), completion.to_string()]),
            _ => {
                let problem = "prompt and completion name the two keys of a line: give both";
                return Err(options.refuse(problem.to_string()));
            }
        };
        let least = options.number("least", "a number of letters above 0", |least| *least > 0)?;
        Ok(Self {
            keys,
            least,
            file,
            left_out: Mutex::default(),
        })
    }

    /// The lines of a file that are taken.
    fn passages(&self, path: &Path) -> Result<Vec<Passage>, TrainingError> {
        let text = read_text(path)?;
        let place = |index: usize| format!("{}, line {}", path.display(), index + 1);
        let (mut taken, mut known, mut lines) = (Vec::new(), BTreeSet::new(), 0);
        for (index, line) in text.lines().enumerate() {
            let found = match &self.keys {
                None => Some(passage(place(index), line)?),
                Some(keys) => self.passage_of(keys, place(index), line)?,
            };
            lines += 1;
            let long = |passage: &Passage| {
                self.least.is_none_or(|least| {
                    let letters = passage.completion.trim();
                    letters.chars().count() >= least && known.insert(letters.to_string())
                })
            };
            taken.extend(found.filter(long));
        }
        let without = lines - taken.len();
        if let Ok(mut left_out) = self.left_out.lock() {
            *left_out = (without > 0).then(|| {
                format!(
                    "{}: {without} of {lines} lines were left out, whose completion is short or came before",
                    path.display()
                )
            });
        }
        Ok(taken)
    }

    /// What a line says under `keys`; `None` where it is empty and short completions are left out.
    fn passage_of(
        &self,
        keys: &[String; 2],
        place: String,
        line: &str,
    ) -> Result<Option<Passage>, TrainingError> {
        let refuse = |problem: String| {
            let remedy = "give every line both keys, or name others with prompt= and completion=";
            TrainingError::data(place.clone(), problem, remedy)
        };
        let document: Value = serde_json::from_str(line)
            .map_err(|error| refuse(format!("it is not JSON ({error})")))?;
        let text = |key: &String| match document.get(key) {
            Some(Value::String(text)) => Ok(text.clone()),
            _ => Err(refuse(format!("it has no text {key:?}"))),
        };
        let [prompt, completion] = [text(&keys[0])?, text(&keys[1])?];
        match (completion.trim().is_empty(), self.least) {
            (true, None) => Err(refuse("there is nothing in it to learn".to_string())),
            (true, Some(_)) => Ok(None),
            (false, _) => Ok(Some(Passage {
                place: place.clone(),
                prompt,
                completion,
                ends: true,
            })),
        }
    }
}

impl Reader for Jsonl {
    fn classes(&self) -> Result<usize, TrainingError> {
        Err(no_samples(KIND.usage))
    }

    fn files(&self, part: Part) -> Result<Vec<PathBuf>, TrainingError> {
        Ok(vec![self.file.file(part)])
    }

    fn both(&self, _: u64, _: Amount, _: Amount) -> Result<DataSplit, TrainingError> {
        Err(no_samples(KIND.usage))
    }

    fn check_corpus(&self) -> Result<bool, TrainingError> {
        for path in self.file.files() {
            self.passages(&path)?;
        }
        Ok(true)
    }

    fn corpus(&self, part: Part, _: u64) -> Result<Option<Corpus>, TrainingError> {
        let passages = self.passages(&self.file.file(part))?;
        let passages = self.file.part_of_passages(passages, part)?;
        Ok(Some(Corpus::Passages(passages)))
    }

    fn left_out(&self) -> Option<String> {
        self.left_out.lock().ok()?.clone()
    }
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

    #[test]
    fn keys_may_have_other_names_and_short_lines_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("news.jsonl");
        let lines = [
            r#"{"headline": "a", "summary": "a long one", "year": 2022}"#,
            r#"{"headline": "b", "summary": ""}"#,
            r#"{"headline": "c", "summary": "short"}"#,
            r#"{"headline": "d", "summary": "a long one"}"#,
            r#"{"headline": "e", "summary": "another long one"}"#,
        ];
        std::fs::write(&path, lines.join("\n")).unwrap();
        let file = path.display();
        let open = |options: &str| format!("jsonl:{file}?{options}").parse::<DataSource>();
        let source = open("prompt=headline&completion=summary&least=8&test_share=0.5").unwrap();
        let mut found = Vec::new();
        for corpus in [source.training_corpus(1), source.test_corpus(1)] {
            let Corpus::Passages(passages) = corpus.unwrap() else {
                panic!("passages");
            };
            found.extend(passages.into_iter().map(|p| (p.prompt, p.completion)));
        }
        found.sort();
        let expected = [("a", "a long one"), ("e", "another long one")];
        assert_eq!(found, expected.map(|(a, b)| (a.to_string(), b.to_string())));
        assert_eq!(
            source.left_out().unwrap(),
            format!("{file}: 3 of 5 lines were left out, whose completion is short or came before")
        );
        let all = open("prompt=headline&completion=summary").unwrap();
        let message = all.check_corpus().unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("{file}, line 2: there is nothing")),
            "{message}"
        );
        let other = open("prompt=headline&completion=text&least=8").unwrap();
        let message = other.check_corpus().unwrap_err().to_string();
        assert!(
            message.contains(r#"line 1: it has no text "text""#),
            "{message}"
        );
        let message = open("prompt=headline").unwrap_err().to_string();
        assert!(message.contains("give both"), "{message}");
        assert!(open("least=0").is_err());
    }
}
