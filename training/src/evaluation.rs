//! The metric of a network, and of a population of its chips.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crossburn_hardware::deploy::{Fab, Fidelity, Hardware, MappedNetwork, VariationFab};
use crossburn_hardware::layer::{about_items, stack};
use crossburn_hardware::{WeightPlan, manufacture, programmed};
use crossburn_models::Network;
use crossburn_noise::{
    ChipDraws, ChipSeed, Direction, Granularity, Metric, Race, RaceObserver, RaceResult, RareChip,
    RareObserver, RareResult, SubsetSimulation, Variation, draw_population, over_cores,
};

use crate::batches::require_items;
use crate::task::{Batch, Confusion, Figures, Learn, Task, items_in_words};
use crate::{Batches, TrainingError};

/// The metric of `network` on the items of `batches`.
///
/// # Errors
/// [`TrainingError::NotFinite`] for an output that is NaN or infinite, of the network or of one of its chips: a maximum
/// would skip it, so that the rest of the outputs would turn into a metric. [`TrainingError::Device`] when the device cannot
/// give the result back, those of [`Learn::fits`] where the network does not fit, and [`TrainingError::Undefined`].
pub fn evaluate<N, T: Learn<N>>(network: &N, batches: &Batches<T>) -> Result<f64, TrainingError> {
    batches.task().value(&tally(network, batches)?)
}

/// The tally of the outputs of `network` for all items of `batches`.
fn tally<N, T: Learn<N>>(network: &N, batches: &Batches<T>) -> Result<T::Tally, TrainingError> {
    let task = batches.task();
    let mut tally = [T::Tally::default()];
    judged(network, batches, |output, batch, numbers| {
        task.judge(output, batch, &mut tally)?;
        task.judge_further(network, numbers, &mut tally[0])
    })?;
    let [tally] = tally;
    Ok(tally)
}

/// Calls `judge` with the output of `network` for every batch, and the numbers of its items in the task.
fn judged<N, T: Learn<N>>(
    network: &N,
    batches: &Batches<T>,
    mut judge: impl FnMut(T::Output, &T::Batch, &[u64]) -> Result<(), TrainingError>,
) -> Result<(), TrainingError> {
    let mut seen = 0;
    for found in batches.numbered() {
        let (batch, numbers) = found?;
        let output = about_items(numbers, || batches.task().forward(network, &batch));
        let place = items_in_words(seen, numbers.len());
        let explained = |error: TrainingError| {
            let error = error.at_item(seen);
            batches.task().explained(network, &place, error)
        };
        judge(output, &batch, numbers).map_err(explained)?;
        seen += numbers.len();
    }
    Ok(())
}

/// Number of items at the positions `range` that `network` gets right.
fn hits<N, T: Learn<N>>(
    network: &N,
    batches: &Batches<T>,
    range: Range<usize>,
) -> Result<u64, TrainingError> {
    let (mut hits, mut seen) = (0, range.start);
    for found in batches.range(range) {
        let (batch, numbers) = found?;
        let output = about_items(numbers, || batches.task().forward(network, &batch));
        let found = batches.task().hits(output, &batch);
        let place = items_in_words(seen, numbers.len());
        hits += found.map_err(|error| {
            let error = error.at_item(seen);
            batches.task().explained(network, &place, error)
        })?;
        seen += numbers.len();
    }
    Ok(hits)
}

/// What is found about a network without variation.
#[derive(Clone, Debug, PartialEq)]
pub struct Details {
    /// The metric.
    pub metric: f64,
    /// The other numbers that the task shows beside it.
    pub also: Vec<(Metric, f64)>,
    /// What items are taken for, of a task with labels.
    pub confusion: Option<Confusion>,
    /// Charts, and items in pictures.
    pub figures: Figures,
}

/// A trained network with the data that its chips are judged on.
#[derive(Debug)]
pub struct Evaluation<N, T: Task> {
    network: N,
    weights: WeightPlan,
    batches: Batches<T>,
    /// Chips that compute side by side.
    at_once: usize,
}

