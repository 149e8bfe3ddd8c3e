//! Stores of one set of documents on all devices, and what queries find there.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use crossburn_hardware::MemoryDevice;
use crossburn_hardware::deploy::Fidelity;
use crossburn_hardware::program::{SelectiveWriteVerify, WriteVerify};
use crossburn_hardware::search::{
    EntryId, Hit, ProgrammedStore, QuantizedQueries, SearchConfig, VectorStore,
};
use crossburn_noise::ChipSeed;
use crossburn_training::Ranks;

use super::arms::{DEVICES, Mitigation, variation};
use super::{
    CELLS, EXACT, IDEAL, IDEAL_OF_FIVE, LEADS, LOST, RECALL_OF_FIVE, SAME, SIGMAS, SNR, USUAL,
    leads_from, of_device, on_device, over_devices,
};

/// Entries that a search gives.
const FOUND: usize = 5;
/// σ at which nothing is left of the vectors.
pub(super) const NOTHING_LEFT: f64 = 10.0;
/// Share of the numbers that selective write-verify verifies, and what is left of their deviation: 0.03 of 0.1 of the range.
const VERIFIED: f64 = 0.1;
const LEFT: f64 = 0.3;
/// Queries that are searched on simulated arrays.
const ON_ARRAYS: usize = 20;

/// Documents as they are stored, and queries for them in the same order; vectors row after row.
pub(super) struct Search {
    pub(super) queries: Vec<f32>,
    pub(super) documents: Vec<f32>,
    /// Queries of other documents, which compensation is set on.
    pub(super) others: Vec<f32>,
    pub(super) dimension: usize,
    /// Times that each store is programmed.
    pub(super) programmings: u64,
    /// Seed of the population of chips.
    pub(super) chips: u64,
    pub(super) mitigation: Mitigation,
}

/// What one population of chips finds: sums over queries.
#[derive(Default)]
struct Found {
    first: u64,
    of_five: u64,
    same: u64,
    queries: u64,
}

impl Search {
    fn store(&self, config: &SearchConfig) -> Result<VectorStore> {
        Ok(VectorStore::of(&self.documents, self.dimension, config)?)
    }

    fn asked(&self, config: &SearchConfig) -> Result<QuantizedQueries> {
        Ok(QuantizedQueries::new(
            &self.queries,
            self.dimension,
            config,
        )?)
    }

