//! `crossburn train`

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use crossburn_checkpoints::{Manifest, save_checkpoint, write_bytes};
use crossburn_hardware::toml_problem;
use crossburn_models::{Classifier, WithClassifier};
use crossburn_training::{
    Batches, Evaluation, Recipe, Run, TrainingError, TrainingObserver, kept_recipe, train,
};

use super::progress::{Dashboard, EpochLines};
use super::run_setup::{RunArguments, RunPlace, expect_kept, note_files, run_folder};
use super::{Outcome, command_line, note, print, print_results};
use crate::apps::study::{self, Clock};
use crate::report::{DataSummary, Method, Results, RunCommand, SCHEMA, write_run};

/// Train a network by a TOML recipe
///
/// The run folder receives the resolved recipe, the checkpoint, results.json and report.html. Ctrl-C keeps the last
/// finished epoch; --resume continues to the weights that the run would have had.
///
/// Example: crossburn train configs/recipes/digits-right-censored.toml --out runs/digits
#[derive(Debug, Args)]
pub(super) struct Train {
    /// The recipe
    recipe: PathBuf,
    /// Folder of the run; runs/RECIPE where absent
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Continue the interrupted run in the same folder
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    run: RunArguments,
}

impl Train {
    pub(super) fn run(self) -> Result<Outcome> {
        let text = fs_err::read_to_string(&self.recipe)?;
        let recipe: Recipe = toml::from_str(&text).map_err(|error| {
            let problem = toml_problem(&text, &error);
            anyhow!("{} is not a recipe: {problem}", self.recipe.display())
        })?;
        recipe
            .check()
            .with_context(|| format!("in {}", self.recipe.display()))?;
        let resolved = toml::to_string_pretty(&recipe)?;
        if self.run.print_config {
            print(resolved.trim_end())?;
            return Ok(Outcome::Done);
        }
        let stem = self.recipe.file_stem().unwrap_or_default();
        let out = run_folder(self.out.as_deref(), &stem.to_string_lossy());
        if self.resume {
            let state = out.join(STATE_FOLDER);
            let kept = kept_recipe(&state)?;
            expect_kept(&out, kept.is_some())?;
            if kept.is_some_and(|kept| kept != recipe) {
                let folder = state.display().to_string();
                return Err(TrainingError::OtherRecipe { folder }.into());
            }
        }
        let place = self.run.set_up(out, "train")?;
        let device = place.device.clone().autodiff();
        let job = Job {
            arguments: &self,
            recipe: &recipe,
            resolved: &resolved,
            place,
        };
        recipe.model.build(recipe.seed, &device, job)
    }
}

struct Job<'a> {
    arguments: &'a Train,
    recipe: &'a Recipe,
    /// The recipe as a file, with every default.
    resolved: &'a str,
    place: RunPlace,
}

/// Folder of the state for resuming, in the run folder.
const STATE_FOLDER: &str = "resume";
/// Folder of the checkpoint, in the run folder.
const CHECKPOINT_FOLDER: &str = "checkpoint";

impl WithClassifier for Job<'_> {
    type Output = Result<Outcome>;

    fn run<C: Classifier>(self, network: C) -> Result<Outcome> {
        // burn-train's dashboard draws on stdout and reads keys from stdin; with --json, stdout belongs to the document.
        let name = self.recipe.model.name();
        let terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
        if terminal && !self.arguments.run.json {
            self.train(network, &mut Dashboard::new(name, &self.place.stop))
        } else {
            self.train(
                network,
                &mut EpochLines::new(name, &self.place.bars, &self.place.stop),
            )
        }
    }
}

