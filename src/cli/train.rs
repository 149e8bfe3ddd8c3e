//! `crossburn train`

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use crossburn_checkpoints::{OnnxFile, save_checkpoint, write_bytes};
use crossburn_hardware::deploy::Fidelity;
use crossburn_hardware::programmed;
use crossburn_models::{ModelConfig, Network};
use crossburn_noise::PathPattern;
use crossburn_training::{
    AcceleratorChoice, Batches, Evaluation, Part, Recipe, Role, Run, Task, TaskParts,
    TrainingError, TrainingObserver, WithTask, kept_recipe, train,
};

use super::open_stored::noted_graph;
use super::process::is_quiet;
use super::progress::{Dashboard, EpochLines};
use super::recipe_file::{Setting, read_recipe};
use super::run_setup::{
    RunArguments, RunPlace, expect_kept, note_files, note_preparation, run_folder,
};
use super::{Outcome, command_line, finish, note, print};
use crate::apps::normalize::{self, Normalize};
use crate::apps::study::{self, Clock};
use crate::report::{DataSummary, Document, MethodResults, Results, RunCommand};

/// Train a network by a TOML recipe
///
/// The run folder receives the resolved recipe, the checkpoint, results.json and report.html. Ctrl-C keeps the last
/// finished epoch; --resume continues to the weights that the run would have had.
///
/// Example: crossburn train configs/recipes/digits-right-censored.toml --out runs/digits
///
/// Example: crossburn train fine-tuning.toml --init resnet20.onnx --data cifar10:DIR
///
/// Example: crossburn train configs/recipes/digits-hardware-aware.toml --hardware isaac
#[derive(Debug, Args)]
pub(super) struct Train {
    /// The recipe, a TOML file; docs/recipes.md lists its keys
    recipe: PathBuf,
    /// Set a key of the recipe, such as training.epochs=3; may be repeated
    #[arg(
        long,
        value_name = "KEY=VALUE",
        help_heading = "Recipe",
        long_help = SET_HELP
    )]
    set: Vec<String>,
    /// Train on these data; short for --set data.source=SOURCE
    #[arg(long, value_name = "SOURCE", help_heading = "Recipe")]
    data: Option<String>,
    /// Start from the classifier in this ONNX file; short for --set 'model={kind="onnx",file="FILE"}'
    #[arg(long, value_name = "MODEL.onnx", help_heading = "Recipe")]
    init: Option<PathBuf>,
    /// Compute every step on a chip of this hardware, an accelerator by name or a TOML file; short for --set
    /// hardware.accelerator=NAME, or for the table in the file
    #[arg(long, value_name = "NAME|FILE", help_heading = "Recipe")]
    hardware: Option<String>,
    /// What the network sees: (x - MEAN) / STD, numbers for each channel with commas; from a line `normalize = "MEAN/STD"` in the
    /// file net.onnx.toml beside the network net.onnx where absent
    #[arg(long, value_name = "MEAN/STD", help_heading = "Recipe")]
    normalize: Option<Normalize>,
    /// Folder of the run [default: runs/RECIPE]
    #[arg(long, value_name = "DIR", help_heading = "Options")]
    out: Option<PathBuf>,
    /// Continue the interrupted run in the same folder
    #[arg(long, help_heading = "Options")]
    resume: bool,
    /// Print one line per epoch, also in a terminal, in place of the dashboard
    #[arg(long, help_heading = "Options")]
    no_tui: bool,
    #[command(flatten)]
    pub(super) run: RunArguments,
}

/// The long help of `--set`.
const SET_HELP: &str = "\
Set a key of the recipe, such as training.epochs=3; may be repeated

A key is dotted: docs/recipes.md lists all. A value is TOML. What is no TOML is taken as a string, so that method.kind=awp \
needs no quotes. A whole table replaces that of the recipe: --set 'noise={kind=\"gaussian\",sigma_rel_wmax=0.1}'. Settings are \
applied in their order, and one that would replace an earlier one is refused.";