    /// All numbers of the arm; `None` if `go_on` says to stop.
    pub(super) fn numbers(
        &self,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Option<BTreeMap<String, f64>>> {
        let mut numbers = BTreeMap::new();
        let exact = self.on(DEVICES[0].1, 0.0)?;
        let asked = self.asked(&exact)?;
        let ideal = self.store(&exact)?.exact(&asked, self.found())?;
        let count = ideal.len() as f64;
        let recall = |k| recalled(&ideal, k) as f64 / count;
        numbers.insert(IDEAL.to_string(), recall(1));
        numbers.insert(IDEAL_OF_FIVE.to_string(), recall(FOUND));
        for sigma in SIGMAS.into_iter().chain([NOTHING_LEFT]) {
            let mut all = Found::default();
            for (device, ratio) in DEVICES {
                if !go_on() {
                    return Ok(None);
                }
                let found = self.population(ratio, sigma, &ideal)?;
                numbers.insert(of_device(device, sigma), found.share(found.first));
                if sigma == USUAL {
                    numbers.insert(on_device(device), found.share(found.first));
                }
                all.add(&found);
            }
            let name = match sigma == NOTHING_LEFT {
                true => LOST.to_string(),
                false => over_devices(sigma),
            };
            numbers.insert(name, all.share(all.first));
            if sigma == USUAL {
                numbers.insert(RECALL_OF_FIVE.to_string(), all.share(all.of_five));
                numbers.insert(SAME.to_string(), all.share(all.same));
            }
        }
        if self.mitigation == Mitigation::None {
            let leads = self.leads()?;
            let count = leads.len() as f64;
            numbers.insert(SNR.to_string(), leads.iter().sum::<f64>() / count);
            for from in LEADS {
                let own = leads.iter().filter(|lead| bin(**lead) == from);
                numbers.insert(leads_from(from), own.count() as f64 / count);
            }
            numbers.insert(CELLS.to_string(), self.on_cells()?);
            numbers.insert(EXACT.to_string(), self.exact_on_cells()?);
        }
        Ok(Some(numbers))
    }

    /// Entries that a search gives here: no more than there are.
    fn found(&self) -> usize {
        FOUND.min(self.documents.len() / self.dimension)
    }

    /// The setting of RoCR, with deviations of whole numbers.
    fn on(&self, ratio: f64, sigma: f64) -> Result<SearchConfig> {
        Ok(SearchConfig {
            variation: Some(variation(ratio, sigma)),
            ..SearchConfig::new(MemoryDevice::preset("fefet3")?)
        })
    }

    /// What all chips of a device find.
    fn population(&self, ratio: f64, sigma: f64, ideal: &[Vec<Hit>]) -> Result<Found> {
        let config = self.on(ratio, sigma)?;
        let (store, asked) = (self.store(&config)?, self.asked(&config)?);
        let better = match self.mitigation {
            Mitigation::SelectiveWriteVerify => Some(self.store(&self.on(ratio, LEFT * sigma)?)?),
            Mitigation::None | Mitigation::OutputCompensation => None,
        };
        let mut found = Found::default();
        for number in 0..self.programmings {
            let seed = ChipSeed::new(self.chips, number);
            let chip = store.program(seed)?;
            let scores = match (self.mitigation, &better) {
                (Mitigation::SelectiveWriteVerify, Some(better)) => {
                    let verified = better.program(seed)?;
                    let held = self.selected(&store, &chip, &verified)?;
                    Some(self.scores(&self.queries, &held))
                }
                (Mitigation::OutputCompensation, _) => Some(self.compensated(&store, &chip)?),
                _ => None,
            };
            match scores {
                None => found.count(&chip.search(&asked, self.found())?, ideal),
                Some(scores) => found.count_scores(&scores, ideal)?,
            }
        }
        Ok(found)
    }

    /// The numbers that `of` gives of all entries, row after row.
    fn all(
        &self,
        store: &VectorStore,
        of: impl Fn(EntryId) -> Result<Vec<f32>, crossburn_hardware::HardwareError>,
    ) -> Result<Vec<f32>> {
        let mut rows = Vec::with_capacity(self.documents.len());
        for entry in store.entries() {
            rows.extend(of(entry)?);
        }
        Ok(rows)
    }

    /// Inner products of `queries` with `rows`, query after query.
    fn scores(&self, queries: &[f32], rows: &[f32]) -> Vec<f32> {
        let product =
            |query: &[f32], row: &[f32]| -> f32 { query.iter().zip(row).map(|(a, b)| a * b).sum() };
        let rows = || rows.chunks(self.dimension);
        let queries = queries.chunks(self.dimension);
        queries
            .flat_map(|query| rows().map(move |row| product(query, row)))
            .collect()
    }

    /// The numbers of `chip`, with those of `verified` where numbers count most: in the places that queries weight most, and among those
    /// the largest.
    fn selected(
        &self,
        store: &VectorStore,
        chip: &ProgrammedStore,
        verified: &ProgrammedStore,
    ) -> Result<Vec<f32>> {
        // The second derivative of a squared error of scores by a stored number.
        let mut weights = vec![0.0f32; self.dimension];
        for query in self.others.chunks(self.dimension) {
            for (weight, x) in weights.iter_mut().zip(query) {
                *weight += x * x;
            }
        }
        let mut held = self.all(store, |entry| chip.read(entry))?;
        let verified = self.all(store, |entry| verified.read(entry))?;
        let rounded = self.all(store, |entry| store.rounded(entry))?;
        let sensitivities: Vec<f32> = weights.iter().copied().cycle().take(held.len()).collect();
        let verify = WriteVerify::reaching(0.03, 0.1, 100)?;
        let selective = SelectiveWriteVerify::new(VERIFIED, verify)?;
        let selected = selective.select(&sensitivities, &rounded)?;
        for ((held, verified), selected) in held.iter_mut().zip(verified).zip(selected) {
            if selected {
                *held = verified;
            }
        }
        Ok(held)
    }

    /// Scores of a chip, each times a factor and plus an offset of its entry, which make the scores of other queries most like those without
    /// deviation.
    fn compensated(&self, store: &VectorStore, chip: &ProgrammedStore) -> Result<Vec<f32>> {
        let held = self.all(store, |entry| chip.read(entry))?;
        let rounded = self.all(store, |entry| store.rounded(entry))?;
        let entries = store.len();
        let (found, wanted) = (
            self.scores(&self.others, &held),
            self.scores(&self.others, &rounded),
        );
        let lines: Vec<(f64, f64)> = (0..entries)
            .map(|entry| {
                let column = |of: &'_ [f32]| -> Vec<f64> {
                    of.iter()
                        .skip(entry)
                        .step_by(entries)
                        .map(|x| f64::from(*x))
                        .collect()
                };
                line(&column(&found), &column(&wanted))
            })
            .collect();
        let mut scores = self.scores(&self.queries, &held);
        for row in scores.chunks_mut(entries) {
            for (score, (factor, offset)) in row.iter_mut().zip(&lines) {
                *score = (f64::from(*score) * factor + offset) as f32;
            }
        }
        Ok(scores)
    }

