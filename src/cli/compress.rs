//! `crossburn compress`

use std::ffi::OsStr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use crossburn_hardware::quantize::{Rounding, Symmetry};
use crossburn_hardware::{Quantization, WeightBits};
use crossburn_models::ModelConfig;
use crossburn_noise::{Granularity, PathPattern};
use crossburn_training::data::DataSource;
use serde_json::json;

use super::model_choice::located;
use super::normalize::NormalizeArgument;
use super::run_setup::{RunArguments, name_after, run_folder};
use super::stored_network::StoredNetwork;
use super::{Outcome, command_line, finish, note};
use crate::apps::compression::CompressionJob;

/// Quantize the weights of a trained network, without training it
///
/// Weights go to the levels of a few bits: each to the nearest, or by GPTQ, which rounds weights one by one and corrects the remaining ones, so
/// that the outputs of the layer on a few items change least. The table compares the network before and after on test items. The run folder receives the
/// quantized network as a checkpoint, which every other verb takes. Weights that lie on no array stay as they are: embeddings, norms, biases and
/// the head of a language model.
///
/// Example: crossburn compress SmolLM2-135M-Instruct.Q4_1.gguf --data text:book.txt --bits 4 --group 64
#[derive(Debug, Args)]
pub(super) struct Compress {
    /// A run, its checkpoint, an ONNX file, a language model (folder, GGUF file), or a name at the Hugging Face hub
    #[arg(value_name = "RUN|MODEL")]
    model: PathBuf,
    /// Bits of a weight, sign included, in place of those of the recipe
    #[arg(long, value_name = "N", default_value_t = 4, help_heading = "Weights")]
    bits: u8,
    /// How weights get to their levels
    #[arg(
        long,
        value_name = "WAY",
        default_value = "gptq",
        help_heading = "Weights"
    )]
    rounding: Way,
    /// Inputs of an output that share a scale; all where absent
    #[arg(long, value_name = "N", help_heading = "Weights")]
    group: Option<NonZeroUsize>,
    /// Levels from the lowest weight to the highest, in place of as far below zero as above it
    #[arg(long, help_heading = "Weights")]
    asymmetric: bool,
    /// Weights that stay as they are, comma-separated: paths, or patterns such as 'layers.0.*'
    #[arg(
        long,
        value_name = "PATH,...",
        value_delimiter = ',',
        help_heading = "Weights"
    )]
    keep: Vec<PathPattern>,
    /// Data: digits, csv:FILE, text:FILE and so on (docs/recipes.md); those of the training where absent
    #[arg(long, value_name = "SOURCE", help_heading = "Data")]
    data: Option<DataSource>,
    #[command(flatten)]
    normalize: NormalizeArgument,
    /// Training items that GPTQ looks at
    #[arg(long, value_name = "N", default_value_t = 128, help_heading = "Data")]
    calibration: usize,
    /// Test items that both networks are judged on; as many as in training where absent
    #[arg(long, value_name = "N", help_heading = "Data")]
    items: Option<usize>,
    /// Folder of the run [default: runs/compress-NAME]
    #[arg(long, value_name = "DIR", help_heading = "Options")]
    out: Option<PathBuf>,
    #[command(flatten)]
    pub(super) run: RunArguments,
}

/// How weights get to their levels, as the command line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Way {
    /// So that the outputs on the data change least (Frantar et al. 2022)
    Gptq,
    /// Each to the nearest
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
    pub(super) fn run(self) -> Result<Outcome> {
        let bits = WeightBits::new(self.bits)?;
        let rounding = Rounding::from(self.rounding);
        if self.calibration == 0 && rounding != Rounding::Nearest {
            bail!(
                "--calibration 0 shows GPTQ nothing: use a number above 0, or --rounding nearest"
            );
        }
        if self.items == Some(0) {
            bail!("--items 0 leaves nothing to compare on: use a number above 0");
        }
        let path = located(&self.model)?;
        let stored = StoredNetwork::open(&path)?.normalized(self.normalize.asked())?;
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
        let config = stored.with_arrays(json!({
            "task": stored.recipe.task,
            "architecture": stored.manifest.architecture,
            "weights": stored.manifest.weights_checksum(),
            "data": source.to_string(),
            "items": self.items.or(stored.recipe.data.test),
            "bits": self.bits,
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
}
