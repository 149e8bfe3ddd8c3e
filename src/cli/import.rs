//! `crossburn import`

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Error, Result, anyhow, bail};
use clap::Args;
use crossburn_checkpoints::{ACTIVATION_RANGE, CheckpointError, StateDict};
use crossburn_training::Recipe;
use crossburn_training::data::DataSource;

use super::nearest::nearest;
use super::progress::bar;
use super::recipe_file::{Setting, parsed};
use super::run_lock::{RunLock, verb_at};
use super::run_setup::{RunArguments, bars, note_report, run_folder};
use super::{Outcome, command_line, finish, interrupt, note};
use crate::apps::import::ImportJob;
use crate::apps::normalize::Normalize;
use crate::apps::study;
use crate::report::registry::AnyDocument;

/// Make a checkpoint from the weights of a PyTorch network
///
/// The weights are a state dict: a safetensors file, or in builds with `--features pytorch` a file of torch.save (.pth, .pt). Nothing in
/// such a file is executed. Tensors are found by their PyTorch names. If tensors are missing, unexpected or of another shape, all of them
/// are listed and nothing is written.
///
/// With --data, the accuracy on the test items is measured, and the checkpoint keeps the classes and the normalization. The verbs
/// evaluate, worst-case, map, predict and compress take the checkpoint like any other.
///
/// A network of an architecture that is not listed under --kind comes in as an ONNX file, without an import (docs/from-pytorch.md).
///
/// Example: crossburn import --kind resnet20 --weights resnet20.safetensors --data cifar10:DIR --normalize
/// 0.485,0.456,0.406/0.229,0.224,0.225 --out runs/r20
///
/// Example: crossburn import --kind mlp --set model.widths=[784,100,10] --weights mlp.safetensors --rename 0=layers.0,2=layers.1
#[derive(Debug, Args)]
pub(super) struct Import {
    #[arg(long, value_name = "NAME", help = format!("The network: {}", KINDS.join(", ")), help_heading = "Network")]
    kind: String,
    /// The weights: a .safetensors, .pth or .pt file
    #[arg(long, value_name = "FILE", help_heading = "Network")]
    weights: PathBuf,
    /// Set the seed, or a key of model, task or arrays, such as model.classes=100; may be repeated
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Network")]
    set: Vec<String>,
    /// Rename parts of the tensors' names, comma-separated, OLD=NEW such as 0=layers.0; without NEW the part is removed
    #[arg(
        long,
        value_name = "OLD=NEW,...",
        value_delimiter = ',',
        help_heading = "Network"
    )]
    rename: Vec<String>,
    /// Quantize weights and activations to N bits, and set the ranges of activations on training items of --data; short for --set
    /// model.bits=N
    #[arg(long, value_name = "N", help_heading = "Network")]
    bits: Option<u8>,
    /// Data: cifar10:DIR, mnist:DIR, npz:FILE and so on (docs/recipes.md); without it, nothing is measured
    #[arg(long, value_name = "SOURCE", help_heading = "Data")]
    data: Option<DataSource>,
    /// What the network sees: (x - MEAN) / STD, with a number for each channel, comma-separated [default: the usual numbers of the data]
    #[arg(
        long,
        value_name = "MEAN/STD",
        requires = "data",
        help_heading = "Data"
    )]
    normalize: Option<Normalize>,
    /// Number of test items [default: all]
    #[arg(long, value_name = "N", requires = "data", help_heading = "Data")]
    items: Option<usize>,
    /// Training items to set the ranges of activations on; each item counts the same [default: 4096, or all if there are fewer]
    #[arg(long, value_name = "N", requires = "data", help_heading = "Data")]
    calibration: Option<usize>,
    /// Folder of the run [default: runs/import-NAME]
    #[arg(long, value_name = "DIR", help_heading = "Options")]
    out: Option<PathBuf>,
    #[command(flatten)]
    pub(super) run: RunArguments,
}

/// Training items that ranges are set on where no number is asked for.
const CALIBRATION: usize = 4096;

/// Networks that a state dict may become, as `--kind` names them.
const KINDS: [&str; 18] = [
    "lenet",
    "convnet",
    "resnet18",
    "resnet",
    "resnet20",
    "resnet32",
    "resnet44",
    "resnet56",
    "resnet110",
    "mlp",
    "cnn1d",
    "signal-cnn",
    "candidate",
    "cell",
    "autoencoder",
    "conv-autoencoder",
    "unet",
    "vae",
];

