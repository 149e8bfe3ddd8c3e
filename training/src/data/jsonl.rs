//! Passages of a user, one JSON object per line, as a source for language models.

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

/// The options of this kind, in addition to those of every file with texts.
const OPTIONS: &[&str] = &["prompt", "completion", "least", "profile"];

/// The data source.
#[derive(Debug)]
struct Jsonl {
    file: TextFile,
    /// The keys of prompts and completions, if they have other names.
    keys: Option<[String; 2]>,
    /// Fewest letters of a completion. Lines with fewer, or whose completion repeats that of an earlier line, are left out.
    least: Option<usize>,
    /// How many lines were left out when the file was last read, and why.
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

    /// The passages of the lines that are used.
    fn passages(&self, path: &Path) -> Result<Vec<Passage>, TrainingError> {
        let text = read_text(path)?;
        let (mut taken, mut known, mut lines) = (Vec::new(), BTreeSet::new(), 0);
        for line in text.lines() {
            lines += 1;
            let form = Form {
                keys: self.keys.as_ref(),
                profile: self.file.options.get("profile"),
                place: format!("{}, line {lines}", path.display()),
            };
            let passage = form.passage(line)?;
            let letters = passage.completion.trim();
            let is_taken = match self.least {
                None if letters.is_empty() => {
                    return Err(form.refuse("there is nothing in it to learn"));
                }
                None => true,
                Some(least) => {
                    letters.chars().count() >= least && known.insert(letters.to_string())
                }
            };
            if is_taken {
                taken.push(passage);
            }
        }
        let without = lines - taken.len();
        if let Ok(mut left_out) = self.left_out.lock() {
            *left_out = (without > 0).then(|| {
                format!(
                    "{}: {without} of {lines} lines were left out: their completion is short, or that of an earlier line",
                    path.display()
                )
            });
        }
        Ok(taken)
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

/// How a line is read.
struct Form<'a> {
    /// The keys of prompt and completion, if they have other names.
    keys: Option<&'a [String; 2]>,
    /// The key that says whose text it is, if there is one.
    profile: Option<&'a str>,
    /// File and line, for messages.
    place: String,
}

impl Form<'_> {
    fn refuse(&self, problem: impl Into<String>) -> TrainingError {
        let remedy = match self.keys {
            None => r#"write {"prompt": "...", "completion": "..."} or {"text": "..."}"#,
            Some(_) => "give every line both keys, or name others with prompt= and completion=",
        };
        TrainingError::data(self.place.clone(), problem.into(), remedy)
    }

    /// The passage in a line: `{"prompt": "...", "completion": "..."}`, `{"text": "..."}`, or the keys of this form. Other keys are ignored, and
    /// the completion may be blank.
    fn passage(&self, line: &str) -> Result<Passage, TrainingError> {
        if line.trim().is_empty() {
            return Err(self.refuse("the line is empty"));
        }
        let document: Value = serde_json::from_str(line)
            .map_err(|error| self.refuse(format!("it is not JSON ({error})")))?;
        let Value::Object(document) = document else {
            return Err(self.refuse("it is not a JSON object"));
        };
        let text = |key: &str| match document.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.refuse(format!("{key:?} is not a text"))),
        };
        let needed =
            |key: &str| text(key)?.ok_or_else(|| self.refuse(format!("it has no {key:?}")));
        let (prompt, completion) = match self.keys {
            Some([prompt, completion]) => (needed(prompt)?, needed(completion)?),
            None => match (text("prompt")?, text("completion")?, text("text")?) {
                (None, None, Some(text)) => (String::new(), text),
                (None, None, None) => {
                    return Err(self.refuse(r#"it has neither "completion" nor "text""#));
                }
                (_, _, Some(_)) => return Err(self.refuse(r#"it has "text" and another form"#)),
                (_, _, None) => (needed("prompt")?, needed("completion")?),
            },
        };
        let profile = self.profile.map(needed).transpose()?;
        Ok(Passage {
            place: self.place.clone(),
            prompt,
            completion,
            profile: profile.filter(|name| !name.trim().is_empty()),
            ends: true,
        })
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
            format!(
                "{file}: 3 of 5 lines were left out: their completion is short, or that of an earlier line"
            )
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
            message.contains(r#"line 1: it has no "text"; give every line both keys"#),
            "{message}"
        );
        let message = open("prompt=headline").unwrap_err().to_string();
        assert!(message.contains("give both"), "{message}");
        assert!(open("least=0").is_err());
        let source = open("prompt=headline&completion=summary&least=8&profile=headline").unwrap();
        let Corpus::Passages(passages) = source.training_corpus(1).unwrap() else {
            panic!("passages");
        };
        assert!(
            passages
                .iter()
                .all(|p| p.profile.as_ref() == Some(&p.prompt))
        );
        let other = open("prompt=headline&completion=summary&least=8&profile=author").unwrap();
        let message = other.check_corpus().unwrap_err().to_string();
        assert!(
            message.contains(r#"line 1: it has no "author""#),
            "{message}"
        );
        std::fs::write(&path, "{\"text\": \" \"}\n{\"text\": \"a long one\"}").unwrap();
        let blank = open("least=8").unwrap();
        blank.check_corpus().unwrap();
        assert!(blank.left_out().unwrap().contains("1 of 2 lines"));
    }
}
