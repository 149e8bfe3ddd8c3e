//! Rare percentiles, followed, and kept on disk chip by chip so that an interrupted simulation resumes.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use crossburn_models::Classifier;
use crossburn_noise::{RareChip, RareObserver, RareResult, SubsetSimulation, Variation};
use crossburn_training::Evaluation;

use super::population::ChipStore;
use crate::report::{RareLevelSummary, RareQuantileSummary, RareSummary};

/// What is simulated, and who follows it.
pub(crate) struct Simulating<'a> {
    pub(crate) variation: &'a Variation,
    pub(crate) simulation: &'a SubsetSimulation,
    /// Where finished chips are kept.
    pub(crate) store: &'a ChipStore,
    /// Hears of every level: its number, from 0, and the chips that it will evaluate.
    pub(crate) on_level: &'a (dyn Fn(usize, usize) + Sync),
    /// Hears of every finished chip.
    pub(crate) on_chip: &'a (dyn Fn() + Sync),
    /// Ends the simulation early.
    pub(crate) stop: &'a AtomicBool,
}

/// Runs the simulation; `None` where it was stopped (what is finished is then in the store).
pub(crate) fn run<C: Classifier>(
    evaluation: &Evaluation<C>,
    simulating: &Simulating<'_>,
) -> Result<Option<RareResult>> {
    let Simulating {
        variation,
        simulation,
        store,
        stop,
        ..
    } = simulating;
    let followed = Followed {
        simulating,
        finished: store.finished(),
    };
    let result = evaluation.rare(variation, simulation, &followed, stop)?;
    store.save()?;
    Ok(result)
}

struct Followed<'a> {
    simulating: &'a Simulating<'a>,
    finished: BTreeMap<u64, f64>,
}

impl RareObserver for Followed<'_> {
    fn level(&self, level: usize, _threshold: f64, chips: usize) {
        (self.simulating.on_level)(level, chips);
    }

    fn known(&self, chip: &RareChip) -> Option<f64> {
        self.finished.get(&chip.last_index()).copied()
    }

    fn chip(&self, chip: &RareChip, metric: f64) {
        self.simulating.store.keep(chip.last_index(), metric);
        (self.simulating.on_chip)();
    }
}

/// The numbers of a simulation of `chips` a level, on `images` test images.
pub(crate) fn summarize(result: &RareResult, chips: usize, images: usize) -> RareSummary {
    RareSummary {
        chips,
        images,
        evaluations: result.evaluations,
        levels: result
            .levels
            .iter()
            .map(|level| RareLevelSummary {
                threshold: level.threshold.is_finite().then_some(level.threshold),
                probability: level.probability,
                acceptance: level.acceptance,
                rho: level.rho,
            })
            .collect(),
        quantiles: result
            .quantiles
            .iter()
            .map(|quantile| RareQuantileSummary {
                percent: quantile.percent,
                value: quantile.value,
                low: quantile.low,
                high: quantile.high,
                variation: quantile.variation,
                effective: quantile.effective,
                plain_chips: quantile.plain_chips,
                chip: quantile.chip.clone(),
            })
            .collect(),
    }
}
