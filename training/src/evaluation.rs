//! Accuracy of a network, and of a population of its chips.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::{Device, Tensor};
use crossburn_hardware::deploy::{Fab, Fidelity, Hardware, MappedNetwork, VariationFab};
use crossburn_hardware::layer::{about_images, stack};
use crossburn_hardware::{Quantization, manufacture, programmed};
use crossburn_models::Classifier;
use crossburn_noise::{
    ChipDraws, ChipSeed, Direction, Race, RaceObserver, RaceResult, RareObserver, RareResult,
    Scale, SubsetSimulation, Variation, draw_population, race_order,
};
use rayon::prelude::*;

use crate::TrainingError;
use crate::data::Samples;

/// Images on a device, in batches, with their labels on the host. Uploaded once, shared by every chip.
#[derive(Clone, Debug)]
pub struct Batches {
    batches: Vec<(Tensor<4>, Vec<u16>)>,
    /// The numbers of every batch's images in the set.
    numbers: Vec<Vec<u64>>,
    images: usize,
    /// Outputs that a network needs for the labels.
    classes: usize,
}

impl Batches {
    /// All images of `set`, `batch` at a time.
    pub fn new(set: &Samples, batch: usize, device: &Device) -> Self {
        let indices: Vec<usize> = (0..set.len()).collect();
        Self::gather(set, indices.chunks(batch.max(1)), device)
    }

    /// All images of `set` in the order of `race`, at most `batch` at a time, so that every round ends with a batch.
    ///
    /// # Errors
    /// [`TrainingError::RaceImages`] where the race is about another number of images.
    pub fn for_race(
        set: &Samples,
        race: &Race,
        batch: usize,
        device: &Device,
    ) -> Result<Self, TrainingError> {
        require_images(race, set.len())?;
        let order = race_order(race.config().seed, set.len());
        let starts = std::iter::once(&0).chain(race.rounds());
        let rounds = starts.zip(race.rounds());
        let chunks = rounds.flat_map(|(&start, &end)| order[start..end].chunks(batch.max(1)));
        Ok(Self::gather(set, chunks, device))
    }

    fn gather<'a>(
        set: &Samples,
        chunks: impl Iterator<Item = &'a [usize]>,
        device: &Device,
    ) -> Self {
        let (batches, numbers) = chunks
            .map(|chunk| {
                let labels = chunk.iter().map(|&i| set.labels[i]).collect();
                let numbers = chunk.iter().map(|&i| i as u64).collect();
                ((set.inputs(chunk, device), labels), numbers)
            })
            .unzip();
        Self {
            batches,
            numbers,
            images: set.len(),
            classes: set.outputs_needed(),
        }
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.images
    }

    /// Refuses labels that `network` has no output for: one image passes through it.
    ///
    /// # Errors
    /// [`TrainingError::Classes`] with both numbers.
    pub fn check_outputs<C: Classifier>(&self, network: &C) -> Result<(), TrainingError> {
        match self.range(0..1).next() {
            Some((image, _, numbers)) => {
                let logits = about_images(numbers, || network.forward(image));
                self.expect_outputs(logits.dims()[1])
            }
            None => Ok(()),
        }
    }

    /// Refuses labels that are not among `outputs`.
    fn expect_outputs(&self, outputs: usize) -> Result<(), TrainingError> {
        expect_outputs(outputs, self.classes)
    }

    /// The images at the positions `range`, their labels and their numbers in the set, in batches; a batch that lies only
    /// partly in it is cut.
    fn range(&self, range: Range<usize>) -> impl Iterator<Item = (Tensor<4>, &[u16], &[u64])> {
        let mut start = 0;
        let batches = self.batches.iter().zip(&self.numbers);
        batches.filter_map(move |((images, labels), numbers)| {
            let batch = start..start + labels.len();
            start = batch.end;
            let from = range.start.max(batch.start);
            let to = range.end.min(batch.end);
            if from >= to {
                return None;
            }
            let part = from - batch.start..to - batch.start;
            let images = if part.len() == labels.len() {
                images.clone()
            } else {
                images.clone().narrow(0, part.start, part.len())
            };
            Some((images, &labels[part.clone()], &numbers[part]))
        })
    }

    /// The batches in order.
    pub fn iter(&self) -> impl Iterator<Item = &(Tensor<4>, Vec<u16>)> {
        self.batches.iter()
    }
}

