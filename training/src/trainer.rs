//! Noise-aware training.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use burn::optim::ModuleOptimizer;
use burn::tensor::Device;
use crossburn_checkpoints::{load_resume, read_progress, save_resume};
use crossburn_hardware::deploy::{LearnedScale, TrainingChips};
use crossburn_hardware::{manufacture, programmed};
use crossburn_kernels::Sgd;
use crossburn_models::{Network, with_step_draws};
use crossburn_noise::{
    Better, ChipSeed, Distribution, PathPattern, Philox, Variation, fold_mean_at, path_hash,
};
use serde::{Deserialize, Serialize};

use crate::batch_norm_refresh::batch_norm_refresh;
use crate::data::Augmentation;
use crate::held_weights::{self, HeldWeights, WeightScales};
use crate::learner::{Learner, Step};
use crate::method::{Plan, Scene};
use crate::task::{Batch, Learn, Moment, Tally, items_in_words};
use crate::weight_clip::clip_weights;
use crate::weights_digest::weights_digest;
use crate::{
    Batches, Deployment, EpochRecord, HardwareAware, Method, Passes, Recipe, Selection,
    TrainingError, TrainingObserver, Trisection, evaluate,
};

/// Most items of a step on which ranges of converters are set.
const LOOK: usize = 32;
/// The rate of a method's warm-up.
const WARM_UP_RATE: f64 = 1e-3;

/// Where and on what a recipe runs.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a, T> {
    /// Items to learn from.
    pub train: &'a T,
    /// Items to choose the epoch with.
    pub validation: &'a T,
    /// The device, with autodiff.
    pub device: &'a Device,
    /// Folder for the state after every epoch, from which a run resumes; `None` keeps no state.
    pub state: Option<&'a Path>,
    /// Continue from that state, if there is one.
    pub resume: bool,
}

impl<'a, T> Run<'a, T> {
    /// A run that keeps no state.
    pub fn new(train: &'a T, validation: &'a T, device: &'a Device) -> Self {
        Self {
            train,
            validation,
            device,
            state: None,
            resume: false,
        }
    }
}

/// What training gives back.
#[derive(Debug)]
pub struct Trained<N> {
    /// The kept weights, in evaluation mode, as they are to be programmed.
    pub network: N,
    /// Whether the weights are already on learned grids, so that they must not be quantized again.
    pub programmed: bool,
    /// Full scales of the inputs of layers on arrays that were learned with these weights, by path: see [`HardwareAware`].
    pub input_scales: BTreeMap<String, f32>,
    /// One record per finished epoch.
    pub curve: Vec<EpochRecord>,
    /// The kept epoch, from 1; 0 where no epoch finished.
    pub best_epoch: usize,
    /// The training noise of the kept weights: that of the recipe, or the result of a search.
    pub noise: Variation,
    /// Number of items that passed in finished epochs, and in refreshing batch norms.
    pub passes: Passes,
    /// Whether an observer stopped the run before its end.
    pub interrupted: bool,
}

/// Further state of a resumed run, beside weights and optimizers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Progress {
    recipe: Recipe,
    curve: Vec<EpochRecord>,
    best_epoch: usize,
    passes: Passes,
    search: Option<Trisection>,
    /// The [`weights_digest`] of what a distillation learns from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    teacher: Option<String>,
    /// Which items it learns from ([`Task::selection`](crate::Task::selection)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    items: Option<String>,
    /// Full scales of inputs, as they move, and those of the best epoch.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    scales: BTreeMap<String, LearnedScale>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    best_scales: BTreeMap<String, f32>,
    /// Scales of weights, as they move, and those of the best epoch.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    weight_scales: WeightScales,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    best_weight_scales: BTreeMap<String, Vec<f32>>,
}

