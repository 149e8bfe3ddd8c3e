//! `crossburn compress`

use std::ffi::OsStr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use crossburn_checkpoints::{Manifest, save_checkpoint, write_bytes};
use crossburn_hardware::deploy::PostTraining;
use crossburn_hardware::quantize::{Rounding, Symmetry};
use crossburn_hardware::{Quantization, WeightBits, WeightPlan};
use crossburn_models::{ModelConfig, Network};
use crossburn_noise::{Granularity, PathPattern, matrix_weights};
use crossburn_training::data::DataSource;
use crossburn_training::{
    Batches, Details, Evaluation, Learn, Part, Recipe, Role, Task, TaskParts, WithTask,
};
use serde_json::{Value, json};

use super::model_choice::located;
use super::run_setup::{RunArguments, RunPlace, name_after, run_folder};
use super::stored_network::StoredNetwork;
use super::{Outcome, command_line, finish, note};
use crate::apps::study::{self, Clock};
use crate::report::{DataSummary, Document, MethodResults, Results, RunCommand};

/// Quantize the weights of a trained network, without training it
///
/// Weights go to the levels of a few bits: each to the nearest, or by GPTQ, which lets the weights still to come make good what one rounding
/// has changed, as a few items of data show it. The table compares the network before and after on test items. The run folder receives the
/// quantized network as a checkpoint, which every other verb takes. Weights that lie on no array stay as they are: embeddings, norms, biases and
/// the head of a language model.
///
/// Example: crossburn compress SmolLM2-135M-Instruct.Q4_1.gguf --data text:book.txt --bits 4 --group 64
#[derive(Debug, Args)]
pub(super) struct Compress {
    /// A run, its checkpoint, a language model (folder, GGUF file), or a name at the Hugging Face hub
    #[arg(value_name = "RUN|MODEL")]
    model: PathBuf,
    /// Bits of a weight, sign included
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

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Gptq => "gptq",
            Self::Nearest => "nearest",
        }
    }

    fn rounding(self) -> Rounding {
        match self {
            Self::Gptq => Rounding::gptq(),
            Self::Nearest => Rounding::Nearest,
        }
    }
}

impl Compress {
    pub(super) fn run(self) -> Result<Outcome> {
        let bits = WeightBits::new(self.bits)?;
        if self.calibration == 0 {
            bail!(
                "--calibration 0 shows GPTQ nothing: use a number above 0, or --rounding nearest"
            );
        }
        let path = located(&self.model)?;
        let stored = StoredNetwork::open(&path)?;
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
            "rounding": self.rounding.name(),
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
            arguments: &self,
            quantization: Quantization {
                symmetry: match self.asymmetric {
                    true => Symmetry::Asymmetric,
                    false => Symmetry::Symmetric,
                },
                granularity: Granularity::PerChannel,
                ..Quantization::from(bits)
            },
            stored: &stored,
            source,
            config,
            place: &place,
        };
        stored.recipe.build(&place.device, job)?
    }
}

struct CompressionJob<'a> {
    arguments: &'a Compress,
    quantization: Quantization,
    stored: &'a StoredNetwork,
    source: DataSource,
    config: Value,
    place: &'a RunPlace,
}

/// Items whose inputs are gathered at a time.
const BATCH: usize = 16;

