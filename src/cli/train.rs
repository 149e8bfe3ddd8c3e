//! `crossburn train`

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use crossburn_checkpoints::OnnxFile;
use crossburn_hardware::deploy::Fidelity;
use crossburn_models::ModelConfig;
use crossburn_training::{AcceleratorChoice, Recipe, TrainingError, TrainingObserver, kept_recipe};

use super::open_stored::noted_graph;
use super::process::is_quiet;
use super::progress::{Dashboard, EpochLines};
use super::recipe_file::{Setting, read_recipe};
use super::run_setup::{RunArguments, expect_kept, note_files, note_preparation, run_folder};
use super::{Outcome, command_line, finish, note, print, resumable};
use crate::apps::normalize::{self, Normalize};
use crate::apps::training::{STATE_FOLDER, Training, TrainingJob};
use crate::report::RunCommand;

/// Train a network by a TOML recipe
///
/// The run folder receives the resolved recipe, the checkpoint, results.json and report.html. Ctrl-C keeps the last finished epoch.
/// --resume continues, and ends with the same weights as an uninterrupted run.
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
    /// Compute every step on a chip of this hardware: an accelerator by name, or a TOML file; short for --set hardware.accelerator=NAME,
    /// or for the table in the file
    #[arg(long, value_name = "NAME|FILE", help_heading = "Recipe")]
    hardware: Option<String>,
    /// What the network of --init sees: (x - MEAN) / STD, with a number for each channel, comma-separated [default: the line `normalize =
    /// "MEAN/STD"` of the file net.onnx.toml beside net.onnx]
    #[arg(long, value_name = "MEAN/STD", help_heading = "Recipe")]
    normalize: Option<Normalize>,
    /// Folder of the run [default: runs/RECIPE]
    #[arg(long, value_name = "DIR", help_heading = "Options")]
    out: Option<PathBuf>,
    /// Continue the interrupted run in the same folder
    #[arg(long, help_heading = "Options")]
    resume: bool,
    /// Print one line per epoch instead of the dashboard
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
        start(RunCommand::Train, recipe, out, &self.run, following)
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

/// Trains by `recipe`, for the verb of `command`, in the folder `out`; `resolved` is the recipe as a file, `graph` the ONNX file of the network where
/// that is open.
pub(super) fn start(
    command: RunCommand,
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
    let place = run.set_up(out, command.as_str())?;
    let autodiff = place.device.clone().autodiff();
    // burn-train's dashboard draws on stdout and reads keys from stdin; with --json, stdout belongs to the document.
    let name = recipe.model.name();
    let terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    let hidden = following.json || following.no_tui || is_quiet();
    let (mut dashboard, mut lines);
    let observer: &mut dyn TrainingObserver = if terminal && !hidden {
        dashboard = Dashboard::new(name, &place.bars, &place.stop);
        &mut dashboard
    } else {
        lines = EpochLines::new(name, &place.bars, &place.stop).with_bar(!following.no_tui);
        &mut lines
    };
    let job = TrainingJob {
        command,
        recipe,
        resolved,
        resume: following.resume,
        out: &place.out,
        device: &place.device,
        reproduce: command_line::repeated(&[]),
        observer,
    };
    let (results, checkpoint) = match recipe.build_of(graph, &autodiff, job)?? {
        Training::Whole {
            results,
            checkpoint,
        } => (results, checkpoint),
        Training::Nothing => {
            note("no epoch has finished, so nothing is kept: start again");
            return Ok(Outcome::Interrupted);
        }
        Training::Part(epochs) => {
            let all = recipe.epochs();
            return Ok(resumable(&format!("{epochs} of {all} epochs are kept")));
        }
    };
    finish(&place.out, &*results, following.json)?;
    let source = &recipe.data.source;
    note_files(&[source.training_files()?, source.test_files()?].concat());
    note_preparation(source, recipe.seed);
    let run = command_line::operand(&place.out);
    let mut next: Vec<&OsStr> = vec!["crossburn".as_ref(), "evaluate".as_ref(), &run];
    next.extend(chips_to_try(recipe).into_iter().map(OsStr::new));
    note(&format!(
        "checkpoint: {}; next: {}",
        checkpoint.display(),
        command_line::quoted(next),
    ));
    Ok(Outcome::Done)
}

/// Options of `evaluate` for chips as training met them, or for some noise.
fn chips_to_try(recipe: &Recipe) -> Vec<&str> {
    let Some(hardware) = &recipe.hardware else {
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