/// Trains `network` by `recipe`.
///
/// Each step, with the method that is the default: a fresh chip is drawn, the forward pass uses `quantize(W) + deviation`,
/// the gradient of the task's loss reaches the clean weights straight through, the optimizer steps them. With `[hardware]` the
/// chip is one that is programmed ([`HardwareAware`]). After each epoch the
/// validation items are judged with a new chip per batch and the best epoch is kept (Yan et al., ICCAD 2023, section 4 of
/// the method), of those whose weights have the pattern of a pruning. Other methods ([`Method`](crate::Method)) take other steps, or judge otherwise.
///
/// With `[pruning]` the weights as an epoch begins choose which of them remain in it. The kept weights have zeros in the place of the
/// others, and so do all from the first epoch on in which the mask rests. With learned scales the kept weights are on their grids.
///
/// Order of items, augmentation and noise depend on (seed, epoch, step) alone, so a run that was interrupted and
/// resumed ends with the weights it would have had. `network` must be the initial one then, too.
///
/// # Errors
/// A bad recipe, items that the network does not fit, a loss that is not finite, a state folder that
/// cannot be written or belongs to another recipe.
pub fn train<N: Network, T: Learn<N>>(
    network: N,
    recipe: &Recipe,
    run: &Run<'_, T>,
    observer: &mut dyn TrainingObserver,
) -> Result<Trained<N>, TrainingError> {
    recipe.check()?;
    recipe.check_weights(&network)?;
    recipe.check_hardware(&network)?;
    let mut state = State::start(network, recipe, run)?;
    let items = run.train.items() * recipe.method.copies();
    let (done, metric) = (state.progress.curve.len(), run.train.metric());
    observer.started(done, recipe.epochs(), items, &metric);
    let result = state.run(observer);
    observer.ended();
    let interrupted = result?;
    let mut progress = state.progress;
    let (kept, noise) = match progress.best_epoch.checked_sub(1) {
        Some(best) => (state.best, progress.curve[best].noise),
        None => (
            state.learners[state.learners.len() / 2].network.valid(),
            recipe.noise,
        ),
    };
    let scales = std::mem::take(&mut progress.best_weight_scales);
    let learned = !scales.is_empty();
    let mut network = match recipe.training.deployment {
        Deployment::AsTrained if learned => {
            programmed(&kept, recipe.weights::<N>().with_scales(scales))
        }
        Deployment::AsTrained => kept,
        Deployment::MeanFolded => {
            let weights = recipe.weights::<N>();
            let selected = weights.placement().on_arrays(&kept);
            fold_mean_at(kept, &selected, &noise)
        }
    };
    if !interrupted {
        let passes = recipe.training.batch_norm_refresh;
        let weights = match learned {
            true => recipe.weights::<N>().without_quantization(),
            false => recipe.weights::<N>(),
        };
        let done = &mut progress.passes;
        network = batch_norm_refresh(network, passes, &weights, recipe, run, done)?.valid();
    }
    Ok(Trained {
        network,
        programmed: learned,
        input_scales: progress.best_scales,
        curve: progress.curve,
        best_epoch: progress.best_epoch,
        noise,
        passes: progress.passes,
        interrupted,
    })
}

/// The recipe of the run whose state is kept in the folder `state`, or `None` without a state. It serves to refuse a run
/// before anything is loaded or written.
///
/// # Errors
/// A state that cannot be read, or that another version has written.
pub fn kept_recipe(state: &Path) -> Result<Option<Recipe>, TrainingError> {
    let progress: Option<Progress> = read_progress(state)?;
    Ok(progress.map(|progress| progress.recipe))
}

/// The number of finished epochs that the folder `state` keeps; 0 without a state.
///
/// # Errors
/// As [`kept_recipe`].
pub fn kept_epochs(state: &Path) -> Result<usize, TrainingError> {
    let progress: Option<Progress> = read_progress(state)?;
    Ok(progress.map_or(0, |progress| progress.curve.len()))
}

/// Weights that a network of type `N` leaves out of a state.
fn resting<N: Network>() -> Vec<PathPattern> {
    N::RESTS.iter().copied().map(PathPattern::new).collect()
}

/// Paths of the weights that `training.clip` clips: those on arrays, except frozen ones.
fn clipped<N: Network>(network: &N, recipe: &Recipe) -> BTreeSet<String> {
    let mut selected = recipe.weights::<N>().placement().on_arrays(network);
    let resting = resting::<N>();
    selected.retain(|path| !resting.iter().any(|rests| rests.matches(path)));
    selected
}

