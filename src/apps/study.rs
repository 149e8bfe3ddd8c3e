//! Parts that every results document consists of.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;
use crossburn_checkpoints::Manifest;
use crossburn_noise::{Metric, Population, Variation};
use crossburn_training::data::DataSource;
use crossburn_training::{
    AcceleratorChoice, Confusion, EpochRecord, Method, PictureRow, Pictures, Recipe, Task,
    TrainingObserver,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::report::draw::{ConfusionMatrix, PictureSheet, PictureSheetRow, PngPicture};
use crate::report::{AlsoMeasured, DataSummary, EpochRow, Figures, SweepPoint, Timing};

pub(crate) use crate::report::CONFIDENCE;

/// The version and commit in documents.
pub(crate) fn version() -> (String, Option<String>) {
    (
        env!("CARGO_PKG_VERSION").to_string(),
        option_env!("CROSSBURN_COMMIT").map(str::to_string),
    )
}

/// The manifest of the checkpoint of a network that `recipe` describes, with the data on which it was judged.
pub(crate) fn manifest(recipe: &Recipe, data: &DataSummary) -> Result<Manifest> {
    let manifest = Manifest::new(
        json(&recipe.model)?,
        json(recipe)?,
        recipe.seed,
        json(data)?,
    );
    Ok(match version().1 {
        Some(commit) => manifest.with_commit(commit),
        None => manifest,
    })
}

/// Recipe and manifest of a network that was made from a stored one without training, and is not quantized again. It was judged on the first `items` test
/// items of `source`.
pub(crate) fn made_of(
    manifest: &Manifest,
    recipe: &Recipe,
    source: &DataSource,
    items: usize,
) -> Result<(Recipe, Manifest)> {
    let mut recipe = recipe.clone();
    if recipe.data.source != *source {
        recipe.data.train = None;
    }
    recipe.data.source = source.clone();
    recipe.data.test = Some(items);
    // The weights that were frozen in training are different weights now.
    let mut manifest = manifest.clone().with_resting([]).with_programmed_weights();
    manifest.recipe = json(&recipe)?;
    Ok((recipe, manifest))
}

/// The name of a method in tables: its own, or that of its training noise.
pub(crate) fn method_name(recipe: &Recipe) -> String {
    match (&recipe.method, recipe.noise.distribution.name()) {
        (Method::NoiseInjection {}, _) if recipe.hardware.is_some() => "hardware-aware".to_string(),
        (Method::NoiseInjection {}, "none") => "plain".to_string(),
        (Method::NoiseInjection {}, name) => name.to_string(),
        (method, _) => method.name().to_string(),
    }
}

/// What a network was trained with, for documents: its noise, or the hardware of its steps.
pub(crate) fn training_noise(recipe: &Recipe, noise: &Variation) -> Result<Value> {
    let Some(hardware) = &recipe.hardware else {
        return json(noise);
    };
    let accelerator = match &hardware.accelerator {
        AcceleratorChoice::Named(name) => name,
        AcceleratorChoice::Described(_) => "described in the recipe",
    };
    Ok(json!({
        "kind": "hardware",
        "accelerator": accelerator,
        "cell": hardware.cell,
        "fidelity": hardware.fidelity,
        "after": (!hardware.after.is_empty()).then_some(&hardware.after),
    }))
}

/// A value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<Value> {
    Ok(serde_json::to_value(value)?)
}

/// A point of the curve of the metric against σ.
pub(crate) fn sweep_point(sigma: f64, population: &Population) -> Result<SweepPoint> {
    Ok(SweepPoint {
        sigma,
        chips: population.chips(),
        mean: population.mean(),
        std: population.std(),
        low: population.kpp(5.0)?,
        high: population.kpp(95.0)?,
    })
}

/// The metric of the items to learn from, if it differs from that of the items to judge.
pub(crate) fn other_metric<T: Task>(learned: &T, judged: &T) -> Option<Metric> {
    let metric = learned.metric();
    (metric != judged.metric()).then_some(metric)
}

/// A table of labels and decisions, in the form of documents.
pub(crate) fn confusion(found: Confusion) -> ConfusionMatrix {
    let counts = found.counts.into_iter();
    ConfusionMatrix {
        names: found.names,
        counts: counts
            .map(|((right, predicted), items)| (right, predicted, items))
            .collect(),
    }
}

/// The name of the network without variation in charts.
const QUIET: &str = "without variation";

/// Charts and pictures of a network without variation, in the form of documents.
///
/// # Errors
/// If a picture cannot be encoded.
pub(crate) fn figures(found: crossburn_training::Figures) -> Result<Figures> {
    let mut charts = found.charts;
    for trace in charts.iter_mut().flat_map(|chart| &mut chart.traces) {
        trace.of = QUIET.to_string();
    }
    Ok(Figures {
        charts,
        pictures: found.pictures.map(sheet).transpose()?,
    })
}

/// Pictures in the form of documents.
///
/// # Errors
/// If a picture cannot be encoded.
pub(crate) fn sheet(found: Pictures) -> Result<PictureSheet> {
    let row = |row: PictureRow| -> Result<PictureSheetRow> {
        let panels = row.panels.iter();
        let panels = panels.map(|panel| PngPicture::new(panel.width, &panel.pixels));
        Ok(PictureSheetRow {
            name: row.name,
            notes: row.notes,
            panels: panels.collect::<Result<_, _>>()?,
        })
    };
    Ok(PictureSheet {
        title: found.title,
        note: found.note,
        columns: found.columns,
        rows: found.rows.into_iter().map(row).collect::<Result<_>>()?,
    })
}

/// Further metrics of a network, in the form of documents.
pub(crate) fn also(found: Vec<(Metric, f64)>) -> Vec<AlsoMeasured> {
    let entry = |(metric, value)| AlsoMeasured { metric, value };
    found.into_iter().map(entry).collect()
}

/// A training curve in the form of documents.
pub(crate) fn curve(records: &[EpochRecord]) -> Vec<EpochRow> {
    records
        .iter()
        .map(|record| EpochRow {
            epoch: record.epoch,
            learning_rate: record.learning_rate,
            train_loss: record.train_loss,
            train_metric: record.train_metric,
            validation: record.validation,
            validation_noisy: record.validation_noisy,
        })
        .collect()
}

/// Follows a study of several trainings.
pub(crate) trait StudyObserver: Sync {
    /// Follows the training of one method.
    type Training: TrainingObserver + Send;
    /// Called before a method is trained.
    fn training(&self, method: &str) -> Self::Training;
    /// Called before work of `total` parts, which `unit` names. The returned function is called after each of them.
    fn work(&self, what: &str, total: u64, unit: &'static str) -> Box<dyn Fn() + Sync + '_>;
    /// Called before `chips` chips of a method are evaluated. The returned function is called after each finished chip.
    fn chips(&self, method: &str, chips: u64) -> Box<dyn Fn() + Sync + '_> {
        self.work(&format!("evaluate {method}"), chips, "chip")
    }
}

/// Wall time of each stage.
#[derive(Debug)]
pub(crate) struct Clock {
    stages: BTreeMap<String, f64>,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            stages: BTreeMap::new(),
        }
    }

    /// Runs `work` and adds its time to `stage`.
    pub(crate) fn time<T>(&mut self, stage: &str, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        *self.stages.entry(stage.to_string()).or_default() += start.elapsed().as_secs_f64();
        result
    }

    /// The document's entry for timing.
    pub(crate) fn timing(self) -> Timing {
        Timing {
            seconds: self.stages,
        }
    }
}
