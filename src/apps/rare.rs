//! Estimates rare percentiles by subset simulation and by importance sampling, with progress. Finished chips are kept on disk, so that an interrupted run
//! can resume.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use crossburn_hardware::deploy::Fab;
use crossburn_models::Network;
use crossburn_noise::{
    Better, ChipSeed, Direction, ImportanceConfig, Pilot, RareChip, RareObserver, RareResult,
    ShiftedChip, SubsetSimulation, Variation,
};
use crossburn_training::{Evaluation, Learn, TrainingError};
use rayon::prelude::*;

use super::population::ChipStore;
use super::study::CONFIDENCE;
use crate::report::{
    ImportanceQuantileSummary, ImportanceSummary, PopulationSummary, RareLevelSummary,
    RareQuantileSummary, RareSummary,
};

/// The first chip of importance sampling. Neither a plain population nor a subset simulation with the same seed draws this chip.
const FIRST_SHIFTED: u64 = 1 << 41;

/// The store and callbacks of a simulation.
pub(crate) struct Simulating<'a> {
    pub(crate) simulation: &'a SubsetSimulation,
    /// Where finished chips are kept.
    pub(crate) store: &'a ChipStore,
    /// Called before every level, with its number from 0 on and the number of its chips.
    pub(crate) on_level: &'a (dyn Fn(usize, usize) + Sync),
    /// Called after every finished chip.
    pub(crate) on_chip: &'a (dyn Fn() + Sync),
    /// Ends the simulation early.
    pub(crate) stop: &'a AtomicBool,
}

/// Runs the simulation on the chips of `fab`; `None` if it was stopped. Finished chips are then in the store.
pub(crate) fn run<N: Network, T: Learn<N>>(
    evaluation: &Evaluation<N, T>,
    fab: &dyn Fab<N>,
    simulating: &Simulating<'_>,
) -> Result<Option<RareResult>> {
    let Simulating {
        simulation,
        store,
        stop,
        ..
    } = simulating;
    let followed = Followed {
        simulating,
        finished: store.finished(),
    };
    let result = evaluation.rare(fab, simulation, &followed, stop)?;
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

/// The results of a simulation with `chips` chips per level, on `items` test items.
pub(crate) fn summarize(result: &RareResult, chips: usize, items: usize) -> RareSummary {
    RareSummary {
        chips,
        items,
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

/// How much of the metric of a plain population `direction` explains.
pub(crate) fn pilot(direction: &Direction, plain: &PopulationSummary, better: Better) -> Pilot {
    let chip = |(index, metric): (usize, &f64)| {
        let chip = ChipSeed::new(plain.seed, plain.first + index as u64);
        (direction.along(chip), better.orient(*metric))
    };
    let chips: Vec<(f64, f64)> = plain.values.par_iter().enumerate().map(chip).collect();
    Pilot::new(&chips)
}

/// Importance sampling along a direction.
pub(crate) struct Shifting<'a> {
    pub(crate) variation: &'a Variation,
    pub(crate) direction: &'a Direction,
    /// The pilot, which determines the shift.
    pub(crate) pilot: Pilot,
    pub(crate) seed: u64,
    /// Number of chips to draw.
    pub(crate) chips: u64,
    pub(crate) percentages: &'a [f64],
}

impl Shifting<'_> {
    /// The shift for the rarest percentage.
    pub(crate) fn shift(&self) -> f64 {
        let percentages = self.percentages.iter().copied();
        self.pilot.shift(percentages.fold(100.0, f64::min))
    }

    /// Draws the chips; `None` if it was stopped. Finished chips are then in the store.
    pub(crate) fn run<N: Network, T: Learn<N>>(
        &self,
        evaluation: &Evaluation<N, T>,
        store: &ChipStore,
        on_chip: &(dyn Fn() + Sync),
        stop: &AtomicBool,
    ) -> Result<Option<ImportanceSummary>> {
        let config = ImportanceConfig {
            seed: self.seed,
            chips: FIRST_SHIFTED..FIRST_SHIFTED + self.chips,
            shift: self.shift(),
            percentages: self.percentages.to_vec(),
            confidence: CONFIDENCE,
        };
        let sampling = config.check(self.direction.clone())?;
        let sampling = sampling.judged_by(evaluation.metric().better);
        let finished = store.finished();
        let metric = |chip: &ShiftedChip<'_>| -> Result<f64, TrainingError> {
            match finished.get(&chip.chip.index()) {
                Some(metric) => Ok(*metric),
                None => evaluation.drawn(self.variation, chip),
            }
        };
        let keep = |chip, metric| {
            store.keep(chip, metric);
            on_chip();
        };
        let found = sampling.run(metric, keep, stop)?;
        store.save()?;
        Ok(found.map(|quantiles| ImportanceSummary {
            chips: self.chips as usize,
            items: evaluation.items(),
            pilot: self.pilot.chips,
            correlation: self.pilot.correlation,
            shift: self.shift(),
            quantiles: quantiles
                .into_iter()
                .map(|quantile| ImportanceQuantileSummary {
                    percent: quantile.percent,
                    value: quantile.value,
                    low: quantile.low,
                    high: quantile.high,
                    effective: quantile.effective,
                })
                .collect(),
        }))
    }
}
