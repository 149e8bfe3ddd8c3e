//! `crossburn tune`

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use burn::tensor::Device;
use clap::{Args, ValueEnum};
use crossburn_checkpoints::write_shipped_model;
use crossburn_models::decoder::{AdapterConfig, AdapterKind, AdapterTarget};
use crossburn_models::{ModelConfig, PretrainedConfig};
use crossburn_noise::Distribution;
use crossburn_training::data::{Corpus, DataSource};
use crossburn_training::{
    BaseModel, DataConfig, LanguageMetric, LanguageModellingConfig, OptimizerConfig, Recipe,
    TaskConfig, TrainingConfig,
};

use super::held_weights::HeldWeights;
use super::model_choice::located;
use super::recipe_file::{Setting, resolve};
use super::run_setup::{RunArguments, name_after, run_folder};
use super::stored_prompts::KeepArguments;
use super::train::{Following, start};
use super::tuning_cost::{Tuning, shown_seconds};
use super::{Outcome, note, print};
use crate::memory::{peak, shown};
use crate::report::RunCommand;

/// Where the model that comes with the program is written.
const SHIPPED: &str = "runs/models/personal";

/// Who is learned where nobody is named: a person whom that model has not met.
const PERSON: &str = "person:0";

/// Tune a language model on a user's texts
///
/// The weights of the model do not change. Something small learns beside them: embeddings of a few virtual tokens (prompt), keys and
/// values of virtual tokens in every layer (prefix), products of low rank beside some layers (lora), or factors of some layers (ia3).
/// Only this adapter is written. OUT/checkpoint holds it in the layout of PEFT, with what `crossburn evaluate OUT` needs.
///
/// A line of the data is {"prompt": "...", "completion": "..."}, of which the completion is learned, or {"text": "..."}, which is learned
/// as a whole. Some lines are held back: training stops when it gets no better on them, and they judge the result.
///
/// `crossburn train` does the same with the recipe that --print-config prints. With --set noise.kind=gaussian --set
/// noise.sigma_rel_wmax=0.02, every step runs on another noisy chip of the model.
///
/// Example: crossburn tune prompt
///
/// Example: crossburn tune prompt --model models/SmolLM2-135M --data me.jsonl --out runs/me
///
/// Example: crossburn tune prompt --model models/SmolLM2-135M --data me.jsonl --store runs/prompts --name me
#[derive(Debug, Args)]
pub(super) struct Tune {
    /// What learns
    method: TuneMethod,
    /// The model: a folder with config.json, weights and tokenizer.json; the run of a decoder; a GGUF file; or a name at the Hugging Face
    /// hub [default: a small model that comes with the program, written to runs/models/personal]
    #[arg(long, value_name = "DIR|FILE.gguf|NAME", help_heading = "Model")]
    model: Option<PathBuf>,
    /// Format of the model's matrices in memory. With fewer bits the run takes less memory; each layer is unpacked when it computes. A
    /// matrix that does not fit the format keeps that of its file
    #[arg(
        long,
        value_name = "FORM",
        default_value = "f32",
        help_heading = "Model"
    )]
    weights: HeldWeights,
    /// Virtual tokens of a prompt or a prefix [default: 16]
    #[arg(long, value_name = "N", help_heading = "Model")]
    tokens: Option<usize>,
    /// Rank of lora [default: 8]
    #[arg(long, value_name = "N", help_heading = "Model")]
    rank: Option<usize>,
    /// Texts to learn from: a JSONL file, or a source such as text:FILE (docs/recipes.md) [default: person:0, if --model is not given]
    #[arg(long, value_name = "FILE|SOURCE", help_heading = "Data")]
    data: Option<String>,
    /// Judge the result by perplexity, rouge-1 or rouge-l (docs/tuning.md)
    #[arg(long, value_name = "METRIC", default_value_t = LanguageMetric::default(), help_heading = "Data")]
    metric: LanguageMetric,
    /// Passes over the texts at most [default: 30]
    #[arg(long, value_name = "N", help_heading = "Training")]
    epochs: Option<usize>,
    /// Texts in a batch [default: 8]
    #[arg(long, value_name = "N", help_heading = "Training")]
    batch: Option<usize>,
    /// Batches in a step. Their gradients are added up, so a step learns from all their texts with the memory of one batch [default: 1]
    #[arg(long, value_name = "N", help_heading = "Training")]
    accumulate: Option<usize>,
    /// Keep the activations of one block at a time: less memory, but every block is computed twice
    #[arg(long, help_heading = "Training")]
    checkpoint_blocks: bool,
    /// Learning rate [default: prompt 0.03, prefix and ia3 0.01, lora 0.002]
    #[arg(long, value_name = "RATE", help_heading = "Training")]
    learning_rate: Option<f64>,
    /// Stop after this many epochs without a better perplexity on the held-back texts [default: 5]
    #[arg(long, value_name = "N", help_heading = "Training")]
    patience: Option<usize>,
    /// Seed of the adapter's initial values and of the order of texts
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Training")]
    seed: u64,
    /// Set a key of the recipe, such as noise.kind=gaussian; may be repeated
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Training")]
    set: Vec<String>,
    #[command(flatten)]
    keep: KeepArguments,
    /// Folder of the run [default: runs/tune-METHOD-MODEL]
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