impl<N: Network, T: Learn<N>> Evaluation<N, T> {
    /// `network` is set to evaluation mode; `weights` says which of its weights lie on arrays and how they are quantized;
    /// `batches` must be on its inner device.
    pub fn new(network: &N, weights: impl Into<WeightPlan>, batches: Batches<T>) -> Self {
        Self {
            network: network.valid(),
            weights: weights.into(),
            batches,
            at_once: 1,
        }
    }

    /// The same evaluation with `chips` chips of a population side by side in one module
    /// ([`stack`](crossburn_hardware::layer::stack)), where network and task allow it ([`Network::STACKS`],
    /// [`Learn::SIDE_BY_SIDE`]): for devices that a single small network does not fill. The order of sums in a layer may
    /// differ, so metrics may differ from those of single chips by borderline items. On CPUs, leave it at one.
    #[must_use]
    pub fn side_by_side(self, chips: usize) -> Self {
        Self {
            at_once: chips.max(1),
            ..self
        }
    }

    /// The metric without variation: quantized weights, as programmed.
    ///
    /// # Errors
    /// See [`evaluate`].
    pub fn clean(&self) -> Result<f64, TrainingError> {
        evaluate(&self.quantized(), &self.batches)
    }

    /// The metric without variation, and the further results that the task shows.
    ///
    /// # Errors
    /// See [`evaluate`].
    pub fn clean_in_detail(&self) -> Result<Details, TrainingError> {
        let task = self.batches.task();
        let (mut tally, mut confusion) = ([T::Tally::default()], Confusion::default());
        let network = self.quantized();
        judged(&network, &self.batches, |output, batch, numbers| {
            task.judge(output.clone(), batch, &mut tally)?;
            task.judge_further(&network, numbers, &mut tally[0])?;
            task.confuse(output, batch, &mut confusion)
        })?;
        Ok(Details {
            metric: task.value(&tally[0])?,
            also: task.also(&tally[0]),
            confusion: (!confusion.names.is_empty()).then_some(confusion),
            figures: Figures {
                charts: task.charts(&tally[0]),
                pictures: task.pictures(&network, &tally[0], &|item| self.batches.item(item))?,
            },
        })
    }

    /// The charts of one chip and, with `flips`, items that it decides otherwise than the network without variation, of a task that offers
    /// them ([`Task::FLIPS`]).
    ///
    /// # Errors
    /// Those of [`chip`](Self::chip).
    pub fn figures_of_chip(
        &self,
        fab: &dyn Fab<N>,
        chip: ChipSeed,
        flips: bool,
    ) -> Result<Figures, TrainingError> {
        let varied = tally(&fab.chip(chip)?, &self.batches);
        let varied = varied.map_err(|error| error.of_chip(chip.index()))?;
        let task = self.batches.task();
        let pictures = match flips && T::FLIPS {
            true => task.flips(&tally(&self.quantized(), &self.batches)?, &varied),
            false => None,
        };
        Ok(Figures {
            charts: task.charts_of_chip(&varied),
            pictures,
        })
    }

    /// Chips whose weights deviate by `variation`.
    pub fn varied<'a>(&'a self, variation: &'a Variation) -> VariationFab<'a, N> {
        VariationFab {
            network: &self.network,
            plan: &self.weights,
            variation,
        }
    }

