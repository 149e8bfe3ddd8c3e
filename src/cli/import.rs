//! `crossburn import`

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use crossburn_checkpoints::StateDict;
use crossburn_training::Recipe;
use crossburn_training::data::DataSource;

use super::device::DeviceChoice;
use super::nearest::nearest;
use super::normalize::Normalize;
use super::process::ProcessArguments;
use super::recipe_file::{Setting, parsed};
use super::run_lock::RunLock;
use super::run_setup::run_folder;
use super::{Outcome, command_line, note, print};
use crate::apps::import::{ImportJob, Imported, RANGE};

/// Make a checkpoint of the weights of a PyTorch network
///
/// The weights are a state dict: a safetensors file, or in builds with `--features pytorch` a file of torch.save (.pth, .pt), of which
/// nothing is executed. Tensors are found by their names in PyTorch. What is missing, unexpected or of another shape is listed, and
/// nothing is written then. With --data, the accuracy on test items is printed, and the checkpoint keeps classes and normalization. The
/// checkpoint is one as any other: evaluate, worst-case, map, predict and compress take it.
///
/// A network of another architecture comes in as an ONNX file, without an import (docs/from-pytorch.md).
///
/// Example: crossburn import --kind resnet20 --weights resnet20.safetensors --data cifar10:DIR --normalize
/// 0.485,0.456,0.406/0.229,0.224,0.225 --out runs/r20
///
/// Example: crossburn import --kind mlp --set model.widths=[784,100,10] --weights mlp.safetensors --rename 0=layers.0,2=layers.1
#[derive(Debug, Args)]
pub(super) struct Import {
    /// The network: lenet, convnet, resnet18, resnet20 (also 32, 44, 56, 110), mlp, cnn1d, autoencoder, conv-autoencoder
    #[arg(long, value_name = "NAME", help_heading = "Network")]
    kind: String,
    /// Its weights: a .safetensors, .pth or .pt file
    #[arg(long, value_name = "FILE", help_heading = "Network")]
    weights: PathBuf,
    /// Set a key of its recipe, such as model.classes=100; may be repeated
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Network")]
    set: Vec<String>,
    /// Parts of names in the file and what they are called here, comma-separated, such as 0=layers.0
    #[arg(
        long,
        value_name = "OLD=NEW,...",
        value_delimiter = ',',
        help_heading = "Network"
    )]
    rename: Vec<String>,
    /// Quantize weights and activations to N bits, whose ranges are set on training items of --data; short for --set model.bits=N
    #[arg(long, value_name = "N", help_heading = "Network")]
    bits: Option<u8>,
    /// Data: cifar10:DIR, mnist:DIR, npz:FILE and so on (docs/recipes.md); without, nothing is measured
    #[arg(long, value_name = "SOURCE", help_heading = "Data")]
    data: Option<DataSource>,
    /// What the network sees: (x - MEAN) / STD, numbers for each channel with commas; the usual numbers of the data where absent
    #[arg(
        long,
        value_name = "MEAN/STD",
        requires = "data",
        help_heading = "Data"
    )]
    normalize: Option<Normalize>,
    /// Test items to measure on; all that there are where absent
    #[arg(long, value_name = "N", requires = "data", help_heading = "Data")]
    items: Option<usize>,
    /// Training items that ranges of activations are set on
    #[arg(
        long,
        value_name = "N",
        default_value_t = 4096,
        requires = "data",
        help_heading = "Data"
    )]
    calibration: usize,
    /// Folder of the run [default: runs/import-NAME]
    #[arg(long, value_name = "DIR", help_heading = "Options")]
    out: Option<PathBuf>,
    /// Where to compute: cpu, ndarray, wgpu or wgpu:N
    #[arg(
        long,
        value_name = "DEVICE",
        default_value_t = DeviceChoice::Cpu,
        help_heading = "Options"
    )]
    device: DeviceChoice,
    #[command(flatten)]
    pub(super) process: ProcessArguments,
}

/// Networks that a state dict may become, as `--kind` names them.
const KINDS: [&str; 12] = [
    "lenet",
    "convnet",
    "resnet18",
    "resnet20",
    "resnet32",
    "resnet44",
    "resnet56",
    "resnet110",
    "mlp",
    "cnn1d",
    "autoencoder",
    "conv-autoencoder",
];