/// Refuses fewer `outputs` of a network than its images have `classes`.
pub(crate) fn expect_outputs(outputs: usize, classes: usize) -> Result<(), TrainingError> {
    match outputs < classes {
        true => Err(TrainingError::Classes { outputs, classes }),
        false => Ok(()),
    }
}

/// Fraction of images that `network` classifies correctly.
///
/// # Errors
/// [`TrainingError::NotFinite`] for an output that is NaN or infinite, of the network or of one of its chips: a maximum
/// would skip it, so that the rest of the outputs would turn into an accuracy. [`TrainingError::Device`] when the device
/// cannot give the result back, [`TrainingError::Classes`] when the network has fewer outputs than the images have classes.
pub fn accuracy<C: Classifier>(network: &C, batches: &Batches) -> Result<f64, TrainingError> {
    let correct = correct(network, batches, 0..batches.images())?;
    Ok(correct as f64 / batches.images().max(1) as f64)
}

/// Images at the positions `range` that `network` classifies correctly.
fn correct<C: Classifier>(
    network: &C,
    batches: &Batches,
    range: Range<usize>,
) -> Result<usize, TrainingError> {
    let (mut correct, mut seen) = (0, range.start);
    for (images, labels, numbers) in batches.range(range) {
        let logits = about_images(numbers, || network.forward(images));
        batches.expect_outputs(logits.dims()[1])?;
        correct += count_correct(logits, labels).map_err(|error| error.at_image(seen))?;
        seen += labels.len();
    }
    Ok(correct)
}

/// Refuses a race about another number of images.
fn require_images(race: &Race, images: usize) -> Result<(), TrainingError> {
    let raced = race.config().images;
    if raced == images {
        Ok(())
    } else {
        Err(TrainingError::RaceImages { raced, images })
    }
}

/// How many rows of `logits` have their maximum at the label.
///
/// # Errors
/// [`TrainingError::NotFinite`] for a logit that is NaN or infinite; rows count as images from 0.
pub(crate) fn count_correct(logits: Tensor<2>, labels: &[u16]) -> Result<usize, TrainingError> {
    Ok(count_of_chips(logits, labels, 1)?.into_iter().sum())
}

/// The same for each of `chips`, whose logits stand side by side: `[images, chips · classes]`.
fn count_of_chips(
    logits: Tensor<2>,
    labels: &[u16],
    chips: usize,
) -> Result<Vec<usize>, TrainingError> {
    let [rows, all] = logits.dims();
    let classes = all / chips;
    let values: Vec<f32> = logits
        .into_data()
        .try_into_vec_as()
        .map_err(|error| TrainingError::Device(format!("{error:?}")))?;
    debug_assert_eq!(rows, labels.len());
    if let Some(place) = values.iter().position(|value| !value.is_finite()) {
        let (image, column) = (place / all, place % all);
        let error = TrainingError::NotFinite {
            what: "the network".to_string(),
            image,
            class: column % classes,
            value: values[place],
        };
        return Err(match chips {
            1 => error,
            _ => error.of_chip(format!("{} of those side by side", column / classes)),
        });
    }
    let of_chip = |chip: usize| {
        let rows = values.chunks(all.max(1));
        let rows = rows.map(|row| &row[chip * classes..][..classes]);
        rows.zip(labels)
            .filter(|(row, label)| is_correct(row, **label))
            .count()
    };
    Ok((0..chips).map(of_chip).collect())
}