/// The kinds of adapters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TuneMethod {
    Prompt,
    Prefix,
    Lora,
    Ia3,
}

impl TuneMethod {
    fn name(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Prefix => "prefix",
            Self::Lora => "lora",
            Self::Ia3 => "ia3",
        }
    }

    /// Rates with which the small models of the tests learn well; those of PEFT's examples are of the same size.
    fn learning_rate(self) -> f64 {
        match self {
            Self::Prompt => 3e-2,
            Self::Prefix | Self::Ia3 => 1e-2,
            Self::Lora => 2e-3,
        }
    }
}

impl Tune {
    pub(super) fn run(mut self) -> Result<Outcome> {
        self.refuse_other_methods()?;
        if self.weights != HeldWeights::F32 && self.run.backend() != "cpu" {
            bail!("--weights is for --device cpu: leave it out, or compute on the processor");
        }
        let asked = self.folder();
        let source = self.source()?;
        // A bad line is found before anything large is read.
        let training = source.training_corpus(self.seed)?;
        let test = source.test_corpus(self.seed)?;
        let settings = self.set.iter().map(|text| Setting::parse(text));
        let settings: Vec<Setting> = settings.collect::<Result<_>>()?;
        // A recipe is checked against its model.
        match &self.model {
            Some(model) => self.model = Some(located(model)?),
            None => write_shipped_model(&asked)?,
        }
        self.keep.check(&self.folder(), &training)?;
        let named = source.to_string();
        let recipe = self.recipe(source, &training)?;
        let text = toml::to_string_pretty(&recipe)?;
        let recipe = resolve("the recipe of tune", &text, &settings)?;
        let resolved = toml::to_string_pretty(&recipe)?;
        if self.run.print_config {
            print(resolved.trim_end())?;
            return Ok(Outcome::Done);
        }
        let base = BaseModel::open(&self.folder())?;
        if let ModelConfig::Pretrained(PretrainedConfig {
            adapter: Some(adapter),
            ..
        }) = &recipe.model
        {
            base.adapter(adapter, &Device::flex())?;
        }
        let tuning = tuning(&recipe, &base, [&training, &test])?;
        let needed = tuning.check(base.config())?;
        let verb = format!("tune-{}", self.method.name());
        let name = name_after(&verb, &asked);
        let out = run_folder(self.out.as_deref(), &name);
        note(&format!("memory: about {}", shown(needed)));
        // Another device is not tried here.
        if self.run.backend() == "cpu" {
            let seconds = tuning.step_seconds(base.config(), recipe.training.accumulate);
            note(&format!(
                "a step: about {}, within a factor of two",
                shown_seconds(seconds)
            ));
        }
        let following = Following {
            resume: self.resume,
            no_tui: self.no_tui,
            json: self.run.json,
        };
        let outcome = start(
            RunCommand::Tune,
            (&recipe, &resolved, None),
            out.clone(),
            &self.run,
            following,
        )?;
        if let Outcome::Done = outcome {
            let adapter = out.join("checkpoint");
            note(&format!("adapter, for PEFT as well: {}", adapter.display()));
            self.keep
                .keep(&self.folder(), &adapter, (&named, &training))?;
            if let Some(peak) = peak() {
                note(&format!("memory at its peak: {}", shown(peak)));
            }
        }
        Ok(outcome)
    }

    /// An option that the method does not have would be ignored.
    fn refuse_other_methods(&self) -> Result<()> {
        let method = self.method.name();
        match self.method {
            TuneMethod::Lora | TuneMethod::Ia3 if self.tokens.is_some() => {
                bail!("--tokens is for a prompt or a prefix, not for {method}: leave it out")
            }
            TuneMethod::Prompt | TuneMethod::Prefix | TuneMethod::Ia3 if self.rank.is_some() => {
                bail!("--rank is for lora, not for {method}: leave it out")
            }
            TuneMethod::Prefix | TuneMethod::Lora | TuneMethod::Ia3 if self.keep.is_asked() => {
                bail!("--store is for a prompt, not for {method}: leave it out")
            }
            _ => Ok(()),
        }
    }

