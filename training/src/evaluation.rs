//! Accuracy of a network, and of a population of its chips.

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use burn::tensor::{Device, Tensor};
use crossburn_hardware::deploy::{Fab, Fidelity, Hardware, MappedNetwork, VariationFab};
use crossburn_hardware::{Quantization, quantize_weights};
use crossburn_models::Classifier;
use crossburn_noise::{ChipSeed, Variation, draw_population};

use crate::TrainingError;
use crate::data::ImageSet;

/// Images on a device, in batches, with their labels on the host. Uploaded once, shared by every chip.
#[derive(Clone, Debug)]
pub struct Batches {
    batches: Vec<(Tensor<4>, Vec<u8>)>,
    images: usize,
}

impl Batches {
    /// All images of `set`, `batch` at a time.
    pub fn new(set: &ImageSet, batch: usize, device: &Device) -> Self {
        let indices: Vec<usize> = (0..set.len()).collect();
        let batches = indices
            .chunks(batch.max(1))
            .map(|chunk| {
                (
                    set.images(chunk, device),
                    chunk.iter().map(|&i| set.labels[i]).collect(),
                )
            })
            .collect();
        Self {
            batches,
            images: set.len(),
        }
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.images
    }

    /// The batches in order.
    pub fn iter(&self) -> impl Iterator<Item = &(Tensor<4>, Vec<u8>)> {
        self.batches.iter()
    }
}

/// Fraction of images that `network` classifies correctly.
///
/// # Errors
/// [`TrainingError::Device`] when the device cannot give the result back.
pub fn accuracy<C: Classifier>(network: &C, batches: &Batches) -> Result<f64, TrainingError> {
    let mut correct = 0;
    for (images, labels) in batches.iter() {
        correct += count_correct(network.forward(images.clone()), labels)?;
    }
    Ok(correct as f64 / batches.images().max(1) as f64)
}

/// How many rows of `logits` have their maximum at the label. A row without any finite value is never correct.
pub(crate) fn count_correct(logits: Tensor<2>, labels: &[u8]) -> Result<usize, TrainingError> {
    let [rows, classes] = logits.dims();
    let values: Vec<f32> = logits
        .into_data()
        .try_to_vec()
        .map_err(|error| TrainingError::Device(format!("{error:?}")))?;
    debug_assert_eq!(rows, labels.len());
    let hit = |(row, label): (&[f32], &u8)| {
        let best = row.iter().enumerate().fold(
            (None, f32::NEG_INFINITY),
            |(best, top), (class, &value)| {
                if value > top {
                    (Some(class), value)
                } else {
                    (best, top)
                }
            },
        );
        best.0 == Some(usize::from(*label))
    };
    Ok(values
        .chunks(classes.max(1))
        .zip(labels)
        .filter(|pair| hit(*pair))
        .count())
}

/// A trained network with the data that its chips are judged on.
#[derive(Debug)]
pub struct Evaluation<C> {
    network: C,
    quantization: Option<Quantization>,
    batches: Batches,
}

impl<C: Classifier> Evaluation<C> {
    /// `network` is taken to evaluation mode; `batches` must be on its inner device.
    pub fn new(network: &C, quantization: Option<Quantization>, batches: Batches) -> Self {
        Self {
            network: network.valid(),
            quantization,
            batches,
        }
    }

    /// Accuracy without variation: quantized weights, as programmed.
    ///
    /// # Errors
    /// See [`accuracy`].
    pub fn clean(&self) -> Result<f64, TrainingError> {
        accuracy(&self.quantized(), &self.batches)
    }

    /// Chips whose weights deviate by `variation`.
    pub fn varied<'a>(&'a self, variation: &'a Variation) -> VariationFab<'a, C> {
        VariationFab {
            network: &self.network,
            quantization: self.quantization,
            variation,
        }
    }

    /// The network, quantized as it was trained, on `hardware`. Ranges are set on the images of `calibration`: those of
    /// converters take a pass through the arrays, which chips at weight fidelity do without.
    ///
    /// # Errors
    /// [`TrainingError::Hardware`].
    pub fn mapped(
        &self,
        hardware: &Hardware,
        fidelity: Fidelity,
        calibration: &Batches,
    ) -> Result<MappedNetwork<C>, TrainingError> {
        let run = |network: &C| {
            for (images, _) in calibration.iter() {
                network.forward(images.clone());
            }
        };
        let images = calibration.images();
        let mapped = MappedNetwork::new(&self.quantized(), hardware, images, run)?;
        Ok(match fidelity {
            Fidelity::Weight => mapped,
            Fidelity::Array => mapped.calibrated(run)?,
        })
    }

    /// Accuracy of `network`, which may be anything that this data fits.
    ///
    /// # Errors
    /// See [`accuracy`].
    pub fn accuracy(&self, network: &C) -> Result<f64, TrainingError> {
        accuracy(network, &self.batches)
    }

    /// Accuracy of one chip, held for all images.
    ///
    /// # Errors
    /// See [`accuracy`], and those of the fab.
    pub fn chip(&self, fab: &impl Fab<C>, chip: ChipSeed) -> Result<f64, TrainingError> {
        accuracy(&fab.chip(chip)?, &self.batches)
    }

    /// Accuracy of the chips `chips` of the population `seed`, in chip order, over all cores.
    ///
    /// `on_chip` hears of every finished chip; setting `stop` ends the run after the chips in flight. Returns what is
    /// finished and whether it was stopped.
    ///
    /// # Errors
    /// See [`accuracy`], and those of the fab.
    pub fn population(
        &self,
        fab: &impl Fab<C>,
        seed: u64,
        chips: Range<u64>,
        on_chip: impl Fn(u64, f64) + Sync,
        stop: &AtomicBool,
    ) -> Result<(Vec<(u64, f64)>, bool), TrainingError> {
        draw_population(seed, chips, |chip| self.chip(fab, chip), on_chip, stop)
    }

    /// Number of test images.
    pub fn images(&self) -> usize {
        self.batches.images()
    }

    fn quantized(&self) -> C {
        quantize_weights(self.network.clone(), self.quantization).materialize()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_nan_is_never_correct() {
        let nan = f32::NAN;
        let logits = Tensor::<2>::from_floats(
            [[nan, nan], [nan, 1.0], [2.0, nan], [0.0, 1.0]],
            &Device::flex(),
        );
        assert_eq!(count_correct(logits, &[0, 1, 0, 0]).unwrap(), 2);
    }
}
