//! An integer detector, as stored in a file.

use std::path::Path;

use anyhow::{Context, Result, bail};
use burn::tensor::{Device, Tensor, TensorData};
use crossburn_checkpoints::{checksum, write_bytes};
use crossburn_hardware::accelerator::{IntegerNetwork, SignalFormat};
use crossburn_training::data::{Amount, Conventions, DataSource};
use crossburn_training::{ArrhythmiaConfig, ArrhythmiaDetection, DataConfig, Segments, Task};
use serde::{Deserialize, Serialize};

use crate::apps::study;

/// Name and version of the file's format.
const SCHEMA: &str = "crossburn.integer-detector/1";

/// An integer network, and everything that is needed to prepare segments and interpret results.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IntegerDetector {
    schema: String,
    /// The version of Crossburn that made it.
    version: String,
    /// What counts as an alarm, and how segments are scaled.
    task: ArrhythmiaConfig,
    /// How samples are normalized.
    conventions: Conventions,
    /// The data of its training. Their test items are used by default.
    data: DataConfig,
    /// Seed of procedural data.
    data_seed: u64,
    pub(crate) network: IntegerNetwork,
}

/// The part of a file that gives its format.
#[derive(Deserialize)]
struct Header {
    schema: String,
}

impl IntegerDetector {
    /// `network`, made from a run on `data` with the seed `data_seed`.
    pub(crate) fn new(
        network: IntegerNetwork,
        task: &ArrhythmiaConfig,
        conventions: Conventions,
        (data, data_seed): (&DataConfig, u64),
    ) -> Self {
        Self {
            schema: SCHEMA.to_string(),
            version: study::version().0,
            task: task.clone(),
            conventions,
            data: data.clone(),
            data_seed,
            network,
        }
    }

    /// The detector in the file at `path`.
    ///
    /// # Errors
    /// If the file cannot be read or has other content, and those of [`IntegerNetwork::new`].
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs_err::read_to_string(path)?;
        let none = || {
            format!(
                "{} is no detector in integers: make one with `crossburn ecg compile`",
                path.display()
            )
        };
        // Other versions may have other fields, so the schema is read first.
        let Header { schema } = serde_json::from_str(&text).with_context(none)?;
        if schema != SCHEMA {
            bail!(
                "{} has the schema `{schema}`, this version reads `{SCHEMA}`: compile the run again",
                path.display()
            );
        }
        serde_json::from_str(&text).with_context(none)
    }

    /// Writes it to `path`, and replaces an existing file.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        Ok(write_bytes(path, serde_json::to_string(self)?.as_bytes())?)
    }

    /// What counts as an alarm, and how segments are scaled.
    pub(super) fn task(&self) -> &ArrhythmiaConfig {
        &self.task
    }

    /// A digest of the network and of everything that affects its inputs and decisions.
    ///
    /// # Errors
    /// If the detector has no form in JSON.
    pub(super) fn digest(&self) -> Result<String> {
        let parts = (&self.network, &self.task, &self.conventions);
        Ok(checksum(serde_json::to_string(&parts)?.as_bytes()))
    }

    /// The data that were asked for, or those of its training.
    pub(crate) fn source(&self, asked: Option<&DataSource>) -> DataSource {
        asked.unwrap_or(&self.data.source).clone()
    }

    /// Test segments of `source`: `asked` of them, or as many as in training.
    ///
    /// # Errors
    /// If data cannot be read, are too few, or do not fit the network.
    pub(crate) fn test(
        &self,
        source: &DataSource,
        asked: Option<usize>,
    ) -> Result<ArrhythmiaDetection> {
        let amount: Amount = self.data.test_amount(source, asked);
        let followed = source.clone().following(self.conventions.clone());
        let samples = followed.test_samples(self.data_seed, amount)?;
        self.task.check(samples.classes)?;
        let signal = self.network.signal();
        if self.network.results() != [samples.classes, 1] {
            let [classes, steps] = self.network.results();
            bail!(
                "{source} has {} classes, the network gives {classes} x {steps} results: give data like those of its training",
                samples.classes
            );
        }
        if samples.shape != [signal.channels, 1, signal.length] {
            let [channels, height, length] = samples.shape;
            bail!(
                "{source} has segments of {channels} x {height} x {length}, the network takes {} x 1 x {}: give data like those of its training",
                signal.channels,
                signal.length
            );
        }
        Ok(ArrhythmiaDetection::new(samples, &self.task))
    }

    /// The codes of each segment in `batch`.
    ///
    /// # Errors
    /// If a segment has a value that is not finite.
    pub(super) fn codes(&self, batch: &Segments) -> Result<Vec<Vec<i8>>> {
        let values = segment_values(batch)?;
        let signal = self.network.signal();
        let segments = values.chunks(signal.channels * signal.length);
        let codes = segments.map(|segment| self.network.quantize_signal(segment));
        Ok(codes.collect::<Result<_, _>>()?)
    }

    /// The outputs for which the integer results stand, one row per segment: `[segments, classes]`.
    pub(super) fn logits(&self, results: &[Vec<i32>], device: &Device) -> Tensor<2> {
        let rows = results.iter();
        let values: Vec<f32> = rows
            .flat_map(|results| self.network.real_results(results))
            .collect();
        let shape = [results.len(), self.network.results()[0]];
        Tensor::from_data(TensorData::new(values, shape), device)
    }
}

/// Number of training segments that determine the step of the signal.
pub(super) const CALIBRATION_ITEMS: usize = 128;

/// The codes for segments like the first [`CALIBRATION_ITEMS`] of `training`.
///
/// # Errors
/// If segments cannot be read.
pub(crate) fn signal_format(
    training: &ArrhythmiaDetection,
    device: &Device,
) -> Result<SignalFormat> {
    let items: Vec<usize> = (0..training.items().min(CALIBRATION_ITEMS)).collect();
    let batch = training.batch(&items, device)?;
    let [_, channels, _, length] = batch.inputs().dims();
    let values = segment_values(&batch)?;
    Ok(SignalFormat::fitting(channels, length, &values)?)
}

/// The normalized values of the segments in `batch`, one segment after the other.
fn segment_values(batch: &Segments) -> Result<Vec<f32>> {
    let data = batch.inputs().clone().into_data();
    data.try_into_vec_as::<f32>()
        .map_err(|error| anyhow::anyhow!("segments cannot be read from the device: {error:?}"))
}
