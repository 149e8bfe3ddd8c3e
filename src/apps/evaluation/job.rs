//! Evaluates one network on chips, from its checkpoint to the results document.

use std::cell::RefCell;
use std::ops::Range;

use anyhow::{Context, Result};
use crossburn_hardware::deploy::Fidelity;
use crossburn_models::Network;
use crossburn_noise::{Looks, RaceConfig, SubsetSimulation, Variation};
use crossburn_training::data::DataSource;
use crossburn_training::{Batches, Evaluation, Learn, Part, Role, Task, TaskParts, WithTask};
use serde_json::{Value, json};

use super::chip_source::ChipSource;
use super::judge::Judge;
use super::worst_chip::WorstChip;
use crate::apps::hardware::calibration;
use crate::apps::shards::DATA_DIGEST;
use crate::apps::stored_network::StoredNetwork;
use crate::apps::study::{self, Clock};
use crate::apps::workplace::Workplace;
use crate::report::{DataSummary, Document, Results, RunCommand};

/// Evaluates one network. It is passed to [`WithTask::run`]. If it is stopped, it gives nothing, and finished chips are kept.
pub(crate) struct EvaluationJob<'a> {
    pub(crate) stored: &'a StoredNetwork,
    pub(crate) source: DataSource,
    /// Number of test items, if one was given.
    pub(crate) items: Option<usize>,
    /// What chips are made from.
    pub(crate) deployment: ChipSource,
    /// Seed of the population.
    pub(crate) seed: u64,
    /// Number of chips of the population.
    pub(crate) chips: u64,
    /// The chips that are evaluated unless something else is asked for: all, or one shard.
    pub(crate) part: Range<u64>,
    pub(crate) asked: Asked,
    pub(crate) sweep: Sweep,
    /// The chip in whose direction importance sampling moves.
    pub(crate) towards: Option<WorstChip>,
    /// All settings that the metric of a chip depends on. The items' digest is added once they are read.
    pub(crate) of_chips: Value,
    /// The settings of the run, for the document. The items' digest is added too.
    pub(crate) config: Value,
    /// Command line that repeats the run.
    pub(crate) reproduce: String,
    pub(crate) place: Workplace<'a>,
}

/// What is computed besides the table of a population.
pub(crate) struct Asked {
    /// The percentile, half of the width of its interval as a fraction, and when to check it.
    pub(crate) looks: Option<(f64, f64, Looks)>,
    /// The race, except for its number of items.
    pub(crate) race: Option<RaceConfig>,
    /// Rare percentiles.
    pub(crate) rare: Option<SubsetSimulation>,
}

/// The curve of the metric against sigma.
pub(crate) struct Sweep {
    /// Values of σ in increasing order, and the variation for each.
    pub(crate) variations: Vec<(f64, Variation)>,
    /// Number of chips for each σ.
    pub(crate) chips: u64,
}

impl WithTask for EvaluationJob<'_> {
    type Output = Result<Option<Results>>;

    fn run<N: Network, P: TaskParts<N>>(mut self, network: N, parts: P) -> Self::Output {
        let mut clock = Clock::new();
        let recipe = &self.stored.recipe;
        if self.asked.race.is_some() {
            P::Task::require_counts("a race", &recipe.task.metric())?;
        }
        let device = self.place.device;
        let worst_chip = match &self.towards {
            // A copy that does not share running statistics.
            Some(chip) => Some(chip.stored.load(network.valid(), &parts)?),
            None => None,
        };
        let network = self.stored.load(network, &parts)?;
        let amount = self.stored.test_amount(&self.source, self.items);
        let load = |of, amount| parts.load(&self.source, recipe.seed, of, amount);
        let test = clock.time("data", || load((Part::Test, Role::Judge), amount))?;
        // The first training items are used to set the ranges of a hardware.
        let training = match &self.deployment {
            ChipSource::Variation(_) => None,
            ChipSource::Hardware(on) => {
                let amount = self.stored.training_amount(on.calibration);
                let training =
                    clock.time("data", || load((Part::Training, Role::Learn), amount))?;
                if training.items() < on.calibration {
                    self.place.observer.note(&format!(
                        "ranges are set on all {} training items, fewer than --calibration {}",
                        training.items(),
                        on.calibration
                    ));
                }
                Some(training.split_at(on.calibration).0)
            }
        };
        self.identify(&test, training.as_ref());
        let race = self.asked.race.clone().map(|race| {
            let items = test.items();
            RaceConfig { items, ..race }.check()
        });
        let race = race.transpose()?;
        let batches = match &race {
            Some(race) => Batches::for_race(&test, race, 128, device)?,
            None => Batches::new(&test, 128, device)?,
        };
        let side_by_side = match &self.deployment {
            // At array fidelity, chips compute one after the other.
            ChipSource::Hardware(on) if on.fidelity == Fidelity::Array => 1,
            _ => self.place.side_by_side,
        };
        let evaluation = Evaluation::new(&network, self.stored.weights::<N>(), batches)
            .side_by_side(side_by_side);
        let direction = match (&worst_chip, &self.towards, &self.deployment) {
            (Some(chip), Some(towards), ChipSource::Variation(variation)) => {
                let direction = evaluation.direction_to(chip, variation.scale);
                Some(direction.with_context(|| {
                    format!("the chip of {} is no direction", towards.run.display())
                })?)
            }
            _ => None,
        };
        let clean = evaluation.clean_in_detail()?;
        let figures = study::figures(clean.figures)?;
        let judge = Judge {
            job: &self,
            evaluation: &evaluation,
            clean: clean.metric,
            also: study::also(clean.also),
            race,
            direction,
            figures: RefCell::new(figures),
        };
        let judged = match &self.deployment {
            ChipSource::Variation(variation) => judge.on_variation(variation, &mut clock)?,
            ChipSource::Hardware(on) => {
                let training = training.context("no items to set the ranges on")?;
                let calibration = calibration(&training, on.calibration, device)?;
                judge.on_targets(on, &calibration, &mut clock)?
            }
        };
        let Some(methods) = judged else {
            return Ok(None);
        };
        let figures = judge.figures.into_inner();
        let (version, commit) = study::version();
        Ok(Some(Results {
            schema: Results::SCHEMA.to_string(),
            command: RunCommand::Evaluate,
            version,
            commit,
            reproduce: self.reproduce,
            config: self.config,
            data: DataSummary {
                source: self.source.to_string(),
                train: 0,
                validation: 0,
                test: test.items(),
            },
            metric: test.metric(),
            training_metric: None,
            deployment: Some(self.deployment.summary()?),
            methods,
            confusion: clean.confusion.map(study::confusion),
            figures,
            timing: clock.timing(),
        }))
    }
}

impl EvaluationJob<'_> {
    /// Replaces the path of the items by a digest of their content.
    fn identify<T: Task>(&mut self, test: &T, calibration: Option<&T>) {
        let mut digest = json!({ "test": test.digest() });
        if let Some(calibration) = calibration {
            digest["calibration"] = json!(calibration.digest());
        }
        self.of_chips["data"] = digest.clone();
        self.config[DATA_DIGEST] = digest;
    }
}