    /// A source, or the name of a file.
    fn source(&self) -> Result<DataSource> {
        let data = match (&self.data, &self.model) {
            (Some(data), _) => data,
            (None, None) => PERSON,
            (None, Some(_)) => bail!("nothing to learn from: name texts, such as --data me.jsonl"),
        };
        let text = match Path::new(data).is_file() {
            true => format!("jsonl:{data}"),
            false => data.to_string(),
        };
        let source: Result<DataSource, _> = text.parse();
        if let (Err(_), false) = (&source, data.contains(':')) {
            bail!("there is no file {data}: name a file with texts");
        }
        let source = source?;
        source.check_corpus()?;
        Ok(source)
    }

    /// The folder of the model.
    fn folder(&self) -> PathBuf {
        self.model.clone().unwrap_or_else(|| SHIPPED.into())
    }

    fn adapter(&self) -> AdapterConfig {
        let tokens = self.tokens.unwrap_or(16);
        let (rank, alpha) = (self.rank.unwrap_or(8), 16.0);
        let kind = match self.method {
            TuneMethod::Prompt => AdapterKind::Prompt { tokens },
            TuneMethod::Prefix => AdapterKind::Prefix { tokens },
            // The layers of Hu et al. 2021, section 7.1.
            TuneMethod::Lora => AdapterKind::Lora {
                rank,
                alpha,
                targets: [AdapterTarget::Query, AdapterTarget::Value].into(),
            },
            // The layers of Liu et al. 2022, section 3.3.
            TuneMethod::Ia3 => AdapterKind::Ia3 {
                outputs: [AdapterTarget::Key, AdapterTarget::Value].into(),
                inputs: [AdapterTarget::Down].into(),
            },
        };
        AdapterConfig { kind }
    }

    fn recipe(&self, source: DataSource, training: &Corpus) -> Result<Recipe> {
        let passages = match training {
            Corpus::Passages(passages) => passages.len(),
            // About as many windows, of four bytes a token.
            Corpus::Running(text) => text.len() / 1024,
        };
        if passages < 2 {
            bail!("{source} leaves no text to choose the best epoch with: give more texts");
        }
        Ok(Recipe {
            task: TaskConfig::LanguageModelling(LanguageModellingConfig {
                metric: self.metric,
                ..LanguageModellingConfig::default()
            }),
            model: ModelConfig::Pretrained(PretrainedConfig {
                folder: self.folder(),
                adapter: Some(self.adapter()),
                weights: self.weights.form(),
            }),
            data: DataConfig {
                source,
                train: None,
                validation: (passages / 10).max(1),
                test: None,
            },
            training: TrainingConfig {
                epochs: self.epochs.unwrap_or(30),
                batch: self.batch.unwrap_or(8),
                accumulate: self.accumulate.unwrap_or(1),
                checkpoint_blocks: self.checkpoint_blocks,
                optimizer: OptimizerConfig::Adam {
                    learning_rate: self.learning_rate.unwrap_or(self.method.learning_rate()),
                    weight_decay: 0.0,
                },
                patience: Some(self.patience.unwrap_or(5)),
                ..TrainingConfig::default()
            },
            ..Recipe::own(self.seed)
        })
    }
}

/// The memory that the longest text of a recipe needs.
fn tuning(recipe: &Recipe, base: &BaseModel, corpora: [&Corpus; 2]) -> Result<Tuning> {
    let ModelConfig::Pretrained(PretrainedConfig {
        adapter: Some(adapter),
        weights,
        ..
    }) = &recipe.model
    else {
        bail!("model.adapter is what tune learns: leave it as it is");
    };
    let sizes = base.config();
    // Numbers that an adapter keeps of a token and a block for its own gradient.
    let (virtual_tokens, beside) = match &adapter.kind {
        AdapterKind::Prompt { tokens } | AdapterKind::Prefix { tokens } => (*tokens, 0),
        AdapterKind::Lora { .. } => (0, 2 * sizes.width + sizes.key_value_width()),
        AdapterKind::Ia3 { .. } => (0, 2 * sizes.key_value_width() + sizes.hidden_width),
    };
    let TaskConfig::LanguageModelling(config) = &recipe.task else {
        bail!("task.kind must be language-modelling: leave it out");
    };
    let (mut texts, mut longest, mut predicted) = (0, 0, 0);
    for corpus in corpora {
        let task = base.task(corpus, config)?;
        texts = texts.max(task.sequences().len());
        for sequence in task.sequences() {
            longest = longest.max(sequence.tokens.len());
            predicted = predicted.max(sequence.tokens.len() - sequence.first);
        }
    }
    Ok(Tuning {
        // A batch holds no more texts than there are.
        batch: recipe.training.batch.min(texts),
        places: longest + virtual_tokens,
        predicted,
        beside,
        weights: u64::try_from(base.held_bytes(*weights)?).unwrap_or(u64::MAX),
        varies: recipe.noise.distribution != Distribution::None {},
        by_blocks: recipe.training.checkpoint_blocks,
    })
}