/// Whether the first of the largest logits of a row is that of `label`.
pub(crate) fn is_correct(row: &[f32], label: u16) -> bool {
    let best =
        row.iter()
            .enumerate()
            .fold((None, f32::NEG_INFINITY), |(best, top), (class, &value)| {
                if value > top {
                    (Some(class), value)
                } else {
                    (best, top)
                }
            });
    best.0 == Some(usize::from(label))
}

/// A trained network with the data that its chips are judged on.
#[derive(Debug)]
pub struct Evaluation<C> {
    network: C,
    quantization: Option<Quantization>,
    batches: Batches,
    /// Chips that compute side by side.
    at_once: usize,
}

impl<C: Classifier> Evaluation<C> {
    /// `network` is taken to evaluation mode; `batches` must be on its inner device.
    pub fn new(network: &C, quantization: Option<Quantization>, batches: Batches) -> Self {
        Self {
            network: network.valid(),
            quantization,
            batches,
            at_once: 1,
        }
    }

    /// The same evaluation with `chips` chips of a population side by side in one module
    /// ([`stack`](crossburn_hardware::layer::stack)), where the network allows it ([`Classifier::STACKS`]): for devices that
    /// one small network does not fill. The order of sums in a layer may differ, so accuracies are those of single chips but
    /// for images on the edge. On CPUs, leave it at one.
    #[must_use]
    pub fn side_by_side(self, chips: usize) -> Self {
        Self {
            at_once: chips.max(1),
            ..self
        }
    }

    /// Accuracy without variation: quantized weights, as programmed.
    ///
    /// # Errors
    /// See [`accuracy`].
    pub fn clean(&self) -> Result<f64, TrainingError> {
        accuracy(&self.quantized(), &self.batches)
    }

    /// Chips whose weights deviate by `variation`.
    pub fn varied<'a>(&'a self, variation: &'a Variation) -> VariationFab<'a, C> {
        VariationFab {
            network: &self.network,
            quantization: self.quantization,
            variation,
        }
    }

    /// The network, quantized as it was trained, on `hardware`. Ranges are set on the images of `calibration`: those of
    /// converters take a pass through the arrays, which chips at weight fidelity do without.
    ///
    /// # Errors
    /// [`TrainingError::Hardware`].
    pub fn mapped(
        &self,
        hardware: &Hardware,
        fidelity: Fidelity,
        calibration: &Batches,
    ) -> Result<MappedNetwork<C>, TrainingError> {
        let run = |network: &C| {
            for (images, _) in calibration.iter() {
                network.forward(images.clone());
            }
        };
        let images = calibration.images();
        let mapped = MappedNetwork::new(&self.quantized(), hardware, images, run)?;
        Ok(match fidelity {
            Fidelity::Weight => mapped,
            Fidelity::Array => mapped.calibrated(run)?,
        })
    }

    /// Accuracy of `network`, which may be anything that this data fits.
    ///
    /// # Errors
    /// See [`accuracy`].
    pub fn accuracy(&self, network: &C) -> Result<f64, TrainingError> {
        accuracy(network, &self.batches)
    }

    /// Accuracy of one chip, held for all images.
    ///
    /// # Errors
    /// See [`accuracy`], and those of the fab.
    pub fn chip(&self, fab: &impl Fab<C>, chip: ChipSeed) -> Result<f64, TrainingError> {
        accuracy(&fab.chip(chip)?, &self.batches).map_err(|error| error.of_chip(chip.index()))
    }

