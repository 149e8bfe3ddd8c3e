//! One network on the chips that were asked for, from its checkpoint to the results document.

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

/// Evaluates one network; what [`WithTask::run`] is given. Nothing comes back where it was stopped: finished chips are kept.
pub(crate) struct EvaluationJob<'a> {
    pub(crate) stored: &'a StoredNetwork,
    pub(crate) source: DataSource,
    /// Test items, where a number was asked for.
    pub(crate) items: Option<usize>,
    /// What chips are made of.
    pub(crate) deployment: ChipSource,
    /// Seed of the population.
    pub(crate) seed: u64,
    /// Chips of the population.
    pub(crate) chips: u64,
    /// Those of them that are evaluated where nothing else is asked: all, or one shard.
    pub(crate) part: Range<u64>,
    pub(crate) asked: Asked,
    pub(crate) sweep: Sweep,
    /// What importance sampling goes towards.
    pub(crate) towards: Option<WorstChip>,
    /// Everything that the metric of a chip depends on; the items join when they are read.
    pub(crate) of_chips: Value,
    /// What the document says of the run; the items join as well.
    pub(crate) config: Value,
    /// Command line that repeats the run.
    pub(crate) reproduce: String,
    pub(crate) place: Workplace<'a>,
}

/// What is asked for beside the table of a population.
pub(crate) struct Asked {
    /// The percentile, half of the width as a fraction, and when to look.
    pub(crate) looks: Option<(f64, f64, Looks)>,
    /// A race, but for its number of items.
    pub(crate) race: Option<RaceConfig>,
    /// Rare percentiles.
    pub(crate) rare: Option<SubsetSimulation>,
}

/// The curve of the metric against sigma.
pub(crate) struct Sweep {
    /// Sigmas in increasing order, with the variation that has each.
    pub(crate) variations: Vec<(f64, Variation)>,
    /// Chips for each.
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
            // A copy that shares no running statistics.
            Some(chip) => Some(chip.stored.load(network.valid(), &parts)?),
            None => None,
        };
        let network = self.stored.load(network, &parts)?;
        let amount = self.stored.test_amount(&self.source, self.items);
        let load = |of, amount| parts.load(&self.source, recipe.seed, of, amount);
        let test = clock.time("data", || load((Part::Test, Role::Judge), amount))?;
        // The first training items set the ranges of a hardware.
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
            // Arrays multiply chip by chip.
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
    /// Items are known by their content, not by the path where they lie.
    fn identify<T: Task>(&mut self, test: &T, calibration: Option<&T>) {
        let mut digest = json!({ "test": test.digest() });
        if let Some(calibration) = calibration {
            digest["calibration"] = json!(calibration.digest());
        }
        self.of_chips["data"] = digest.clone();
        self.config[DATA_DIGEST] = digest;
    }
}
