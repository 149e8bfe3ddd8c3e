//! Noise-aware training.

use std::path::Path;

use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::Device;
use crossburn_checkpoints::{load_resume, save_resume};
use crossburn_hardware::{Quantization, quantize_weights, vary_weights};
use crossburn_kernels::cross_entropy;
use crossburn_models::Classifier;
use crossburn_noise::{ChipSeed, Distribution, Philox, fold_mean, path_hash};
use serde::{Deserialize, Serialize};

use crate::data::{Augmentation, ImageSet};
use crate::evaluation::count_correct;
use crate::{
    Batches, Deployment, EpochRecord, Recipe, Selection, TrainingError, TrainingObserver, accuracy,
};

/// Where and on what a recipe runs.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// Images to learn from.
    pub train: &'a ImageSet,
    /// Images to choose the epoch with.
    pub validation: &'a ImageSet,
    /// The device, with autodiff.
    pub device: &'a Device,
    /// Where the state for resuming is kept after every epoch; nowhere where absent.
    pub state: Option<&'a Path>,
    /// Continue from that state, if there is one.
    pub resume: bool,
}

/// What training gives back.
#[derive(Debug)]
pub struct Trained<C> {
    /// The kept weights, in evaluation mode, as they are to be programmed.
    pub network: C,
    /// One record per finished epoch.
    pub curve: Vec<EpochRecord>,
    /// The kept epoch, from 1; 0 where no epoch finished.
    pub best_epoch: usize,
    /// `true` where an observer stopped the run before its end.
    pub interrupted: bool,
}

/// What a resumed run must know beyond weights and optimizer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Progress {
    recipe: Recipe,
    curve: Vec<EpochRecord>,
    best_epoch: usize,
}

/// Trains `network` by `recipe`.
///
/// Each step: a fresh chip is drawn, the forward pass uses `quantize(W) + deviation`, the cross-entropy gradient reaches
/// the clean weights straight through, the optimizer steps them. After each epoch the validation images are judged with
/// a new chip per batch and the best epoch is kept (Yan et al., ICCAD 2023, section 4 of the method).
///
/// Order of images, augmentation and noise depend on (seed, epoch, step) alone, so a run that was interrupted and
/// resumed ends with the weights it would have had.
///
/// # Errors
/// A bad recipe, a loss that is not finite, a state folder that cannot be written or belongs to another recipe.
pub fn train<C: Classifier>(
    network: C,
    recipe: &Recipe,
    run: &Run<'_>,
    observer: &mut impl TrainingObserver,
) -> Result<Trained<C>, TrainingError> {
    recipe.check()?;
    let mut state = State::start(network, recipe, run)?;
    let epochs = recipe.training.epochs;
    observer.started(state.progress.curve.len(), epochs, run.train.len());
    let result = state.run_to(epochs, recipe, run, observer);
    observer.ended();
    let interrupted = result?;
    let kept = if state.progress.best_epoch == 0 {
        state.network.valid()
    } else {
        state.best
    };
    let network = match recipe.training.deployment {
        Deployment::AsTrained => kept,
        Deployment::MeanFolded => fold_mean(kept, &recipe.noise),
    };
    Ok(Trained {
        network,
        curve: state.progress.curve,
        best_epoch: state.progress.best_epoch,
        interrupted,
    })
}

struct State<C> {
    network: C,
    /// Evaluation-mode copy of the best epoch. Not a clone: clones share running statistics with what still trains.
    best: C,
    optimizer: ModuleOptimizer,
    progress: Progress,
}

impl<C: Classifier> State<C> {
    fn start(network: C, recipe: &Recipe, run: &Run<'_>) -> Result<Self, TrainingError> {
        let fresh = Progress {
            recipe: recipe.clone(),
            curve: Vec::new(),
            best_epoch: 0,
        };
        let optimizer = recipe.training.optimizer.init();
        let found = match run.state {
            Some(folder) if run.resume => {
                let fresh = (network.valid().train(), network.valid());
                load_resume::<(C, C), Progress>(folder, fresh, recipe.training.optimizer.init())?
            }
            _ => None,
        };
        match found {
            Some(((network, best), optimizer, progress)) => {
                if progress.recipe != *recipe {
                    return Err(TrainingError::OtherRecipe {
                        folder: run
                            .state
                            .map(|folder| folder.display().to_string())
                            .unwrap_or_default(),
                    });
                }
                Ok(Self {
                    network,
                    best,
                    optimizer,
                    progress,
                })
            }
            None => Ok(Self {
                best: network.valid(),
                network,
                optimizer,
                progress: fresh,
            }),
        }
    }

