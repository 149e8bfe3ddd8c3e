//! Parts that quantizing and pruning a trained network share: items pass through the network, and a document compares it before and after.

use crossburn_noise::Metric;
use crossburn_training::Details;
use serde_json::Value;

use super::study::{self, Clock};
use crate::report::{DataSummary, Document, Figures, MethodResults, Results, RunCommand};

/// Items that pass at a time while inputs are measured.
pub(super) const BATCH: usize = 16;

/// A network, before and after.
pub(super) struct Comparison {
    /// Command line that repeats the run.
    pub(super) reproduce: String,
    /// The settings of the run, for the document.
    pub(super) config: Value,
    pub(super) data: DataSummary,
    /// The metric of both networks.
    pub(super) metric: Metric,
    pub(super) methods: Vec<MethodResults>,
    pub(super) clock: Clock,
}

impl From<Comparison> for Results {
    fn from(comparison: Comparison) -> Self {
        let (version, commit) = study::version();
        Self {
            schema: Self::SCHEMA.to_string(),
            command: RunCommand::Compress,
            version,
            commit,
            reproduce: comparison.reproduce,
            config: comparison.config,
            data: comparison.data,
            metric: comparison.metric,
            training_metric: None,
            deployment: None,
            methods: comparison.methods,
            confusion: None,
            figures: Figures::default(),
            timing: comparison.clock.timing(),
        }
    }
}

/// The row of a network in the table.
pub(super) fn row(name: &str, judged: Details) -> MethodResults {
    MethodResults {
        name: name.to_string(),
        training_noise: Value::Null,
        tried: Vec::new(),
        clean: judged.metric,
        also: study::also(judged.also),
        curve: Vec::new(),
        population: None,
        sweep: Vec::new(),
        hardware: None,
        percentiles: None,
    }
}
