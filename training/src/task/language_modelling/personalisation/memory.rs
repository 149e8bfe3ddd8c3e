//! What a person wrote, in a store in memory.

use std::collections::BTreeMap;

use crossburn_hardware::MemoryDevice;
use crossburn_hardware::search::{
    EntryId, Hit, ProgrammedStore, QuantizedQueries, SearchConfig, VectorStore,
};
use crossburn_models::HashedNgrams;
use crossburn_noise::{ChipSeed, Variation};

use crate::TrainingError;
use crate::data::personal::Example;

/// The cells of the store. Their number of levels counts, not their errors: a deviation of whole numbers stands in their place.
const CELLS: &str = "fefet3";

/// The questions of a history as vectors in the arrays of one chip, which finds those that are most like a new question.
///
/// Vectors are those of [`HashedNgrams`]; the search is maximum inner product. The stored vectors deviate by the given variation, relative
/// to their full scale.
#[derive(Debug)]
pub struct ExampleMemory<'a> {
    history: &'a [Example],
    encoder: HashedNgrams,
    config: SearchConfig,
    chip: ProgrammedStore,
    /// The example of each entry.
    places: BTreeMap<EntryId, usize>,
}

impl<'a> ExampleMemory<'a> {
    /// `history` in the arrays of `chip`.
    ///
    /// # Errors
    /// Those of the store.
    pub fn new(
        history: &'a [Example],
        variation: Option<Variation>,
        chip: ChipSeed,
    ) -> Result<Self, TrainingError> {
        let encoder = HashedNgrams::default();
        let config = SearchConfig {
            // Without deviation for ideal cells.
            variation: Some(variation.unwrap_or_default()),
            ..SearchConfig::new(MemoryDevice::preset(CELLS)?)
        };
        let vectors = history
            .iter()
            .flat_map(|example| encoder.embed(&example.prompt));
        let mut store = VectorStore::new(encoder.dimension(), &config)?;
        let entries = store.extend(&vectors.collect::<Vec<f32>>())?;
        Ok(Self {
            history,
            encoder,
            chip: store.program(chip)?,
            config,
            places: entries.into_iter().zip(0..).collect(),
        })
    }

    /// For each of `asked` the `count` examples of the history that are most like it, the most similar first. An example with the same question
    /// is never among them: it would give the answer away.
    ///
    /// # Errors
    /// Those of the store.
    pub fn nearest(
        &self,
        asked: &[Example],
        count: usize,
    ) -> Result<Vec<Vec<&'a Example>>, TrainingError> {
        if asked.is_empty() || self.history.is_empty() || count == 0 {
            return Ok(vec![Vec::new(); asked.len()]);
        }
        let vectors = asked
            .iter()
            .flat_map(|example| self.encoder.embed(&example.prompt));
        let vectors: Vec<f32> = vectors.collect();
        let queries = QuantizedQueries::new(&vectors, self.encoder.dimension(), &self.config)?;
        let hits = self.chip.search(&queries, self.history.len())?;
        let of_question = |(hits, asked): (Vec<Hit>, &Example)| {
            let found = hits
                .iter()
                .filter_map(|hit| self.history.get(*self.places.get(&hit.entry)?));
            let others = found.filter(|found| found.prompt != asked.prompt);
            others.take(count).collect()
        };
        Ok(hits.into_iter().zip(asked).map(of_question).collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use crossburn_noise::Distribution;

    use super::*;
    use crate::data::personal::ExampleKind;

    fn example(prompt: &str) -> Example {
        Example {
            kind: ExampleKind::Title,
            prompt: prompt.to_string(),
            completion: " x\n".to_string(),
        }
    }

    #[test]
    fn examples_that_share_words_come_first_and_the_question_itself_never() {
        let history = [
            "we measure comets at night",
            "we review soups in winter",
            "we count comets near the coast",
        ]
        .map(example);
        let memory = ExampleMemory::new(&history, None, ChipSeed::new(1, 0)).unwrap();
        let prompts = |asked: &str, count| -> Vec<&str> {
            let found = memory.nearest(&[example(asked)], count).unwrap();
            found[0]
                .iter()
                .map(|example| example.prompt.as_str())
                .collect()
        };
        assert_eq!(
            prompts("they review soups in small towns", 1),
            ["we review soups in winter"]
        );
        // As many as there are, without the one that was asked.
        assert_eq!(
            prompts("we measure comets at night", 9)[0],
            "we count comets near the coast"
        );
        assert_eq!(prompts("we measure comets at night", 9).len(), 2);
        // Cells that hold nothing but noise find something else for some question.
        let lost = Variation::from(Distribution::gaussian(10.0));
        let lost = ExampleMemory::new(&history, Some(lost), ChipSeed::new(1, 0)).unwrap();
        let asked: Vec<Example> = ["comets", "soups", "the coast", "winter"]
            .map(example)
            .to_vec();
        assert_ne!(
            lost.nearest(&asked, 1).unwrap(),
            memory.nearest(&asked, 1).unwrap()
        );
        let none = ExampleMemory::new(&[], None, ChipSeed::new(1, 0)).unwrap();
        assert_eq!(
            none.nearest(&asked[..1], 3).unwrap(),
            [Vec::<&Example>::new()]
        );
    }
}
