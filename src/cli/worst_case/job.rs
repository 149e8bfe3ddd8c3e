//! One network: its searches, its random chips, and what follows from the worst of them.

use std::ffi::OsStr;

use anyhow::Result;
use crossburn_checkpoints::save_checkpoint;
use crossburn_hardware::deploy::{Fidelity, MappedNetwork};
use crossburn_models::Network;
use crossburn_noise::worst_case::Search;
use crossburn_training::data::{Amount, DataSource};
use crossburn_training::{
    Batches, Evaluation, Learn, Part, Role, Task, TaskParts, WeightAttack, WithTask, evaluate,
};
use serde_json::Value;

use super::certify::certify;
use super::room::Room;
use super::{FindWorstCase, Kind};
use crate::apps::hardware::{CALIBRATION_ITEMS, calibration};
use crate::apps::study::{self, Clock};
use crate::cli::run_setup::RunPlace;
use crate::cli::stored_network::StoredNetwork;
use crate::cli::{Outcome, command_line, finish, note};
use crate::report::{Document, Transfer, TransferFrom, WorstCaseHardware, WorstCaseResults};

pub(super) struct WorstCaseJob<'a> {
    pub(super) arguments: &'a FindWorstCase,
    pub(super) stored: &'a StoredNetwork,
    pub(super) source: DataSource,
    pub(super) room: Room,
    pub(super) search: Search,
    pub(super) config: Value,
    pub(super) place: &'a RunPlace,
}

impl WithTask for WorstCaseJob<'_> {
    type Output = Result<Outcome>;

    fn run<N: Network, P: TaskParts<N>>(self, network: N, parts: P) -> Result<Outcome> {
        // Before anything is read.
        let kinds = self
            .arguments
            .kinds::<N, P::Task>(&self.stored.recipe.task)?;
        if self.arguments.certify {
            P::Task::require_counts("a certificate", &self.stored.recipe.task.metric())?;
        }
        let network = self.stored.load(network, &parts)?;
        let weights = self.stored.weights::<N>();
        let device = &self.place.device;
        let mut clock = Clock::new();
        let items = clock.time("data", || self.items(&parts))?;
        let batches = Batches::new(&items.known, 128, device)?;
        let keep = &|chip: &N, found, items| self.keep(chip, &parts, found, items);
        let results = match (&self.room, &items.ranges) {
            (Room::Cells { hardware, .. }, Some(ranges)) => {
                let evaluation = Evaluation::new(&network, &weights, batches.clone());
                let calibration = calibration(ranges, CALIBRATION_ITEMS, device)?;
                let mapped = clock.time("mapping", || {
                    evaluation.mapped(hardware, Fidelity::Weight, &calibration)
                })?;
                let ideal = mapped.fab(Fidelity::Weight)?.ideal()?;
                let attack = WeightAttack::new(&ideal, weights.without_quantization(), batches)?;
                self.judge(attack, Some(&mapped), (&items, &kinds), keep, &mut clock)?
            }
            _ => {
                let attack = WeightAttack::new(&network, weights, batches)?;
                self.judge(attack, None, (&items, &kinds), keep, &mut clock)?
            }
        };
        let Some(results) = results else {
            note(&format!(
                "the state of the search is kept: continue with `{}`",
                command_line::resumed()
            ));
            return Ok(Outcome::Interrupted);
        };
        let results = WorstCaseResults {
            timing: clock.timing(),
            ..results
        };
        finish(&self.place.out, &results, self.arguments.run.json)?;
        let chip = command_line::operand(&self.place.out.join("worst-chip"));
        let mut replay: Vec<&OsStr> = vec!["crossburn".as_ref(), "evaluate".as_ref(), &chip];
        replay.extend(["--noise", "none", "--chips", "1"].map(OsStr::new));
        note(&format!(
            "report: {}; replay: {}",
            self.place.out.join("report.html").display(),
            command_line::quoted(replay),
        ));
        Ok(Outcome::Done)
    }
}

/// Keeps a chip, with the metric of the network and its own, and the number of items.
type Keep<'a, N> = &'a dyn Fn(&N, (f64, f64), usize) -> Result<()>;

/// The items of a run.
pub(super) struct Items<T> {
    /// What the ranges of a hardware are set on.
    ranges: Option<T>,
    /// What the search knows.
    known: T,
    /// What it does not.
    other: T,
    from: TransferFrom,
}

