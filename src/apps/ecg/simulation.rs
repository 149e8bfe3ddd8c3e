//! Makes the document of a detector on a simulated accelerator.

use anyhow::Result;
use burn::tensor::Device;
use crossburn_noise::{Better, Metric};
use crossburn_training::data::DataSource;
use crossburn_training::{
    ArrhythmiaDetection, ArrhythmiaMetric, Task, contest_score, contest_score_2023,
};
use serde_json::json;

use super::IntegerDetector;
use super::shown_sequences::shown_sequences;
use super::simulate::{NamedAccelerator, Simulated, simulate};
use crate::apps::study::{self, Clock};
use crate::report::{Document, Simulation, Work};

/// Runs a detector on an accelerator, and reports its cost and decisions.
pub(crate) struct SimulationJob<'a> {
    pub(crate) detector: &'a IntegerDetector,
    pub(crate) accelerator: &'a NamedAccelerator,
    /// The source of segments.
    pub(crate) source: DataSource,
    /// Number of segments; as many as in training if absent.
    pub(crate) items: Option<usize>,
    /// Command line that repeats the run.
    pub(crate) reproduce: String,
    pub(crate) device: &'a Device,
}

impl SimulationJob<'_> {
    /// Runs the detector, and makes the document.
    ///
    /// # Errors
    /// If data cannot be read or do not fit the network, and those of [`simulate`].
    pub(crate) fn run(self) -> Result<Simulation> {
        let (detector, device) = (self.detector, self.device);
        let mut clock = Clock::new();
        let test = clock.time("data", || detector.test(&self.source, self.items))?;
        let found = clock.time("simulation", || {
            simulate(detector, self.accelerator, &test, device)
        })?;
        let sequences = shown_sequences(detector, &test, &found.alarms, device)?;
        let mut also = test.also(&found.alarms);
        also.extend(contest_scores(&test, &found)?);
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
            also: study::also(also),
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

/// The scores of both contests, with the latency and memory of the accelerator instead of a microcontroller's. The second needs to know the patients.
fn contest_scores(test: &ArrhythmiaDetection, found: &Simulated) -> Result<Vec<(Metric, f64)>> {
    let f_beta = test.measured(ArrhythmiaMetric::F2, &found.alarms)?;
    let milliseconds = 1e3 * found.cost.latency.get();
    let kibibytes = Work::of(&found.layers).stored_bits as f64 / 8192.0;
    let score = |name: &'static str, value| {
        let metric = Metric {
            low: None,
            better: Better::Higher,
            ..Metric::from_zero(name)
        };
        (metric, value)
    };
    let of_2022 = contest_score(f_beta, milliseconds, kibibytes);
    let of_2023 = (test.good_patients(&found.alarms))
        .map(|good| contest_score_2023(f_beta, good, milliseconds, kibibytes));
    let of_2023 = of_2023.map(|value| {
        score(
            "score by the inferred 2023 rule, on the simulated accelerator",
            value,
        )
    });
    Ok(std::iter::once(score(
        "score by the 2022 contest's rule, on the simulated accelerator",
        of_2022,
    ))
    .chain(of_2023)
    .collect())
}
