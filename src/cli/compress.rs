//! `crossburn compress`

use std::ffi::OsStr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use crossburn_hardware::Quantization;
use crossburn_hardware::quantize::{Rounding, Symmetry};
use crossburn_models::ModelConfig;
use crossburn_noise::{Granularity, PathPattern};
use crossburn_training::data::DataSource;
use crossburn_training::{LanguageMetric, TaskConfig};
use serde_json::json;

use super::compress_widths::{Bits, WidthsArguments};
use super::model_choice::located;
use super::normalize_argument::NormalizeArgument;
use super::open_stored::open_stored;
use super::run_setup::{RunArguments, name_after, run_folder};
use super::{Outcome, command_line, finish, note};
use crate::apps::compression::CompressionJob;
use crate::apps::pruning::{PruningJob, Shares};
use crate::apps::stored_network::StoredNetwork;

/// Quantize a trained network, or prune a language model, without training
///
/// Quantizing rounds every weight to one of a few levels. --rounding nearest takes the nearest level for each weight. --rounding gptq
/// rounds weights one by one and corrects the remaining ones, so that the outputs of the layer on a few items change least. The table
/// compares the network before and after, on test items. The run folder receives the quantized network as a checkpoint, which every other
/// verb takes. Weights that lie on no array stay as they are: embeddings, norms, biases and the head of a language model.
///
/// With --prune, a language model loses heads and feed-forward channels instead. OUT/model receives the smaller model in the layout of
/// the Hugging Face hub, which every other verb takes.
///
/// With --bits auto, no weight is rounded. Each layer is quantized alone at each width, to measure how much the loss on the validation
/// items rises, and the widths with the smallest total rise are chosen. The run folder receives the table and a recipe, which trains at
/// these widths from the weights as they are.
///
/// Example: crossburn compress runs/digits --bits auto --size 30KiB
///
/// Example: crossburn compress SmolLM2-135M-Instruct.Q4_1.gguf --data text:book.txt --bits 4 --group 64
///
/// Example: crossburn compress SmolLM2-135M-Instruct.Q4_1.gguf --data text:book.txt --prune mlp=0.2
#[derive(Debug, Args)]
pub(super) struct Compress {
    /// A run, its checkpoint, an ONNX file, a language model (folder, GGUF file), or a name at the Hugging Face hub
    #[arg(value_name = "RUN|MODEL")]
    model: PathBuf,
    /// Prune a language model instead of quantizing it: remove this share of the heads and of the feed-forward channels in every block,
    /// those that contribute least on the calibration texts. Heads that share key and value are removed together
    #[arg(
        long,
        value_name = "heads=SHARE,mlp=SHARE",
        conflicts_with_all = ["bits", "rounding", "group", "asymmetric", "keep"],
        help_heading = "Weights"
    )]
    prune: Option<Shares>,
    /// Bits of a weight, sign included, instead of those of the recipe. 1 keeps the sign alone; `auto` chooses a number for each layer
    #[arg(
        long,
        value_name = "N|auto",
        default_value = "4",
        help_heading = "Weights"
    )]
    bits: Bits,
    #[command(flatten)]
    widths: WidthsArguments,
    /// How to round weights [default: gptq]
    #[arg(long, value_name = "WAY", help_heading = "Weights")]
    rounding: Option<Way>,
    /// Inputs of one output that share a scale [default: all]
    #[arg(long, value_name = "N", help_heading = "Weights")]
    group: Option<NonZeroUsize>,
    /// Spread the levels from the lowest to the highest weight, instead of equally far below and above zero
    #[arg(long, help_heading = "Weights")]
    asymmetric: bool,
    /// Weights to leave as they are, comma-separated: paths, or patterns such as 'layers.0.*'
    #[arg(
        long,
        value_name = "PATH,...",
        value_delimiter = ',',
        help_heading = "Weights"
    )]
    keep: Vec<PathPattern>,
    /// Data: digits, csv:FILE, text:FILE and so on (docs/recipes.md) [default: those of the training]
    #[arg(long, value_name = "SOURCE", help_heading = "Data")]
    data: Option<DataSource>,
    #[command(flatten)]
    normalize: NormalizeArgument,
    /// Training items for GPTQ or pruning; 0 prunes by the weights alone
    #[arg(long, value_name = "N", default_value_t = 128, help_heading = "Data")]
    calibration: usize,
    /// Test items to compare both networks on [default: as many as in training; all with --prune]
    #[arg(long, value_name = "N", help_heading = "Data")]
    items: Option<usize>,
    /// Folder of the run [default: runs/compress-NAME]
    #[arg(long, value_name = "DIR", help_heading = "Options")]
    out: Option<PathBuf>,
    #[command(flatten)]
    pub(super) run: RunArguments,
}

