//! Chooses bits for every layer of a trained network: from its checkpoint to a recipe for training with these widths, and to the document.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, bail};
use burn::module::Module;
use burn::tensor::Device;
use crossburn_checkpoints::write_bytes;
use crossburn_hardware::quantize::Calibration;
use crossburn_hardware::{Quantization, WeightBits, WeightPlan, programmed};
use crossburn_models::Network;
use crossburn_noise::{Granularity, PathPattern, host_weights_at};
use crossburn_training::data::DataSource;
use crossburn_training::{
    Batches, BitsOfPath, LayerWidths, Part, QuantizationConfig, Recipe, Role, Task, TaskParts,
    WidthBudget, WithTask, bit_sensitivities, choose_widths, chosen_widths, evaluate, mean_loss,
};
use serde_json::Value;

use super::stored_weights::load_stored;
use super::study::{self, Clock};
use crate::report::draw::quantity::kib;
use crate::report::{DataSummary, Document, JudgedWidths, WidthRow, Widths};

/// Chooses the widths for one network. It is passed to [`WithTask::run`].
#[derive(Debug)]
pub(crate) struct WidthsJob<'a> {
    /// Folder of the checkpoint.
    pub(crate) checkpoint: Option<&'a Path>,
    /// The run from which training with these widths starts.
    pub(crate) run: PathBuf,
    /// Its recipe.
    pub(crate) recipe: &'a Recipe,
    /// The source of items.
    pub(crate) source: DataSource,
    /// The widths that are allowed.
    pub(crate) widths: &'a [WeightBits],
    /// The limit for the choice. A size is that of the whole network.
    pub(crate) budget: WidthBudget,
    /// The settings of the run, for the document.
    pub(crate) config: Value,
    /// Command line that repeats the run.
    pub(crate) reproduce: String,
    /// Folder of the run.
    pub(crate) out: PathBuf,
    /// Where the network computes.
    pub(crate) device: &'a Device,
    /// Ends the work early.
    pub(crate) stop: &'a AtomicBool,
}

/// Items that pass at a time.
const BATCH: usize = 128;

impl WithTask for WidthsJob<'_> {
    /// Nothing if it was stopped; then no file is kept.
    type Output = Result<Option<Widths>>;

    fn run<N: Network, P: TaskParts<N>>(self, network: N, parts: P) -> Result<Option<Widths>> {
        let mut clock = Clock::new();
        let network = load_stored(self.checkpoint, network, &parts)?;
        let plan = self.recipe.weights::<N>();
        let training = clock.time("data", || {
            let amount = self.recipe.data.train.into();
            let of = (Part::Training, Role::Learn);
            let training = parts.load(&self.source, self.recipe.seed, of, amount)?;
            parts.completed(training, None, self.recipe.seed)
        })?;
        let validation = self.recipe.data.validation;
        let learn = training.items().checked_sub(validation);
        let learn = learn.with_context(|| {
            let items = training.items();
            format!("data.validation = {validation} is more than the {items} training items")
        })?;
        let (_, validation) = training.hold_back(learn);
        let batches = Batches::new(&validation, BATCH, self.device)?;
        let quantization = self.quantization();
        let of = |bits| Quantization {
            granularity: quantization.granularity,
            calibration: quantization.calibration,
            ..Quantization::from(bits)
        };
        let measured = clock.time("sensitivities", || {
            bit_sensitivities(&network, &plan, self.widths, of, &batches, self.stop)
        })?;
        let Some((loss, layers)) = measured else {
            return Ok(None);
        };
        let other = other_bits(&network, &plan, &layers, quantization.granularity);
        let budget = match self.budget {
            WidthBudget::Size(size) => WidthBudget::Size(size.saturating_sub(other)),
            rise => rise,
        };
        let Some(chosen) = choose_widths(&layers, budget) else {
            let least = layers
                .iter()
                .map(|layer| layer.options.iter().map(|of| of.size).min());
            let least = other + least.map(Option::unwrap_or_default).sum::<u64>();
            match self.budget {
                WidthBudget::Size(_) => bail!(
                    "--size is too small: the narrowest widths take {} KiB, of which {} KiB are biases, norms and scales; \
                     hint: give more, or prune the network",
                    kib(least),
                    kib(other)
                ),
                WidthBudget::Rise(_) => bail!(
                    "no widths keep the rise of the loss below --loss-budget; hint: give more, or offer wider ones with --widths"
                ),
            }
        };
        let everything = PathPattern::new("*");
        let full = plan.clone().with_quantization(everything, None);
        let widths = chosen_widths(&layers, &chosen);
        let narrow = widths.iter().fold(full.clone(), |plan, (path, bits)| {
            plan.with_quantization(PathPattern::new(path.as_str()), Some(of(*bits)))
        });
        let judged = |plan: &WeightPlan, loss: Option<f64>| -> Result<JudgedWidths> {
            let network = programmed(&network, plan);
            let loss = loss.map_or_else(|| mean_loss(&network, &batches), Ok)?;
            let metric = evaluate(&network, &batches)?;
            Ok(JudgedWidths { loss, metric })
        };
        let before = clock.time("before", || judged(&full, Some(loss)))?;
        let after = clock.time("after", || judged(&narrow, None))?;
        let mut recipe = self.recipe.clone();
        recipe.data.source = self.source.clone();
        recipe.quantization = quantization;
        recipe.training.from = Some(self.run.clone());
        let paths = layers.iter().map(|layer| layer.path.as_str());
        recipe.arrays.bits = paths
            .map(|path| BitsOfPath {
                path: PathPattern::new(path),
                bits: widths.get(path).copied(),
            })
            .collect();
        let text = toml::to_string_pretty(&recipe).context("the recipe has no form in TOML")?;
        write_bytes(&self.out.join("recipe.toml"), text.as_bytes())?;
        let (version, commit) = study::version();
        let rows = layers.into_iter().zip(chosen);
        Ok(Some(Widths {
            schema: Widths::SCHEMA.to_string(),
            version,
            commit,
            reproduce: self.reproduce,
            config: self.config,
            data: DataSummary {
                source: self.source.to_string(),
                train: learn,
                validation: validation.items(),
                test: 0,
            },
            metric: validation.metric(),
            budget: self.budget,
            layers: rows
                .map(|(layer, chosen)| WidthRow { layer, chosen })
                .collect(),
            other,
            before,
            after,
            timing: clock.timing(),
        }))
    }
}

impl WidthsJob<'_> {
    /// The quantization of the recipe, if it sets one; otherwise one scale for each output channel.
    fn quantization(&self) -> QuantizationConfig {
        let said = self.recipe.quantization;
        match said.granularity == Granularity::PerTensor
            && said.calibration == Calibration::default()
        {
            true => QuantizationConfig {
                granularity: Granularity::PerChannel,
                ..said
            },
            false => said,
        }
    }
}

/// Bits of everything except the weights of `layers`: 32 for each other number, including the scales of `layers`.
fn other_bits<N: Network>(
    network: &N,
    plan: &WeightPlan,
    layers: &[LayerWidths],
    granularity: Granularity,
) -> u64 {
    let paths = layers.iter().map(|layer| layer.path.clone()).collect();
    let weights = host_weights_at(&programmed(network, plan), &paths);
    let inside: usize = weights.values().map(|weight| weight.values.len()).sum();
    let scales = weights.values().map(|weight| match granularity {
        Granularity::PerTensor => 1,
        Granularity::PerChannel => weight.shape.outputs().count(),
    });
    let scales: usize = scales.sum();
    32 * (Module::num_params(network).saturating_sub(inside) + scales) as u64
}