struct State<'a, N, T> {
    recipe: &'a Recipe,
    run: &'a Run<'a, T>,
    /// Which end of the metric is the better one.
    better: Better,
    /// The initial network, for a method that starts more than once.
    initial: N,
    /// Chips that steps compute on if the recipe has `[hardware]`.
    chips: Option<TrainingChips>,
    /// How weights are pruned and quantized in this epoch.
    weights: HeldWeights,
    /// One, or as many copies as the method trains side by side.
    learners: Vec<Learner<N>>,
    /// Evaluation-mode copy of the best epoch. Not a clone: clones share running statistics with what still trains.
    best: N,
    progress: Progress,
}

impl<'a, N: Network, T: Learn<N>> State<'a, N, T> {
    fn start(network: N, recipe: &'a Recipe, run: &'a Run<'a, T>) -> Result<Self, TrainingError> {
        let initial = network.valid();
        for set in [run.train, run.validation] {
            if set.items() > 0 {
                let first = set.batch(&[0], &run.device.clone().without_autodiff())?;
                set.fits(&set.forward(&initial.valid(), &first), &first)?;
            }
        }
        let distils = matches!(recipe.method, Method::Distillation(_));
        if distils {
            T::require_probabilities("distillation", &run.train.metric())?;
        }
        if recipe.training.clip.is_some() && clipped::<N>(&initial, recipe).is_empty() {
            return Err(TrainingError::setting(
                "training.clip",
                recipe.training.clip.unwrap_or_default(),
                "it where weights that learn lie on arrays, or leave it out",
            ));
        }
        let teacher = distils.then(|| weights_digest(&initial));
        let items = run.train.selection();
        let copies = recipe.method.copies();
        let networks = || (0..copies).map(|_| initial.valid().train()).collect();
        let optimizers = || (0..copies).map(|_| recipe.training.optimizer.init());
        let found = match run.state {
            Some(folder) if run.resume => {
                let fresh: (Vec<N>, N) = (networks(), initial.valid());
                load_resume::<_, Progress>(folder, fresh, &resting::<N>(), optimizers().collect())?
            }
            _ => None,
        };
        let (networks, best, optimizers, progress) = match found {
            Some(((networks, best), optimizers, progress)) => {
                if progress.recipe != *recipe {
                    return Err(TrainingError::OtherRecipe {
                        folder: run
                            .state
                            .map(|folder| folder.display().to_string())
                            .unwrap_or_default(),
                    });
                }
                if progress.teacher != teacher {
                    return Err(TrainingError::OtherTeacher);
                }
                // A state of before this was kept does not say from which items it has learned.
                if progress.items.is_some() && progress.items != items {
                    return Err(TrainingError::OtherItems);
                }
                (networks, best, optimizers, progress)
            }
            None => {
                let progress = Progress {
                    recipe: recipe.clone(),
                    curve: Vec::new(),
                    best_epoch: 0,
                    passes: Passes::default(),
                    search: None,
                    teacher,
                    items,
                    scales: BTreeMap::new(),
                    best_scales: BTreeMap::new(),
                    weight_scales: WeightScales::new(),
                    best_weight_scales: BTreeMap::new(),
                };
                (
                    networks(),
                    initial.valid(),
                    optimizers().collect(),
                    progress,
                )
            }
        };
        let hardware = recipe.hardware.as_ref();
        let chips = hardware.map(HardwareAware::chips).transpose()?;
        let chips = chips.map(|chips| chips.with_scales(progress.scales.clone()));
        let weights = HeldWeights::new(recipe, &initial, progress.weight_scales.clone());
        let learners = networks
            .into_iter()
            .zip(optimizers)
            .map(|(network, optimizer)| Learner { network, optimizer })
            .collect();
        Ok(Self {
            recipe,
            run,
            better: run.validation.metric().better,
            initial,
            chips,
            weights,
            learners,
            best,
            progress,
        })
    }