impl Import {
    pub(super) fn run(self) -> Result<Outcome> {
        if self.items == Some(0) {
            bail!("--items 0 leaves nothing to measure on: use a number above 0");
        }
        if self.calibration == Some(0) {
            bail!("--calibration 0 leaves nothing to set ranges on: use a number above 0");
        }
        let recipe = self.recipe()?;
        if let (Some(items), None) = (self.calibration, recipe.model.bits()) {
            bail!(
                "--calibration {items} sets ranges of quantized activations, which this network does not have: add --bits N, or leave it out"
            );
        }
        let weights = self.state_dict()?;
        let file = self.weights.display();
        let has_ranges = weights.names().any(|name| name.ends_with(ACTIVATION_RANGE));
        if let (Some(items), true) = (self.calibration, has_ranges) {
            bail!(
                "--calibration {items}: {file} has ranges of activations already: leave the option out"
            );
        }
        let calibrates = recipe.model.bits().is_some() && !has_ranges;
        if calibrates && self.data.is_none() {
            bail!(
                "{file} has no ranges of activations, which a network of few bits needs: name data to set them on with --data, or leave out the bits"
            );
        }
        let calibration = calibrates.then_some(self.calibration.unwrap_or(CALIBRATION));
        let config = study::json(&recipe)?;
        if self.run.prints(&config)? {
            return Ok(Outcome::Done);
        }
        let stem = self.weights.file_stem().unwrap_or_default();
        let name = format!("import-{}", stem.to_string_lossy());
        let out = run_folder(self.out.as_deref(), &name);
        require_free(&out)?;
        let device = self.run.open_device()?;
        let stop = interrupt::flag()?;
        let bar = bar(&bars(), "set ranges", 0, "items");
        // Nothing is written before the weights are known to fit.
        let lock = OnceCell::new();
        let begin = || {
            require_free(&out)?;
            let _ = lock.set(RunLock::take(&out, VERB)?);
            Ok(())
        };
        let job = ImportJob {
            weights,
            recipe: &recipe,
            source: self.data.is_some().then_some(&recipe.data.source),
            calibration,
            test: self.items.into(),
            config,
            reproduce: command_line::repeated(&[]),
            out: out.clone(),
            begin: &begin,
            calibrated: &|passed, all| {
                bar.set_length(all as u64);
                bar.set_position(passed as u64);
            },
            device: &device,
            stop: &stop,
        };
        let found = recipe.build(&device, job)?;
        bar.finish_and_clear();
        let Some(results) = found.map_err(|error| self.with_remedy(error))? else {
            note("interrupted: nothing is kept");
            return Ok(Outcome::Interrupted);
        };
        match results.methods.is_empty() && !self.run.json {
            // Nothing was measured, so that a table would be empty.
            true => results.write_run(&out)?,
            false => finish(&out, &results, self.run.json)?,
        }
        note_report(&out);
        let run = command_line::operand(&out);
        let mut next: Vec<&OsStr> = vec!["crossburn".as_ref(), "evaluate".as_ref(), &run];
        if self.data.is_none() {
            next.extend(["--data", "SOURCE"].map(OsStr::new));
        }
        next.extend(["--noise", "gaussian", "--sigma", "0.05"].map(OsStr::new));
        note(&format!("next: {}", command_line::quoted(next)));
        Ok(Outcome::Done)
    }

    /// An error about tensors that do not fit, with the options that may help.
    fn with_remedy(&self, error: Error) -> Error {
        let misfit = error
            .downcast_ref::<CheckpointError>()
            .and_then(CheckpointError::misfit);
        match misfit {
            Some(misfit) => anyhow!(
                "{} does not fit --kind {}: {misfit}; name another network with --kind, its sizes with --set model.KEY=VALUE, other names of tensors with --rename OLD=NEW",
                self.weights.display(),
                self.kind,
            ),
            None => error,
        }
    }

    /// The network, its task and its data.
    ///
    /// # Errors
    /// A network that is not known or whose sizes are not, and data that do not fit it.
    fn recipe(&self) -> Result<Recipe> {
        let (kind, depth) = network(&self.kind)?;
        let task = match kind.ends_with("autoencoder") || ["unet", "vae"].contains(&kind) {
            true => "[task]\nkind = \"anomaly-detection\"\n",
            false => "",
        };
        let text = format!("seed = 1\n{task}[data]\nsource = \"own\"\n");
        let data = self.data.iter().map(|data| {
            Ok(Setting::data(&match &self.normalize {
                Some(normalize) => normalize.of(data)?.to_string(),
                None => data.to_string(),
            }))
        });
        let bits = self.bits.iter();
        let bits = bits.map(|bits| Setting::parse(&format!("model.bits={bits}")));
        let set = self.set.iter().map(|text| self.setting(text, depth));
        let named = std::iter::once(Ok(Setting::kind(&self.kind, kind, depth)));
        let settings: Vec<Setting> = named
            .chain(data)
            .chain(bits)
            .chain(set)
            .collect::<Result<_>>()?;
        let recipe = parsed(&format!("--kind {}", self.kind), &text, &settings)?;
        match self.data {
            Some(_) => recipe.check()?,
            None => recipe.model.check_sizes()?,
        }
        Ok(recipe)
    }

