//! A candidate of an architecture search, trained and judged on chips of its hardware.

use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::Device;
use crossburn_hardware::deploy::{Fidelity, Hardware};
use crossburn_models::nas::Candidate;
use crossburn_models::{Classifier, initialize};
use crossburn_noise::{Bootstrap, MeanInterval, Population, path_hash};

use super::Classification;
use super::by_group::Groups;
use crate::search::{GroupCounts, unfairness_interval};
use crate::task::Task;
use crate::{Batches, Evaluation, Recipe, Run, TrainingError, TrainingObserver, train};

/// Training items that ranges of converters and of inputs are set on.
const CALIBRATION: usize = 64;
/// Items of a batch where networks are judged.
const BATCH: usize = 128;

/// How candidates are trained and judged. The data are read once and shared by all candidates; initial weights, the order of items and chips come from the seed
/// of the recipe, so that the same candidate always has the same result.
#[derive(Debug)]
pub struct CandidateTrials {
    recipe: Recipe,
    learn: Classification,
    validation: Classification,
    test: Batches<Classification>,
    calibration: Batches<Classification>,
    groups: Option<Groups>,
    chips: u64,
    fidelity: Fidelity,
    device: Device,
}

/// What one candidate came to.
#[derive(Clone, Debug, PartialEq)]
pub struct CandidateResult {
    /// The metric without variation: quantized weights.
    pub clean: f64,
    /// The metric of the chips.
    pub chips: Population,
    /// What the test items of each group are taken for by all chips, in the order of [`CandidateTrials::groups`].
    pub groups: Vec<GroupCounts>,
    /// A 95 % interval for the unfairness between these groups, from drawing the test items anew; none without groups.
    pub unfairness: Option<MeanInterval>,
    /// Items forward and backward of its training.
    pub backward: u64,
}

/// Stops a training once its flag is set.
struct Until<'a>(&'a AtomicBool);