    /// Runs the remaining epochs. Returns whether the observer stopped it.
    fn run(&mut self, observer: &mut dyn TrainingObserver) -> Result<bool, TrainingError> {
        let (recipe, run) = (self.recipe, self.run);
        let inner = run.device.clone().without_autodiff();
        let validation = Batches::new(run.validation, recipe.training.batch, &inner)?;
        for epoch in self.progress.curve.len() + 1..=recipe.epochs() {
            if self.out_of_patience() {
                break;
            }
            let plan = recipe.method.plan(recipe, epoch, &mut self.progress.search);
            if plan.restart {
                self.restart();
            }
            let (learning, before) = (plan.copies[0].0, self.progress.passes);
            self.weights
                .begin(recipe, &self.learners[learning].network, epoch);
            let mut lessons = Vec::with_capacity(plan.copies.len());
            for turn in 0..plan.copies.len() {
                let Some(lesson) = self.pass(epoch, &plan, turn, observer)? else {
                    self.progress.passes = before;
                    return Ok(true);
                };
                lessons.push(lesson);
            }
            if let Some(chips) = &self.chips {
                self.progress.scales = chips.scales().clone();
            }
            self.progress.weight_scales = self.weights.scales().clone();
            if self.mask_rests(epoch) {
                let learner = &mut self.learners[learning];
                learner.network = self.weights.plan().prune(learner.network.clone());
            }
            let scene = Scene {
                recipe,
                run,
                validation: &validation,
                epoch,
                stop: &|| observer.should_stop(),
            };
            let Some(verdict) = recipe.method.judge(
                &mut self.learners,
                &plan,
                &mut self.progress.search,
                &mut self.progress.passes,
                &scene,
            )?
            else {
                self.progress.passes = before;
                return Ok(true);
            };
            let (copy, noise) = plan.copies[verdict.winner];
            let lesson = &lessons[verdict.winner];
            let network = self.learners[copy].network.valid();
            let network = self.weights.plan().prune(network);
            let (clean, noisy) = self.validate(&network, &noise, epoch, &validation)?;
            let record = EpochRecord {
                epoch,
                learning_rate: lesson.learning_rate,
                train_loss: lesson.loss,
                train_metric: lesson.metric,
                validation: clean,
                validation_noisy: noisy,
                validation_percentile: verdict.percentile,
                noise,
            };
            let last = recipe.training.selection == Selection::Last && plan.decides;
            if last && self.may_be_kept(epoch) || self.judged(&record) > self.best_judged().1 {
                self.best = network;
                self.progress.best_epoch = epoch;
                let scales = self.progress.scales.iter();
                self.progress.best_scales = scales
                    .map(|(path, scale)| (path.clone(), scale.value))
                    .collect();
                self.progress.best_weight_scales = held_weights::values(self.weights.scales());
            }
            self.progress.curve.push(record);
            self.save()?;
            observer.epoch(&record);
        }
        Ok(false)
    }

    /// Every copy becomes the initial network again, with a fresh optimizer.
    fn restart(&mut self) {
        for learner in &mut self.learners {
            learner.network = self.initial.valid().train();
            learner.optimizer = self.recipe.training.optimizer.init();
        }
    }

    fn save(&self) -> Result<(), TrainingError> {
        let Some(folder) = self.run.state else {
            return Ok(());
        };
        let networks: Vec<N> = self.learners.iter().map(|l| l.network.clone()).collect();
        let optimizers: Vec<ModuleOptimizer> =
            self.learners.iter().map(|l| l.optimizer.clone()).collect();
        let state = (networks, self.best.clone());
        let resting = resting::<N>();
        Ok(save_resume(
            folder,
            &state,
            &resting,
            &optimizers,
            &self.progress,
        )?)
    }

    /// Whether the mask of a pruning rests in `epoch`, so that pruned weights are zero.
    fn mask_rests(&self, epoch: usize) -> bool {
        let pruning = self.recipe.pruning.as_ref();
        pruning.is_some_and(|pruning| pruning.rests(epoch, self.recipe.training.epochs))
    }

    /// Whether the weights of `epoch` have the pattern of the pruning, if there is one.
    fn may_be_kept(&self, epoch: usize) -> bool {
        let pruning = self.recipe.pruning.as_ref();
        pruning.is_none_or(|pruning| pruning.is_reached(epoch, self.recipe.training.epochs))
    }

