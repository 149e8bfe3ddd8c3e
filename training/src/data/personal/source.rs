//! The corpus as data sources: sessions of many users, and the examples of one user.

use std::path::PathBuf;
use std::sync::Arc;

use super::{ExampleKind, User, session};
use crate::TrainingError;
use crate::data::corpus::{Corpus, Passage, no_samples};
use crate::data::options::Options;
use crate::data::reader::{Kind, Part, Reader};
use crate::data::{Amount, DataSplit};

/// Default numbers of sessions of the training text and of the test text.
const SESSIONS: (u64, u64) = (2000, 200);
/// Most sessions that are drawn at once: half a gigabyte of text.
const MOST_SESSIONS: u64 = 1_000_000;
/// The number of the first user of the test text: larger than that of any user of the training text.
const FIRST_TEST: u64 = 1 << 40;
/// The number of the first user of the source `person`. These users are in no session.
pub(super) const FIRST_PERSON: u64 = 1 << 41;
/// Numbers of a user's training examples and test examples.
const EXAMPLES: (u64, u64) = (200, 100);
/// The number of a user's first test example.
pub(super) const FIRST_TEST_EXAMPLE: u64 = 1 << 20;

pub(in crate::data) const CROWD: Kind = Kind {
    name: "personal",
    usage: "personal",
    open: |_| Ok(Arc::new(Crowd(SESSIONS.0))),
};

pub(in crate::data) const CROWD_OF: Kind = Kind {
    name: "personal",
    usage: "personal:SESSIONS",
    open: |argument| Ok(Arc::new(Crowd::open(argument)?)),
};

pub(in crate::data) const PERSON: Kind = Kind {
    name: "person",
    usage: "person:NUMBER",
    open: |argument| Ok(Arc::new(Person::open(argument)?)),
};

/// Sessions of many users. The number is that of training sessions.
#[derive(Debug)]
struct Crowd(u64);

impl Crowd {
    fn open(argument: &str) -> Result<Self, TrainingError> {
        let sessions = argument.parse().ok();
        match sessions.filter(|count| (1..=MOST_SESSIONS).contains(count)) {
            Some(sessions) => Ok(Self(sessions)),
            None => Err(Options::parse(CROWD_OF.name, argument, &[])?.refuse(format!(
                "its sessions are a number: use personal:{} or another one up to {MOST_SESSIONS}",
                SESSIONS.0
            ))),
        }
    }
}

impl Reader for Crowd {
    fn classes(&self) -> Result<usize, TrainingError> {
        Err(no_samples(CROWD.usage))
    }

    fn files(&self, _: Part) -> Result<Vec<PathBuf>, TrainingError> {
        Ok(Vec::new())
    }

    fn both(&self, _: u64, _: Amount, _: Amount) -> Result<DataSplit, TrainingError> {
        Err(no_samples(CROWD.usage))
    }

    fn check_corpus(&self) -> Result<bool, TrainingError> {
        Ok(true)
    }

    fn corpus(&self, part: Part, seed: u64) -> Result<Option<Corpus>, TrainingError> {
        let (first, count) = match part {
            Part::Train => (0, self.0),
            Part::Test => (FIRST_TEST, SESSIONS.1),
        };
        let sessions = (first..first + count).map(|number| session(seed, number));
        Ok(Some(Corpus::Running(
            sessions.collect::<Vec<_>>().join("\n"),
        )))
    }
}

/// Examples of a user who is in no session.
#[derive(Debug)]
struct Person {
    number: u64,
    kinds: Vec<ExampleKind>,
}

impl Person {
    fn open(argument: &str) -> Result<Self, TrainingError> {
        let options = Options::parse(PERSON.name, argument, &[&["kind"]])?;
        let number: Option<u64> = options.path.to_str().and_then(|text| text.parse().ok());
        let number = number
            .filter(|number| *number < FIRST_PERSON)
            .ok_or_else(|| {
                options.refuse("a person is a number: use person:0 and so on".to_string())
            })?;
        let kinds = match options.get("kind") {
            None => ExampleKind::ALL.to_vec(),
            Some(name) => {
                let kind = ExampleKind::ALL
                    .into_iter()
                    .find(|kind| kind.name() == name);
                let names = ExampleKind::ALL.map(ExampleKind::name).join(", ");
                vec![kind.ok_or_else(|| {
                    options.refuse(format!("kind={name} is not known: use one of {names}"))
                })?]
            }
        };
        Ok(Self { number, kinds })
    }
}

impl Reader for Person {
    fn classes(&self) -> Result<usize, TrainingError> {
        Err(no_samples(PERSON.usage))
    }

    fn files(&self, _: Part) -> Result<Vec<PathBuf>, TrainingError> {
        Ok(Vec::new())
    }

    fn both(&self, _: u64, _: Amount, _: Amount) -> Result<DataSplit, TrainingError> {
        Err(no_samples(PERSON.usage))
    }

    fn check_corpus(&self) -> Result<bool, TrainingError> {
        Ok(true)
    }

    fn corpus(&self, part: Part, seed: u64) -> Result<Option<Corpus>, TrainingError> {
        let user = User::draw(seed, FIRST_PERSON + self.number);
        let (first, count) = match part {
            Part::Train => (0, EXAMPLES.0),
            Part::Test => (FIRST_TEST_EXAMPLE, EXAMPLES.1),
        };
        let passage = |number: u64| {
            let kind = self.kinds[(number % self.kinds.len() as u64) as usize];
            let example = user.example(kind, number);
            Passage {
                place: format!("person:{}, example {number}", self.number),
                prompt: example.prompt,
                completion: example.completion,
                profile: None,
                ends: false,
            }
        };
        Ok(Some(Corpus::Passages(
            (first..first + count).map(passage).collect(),
        )))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::data::DataSource;

    #[test]
    fn parts_are_of_other_users_and_other_examples() {
        let crowd: DataSource = "personal".parse().unwrap();
        assert_eq!(
            crowd.training_corpus(1).unwrap(),
            crowd.training_corpus(1).unwrap()
        );
        assert_ne!(
            crowd.training_corpus(1).unwrap(),
            crowd.training_corpus(2).unwrap()
        );
        assert_ne!(
            crowd.training_corpus(1).unwrap(),
            crowd.test_corpus(1).unwrap()
        );
        let person: DataSource = "person:3?kind=stars".parse().unwrap();
        let Corpus::Passages(train) = person.training_corpus(1).unwrap() else {
            panic!("passages");
        };
        assert_eq!(train.len(), 200);
        assert!(
            train
                .iter()
                .all(|passage| passage.prompt.ends_with("stars:"))
        );
        let Corpus::Passages(test) = person.test_corpus(1).unwrap() else {
            panic!("passages");
        };
        assert_eq!(test.len(), 100);
        let Corpus::Running(few) = "personal:3"
            .parse::<DataSource>()
            .unwrap()
            .training_corpus(1)
            .unwrap()
        else {
            panic!("a text");
        };
        let Corpus::Running(many) = crowd.training_corpus(1).unwrap() else {
            panic!("a text");
        };
        assert!(many.starts_with(&few) && many.len() > 300 * few.len());
        for (text, part) in [
            ("personal:0", "its sessions are a number: use personal:2000"),
            ("person:x", "a person is a number"),
            (
                "person:1?kind=love",
                "use one of citation, tag, stars, title, tweet",
            ),
        ] {
            let message = text.parse::<DataSource>().unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