impl Import {
    pub(super) fn run(self) -> Result<Outcome> {
        if self.items == Some(0) {
            bail!("--items 0 leaves nothing to measure on: use a number above 0");
        }
        if self.calibration == 0 {
            bail!("--calibration 0 leaves nothing to set ranges on: use a number above 0");
        }
        let recipe = self.recipe()?;
        let weights = self.state_dict()?;
        let calibrates =
            recipe.model.bits().is_some() && !weights.names().any(|name| name.ends_with(RANGE));
        if calibrates && self.data.is_none() {
            bail!(
                "{} has no ranges of activations, which a network of few bits needs: name data to set them on with --data, or leave out the bits",
                self.weights.display()
            );
        }
        let stem = self.weights.file_stem().unwrap_or_default();
        let name = format!("import-{}", stem.to_string_lossy());
        let out = run_folder(self.out.as_deref(), &name);
        RunLock::require_own(&out, "import")?;
        let device = self.device.open()?;
        let built_on = match calibrates {
            true => device.clone().autodiff(),
            false => device.clone(),
        };
        // Nothing is written before the weights are known to fit.
        let lock = OnceCell::new();
        let begin = || {
            let _ = lock.set(RunLock::take(&out, "import")?);
            Ok(())
        };
        let job = ImportJob {
            weights,
            recipe: &recipe,
            source: self.data.is_some().then_some(&recipe.data.source),
            calibration: calibrates.then_some(self.calibration),
            test: self.items.into(),
            out: out.clone(),
            begin: &begin,
            device: &device,
        };
        let Imported { checkpoint, clean } = recipe.build(&built_on, job)??;
        if let Some((metric, value, items)) = clean {
            print(&format!(
                "{} {} on {items} test items of {}",
                metric.title(),
                metric.show(value),
                recipe.data.source
            ))?;
        }
        let run = command_line::operand(&out);
        let mut next: Vec<&OsStr> = vec!["crossburn".as_ref(), "evaluate".as_ref(), &run];
        if self.data.is_none() {
            next.extend(["--data", "SOURCE"].map(OsStr::new));
        }
        next.extend(["--noise", "gaussian", "--sigma", "0.05"].map(OsStr::new));
        note(&format!(
            "checkpoint: {}; next: {}",
            checkpoint.display(),
            command_line::quoted(next),
        ));
        Ok(Outcome::Done)
    }

    /// The network, its task and its data.
    ///
    /// # Errors
    /// A network that is not known or whose sizes are not, and data that do not fit it.
    fn recipe(&self) -> Result<Recipe> {
        let model = match self.kind.strip_prefix("resnet").map(str::parse::<usize>) {
            Some(Ok(depth)) if depth != 18 => format!("kind = \"resnet\"\ndepth = {depth}\n"),
            _ if KINDS.contains(&self.kind.as_str()) => format!("kind = {:?}\n", self.kind),
            _ => bail!("{}", unknown(&self.kind)),
        };
        let task = match self.kind.ends_with("autoencoder") {
            true => "[task]\nkind = \"anomaly-detection\"\n",
            false => "",
        };
        let text = format!("seed = 1\n{task}[model]\n{model}[data]\nsource = \"own\"\n");
        let data = self.data.iter().map(|data| {
            Ok(Setting::data(&match &self.normalize {
                Some(normalize) => normalize.of(data)?.to_string(),
                None => data.to_string(),
            }))
        });
        let bits = self.bits.iter();
        let bits = bits.map(|bits| Setting::parse(&format!("model.bits={bits}")));
        let set = self.set.iter().map(|text| Setting::parse(text));
        let settings: Vec<Setting> = data.chain(bits).chain(set).collect::<Result<_>>()?;
        let recipe = parsed(&format!("--kind {}", self.kind), &text, &settings)?;
        match self.data {
            Some(_) => recipe.check()?,
            None => recipe.model.check_sizes()?,
        }
        Ok(recipe)
    }

    /// The weights under the names that were asked for.
    fn state_dict(&self) -> Result<StateDict> {
        let mut weights = StateDict::open(&self.weights)?;
        for rename in &self.rename {
            let parts = rename.split_once('=');
            let Some((old, new)) = parts.filter(|(old, new)| !old.is_empty() && !new.is_empty())
            else {
                bail!("--rename {rename} names no part: use OLD=NEW, such as 0=layers.0");
            };
            let before: Vec<String> = weights.names().map(str::to_string).collect();
            weights = weights.renamed(old, new);
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

/// What to say of a kind that is not there.
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
        Some(meant) => format!("--kind {kind} is no network here: did you mean {meant}?"),
        None => format!(
            "--kind {kind} is no network here: use one of {}, or export it as ONNX (docs/from-pytorch.md)",
            KINDS.join(", ")
        ),
    }
}