impl Train {
    /// The settings of the command line, those with an option of their own first.
    fn settings(&self) -> Result<Vec<Setting>> {
        let init = self.init.iter().map(|file| Ok(Setting::init(file)));
        let data = self.data.iter().map(|source| Ok(Setting::data(source)));
        let hardware = self.hardware.iter().map(|text| Setting::hardware(text));
        let set = self.set.iter().map(|text| Setting::parse(text));
        init.chain(data).chain(hardware).chain(set).collect()
    }

    pub(super) fn run(self) -> Result<Outcome> {
        let mut recipe = read_recipe(&self.recipe, &self.settings()?)?;
        match (&self.normalize, &recipe.model) {
            (Some(asked), _) => recipe.data.source = asked.of(&recipe.data.source)?,
            (None, ModelConfig::Onnx(config)) => {
                recipe.data.source = normalize::as_seen_by(&config.file, recipe.data.source)?;
            }
            (None, _) => {}
        }
        let resolved = toml::to_string_pretty(&recipe)?;
        if self.run.print_config {
            print(resolved.trim_end())?;
            return Ok(Outcome::Done);
        }
        let graph = match &recipe.model {
            ModelConfig::Onnx(config) => Some(noted_graph(&config.file)?),
            _ => None,
        };
        let stem = self.recipe.file_stem().unwrap_or_default();
        let out = run_folder(self.out.as_deref(), &stem.to_string_lossy());
        let following = Following {
            resume: self.resume,
            no_tui: self.no_tui,
            json: self.run.json,
        };
        let recipe = (&recipe, resolved.as_str(), graph);
        start("train", recipe, out, &self.run, following)
    }
}

/// How a training goes on and is followed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Following {
    /// Continue the interrupted run in the same folder.
    pub(super) resume: bool,
    /// One line per epoch, also in a terminal.
    pub(super) no_tui: bool,
    /// The document on stdout in place of the table.
    pub(super) json: bool,
}

/// Trains by `recipe`, for `verb`, in the folder `out`; `resolved` is the recipe as a file, `graph` the ONNX file of the network where
/// that is open.
pub(super) fn start(
    verb: &str,
    (recipe, resolved, graph): (&Recipe, &str, Option<Arc<OnnxFile>>),
    out: PathBuf,
    run: &RunArguments,
    following: Following,
) -> Result<Outcome> {
    recipe.model.require_known()?;
    if following.resume {
        let state = out.join(STATE_FOLDER);
        let kept = kept_recipe(&state)?;
        expect_kept(&out, kept.is_some())?;
        if kept.is_some_and(|kept| kept != *recipe) {
            let folder = state.display().to_string();
            return Err(TrainingError::OtherRecipe { folder }.into());
        }
    }
    let place = run.set_up(out, verb)?;
    let device = place.device.clone().autodiff();
    let job = TrainingJob {
        following,
        recipe,
        resolved,
        place,
    };
    recipe.build_of(graph, &device, job)?
}

struct TrainingJob<'a> {
    following: Following,
    recipe: &'a Recipe,
    /// The recipe as a file, with every default.
    resolved: &'a str,
    place: RunPlace,
}

/// Folder of the state for resuming, in the run folder.
const STATE_FOLDER: &str = "resume";
/// Folder of the checkpoint, in the run folder.
const CHECKPOINT_FOLDER: &str = "checkpoint";

impl WithTask for TrainingJob<'_> {
    type Output = Result<Outcome>;

    fn run<N: Network, P: TaskParts<N>>(self, network: N, parts: P) -> Result<Outcome> {
        // burn-train's dashboard draws on stdout and reads keys from stdin; with --json, stdout belongs to the document.
        let name = self.recipe.model.name();
        let terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
        let hidden = self.following.json || self.following.no_tui || is_quiet();
        if terminal && !hidden {
            let mut dashboard = Dashboard::new(name, &self.place.stop);
            return self.train(network, &parts, &mut dashboard);
        }
        let lines = EpochLines::new(name, &self.place.bars, &self.place.stop);
        self.train(network, &parts, &mut lines.with_bar(!self.following.no_tui))
    }
}

