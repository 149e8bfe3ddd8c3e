//! A state dict of PyTorch becomes a checkpoint.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use burn::tensor::Device;
use crossburn_checkpoints::{StateDict, save_checkpoint, write_bytes};
use crossburn_models::Network;
use crossburn_noise::{Metric, PathPattern};
use crossburn_training::data::{Amount, DataSource};
use crossburn_training::{
    Batches, Evaluation, Learn, Part, Recipe, Role, Task, TaskParts, WithTask,
};

use super::study;
use crate::report::DataSummary;

/// Imports one network; it is what [`WithTask::run`] is given.
pub(crate) struct ImportJob<'a> {
    /// The weights by their names in PyTorch.
    pub(crate) weights: StateDict,
    /// The network, its task and its data, where there are any.
    pub(crate) recipe: &'a Recipe,
    /// Where its accuracy is measured; nowhere where absent.
    pub(crate) source: Option<&'a DataSource>,
    /// Training items that ranges of activations are set on, of a network that needs them.
    pub(crate) calibration: Option<usize>,
    /// Test items.
    pub(crate) test: Amount,
    /// Folder of the run.
    pub(crate) out: PathBuf,
    /// Called before the first file is written.
    pub(crate) begin: &'a dyn Fn() -> Result<()>,
    /// Where the network computes.
    pub(crate) device: &'a Device,
}

/// What an import has found.
#[derive(Clone, Debug)]
pub(crate) struct Imported {
    /// Folder of the checkpoint.
    pub(crate) checkpoint: PathBuf,
    /// The metric on test items, its value, and how many items these are.
    pub(crate) clean: Option<(Metric, f64, usize)>,
}

/// The range of a quantized activation: no network of PyTorch has one under this name.
pub(crate) const RANGE: &str = "quantizer.range";

/// Items that pass at a time.
const BATCH: usize = 64;

/// Batches after which nothing is left of the range that a quantizer starts with: 0.9^64 = 0.001.
const LEAST_BATCHES: usize = 64;

impl WithTask for ImportJob<'_> {
    type Output = Result<Imported>;

    fn run<N: Network, P: TaskParts<N>>(mut self, network: N, parts: P) -> Result<Imported> {
        for (from, to) in N::ALIASES {
            self.weights = self.weights.renamed(from, to);
        }
        let ranges = [PathPattern::new(format!("*{RANGE}"))];
        let keep = match self.calibration {
            Some(_) => ranges.as_slice(),
            None => &[],
        };
        let mut network = self.weights.load(network, keep)?;
        if let (Some(items), Some(source)) = (self.calibration, self.source) {
            let of = (Part::Training, Role::Learn);
            let training = parts.load(source, self.recipe.seed, of, Amount::up_to(items))?;
            self.follow(&network, &training);
            // Batch norms have moved as well: theirs come from the file.
            network = self.weights.load(network.valid(), keep)?;
        }
        let clean = match self.source {
            Some(source) => Some(self.judge(&network, &parts, source)?),
            None => None,
        };
        self.keep(network, &parts, clean)
    }
}

impl ImportJob<'_> {
    /// Lets the ranges of activations follow `training`.
    fn follow<N: Network, T: Learn<N>>(&self, network: &N, training: &T) {
        let batches = Batches::new(training, BATCH, &self.device.clone().autodiff());
        let batches: Vec<_> = batches.iter().collect();
        let passes = LEAST_BATCHES.max(batches.len());
        for batch in batches.into_iter().cycle().take(passes) {
            training.forward(network, batch);
        }
    }

    /// The metric of `network` on the test items, their number, and what the network has learned items by.
    fn judge<N: Network, P: TaskParts<N>>(
        &self,
        network: &N,
        parts: &P,
        source: &DataSource,
    ) -> Result<(P::Task, f64)> {
        let test = parts.load(
            source,
            self.recipe.seed,
            (Part::Test, Role::Judge),
            self.test,
        )?;
        let batches = Batches::new(&test, 128, self.device);
        let evaluation = Evaluation::new(network, self.recipe.weights::<N>(), batches);
        let value = evaluation.clean()?;
        Ok((test, value))
    }

    /// Writes the checkpoint and the recipe.
    fn keep<N: Network, P: TaskParts<N>>(
        &self,
        network: N,
        parts: &P,
        clean: Option<(P::Task, f64)>,
    ) -> Result<Imported> {
        let items = clean.as_ref().map_or(0, |(test, _)| test.items());
        let source = &self.recipe.data.source;
        let summary = DataSummary {
            source: source.to_string(),
            train: 0,
            validation: 0,
            test: items,
        };
        let mut recipe = self.recipe.clone();
        let mut manifest = study::manifest(&recipe, &summary)?;
        if let Some((test, value)) = &clean {
            recipe.data.test = Some(items);
            manifest.recipe = study::json(&recipe)?;
            manifest = manifest.with_metric("clean", *value);
            if let Some(conventions) = test.conventions() {
                let conventions = conventions.with_columns(source.columns()?);
                manifest = manifest.with_conventions(study::json(&conventions)?);
            }
        }
        (self.begin)()?;
        let checkpoint = self.out.join("checkpoint");
        parts.save(&network, &checkpoint)?;
        save_checkpoint(&checkpoint, &network, &manifest)?;
        write(&self.out.join("recipe.toml"), &recipe)?;
        Ok(Imported {
            checkpoint,
            clean: clean.map(|(test, value)| (test.metric(), value, items)),
        })
    }
}

fn write(path: &Path, recipe: &Recipe) -> Result<()> {
    let recipe = toml::to_string_pretty(recipe).context("the recipe has no form in TOML")?;
    Ok(write_bytes(path, recipe.as_bytes())?)
}