impl WithTask for CompressionJob<'_> {
    type Output = Result<Outcome>;

    fn run<N: Network, P: TaskParts<N>>(self, network: N, parts: P) -> Result<Outcome> {
        let (arguments, stored) = (self.arguments, self.stored);
        let device = &self.place.device;
        let mut clock = Clock::new();
        let network = stored.load(network, &parts)?;
        let plan = self.plan(&network);
        plan.check(&network)?;
        let seed = stored.recipe.seed;
        let load = |of, amount| parts.load(&self.source, seed, of, amount);
        let (training, test) = clock.time("data", || {
            let shown = stored.training_amount(arguments.calibration);
            let training = load((Part::Training, Role::Judge), shown)?;
            let judged = stored.test_amount(&self.source, arguments.items);
            anyhow::Ok((training, load((Part::Test, Role::Judge), judged)?))
        })?;
        let test_batches = Batches::new(&test, 128, device);
        let stopped = || self.place.stop.load(Ordering::SeqCst);
        let judged = |network: &N, weights: WeightPlan| {
            Evaluation::new(network, weights, test_batches.clone()).clean_in_detail()
        };
        let before = clock.time("before", || judged(&network, stored.weights::<N>()))?;
        let mut methods = vec![row("before", before)];
        let mut quantized = None;
        let ways = match arguments.rounding {
            Way::Gptq => vec![Way::Nearest, Way::Gptq],
            Way::Nearest => vec![Way::Nearest],
        };
        for way in ways {
            if stopped() {
                break;
            }
            let rounded = clock.time(way.name(), || {
                let post = PostTraining {
                    rounding: way.rounding(),
                    group: arguments.group,
                };
                post.quantized(&network, plan.clone(), |network| {
                    let shown = Batches::new(&training, BATCH, device);
                    for batch in shown.iter() {
                        // What was seen of the data is thrown away then.
                        if stopped() {
                            break;
                        }
                        training.forward(network, batch);
                    }
                })
            })?;
            if stopped() {
                break;
            }
            let after = clock.time(way.name(), || judged(&rounded, WeightPlan::default()))?;
            methods.push(row(
                &format!("{}-bit {}", arguments.bits, way.name()),
                after,
            ));
            quantized = (way == arguments.rounding).then_some(rounded);
        }
        let Some(quantized) = quantized else {
            note("interrupted: nothing is kept");
            return Ok(Outcome::Interrupted);
        };
        let summary = DataSummary {
            source: self.source.to_string(),
            train: training.items(),
            validation: 0,
            test: test.items(),
        };
        let checkpoint = self.place.out.join("checkpoint");
        parts.save(&quantized, &checkpoint)?;
        let clean = methods.last().map_or(f64::NAN, |method| method.clean);
        save_checkpoint(&checkpoint, &quantized, &self.manifest(&summary, clean)?)?;
        let recipe = toml::to_string_pretty(&self.recipe())?;
        write_bytes(&self.place.out.join("recipe.toml"), recipe.as_bytes())?;
        let (version, commit) = study::version();
        let results = Results {
            schema: Results::SCHEMA.to_string(),
            command: RunCommand::Compress,
            version,
            commit,
            reproduce: command_line::repeated(&[("data", self.source.to_string())]),
            config: self.config.clone(),
            data: summary,
            metric: test.metric(),
            training_metric: None,
            deployment: None,
            methods,
            confusion: None,
            timing: clock.timing(),
        };
        finish(&self.place.out, &results, arguments.run.json)?;
        self.place.note_report();
        let run = command_line::operand(&self.place.out);
        let mut next: Vec<&OsStr> = vec!["crossburn".as_ref(), "evaluate".as_ref(), &run];
        next.extend(["--noise", "gaussian", "--sigma", "0.02"].map(OsStr::new));
        note(&format!(
            "checkpoint: {}; next: {}",
            checkpoint.display(),
            command_line::quoted(next)
        ));
        Ok(Outcome::Done)
    }
}

/// A network in the table.
fn row(name: &str, judged: Details) -> MethodResults {
    MethodResults {
        name: name.to_string(),
        training_noise: Value::Null,
        clean: judged.metric,
        also: study::also(judged.also),
        curve: Vec::new(),
        population: None,
        sweep: Vec::new(),
        hardware: None,
        percentiles: None,
    }
}

impl CompressionJob<'_> {
    /// Every weight on an array but for those that are to stay.
    fn plan<N: Network>(&self, network: &N) -> WeightPlan {
        let placement = self.stored.recipe.weights::<N>().placement().clone();
        let on_arrays = placement.on_arrays(network);
        let mut digital = matrix_weights(network);
        digital.retain(|path| !on_arrays.contains(path));
        let digital = digital.into_iter().map(PathPattern::new);
        let plan = WeightPlan::from(self.quantization).with_placement(placement);
        let kept = digital.chain(self.arguments.keep.iter().cloned());
        kept.fold(plan, |plan, path| plan.with_bits(path, None))
    }

    /// The recipe of the network, with the data that it was judged on.
    fn recipe(&self) -> Recipe {
        let mut recipe = self.stored.recipe.clone();
        recipe.data.source = self.source.clone();
        recipe
    }

    fn manifest(&self, summary: &DataSummary, clean: f64) -> Result<Manifest> {
        let stored = self.stored;
        let mut manifest = Manifest::new(
            study::json(&stored.model)?,
            study::json(&self.recipe())?,
            stored.recipe.seed,
            study::json(summary)?,
        )
        .with_programmed_weights()
        .with_metric("clean", clean);
        if let Some(conventions) = &stored.manifest.conventions {
            manifest = manifest.with_conventions(conventions.clone());
        }
        if let Some(commit) = study::version().1 {
            manifest = manifest.with_commit(commit);
        }
        Ok(manifest)
    }
}