    /// For each query the lead of the right document over the best other one, over the standard deviation of the difference of two scores, at
    /// [`USUAL`] of the first device: queries have length 1.
    fn leads(&self) -> Result<Vec<f64>> {
        let config = self.on(DEVICES[0].1, USUAL)?;
        let store = self.store(&config)?;
        let rounded = self.all(&store, |entry| store.rounded(entry))?;
        let scores = self.scores(&self.queries, &rounded);
        let entries = store.len();
        let lead = |(own, row): (usize, &[f32])| {
            let others = row.iter().enumerate().filter(|(place, _)| *place != own);
            let best = others
                .map(|(_, score)| *score)
                .fold(f32::NEG_INFINITY, f32::max);
            f64::from(row[own] - best)
        };
        let chip = store.program(ChipSeed::new(self.chips, 0))?;
        let held = self.all(&store, |entry| chip.read(entry))?;
        let squares = held
            .iter()
            .zip(&rounded)
            .map(|(a, b)| f64::from(a - b).powi(2));
        let deviation = (squares.sum::<f64>() / held.len() as f64).sqrt();
        let noise = 2f64.sqrt() * deviation;
        let leads = scores.chunks(entries).enumerate().map(lead);
        Ok(leads.map(|lead| lead / noise).collect())
    }

    /// The recall on pairs of 2-bit cells of FeFET3, four pairs for each number, at the deviation of the preset.
    fn on_cells(&self) -> Result<f64> {
        let config = SearchConfig::new(MemoryDevice::preset("fefet3")?);
        let (store, asked) = (self.store(&config)?, self.asked(&config)?);
        let mut hits = 0;
        for number in 0..self.programmings {
            let chip = store.program(ChipSeed::new(self.chips, number))?;
            hits += recalled(&chip.search(&asked, 1)?, 1);
        }
        Ok(hits as f64 / (asked.len() as u64 * self.programmings) as f64)
    }

    /// The share of queries that cells without deviation answer as integers do, with equal scores in equal order: at weight fidelity, and some of
    /// them on simulated arrays.
    fn exact_on_cells(&self) -> Result<f64> {
        let device = MemoryDevice::from_toml(
            "kind = \"four-level\"\ncell = \"rram1\"\nsigma_rel_range = 0.0\ng_min = \"50 uS\"\ng_max = \"150 uS\"\n",
        )?;
        let mut config = SearchConfig::new(device);
        let mut same = 0;
        let mut all = 0;
        for fidelity in [Fidelity::Weight, Fidelity::Array] {
            config.fidelity = fidelity;
            let count = match fidelity {
                Fidelity::Weight => self.queries.len(),
                Fidelity::Array => self.queries.len().min(ON_ARRAYS * self.dimension),
            };
            let asked = QuantizedQueries::new(&self.queries[..count], self.dimension, &config)?;
            let store = self.store(&config)?;
            let exact = store.exact(&asked, self.found())?;
            let chip = store.program(ChipSeed::new(self.chips, 0))?;
            let found = chip.search(&asked, self.found())?;
            let entries =
                |hits: &Vec<Hit>| -> Vec<EntryId> { hits.iter().map(|hit| hit.entry).collect() };
            let pairs = exact.iter().zip(&found);
            same += pairs.filter(|(a, b)| entries(a) == entries(b)).count();
            all += exact.len();
        }
        Ok(same as f64 / all as f64)
    }
}

/// The entry of [`LEADS`] that a lead is counted in.
fn bin(lead: f64) -> i32 {
    let whole = lead.floor() as i32;
    whole.clamp(*LEADS.start(), *LEADS.end())
}

/// How many queries find their own document among the first `k`.
fn recalled(found: &[Vec<Hit>], k: usize) -> u64 {
    let own = |(number, hits): &(usize, &Vec<Hit>)| {
        let own = EntryId::new(*number as u64);
        hits.iter().take(k).any(|hit| hit.entry == own)
    };
    found.iter().enumerate().filter(own).count() as u64
}

/// The factor and offset that make `from` most like `to`.
fn line(from: &[f64], to: &[f64]) -> (f64, f64) {
    let count = from.len() as f64;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / count;
    let (x, y) = (mean(from), mean(to));
    let products: f64 = from.iter().zip(to).map(|(a, b)| (a - x) * (b - y)).sum();
    let squares: f64 = from.iter().map(|a| (a - x).powi(2)).sum();
    let factor = if squares > 0.0 {
        products / squares
    } else {
        1.0
    };
    (factor, y - factor * x)
}

