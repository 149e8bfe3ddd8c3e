//! Procedural documents on some topics, for learning and judging retrieval without a file.
//!
//! ```text
//! title   4 to 7 of 200 names
//! body    40 to 59 words: 90 % from 30 common words, by Zipf's law; the others from the 30 words of one of 50 topics
//! ```
//!
//! Documents consist mostly of the same words, so their vectors are close to each other. Few words tell two documents apart.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::corpus::{Corpus, Passage, no_samples};
use super::reader::{Kind, Part, Reader};
use super::{Amount, DataSplit};
use crate::TrainingError;
use crate::draws::Draws;

pub(super) const KIND: Kind = Kind {
    name: "topics",
    usage: "topics",
    open: |_| Ok(Arc::new(Topics)),
};

/// Number of training and of test documents.
const DOCUMENTS: [u64; 2] = [2000, 1000];
/// The number of the first test document.
const FIRST_TEST: u64 = 1 << 40;

const TOPICS: usize = 50;
const WORDS_OF_TOPIC: usize = 30;
const COMMON: usize = 30;
const NAMES: usize = 200;
/// Words of a title: the smallest number, and how many numbers are possible from there on.
const TITLE: [usize; 2] = [4, 4];
/// Words of a body: the smallest number, and how many numbers are possible.
const BODY: [usize; 2] = [40, 20];
/// The share of common words in a body.
const COMMON_SHARE: f64 = 0.9;

const CONSONANTS: [char; 14] = [
    'b', 'd', 'f', 'g', 'k', 'l', 'm', 'n', 'p', 'r', 's', 't', 'v', 'z',
];
const VOWELS: [char; 5] = ['a', 'e', 'i', 'o', 'u'];

/// The data source.
#[derive(Debug)]
struct Topics;

impl Reader for Topics {
    fn classes(&self) -> Result<usize, TrainingError> {
        Err(no_samples(KIND.usage))
    }

    fn files(&self, _: Part) -> Result<Vec<PathBuf>, TrainingError> {
        Ok(Vec::new())
    }

    fn both(&self, _: u64, _: Amount, _: Amount) -> Result<DataSplit, TrainingError> {
        Err(no_samples(KIND.usage))
    }

    fn check_corpus(&self) -> Result<bool, TrainingError> {
        Ok(true)
    }

    fn corpus(&self, part: Part, seed: u64) -> Result<Option<Corpus>, TrainingError> {
        let (first, count) = match part {
            Part::Train => (0, DOCUMENTS[0]),
            Part::Test => (FIRST_TEST, DOCUMENTS[1]),
        };
        let words = Words::draw(seed);
        let document = |number| words.document(seed, number);
        Ok(Some(Corpus::Passages(
            (first..first + count).map(document).collect(),
        )))
    }
}

/// Draws one of `numbers` whole numbers, the smallest of which is `least`.
fn in_range(draws: &mut Draws, [least, numbers]: [usize; 2]) -> usize {
    least + draws.below(numbers)
}

/// The words of all documents of a seed. No word has two roles.
struct Words {
    common: Vec<String>,
    /// For every common word, the probability of it or of a word before it.
    up_to: Vec<f64>,
    names: Vec<String>,
    topics: Vec<Vec<String>>,
}

impl Words {
    fn draw(seed: u64) -> Self {
        let mut draws = Draws::of_item(seed, "words of topics", 0);
        let mut used = BTreeSet::new();
        let mut words = |count: usize, syllables: [usize; 2]| -> Vec<String> {
            let mut found = Vec::with_capacity(count);
            while found.len() < count {
                let syllables = in_range(&mut draws, syllables);
                let mut word = String::new();
                for _ in 0..syllables {
                    word.push(CONSONANTS[draws.below(CONSONANTS.len())]);
                    word.push(VOWELS[draws.below(VOWELS.len())]);
                }
                if used.insert(word.clone()) {
                    found.push(word);
                }
            }
            found
        };
        let common = words(COMMON, [2, 1]);
        let names = words(NAMES, [3, 2]);
        let topics = (0..TOPICS).map(|_| words(WORDS_OF_TOPIC, [3, 2])).collect();
        // Zipf's law: the n-th word is 1/n as frequent as the first.
        let all: f64 = (1..=COMMON).map(|rank| 1.0 / rank as f64).sum();
        let up_to = (1..=COMMON).scan(0.0, |sum, rank| {
            *sum += 1.0 / (rank as f64 * all);
            Some(*sum)
        });
        Self {
            up_to: up_to.collect(),
            common,
            names,
            topics,
        }
    }