impl TrainingJob<'_> {
    /// Whether the run folder holds a training that this one is to replace: its recipe stays beside its weights until then.
    fn replaces_another(&self, state: &Path) -> bool {
        let kept = kept_recipe(state).ok().flatten();
        kept.is_some_and(|kept| kept != *self.recipe)
            || self.place.out.join(CHECKPOINT_FOLDER).exists()
    }

    /// Options of `evaluate` for chips as training met them, or for some noise.
    fn chips_to_try(&self) -> Vec<&str> {
        let Some(hardware) = &self.recipe.hardware else {
            return vec!["--noise", "gaussian", "--sigma", "0.1"];
        };
        let accelerator = match &hardware.accelerator {
            AcceleratorChoice::Named(name) => name,
            AcceleratorChoice::Described(_) => "FILE",
        };
        let mut options = vec!["--hardware", accelerator];
        options.extend(hardware.cell.iter().flat_map(|cell| ["--cell", cell]));
        if hardware.fidelity == Fidelity::Array {
            options.extend(["--fidelity", "array"]);
        }
        options
    }

    fn write_recipe(&self) -> Result<()> {
        let path = self.place.out.join("recipe.toml");
        Ok(write_bytes(&path, self.resolved.as_bytes())?)
    }

    fn train<N: Network, P: TaskParts<N>>(
        &self,
        network: N,
        parts: &P,
        observer: &mut impl TrainingObserver,
    ) -> Result<Outcome> {
        let recipe = self.recipe;
        let network = recipe.started(network)?;
        recipe.check_hardware(&network)?;
        let mut clock = Clock::new();
        let source = &recipe.data.source;
        let load = |of, amount: Option<usize>| parts.load(source, recipe.seed, of, amount.into());
        let (training, test) = clock.time("data", || {
            let training = load((Part::Training, Role::Learn), recipe.data.train)?;
            anyhow::Ok((training, load((Part::Test, Role::Judge), recipe.data.test)?))
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
            resume: self.following.resume,
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
        let batches = Batches::new(&test, 128, &self.place.device)?;
        let weights = match trained.programmed {
            true => recipe.weights::<N>().without_quantization(),
            false => recipe.weights::<N>(),
        };
        let as_programmed = || programmed(&trained.network, &weights).valid();
        parts.settle(as_programmed, &validation, &self.place.device)?;
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
        let checkpoint = self.place.out.join(CHECKPOINT_FOLDER);
        parts.save(&trained.network, &checkpoint)?;
        save_checkpoint(&checkpoint, &trained.network, &manifest)?;
        let results = Results {
            schema: Results::SCHEMA.to_string(),
            command: RunCommand::Train,
            version,
            commit,
            reproduce: command_line::repeated(&[]),
            config: study::json(recipe)?,
            data: summary,
            metric: test.metric(),
            training_metric: study::other_metric(&training_set, &test),
            deployment: None,
            methods: vec![MethodResults {
                name: study::method_name(recipe),
                training_noise: study::training_noise(recipe, &trained.noise)?,
                clean: clean.metric,
                also: study::also(clean.also),
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
        finish(&self.place.out, &results, self.following.json)?;
        note_files(&[source.training_files()?, source.test_files()?].concat());
        note_preparation(source, recipe.seed);
        let run = command_line::operand(&self.place.out);
        let mut next: Vec<&OsStr> = vec!["crossburn".as_ref(), "evaluate".as_ref(), &run];
        next.extend(self.chips_to_try().into_iter().map(OsStr::new));
        note(&format!(
            "checkpoint: {}; next: {}",
            checkpoint.display(),
            command_line::quoted(next),
        ));
        Ok(Outcome::Done)
    }
}
