//! The options of a data source: `FILE?name=value&name=value`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::TrainingError;

/// A file or folder, and the options after it.
#[derive(Clone, Debug)]
pub(super) struct Options {
    /// The file or folder.
    pub(super) path: PathBuf,
    /// The source as the user wrote it, for messages.
    source: String,
    given: BTreeMap<String, String>,
}

impl Options {
    /// Reads the text after `kind:`. `known` lists the names of the options, in groups.
    ///
    /// # Errors
    /// [`TrainingError::SourceOption`] for an option that does not exist, has no value or is given twice.
    pub(super) fn parse(
        kind: &str,
        argument: &str,
        known: &[&[&str]],
    ) -> Result<Self, TrainingError> {
        let (path, text) = argument.split_once('?').unwrap_or((argument, ""));
        let options = Self {
            path: path.into(),
            source: format!("{kind}:{argument}"),
            given: BTreeMap::new(),
        };
        if path.is_empty() {
            return Err(options.refuse(format!("it names no file: use {kind}:PATH?{text}")));
        }
        options.with(text, known)
    }

    /// Reads the options `text` of a source without a file, as in `kind?text`.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub(super) fn without_path(
        kind: &str,
        text: &str,
        known: &[&[&str]],
    ) -> Result<Self, TrainingError> {
        let options = Self {
            path: PathBuf::new(),
            source: match text {
                "" => kind.to_string(),
                text => format!("{kind}?{text}"),
            },
            given: BTreeMap::new(),
        };
        options.with(text, known)
    }

    /// Adds the options in `text`.
    fn with(mut self, text: &str, known: &[&[&str]]) -> Result<Self, TrainingError> {
        for option in text.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            if !known.iter().any(|group| group.contains(&name)) {
                let names: Vec<&str> = known.iter().copied().flatten().copied().collect();
                return Err(self.refuse(unknown(name, &names)));
            }
            if value.is_empty() {
                return Err(self.refuse(format!("{name} has no value: use {name}=VALUE")));
            }
            if self.given.contains_key(name) {
                return Err(self.refuse(format!("{name} is given twice: give it once")));
            }
            self.given.insert(name.to_string(), value.to_string());
        }
        Ok(self)
    }

    /// The value of an option, if it is given.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.given.get(name).map(String::as_str)
    }

    /// The value of an option as a number.
    ///
    /// # Errors
    /// [`TrainingError::SourceOption`] if the value is no such number; `what` says what it must be.
    pub(super) fn number<T: std::str::FromStr>(
        &self,
        name: &str,
        what: &str,
        allowed: impl Fn(&T) -> bool,
    ) -> Result<Option<T>, TrainingError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        match text.parse().ok().filter(allowed) {
            Some(number) => Ok(Some(number)),
            None => Err(self.refuse(format!("{name}={text} is not allowed: use {what}"))),
        }
    }

    /// The value of an option that is one of the words of `choices`. Each word stands for a value.
    ///
    /// # Errors
    /// [`TrainingError::SourceOption`] that lists the words, for any other text.
    pub(super) fn one_of<T: Copy>(
        &self,
        name: &str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, TrainingError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let chosen = choices.iter().find(|(word, _)| *word == text);
        if let Some((_, value)) = chosen {
            return Ok(Some(*value));
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let allowed = match words.split_last() {
            Some((last, [])) => (*last).to_string(),
            Some((last, first)) => format!("{} or {last}", first.join(", ")),
            None => String::new(),
        };
        Err(self.refuse(format!("{name}={text} is not allowed: use {allowed}")))
    }

    /// The value of an option that is `yes` or `no`.
    ///
    /// # Errors
    /// [`TrainingError::SourceOption`] for any other value.
    pub(super) fn yes_or_no(&self, name: &str) -> Result<Option<bool>, TrainingError> {
        self.one_of(name, &[("yes", true), ("no", false)])
    }

    /// Whether `only=test` is given: all patients belong to the test set, and nothing is split.
    ///
    /// # Errors
    /// [`TrainingError::SourceOption`] for another value, or if options of a split are given too.
    pub(super) fn only_test(&self) -> Result<bool, TrainingError> {
        match self.get("only") {
            None => Ok(false),
            Some("test") => {
                let split = ["folds", "fold", "test_share", "split_seed"];
                self.exclude(&split, "only=test").map(|()| true)
            }
            Some(text) => Err(self.refuse(format!(
                "only={text} is not allowed: use only=test, which judges by all patients"
            ))),
        }
    }

    /// The values of an option that is a list of numbers, separated by commas.
    ///
    /// # Errors
    /// [`TrainingError::SourceOption`] if they are not; `what` says what they must be.
    pub(super) fn numbers(
        &self,
        name: &str,
        what: &str,
        allowed: impl Fn(&f32) -> bool,
    ) -> Result<Option<Vec<f32>>, TrainingError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let numbers = text.split(',').map(|number| {
            number
                .parse()
                .ok()
                .filter(|n: &f32| n.is_finite() && allowed(n))
        });
        match numbers.collect() {
            Some(numbers) => Ok(Some(numbers)),
            None => Err(self.refuse(format!("{name}={text} is not allowed: use {what}"))),
        }
    }

    /// The path that an option gives. A relative path starts at the folder of the source's own file.
    pub(super) fn beside(&self, name: &str) -> Option<PathBuf> {
        let path = Path::new(self.get(name)?);
        let folder = self.path.parent().unwrap_or(Path::new(""));
        Some(folder.join(path))
    }

    /// Refuses options that have no effect if the option `beside` is given.
    ///
    /// # Errors
    /// [`TrainingError::SourceOption`] with the first of `names` that is given too.
    pub(super) fn exclude(&self, names: &[&str], beside: &str) -> Result<(), TrainingError> {
        match names.iter().find(|name| self.get(name).is_some()) {
            None => Ok(()),
            Some(name) => {
                Err(self.refuse(format!("{name} says nothing beside {beside}: leave it out")))
            }
        }
    }

    /// The error that this source cannot be used. `problem` should end with a remedy after a colon.
    pub(super) fn refuse(&self, problem: String) -> TrainingError {
        TrainingError::SourceOption {
            source_name: self.source.clone(),
            problem,
        }
    }
}