    /// The number that decides which epoch is kept, oriented so that higher is better. It is below every other number for an
    /// epoch that must not be kept.
    fn judged(&self, record: &EpochRecord) -> f64 {
        if !self.may_be_kept(record.epoch) {
            return f64::NEG_INFINITY;
        }
        match self.recipe.method.judges_chips() {
            true => record
                .validation_percentile
                .map_or(f64::NEG_INFINITY, |value| self.better.orient(value)),
            false => self
                .better
                .orient(record.validation_noisy.unwrap_or(record.validation)),
        }
    }

    /// The first of the best epochs so far, and how it was judged.
    fn best_judged(&self) -> (usize, f64) {
        let mut best = (0, f64::NEG_INFINITY);
        for record in &self.progress.curve {
            if self.judged(record) > best.1 {
                best = (record.epoch, self.judged(record));
            }
        }
        best
    }

    fn out_of_patience(&self) -> bool {
        let Some(patience) = self.recipe.training.patience else {
            return false;
        };
        let epochs = self.progress.curve.len();
        let waited = (1..=epochs).filter(|epoch| {
            // Epochs on the way to a pattern bring nothing that could be better.
            *epoch > self.best_judged().0 && self.may_be_kept(*epoch)
        });
        epochs > 0 && waited.count() >= patience
    }

    /// One pass of one copy over the training items; `None` if the observer stopped it. The copy then holds a part of the
    /// epoch, but the kept state does not.
    fn pass(
        &mut self,
        epoch: usize,
        plan: &Plan,
        turn: usize,
        observer: &mut dyn TrainingObserver,
    ) -> Result<Option<Lesson>, TrainingError> {
        let (recipe, run, training) = (self.recipe, self.run, &self.recipe.training);
        let (copy, noise) = &plan.copies[turn];
        let learner = &mut self.learners[*copy];
        let factor = training
            .schedule
            .factor(plan.schedule_epoch, training.epochs);
        let mut waiting = None;
        let learning_rate = match plan.warm_up {
            true => {
                let plain = Sgd::new().init();
                waiting = Some(std::mem::replace(&mut learner.optimizer, plain));
                WARM_UP_RATE
            }
            false => training.optimizer.learning_rate() * factor,
        };
        let before = turn * run.train.items();
        let of_step = training.batch.saturating_mul(training.accumulate);
        let order = run
            .train
            .epoch(&generator(recipe.seed, "order", epoch), of_step);
        let weights = &mut self.weights;
        let clip = training.clip;
        let clip = clip.map(|deviations| (deviations, clipped(&learner.network, recipe)));
        let key = recipe.seed ^ path_hash("augmentation") ^ (epoch as u64) << 32;
        let moment = Moment {
            key,
            progress: (epoch - 1) as f64 / recipe.epochs().max(1) as f64,
        };
        let items_on = |items: &[usize], device: &Device| match &training.augmentation {
            none if *none == Augmentation::default() => run.train.fresh(items, moment, device),
            augmentation => run.train.augmented(items, augmentation, key, device),
        };
        let (mut loss_sum, mut tally, mut seen) = (0.0, T::Tally::default(), 0);
        for (index, items) in order.iter().enumerate() {
            if observer.should_stop() {
                return Ok(None);
            }
            let place = (epoch as u64) << 32 | index as u64;
            let (first, further) = items.split_at(training.batch.min(items.len()));
            if let (Some(chips), Some(hardware)) = (&mut self.chips, &recipe.hardware)
                && index.is_multiple_of(hardware.ranges_every)
            {
                let seen = &first[..first.len().min(LOOK)];
                let batch = items_on(seen, run.device)?;
                let looked = chips.look(&learner.network, weights.plan(), seen.len(), |network| {
                    // As a step computes: batch norms by the statistics of the batch.
                    let draws = Philox::new(recipe.seed ^ path_hash("dropout of a look"), place);
                    with_step_draws(draws, || {
                        run.train.forward(&network.clone().train(), &batch)
                    });
                });
                let passes = looked.map_err(TrainingError::OnHardware)?;
                self.progress.passes.forward += passes * seen.len() as u64;
            }
            let step = Step {
                task: run.train,
                weights: weights.plan(),
                noise,
                hardware: self.chips.as_ref(),
                chip: ChipSeed::new(recipe.seed ^ path_hash("training noise"), place),
                batch: items_on(first, run.device)?,
                further: further
                    .chunks(training.batch)
                    .map(|items| items_on(items, run.device))
                    .collect::<Result<_, _>>()?,
                learning_rate,
                by_blocks: training.checkpoint_blocks,
            };
            let teach = || {
                let batch = items_on(first, &run.device.clone().without_autodiff())?;
                Ok(run.train.forward(&self.initial, &batch))
            };
            let draws = Philox::new(recipe.seed ^ path_hash("dropout"), place);
            let learned = with_step_draws(draws, || recipe.method.step(learner, &step, teach))?;
            if let (Some(chips), Some(hardware)) = (&mut self.chips, &recipe.hardware) {
                chips.learn(&learned.scales, hardware.scale_rate);
            }
            weights.learn(&learned.weight_scales);
            if let Some((deviations, selected)) = &clip {
                let network = learner.network.clone();
                learner.network = clip_weights(network, selected, *deviations);
            }
            if !learned.loss.is_finite() {
                let step = index + 1;
                let diverged = TrainingError::Diverged {
                    epoch,
                    step,
                    loss: learned.loss,
                };
                let place = format!("in epoch {epoch}, step {step}");
                return Err(run.train.explained(&learner.network, &place, diverged));
            }
            let metric = run.train.value(&learned.tally).ok();
            tally.merge(learned.tally);
            loss_sum += learned.loss * items.len() as f64;
            seen += items.len();
            self.progress.passes.backward += learned.passes * items.len() as u64;
            if let Method::Distillation(_) = recipe.method {
                self.progress.passes.forward += items.len() as u64;
            }
            observer.batch(epoch, before + seen, learned.loss, metric);
        }
        if let Some(optimizer) = waiting {
            learner.optimizer = optimizer;
        }
        Ok(Some(Lesson {
            loss: loss_sum / seen.max(1) as f64,
            metric: run.train.value(&tally).ok(),
            learning_rate,
        }))
    }

