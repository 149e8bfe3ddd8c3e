//! Quantizes a trained network: from its checkpoint to a new checkpoint, and to a results document that compares both.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use burn::tensor::Device;
use crossburn_checkpoints::{Manifest, save_checkpoint, write_bytes};
use crossburn_hardware::deploy::PostTraining;
use crossburn_hardware::quantize::Rounding;
use crossburn_hardware::{Quantization, WeightPlan, programmed};
use crossburn_models::Network;
use crossburn_noise::{PathPattern, matrix_weights};
use crossburn_training::data::{Amount, DataSource};
use crossburn_training::{
    Batches, Evaluation, Learn, Part, Recipe, Role, Task, TaskParts, WithTask,
};
use serde_json::Value;

use super::comparison::{BATCH, Comparison, row};
use super::stored_weights::load_stored;
use super::study::{self, Clock};
use crate::report::{DataSummary, Results};

/// Quantizes one network. It is passed to [`WithTask::run`].
#[derive(Debug)]
pub(crate) struct CompressionJob<'a> {
    /// Folder of the checkpoint; none if the network is built together with its weights.
    pub(crate) checkpoint: Option<&'a Path>,
    /// The manifest of its checkpoint.
    pub(crate) manifest: &'a Manifest,
    /// Its recipe.
    pub(crate) recipe: &'a Recipe,
    /// Where items come from.
    pub(crate) source: DataSource,
    /// Training items on which the rounding is calibrated.
    pub(crate) calibration: Amount,
    /// Test items.
    pub(crate) test: Amount,
    /// The levels.
    pub(crate) quantization: Quantization,
    /// Number of an output's inputs that share a scale; all if absent.
    pub(crate) group: Option<NonZeroUsize>,
    /// How weights are rounded. The result is always compared with rounding to the nearest level.
    pub(crate) rounding: Rounding,
    /// Further weights that are not quantized, besides those that lie on no array.
    pub(crate) keep: &'a [PathPattern],
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

impl WithTask for CompressionJob<'_> {
    /// Nothing if it was stopped; then no file is kept.
    type Output = Result<Option<Results>>;

    fn run<N: Network, P: TaskParts<N>>(self, network: N, parts: P) -> Result<Option<Results>> {
        let mut clock = Clock::new();
        let network = load_stored(self.checkpoint, network, &parts)?;
        let weights = match self.manifest.programmed {
            true => self.recipe.weights::<N>().without_quantization(),
            false => self.recipe.weights::<N>(),
        };
        let plan = self.plan(&network, &weights);
        plan.check(&network)?;
        let load = |of, amount| parts.load(&self.source, self.recipe.seed, of, amount);
        let (training, test) = clock.time("data", || {
            let training = load((Part::Training, Role::Judge), self.calibration)?;
            anyhow::Ok((training, load((Part::Test, Role::Judge), self.test)?))
        })?;
        let test_batches = Batches::new(&test, 128, self.device)?;
        let judged = |network: &N, weights: &WeightPlan| {
            Evaluation::new(network, weights.clone(), test_batches.clone()).clean_in_detail()
        };
        let before = clock.time("before", || judged(&network, &weights))?;
        let mut methods = vec![row("before", before)];
        // Weights that are not quantized keep the levels of the recipe.
        let network = programmed(&network, self.kept(&network, &weights));
        let mut tried = |way: Rounding| -> Result<Option<(N, f64)>> {
            let rounded = clock.time(way.name(), || self.round(&network, way, &plan, &training))?;
            let Some(rounded) = rounded else {
                return Ok(None);
            };
            let after = clock.time(way.name(), || {
                judged(&rounded, &weights.clone().without_quantization())
            })?;
            let (bits, clean) = (self.quantization.bits.get(), after.metric);
            methods.push(row(&format!("{bits}-bit {}", way.name()), after));
            Ok(Some((rounded, clean)))
        };
        if self.rounding != Rounding::Nearest && tried(Rounding::Nearest)?.is_none() {
            return Ok(None);
        }
        let Some((quantized, clean)) = tried(self.rounding)? else {
            return Ok(None);
        };
        let data = DataSummary {
            source: self.source.to_string(),
            train: training.items(),
            validation: 0,
            test: test.items(),
        };
        self.keep(&quantized, &parts, (&training, &data), clean)?;
        let comparison = Comparison {
            reproduce: self.reproduce,
            config: self.config,
            data,
            metric: test.metric(),
            methods,
            clock,
        };
        Ok(Some(comparison.into()))
    }
}