/// The message about an unknown option: the most similar name, or all names if none is similar.
fn unknown(name: &str, known: &[&str]) -> String {
    let nearest = known
        .iter()
        .min_by_key(|candidate| distance(name, candidate));
    match nearest {
        Some(nearest) if distance(name, nearest) <= 1 + nearest.len() / 3 => {
            format!("there is no option {name}: use {nearest}")
        }
        _ => format!("there is no option {name}: use {}", known.join(", ")),
    }
}

/// The Levenshtein distance: insertions, deletions and replacements of characters from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    const KNOWN: &[&[&str]] = &[&["label", "labels"], &["group", "test_share"]];

    fn parse(argument: &str) -> Result<Options, TrainingError> {
        Options::parse("csv", argument, KNOWN)
    }

    #[test]
    fn a_path_and_its_options_are_told_apart() {
        let options = parse("a/b.csv?label=kind of iris&group=x=y").unwrap();
        assert_eq!(options.path, Path::new("a/b.csv"));
        assert_eq!(options.get("label"), Some("kind of iris"));
        assert_eq!(options.get("group"), Some("x=y"));
        assert_eq!(options.get("labels"), None);
        assert_eq!(parse("plain").unwrap().path, Path::new("plain"));
    }

    #[test]
    fn files_beside_the_first_are_found_from_its_folder() {
        let beside = |argument| parse(argument).unwrap().beside("labels").unwrap();
        assert_eq!(beside("a/b.npy?labels=c.csv"), Path::new("a/c.csv"));
        assert_eq!(beside("b.npy?labels=../c.csv"), Path::new("../c.csv"));
        assert_eq!(beside("a/b.npy?labels=/c.csv"), Path::new("/c.csv"));
    }

    #[test]
    fn bad_options_are_named_with_what_is_allowed() {
        for (argument, message) in [
            ("a?lable=x", "there is no option lable: use label"),
            ("a?grp=x", "there is no option grp: use group"),
            (
                "a?colour=x",
                "there is no option colour: use label, labels, group, test_share",
            ),
            ("a?label", "label has no value: use label=VALUE"),
            ("a?label=", "label has no value: use label=VALUE"),
            ("a?label=x&label=y", "label is given twice: give it once"),
            ("?label=x", "it names no file: use csv:PATH?label=x"),
        ] {
            let found = parse(argument).unwrap_err().to_string();
            assert_eq!(found, format!("`csv:{argument}`: {message}"));
        }
    }

    #[test]
    fn options_beside_others_are_named() {
        let options = parse("a?group=x&label=y").unwrap();
        assert!(options.exclude(&["labels", "test_share"], "label").is_ok());
        let message = options.exclude(&["labels", "group", "label"], "numbers");
        assert_eq!(
            message.unwrap_err().to_string(),
            "`csv:a?group=x&label=y`: group says nothing beside numbers: leave it out"
        );
    }

    #[test]
    fn numbers_outside_what_is_allowed_are_refused() {
        let options = parse("a?test_share=0.5&label=1,2.5").unwrap();
        let share = options.number("test_share", "0 to 1", |share: &f64| *share < 1.0);
        assert_eq!(share.unwrap(), Some(0.5));
        let share = options.number("test_share", "0 to 0.1", |share: &f64| *share < 0.1);
        let message = share.unwrap_err().to_string();
        assert!(
            message.ends_with("test_share=0.5 is not allowed: use 0 to 0.1"),
            "{message}"
        );
        assert!(options.number::<u64>("test_share", "", |_| true).is_err());
        assert_eq!(options.number::<u64>("group", "", |_| true).unwrap(), None);
        let numbers = options.numbers("label", "numbers", |_| true).unwrap();
        assert_eq!(numbers, Some(vec![1.0, 2.5]));
        assert!(options.numbers("label", "numbers", |n| *n > 1.0).is_err());
        for text in ["a?label=1,,2", "a?label=inf", "a?label=x"] {
            assert!(
                parse(text)
                    .unwrap()
                    .numbers("label", "numbers", |_| true)
                    .is_err()
            );
        }
    }

    #[test]
    fn distances_count_single_changes() {
        for (a, b, expected) in [
            ("", "abc", 3),
            ("label", "lable", 2),
            ("grp", "group", 2),
            ("x", "x", 0),
        ] {
            assert_eq!((distance(a, b), distance(b, a)), (expected, expected));
        }
    }
}
