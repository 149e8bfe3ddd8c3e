//! Prompts on a chip: fetched by a search in its arrays, and read from them.

use crossburn_hardware::HardwareError;
use crossburn_hardware::search::{
    EntryId, Hit, ProgrammedStore, QuantizedQueries, SearchConfig, SearchScale, VectorStore,
};
use crossburn_noise::{ChipSeed, path_hash};
use serde::{Deserialize, Serialize};

use super::mitigation::{Compensation, Line};
use crate::TrainingError;
use crate::task::require_finite;

/// What a query is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyForm {
    /// A key of its own: the code of the mean of the texts that the prompt was tuned on.
    #[default]
    Beside,
    /// The code of the prompt itself, as published.
    Prompt,
}

/// Codes of prompts in an in-memory store, with keys that they are found by.
///
/// Scores are divided by the length of the key, in every kind of search: an inner product favours long vectors. A key beside its prompt is
/// stored with length 1; the length of a prompt that is its own key is kept digitally.
#[derive(Clone, Debug)]
pub struct PromptStore {
    codes: VectorStore,
    /// Where keys are not the codes themselves.
    keys: Option<VectorStore>,
    /// Length of each stored key.
    lengths: Vec<f32>,
}

impl PromptStore {
    /// `codes`, `[prompts, dimension]` row by row, in a store of `config`, found by `keys` of the same shape, or by themselves where
    /// there are none. The scales of `config` are those of what is searched; codes beside keys are stored once.
    ///
    /// # Errors
    /// Those of [`VectorStore::of`]; [`TrainingError::Data`] for another number of keys.
    pub fn new(
        codes: &[f32],
        keys: Option<&[f32]>,
        dimension: usize,
        config: &SearchConfig,
    ) -> Result<Self, TrainingError> {
        let length = |key: &[f32]| key.iter().map(|x| x * x).sum::<f32>().sqrt();
        let Some(keys) = keys else {
            return Ok(Self {
                lengths: codes.chunks(dimension.max(1)).map(length).collect(),
                codes: VectorStore::of(codes, dimension, config)?,
                keys: None,
            });
        };
        if keys.len() != codes.len() {
            return Err(TrainingError::data(
                "keys of prompts",
                format!("{} numbers do not fit {} of codes", keys.len(), codes.len()),
                "give one key for each prompt",
            ));
        }
        let once = SearchConfig {
            scales: vec![SearchScale::default()],
            ..config.clone()
        };
        let mut unit = keys.to_vec();
        for key in unit.chunks_mut(dimension.max(1)) {
            let length = length(key).max(f32::MIN_POSITIVE);
            key.iter_mut().for_each(|x| *x /= length);
        }
        Ok(Self {
            codes: VectorStore::of(codes, dimension, &once)?,
            lengths: vec![1.0; codes.len() / dimension],
            keys: Some(VectorStore::of(&unit, dimension, config)?),
        })
    }

    /// Number of prompts.
    pub fn len(&self) -> usize {
        self.codes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// The store that is searched.
    pub fn searched(&self) -> &VectorStore {
        self.keys.as_ref().unwrap_or(&self.codes)
    }

    /// `queries`, `[queries, dimension]` row by row, as all chips of this store take them.
    ///
    /// # Errors
    /// Those of [`QuantizedQueries::new`].
    pub fn queries(&self, queries: &[f32]) -> Result<QuantizedQueries, TrainingError> {
        let searched = self.searched();
        let (dimension, config) = (searched.dimension(), searched.config());
        Ok(QuantizedQueries::new(queries, dimension, config)?)
    }

    /// Chip `number` of the population `seed`. One draw holds for all of its queries.
    ///
    /// # Errors
    /// Those of [`VectorStore::program`].
    pub fn program(&self, seed: u64, number: u64) -> Result<PromptChip<'_>, TrainingError> {
        let keys = ChipSeed::new(seed ^ path_hash("keys of prompts"), number);
        let keys = self.keys.as_ref().map(|store| store.program(keys));
        Ok(PromptChip {
            store: self,
            codes: self.codes.program(ChipSeed::new(seed, number))?,
            keys: keys.transpose()?,
        })
    }

