//! Runs a race of chips with progress. Counts are kept on disk, so that an interrupted race can resume.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use crossburn_hardware::deploy::Fab;
use crossburn_models::Network;
use crossburn_noise::{Bracket, ChipSeed, Race, RaceObserver, RaceResult};
use crossburn_training::{Evaluation, Learn};

use super::population::ChipStore;
use crate::report::{Known, RaceRoundSummary, RaceSummary};

/// A race's store and callbacks.
pub(crate) struct Racing<'a> {
    pub(crate) race: &'a Race,
    /// The store of counts.
    pub(crate) store: &'a ChipStore,
    /// Called before every round, with the number of its chips and the range of its items.
    pub(crate) on_round: &'a (dyn Fn(usize, &Range<usize>) + Sync),
    /// Called for every chip, with the number of items that it was evaluated on.
    pub(crate) on_chip: &'a (dyn Fn(usize) + Sync),
    /// Ends the race early.
    pub(crate) stop: &'a AtomicBool,
}

/// Runs the race; `None` if it was stopped. Finished counts are then in the store.
pub(crate) fn run<N: Network, T: Learn<N>>(
    evaluation: &Evaluation<N, T>,
    fab: &dyn Fab<N>,
    racing: &Racing<'_>,
) -> Result<Option<RaceResult>> {
    let followed = Followed {
        racing,
        finished: racing.store.finished(),
    };
    let result = evaluation.race(fab, racing.race, &followed, racing.stop)?;
    racing.store.save()?;
    Ok(result)
}

struct Followed<'a> {
    racing: &'a Racing<'a>,
    finished: BTreeMap<u64, f64>,
}

impl Followed<'_> {
    /// The number under which a count is kept. It is made of the chip and the first item. It does not depend on the number of chips, so that a race with more
    /// chips can continue from here.
    fn number(&self, chip: ChipSeed, items: &Range<usize>) -> u64 {
        chip.index() * self.racing.race.config().items as u64 + items.start as u64
    }
}

impl RaceObserver for Followed<'_> {
    fn round(&self, chips: usize, items: Range<usize>) {
        (self.racing.on_round)(chips, &items);
    }

    fn known(&self, chip: ChipSeed, items: &Range<usize>) -> Option<u64> {
        let correct = self.finished.get(&self.number(chip, items))?;
        Some(*correct as u64)
    }

    fn chip(&self, chip: ChipSeed, items: Range<usize>, correct: u64) {
        let number = self.number(chip, &items);
        self.racing.store.keep(number, correct as f64);
        (self.racing.on_chip)(items.len());
    }
}

/// The results of a race, for the document.
pub(crate) fn summarize(race: &Race, result: &RaceResult) -> RaceSummary {
    let config = race.config();
    let known = |bracket: Bracket| Known {
        low: bracket.low,
        high: bracket.high,
    };
    RaceSummary {
        k: config.k,
        seed: config.seed,
        chips: (config.chips.end - config.chips.start) as usize,
        items: config.items,
        value: known(result.value),
        low: result.low.map(known),
        high: result.high.map(known),
        coverage: result.coverage,
        delta: result.delta,
        confidence: result.confidence(),
        work: result.work,
        rounds: result
            .rounds
            .iter()
            .map(|round| RaceRoundSummary {
                items: round.items,
                chips: round.chips,
                above: round.above,
                below: round.below,
            })
            .collect(),
    }
}