    /// The network, quantized as it was trained, on `hardware`, without the weights that stay digital. Ranges are set on the
    /// items of `calibration`. Those of converters need a pass through the arrays, which is skipped for weight fidelity.
    ///
    /// # Errors
    /// [`TrainingError::Hardware`], and those of [`Task::batch`].
    pub fn mapped(
        &self,
        hardware: &Hardware,
        fidelity: Fidelity,
        calibration: &Batches<T>,
    ) -> Result<MappedNetwork<N>, TrainingError> {
        let unread = OnceLock::new();
        let run = |network: &N| {
            if unread.get().is_none()
                && let Err(error) = calibration.pass(network, &|| false)
            {
                unread.get_or_init(|| error);
            }
        };
        let items = calibration.items();
        let hardware = hardware.with_placement(self.weights.placement(), &self.network)?;
        let mapped = MappedNetwork::new(&self.quantized(), &hardware, items, run);
        let mapped = mapped.and_then(|mapped| match fidelity {
            Fidelity::Weight => Ok(mapped),
            Fidelity::Array => mapped.calibrated(run),
        });
        if let Some(error) = unread.into_inner() {
            return Err(error);
        }
        mapped.map_err(|error| {
            let place = "an item that ranges are set on";
            calibration
                .task()
                .explained(&self.network, place, error.into())
        })
    }

    /// The metric of any `network` that these items fit.
    ///
    /// # Errors
    /// See [`evaluate`].
    pub fn of(&self, network: &N) -> Result<f64, TrainingError> {
        evaluate(network, &self.batches)
    }

    /// The metric of one chip, held for all items.
    ///
    /// # Errors
    /// See [`evaluate`], and those of the fab.
    pub fn chip(&self, fab: &dyn Fab<N>, chip: ChipSeed) -> Result<f64, TrainingError> {
        evaluate(&fab.chip(chip)?, &self.batches).map_err(|error| error.of_chip(chip.index()))
    }

    /// The metric of the chips `chips` of the population `seed`, in chip order, over all cores.
    ///
    /// `on_chip` is called for every finished chip. Setting `stop` ends the run once the chips in progress are finished.
    /// Returns the finished chips, and whether the run was stopped. If chips are computed [side by
    /// side](Self::side_by_side), the cores make them and the device judges one stack after the other.
    ///
    /// # Errors
    /// See [`evaluate`], those of the fab, and side by side those of [`stack`]: chips of array fidelity are single.
    pub fn population(
        &self,
        fab: &dyn Fab<N>,
        seed: u64,
        chips: Range<u64>,
        on_chip: impl Fn(u64, f64) + Sync,
        stop: &AtomicBool,
    ) -> Result<(Vec<(u64, f64)>, bool), TrainingError> {
        if self.at_once == 1 || !N::STACKS || !T::SIDE_BY_SIDE || chips.is_empty() {
            return draw_population(seed, chips, |chip| self.chip(fab, chip), on_chip, stop);
        }
        let mut finished = Vec::new();
        for start in chips.clone().step_by(self.at_once) {
            if stop.load(Ordering::Relaxed) {
                return Ok((finished, true));
            }
            let numbers = start..chips.end.min(start + self.at_once as u64);
            let made = over_cores(numbers.clone(), &|number| {
                fab.chip(ChipSeed::new(seed, number))
            })?;
            for (number, metric) in numbers.zip(self.stacked(&made)?) {
                on_chip(number, metric);
                finished.push((number, metric));
            }
        }
        Ok((finished, false))
    }

    /// The metric of each of `chips`, which compute side by side.
    fn stacked(&self, chips: &[N]) -> Result<Vec<f64>, TrainingError> {
        let all = stack(chips)?;
        let task = self.batches.task();
        let (mut tallies, mut seen) = (vec![T::Tally::default(); chips.len()], 0);
        for batch in self.batches.iter() {
            let batch = batch?;
            let judged = task.judge(task.forward(&all, &batch), &batch, &mut tallies);
            judged.map_err(|error| error.at_item(seen))?;
            seen += batch.items();
        }
        tallies.iter().map(|tally| task.value(tally)).collect()
    }

    /// Number of items at the positions `items` that one chip gets right.
    ///
    /// # Errors
    /// See [`evaluate`], those of the fab, and [`TrainingError::NotOffered`] of a task whose metric counts no such items.
    pub fn hits(
        &self,
        fab: &dyn Fab<N>,
        chip: ChipSeed,
        items: Range<usize>,
    ) -> Result<u64, TrainingError> {
        let found = hits(&fab.chip(chip)?, &self.batches, items);
        found.map_err(|error| error.of_chip(chip.index()))
    }