    /// The metric on the validation items without noise and, if there is noise or a hardware, with a new chip per batch.
    fn validate(
        &mut self,
        network: &N,
        noise: &Variation,
        epoch: usize,
        batches: &Batches<T>,
    ) -> Result<(f64, Option<f64>), TrainingError> {
        let weights = self.weights.plan();
        let programmed = programmed(network, weights);
        let clean = evaluate(&programmed, batches)?;
        self.progress.passes.forward += batches.items() as u64;
        if self.chips.is_none() && matches!(noise.distribution, Distribution::None {}) {
            return Ok((clean, None));
        }
        let seed = self.recipe.seed ^ path_hash("validation noise");
        let task = batches.task();
        let (mut tally, mut seen) = ([T::Tally::default()], 0);
        for (index, found) in batches.numbered().enumerate() {
            let (batch, numbers) = found?;
            let chip = ChipSeed::new(seed, (epoch as u64) << 32 | index as u64);
            let chip = match &self.chips {
                Some(chips) => chips.chip(network, weights, chip)?,
                None => manufacture(network, weights, noise, chip),
            };
            let judged = task.judge(task.forward(&chip, &batch), &batch, &mut tally);
            let judged = judged.and_then(|()| task.judge_further(&chip, numbers, &mut tally[0]));
            judged.map_err(|error| {
                let place = items_in_words(seen, batch.items());
                task.explained(&chip, &place, error.at_item(seen))
            })?;
            seen += batch.items();
        }
        self.progress.passes.forward += batches.items() as u64;
        let [tally] = tally;
        Ok((clean, Some(task.value(&tally)?)))
    }
}

/// What one copy has made of an epoch.
struct Lesson {
    loss: f64,
    metric: Option<f64>,
    learning_rate: f64,
}

fn generator(seed: u64, purpose: &str, epoch: usize) -> Philox {
    Philox::new(seed ^ path_hash(purpose), epoch as u64)
}