    /// Document `number`: the title is the prompt, the body the completion.
    fn document(&self, seed: u64, number: u64) -> Passage {
        let mut draws = Draws::of_item(seed, "documents of topics", number);
        let topic = &self.topics[draws.below(TOPICS)];
        let count = in_range(&mut draws, TITLE);
        let title = (0..count).map(|_| self.names[draws.below(NAMES)].as_str());
        let title = title.collect::<Vec<_>>().join(" ");
        let count = in_range(&mut draws, BODY);
        let body = (0..count).map(|_| {
            let (kind, which) = (draws.uniform(), draws.uniform());
            match kind < COMMON_SHARE {
                true => {
                    let place = self.up_to.partition_point(|share| *share < which);
                    self.common[place.min(COMMON - 1)].as_str()
                }
                false => topic[(which * WORDS_OF_TOPIC as f64) as usize].as_str(),
            }
        });
        Passage {
            place: format!("topics, document {number}"),
            prompt: title,
            completion: body.collect::<Vec<_>>().join(" "),
            profile: None,
            ends: true,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::data::DataSource;

    fn passages(corpus: Corpus) -> Vec<Passage> {
        match corpus {
            Corpus::Passages(passages) => passages,
            Corpus::Running(_) => panic!("passages"),
        }
    }

    #[test]
    fn documents_are_those_of_the_seed_and_of_one_part() {
        let source: DataSource = "topics".parse().unwrap();
        let train = passages(source.training_corpus(3).unwrap());
        assert_eq!(train, passages(source.training_corpus(3).unwrap()));
        assert_ne!(train, passages(source.training_corpus(4).unwrap()));
        let test = passages(source.test_corpus(3).unwrap());
        assert_eq!((train.len(), test.len()), (2000, 1000));
        let all: BTreeSet<(&str, &str)> = (train.iter().chain(&test))
            .map(|passage| (passage.prompt.as_str(), passage.completion.as_str()))
            .collect();
        assert_eq!(all.len(), 3000);
    }

    #[test]
    fn words_are_as_frequent_as_described() {
        let words = Words::draw(5);
        let count = 2000u64;
        let documents = (0..count).map(|number| words.document(5, number));
        let (mut first, mut common, mut all) = (0u64, 0u64, 0u64);
        for document in documents {
            let title: Vec<&str> = document.prompt.split(' ').collect();
            assert!((4..8).contains(&title.len()));
            assert!(
                title
                    .iter()
                    .all(|name| words.names.iter().any(|n| n == name))
            );
            let body: Vec<&str> = document.completion.split(' ').collect();
            assert!((40..60).contains(&body.len()));
            all += body.len() as u64;
            common += (body.iter())
                .filter(|word| words.common.iter().any(|c| c == *word))
                .count() as u64;
            first += body.iter().filter(|word| **word == words.common[0]).count() as u64;
        }
        // Five standard errors of a share of n draws: 5 √(p (1 - p) / n).
        let near = |found: u64, of: u64, share: f64| {
            let error = (found as f64 / of as f64 - share).abs();
            assert!(
                error < 5.0 * (share * (1.0 - share) / of as f64).sqrt(),
                "{error}"
            );
        };
        near(common, all, 0.9);
        // The sum of 1/n up to 30 is 3.994987.
        near(first, common, 1.0 / 3.994_987);
    }
}
