//! `crossburn export`

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use clap::{Args, ValueEnum};
use crossburn_checkpoints::{
    FloatType, LanguageModel, WEIGHTS_FILE, export_language_model, load_checkpoint, write_bytes,
};
use crossburn_hardware::programmed;
use crossburn_models::ModelConfig;
use crossburn_models::onnx::OnnxNetwork;
use crossburn_noise::matrix_weights;
use crossburn_training::data::Conventions;

use super::model_choice::located;
use super::open_stored::open_stored;
use super::run_setup::{name_after, run_folder};
use super::{Outcome, note};
use crate::apps::normalize;
use crate::memory::require_memory;

/// Write a trained model for other programs
///
/// With --format hugging-face, the folder receives config.json, model.safetensors, tokenizer.json with its chat template, and the tokens
/// that begin and end a text, as at the Hugging Face hub. Transformers opens it, and so do programs that read its folders. A model that
/// was tuned with an adapter needs no export: its checkpoint folder already has the layout of PEFT.
///
/// With --format onnx, the file is the ONNX graph that the network came from, with its trained tensors inside.
///
/// The weights of any other network are in the file model.safetensors of its checkpoint, with the names and the layout of PyTorch.
///
/// Example: crossburn export runs/personal --weights f16 --out models/personal
///
/// Example: crossburn export runs/tuned --format onnx --out tuned.onnx
#[derive(Debug, Args)]
pub(super) struct Export {
    /// What to export: the run of a network that came as an ONNX graph, of a decoder or of a language model that was trained further; a
    /// GGUF file; a model folder; or a name at the Hugging Face hub
    #[arg(value_name = "RUN|FILE|DIR|NAME")]
    model: PathBuf,
    /// What to write
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "hugging-face",
        help_heading = "Options"
    )]
    format: Format,
    /// Number type of a language model's weights; values that it cannot hold are refused [default: f32]
    #[arg(long, value_name = "TYPE", help_heading = "Options")]
    weights: Option<WeightType>,
    /// The folder, or the ONNX file [default: runs/export-NAME, or runs/export-NAME.onnx]
    #[arg(long, value_name = "PATH", help_heading = "Options")]
    out: Option<PathBuf>,
}

/// The formats of an export, as the command line names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A language model as a folder of the Hugging Face hub
    HuggingFace,
    /// A network that came as an ONNX graph, as one ONNX file
    Onnx,
}

/// The type of numbers, as the command line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum WeightType {
    /// 32 bits
    F32,
    /// 16 bits, 11 of them significant
    F16,
    /// 16 bits, 8 of them significant, with the range of 32 bits
    Bf16,
}

impl From<WeightType> for FloatType {
    fn from(typed: WeightType) -> Self {
        match typed {
            WeightType::F32 => Self::F32,
            WeightType::F16 => Self::F16,
            WeightType::Bf16 => Self::Bf16,
        }
    }
}

impl Export {
    pub(super) fn run(self) -> Result<Outcome> {
        match self.format {
            Format::HuggingFace => self.folder(),
            Format::Onnx => self.graph(),
        }
    }

    /// The default place of an export.
    fn name(&self) -> String {
        name_after("export", &self.model)
    }

    fn folder(&self) -> Result<Outcome> {
        let model = LanguageModel::open(&located(&self.model)?)?;
        let (config, _) = model.decoder_config()?;
        // The weights and their copy for the file, then this and the file.
        require_memory(model.path(), 8 * config.parameters(), || Ok(Vec::new()))?;
        let out = run_folder(self.out.as_deref(), &self.name());
        if fs_err::read_dir(&out).is_ok_and(|mut entries| entries.next().is_some()) {
            bail!(
                "{} is not empty: name another folder with --out",
                out.display()
            );
        }
        export_language_model(&model, &out, self.weights.unwrap_or(WeightType::F32).into())?;
        note(&format!(
            "model: {}, {:.3} million weights",
            out.display(),
            config.parameters() as f64 / 1e6
        ));
        Ok(Outcome::Done)
    }

    fn graph(&self) -> Result<Outcome> {
        if self.weights.is_some() {
            bail!(
                "--weights has no effect with --format onnx, which keeps the type of every tensor: leave the option out"
            );
        }
        let name = self.name();
        let name = name.strip_suffix(".onnx").unwrap_or(&name);
        let out = run_folder(self.out.as_deref(), &format!("{name}.onnx"));
        require_free(&out)?;
        let stored = open_stored(&self.model)?;
        let config = match &stored.model {
            ModelConfig::Onnx(config) => config,
            ModelConfig::Decoder(_) | ModelConfig::Pretrained(_) => bail!(
                "{} is a language model, which is exported as a folder: leave --format onnx out",
                self.model.display()
            ),
            other => bail!(
                "{} is a network of kind {}, which did not come from an ONNX graph: take its weights from {}, under the names of PyTorch",
                self.model.display(),
                other.name(),
                stored.folder.join(WEIGHTS_FILE).display()
            ),
        };
        let graph = stored.graph(&config.file)?;
        let mut network = graph.network(&Device::flex())?;
        if let Some(checkpoint) = stored.checkpoint() {
            network = load_checkpoint(checkpoint, network)?.0;
        }
        let weights = stored.weights::<OnnxNetwork>();
        let quantized = |path: &String| weights.quantization(path).is_some();
        if matrix_weights(&network).iter().any(quantized) {
            note("weights are quantized, as chips are programmed with");
        }
        let file = graph.with_tensors_of(&programmed(&network, weights))?;
        if let Some(folder) = out.parent() {
            fs_err::create_dir_all(folder)?;
        }
        write_bytes(&out, &file)?;
        if let Some(conventions) = &stored.manifest.conventions {
            let conventions: Conventions = serde_json::from_value(conventions.clone())
                .with_context(|| {
                    format!("cannot read the conventions of {}", stored.folder.display())
                })?;
            let source = &stored.recipe.data.source;
            normalize::write_beside(&out, &conventions.normalization, source)?;
        }
        note(&format!("network: {}, {} bytes", out.display(), file.len()));
        Ok(Outcome::Done)
    }
}

/// Refuses a file that is there already, and a name that no verb would take for an ONNX file.
///
/// # Errors
/// The file.
fn require_free(out: &Path) -> Result<()> {
    if out.extension().is_none_or(|ending| ending != "onnx") {
        bail!(
            "--out {}: the name of an ONNX file ends in .onnx",
            out.display()
        );
    }
    let beside = normalize::beside_path(out);
    match [out, &beside].into_iter().find(|path| path.exists()) {
        Some(there) => bail!(
            "{} is there already: name another file with --out",
            there.display()
        ),
        None => Ok(()),
    }
}
