//! The document of a detector on a simulated accelerator.

use anyhow::Result;
use burn::tensor::Device;
use crossburn_training::Task;
use crossburn_training::data::DataSource;
use serde_json::json;

use super::IntegerDetector;
use super::shown_sequences::shown_sequences;
use super::simulate::{NamedAccelerator, simulate};
use crate::apps::study::{self, Clock};
use crate::report::{Document, Simulation};

/// Runs a detector on an accelerator, and says what that takes and what is decided.
pub(crate) struct SimulationJob<'a> {
    pub(crate) detector: &'a IntegerDetector,
    pub(crate) accelerator: &'a NamedAccelerator,
    /// Segments.
    pub(crate) source: DataSource,
    /// How many of them; as many as in training where none is given.
    pub(crate) items: Option<usize>,
    /// Command line that repeats the run.
    pub(crate) reproduce: String,
    pub(crate) device: &'a Device,
}

impl SimulationJob<'_> {
    /// The document.
    ///
    /// # Errors
    /// Data that cannot be read or do not fit the network, and those of [`simulate`].
    pub(crate) fn run(self) -> Result<Simulation> {
        let (detector, device) = (self.detector, self.device);
        let mut clock = Clock::new();
        let test = clock.time("data", || detector.test(&self.source, self.items))?;
        let found = clock.time("simulation", || {
            simulate(detector, self.accelerator, &test, device)
        })?;
        let sequences = shown_sequences(detector, &test, &found.alarms, device)?;
        let task = detector.task();
        let (version, commit) = study::version();
        Ok(Simulation {
            schema: Simulation::SCHEMA.to_string(),
            version,
            commit,
            reproduce: self.reproduce,
            config: json!({
                "task": task,
                "signal": detector.network.signal(),
                "detector_digest": detector.digest()?,
                "data_digest": test.digest(),
            }),
            data: self.source.to_string(),
            segments: test.items(),
            equal: found.equal,
            metric: test.metric(),
            value: test.value(&found.alarms).ok(),
            also: study::also(test.also(&found.alarms)),
            confusion: study::confusion(test.confusion(&found.alarms)),
            accelerator: self.accelerator.name.clone(),
            hardware: self.accelerator.config.clone(),
            layers: found.layers,
            cost: found.cost,
            vote: task.voting(),
            sequences,
            timing: clock.timing(),
        })
    }
}