/// How weights are rounded, as the command line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Way {
    /// Change the outputs on the data least (Frantar et al. 2022)
    Gptq,
    /// Round each weight to the nearest level
    Nearest,
}

impl From<Way> for Rounding {
    fn from(way: Way) -> Self {
        match way {
            Way::Gptq => Self::gptq(),
            Way::Nearest => Self::Nearest,
        }
    }
}

impl Compress {
    /// Refuses options that round weights, beside widths for every layer.
    fn check_auto(&self) -> Result<()> {
        let rounds = [
            (self.rounding.is_some(), "--rounding"),
            (self.group.is_some(), "--group"),
            (self.asymmetric, "--asymmetric"),
            (!self.keep.is_empty(), "--keep"),
            (self.items.is_some(), "--items"),
        ];
        match rounds.into_iter().find(|(given, _)| *given) {
            Some((_, option)) => {
                bail!("{option} rounds weights, which --bits auto does not: leave it out")
            }
            None => Ok(()),
        }
    }

    pub(super) fn run(self) -> Result<Outcome> {
        let bits = match self.bits {
            Bits::All(bits) if !self.widths.limits() => Some(bits),
            Bits::All(bits) => bail!(
                "--size and --loss-budget choose a number of bits for every layer: leave them out with --bits {}",
                bits.get()
            ),
            Bits::Auto => {
                self.check_auto()?;
                None
            }
        };
        let rounding = Rounding::from(self.rounding.unwrap_or(Way::Gptq));
        if self.calibration == 0 && rounding != Rounding::Nearest && self.prune.is_none() {
            bail!(
                "--calibration 0 gives GPTQ no items: use a number above 0, or --rounding nearest"
            );
        }
        if self.items == Some(0) {
            bail!("--items 0 leaves nothing to compare on: use a number above 0");
        }
        let path = located(&self.model)?;
        let stored = open_stored(&path)?.normalized(self.normalize.asked())?;
        if let ModelConfig::Pretrained(model) = &stored.model
            && model.adapter.is_some()
        {
            bail!(
                "{} holds an adapter for {}: compress that, and tune on what comes out",
                path.display(),
                model.folder.display()
            );
        }
        let source = stored.source(self.data.as_ref())?;
        stored.check_data(&source)?;
        if let Some(shares) = self.prune {
            return self.pruned(shares, &path, &stored, source);
        }
        let Some(bits) = bits else {
            let out = self.out.as_deref();
            return self
                .widths
                .run(&self.model, &stored, source, (out, &self.run));
        };
        let config = stored.with_arrays(json!({
            "task": stored.recipe.task,
            "architecture": stored.manifest.architecture,
            "weights": stored.manifest.weights_checksum(),
            "data": source.to_string(),
            "items": self.items.or(stored.recipe.data.test),
            "bits": bits,
            "rounding": rounding.name(),
            "group": self.group,
            "asymmetric": self.asymmetric,
            "keep": self.keep,
            "calibration": self.calibration,
        }))?;
        if self.run.prints(&config)? {
            return Ok(Outcome::Done);
        }
        let out = run_folder(self.out.as_deref(), &name_after("compress", &self.model));
        let place = self.run.set_up(out, "compress")?;
        let job = CompressionJob {
            checkpoint: stored.checkpoint(),
            manifest: &stored.manifest,
            recipe: &stored.recipe,
            calibration: stored.training_amount(self.calibration),
            test: stored.test_amount(&source, self.items),
            reproduce: command_line::repeated(&[("data", source.to_string())]),
            source,
            quantization: Quantization {
                symmetry: match self.asymmetric {
                    true => Symmetry::Asymmetric,
                    false => Symmetry::Symmetric,
                },
                granularity: Granularity::PerChannel,
                ..Quantization::from(bits)
            },
            group: self.group,
            rounding,
            keep: &self.keep,
            config,
            out: place.out.clone(),
            device: &place.device,
            stop: &place.stop,
        };
        let Some(results) = stored.build(&place.device, job)?? else {
            note("interrupted: nothing is kept");
            return Ok(Outcome::Interrupted);
        };
        finish(&place.out, &results, self.run.json)?;
        place.note_report();
        let run = command_line::operand(&place.out);
        let mut next: Vec<&OsStr> = vec!["crossburn".as_ref(), "evaluate".as_ref(), &run];
        next.extend(["--noise", "gaussian", "--sigma", "0.02"].map(OsStr::new));
        note(&format!("next: {}", command_line::quoted(next)));
        Ok(Outcome::Done)
    }

