//! Draws a population of chips with progress. Finished chips are kept on disk, so that an interrupted run can resume.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::Result;
use crossburn_hardware::deploy::Fab;
use crossburn_models::Network;
use crossburn_noise::Population;
use crossburn_training::{Evaluation, Learn};
use serde_json::Value;

use super::kept_file::{KeptFile, Work};

/// Time between two writes of finished chips while a population is drawn.
const SAVE_EVERY: Duration = Duration::from_secs(2);

const CHIPS: Work = Work {
    key: "chips",
    is: "a file of finished chips",
    holds: "chips",
};

/// Finished chips of a run, kept in a file.
#[derive(Debug)]
pub(crate) struct ChipStore {
    file: KeptFile,
    finished: Mutex<Finished>,
}

/// Finished chips, and the time of the last write.
#[derive(Debug)]
struct Finished {
    /// Chip → metric.
    chips: BTreeMap<u64, f64>,
    saved: Option<Instant>,
}

impl ChipStore {
    /// The store at `path`. It is empty or, with `resume`, holds what an earlier run with the same settings left.
    ///
    /// # Errors
    /// Those of [`KeptFile::read`].
    pub(crate) fn open(path: PathBuf, of: Value, resume: bool) -> Result<Self> {
        let file = KeptFile::new(path, of, CHIPS);
        let finished = Finished {
            chips: file.read(resume)?.unwrap_or_default(),
            saved: None,
        };
        Ok(Self {
            file,
            finished: Mutex::new(finished),
        })
    }

    /// Finished work: the number of a piece, such as a chip, and its result.
    pub(crate) fn finished(&self) -> BTreeMap<u64, f64> {
        self.lock().chips.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Finished> {
        // A panic elsewhere cannot leave a half-inserted chip, so a poisoned lock is usable.
        self.finished
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Keeps a chip. The file is written at the first chip, and later from time to time. An error of writing is reported by
    /// [`save`](Self::save) at the end.
    pub(crate) fn keep(&self, chip: u64, metric: f64) {
        let mut finished = self.lock();
        finished.chips.insert(chip, metric);
        if finished
            .saved
            .is_none_or(|saved| saved.elapsed() >= SAVE_EVERY)
        {
            finished.saved = Some(Instant::now());
            let _ = self.file.write(&finished.chips);
        }
    }

    /// Writes the file.
    pub(crate) fn save(&self) -> Result<()> {
        self.file.write(&self.lock().chips)
    }
}

/// The population to draw, and callbacks.
pub(crate) struct Draw<'a, N> {
    /// What makes the chips.
    pub(crate) fab: &'a dyn Fab<N>,
    /// Seed of the population.
    pub(crate) seed: u64,
    /// Numbers of the chips.
    pub(crate) chips: Range<u64>,
    /// The store for finished chips, if there is one.
    pub(crate) store: Option<&'a ChipStore>,
    /// Called after every finished chip.
    pub(crate) on_chip: &'a (dyn Fn() + Sync),
    /// Ends the run early.
    pub(crate) stop: &'a AtomicBool,
}

/// Draws the population; `None` if it was stopped. Finished chips are then in the store.
pub(crate) fn draw<N: Network, T: Learn<N>>(
    evaluation: &Evaluation<N, T>,
    draw: &Draw<'_, N>,
) -> Result<Option<Population>> {
    let mut finished = draw.store.map(ChipStore::finished).unwrap_or_default();
    finished.retain(|chip, _| draw.chips.contains(chip));
    finished.keys().for_each(|_| (draw.on_chip)());
    for missing in gaps(&draw.chips, &finished) {
        let on_chip = |chip, metric| {
            if let Some(store) = draw.store {
                store.keep(chip, metric);
            }
            (draw.on_chip)();
        };
        let (chips, stopped) =
            evaluation.population(draw.fab, draw.seed, missing, on_chip, draw.stop)?;
        finished.extend(chips);
        if stopped {
            if let Some(store) = draw.store {
                store.save()?;
            }
            return Ok(None);
        }
    }
    if let Some(store) = draw.store {
        store.save()?;
    }
    let metric = finished.into_values().collect();
    let population = Population::new(draw.seed, draw.chips.start, metric);
    Ok(Some(population.judged_by(evaluation.metric().better)))
}

/// Ranges of chip numbers in `chips` that are not finished.
fn gaps(chips: &Range<u64>, finished: &BTreeMap<u64, f64>) -> Vec<Range<u64>> {
    let mut gaps = Vec::new();
    let mut start = chips.start;
    for &chip in finished.keys().chain([&chips.end]) {
        if chip > start {
            gaps.push(start..chip);
        }
        start = chip.saturating_add(1);
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_finished_chips_make_the_range() {
        let finished = BTreeMap::from([(2, 0.5), (3, 0.5), (7, 0.5)]);
        assert_eq!(gaps(&(0..10), &finished), vec![0..2, 4..7, 8..10]);
        assert_eq!(gaps(&(0..4), &BTreeMap::new()), vec![0..4]);
        assert!(gaps(&(2..4), &BTreeMap::from([(2, 0.5), (3, 0.5)])).is_empty());
    }
}