impl TrainingObserver for Until<'_> {
    fn should_stop(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl CandidateTrials {
    /// Trainings by `recipe`, whose `model` is not used, judged on `chips` chips at a fidelity, on `device` without autodiff.
    ///
    /// # Errors
    /// Data that cannot be read or are too few, and no chips.
    pub fn new(
        recipe: Recipe,
        chips: u64,
        fidelity: Fidelity,
        device: &Device,
    ) -> Result<Self, TrainingError> {
        if chips == 0 {
            return Err(TrainingError::setting(
                "chips",
                chips,
                "a whole number above 0",
            ));
        }
        let data = &recipe.data;
        let training = data
            .source
            .training_samples(recipe.seed, data.train.into())?;
        let test = data.source.test_samples(recipe.seed, data.test.into())?;
        let training = Classification::new(training);
        let learned = training.items().saturating_sub(data.validation);
        if learned == 0 || data.validation == 0 {
            return Err(TrainingError::setting(
                "data.validation",
                data.validation,
                "a number from 1 to below that of the training items",
            ));
        }
        let (learn, validation) = training.hold_back(learned);
        let (shown, _) = learn.split_at(CALIBRATION);
        Ok(Self {
            calibration: Batches::new(&shown, BATCH, device)?,
            test: Batches::new(&Classification::new(test), BATCH, device)?,
            learn,
            validation,
            groups: None,
            chips,
            fidelity,
            device: device.clone(),
            recipe,
        })
    }

    /// The same, judged on the held-back items, which also choose the epoch. The test items stay for what is chosen in the end.
    ///
    /// # Errors
    /// An item that can no longer be read.
    pub fn on_validation(self) -> Result<Self, TrainingError> {
        Ok(Self {
            test: Batches::new(&self.validation, BATCH, &self.device)?,
            ..self
        })
    }

    /// The same, which also count what the test items of each group are taken for.
    ///
    /// # Errors
    /// [`TrainingError::Data`] for items without groups, for one group or too many, and for a group that lacks a label.
    pub fn by_group(self) -> Result<Self, TrainingError> {
        let groups = Groups::of(self.test.task())?;
        Ok(Self {
            groups: Some(groups),
            ..self
        })
    }

    /// The names of the groups that are counted.
    pub fn groups(&self) -> &[String] {
        self.groups.as_ref().map(Groups::names).unwrap_or_default()
    }

    /// Channels, height and width of an item.
    pub fn input(&self) -> [usize; 3] {
        self.learn.samples().shape
    }

    /// Outputs that a candidate needs.
    pub fn outputs(&self) -> usize {
        let parts = [&self.learn, &self.validation, self.test.task()];
        parts
            .map(|part| part.outputs)
            .into_iter()
            .fold(1, usize::max)
    }

    /// A digest of all items.
    pub fn digest(&self) -> String {
        let parts = [&self.learn, &self.validation, self.test.task()];
        parts.map(Classification::digest).concat()
    }

    /// Trains `candidate` and judges it on chips of `hardware`; nothing where `stop` was set meanwhile.
    ///
    /// # Errors
    /// A candidate that does not fit the items or the hardware, before any training; a training that diverges, and outputs that are not finite.
    pub fn measure<C: Candidate>(
        &self,
        candidate: &C,
        hardware: &Hardware,
        stop: &AtomicBool,
    ) -> Result<Option<CandidateResult>, TrainingError> {
        self.measure_observed(candidate, hardware, stop, &mut Until(stop), &|| ())
    }

    /// [`measure`](Self::measure) with an observer of the training, which may stop it, and a call after each finished chip, where chips are not counted by
    /// group.
    ///
    /// # Errors
    /// Those of [`measure`](Self::measure).
    pub fn measure_observed<C: Candidate>(
        &self,
        candidate: &C,
        hardware: &Hardware,
        stop: &AtomicBool,
        observer: &mut dyn TrainingObserver,
        on_chip: &(dyn Fn() + Sync),
    ) -> Result<Option<CandidateResult>, TrainingError> {
        let recipe = Recipe {
            model: candidate.model(),
            ..self.recipe.clone()
        };
        recipe.model.check(self.input())?;
        let device = self.device.clone().autodiff();
        let network = initialize(candidate.network(&device), recipe.seed);
        // The hardware refuses initial weights for the same reasons as trained ones, and earlier.
        self.evaluation(&network, &recipe)
            .mapped(hardware, Fidelity::Weight, &self.calibration)?;
        let run = Run::new(&self.learn, &self.validation, &device);
        let trained = train(network, &recipe, &run, observer)?;
        if trained.interrupted {
            return Ok(None);
        }
        let evaluation = self.evaluation(&trained.network, &recipe);
        let mapped = evaluation.mapped(hardware, self.fidelity, &self.calibration)?;
        let fab = mapped.fab(self.fidelity)?;
        let seed = recipe.seed ^ path_hash("chips of candidates");
        let mut by_group = (Vec::new(), None);
        let metric: Vec<f64> = match &self.groups {
            Some(groups) => {
                let all = (seed, self.chips);
                let served = groups.served::<C::Network>(&fab, all, &self.test, stop)?;
                let Some(served) = served else {
                    return Ok(None);
                };
                let bootstrap = Bootstrap {
                    seed,
                    ..Bootstrap::default()
                };
                let interval = unfairness_interval(&served.items, self.chips, &bootstrap)?;
                by_group = (served.groups, interval);
                served.shares
            }
            None => {
                let chips = 0..self.chips;
                let (drawn, stopped) =
                    evaluation.population(&fab, seed, chips, |_, _| on_chip(), stop)?;
                if stopped {
                    return Ok(None);
                }
                drawn.into_iter().map(|(_, metric)| metric).collect()
            }
        };
        let (groups, unfairness) = by_group;
        Ok(Some(CandidateResult {
            clean: evaluation.clean()?,
            chips: Population::new(seed, 0, metric),
            groups,
            unfairness,
            backward: trained.passes.backward,
        }))
    }

    fn evaluation<N: Classifier>(
        &self,
        network: &N,
        recipe: &Recipe,
    ) -> Evaluation<N, Classification> {
        let weights = recipe.weights::<N>();
        Evaluation::new(network, weights, self.test.clone())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::{DataConfig, OptimizerConfig, TrainingConfig};
    use crossburn_models::nas::{
        Block, CandidateLayer, CandidateNorm, CellCandidate, ConvolutionalCandidate,
    };
    use crossburn_noise::{Distribution, Variation};

    fn recipe() -> Recipe {
        Recipe {
            data: DataConfig {
                source: "digits".parse().unwrap(),
                train: Some(460),
                validation: 60,
                test: Some(100),
            },
            training: TrainingConfig {
                epochs: 3,
                batch: 32,
                optimizer: OptimizerConfig::Adam {
                    learning_rate: 0.01,
                    weight_decay: 0.0,
                },
                ..TrainingConfig::default()
            },
            noise: Variation::from(Distribution::gaussian(0.05)),
            ..Recipe::own(3)
        }
    }

    fn candidate(trials: &CandidateTrials) -> ConvolutionalCandidate {
        let layer = |channels, block| CandidateLayer {
            block,
            ..CandidateLayer::new(channels, 3)
        };
        let layers = vec![layer(4, Block::Conv), layer(8, Block::DepthwiseSeparable)];
        ConvolutionalCandidate {
            norm: CandidateNorm::Batch,
            dropout: 0.1,
            ..ConvolutionalCandidate::new(trials.input(), trials.outputs(), layers)
        }
    }

    #[test]
    fn a_candidate_learns_and_always_comes_to_the_same() {
        let device = Device::flex();
        let trials = CandidateTrials::new(recipe(), 6, Fidelity::Weight, &device).unwrap();
        assert_eq!((trials.input(), trials.outputs()), ([1, 28, 28], 10));
        let hardware = Hardware::preset("papers").unwrap();
        let candidate = candidate(&trials);
        let go_on = AtomicBool::new(false);
        let measured = || trials.measure(&candidate, &hardware, &go_on).unwrap();
        let found = measured().unwrap();
        // Guessing is right on one of ten.
        assert!(found.clean > 0.3, "{found:?}");
        assert_eq!(found.chips.chips(), 6);
        assert!(found.chips.std() > 0.0 && found.chips.mean() > 0.1);
        assert_eq!(found.backward, 3 * 400);
        let threads = rayon::ThreadPoolBuilder::new().num_threads(1);
        let again = threads.build().unwrap().install(measured);
        assert_eq!(again, Some(found));
        let stopped = trials.measure(&candidate, &hardware, &AtomicBool::new(true));
        assert_eq!(stopped.unwrap(), None);
    }

    #[test]
    fn a_cell_learns_and_always_comes_to_the_same() {
        let device = Device::flex();
        let mut longer = recipe();
        longer.training.epochs = 6;
        let trials = CandidateTrials::new(longer, 3, Fidelity::Weight, &device).unwrap();
        let hardware = Hardware::preset("papers").unwrap();
        let cell =
            "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|nor_conv_1x1~2|";
        let candidate = CellCandidate {
            input: trials.input(),
            outputs: trials.outputs(),
            channels: 6,
            cells: 1,
            ..CellCandidate::new(cell.parse().unwrap())
        };
        let go_on = AtomicBool::new(false);
        let chips = std::sync::atomic::AtomicU64::new(0);
        let found =
            trials.measure_observed(&candidate, &hardware, &go_on, &mut Until(&go_on), &|| {
                chips.fetch_add(1, Ordering::Relaxed);
            });
        let found = found.unwrap().unwrap();
        // Guessing gets 10 of 100 items right, with a standard deviation of 3. The bound lies four deviations higher.
        assert!(found.clean > 0.22, "{found:?}");
        assert_eq!(chips.load(Ordering::Relaxed), 3);
        let threads = rayon::ThreadPoolBuilder::new().num_threads(1);
        let again = || trials.measure(&candidate, &hardware, &go_on).unwrap();
        assert_eq!(threads.build().unwrap().install(again), Some(found));
        // Cells without a path give the same label for every input.
        let nothing = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|";
        let cut = CellCandidate {
            cell: nothing.parse().unwrap(),
            ..candidate
        };
        let found = trials.measure(&cut, &hardware, &go_on).unwrap().unwrap();
        assert!(found.clean < 0.22, "{found:?}");
    }

    #[test]
    fn a_choice_by_validation_items_leaves_the_test() {
        let device = Device::flex();
        let trials = CandidateTrials::new(recipe(), 4, Fidelity::Weight, &device).unwrap();
        let candidate = candidate(&trials);
        let hardware = Hardware::preset("papers").unwrap();
        let go_on = AtomicBool::new(false);
        let shares_of = |trials: &CandidateTrials, items: f64| {
            let found = trials
                .measure(&candidate, &hardware, &go_on)
                .unwrap()
                .unwrap();
            let mut right = found.chips.metric.iter().map(|share| share * items);
            right.all(|right| (right - right.round()).abs() < 1e-9)
        };
        // 100 test items and 60 that are held back.
        assert!(shares_of(&trials, 100.0) && !shares_of(&trials, 60.0));
        let trials = trials.on_validation().unwrap();
        assert!(shares_of(&trials, 60.0) && !shares_of(&trials, 100.0));
    }

    #[test]
    fn what_does_not_fit_is_refused_before_training() {
        let device = Device::flex();
        let refused = |recipe, chips| {
            let trials = CandidateTrials::new(recipe, chips, Fidelity::Weight, &device);
            trials.unwrap_err().to_string()
        };
        assert!(refused(recipe(), 0).starts_with("chips = 0"));
        let mut all_held_back = recipe();
        all_held_back.data.validation = 460;
        assert!(refused(all_held_back, 1).starts_with("data.validation = 460"));
        // So many epochs would not end.
        let mut endless = recipe();
        endless.training.epochs = 1_000_000;
        let trials = CandidateTrials::new(endless, 1, Fidelity::Weight, &device).unwrap();
        let go_on = AtomicBool::new(false);
        let mut config = Hardware::preset("papers").unwrap().config().clone();
        // Cells of four levels hold two bits.
        config.mapping.slice_bits = Some(4);
        let hardware = Hardware::try_from(config).unwrap();
        let error = trials.measure(&candidate(&trials), &hardware, &go_on);
        let message = error.unwrap_err().to_string();
        assert!(message.contains("whose cells have 4 levels"), "{message}");
        let mut small = candidate(&trials);
        small.input = [1, 14, 14];
        let error = trials.measure(&small, &Hardware::preset("papers").unwrap(), &go_on);
        let message = error.unwrap_err().to_string();
        assert!(
            message.contains("candidate takes 1x14x14 inputs"),
            "{message}"
        );
    }
}
