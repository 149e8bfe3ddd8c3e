//! A detector that decides about one segment after the other.

use burn::tensor::Device;
use crossburn_models::Classifier;

use super::{ArrhythmiaConfig, ArrhythmiaDetection, Segments};
use crate::TrainingError;
use crate::data::{Normalization, SEGMENT_CLASSES, Samples, Values};
use crate::task::{Learn, Task};

/// A network that decides about segments as they come, with what [`ArrhythmiaDetection`] does to them.
#[derive(Clone, Debug)]
pub struct Detector<C> {
    network: C,
    config: ArrhythmiaConfig,
    normalization: Normalization,
    device: Device,
}

/// What a detector says of a segment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// Whether it is a ventricular arrhythmia.
    pub alarm: bool,
    /// The probability of that, by the network.
    pub probability: f64,
}

impl<C: Classifier> Detector<C> {
    /// `network` on `device`, which has learned by `config` and `normalization`.
    pub fn new(
        network: C,
        config: &ArrhythmiaConfig,
        normalization: Normalization,
        device: &Device,
    ) -> Self {
        Self {
            network,
            config: config.clone(),
            normalization,
            device: device.clone(),
        }
    }

    /// Decides about a segment of one channel.
    ///
    /// # Errors
    /// [`TrainingError::NotFinite`] where the network gives no number.
    pub fn decide(&self, segment: &[f32]) -> Result<Decision, TrainingError> {
        let task = ArrhythmiaDetection::new(
            Samples {
                shape: [1, 1, segment.len()],
                values: Values::Floats(segment.to_vec()),
                labels: vec![0],
                classes: SEGMENT_CLASSES.len(),
                class_names: Vec::new(),
                normalization: self.normalization.clone(),
                origins: None,
                masks: None,
            },
            &self.config,
        );
        let batch: Segments = task.batch(&[0], &self.device)?;
        let output = task.forward(&self.network, &batch);
        Learn::<C>::fits(&task, &output, &batch)?;
        let probability = task.probabilities(output, 1)?[0][0];
        Ok(Decision {
            alarm: self.config.is_alarm(probability),
            probability,
        })
    }
}
