//! The people of a study: drawn, or those of files.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Result, bail};
use crossburn_noise::path_hash;
use crossburn_training::data::personal::{Example, ExampleKind, Profile};
use crossburn_training::data::{DataSource, Passage};

use super::conditions::Condition;
use super::rates::OTHER_PEOPLE;
use super::study_file::{StudyFile, kind_of};
use crate::apps::passages::{by_profile, passages};

/// The people whom files describe, task by task: those with the most texts first. People of other tasks are drawn.
#[derive(Debug, Default)]
pub(super) struct People {
    read: BTreeMap<String, Vec<Profile>>,
}

impl People {
    /// Reads the people of every task for which `study` names texts.
    ///
    /// # Errors
    /// Texts that cannot be read, and for a task of `conditions` too few people with enough texts.
    pub(super) fn read(study: &StudyFile, conditions: &[Condition]) -> Result<Self> {
        let mut read = BTreeMap::new();
        for (task, source) in &study.texts {
            let kind = kind_of(task)?;
            let found = Found::of(study, kind, source)?;
            if conditions.iter().any(|one| one.task == kind.name()) {
                found.require_enough(study, source)?;
            }
            read.insert(kind.name().to_string(), found.people);
        }
        Ok(Self { read })
    }

    /// What `person` wrote and asks for `task`. Where people are read, learning rates are chosen on the last of them.
    ///
    /// # Errors
    /// An unknown task, and a person who is not there.
    pub(super) fn profile(&self, study: &StudyFile, task: &str, person: u64) -> Result<Profile> {
        let kind = kind_of(task)?;
        let sizes = [study.longest_history(), study.questions];
        let Some(people) = self.read.get(kind.name()) else {
            return Ok(Profile::draw(study.seed, person, kind, sizes)?);
        };
        let place = match person.checked_sub(OTHER_PEOPLE) {
            Some(other) => (people.len() as u64).checked_sub(1 + other),
            None => Some(person),
        };
        let found = place.and_then(|place| people.get(usize::try_from(place).ok()?));
        match found {
            Some(profile) => Ok(profile.clone()),
            None => bail!("person {person} is not among the people of the task {task}"),
        }
    }

    /// The people from whose texts needs are predicted: all measured ones of a file. Drawn people are alike, so that one is enough.
    pub(super) fn predicted(&self, study: &StudyFile, task: &str) -> Range<u64> {
        match self.read.contains_key(task) {
            true => 0..study.people,
            false => 0..1,
        }
    }

    /// For each task a digest of the texts that were read.
    pub(super) fn checksums(&self) -> BTreeMap<&String, String> {
        let checksum = |people| format!("{:016x}", path_hash(&format!("{people:?}")));
        let tasks = self.read.iter();
        tasks
            .map(|(task, people)| (task, checksum(people)))
            .collect()
    }
}

/// The people of a source who have as many texts as a study needs.
struct Found {
    people: Vec<Profile>,
    /// Number of texts without a question or without an answer.
    left_out: usize,
}

impl Found {
    fn of(study: &StudyFile, kind: ExampleKind, source: &DataSource) -> Result<Self> {
        let [history, questions] = [study.longest_history(), study.questions];
        let parts = [source.training_corpus(1)?, source.test_corpus(1)?];
        let [learn, asked] = parts.map(|corpus| passages(corpus, source));
        let [learn, mut asked] = [by_profile(learn?), by_profile(asked?)];
        let (mut people, mut left_out) = (Vec::new(), 0);
        for (name, written) in learn {
            let asked = asked.remove(&name).unwrap_or_default();
            let mut of = |mut passages: Vec<Passage>| -> Result<Vec<Example>> {
                // Sources give passages in a random order. The last texts of a person in the file are the most recent ones.
                passages.sort_by_key(|one| number_at_end(&one.place));
                let mut examples = Vec::new();
                for passage in &passages {
                    match example(kind, passage)? {
                        Some(example) => examples.push(example),
                        None => left_out += 1,
                    }
                }
                Ok(examples)
            };
            let profile = Profile::new(of(written)?, of(asked)?);
            let texts = profile.recent(usize::MAX).len();
            if texts >= history && profile.questions().len() >= questions {
                let asked = profile.questions()[..questions].to_vec();
                people.push((texts, Profile::new(profile.recent(texts).to_vec(), asked)));
            }
        }
        // Those with as many texts stay in the order of their names.
        people.sort_by_key(|(texts, _)| Reverse(*texts));
        Ok(Self {
            people: people.into_iter().map(|(_, profile)| profile).collect(),
            left_out,
        })
    }

    /// Refuses too few people.
    fn require_enough(&self, study: &StudyFile, source: &DataSource) -> Result<()> {
        let others = match study.tries_rates() {
            true => study.rates.people,
            false => 0,
        };
        let needed = study.people + others;
        if self.people.len() as u64 >= needed {
            return Ok(());
        }
        let mut left_out = match self.left_out {
            0 => String::new(),
            count => format!("; {count} texts have no question or no answer, and do not count"),
        };
        if let Some(lines) = source.left_out() {
            left_out += &format!("; {lines}");
        }
        bail!(
            "{source} has {} people with {} texts to learn from and {} to ask, the study takes {needed}: {} are measured, and learning rates are chosen on {others}{left_out}; hint: name the key of people, as in jsonl:FILE?prompt=short_description&completion=headline&least=1&profile=authors&test_share=0.2, or take fewer people, questions or shorter histories",
            self.people.len(),
            study.longest_history(),
            study.questions,
            study.people,
        )
    }
}

