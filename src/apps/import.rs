//! Converts a PyTorch state dict to a checkpoint.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use burn::tensor::Device;
use crossburn_checkpoints::{ACTIVATION_RANGE, StateDict, save_checkpoint, write_bytes};
use crossburn_models::Network;
use crossburn_noise::PathPattern;
use crossburn_training::data::{Amount, DataSource};
use crossburn_training::{
    Batches, Details, Evaluation, Part, Recipe, Role, Task, TaskParts, WithTask,
    set_activation_ranges,
};
use serde_json::Value;

use super::study::{self, Clock};
use crate::report::{DataSummary, Document, Figures, MethodResults, Results, RunCommand};

/// Imports one network. It is passed to [`WithTask::run`].
pub(crate) struct ImportJob<'a> {
    /// The weights, by their names in PyTorch.
    pub(crate) weights: StateDict,
    /// The network, its task and, if known, its data.
    pub(crate) recipe: &'a Recipe,
    /// The items on which the accuracy is measured; if absent, nothing is measured.
    pub(crate) source: Option<&'a DataSource>,
    /// Number of training items on which ranges of activations are set, if the network needs them.
    pub(crate) calibration: Option<usize>,
    /// Test items.
    pub(crate) test: Amount,
    /// The settings of the run, for the document.
    pub(crate) config: Value,
    /// Command line that repeats the run.
    pub(crate) reproduce: String,
    /// Folder of the run.
    pub(crate) out: PathBuf,
    /// Called before the first file is written.
    pub(crate) begin: &'a dyn Fn() -> Result<()>,
    /// Called with the number of items that have passed, and the number of all, while ranges are set.
    pub(crate) calibrated: &'a dyn Fn(usize, usize),
    /// Where the network computes.
    pub(crate) device: &'a Device,
    /// Ends the work early.
    pub(crate) stop: &'a AtomicBool,
}

/// Items that pass at a time while ranges are set.
const BATCH: usize = 64;

impl WithTask for ImportJob<'_> {
    /// Nothing if it was stopped; then no file is kept.
    type Output = Result<Option<Results>>;

    fn run<N: Network, P: TaskParts<N>>(mut self, network: N, parts: P) -> Result<Option<Results>> {
        let mut clock = Clock::new();
        for (from, to) in N::ALIASES {
            self.weights = self.weights.renamed(from, to)?;
        }
        let ranges = [PathPattern::new(format!("*{ACTIVATION_RANGE}"))];
        let keep = match self.calibration {
            Some(_) => ranges.as_slice(),
            None => &[],
        };
        let loaded = self.weights.load(network, keep)?;
        let calibrated = clock.time("calibration", || self.calibrate(loaded, &parts))?;
        let Some(network) = calibrated else {
            return Ok(None);
        };
        let judged = match self.source {
            Some(source) => Some(clock.time("test", || self.judge(&network, &parts, source))?),
            None => None,
        };
        if self.stopped() {
            return Ok(None);
        }
        self.keep(&network, &parts, judged, clock).map(Some)
    }
}

impl ImportJob<'_> {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// `network` with ranges of activations, if they must be set; nothing if it was stopped.
    fn calibrate<N: Network, P: TaskParts<N>>(&self, network: N, parts: &P) -> Result<Option<N>> {
        let (Some(items), Some(source)) = (self.calibration, self.source) else {
            return Ok(Some(network));
        };
        let of = (Part::Training, Role::Learn);
        let training = parts.load(source, self.recipe.seed, of, Amount::up_to(items))?;
        let batches = Batches::new(&training, BATCH, self.device)?;
        let after_batch = |passed| {
            (self.calibrated)(passed, training.items());
            match self.stopped() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        let weights = self.recipe.weights::<N>();
        Ok(set_activation_ranges(
            &network,
            weights,
            &batches,
            after_batch,
        )?)
    }

    /// Judges `network` on the test items, and gives these too.
    fn judge<N: Network, P: TaskParts<N>>(
        &self,
        network: &N,
        parts: &P,
        source: &DataSource,
    ) -> Result<(P::Task, Details)> {
        let of = (Part::Test, Role::Judge);
        let test = parts.load(source, self.recipe.seed, of, self.test)?;
        let batches = Batches::new(&test, 128, self.device)?;
        let evaluation = Evaluation::new(network, self.recipe.weights::<N>(), batches);
        let found = evaluation.clean_in_detail()?;
        Ok((test, found))
    }

    /// Writes the checkpoint and the recipe, and makes the document.
    fn keep<N: Network, P: TaskParts<N>>(
        self,
        network: &N,
        parts: &P,
        judged: Option<(P::Task, Details)>,
        clock: Clock,
    ) -> Result<Results> {
        let source = &self.recipe.data.source;
        let data = DataSummary {
            source: source.to_string(),
            train: 0,
            validation: 0,
            test: judged.as_ref().map_or(0, |(test, _)| test.items()),
        };
        let mut recipe = self.recipe.clone();
        let mut manifest = study::manifest(&recipe, &data)?;
        if let Some((test, found)) = &judged {
            recipe.data.test = Some(test.items());
            manifest.recipe = study::json(&recipe)?;
            manifest = manifest.with_metric("clean", found.metric);
            if let Some(conventions) = test.conventions() {
                let conventions = conventions.with_columns(source.columns()?);
                manifest = manifest.with_conventions(study::json(&conventions)?);
            }
        }
        (self.begin)()?;
        let checkpoint = self.out.join("checkpoint");
        parts.save(network, &checkpoint)?;
        save_checkpoint(&checkpoint, network, &manifest)?;
        let text = toml::to_string_pretty(&recipe).context("the recipe has no form in TOML")?;
        write_bytes(&self.out.join("recipe.toml"), text.as_bytes())?;
        let (version, commit) = study::version();
        let mut results = Results {
            schema: Results::SCHEMA.to_string(),
            command: RunCommand::Import,
            version,
            commit,
            reproduce: self.reproduce,
            config: self.config,
            data,
            metric: recipe.task.metric(),
            training_metric: None,
            deployment: None,
            methods: Vec::new(),
            confusion: None,
            figures: Figures::default(),
            timing: clock.timing(),
        };
        if let Some((test, found)) = judged {
            results.metric = test.metric();
            results.confusion = found.confusion.map(study::confusion);
            results.figures = study::figures(found.figures)?;
            results.methods.push(MethodResults {
                name: "imported".to_string(),
                training_noise: Value::Null,
                tried: Vec::new(),
                clean: found.metric,
                also: study::also(found.also),
                curve: Vec::new(),
                population: None,
                sweep: Vec::new(),
                hardware: None,
                percentiles: None,
            });
        }
        Ok(results)
    }
}