    /// Races the chips of `fab` for KPP(k), over all cores: see [`Race`]. The items of this evaluation must be in the
    /// order of the race, [`Batches::for_race`]. Every round manufactures its chips again. `None` where `stop` was set.
    ///
    /// # Errors
    /// See [`evaluate`], those of the fab, [`TrainingError::RaceItems`] for another number of items, and
    /// [`TrainingError::NotOffered`] of a task whose metric does not count items.
    pub fn race(
        &self,
        fab: &dyn Fab<N>,
        race: &Race,
        observer: &dyn RaceObserver,
        stop: &AtomicBool,
    ) -> Result<Option<RaceResult>, TrainingError> {
        T::require_counts("a race", &self.metric())?;
        require_items(race, self.items())?;
        race.run(|chip, items| self.hits(fab, chip, items), observer, stop)
    }

    /// The metric of the chip that deviates by `variation` with these draws, held for all items. This is for chips that no
    /// seed alone gives.
    ///
    /// # Errors
    /// See [`evaluate`].
    pub fn drawn(
        &self,
        variation: &Variation,
        draws: impl ChipDraws,
    ) -> Result<f64, TrainingError> {
        let chip = manufacture(&self.network, &self.weights, variation, draws);
        evaluate(&chip, &self.batches).map_err(|error| error.of_chip("with these draws"))
    }

    /// Rare percentiles of the metric of the chips of `fab`, over all cores: see [`SubsetSimulation`].
    /// `None` where `stop` was set.
    ///
    /// # Errors
    /// See [`evaluate`], and those of the fab.
    pub fn rare(
        &self,
        fab: &dyn Fab<N>,
        simulation: &SubsetSimulation,
        observer: &dyn RareObserver,
        stop: &AtomicBool,
    ) -> Result<Option<RareResult>, TrainingError> {
        let simulation = simulation.clone().judged_by(self.metric().better);
        let metric = |chip: &RareChip| -> Result<f64, TrainingError> {
            let judged = evaluate(&fab.drawn(chip)?, &self.batches);
            judged.map_err(|error| error.of_chip("with these draws"))
        };
        simulation.run(metric, observer, stop)
    }

    /// The direction from the programmed weights to those of `chip`, such as the result of a worst-case search.
    ///
    /// # Errors
    /// Those of [`Direction::between`].
    pub fn direction_to(&self, chip: &N, scale: Granularity) -> Result<Direction, TrainingError> {
        Ok(Direction::between(&self.quantized(), &chip.valid(), scale)?)
    }

    /// Number of items.
    pub fn items(&self) -> usize {
        self.batches.items()
    }

    /// What networks are judged by.
    pub fn metric(&self) -> Metric {
        self.batches.metric()
    }

    /// The task.
    pub fn task(&self) -> &T {
        self.batches.task()
    }

