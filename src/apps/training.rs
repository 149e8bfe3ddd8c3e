//! Runs a training: from a recipe to a checkpoint and a results document.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use burn::tensor::Device;
use crossburn_checkpoints::{save_checkpoint, write_bytes};
use crossburn_hardware::programmed;
use crossburn_models::Network;
use crossburn_noise::PathPattern;
use crossburn_training::{
    Batches, Evaluation, Part, Recipe, Role, Run, Task, TaskParts, TrainingObserver, WithTask,
    kept_epochs, kept_recipe, train,
};

use super::study::{self, Clock};
use crate::report::{DataSummary, Document, MethodResults, Results, RunCommand};

/// Folder of the state for resuming, inside the run folder.
pub(crate) const STATE_FOLDER: &str = "resume";
/// Folder of the checkpoint, inside the run folder.
const CHECKPOINT_FOLDER: &str = "checkpoint";

/// Trains one network. It is passed to [`WithTask::run`].
pub(crate) struct TrainingJob<'a> {
    /// The verb that asked for it.
    pub(crate) command: RunCommand,
    pub(crate) recipe: &'a Recipe,
    /// The recipe as a file, with all defaults.
    pub(crate) resolved: &'a str,
    /// Whether to continue an interrupted training in the run folder.
    pub(crate) resume: bool,
    /// The run folder. It exists and is used by this job alone.
    pub(crate) out: &'a Path,
    /// The device, without autodiff.
    pub(crate) device: &'a Device,
    /// Command line that repeats the run.
    pub(crate) reproduce: String,
    pub(crate) observer: &'a mut dyn TrainingObserver,
}

/// How a training ended.
pub(crate) enum Training {
    /// It was stopped before the first epoch had finished. Nothing is kept.
    Nothing,
    /// It was stopped after this number of epochs, which are kept.
    Part(usize),
    /// It has finished.
    Whole {
        results: Box<Results>,
        /// The folder of the checkpoint.
        checkpoint: PathBuf,
    },
}

impl Training {
    /// A training that was stopped after so many epochs.
    fn stopped(epochs: usize) -> Self {
        match epochs {
            0 => Self::Nothing,
            epochs => Self::Part(epochs),
        }
    }
}

impl WithTask for TrainingJob<'_> {
    type Output = Result<Training>;

    fn run<N: Network, P: TaskParts<N>>(self, network: N, parts: P) -> Result<Training> {
        let recipe = self.recipe;
        let network = recipe.started(network)?;
        recipe.check_hardware(&network)?;
        let mut clock = Clock::new();
        let source = &recipe.data.source;
        let load = |of, amount: Option<usize>| parts.load(source, recipe.seed, of, amount.into());
        let (training, test) = clock.time("data", || {
            let training = load((Part::Training, Role::Learn), recipe.data.train)?;
            let test = load((Part::Test, Role::Judge), recipe.data.test)?;
            anyhow::Ok((parts.completed(training, Some(&test), recipe.seed)?, test))
        })?;
        let validation = recipe.data.validation;
        let learn = training
            .items()
            .checked_sub(validation)
            .filter(|learn| *learn > 0)
            .with_context(|| {
                format!(
                    "data.validation = {validation} leaves nothing of {} training items",
                    training.items()
                )
            })?;
        let (training_set, validation) = training.hold_back(learn);
        parts.check_held_back(&validation)?;
        let state = self.out.join(STATE_FOLDER);
        let chosen = clock.time("data", || {
            parts.chosen(training_set, self.device, self.observer)
        })?;
        let Some((training_set, left_out)) = chosen else {
            self.observer.ended();
            // Nothing is learned from items that were not chosen. What an earlier run has finished stays.
            return Ok(Training::stopped(match self.resume {
                true => kept_epochs(&state)?,
                false => 0,
            }));
        };
        let autodiff = self.device.clone().autodiff();
        if !self.replaces_another(&state) {
            self.write_recipe()?;
        }
        let run = Run {
            train: &training_set,
            validation: &validation,
            device: &autodiff,
            state: Some(&state),
            resume: self.resume,
        };
        let trained = clock.time("training", || train(network, recipe, &run, self.observer))?;
        if trained.interrupted {
            return Ok(Training::stopped(trained.curve.len()));
        }
        let batches = Batches::new(&test, 128, self.device)?;
        let weights = match trained.programmed {
            true => recipe.weights::<N>().without_quantization(),
            false => recipe.weights::<N>(),
        };
        let as_programmed = || programmed(&trained.network, &weights).valid();
        parts.settle(as_programmed, &validation, self.device)?;
        let evaluation = Evaluation::new(&trained.network, weights, batches);
        let clean = clock.time("test", || evaluation.clean_in_detail())?;
        let (version, commit) = study::version();
        let summary = DataSummary {
            source: source.to_string(),
            train: training_set.items(),
            validation: validation.items(),
            test: test.items(),
        };
        let mut manifest = study::manifest(recipe, &summary)?
            .with_resting(N::RESTS.iter().copied().map(PathPattern::new))
            .with_input_scales(trained.input_scales)
            .with_metric("clean", clean.metric)
            .with_metric("best_epoch", trained.best_epoch as f64)
            .with_metric("training_sigma", trained.noise.sigma())
            .with_metric("items_backward", trained.passes.backward as f64)
            .with_metric("items_forward", trained.passes.forward as f64);
        if let Some(conventions) = training_set.conventions() {
            let conventions = conventions.with_columns(recipe.data.source.columns()?);
            manifest = manifest.with_conventions(study::json(&conventions)?);
        }
        if trained.programmed {
            manifest = manifest.with_programmed_weights();
        }
        if trained.noise != recipe.noise {
            manifest = manifest.with_training_noise(study::json(&trained.noise)?);
        }
        self.write_recipe()?;
        let checkpoint = self.out.join(CHECKPOINT_FOLDER);
        parts.save(&trained.network, &checkpoint)?;
        save_checkpoint(&checkpoint, &trained.network, &manifest)?;
        let results = Results {
            schema: Results::SCHEMA.to_string(),
            command: self.command,
            version,
            commit,
            reproduce: self.reproduce,
            config: study::json(recipe)?,
            data: summary,
            metric: test.metric(),
            training_metric: study::other_metric(&training_set, &test),
            deployment: None,
            methods: vec![MethodResults {
                name: study::method_name(recipe),
                training_noise: study::training_noise(recipe, &trained.noise)?,
                tried: Vec::new(),
                clean: clean.metric,
                also: study::also(clean.also.into_iter().chain(left_out).collect()),
                curve: study::curve(&trained.curve),
                population: None,
                sweep: Vec::new(),
                hardware: None,
                percentiles: None,
            }],
            confusion: clean.confusion.map(study::confusion),
            figures: study::figures(clean.figures)?,
            timing: clock.timing(),
        };
        Ok(Training::Whole {
            results: Box::new(results),
            checkpoint,
        })
    }
}

