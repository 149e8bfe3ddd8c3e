//! One network on the chips that were asked for, from its checkpoint to the results document.

use anyhow::{Context, Result};
use crossburn_hardware::deploy::Fidelity;
use crossburn_models::Network;
use crossburn_noise::{Direction, RaceConfig};
use crossburn_training::data::DataSource;
use crossburn_training::{Batches, Evaluation, Learn, Part, Role, Task, TaskParts, WithTask};
use serde_json::{Value, json};

use super::Evaluate;
use super::asked::Asked;
use super::deployment::ChipSource;
use super::judge::Judge;
use super::worst_chip::WorstChip;
use crate::apps::hardware::calibration;
use crate::apps::shards::DATA_DIGEST;
use crate::apps::study::{self, Clock};
use crate::cli::run_setup::{RunPlace, note_files, note_left_out};
use crate::cli::stored_network::StoredNetwork;
use crate::cli::{Outcome, command_line, finish, note};
use crate::report::{DataSummary, Document, Results, RunCommand};

pub(super) struct EvaluationJob<'a> {
    pub(super) arguments: &'a Evaluate,
    pub(super) stored: &'a StoredNetwork,
    pub(super) source: DataSource,
    pub(super) deployment: ChipSource,
    pub(super) asked: Asked,
    /// Sigmas of the curve of the metric against sigma, in increasing order.
    pub(super) sweep: Vec<f64>,
    /// What importance sampling goes towards.
    pub(super) towards: Option<WorstChip>,
    /// Everything that the metric of a chip depends on; the items join when they are read.
    pub(super) of_chips: Value,
    pub(super) config: Value,
    pub(super) place: &'a RunPlace,
}

impl WithTask for EvaluationJob<'_> {
    type Output = Result<Outcome>;

    fn run<N: Network, P: TaskParts<N>>(mut self, network: N, parts: P) -> Result<Outcome> {
        let arguments = self.arguments;
        let mut clock = Clock::new();
        let recipe = &self.stored.recipe;
        if self.asked.race.is_some() {
            P::Task::require_counts("a race", &recipe.task.metric())?;
        }
        let device = &self.place.device;
        let worst_chip = match &self.towards {
            // A copy that shares no running statistics.
            Some(chip) => Some(chip.stored.load(network.valid(), &parts)?),
            None => None,
        };
        let network = self.stored.load(network, &parts)?;
        let amount = self.stored.test_amount(&self.source, arguments.items);
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
                    note(&format!(
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
            None => Batches::new(&test, 128, device),
        };
        let side_by_side = match &self.deployment {
            // Arrays multiply chip by chip.
            ChipSource::Hardware(on) if on.fidelity == Fidelity::Array => 1,
            _ => self.place.side_by_side,
        };
        let evaluation = Evaluation::new(&network, self.stored.weights::<N>(), batches)
            .side_by_side(side_by_side);
        let direction = worst_chip
            .map(|chip| self.direction(&evaluation, &chip))
            .transpose()?;
        let clean = evaluation.clean_in_detail()?;
        let judge = Judge {
            job: &self,
            evaluation: &evaluation,
            clean: clean.metric,
            also: study::also(clean.also),
            race,
            direction,
        };
        let judged = match &self.deployment {
            ChipSource::Variation(variation) => judge.on_variation(variation, &mut clock)?,
            ChipSource::Hardware(on) => {
                let training = training.context("no items to set the ranges on")?;
                let calibration = calibration(&training, on.calibration, device);
                judge.on_targets(on, &calibration, &mut clock)?
            }
        };
        let Some(methods) = judged else {
            note(&format!(
                "the finished chips are kept: continue with `{}`",
                command_line::resumed()
            ));
            return Ok(Outcome::Interrupted);
        };
        let (version, commit) = study::version();
        let results = Results {
            schema: Results::SCHEMA.to_string(),
            command: RunCommand::Evaluate,
            version,
            commit,
            reproduce: self.reproduce(),
            config: self.config.clone(),
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
            timing: clock.timing(),
        };
        finish(&self.place.out, &results, arguments.run.json)?;
        note_files(&self.source.test_files()?);
        note_left_out(&self.source);
        self.place.note_report();
        Ok(Outcome::Done)
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

    /// The direction of `chip` in the draws of the variation.
    fn direction<N: Network, T: Learn<N>>(
        &self,
        evaluation: &Evaluation<N, T>,
        chip: &N,
    ) -> Result<Direction> {
        let scale = self.arguments.noise.variation()?.scale;
        let run = self.arguments.percentiles.towards.as_deref();
        evaluation.direction_to(chip, scale).with_context(|| {
            let run = run.unwrap_or(&self.place.out);
            format!("the chip of {} is no direction", run.display())
        })
    }
}