    /// The codes as ideal cells hold them: rounded, `[prompts, dimension]`.
    ///
    /// # Errors
    /// Those of [`VectorStore::rounded`].
    pub fn rounded(&self) -> Result<Vec<f32>, TrainingError> {
        let read = |entry| self.codes.rounded(entry);
        Ok(all(&self.codes, read)?)
    }
}

/// The numbers of all entries, in their order.
fn all(
    store: &VectorStore,
    read: impl Fn(EntryId) -> Result<Vec<f32>, HardwareError>,
) -> Result<Vec<f32>, HardwareError> {
    let entries: Vec<Vec<f32>> = store.entries().map(read).collect::<Result<_, _>>()?;
    Ok(entries.concat())
}

/// One chip that a [`PromptStore`] was programmed on.
#[derive(Clone, Debug)]
pub struct PromptChip<'a> {
    store: &'a PromptStore,
    codes: ProgrammedStore,
    keys: Option<ProgrammedStore>,
}

impl PromptChip<'_> {
    /// Scores of every prompt for every query, before they are divided by the length of the key.
    fn scores(&self, queries: &QuantizedQueries) -> Result<Vec<Vec<f32>>, TrainingError> {
        let searched = self.keys.as_ref().unwrap_or(&self.codes);
        Ok(in_order(searched.search(queries, self.store.len())?))
    }

    /// What makes scores those of ideal cells again, prompt by prompt, found on `probes`.
    ///
    /// # Errors
    /// Those of the search.
    pub fn calibrate(
        &self,
        probes: &QuantizedQueries,
        compensation: Compensation,
    ) -> Result<Vec<Line>, TrainingError> {
        let count = self.store.len();
        let ideal = in_order(self.store.searched().exact(probes, count)?);
        let found = self.scores(probes)?;
        let of = |prompt: usize| {
            let column = |rows: &[Vec<f32>]| rows.iter().map(|row| row[prompt]).collect::<Vec<_>>();
            compensation.line(&column(&found), &column(&ideal))
        };
        Ok((0..count).map(of).collect())
    }

    /// The prompt with the highest score for each query, the first of equal ones, where `lines` correct the scores; without them the
    /// scores are those of the chip.
    ///
    /// # Errors
    /// Those of the search; [`TrainingError::NotFinite`] for a score that is no number.
    pub fn fetch(
        &self,
        queries: &QuantizedQueries,
        lines: Option<&[Line]>,
    ) -> Result<Vec<usize>, TrainingError> {
        let best = |(query, scores): (usize, Vec<f32>)| {
            require_finite(&scores, scores.len().max(1)).map_err(|error| error.at_item(query))?;
            let mut best = (f32::NEG_INFINITY, 0);
            for (prompt, score) in scores.iter().enumerate() {
                let score = lines.map_or(*score, |lines| lines[prompt].at(*score));
                let score = score / self.store.lengths[prompt];
                if score > best.0 {
                    best = (score, prompt);
                }
            }
            Ok(best.1)
        };
        self.scores(queries)?
            .into_iter()
            .enumerate()
            .map(best)
            .collect()
    }

    /// The codes as an in-memory read gives them: `[prompts, dimension]`.
    ///
    /// # Errors
    /// Those of [`ProgrammedStore::read`].
    pub fn read(&self) -> Result<Vec<f32>, TrainingError> {
        Ok(all(&self.store.codes, |entry| self.codes.read(entry))?)
    }
}

