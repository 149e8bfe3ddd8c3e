//! `crossburn export`

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use crossburn_checkpoints::{FloatType, LanguageModel, export_language_model};

use super::memory::require_memory;
use super::model_choice::located;
use super::run_setup::{name_after, run_folder};
use super::{Outcome, note};

/// Write a language model for other programs
///
/// The folder receives config.json, model.safetensors, tokenizer.json with its chat template, and what begins and ends a text, as at the
/// Hugging Face hub: transformers and whatever reads its folders opens it. A model that was tuned with an adapter needs no export: its
/// checkpoint folder is the layout of PEFT already. The weights of any other network are the file model.safetensors of its checkpoint, in the
/// names and the layout of PyTorch.
///
/// Example: crossburn export runs/personal --weights f16 --out models/personal
#[derive(Debug, Args)]
pub(super) struct Export {
    /// The run of a decoder, a model that was trained on, a GGUF file, a model folder, or a name at the Hugging Face hub
    #[arg(value_name = "RUN|FILE.gguf|DIR|NAME")]
    model: PathBuf,
    /// Numbers of the weights; what a type cannot hold is refused
    #[arg(
        long,
        value_name = "TYPE",
        default_value = "f32",
        help_heading = "Options"
    )]
    weights: WeightType,
    /// The folder [default: runs/export-NAME]
    #[arg(long, value_name = "DIR", help_heading = "Options")]
    out: Option<PathBuf>,
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
        let model = LanguageModel::open(&located(&self.model)?)?;
        let (config, _) = model.decoder_config()?;
        // The weights and their copy for the file, then this and the file.
        require_memory(model.path(), 8 * config.parameters(), || Ok(Vec::new()))?;
        let out = run_folder(self.out.as_deref(), &name_after("export", &self.model));
        if fs_err::read_dir(&out).is_ok_and(|mut entries| entries.next().is_some()) {
            bail!(
                "{} is not empty: name another folder with --out",
                out.display()
            );
        }
        export_language_model(&model, &out, self.weights.into())?;
        note(&format!(
            "model: {}, {:.3} million weights",
            out.display(),
            config.parameters() as f64 / 1e6
        ));
        Ok(Outcome::Done)
    }
}
