//! Pieces that every results document is made of.

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

/// The version and commit that documents carry.
pub(crate) fn version() -> (String, Option<String>) {
    (
        env!("CARGO_PKG_VERSION").to_string(),
        option_env!("CROSSBURN_COMMIT").map(str::to_string),
    )
}

/// What the checkpoint of a network that `recipe` describes says, with the data that it was judged on.
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

/// Recipe and manifest of a network that was made of a stored one without training and is not quantized again, judged on the first `items` test
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
    // What rested in training is other weights now.
    let mut manifest = manifest.clone().with_resting([]).with_programmed_weights();
    manifest.recipe = json(&recipe)?;
    Ok((recipe, manifest))
}

/// A method's name in tables: its own, or that of the noise that it injects.
pub(crate) fn method_name(recipe: &Recipe) -> String {
    match (&recipe.method, recipe.noise.distribution.name()) {
        (Method::NoiseInjection {}, _) if recipe.hardware.is_some() => "hardware-aware".to_string(),
        (Method::NoiseInjection {}, "none") => "plain".to_string(),
        (Method::NoiseInjection {}, name) => name.to_string(),
        (method, _) => method.name().to_string(),
    }
}

/// What a network met in training, as documents say it: its noise, or the hardware of its steps.
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

/// One point of the curve of the metric against σ.
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

/// The metric of what is learned from, where it is another one than that of what is judged.
pub(crate) fn other_metric<T: Task>(learned: &T, judged: &T) -> Option<Metric> {
    let metric = learned.metric();
    (metric != judged.metric()).then_some(metric)
}

/// What items are taken for, in the document's form.
pub(crate) fn confusion(found: Confusion) -> ConfusionMatrix {
    let counts = found.counts.into_iter();
    ConfusionMatrix {
        names: found.names,
        counts: counts
            .map(|((right, predicted), items)| (right, predicted, items))
            .collect(),
    }
}

/// The network in charts.
const QUIET: &str = "without variation";

/// Charts and pictures of a network without variation in the document's form.
///
/// # Errors
/// A picture that cannot be encoded.
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

/// Pictures in the document's form.
///
/// # Errors
/// A picture that cannot be encoded.
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

/// Other numbers of a network in the document's form.
pub(crate) fn also(found: Vec<(Metric, f64)>) -> Vec<AlsoMeasured> {
    let entry = |(metric, value)| AlsoMeasured { metric, value };
    found.into_iter().map(entry).collect()
}

/// A training curve in the document's form.
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

/// Who follows a study of several trainings.
pub(crate) trait StudyObserver: Sync {
    /// Follows the training of one method.
    type Training: TrainingObserver + Send;
    /// Called before a method is trained.
    fn training(&self, method: &str) -> Self::Training;
    /// Called before `chips` chips of a method are evaluated; the result is called once per finished chip.
    fn chips(&self, method: &str, chips: u64) -> Box<dyn Fn() + Sync + '_>;
}

/// Wall time by stage.
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

    /// The document's timing part.
    pub(crate) fn timing(self) -> Timing {
        Timing {
            seconds: self.stages,
        }
    }
}