impl Found {
    fn share(&self, count: u64) -> f64 {
        count as f64 / self.queries.max(1) as f64
    }

    fn add(&mut self, other: &Self) {
        self.first += other.first;
        self.of_five += other.of_five;
        self.same += other.same;
        self.queries += other.queries;
    }

    /// What a chip found, beside what is found without deviation.
    fn count(&mut self, found: &[Vec<Hit>], ideal: &[Vec<Hit>]) {
        self.first += recalled(found, 1);
        self.of_five += recalled(found, FOUND);
        let first = |hits: &[Hit]| hits.first().map(|hit| hit.entry);
        let pairs = found.iter().zip(ideal);
        self.same += pairs.filter(|(a, b)| first(a) == first(b)).count() as u64;
        self.queries += found.len() as u64;
    }

    /// The same of scores, query after query.
    fn count_scores(&mut self, scores: &[f32], ideal: &[Vec<Hit>]) -> Result<()> {
        let own: Vec<usize> = (0..ideal.len()).collect();
        let first = ideal
            .iter()
            .map(|hits| hits.first().map(|hit| hit.entry.get() as usize));
        let first: Option<Vec<usize>> = first.collect();
        let ranks = Ranks::of(scores, &own)?;
        self.first += ranks.hits(1);
        self.of_five += ranks.hits(FOUND);
        let same = Ranks::of(scores, &first.context("a query found nothing")?)?;
        self.same += same.hits(1);
        self.queries += ideal.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn leads_are_counted_by_the_whole_number_below_them() {
        let found = [-7.5, -0.1, 0.0, 0.9, 3.0, 10.0, 99.0].map(bin);
        assert_eq!(found, [-2, -1, 0, 0, 3, 10, 10]);
    }

    #[test]
    fn a_line_through_points_is_found() {
        let from = [1.0, 2.0, 4.0];
        let (factor, offset) = line(&from, &from.map(|x| 3.0 * x - 2.0));
        assert!((factor - 3.0).abs() < 1e-12 && (offset + 2.0).abs() < 1e-12);
        assert_eq!(line(&[1.0, 1.0], &[2.0, 4.0]), (1.0, 2.0));
    }

    /// Four documents along axes, each with a query beside its axis.
    fn search(mitigation: Mitigation) -> Search {
        let axis =
            |length: f32| move |place: usize| if place / 4 == place % 4 { length } else { 0.1 };
        Search {
            queries: (0..16).map(axis(0.5)).collect(),
            documents: (0..16).map(axis(1.0)).collect(),
            others: (0..16).map(axis(0.7)).collect(),
            dimension: 4,
            programmings: 2,
            chips: 1,
            mitigation,
        }
    }

    #[test]
    fn documents_that_lie_apart_are_found_until_nothing_is_left_of_them() {
        for mitigation in [
            Mitigation::None,
            Mitigation::SelectiveWriteVerify,
            Mitigation::OutputCompensation,
        ] {
            let numbers = search(mitigation).numbers(&|| true).unwrap().unwrap();
            assert_eq!((numbers[IDEAL], numbers[IDEAL_OF_FIVE]), (1.0, 1.0));
            assert_eq!(numbers[&over_devices(0.05)], 1.0, "{mitigation:?}");
            assert!(numbers[LOST] < 0.9, "{mitigation:?} {}", numbers[LOST]);
            let bins: Vec<f64> = LEADS
                .filter_map(|from| numbers.get(&leads_from(from)).copied())
                .collect();
            match mitigation {
                Mitigation::None => assert!((bins.iter().sum::<f64>() - 1.0).abs() < 1e-12),
                _ => assert!(bins.is_empty()),
            }
            let exact = numbers.get(EXACT).copied();
            assert_eq!(exact, (mitigation == Mitigation::None).then_some(1.0));
        }
        assert!(
            search(Mitigation::None)
                .numbers(&|| false)
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn compensation_takes_a_gain_and_an_offset_back() {
        let search = search(Mitigation::OutputCompensation);
        let config = search.on(1.0, 0.0).unwrap();
        let store = search.store(&config).unwrap();
        let chip = store.program(ChipSeed::new(1, 0)).unwrap();
        // Without deviation nothing is left to compensate.
        let rounded = search.all(&store, |entry| store.rounded(entry)).unwrap();
        let expected = search.scores(&search.queries, &rounded);
        let found = search.compensated(&store, &chip).unwrap();
        // Sums of four products below 1, in 32 bits.
        assert!(
            found
                .iter()
                .zip(&expected)
                .all(|(a, b)| (a - b).abs() < 1e-5)
        );
    }
}