    /// The setting of `--set text`, for keys that an import uses. `depth` is the depth in the name of the kind, if it has
    /// one.
    ///
    /// # Errors
    /// Other keys, with the option that is meant where there is one.
    fn setting(&self, text: &str, depth: Option<i64>) -> Result<Setting> {
        let setting = Setting::parse(text)?;
        let key = setting.key();
        let option = command_line::quoted(["--set", text]);
        match key.split('.').next().unwrap_or_default() {
            "model" if key == "model" || key == "model.kind" => {
                bail!("{option}: name the network with --kind")
            }
            "model" if key == "model.depth" && depth.is_some() => bail!(
                "{option}: --kind {} has its depth: use --kind resnet with {option}",
                self.kind
            ),
            "model" | "task" | "seed" | "arrays" => Ok(setting),
            "data" => bail!(
                "{option}: name data with --data, the number of test items with --items, that of training items for ranges with --calibration"
            ),
            _ => bail!(
                "{option} is no key of an import, which does not train: set keys of model, task and arrays, or seed"
            ),
        }
    }

    /// The weights under the names that were asked for.
    fn state_dict(&self) -> Result<StateDict> {
        let mut weights = StateDict::open(&self.weights)?;
        for rename in &self.rename {
            let parts = rename.split_once('=');
            let Some((old, new)) = parts.filter(|(old, _)| !old.is_empty()) else {
                bail!(
                    "--rename {rename} names no part: use OLD=NEW, such as 0=layers.0, or OLD= to take a part off"
                );
            };
            let before: Vec<String> = weights.names().map(str::to_string).collect();
            weights = weights.renamed(old, new)?;
            if weights.names().eq(before.iter().map(String::as_str)) {
                bail!(
                    "--rename {rename} changes no name in {}: its first is {}",
                    self.weights.display(),
                    before.first().map_or("none", String::as_str)
                );
            }
        }
        Ok(weights)
    }
}

/// The verb, as documents name it.
const VERB: &str = "import";

/// Files, other than results, that an import or a training writes into its folder.
const FILES: [&str; 3] = ["recipe.toml", "checkpoint", "resume"];

/// Refuses a folder that holds what is not of an import: it would be replaced. What an interrupted import has left is replaced.
///
/// # Errors
/// The folder, with what it holds.
fn require_free(out: &Path) -> Result<()> {
    RunLock::require_own(out, VERB)?;
    let own = verb_at(out).is_some() || RunLock::was_of(out, VERB);
    match FILES.iter().find(|file| !own && out.join(file).exists()) {
        Some(file) => bail!(
            "{} holds {file}, which no import made: choose another --out",
            out.display()
        ),
        None => Ok(()),
    }
}

/// The kind of a recipe that `--kind name` means, and its depth where the name has it.
///
/// # Errors
/// A name of no network.
fn network(name: &str) -> Result<(&str, Option<i64>)> {
    if let Some(digits) = name.strip_prefix("resnet")
        && let Ok(depth) = digits.parse::<i64>()
        && depth.to_string() == digits
        && depth != 18
    {
        return Ok(("resnet", Some(depth)));
    }
    match KINDS.contains(&name) {
        true => Ok((name, None)),
        false => bail!("{}", unknown(name)),
    }
}

/// The message about an unknown kind.
fn unknown(kind: &str) -> String {
    let taken = match kind {
        "decoder" | "pretrained" => "folders and GGUF files of language models",
        "onnx" => "ONNX files",
        _ => "",
    };
    if !taken.is_empty() {
        return format!("--kind {kind}: {taken} need no import, since every verb takes them");
    }
    match nearest(kind, KINDS) {
        Some(meant) => format!("--kind {kind} is not a known network: did you mean {meant}?"),
        None => format!(
            "--kind {kind} is not a known network: use one of {}, or export it as ONNX (docs/from-pytorch.md)",
            KINDS.join(", ")
        ),
    }
}