    /// The model at `path` without `shares` of its heads and channels, in a folder of its own.
    fn pruned(
        &self,
        shares: Shares,
        path: &Path,
        stored: &StoredNetwork,
        source: DataSource,
    ) -> Result<Outcome> {
        let TaskConfig::LanguageModelling(texts) = stored.recipe.task else {
            bail!(
                "--prune is for language models, {} is none: leave it out",
                path.display()
            );
        };
        check_prunable(stored, path, texts.metric)?;
        let config = json!({
            "task": stored.recipe.task,
            "architecture": stored.manifest.architecture,
            "weights": stored.manifest.weights_checksum(),
            "data": source.to_string(),
            "items": self.items,
            "prune": shares,
            "calibration": self.calibration,
        });
        if self.run.prints(&config)? {
            return Ok(Outcome::Done);
        }
        let out = run_folder(self.out.as_deref(), &name_after("compress", &self.model));
        let place = self.run.set_up(out, "compress")?;
        let model = place.out.join("model");
        let job = PruningJob {
            model: path,
            shares,
            reproduce: command_line::repeated(&[("data", source.to_string())]),
            source,
            seed: stored.recipe.seed,
            texts,
            calibration: self.calibration,
            items: self.items,
            config,
            out: model.clone(),
            device: &place.device,
            stop: &place.stop,
        };
        let Some(results) = job.run()? else {
            note("interrupted: nothing is kept");
            return Ok(Outcome::Interrupted);
        };
        finish(&place.out, &results, self.run.json)?;
        place.note_report();
        note(&format!(
            "the pruned model, for transformers as well: {}",
            model.display()
        ));
        Ok(Outcome::Done)
    }
}

/// Refuses a run whose recipe changes its weights after they are read, or judges it by another metric: --prune takes weights as they are stored
/// and judges by perplexity.
fn check_prunable(stored: &StoredNetwork, path: &Path, metric: LanguageMetric) -> Result<()> {
    let recipe = &stored.recipe;
    // Weights that were programmed lie on their levels and are pruned already.
    let changed = !stored.manifest.programmed;
    let keys = [
        (changed && !recipe.arrays.bits.is_empty(), "arrays.bits"),
        (
            changed && !recipe.quantization.is_default(),
            "[quantization]",
        ),
        (changed && recipe.pruning.is_some(), "[pruning]"),
        (metric != LanguageMetric::Perplexity, "task.metric"),
    ];
    match keys.into_iter().find(|(given, _)| *given) {
        Some((_, key)) => bail!(
            "--prune takes weights as they are stored and judges by perplexity, but the recipe of {} has {key}; \
             hint: `crossburn export` it and prune what comes out, which has no recipe",
            path.display()
        ),
        None => Ok(()),
    }
}