impl WorstCaseJob<'_> {
    /// Test items that were not asked for show whether the deviation transfers; where none are left, training items do.
    fn items<N: Network, P: TaskParts<N>>(&self, parts: &P) -> Result<Items<P::Task>> {
        let (stored, source) = (self.stored, &self.source);
        let (seed, data) = (stored.recipe.seed, &stored.recipe.data);
        let asked = self.arguments.items;
        let amount = match (asked, data.test) {
            (Some(asked), Some(test)) => Amount::between(asked, test),
            _ => stored.test_amount(source, asked),
        };
        let test = parts.load(source, seed, (Part::Test, Role::Judge), amount)?;
        let (known, rest) = test.split_at(asked.unwrap_or(test.items()));
        let training = |most| {
            let amount = stored.training_amount(most);
            parts.load(source, seed, (Part::Training, Role::Judge), amount)
        };
        let (other, from) = match rest.items() {
            0 => (training(known.items())?, TransferFrom::Training),
            _ => (rest, TransferFrom::Test),
        };
        let ranges = match &self.room {
            Room::Cells { .. } => Some(training(CALIBRATION_ITEMS)?),
            Room::Weights { .. } => None,
        };
        Ok(Items {
            ranges,
            known,
            other,
            from,
        })
    }

    /// Everything about one network; `None` where it was interrupted.
    fn judge<N: Network, T: Learn<N>>(
        &self,
        attack: WeightAttack<N, T>,
        mapped: Option<&MappedNetwork<N>>,
        (items, kinds): (&Items<T>, &[Kind<T::Surrogate>]),
        keep: Keep<'_, N>,
        clock: &mut Clock,
    ) -> Result<Option<WorstCaseResults>> {
        let bound = self.room.own();
        let boxes = Room::boxes(&attack, mapped, bound)?;
        let Some((attack, found)) = self.search_bounds(attack, mapped, kinds, clock)? else {
            return Ok(None);
        };
        let certificate = match self.arguments.certify {
            true => Some(clock.time("certificate", || certify(&attack, mapped, bound))?),
            false => None,
        };
        let worst = &found.worst;
        let chip = attack.chip(&worst.deviations)?;
        let transfer = clock.time("transfer", || -> Result<Transfer> {
            let other = Batches::new(&items.other, 128, &self.place.device)?;
            Ok(Transfer {
                from: items.from,
                items: items.other.items(),
                clean: evaluate(&attack.chip(&boxes.zero())?, &other)?,
                deviated: evaluate(&chip, &other)?,
            })
        })?;
        let hardware = match (mapped, &self.room) {
            (Some(mapped), Room::Cells { name, .. }) => {
                let cells = mapped.cells_of(bound, &worst.deviations)?;
                let device = mapped.hardware().config().device.config();
                Some(WorstCaseHardware {
                    name: name.clone(),
                    device: device.kind().to_string(),
                    read_back: attack.of(&mapped.with_cells(&cells)?)?,
                })
            }
            _ => None,
        };
        let metric = attack.metric();
        let (clean, value) = (metric.of_score(worst.clean), metric.of_score(worst.score));
        keep(&chip, (clean, value), attack.items())?;
        let shares = boxes.shares_at_bound(&worst.deviations);
        let mut layers = found.layers;
        for layer in &mut layers {
            layer.fraction_at_bound = shares[layer.path.as_str()];
        }
        let (version, commit) = study::version();
        Ok(Some(WorstCaseResults {
            schema: WorstCaseResults::SCHEMA.to_string(),
            version,
            commit,
            reproduce: self.reproduce(),
            config: self.config.clone(),
            data: self.source.to_string(),
            items: attack.items(),
            search: self.search,
            bound,
            hardware,
            metric,
            clean,
            worst: value,
            found_by: found.found_by,
            fraction_at_bound: boxes.fraction_at_bound(&worst.deviations),
            layers,
            searches: found.searches,
            curve: found.curve,
            random: found.random,
            certificate,
            transfer,
            timing: Clock::new().timing(),
        }))
    }

    /// Writes the chip as a checkpoint that is not quantized again, whose recipe names the items of the search.
    fn keep<N: Network, P: TaskParts<N>>(
        &self,
        chip: &N,
        parts: &P,
        (clean, worst): (f64, f64),
        items: usize,
    ) -> Result<()> {
        let stored = self.stored;
        let (_, manifest) = study::made_of(&stored.manifest, &stored.recipe, &self.source, items)?;
        let manifest = manifest
            .with_metric("clean", clean)
            .with_metric("worst_case", worst);
        let folder = self.place.out.join("worst-chip").join("checkpoint");
        parts.save(chip, &folder)?;
        Ok(save_checkpoint(&folder, chip, &manifest)?)
    }
}
