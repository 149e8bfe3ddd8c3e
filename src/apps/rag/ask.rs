//! Asks a store a question: the best passages, in an ideal search and on a chip.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use crossburn_hardware::search::{EntryId, Hit, QuantizedQueries};
use crossburn_noise::ChipSeed;

use super::encoder::TextEncoder;
use super::passage_store::PassageStore;
use super::update::StoredPassage;

/// A question.
pub(crate) struct AskJob<'a> {
    pub(crate) store: &'a PassageStore,
    pub(crate) encoder: &'a TextEncoder,
    pub(crate) question: &'a str,
    /// Number of passages to retrieve.
    pub(crate) k: usize,
    pub(crate) chip: ChipSeed,
}

/// A retrieved passage, with its place in both searches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    pub(crate) passage: &'a StoredPassage,
    pub(crate) chip: Standing,
    pub(crate) ideal: Standing,
}

/// The place of a passage in one search: its rank from 1 on, and its score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Standing {
    pub(crate) rank: usize,
    pub(crate) score: f32,
}

impl<'a> AskJob<'a> {
    /// The first k passages on the chip, in their order, followed by those that only the ideal search has among its first k.
    ///
    /// # Errors
    /// If k is 0 or more than the number of passages, if the encoder finds no word in the question, and errors of the store.
    pub(crate) fn run(self) -> Result<Vec<Found<'a>>> {
        let vectors = &self.store.vectors;
        let size = vectors.len();
        if self.k == 0 || self.k > size {
            bail!(
                "-k {}: the store holds {size} passages; hint: ask for 1 to {size}",
                self.k
            );
        }
        let query = self.encoder.embed(&[self.question])?.concat();
        if query.iter().all(|number| *number == 0.0) {
            bail!(
                "the encoder finds no word in the question {:?}; hint: write it with letters or digits",
                self.question
            );
        }
        let queries = QuantizedQueries::new(&query, vectors.dimension(), vectors.config())?;
        // Both searches rank all passages, so that every shown passage has a rank in both.
        let chip = vectors.program(self.chip)?.search(&queries, size)?.concat();
        let ideal = vectors.exact(&queries, size)?.concat();
        let of_chip = standings(&chip);
        let of_ideal = standings(&ideal);
        let passages: BTreeMap<EntryId, &StoredPassage> = self
            .store
            .passages
            .iter()
            .map(|passage| (passage.entry, passage))
            .collect();
        let first = |hits: &[Hit]| -> Vec<EntryId> {
            hits.iter().take(self.k).map(|hit| hit.entry).collect()
        };
        let shown = first(&chip);
        let missed = first(&ideal)
            .into_iter()
            .filter(|entry| !shown.contains(entry));
        let missed: Vec<EntryId> = missed.collect();
        let found = shown.iter().chain(&missed).filter_map(|entry| {
            Some(Found {
                passage: passages.get(entry)?,
                chip: *of_chip.get(entry)?,
                ideal: *of_ideal.get(entry)?,
            })
        });
        Ok(found.collect())
    }
}

/// Rank and score of every entry.
fn standings(hits: &[Hit]) -> BTreeMap<EntryId, Standing> {
    let ranked = hits.iter().zip(1..);
    ranked
        .map(|(hit, rank)| {
            let score = hit.score;
            (hit.entry, Standing { rank, score })
        })
        .collect()
}