    /// Accuracy of the chips `chips` of the population `seed`, in chip order, over all cores.
    ///
    /// `on_chip` hears of every finished chip; setting `stop` ends the run after the chips in flight. Returns what is
    /// finished and whether it was stopped. Where chips stand [side by side](Self::side_by_side), the cores
    /// make them and the device judges them stack after stack.
    ///
    /// # Errors
    /// See [`accuracy`], those of the fab, and side by side those of [`stack`]: chips of array fidelity are single.
    pub fn population(
        &self,
        fab: &impl Fab<C>,
        seed: u64,
        chips: Range<u64>,
        on_chip: impl Fn(u64, f64) + Sync,
        stop: &AtomicBool,
    ) -> Result<(Vec<(u64, f64)>, bool), TrainingError> {
        if self.at_once == 1 || !C::STACKS || chips.is_empty() {
            return draw_population(seed, chips, |chip| self.chip(fab, chip), on_chip, stop);
        }
        let mut finished = Vec::new();
        for start in chips.clone().step_by(self.at_once) {
            if stop.load(Ordering::Relaxed) {
                return Ok((finished, true));
            }
            let numbers = start..chips.end.min(start + self.at_once as u64);
            let made: Vec<C> = numbers
                .clone()
                .into_par_iter()
                .map(|number| fab.chip(ChipSeed::new(seed, number)))
                .collect::<Result<_, _>>()?;
            for (number, accuracy) in numbers.zip(self.accuracies(&made)?) {
                on_chip(number, accuracy);
                finished.push((number, accuracy));
            }
        }
        Ok((finished, false))
    }

    /// Accuracy of each of `chips`, which compute side by side.
    fn accuracies(&self, chips: &[C]) -> Result<Vec<f64>, TrainingError> {
        let all = stack(chips)?;
        let (mut correct, mut seen) = (vec![0; chips.len()], 0);
        for (images, labels) in self.batches.iter() {
            let logits = all.forward(images.clone());
            self.batches
                .expect_outputs(logits.dims()[1] / chips.len())?;
            let found = count_of_chips(logits, labels, chips.len())
                .map_err(|error| error.at_image(seen))?;
            seen += labels.len();
            correct.iter_mut().zip(found).for_each(|(c, f)| *c += f);
        }
        let images = self.batches.images().max(1) as f64;
        Ok(correct.into_iter().map(|c| c as f64 / images).collect())
    }

    /// Correct images of one chip among the positions `images`.
    ///
    /// # Errors
    /// See [`accuracy`], and those of the fab.
    pub fn correct(
        &self,
        fab: &impl Fab<C>,
        chip: ChipSeed,
        images: Range<usize>,
    ) -> Result<u64, TrainingError> {
        let found = correct(&fab.chip(chip)?, &self.batches, images);
        Ok(found.map_err(|error| error.of_chip(chip.index()))? as u64)
    }

    /// Races the chips of `fab` for KPP(k), over all cores: see [`Race`]. The images of this evaluation must be in the
    /// order of the race, [`Batches::for_race`]. Every round manufactures its chips again. `None` where `stop` was set.
    ///
    /// # Errors
    /// See [`accuracy`], those of the fab, and [`TrainingError::RaceImages`] for another number of images.
    pub fn race(
        &self,
        fab: &impl Fab<C>,
        race: &Race,
        observer: &impl RaceObserver,
        stop: &AtomicBool,
    ) -> Result<Option<RaceResult>, TrainingError> {
        require_images(race, self.images())?;
        race.run(
            |chip, images| self.correct(fab, chip, images),
            observer,
            stop,
        )
    }

    /// Accuracy of the chip that deviates by `variation` at these draws, held for all images: for chips that no seed
    /// alone would give.
    ///
    /// # Errors
    /// See [`accuracy`].
    pub fn drawn(
        &self,
        variation: &Variation,
        draws: impl ChipDraws,
    ) -> Result<f64, TrainingError> {
        let chip = manufacture(&self.network, self.quantization, variation, draws);
        accuracy(&chip, &self.batches).map_err(|error| error.of_chip("with these draws"))
    }

    /// Rare percentiles of the accuracy of chips that deviate by `variation`, over all cores: see [`SubsetSimulation`].
    /// `None` where `stop` was set.
    ///
    /// # Errors
    /// See [`accuracy`].
    pub fn rare(
        &self,
        variation: &Variation,
        simulation: &SubsetSimulation,
        observer: &impl RareObserver,
        stop: &AtomicBool,
    ) -> Result<Option<RareResult>, TrainingError> {
        simulation.run(|chip| self.drawn(variation, chip), observer, stop)
    }

