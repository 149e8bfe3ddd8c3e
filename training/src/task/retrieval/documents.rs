//! Passages as documents, with queries for them.

use std::collections::BTreeMap;

use crossburn_checkpoints::{Checksum, SentenceEncoder, checksum};
use crossburn_noise::{Philox, path_hash};

use super::{Queries, RetrievalConfig, Triplets};
use crate::TrainingError;
use crate::data::Passage;

/// Negatives of a document whose titles are others.
pub(super) const NEGATIVES: usize = 5;
/// The least share of words that a corrupted document lacks, and how much more it may be.
const DROPPED: [f64; 2] = [0.3, 0.2];

/// Vectors of documents and of a query for each, row after row.
#[derive(Debug)]
pub(super) struct Documents {
    /// Numbers of a vector.
    pub(super) width: usize,
    /// What is stored: `[documents, width]`.
    pub(super) stored: Vec<f32>,
    /// What is asked: `[documents, width]`.
    pub(super) asked: Vec<f32>,
    /// Negatives: [`NEGATIVES`] of every document; empty where negatives are made of `stored`.
    pub(super) negatives: Vec<f32>,
}

impl Documents {
    /// Those of `passages`; `seed` draws the words that queries lack, and other titles where these documents are learned from.
    ///
    /// # Errors
    /// [`TrainingError::Data`] for a passage without a title that is asked, two documents with one text, a document to learn from without a
    /// negative, and a text that gives no vector.
    pub(super) fn new(
        passages: &[Passage],
        config: &RetrievalConfig,
        encoder: &SentenceEncoder,
        (seed, learned): (u64, bool),
    ) -> Result<Self, TrainingError> {
        let texts: Vec<String> = passages
            .iter()
            .map(|passage| text(config, passage))
            .collect();
        refuse_copies(passages, &texts)?;
        let asked: Vec<String> = match config.queries {
            Queries::Title => {
                if let Some(passage) = passages.iter().find(|p| p.prompt.trim().is_empty()) {
                    return Err(TrainingError::data(
                        passage.place.clone(),
                        "it has no title to ask with",
                        "give it a prompt, or use task.queries = \"corrupted\"",
                    ));
                }
                passages
                    .iter()
                    .map(|passage| passage.prompt.clone())
                    .collect()
            }
            Queries::Corrupted => (passages.iter().zip(&texts))
                .map(|(passage, text)| corrupted(text, seed, &passage.place))
                .collect(),
        };
        let labelled = learned && config.triplets == Triplets::Labels;
        let mut mixed = Vec::new();
        match (config.queries, passages) {
            (Queries::Corrupted, _) if labelled => {
                for own in 0..passages.len() {
                    mixed.extend(other_titles(passages, own, seed)?);
                }
            }
            (Queries::Title, [only]) if labelled => return Err(no_negative(only)),
            _ => {}
        }
        let vectors = |texts: &[String], each: usize| -> Result<Vec<f32>, TrainingError> {
            let vectors = encoder.embed(texts)?;
            let nothing = |vector: &Vec<f32>| vector.iter().all(|x| *x == 0.0);
            match vectors.iter().position(nothing) {
                Some(text) => Err(TrainingError::data(
                    passages[text / each].place.clone(),
                    "the text gives no vector",
                    "write words in it, or leave it out",
                )),
                None => Ok(vectors.concat()),
            }
        };
        Ok(Self {
            width: encoder.dimension(),
            stored: vectors(&texts, 1)?,
            asked: vectors(&asked, 1)?,
            negatives: vectors(&mixed, NEGATIVES)?,
        })
    }

    /// Documents.
    pub(super) fn len(&self) -> usize {
        self.stored.len() / self.width
    }

    /// The vectors of `rows`, each of the numbers that `of` has.
    pub(super) fn gather(&self, of: &[f32], rows: impl Iterator<Item = usize>) -> Vec<f32> {
        rows.flat_map(|row| of[row * self.width..][..self.width].iter().copied())
            .collect()
    }

    /// A digest of the documents `range` and their queries.
    pub(super) fn digest(&self, range: std::ops::Range<usize>) -> String {
        let mut sums = [Checksum::default(), Checksum::default()];
        for (sum, of) in sums.iter_mut().zip([&self.stored, &self.asked]) {
            for value in &of[range.start * self.width..range.end * self.width] {
                sum.add(&value.to_le_bytes());
            }
        }
        let [stored, asked] = sums;
        checksum(format!("{} {stored} {asked}", self.width).as_bytes())
    }
}