impl Job<'_> {
    /// Whether the run folder holds a training that this one is to replace: its recipe stays beside its weights until then.
    fn replaces_another(&self, state: &Path) -> bool {
        let kept = kept_recipe(state).ok().flatten();
        kept.is_some_and(|kept| kept != *self.recipe)
            || self.place.out.join(CHECKPOINT_FOLDER).exists()
    }

    fn write_recipe(&self) -> Result<()> {
        let path = self.place.out.join("recipe.toml");
        Ok(write_bytes(&path, self.resolved.as_bytes())?)
    }

    fn train<C: Classifier>(
        &self,
        network: C,
        observer: &mut impl TrainingObserver,
    ) -> Result<Outcome> {
        let recipe = self.recipe;
        let mut clock = Clock::new();
        let source = &recipe.data.source;
        let data = clock.time("data", || {
            source.load(recipe.seed, recipe.data.train, recipe.data.test)
        })?;
        recipe.model.check(data.train.shape)?;
        let validation = recipe.data.validation;
        let learn = data
            .train
            .len()
            .checked_sub(validation)
            .filter(|learn| *learn > 0)
            .with_context(|| {
                format!(
                    "data.validation = {validation} leaves nothing of {} training images",
                    data.train.len()
                )
            })?;
        let (training_set, validation) = data.train.split_at(learn);
        let autodiff = self.place.device.clone().autodiff();
        let state = self.place.out.join(STATE_FOLDER);
        if !self.replaces_another(&state) {
            self.write_recipe()?;
        }
        let run = Run {
            train: &training_set,
            validation: &validation,
            device: &autodiff,
            state: Some(&state),
            resume: self.arguments.resume,
        };
        let trained = clock.time("training", || train(network, recipe, &run, observer))?;
        if trained.interrupted && trained.curve.is_empty() {
            note("no epoch has finished, so nothing is kept: start again");
            return Ok(Outcome::Interrupted);
        }
        if trained.interrupted {
            note(&format!(
                "{} of {} epochs are kept: continue with `{}`",
                trained.curve.len(),
                recipe.epochs(),
                command_line::resumed(),
            ));
            return Ok(Outcome::Interrupted);
        }
        let batches = Batches::new(&data.test, 128, &self.place.device);
        let evaluation = Evaluation::new(&trained.network, recipe.model.quantization(), batches);
        let clean = clock.time("test", || evaluation.clean())?;
        let (version, commit) = study::version();
        let summary = DataSummary {
            source: source.to_string(),
            train: training_set.len(),
            validation: validation.len(),
            test: data.test.len(),
        };
        let mut manifest = Manifest::new(
            study::json(&recipe.model)?,
            study::json(recipe)?,
            recipe.seed,
            study::json(&summary)?,
        )
        .with_metric("clean", clean)
        .with_metric("best_epoch", trained.best_epoch as f64)
        .with_metric("training_sigma", trained.noise.sigma())
        .with_metric("images_backward", trained.passes.backward as f64)
        .with_metric("images_forward", trained.passes.forward as f64);
        if let Some(commit) = &commit {
            manifest = manifest.with_commit(commit);
        }
        if trained.noise != recipe.noise {
            manifest = manifest.with_training_noise(study::json(&trained.noise)?);
        }
        self.write_recipe()?;
        save_checkpoint(
            &self.place.out.join(CHECKPOINT_FOLDER),
            &trained.network,
            &manifest,
        )?;
        let results = Results {
            schema: SCHEMA.to_string(),
            command: RunCommand::Train,
            version,
            commit,
            reproduce: command_line::repeated(&[]),
            config: study::json(recipe)?,
            data: summary,
            deployment: None,
            methods: vec![Method {
                name: study::method_name(recipe),
                training_noise: study::json(&trained.noise)?,
                clean,
                curve: study::curve(&trained.curve),
                population: None,
                sweep: Vec::new(),
                hardware: None,
                percentiles: None,
            }],
            timing: clock.timing(),
        };
        write_run(&self.place.out, &results)?;
        print_results(&results, self.arguments.run.json)?;
        note_files(&[source.training_files()?, source.test_files()?].concat());
        let run = command_line::operand(&self.place.out);
        let mut next: Vec<&OsStr> = vec!["crossburn".as_ref(), "evaluate".as_ref(), &run];
        next.extend(["--noise", "gaussian", "--sigma", "0.1"].map(OsStr::new));
        note(&format!(
            "checkpoint: {}; next: {}",
            self.place.out.join(CHECKPOINT_FOLDER).display(),
            command_line::quoted(next),
        ));
        Ok(Outcome::Done)
    }
}
