//! Searches for the worst chip of one network, and draws random chips for comparison.

use anyhow::{Result, bail};
use crossburn_checkpoints::save_checkpoint;
use crossburn_hardware::deploy::{Fidelity, MappedNetwork};
use crossburn_models::Network;
use crossburn_noise::worst_case::Search;
use crossburn_training::data::{Amount, DataSource};
use crossburn_training::{
    AttackActivations, Batches, Evaluation, Learn, Part, Role, Surrogate, Task, TaskParts,
    WeightAttack, WithTask, evaluate,
};
use serde_json::Value;

use super::certify::certify;
use super::room::Room;
use crate::apps::hardware::{CALIBRATION_ITEMS, calibration};
use crate::apps::stored_network::StoredNetwork;
use crate::apps::study::{self, Clock};
use crate::apps::workplace::Workplace;
use crate::report::{Document, Transfer, TransferFrom, WorstCaseHardware, WorstCaseResults};

/// Searches for the worst chip of one network. It is passed to [`WithTask::run`]. The chip is kept as the checkpoint `worst-chip` in the run folder. If it is
/// stopped, it gives nothing, and the states of searches are kept.
pub(crate) struct WorstCaseJob<'a> {
    pub(crate) stored: &'a StoredNetwork,
    pub(crate) source: DataSource,
    /// Number of test items that the search uses, if one was given.
    pub(crate) items: Option<usize>,
    pub(crate) room: Room,
    pub(crate) search: Search,
    /// Names of surrogate losses, with one search for each. If empty, one search uses all.
    pub(crate) losses: Vec<String>,
    /// The activations that gradients pass through, with one search for each.
    pub(crate) through: Vec<AttackActivations>,
    /// Number of random chips within the bound of the run.
    pub(crate) random_chips: usize,
    /// Whether to count the items that no admissible deviation can flip.
    pub(crate) certify: bool,
    /// Seed of restarts and of random chips.
    pub(crate) seed: u64,
    /// The settings of the run, for the document.
    pub(crate) config: Value,
    /// Command line that repeats the run.
    pub(crate) reproduce: String,
    pub(crate) place: Workplace<'a>,
}

/// One kind of search within a bound: its surrogate loss, and its activations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Kind<S> {
    /// All surrogates, if absent.
    pub(super) surrogate: Option<S>,
    pub(super) activations: AttackActivations,
}

impl<S: Surrogate> Kind<S> {
    /// Its name where progress is shown.
    pub(super) fn name(self) -> String {
        let by = self
            .surrogate
            .map_or_else(|| "all losses".to_string(), |loss| loss.to_string());
        match self.activations {
            AttackActivations::Quantized => by,
            AttackActivations::Unquantized => format!("{by}, unquantized"),
        }
    }

    /// The beginning of its file's name.
    pub(super) fn stem(self) -> String {
        self.name().replace([' ', ':'], "-").replace(',', "")
    }
}

impl WithTask for WorstCaseJob<'_> {
    type Output = Result<Option<WorstCaseResults>>;

    fn run<N: Network, P: TaskParts<N>>(self, network: N, parts: P) -> Self::Output {
        // This check comes before anything is read.
        let kinds = self.kinds::<N, P::Task>()?;
        if self.certify {
            P::Task::require_counts("a certificate", &self.stored.recipe.task.metric())?;
        }
        let network = self.stored.load(network, &parts)?;
        let weights = self.stored.weights::<N>();
        let device = self.place.device;
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
        Ok(results.map(|results| WorstCaseResults {
            timing: clock.timing(),
            ..results
        }))
    }
}

/// Keeps a chip. The arguments are the chip, the metrics of the network and of the chip, and the number of items.
type Keep<'a, N> = &'a dyn Fn(&N, (f64, f64), usize) -> Result<()>;

/// The items of a run.
struct Items<T> {
    /// Items on which the ranges of a hardware are set.
    ranges: Option<T>,
    /// Items that the search uses.
    known: T,
    /// Items that the search does not use.
    other: T,
    from: TransferFrom,
}

impl WorstCaseJob<'_> {
    /// The kinds of search within every bound.
    fn kinds<N, T: Learn<N>>(&self) -> Result<Vec<Kind<T::Surrogate>>> {
        let read = |name: &String| name.parse::<T::Surrogate>().map_err(anyhow::Error::msg);
        let surrogates = self.losses.iter().map(read).collect::<Result<Vec<_>>>()?;
        for (index, surrogate) in surrogates.iter().enumerate() {
            if surrogates[..index].contains(surrogate) {
                bail!("--loss names {surrogate} twice: name every loss once");
            }
        }
        let of_surrogate = |surrogate: Option<T::Surrogate>| {
            let kind = move |activations: &AttackActivations| Kind {
                surrogate,
                activations: *activations,
            };
            self.through.iter().map(kind).collect::<Vec<_>>()
        };
        Ok(match surrogates.is_empty() {
            true => of_surrogate(None),
            false => surrogates
                .into_iter()
                .map(Some)
                .flat_map(of_surrogate)
                .collect(),
        })
    }

    /// Test items that the search does not use show whether the deviation transfers. If there are none, training items do.
    fn items<N: Network, P: TaskParts<N>>(&self, parts: &P) -> Result<Items<P::Task>> {
        let (stored, source) = (self.stored, &self.source);
        let (seed, data) = (stored.recipe.seed, &stored.recipe.data);
        let asked = self.items;
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

    /// All results about one network; `None` if it was interrupted.
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
        let certificate = match self.certify {
            true => Some(clock.time("certificate", || certify(&attack, mapped, bound))?),
            false => None,
        };
        let worst = &found.worst;
        let chip = attack.chip(&worst.deviations)?;
        let transfer = clock.time("transfer", || -> Result<Transfer> {
            let other = Batches::new(&items.other, 128, self.place.device)?;
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
            reproduce: self.reproduce.clone(),
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

    /// Writes the chip as a checkpoint that is not quantized again. Its recipe names the items of the search.
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