    /// The direction from the weights as they are programmed to those of `chip`, a network as it computes, such as what a
    /// worst-case search has found.
    ///
    /// # Errors
    /// Those of [`Direction::between`].
    pub fn direction_to(&self, chip: &C, scale: Scale) -> Result<Direction, TrainingError> {
        Ok(Direction::between(&self.quantized(), &chip.valid(), scale)?)
    }

    /// Number of test images.
    pub fn images(&self) -> usize {
        self.batches.images()
    }

    fn quantized(&self) -> C {
        programmed(&self.network, self.quantization)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::data::digits;
    use burn::module::Module;
    use burn::nn::{Linear, LinearConfig};
    use crossburn_hardware::layer::linear;
    use crossburn_models::{Mlp, MlpConfig, initialize};
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
        let single = Evaluation::new(&network, None, Batches::new(&set, 128, &device));
        let stacked = Evaluation::new(&network, None, Batches::new(&set, 128, &device));
        let stacked = stacked.side_by_side(4);
        let variation = Variation::from(Distribution::gaussian(0.3));
        let fab = single.varied(&variation);
        let population = |evaluation: &Evaluation<Mlp>, stop: bool| {
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
        let batches = Batches::new(&set, 8, &device);
        let variation = Variation::from(Distribution::gaussian(0.1));
        let refused = |result: Result<f64, TrainingError>| {
            let message = result.unwrap_err().to_string();
            assert!(
                message.starts_with("the network has 5 outputs, the images have 10 classes"),
                "{message}"
            );
        };
        let five = network(5);
        refused(accuracy(&five, &batches));
        refused(batches.check_outputs(&five).map(|()| 0.0));
        let evaluation = Evaluation::new(&five, None, batches.clone());
        let fab = evaluation.varied(&variation);
        refused(evaluation.clean());
        refused(evaluation.chip(&fab, ChipSeed::new(1, 0)));
        let correct = evaluation.correct(&fab, ChipSeed::new(1, 0), 3..9);
        refused(correct.map(|correct| correct as f64));
        let stacked = Evaluation::new(&five, None, batches.clone()).side_by_side(2);
        let stop = AtomicBool::new(false);
        let chips = stacked.population(&fab, 1, 0..3, |_, _| {}, &stop);
        refused(chips.map(|_| 0.0));
        // Outputs to spare are no fault.
        let twelve = network(12);
        batches.check_outputs(&twelve).unwrap();
        accuracy(&twelve, &batches).unwrap();
    }

    #[test]
    fn a_race_finds_what_full_evaluation_finds() {
        let set = digits(3, 0, 900);
        let device = Device::flex();
        let network = network(24, &device);
        let config = RaceConfig {
            seed: 5,
            chips: 0..60,
            images: set.len(),
            k: 5.0,
            confidence: 0.95,
            delta: 0.01,
            half_width: None,
        };
        let race = config.check().unwrap();
        let variation = Variation::from(Distribution::gaussian(0.3));
        let whole = Evaluation::new(&network, None, Batches::new(&set, 128, &device));
        let ordered = Batches::for_race(&set, &race, 128, &device).unwrap();
        // Rounds of 400, 500, 625, 781 and 900 images.
        let sizes: Vec<usize> = ordered.iter().map(|(_, labels)| labels.len()).collect();
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
        let count = |images: Range<usize>| raced.correct(&fab, chip, images).unwrap();
        let parts = count(0..100) + count(100..400) + count(400..777) + count(777..900);
        let expected = (900.0 * whole.chip(&fab, chip).unwrap()).round() as u64;
        assert_eq!((count(0..900), parts), (expected, expected));
        let fewer = set.split_at(10).0;
        let refused = Batches::for_race(&fewer, &race, 128, &device);
        assert!(matches!(
            refused,
            Err(TrainingError::RaceImages {
                raced: 900,
                images: 10
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
            images: set.len(),
            k: 50.0,
            confidence: 0.5,
            delta: 0.01,
            half_width: None,
        };
        let race = config.check().unwrap();
        // Another number of images in a batch as well.
        let whole = Evaluation::new(&network, None, Batches::new(&set, 100, &device));
        let ordered = Batches::for_race(&set, &race, 64, &device).unwrap();
        let raced = Evaluation::new(&network, None, ordered);
        let scattering = "kind = \"additive\"\nsigma_rel_gmax = 0.0\nread_sigma_rel_gmax = 0.3\ng_min = \"0 S\"\ng_max = \"25 uS\"";
        let presets = crossburn_hardware::Device::preset_names();
        let cells = presets.map(|name| format!("preset = \"{name}\""));
        let mut scattered = 0;
        for cell in cells.chain([scattering.to_string()]) {
            let text = format!(
                "[device]\n{cell}\n[mapping]\nweight_bits = 8\nslice_bits = 2\n\
                 [array]\nrows = 128\ncolumns = 128\ninput = {{ bits = 8 }}"
            );
            let hardware = Hardware::from_toml(&text).unwrap();
            for fidelity in [Fidelity::Weight, Fidelity::Array] {
                let calibration = Batches::new(&set.split_at(20).0, 20, &device);
                let mapped = whole.mapped(&hardware, fidelity, &calibration).unwrap();
                let fab = mapped.fab(fidelity).unwrap();
                let stop = AtomicBool::new(false);
                let (chips, _) = whole.population(&fab, 5, 0..6, |_, _| {}, &stop).unwrap();
                for (chip, accuracy) in &chips {
                    let chip = ChipSeed::new(5, *chip);
                    // Each part is counted on a chip made anew.
                    let count = |images: Range<usize>| raced.correct(&fab, chip, images).unwrap();
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
        let evaluation = Evaluation::new(&network, None, Batches::new(&set, 128, &device));
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
        let found = evaluation.rare(&variation, &simulation, &(), &stop);
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

    #[test]
    fn an_output_that_is_no_number_is_no_accuracy() {
        let device = Device::flex();
        let logits = |rows: [[f32; 2]; 3]| Tensor::<2>::from_floats(rows, &device);
        let fine = logits([[0.0, 1.0], [2.0, 1.0], [0.5, -0.5]]);
        assert_eq!(count_correct(fine, &[1, 0, 1]).unwrap(), 2);
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            // The label is the largest of what is left, or another, or the value itself.
            for labels in [[1, 0, 0], [1, 0, 1]] {
                let rows = logits([[0.0, 1.0], [2.0, 1.0], [0.5, value]]);
                let error = count_correct(rows, &labels).unwrap_err();
                let expected = format!("the network gives {value} for class 1 of image 2");
                assert!(error.to_string().starts_with(&expected), "{error}");
            }
        }
    }

    /// One layer that chips can compute side by side.
    #[derive(Module, Debug)]
    struct Flat {
        fc: Linear,
    }

    impl Classifier for Flat {
        const STACKS: bool = true;

        fn forward(&self, images: Tensor<4>) -> Tensor<2> {
            linear(&self.fc, images.flatten::<2>(1, 3))
        }
    }

    #[test]
    fn image_and_chip_of_a_value_that_is_no_number_are_named() {
        let set = digits(3, 0, 300);
        let device = Device::flex();
        let batches = || Batches::new(&set, 128, &device);
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
        let error = accuracy(&broken(2), &batches()).unwrap_err().to_string();
        assert!(
            error.starts_with("the network gives NaN for class 0 of image 0,"),
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
            .correct(&fab, ChipSeed::new(1, 18), 40..60)
            .unwrap_err();
        let error = error.to_string();
        assert!(
            error.starts_with("chip 18 gives ") && error.contains("of image 40,"),
            "{error}"
        );
        let stacked = Evaluation::new(&flat(), None, batches());
        let chips: Vec<Flat> = (0..4).map(broken).collect();
        let error = stacked.accuracies(&chips).unwrap_err().to_string();
        assert!(
            error.starts_with("chip 2 of those side by side gives NaN"),
            "{error}"
        );
    }
}