    /// Runs the epochs that are left; `true` where the observer stopped it.
    fn run_to(
        &mut self,
        epochs: usize,
        recipe: &Recipe,
        run: &Run<'_>,
        observer: &mut impl TrainingObserver,
    ) -> Result<bool, TrainingError> {
        let validation = Batches::new(
            run.validation,
            recipe.training.batch,
            &run.device.clone().without_autodiff(),
        );
        for epoch in self.progress.curve.len() + 1..=epochs {
            if self.out_of_patience(recipe) {
                break;
            }
            let Some((loss, train_accuracy, learning_rate)) =
                self.epoch(epoch, recipe, run, observer)?
            else {
                return Ok(true);
            };
            let network = self.network.valid();
            let quantization = recipe.model.quantization();
            let clean = accuracy(
                &quantize_weights(network.clone(), quantization).materialize(),
                &validation,
            )?;
            let noisy = varies(recipe)
                .then(|| noisy_accuracy(&network, quantization, recipe, epoch, &validation))
                .transpose()?;
            let record = EpochRecord {
                epoch,
                learning_rate,
                train_loss: loss,
                train_accuracy,
                validation_accuracy: clean,
                validation_noisy_accuracy: noisy,
            };
            let best = self
                .progress
                .curve
                .iter()
                .map(judged)
                .fold(f64::NEG_INFINITY, f64::max);
            if recipe.training.selection == Selection::Last || judged(&record) > best {
                self.best = network;
                self.progress.best_epoch = epoch;
            }
            self.progress.curve.push(record);
            if let Some(folder) = run.state {
                let networks = (self.network.clone(), self.best.clone());
                save_resume(folder, &networks, &self.optimizer, &self.progress)?;
            }
            observer.epoch(&record);
        }
        Ok(false)
    }

    fn out_of_patience(&self, recipe: &Recipe) -> bool {
        let Some(patience) = recipe.training.patience else {
            return false;
        };
        let curve = &self.progress.curve;
        let mut best = (0, f64::NEG_INFINITY);
        for record in curve {
            if judged(record) > best.1 {
                best = (record.epoch, judged(record));
            }
        }
        curve.len() >= best.0 + patience && !curve.is_empty()
    }

    /// One pass over the training images; `None` where the observer stopped it. The network and the optimizer then hold
    /// a part of the epoch, but the kept state does not.
    fn epoch(
        &mut self,
        epoch: usize,
        recipe: &Recipe,
        run: &Run<'_>,
        observer: &mut impl TrainingObserver,
    ) -> Result<Option<(f64, f64, f64)>, TrainingError> {
        let training = &recipe.training;
        let learning_rate =
            training.optimizer.learning_rate() * training.schedule.factor(epoch, training.epochs);
        let order = generator(recipe.seed, "order", epoch).permutation(run.train.len());
        let (mut loss_sum, mut correct, mut seen) = (0.0, 0, 0);
        for (step, indices) in order.chunks(training.batch).enumerate() {
            if observer.should_stop() {
                return Ok(None);
            }
            let images = match training.augmentation == Augmentation::default() {
                true => run.train.images(indices, run.device),
                false => {
                    let key = recipe.seed ^ path_hash("augmentation") ^ (epoch as u64) << 32;
                    run.train
                        .augmented_images(indices, &training.augmentation, key, run.device)
                }
            };
            let chip = ChipSeed::new(
                recipe.seed ^ path_hash("training noise"),
                (epoch as u64) << 32 | step as u64,
            );
            let varied = vary_weights(
                self.network.clone(),
                recipe.model.quantization(),
                &recipe.noise,
                chip,
            );
            let logits = varied.forward(images);
            let loss = cross_entropy(logits.clone(), run.train.targets(indices, run.device));
            let value = f64::from(loss.clone().into_scalar::<f32>());
            if !value.is_finite() {
                return Err(TrainingError::Diverged {
                    epoch,
                    step: step + 1,
                    loss: value,
                });
            }
            let gradients = GradientsParams::from_grads(loss.backward(), &self.network);
            self.network = self
                .optimizer
                .step(learning_rate, self.network.clone(), gradients);
            let labels: Vec<u8> = indices.iter().map(|&i| run.train.labels[i]).collect();
            let hits = count_correct(logits.inner(), &labels)?;
            loss_sum += value * indices.len() as f64;
            correct += hits;
            seen += indices.len();
            observer.batch(epoch, seen, value, hits as f64 / indices.len() as f64);
        }
        let images = seen.max(1) as f64;
        Ok(Some((
            loss_sum / images,
            correct as f64 / images,
            learning_rate,
        )))
    }
}

/// The accuracy that decides which epoch is kept.
fn judged(record: &EpochRecord) -> f64 {
    record
        .validation_noisy_accuracy
        .unwrap_or(record.validation_accuracy)
}

fn varies(recipe: &Recipe) -> bool {
    !matches!(recipe.noise.distribution, Distribution::None { .. })
}

/// Accuracy with a new chip of the training noise per batch.
fn noisy_accuracy<C: Classifier>(
    network: &C,
    quantization: Option<Quantization>,
    recipe: &Recipe,
    epoch: usize,
    batches: &Batches,
) -> Result<f64, TrainingError> {
    let seed = recipe.seed ^ path_hash("validation noise");
    let mut correct = 0;
    for (index, (images, labels)) in batches.iter().enumerate() {
        let chip = ChipSeed::new(seed, (epoch as u64) << 32 | index as u64);
        let chip = vary_weights(network.clone(), quantization, &recipe.noise, chip);
        correct += count_correct(chip.forward(images.clone()), labels)?;
    }
    Ok(correct as f64 / batches.images().max(1) as f64)
}

fn generator(seed: u64, purpose: &str, epoch: usize) -> Philox {
    Philox::new(seed ^ path_hash(purpose), epoch as u64)
}