impl CompressionJob<'_> {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Paths of matrix weights that are not quantized: those on no array, and those that were named.
    fn stays<N: Network>(&self, network: &N, weights: &WeightPlan) -> BTreeSet<String> {
        let on_arrays = weights.placement().on_arrays(network);
        let mut stays = matrix_weights(network);
        stays.extend(on_arrays.iter().cloned());
        stays.retain(|path| {
            !on_arrays.contains(path) || self.keep.iter().any(|keep| keep.matches(path))
        });
        stays
    }

    /// The requested levels, for all other weights.
    fn plan<N: Network>(&self, network: &N, weights: &WeightPlan) -> WeightPlan {
        let stays = self
            .stays(network, weights)
            .into_iter()
            .map(PathPattern::new);
        // A pattern that matches no weight is refused together with the others.
        let stays = stays.chain(self.keep.iter().cloned());
        let plan = WeightPlan::from(self.quantization)
            .with_placement(weights.placement().clone())
            .with_pruning_of(weights);
        stays.fold(plan, |plan, path| plan.with_bits(path, None))
    }

    /// The levels of the recipe, only for the weights that are not quantized.
    fn kept<N: Network>(&self, network: &N, weights: &WeightPlan) -> WeightPlan {
        let stays = self.stays(network, weights);
        let mut others = matrix_weights(network);
        others.extend(weights.placement().on_arrays(network));
        others.retain(|path| !stays.contains(path));
        let others = others.into_iter().map(PathPattern::new);
        others.fold(weights.clone(), |plan, path| plan.with_bits(path, None))
    }

    /// `network` after quantization; nothing if it was stopped.
    fn round<N: Network, T: Learn<N>>(
        &self,
        network: &N,
        rounding: Rounding,
        plan: &WeightPlan,
        training: &T,
    ) -> Result<Option<N>> {
        if self.stopped() {
            return Ok(None);
        }
        let post = PostTraining {
            rounding,
            group: self.group,
        };
        // Rounding to the nearest level needs no data.
        let batches = match rounding {
            Rounding::Nearest => None,
            Rounding::Gptq { .. } => Some(Batches::new(training, BATCH, self.device)?),
        };
        let unread = OnceLock::new();
        let rounded = post.quantized(network, plan.clone(), |network| {
            if let Some(batches) = &batches
                && let Err(error) = batches.pass(network, &|| self.stop.load(Ordering::SeqCst))
            {
                unread.get_or_init(|| error);
            }
        });
        if let Some(error) = unread.into_inner() {
            return Err(error.into());
        }
        // With only part of its data the rounding may fail or differ, so being stopped is checked first.
        match self.stopped() {
            true => Ok(None),
            false => Ok(Some(rounded?)),
        }
    }

    /// Writes the checkpoint and the recipe.
    fn keep<N: Network, P: TaskParts<N>>(
        &self,
        network: &N,
        parts: &P,
        (training, data): (&P::Task, &DataSummary),
        clean: f64,
    ) -> Result<()> {
        let (recipe, mut manifest) =
            study::made_of(self.manifest, self.recipe, &self.source, data.test)?;
        manifest.data = study::json(data)?;
        if let Some(conventions) = training.conventions() {
            let conventions = conventions.with_columns(self.source.columns()?);
            manifest = manifest.with_conventions(study::json(&conventions)?);
        }
        let checkpoint = self.out.join("checkpoint");
        parts.save(network, &checkpoint)?;
        save_checkpoint(&checkpoint, network, &manifest.with_metric("clean", clean))?;
        let recipe = toml::to_string_pretty(&recipe)?;
        Ok(write_bytes(
            &self.out.join("recipe.toml"),
            recipe.as_bytes(),
        )?)
    }
}