    fn quantized(&self) -> N {
        programmed(&self.network, &self.weights)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::Classification;
    use crate::data::digits;
    use crate::testing::classes;
    use burn::module::Module;
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::{Device, Tensor};
    use crossburn_hardware::layer::linear;
    use crossburn_models::{Classifier, Mlp, MlpConfig, initialize};
    use crossburn_noise::{Distribution, Population, RaceConfig, RareChip, RareConfig};

    fn network(hidden: usize, device: &Device) -> Mlp {
        let config = MlpConfig {
            widths: vec![784, hidden, 10],
            bits: None,
        };
        initialize(config.init(device), 3)
    }

    #[test]
    fn chips_side_by_side_are_as_good_as_one_by_one() {
        let set = digits(3, 0, 300);
        let device = Device::flex();
        let network = network(24, &device);
        let single = Evaluation::new(
            &network,
            None,
            Batches::new(&classes(&set), 128, &device).unwrap(),
        );
        let stacked = Evaluation::new(
            &network,
            None,
            Batches::new(&classes(&set), 128, &device).unwrap(),
        );
        let stacked = stacked.side_by_side(4);
        let variation = Variation::from(Distribution::gaussian(0.3));
        let fab = single.varied(&variation);
        let population = |evaluation: &Evaluation<Mlp, Classification>, stop: bool| {
            let (told, stop) = (Mutex::new(Vec::new()), AtomicBool::new(stop));
            let hear = |chip, accuracy| told.lock().unwrap().push((chip, accuracy));
            let found = evaluation.population(&fab, 5, 3..13, hear, &stop).unwrap();
            let mut told = told.into_inner().unwrap();
            told.sort_by_key(|(chip, _)| *chip);
            assert_eq!(told, found.0);
            found
        };
        let (expected, _) = population(&single, false);
        // The last stack has two chips.
        let (found, stopped) = population(&stacked, false);
        assert!(!stopped && found.len() == 10);
        for ((chip, found), (number, expected)) in found.into_iter().zip(expected) {
            assert_eq!(chip, number);
            // An image on the edge may fall to either side.
            assert!((found - expected).abs() <= 1.0 / 300.0 + 1e-9, "{chip}");
        }
        assert_eq!(population(&stacked, true), (vec![], true));
    }

    #[test]
    fn labels_without_an_output_are_refused_with_both_numbers() {
        let set = digits(3, 0, 20);
        let device = Device::flex();
        let network = |outputs: usize| {
            let widths = vec![784, outputs];
            initialize(MlpConfig { widths, bits: None }.init(&device), 3)
        };
        let batches = Batches::new(&classes(&set), 8, &device).unwrap();
        let variation = Variation::from(Distribution::gaussian(0.1));
        let refused = |result: Result<f64, TrainingError>| {
            let message = result.unwrap_err().to_string();
            assert!(
                message.starts_with("the network has 5 outputs, the data has 10 classes"),
                "{message}"
            );
        };
        let five = network(5);
        refused(evaluate(&five, &batches));
        refused(batches.check_outputs(&five).map(|()| 0.0));
        let evaluation = Evaluation::new(&five, None, batches.clone());
        let fab = evaluation.varied(&variation);
        refused(evaluation.clean());
        refused(evaluation.chip(&fab, ChipSeed::new(1, 0)));
        let hits = evaluation.hits(&fab, ChipSeed::new(1, 0), 3..9);
        refused(hits.map(|hits| hits as f64));
        let stacked = Evaluation::new(&five, None, batches.clone()).side_by_side(2);
        let stop = AtomicBool::new(false);
        let chips = stacked.population(&fab, 1, 0..3, |_, _| {}, &stop);
        refused(chips.map(|_| 0.0));
        // Outputs to spare are no fault.
        let twelve = network(12);
        batches.check_outputs(&twelve).unwrap();
        evaluate(&twelve, &batches).unwrap();
    }

    #[test]
    fn a_race_finds_what_full_evaluation_finds() {
        let set = digits(3, 0, 900);
        let device = Device::flex();
        let network = network(24, &device);
        let config = RaceConfig {
            seed: 5,
            chips: 0..60,
            items: set.len(),
            k: 5.0,
            confidence: 0.95,
            delta: 0.01,
            half_width: None,
        };
        let race = config.check().unwrap();
        let variation = Variation::from(Distribution::gaussian(0.3));
        let whole = Evaluation::new(
            &network,
            None,
            Batches::new(&classes(&set), 128, &device).unwrap(),
        );
        let ordered = Batches::for_race(&classes(&set), &race, 128, &device).unwrap();
        // Rounds of 400, 500, 625, 781 and 900 images.
        let sizes: Vec<usize> = ordered.iter().map(|batch| batch.unwrap().items()).collect();
        assert_eq!(sizes, [128, 128, 128, 16, 100, 125, 128, 28, 119]);
        let raced = Evaluation::new(&network, None, ordered);
        let (fab, stop) = (whole.varied(&variation), AtomicBool::new(false));
        let (chips, _) = whole.population(&fab, 5, 0..60, |_, _| {}, &stop).unwrap();
        let metric = chips.into_iter().map(|(_, accuracy)| accuracy).collect();
        let population = Population::new(5, 0, metric);
        let found = raced.race(&raced.varied(&variation), &race, &(), &stop);
        let found = found.unwrap().unwrap();
        assert!(found.is_exact());
        assert!((found.value.low - population.kpp(5.0).unwrap()).abs() < 1e-12);
        let interval = population.kpp_interval(5.0, 0.95).unwrap();
        let high = found.high.unwrap().low;
        assert!((high - interval.high.unwrap()).abs() < 1e-12);
        // Positions that cut batches count the same.
        let chip = ChipSeed::new(5, 7);
        let count = |items: Range<usize>| raced.hits(&fab, chip, items).unwrap();
        let parts = count(0..100) + count(100..400) + count(400..777) + count(777..900);
        let expected = (900.0 * whole.chip(&fab, chip).unwrap()).round() as u64;
        assert_eq!((count(0..900), parts), (expected, expected));
        let fewer = set.split_at(10).0;
        let refused = Batches::for_race(&classes(&fewer), &race, 128, &device);
        assert!(matches!(
            refused,
            Err(TrainingError::RaceItems {
                raced: 900,
                items: 10
            })
        ));
    }

    /// Every image gets the same answer of every chip, in whatever order and rounds it is looked at.
    #[test]
    fn a_race_on_every_device_finds_what_full_evaluation_finds() {
        let set = digits(3, 0, 450);
        let device = Device::flex();
        let network = network(12, &device);
        let config = RaceConfig {
            seed: 5,
            chips: 0..6,
            items: set.len(),
            k: 50.0,
            confidence: 0.5,
            delta: 0.01,
            half_width: None,
        };
        let race = config.check().unwrap();
        // Another number of images in a batch as well.
        let whole = Evaluation::new(
            &network,
            None,
            Batches::new(&classes(&set), 100, &device).unwrap(),
        );
        let ordered = Batches::for_race(&classes(&set), &race, 64, &device).unwrap();
        let raced = Evaluation::new(&network, None, ordered);
        let scattering = "kind = \"additive\"\nsigma_rel_gmax = 0.0\nread_sigma_rel_gmax = 0.3\ng_min = \"0 S\"\ng_max = \"25 uS\"";
        let presets = crossburn_hardware::MemoryDevice::preset_names();
        let cells = presets.map(|name| format!("preset = \"{name}\""));
        let mut scattered = 0;
        for cell in cells.chain([scattering.to_string()]) {
            let text = format!(
                "[device]\n{cell}\n[mapping]\nweight_bits = 8\nslice_bits = 2\n\
                 [array]\nrows = 128\ncolumns = 128\ninput = {{ bits = 8 }}"
            );
            let hardware = Hardware::from_toml(&text).unwrap();
            for fidelity in [Fidelity::Weight, Fidelity::Array] {
                let calibration = Batches::new(&classes(&set.split_at(20).0), 20, &device).unwrap();
                let mapped = whole.mapped(&hardware, fidelity, &calibration).unwrap();
                let fab = mapped.fab(fidelity).unwrap();
                let stop = AtomicBool::new(false);
                let (chips, _) = whole.population(&fab, 5, 0..6, |_, _| {}, &stop).unwrap();
                for (chip, accuracy) in &chips {
                    let chip = ChipSeed::new(5, *chip);
                    // Each part is counted on a chip made anew.
                    let count = |items: Range<usize>| raced.hits(&fab, chip, items).unwrap();
                    let parts = count(0..400) + count(400..417) + count(417..450);
                    let expected = (450.0 * accuracy).round() as u64;
                    assert_eq!(parts, expected, "{cell} {fidelity}");
                }
                let found = raced.race(&fab, &race, &(), &stop).unwrap().unwrap();
                let metric = chips.into_iter().map(|(_, accuracy)| accuracy).collect();
                let kpp = Population::new(5, 0, metric).kpp(50.0).unwrap();
                assert!(
                    found.is_exact() && (found.value.low - kpp).abs() < 1e-12,
                    "{cell} {fidelity}"
                );
                let noisy = hardware.config().device.has_read_noise();
                scattered += usize::from(noisy && fidelity == Fidelity::Array);
            }
        }
        // Seven presets and the last one at least.
        assert!(scattered >= 8);
    }

    #[test]
    fn rare_chips_are_found_and_replay() {
        let set = digits(3, 0, 200);
        let device = Device::flex();
        let network = network(16, &device);
        let evaluation = Evaluation::new(
            &network,
            None,
            Batches::new(&classes(&set), 128, &device).unwrap(),
        );
        let variation = Variation::from(Distribution::gaussian(0.3));
        let config = RareConfig {
            seed: 2,
            chips: 60,
            conditional: 0.1,
            percentages: vec![1.0],
            confidence: 0.95,
        };
        let simulation = config.check().unwrap();
        let stop = AtomicBool::new(false);
        let found = evaluation.rare(&evaluation.varied(&variation), &simulation, &(), &stop);
        let quantile = found.unwrap().unwrap().quantiles.remove(0);
        let replayed = evaluation.drawn(&variation, &quantile.chip).unwrap();
        assert_eq!(replayed, quantile.value);
        // The chip of a seed is the same, whichever way it is drawn.
        let seed = ChipSeed::new(2, 9);
        let chip = evaluation
            .chip(&evaluation.varied(&variation), seed)
            .unwrap();
        assert_eq!(
            evaluation.drawn(&variation, RareChip::new(seed)).unwrap(),
            chip
        );
    }

    /// One layer that chips can compute side by side.
    #[derive(Module, Debug)]
    struct Flat {
        fc: Linear,
    }

    impl Network for Flat {
        const STACKS: bool = true;
    }

    impl Classifier for Flat {
        fn forward(&self, images: Tensor<4>) -> Tensor<2> {
            linear(&self.fc, images.flatten::<2>(1, 3))
        }
    }

    #[test]
    fn image_and_chip_of_a_value_that_is_no_number_are_named() {
        let set = digits(3, 0, 300);
        let device = Device::flex();
        let batches = || Batches::new(&classes(&set), 128, &device).unwrap();
        let flat = || Flat {
            fc: initialize(LinearConfig::new(784, 10).init(&device), 3),
        };
        let broken = |chip: usize| {
            let mut network = flat();
            if chip == 2 {
                let bias = network.fc.bias.take();
                network.fc.bias = bias.map(|bias| bias.map(|bias| bias * f32::NAN));
            }
            network
        };
        let error = evaluate(&broken(2), &batches()).unwrap_err().to_string();
        assert!(
            error.starts_with("the network gives NaN for output 0 of item 0,"),
            "{error}"
        );
        // Weights near the largest number overflow on a chip: 3e38 and a deviation of 30 % and more of it.
        let mut huge = flat();
        huge.fc.weight = huge.fc.weight.map(|weight| weight * 0.0 + 3e38);
        let evaluation = Evaluation::new(&huge, None, batches());
        let variation = Variation::from(Distribution::gaussian(0.3));
        let fab = evaluation.varied(&variation);
        let error = evaluation
            .chip(&fab, ChipSeed::new(1, 17))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("chip 17 gives "), "{error}");
        let error = evaluation
            .hits(&fab, ChipSeed::new(1, 18), 40..60)
            .unwrap_err();
        let error = error.to_string();
        assert!(
            error.starts_with("chip 18 gives ") && error.contains("of item 40,"),
            "{error}"
        );
        let stacked = Evaluation::new(&flat(), None, batches());
        let chips: Vec<Flat> = (0..4).map(broken).collect();
        let error = stacked.stacked(&chips).unwrap_err().to_string();
        assert!(
            error.starts_with("chip 2 of those side by side gives NaN"),
            "{error}"
        );
    }
}
