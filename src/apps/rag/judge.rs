//! Judges a store: the share of questions whose passage is found first, in an ideal search and on chips.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use crossburn_hardware::search::{EntryId, Hit, QuantizedQueries, VectorStore};
use crossburn_noise::{ChipSeed, Population};

use super::encoder::TextEncoder;
use super::passage::first_sentence;
use super::update::StoredPassage;
use crate::apps::workplace::JobObserver;

/// Questions with known answers: first sentences, and the entries of the passages that they were taken from.
pub(crate) struct Questions {
    queries: QuantizedQueries,
    answers: Vec<EntryId>,
}

/// How many questions found their passage.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    /// Number of questions.
    pub(crate) questions: usize,
    /// The share whose passage has the largest integer inner product.
    pub(crate) ideal: f64,
    /// The share on each chip. If the work was stopped, there are fewer chips than requested.
    pub(crate) chips: Population,
}

impl Questions {
    /// The first sentences of at most `most` of `passages`, evenly spaced. A passage of a single sentence is left out, because it would ask for itself. `None` if
    /// no question remains.
    ///
    /// # Errors
    /// Those of the encoder.
    pub(crate) fn of(
        passages: &[StoredPassage],
        most: usize,
        encoder: &TextEncoder,
        store: &VectorStore,
    ) -> Result<Option<Self>> {
        let asking = passages.iter().filter_map(|passage| {
            let question = first_sentence(&passage.text)?;
            Some((passage.entry, question))
        });
        let asking: Vec<(EntryId, &str)> = asking.collect();
        let count = asking.len().min(most);
        let chosen = (0..count).map(|number| asking[number * asking.len() / count]);
        let (mut answers, mut texts) = (Vec::new(), Vec::new());
        for (entry, question) in chosen {
            answers.push(entry);
            texts.push(question);
        }
        let mut vectors = Vec::new();
        let mut asked = Vec::new();
        for (vector, answer) in encoder.embed(&texts)?.into_iter().zip(answers) {
            // A sentence in which the encoder finds no word is no question.
            if vector.iter().any(|number| *number != 0.0) {
                vectors.extend(vector);
                asked.push(answer);
            }
        }
        if asked.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            queries: QuantizedQueries::new(&vectors, store.dimension(), store.config())?,
            answers: asked,
        }))
    }

    /// Asks the ideal store, and `chips` chips of the population `seed` from chip 0 on, until `stop` is set.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) fn judge(
        &self,
        store: &VectorStore,
        (seed, chips): (u64, u64),
        stop: &AtomicBool,
        observer: &dyn JobObserver,
    ) -> Result<Judged> {
        let ideal = self.share(&store.exact(&self.queries, 1)?);
        let stage = observer.stage("ask chips", chips, "chip");
        let mut shares = Vec::new();
        for chip in 0..chips {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let programmed = store.program(ChipSeed::new(seed, chip))?;
            shares.push(self.share(&programmed.search(&self.queries, 1)?));
            stage.advance(1);
        }
        Ok(Judged {
            questions: self.answers.len(),
            ideal,
            chips: Population::new(seed, 0, shares),
        })
    }

    /// The share of questions whose passage is found first.
    fn share(&self, found: &[Vec<Hit>]) -> f64 {
        let right = found.iter().zip(&self.answers);
        let right = right.filter(|(hits, answer)| {
            let first = hits.first().map(|hit| hit.entry);
            first == Some(**answer)
        });
        right.count() as f64 / self.answers.len() as f64
    }
}
