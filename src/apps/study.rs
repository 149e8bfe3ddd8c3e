//! Pieces that every results document is made of.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;
use crossburn_noise::Population;
use crossburn_training::{EpochRecord, Method, Recipe, TrainingObserver};
use serde::Serialize;
use serde_json::Value;

use crate::report::{EpochRow, KppEntry, PopulationSummary, SweepPoint, Timing};

/// The percentiles that every table shows.
pub(crate) const PERCENTILES: [u8; 4] = [1, 5, 10, 50];
/// Confidence of every interval.
pub(crate) const CONFIDENCE: f64 = 0.95;

/// The version and commit that documents carry.
pub(crate) fn version() -> (String, Option<String>) {
    (
        env!("CARGO_PKG_VERSION").to_string(),
        option_env!("CROSSBURN_COMMIT").map(str::to_string),
    )
}

/// A method's name in tables: its own, or that of the noise that it injects.
pub(crate) fn method_name(recipe: &Recipe) -> String {
    match (&recipe.method, recipe.noise.distribution.name()) {
        (Method::NoiseInjection {}, "none") => "plain".to_string(),
        (Method::NoiseInjection {}, name) => name.to_string(),
        (method, _) => method.name().to_string(),
    }
}

/// A value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<Value> {
    Ok(serde_json::to_value(value)?)
}

/// The numbers of a population.
pub(crate) fn summarize(population: &Population, images: usize) -> Result<PopulationSummary> {
    let mut kpp = BTreeMap::new();
    for k in PERCENTILES {
        let value = population.kpp(f64::from(k))?;
        let interval = population.kpp_interval(f64::from(k), CONFIDENCE)?;
        kpp.insert(
            k,
            KppEntry {
                value,
                low: interval.low,
                high: interval.high,
            },
        );
    }
    Ok(PopulationSummary {
        seed: population.seed,
        first: population.first,
        chips: population.chips(),
        images,
        mean: population.mean(),
        std: population.std(),
        worst: population.worst_of_n(),
        kpp,
        accuracy: population.metric.clone(),
    })
}

/// One point of an accuracy-versus-σ curve.
pub(crate) fn sweep_point(sigma: f64, population: &Population) -> Result<SweepPoint> {
    Ok(SweepPoint {
        sigma,
        chips: population.chips(),
        mean: population.mean(),
        std: population.std(),
        low: population.kpp(5.0)?,
        high: population.kpp(95.0)?,
    })
}

/// A training curve in the document's form.
pub(crate) fn curve(records: &[EpochRecord]) -> Vec<EpochRow> {
    records
        .iter()
        .map(|record| EpochRow {
            epoch: record.epoch,
            learning_rate: record.learning_rate,
            train_loss: record.train_loss,
            train_accuracy: record.train_accuracy,
            validation_accuracy: record.validation_accuracy,
            validation_noisy_accuracy: record.validation_noisy_accuracy,
        })
        .collect()
}

/// Who follows a study of several trainings.
pub(crate) trait StudyObserver: Sync {
    /// Follows the training of one method.
    type Training: TrainingObserver + Send;
    /// Called before a method is trained.
    fn training(&self, method: &str) -> Self::Training;
    /// Called before `chips` chips of a method are evaluated; the result is called once per finished chip.
    fn chips(&self, method: &str, chips: u64) -> Box<dyn Fn() + Sync + '_>;
}

/// Wall time by stage.
#[derive(Debug)]
pub(crate) struct Clock {
    stages: BTreeMap<String, f64>,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            stages: BTreeMap::new(),
        }
    }

    /// Runs `work` and adds its time to `stage`.
    pub(crate) fn time<T>(&mut self, stage: &str, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        *self.stages.entry(stage.to_string()).or_default() += start.elapsed().as_secs_f64();
        result
    }

    /// The document's timing part.
    pub(crate) fn timing(self) -> Timing {
        Timing {
            seconds: self.stages,
        }
    }
}
