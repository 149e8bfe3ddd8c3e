//! A race of chips, followed, and kept on disk count by count so that an interrupted race resumes.

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

/// What is raced, and who follows it.
pub(crate) struct Racing<'a> {
    pub(crate) race: &'a Race,
    /// Where counts are kept.
    pub(crate) store: &'a ChipStore,
    /// Hears of every round: its chips, and the items it looks at.
    pub(crate) on_round: &'a (dyn Fn(usize, &Range<usize>) + Sync),
    /// Hears of every chip and how many items it has looked at.
    pub(crate) on_chip: &'a (dyn Fn(usize) + Sync),
    /// Ends the race early.
    pub(crate) stop: &'a AtomicBool,
}

/// Runs the race; `None` where it was stopped (what is finished is then in the store).
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
    /// The number under which a count is kept: that of the chip and of the first item. It does not depend on how many chips
    /// race, so that a race of more chips goes on from here.
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

/// The numbers of a race.
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