impl TrainingJob<'_> {
    /// Whether the run folder holds another training, which this one will replace. Until then its recipe stays beside its weights.
    fn replaces_another(&self, state: &Path) -> bool {
        let kept = kept_recipe(state).ok().flatten();
        kept.is_some_and(|kept| kept != *self.recipe) || self.out.join(CHECKPOINT_FOLDER).exists()
    }

    fn write_recipe(&self) -> Result<()> {
        let path = self.out.join("recipe.toml");
        Ok(write_bytes(&path, self.resolved.as_bytes())?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use crossburn_models::{MlpConfig, ModelConfig};
    use crossburn_training::data::{Amount, DataSource};
    use crossburn_training::{Chosen, DataConfig, Silent, TrainingConfig, TrainingError};

    use super::*;

    /// The parts of a task whose choice of items is stopped.
    struct StoppedChoice<P>(P);

    impl<N, P: TaskParts<N>> TaskParts<N> for StoppedChoice<P> {
        type Task = P::Task;

        fn load(
            &self,
            source: &DataSource,
            seed: u64,
            part_and_role: (Part, Role),
            amount: Amount,
        ) -> Result<Self::Task, TrainingError> {
            self.0.load(source, seed, part_and_role, amount)
        }

        fn chosen(
            &self,
            _: Self::Task,
            _: &Device,
            _: &mut dyn TrainingObserver,
        ) -> Result<Option<Chosen<Self::Task>>, TrainingError> {
            Ok(None)
        }
    }

    /// A training whose choice of items is stopped.
    struct Stopped<'a>(TrainingJob<'a>);

    impl WithTask for Stopped<'_> {
        type Output = Result<Training>;

        fn run<N: Network, P: TaskParts<N>>(self, network: N, parts: P) -> Result<Training> {
            self.0.run(network, StoppedChoice(parts))
        }
    }

    #[test]
    fn a_training_whose_choice_is_stopped_does_not_finish() {
        let device = Device::flex();
        let config = MlpConfig {
            widths: vec![784, 4, 10],
            bits: None,
        };
        let recipe = Recipe {
            data: DataConfig {
                source: "digits".parse().unwrap(),
                train: Some(60),
                validation: 20,
                test: Some(20),
            },
            training: TrainingConfig {
                epochs: 2,
                ..TrainingConfig::default()
            },
            model: ModelConfig::Mlp(config.clone()),
            ..Recipe::own(3)
        };
        let folder = tempfile::tempdir().unwrap();
        let autodiff = device.clone().autodiff();
        let ended = |resume, stopped| {
            let mut observer = Silent;
            let job = TrainingJob {
                command: RunCommand::Train,
                recipe: &recipe,
                resolved: "",
                resume,
                out: folder.path(),
                device: &device,
                reproduce: String::new(),
                observer: &mut observer,
            };
            let network = config.init(&autodiff);
            match stopped {
                true => recipe.build_known(network, &autodiff, Stopped(job)),
                false => recipe.build_known(network, &autodiff, job),
            }
            .unwrap()
            .unwrap()
        };
        assert!(matches!(ended(false, true), Training::Nothing));
        assert!(matches!(ended(false, false), Training::Whole { .. }));
        // All epochs are done, and still the items that were not chosen are not those that the results are about.
        assert!(matches!(ended(true, true), Training::Part(2)));
    }
}