/// What is stored of a passage.
fn text(config: &RetrievalConfig, passage: &Passage) -> String {
    match config.queries {
        Queries::Corrupted => joined(&passage.prompt, &passage.completion),
        Queries::Title => passage.completion.trim().to_string(),
    }
}

fn joined(title: &str, body: &str) -> String {
    format!("{} {}", title.trim(), body.trim())
        .trim()
        .to_string()
}

/// Refuses two documents with one text: a query for the one would find the other.
fn refuse_copies(passages: &[Passage], texts: &[String]) -> Result<(), TrainingError> {
    let mut known = BTreeMap::new();
    for (passage, text) in passages.iter().zip(texts) {
        if let Some(first) = known.insert(text, &passage.place) {
            return Err(TrainingError::data(
                passage.place.clone(),
                format!("it has the text of {first}"),
                "leave one of the two out",
            ));
        }
    }
    Ok(())
}

/// `text` without 30 to 50 % of its words, of which at least one remains; drawn with `seed` and the place of the text.
fn corrupted(text: &str, seed: u64, place: &str) -> String {
    let draws = Philox::new(
        seed ^ path_hash("words that queries lack"),
        path_hash(place),
    );
    let share = DROPPED[0] + DROPPED[1] * draws.uniform(0);
    let words: Vec<&str> = text.split_whitespace().collect();
    let kept = |(_, index): &(&&str, u64)| draws.uniform(*index) >= share;
    let kept: Vec<&str> = (words.iter().zip(1..))
        .filter(kept)
        .map(|(word, _)| *word)
        .collect();
    match kept.is_empty() {
        true => words.first().copied().unwrap_or_default().to_string(),
        false => kept.join(" "),
    }
}

/// The body of a passage with [`NEGATIVES`] titles of others.
///
/// # Errors
/// A passage where all others have its title.
fn other_titles(passages: &[Passage], own: usize, seed: u64) -> Result<Vec<String>, TrainingError> {
    let draws = Philox::new(seed ^ path_hash("titles of negatives"), own as u64);
    let others = passages.len().saturating_sub(1).max(1) as u32;
    let passage = &passages[own];
    let other = |index: u64| {
        // One of the others: those after the own one move up.
        let place = draws.below(index, others) as usize;
        let place = if place >= own { place + 1 } else { place };
        // With the own title, the negative would be the document: the next passage with another one is taken.
        let (before, after) = passages.split_at(place.min(passages.len()));
        let mut titles = after.iter().chain(before).map(|other| other.prompt.trim());
        match titles.find(|title| *title != passage.prompt.trim()) {
            Some(title) => Ok(joined(title, &passage.completion)),
            None => Err(no_negative(passage)),
        }
    };
    (0..NEGATIVES as u64).map(other).collect()
}