/// Scores by entry. Entries are numbered in the order in which they came, from 0.
fn in_order(found: Vec<Vec<Hit>>) -> Vec<Vec<f32>> {
    let scores = |mut hits: Vec<Hit>| {
        hits.sort_by_key(|hit| hit.entry);
        hits.into_iter().map(|hit| hit.score).collect()
    };
    found.into_iter().map(scores).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use crossburn_hardware::MemoryDevice;
    use crossburn_noise::{Distribution, Variation};

    use super::*;

    fn config(scales: &[(usize, f32)], sigma: f64) -> SearchConfig {
        let scale = |(pool, weight): &(usize, f32)| SearchScale {
            pool: *pool,
            weight: *weight,
        };
        SearchConfig {
            scales: scales.iter().map(scale).collect(),
            variation: Some(Variation::from(Distribution::gaussian(sigma))),
            ..SearchConfig::new(MemoryDevice::preset("rram1").unwrap())
        }
    }

    /// Multiples of the step of 8 bits, so that nothing is rounded.
    const CODES: [f32; 8] = [127.0, 0.0, 0.0, 1.0, 0.0, 60.0, 0.0, 0.0];

    #[test]
    fn scores_of_scaled_search_are_those_of_the_hand() {
        let scales = [(1, 1.0), (2, 0.8), (4, 0.6)];
        let store = PromptStore::new(&CODES, None, 4, &config(&scales, 0.0)).unwrap();
        let queries = store.queries(&[127.0, 0.0, 127.0, 0.0]).unwrap();
        let scores = store.program(1, 0).unwrap().scores(&queries).unwrap();
        // Query 127, 0, 127, 0; averages 63.5, 63.5; 63.5.
        // Entry 0: 127²; averages 63.5, 0.5: 63.5 · 64; 32: 63.5 · 32.
        // Entry 1: 0; 30, 0: 63.5 · 30; 15: 63.5 · 15.
        let expected = [
            (127.0 * 127.0 + 0.8 * 63.5 * 64.0 + 0.6 * 63.5 * 32.0) / 2.4,
            (0.8 * 63.5 * 30.0 + 0.6 * 63.5 * 15.0) / 2.4,
        ];
        for (found, expected) in scores[0].iter().zip(expected) {
            // Averages are rounded to steps of their largest, a 127th.
            assert!(
                (found / expected - 1.0f32).abs() < 0.01,
                "{found} {expected}"
            );
        }
    }

    #[test]
    fn a_long_key_is_not_favoured_and_one_draw_holds() {
        // The query has a cosine of 0.6 with the long entry and of 1 with the short one.
        let codes = [60.0, 80.0, 10.0, 0.0];
        let plain = config(&[(1, 1.0)], 0.0);
        for keys in [None, Some(&codes[..])] {
            let store = PromptStore::new(&codes, keys, 2, &plain).unwrap();
            let queries = store.queries(&[5.0, 0.0]).unwrap();
            let chip = store.program(3, 0).unwrap();
            assert_eq!(chip.fetch(&queries, None).unwrap(), [1]);
            assert_eq!(chip.read().unwrap(), store.rounded().unwrap());
        }
        let noisy = config(&[(1, 1.0)], 0.1);
        let store = PromptStore::new(&codes, Some(&codes), 2, &noisy).unwrap();
        let chip = store.program(3, 0).unwrap();
        assert_eq!(
            chip.read().unwrap(),
            store.program(3, 0).unwrap().read().unwrap()
        );
        assert_ne!(
            chip.read().unwrap(),
            store.program(3, 1).unwrap().read().unwrap()
        );
        // Scores at two queries say what the chip's keys are: corrected, they are those of the stored keys.
        let probes = store.queries(&[5.0, 0.0, 0.0, 5.0]).unwrap();
        let lines = chip
            .calibrate(&probes, Compensation::GainAndOffset)
            .unwrap();
        let found = chip.scores(&probes).unwrap();
        let ideal = in_order(store.searched().exact(&probes, 2).unwrap());
        for (found, ideal) in found.iter().zip(&ideal) {
            for (prompt, line) in lines.iter().enumerate() {
                assert!((line.at(found[prompt]) - ideal[prompt]).abs() < 1e-3);
            }
        }
        let error = PromptStore::new(&codes, Some(&codes[..2]), 2, &plain).unwrap_err();
        assert!(
            error.to_string().contains("give one key for each prompt"),
            "{error}"
        );
    }
}