/// The number at the end of a place, such as that of `u.jsonl, line 3`.
fn number_at_end(place: &str) -> Option<u64> {
    place.rsplit(' ').next()?.parse().ok()
}

/// A passage as a question and an answer of one line; `None` where it has no question or no answer. A question that does not end with a colon is followed by
/// a line with the name of the task.
///
/// # Errors
/// An answer that the task cannot judge.
fn example(kind: ExampleKind, passage: &Passage) -> Result<Option<Example>> {
    let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (prompt, answer) = (passage.prompt.trim(), line(&passage.completion));
    if prompt.is_empty() || answer.is_empty() {
        return Ok(None);
    }
    let stars = || answer.parse::<f64>().ok();
    let within = |stars: f64| (1.0..=5.0).contains(&stars);
    if kind == ExampleKind::Stars && !stars().is_some_and(within) {
        bail!(
            "{}: the answer `{answer}` is no number from 1 to 5, which the task stars needs; hint: rescale the answers, or use the task tag",
            passage.place
        );
    }
    Ok(Some(Example {
        kind,
        prompt: match prompt.ends_with(':') {
            true => prompt.to_string(),
            false => format!("{prompt}\n{}:", kind.name()),
        },
        completion: format!(" {answer}\n"),
    }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::fmt::Write;

    use serde_json::json;

    use super::*;

    #[test]
    fn those_with_most_texts_come_first_and_rates_are_chosen_on_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, texts: &[(&str, usize)], part: &str| {
            let mut lines = String::new();
            for (who, count) in texts {
                for text in 0..*count {
                    let prompt = format!("{who} {part} {text}");
                    let line = json!({"prompt": prompt, "completion": "an  answer\n", "who": who});
                    writeln!(lines, "{line}").unwrap();
                }
            }
            let path = folder.path().join(name);
            std::fs::write(&path, lines).unwrap();
            path.display().to_string()
        };
        let many = [("few", 8), ("most", 11), ("none", 7), ("more", 9)];
        let learn = file("learn.jsonl", &many, "wrote");
        let test = file("test.jsonl", &many.map(|(who, _)| (who, 4)), "asks");
        let source = format!("jsonl:{learn}?profile=who&test={test}");
        let mut study = StudyFile::open("tiny").unwrap();
        study.texts = [("titling".to_string(), source.parse().unwrap())].into();
        let conditions = study.conditions().unwrap();
        let people = People::read(&study, &conditions).unwrap();
        let asks = |person| {
            let profile = people.profile(&study, "title", person).unwrap();
            profile.questions()[0].prompt.clone()
        };
        assert_eq!(asks(0), "most asks 0\ntitle:");
        assert_eq!(asks(1), "more asks 0\ntitle:");
        assert_eq!(asks(OTHER_PEOPLE), "few asks 0\ntitle:");
        assert!(people.profile(&study, "title", 3).is_err());
        // The last lines of the file, in their order; an answer is one line.
        let profile = people.profile(&study, "title", 0).unwrap();
        let recent: Vec<&str> = profile.recent(2).iter().map(|one| &*one.prompt).collect();
        assert_eq!(recent, ["most wrote 9\ntitle:", "most wrote 10\ntitle:"]);
        assert_eq!(profile.recent(1)[0].completion, " an answer\n");
        // Three people for the study, of whom none is left for choosing rates once rates are tried.
        study.people = 3;
        assert!(People::read(&study, &conditions).is_ok());
        for rates in study.rates.of.values_mut() {
            rates.push(1e-4);
        }
        let message = People::read(&study, &conditions).unwrap_err().to_string();
        assert!(
            message.contains("has 3 people with 8 texts to learn from and 3 to ask, the study takes 4: 3 are measured, and learning rates are chosen on 1"),
            "{message}"
        );
        // Lines that the source leaves out are named, such as those whose completion repeats one.
        let sparse = format!("jsonl:{learn}?profile=who&least=1&test={test}");
        study.texts = [("titling".to_string(), sparse.parse().unwrap())].into();
        let message = People::read(&study, &conditions).unwrap_err().to_string();
        assert!(
            message.contains("15 of 16 lines were left out: their completion is short, or that of an earlier line"),
            "{message}"
        );
        study.texts = [("titling".to_string(), source.parse().unwrap())].into();
        // A task that no condition has needs no people.
        let text = study.texts.remove("titling").unwrap();
        study.texts.insert("tag".to_string(), text.clone());
        assert!(People::read(&study, &conditions).is_ok());
        study.texts = [("stars".to_string(), text)].into();
        let message = People::read(&study, &conditions).unwrap_err().to_string();
        assert!(
            message.contains("line 1: the answer `an answer` is no number from 1 to 5"),
            "{message}"
        );
    }
}