/// A document that nothing can be told apart from.
fn no_negative(passage: &Passage) -> TrainingError {
    TrainingError::data(
        passage.place.clone(),
        "no other document has another title, which its triplets need",
        "give every document a title of its own, or use task.triplets = \"data\"",
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    use burn::tensor::Device;

    fn passages(count: usize) -> Vec<Passage> {
        let passage = |number: usize| Passage {
            place: format!("here, line {number}"),
            prompt: format!("title{number} of{number}"),
            completion: format!("body{number} has seven words more or less"),
            profile: None,
            ends: true,
        };
        (0..count).map(passage).collect()
    }

    fn documents(
        passages: &[Passage],
        config: &RetrievalConfig,
    ) -> Result<Documents, TrainingError> {
        let encoder = SentenceEncoder::open(None, &Device::flex()).unwrap();
        Documents::new(passages, config, &encoder, (1, true))
    }

    #[test]
    fn a_query_is_some_of_the_words_and_no_document() {
        let text: Vec<String> = (0..400).map(|word| format!("w{word}")).collect();
        let text = text.join(" ");
        let mut shares = Vec::new();
        for number in 0..50 {
            let query = corrupted(&text, 1, &format!("line {number}"));
            assert_ne!(query, text);
            let mut words = text.split(' ');
            // In the same order.
            assert!(
                query
                    .split(' ')
                    .all(|word| words.any(|other| other == word))
            );
            shares.push(1.0 - query.split(' ').count() as f64 / 400.0);
        }
        // 30 to 50 %, and four standard deviations of 400 draws.
        assert!(shares.iter().all(|share| (0.2..0.6).contains(share)));
        assert_eq!(corrupted(&text, 1, "line 3"), corrupted(&text, 1, "line 3"));
        assert_ne!(corrupted(&text, 1, "line 3"), corrupted(&text, 2, "line 3"));
        assert_eq!(corrupted("word", 1, "here"), "word");
    }

    #[test]
    fn negatives_have_the_own_body_and_the_title_of_another() {
        let passages = passages(4);
        for own in 0..4 {
            let found = other_titles(&passages, own, 7).unwrap();
            assert_eq!(found.len(), NEGATIVES);
            for text in found {
                assert!(text.ends_with(&passages[own].completion));
                let others = passages
                    .iter()
                    .filter(|other| text.starts_with(&other.prompt));
                let places: Vec<&str> = others.map(|other| other.place.as_str()).collect();
                assert!(places.len() == 1 && places[0] != passages[own].place);
            }
        }
    }

    #[test]
    fn a_negative_is_never_its_document() {
        // Three of the four share a title.
        let mut passages = passages(4);
        for own in [0, 2, 3] {
            passages[own].prompt = "one of many".to_string();
        }
        for own in [0, 2, 3] {
            for text in other_titles(&passages, own, 7).unwrap() {
                assert_eq!(text, joined("title1 of1", &passages[own].completion));
            }
        }
        for text in other_titles(&passages, 1, 7).unwrap() {
            assert_eq!(text, joined("one of many", &passages[1].completion));
        }
        passages[1].prompt = "one of many ".to_string();
        let config = RetrievalConfig::default();
        let message = documents(&passages, &config).unwrap_err().to_string();
        assert!(
            message.starts_with("here, line 0: no other document has another title"),
            "{message}"
        );
        let titles = RetrievalConfig {
            queries: Queries::Title,
            ..RetrievalConfig::default()
        };
        for config in [&titles, &config] {
            let message = documents(&passages[..1], config).unwrap_err().to_string();
            assert!(message.contains("no other document"), "{message}");
        }
        let data = RetrievalConfig {
            triplets: Triplets::Data,
            ..RetrievalConfig::default()
        };
        documents(&passages, &data).unwrap();
    }

    #[test]
    fn copies_and_empty_texts_are_refused_by_place() {
        let mut twice = passages(3);
        twice[2].completion = twice[0].completion.clone();
        let titles = RetrievalConfig {
            queries: Queries::Title,
            ..RetrievalConfig::default()
        };
        let message = documents(&twice, &titles).unwrap_err().to_string();
        assert_eq!(
            message,
            "here, line 2: it has the text of here, line 0; leave one of the two out"
        );
        // With their titles they differ.
        documents(&twice, &RetrievalConfig::default()).unwrap();
        twice[1].prompt = " ".to_string();
        twice[2].completion = "?!".to_string();
        let message = documents(&twice, &titles).unwrap_err().to_string();
        assert!(
            message.starts_with("here, line 1: it has no title"),
            "{message}"
        );
        twice[1].prompt = "title".to_string();
        let message = documents(&twice, &titles).unwrap_err().to_string();
        assert!(
            message.starts_with("here, line 2: the text gives no vector"),
            "{message}"
        );
    }

    #[test]
    fn no_query_of_the_test_part_is_a_document_of_training() {
        use crate::data::{Corpus, DataSource};
        let source: DataSource = "topics".parse().unwrap();
        let texts = |corpus: Corpus| match corpus {
            Corpus::Passages(passages) => passages,
            Corpus::Running(_) => panic!("passages"),
        };
        let config = RetrievalConfig::default();
        let train = texts(source.training_corpus(2).unwrap());
        let stored: BTreeSet<String> = train.iter().map(|passage| text(&config, passage)).collect();
        for passage in texts(source.test_corpus(2).unwrap()) {
            let own = text(&config, &passage);
            assert!(!stored.contains(&own));
            assert!(!stored.contains(&corrupted(&own, 2, &passage.place)));
        }
    }
}
