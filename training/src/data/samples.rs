//! A labelled set of samples: images, signals or feature rows.

use std::path::Path;

use burn::tensor::{Device, Int, Tensor, TensorData};
use crossburn_checkpoints::{Checksum, checksum};
use crossburn_noise::Philox;
use serde::{Deserialize, Serialize};

use super::{Augmentation, Masks, Origins, Sample, Values};
use crate::TrainingError;

/// Samples that are read at a time by a pass over a whole set: enough work for all cores, and little enough for memory.
const READ_AT_ONCE: usize = 256;

/// Most bytes of file samples that are on a device at once while networks are judged. On the device they are 32-bit floats.
const MOST_JUDGED: usize = 1 << 30;

/// The normalization of a value `x`: networks see `(x - mean) / std`. A byte counts as `byte / 255`, a 32-bit float as itself.
///
/// There is one mean and one standard deviation per channel, or per value of a sample, as for the columns of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalization {
    /// Means.
    pub mean: Vec<f32>,
    /// Standard deviations, one for each mean.
    pub std: Vec<f32>,
}

impl Normalization {
    /// The identity for values of `channels` channels.
    pub fn none(channels: usize) -> Self {
        Self {
            mean: vec![0.0; channels],
            std: vec![1.0; channels],
        }
    }
}

/// Samples of one shape with their labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// `[channels, height, width]`. A signal of L points is `[channels, 1, L]`; a row of n features is `[1, 1, n]`.
    pub shape: [usize; 3],
    /// The values, before normalization.
    pub values: Values,
    /// One label per sample, below `classes`.
    pub labels: Vec<u16>,
    /// Number of classes.
    pub classes: usize,
    /// The names of the classes, in the order of their labels; empty if classes have no names besides their numbers.
    pub class_names: Vec<String>,
    /// How values are normalized.
    pub normalization: Normalization,
    /// The groups that they belong to and the order in which they were recorded, if known.
    pub origins: Option<Origins>,
    /// Which of their pixels belong to the brain and which to a lesion, if known.
    pub masks: Option<Masks>,
}

impl Samples {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Number of values of one sample.
    pub fn sample_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Number of values of one channel of a sample.
    fn plane(&self) -> usize {
        self.shape[1] * self.shape[2]
    }

    /// The values of sample `index`, before normalization.
    ///
    /// # Panics
    /// If `index` is not below [`len`](Self::len), as for every function that takes the index of a sample.
    pub fn sample(&self, index: usize) -> Sample<'_> {
        self.values.sample(index, self.sample_len())
    }

    /// Fails if a sample could no longer be read when it was needed: an image whose file is gone or replaced, or an array in a file that was cut or
    /// written to. [`inputs`](Self::inputs) and digests see zeros in place of such a sample.
    ///
    /// # Errors
    /// [`TrainingError::Data`] that names the file.
    pub fn check_read(&self) -> Result<(), TrainingError> {
        match &self.values {
            Values::Streamed(streamed) => streamed.check_read(),
            Values::Bytes(_) | Values::Floats(_) => Ok(()),
        }
    }

    /// How many samples may be on a device at a time while networks are judged: all that are in memory, or 1 GiB of those in files.
    pub(crate) fn held_at_once(&self) -> usize {
        match &self.values {
            Values::Streamed(_) => MOST_JUDGED / (size_of::<f32>() * self.sample_len()).max(1),
            Values::Bytes(_) | Values::Floats(_) => usize::MAX,
        }
    }

    /// The same samples, which were read at `place`, with another normalization if one is given.
    ///
    /// # Errors
    /// [`TrainingError::Data`] if there is not one mean for each channel.
    pub(super) fn normalized_as(
        self,
        normalization: Option<&Normalization>,
        place: &Path,
    ) -> Result<Self, TrainingError> {
        let Some(normalization) = normalization.cloned() else {
            return Ok(self);
        };
        let (means, channels) = (normalization.mean.len(), self.shape[0]);
        match means == channels {
            true => Ok(Self {
                normalization,
                ..self
            }),
            false => Err(TrainingError::data(
                place.display().to_string(),
                format!("its samples have {channels} channels, mean= has {means} numbers"),
                "give one mean and one std to each channel",
            )),
        }
    }

    /// The name of a class, or its number if it has no name.
    pub fn class_name(&self, class: usize) -> String {
        let name = self.class_names.get(class);
        name.cloned().unwrap_or_else(|| class.to_string())
    }

    /// Number of outputs that a network needs for these samples: one per class, and enough for the largest label.
    pub fn outputs_needed(&self) -> usize {
        let largest = self.labels.iter().max();
        largest.map_or(self.classes, |label| {
            self.classes.max(usize::from(*label) + 1)
        })
    }

    /// A digest of all that networks and reports see: shape, names of the classes, normalization, labels, values in order, and masks. It does not
    /// depend on where the samples are stored. It detects mistakes, not attacks.
    pub fn digest(&self) -> String {
        self.digest_of(0..self.len())
    }

    /// The digest of only the samples at `places`, in this order.
    pub fn digest_of(&self, places: impl Iterator<Item = usize>) -> String {
        let Normalization { mean, std } = &self.normalization;
        let numbers = |values: &[f32]| -> Vec<u32> { values.iter().map(|v| v.to_bits()).collect() };
        let (mut labels, mut values) = (Checksum::default(), Checksum::default());
        let mut masks = Checksum::default();
        let places: Vec<usize> = places.collect();
        if let Some(of_all) = &self.masks {
            of_all.add_to(&mut masks, &places, self.plane());
        }
        for places in places.chunks(READ_AT_ONCE) {
            for place in places {
                labels.add(&self.labels[*place].to_le_bytes());
            }
            for sample in self.values.samples(places, self.sample_len()) {
                match sample {
                    Sample::Bytes(bytes) => values.add(&bytes),
                    Sample::Floats(floats) => {
                        let bytes: Vec<u8> = floats.iter().flat_map(|v| v.to_le_bytes()).collect();
                        values.add(&bytes);
                    }
                }
            }
        }
        let kind = match self.values.are_bytes() {
            true => "",
            false => "floats ",
        };
        let mut parts = format!(
            "{:?} {} {:?} {:?} {labels} {kind}{values}",
            self.shape,
            self.classes,
            numbers(mean),
            numbers(std),
        );
        if !self.class_names.is_empty() {
            parts += &format!(" {:?}", self.class_names);
        }
        if self.masks.is_some() {
            parts += &format!(" masks {masks}");
        }
        checksum(parts.as_bytes())
    }

    /// The first `count` samples, and the rest.
    pub fn split_at(&self, count: usize) -> (Self, Self) {
        let count = count.min(self.len());
        let (values, other_values) = self.values.split_at(count, self.sample_len());
        let (labels, other_labels) = self.labels.split_at(count);
        let (origins, other_origins) = match &self.origins {
            Some(origins) => {
                let (first, rest) = origins.split_at(count);
                (Some(first), Some(rest))
            }
            None => (None, None),
        };
        let (masks, other_masks) = match &self.masks {
            Some(masks) => {
                let (first, rest) = masks.split_at(count, self.plane());
                (Some(first), Some(rest))
            }
            None => (None, None),
        };
        let part = |values, labels: &[u16], origins, masks| Self {
            values,
            labels: labels.to_vec(),
            class_names: self.class_names.clone(),
            normalization: self.normalization.clone(),
            origins,
            masks,
            ..*self
        };
        (
            part(values, labels, origins, masks),
            part(other_values, other_labels, other_origins, other_masks),
        )
    }

    /// The samples at `indices`, in this order.
    pub(super) fn gather(&self, indices: &[usize]) -> Self {
        Self {
            values: self.values.gather(indices, self.sample_len()),
            labels: indices.iter().map(|index| self.labels[*index]).collect(),
            class_names: self.class_names.clone(),
            normalization: self.normalization.clone(),
            origins: self.origins.as_ref().map(|origins| origins.gather(indices)),
            masks: (self.masks.as_ref()).map(|masks| masks.gather(indices, self.plane())),
            ..*self
        }
    }

    /// The samples at `indices`, normalized: `[indices, channels, height, width]`.
    pub fn inputs(&self, indices: &[usize], device: &Device) -> Tensor<4> {
        self.tensors(
            indices,
            device,
            |_, bytes, out| out.copy_from_slice(bytes),
            |_, floats, out| out.copy_from_slice(floats),
            |_| 1.0,
        )
    }

    /// Like [`inputs`](Self::inputs), but each sample is augmented by its own stream of `key`.
    pub fn augmented_inputs(
        &self,
        indices: &[usize],
        augmentation: &Augmentation,
        key: u64,
        device: &Device,
    ) -> Tensor<4> {
        let stream = |index: usize| Philox::new(key, index as u64);
        self.tensors(
            indices,
            device,
            |index, bytes, out| augmentation.apply(bytes, self.shape, &stream(index), out),
            |index, floats, out| augmentation.apply(floats, self.shape, &stream(index), out),
            |index| augmentation.factor(&stream(index)),
        )
    }

    /// The labels at `indices`: `[indices]`.
    pub fn targets(&self, indices: &[usize], device: &Device) -> Tensor<1, Int> {
        let labels: Vec<i64> = indices
            .iter()
            .map(|&index| i64::from(self.labels[index]))
            .collect();
        let count = labels.len();
        Tensor::from_data(TensorData::new(labels, [count]), device)
    }

    /// The samples at `indices`, written by `of_bytes` or `of_floats`, multiplied by `factor` and normalized. The two functions get the index, the
    /// sample and the place to write to.
    fn tensors(
        &self,
        indices: &[usize],
        device: &Device,
        of_bytes: impl Fn(usize, &[u8], &mut [u8]),
        of_floats: impl Fn(usize, &[f32], &mut [f32]),
        factor: impl Fn(usize) -> f32,
    ) -> Tensor<4> {
        match self.values.are_bytes() {
            true => self.tensor(indices, device, shade, factor, |index, sample, out| {
                if let Sample::Bytes(bytes) = sample {
                    of_bytes(index, bytes, out);
                }
            }),
            false => self.tensor(indices, device, float, factor, |index, sample, out| {
                if let Sample::Floats(floats) = sample {
                    of_floats(index, floats, out);
                }
            }),
        }
    }

    /// The samples at `indices`, written by `fill`, multiplied by `factor` and normalized; `number` converts a value to a float.
    fn tensor<T: Copy + Default>(
        &self,
        indices: &[usize],
        device: &Device,
        number: impl Fn(T) -> f32,
        factor: impl Fn(usize) -> f32,
        fill: impl Fn(usize, &Sample<'_>, &mut [T]),
    ) -> Tensor<4> {
        let [channels, height, width] = self.shape;
        let plane = height * width;
        let Normalization { mean, std } = &self.normalization;
        let mut values = Vec::with_capacity(indices.len() * self.sample_len());
        let mut sample = vec![T::default(); self.sample_len()];
        let samples = self.values.samples(indices, self.sample_len());
        for (&index, stored) in indices.iter().zip(&samples) {
            let factor = factor(index);
            fill(index, stored, &mut sample);
            if mean.len() != channels {
                let scales = mean.iter().zip(std);
                values.extend(
                    sample
                        .iter()
                        .zip(scales)
                        .map(|(value, (mean, std))| (number(*value) * factor - mean) / std),
                );
                continue;
            }
            for (channel, plane) in sample.chunks(plane.max(1)).enumerate() {
                let (mean, std) = (mean[channel], std[channel]);
                values.extend(
                    plane
                        .iter()
                        .map(|value| (number(*value) * factor - mean) / std),
                );
            }
        }
        Tensor::from_data(
            TensorData::new(values, [indices.len(), channels, height, width]),
            device,
        )
    }
}

#[cfg(test)]
#[allow(clippy::panic, reason = "for tests of sets whose type is known")]
impl Samples {
    /// The values of all samples, which must be bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        match &self.values {
            Values::Bytes(bytes) => bytes,
            _ => panic!("these are no bytes in memory"),
        }
    }

    /// The values of all samples, which must be floats.
    pub(super) fn floats(&self) -> &[f32] {
        match &self.values {
            Values::Floats(floats) => floats,
            _ => panic!("these are no floats in memory"),
        }
    }

    /// The bytes of one sample.
    pub(super) fn image(&self, index: usize) -> &[u8] {
        &self.bytes()[index * self.sample_len()..][..self.sample_len()]
    }
}

/// The number that a byte stands for.
fn shade(pixel: u8) -> f32 {
    f32::from(pixel) / 255.0
}

/// The number that a float stands for.
fn float(value: f32) -> f32 {
    value
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    /// Three images of two channels, 1 x 2.
    fn set() -> Samples {
        Samples {
            shape: [2, 1, 2],
            values: Values::Bytes(vec![0, 51, 102, 153, 204, 255, 0, 255, 1, 2, 3, 4]),
            labels: vec![2, 0, 1],
            classes: 3,
            class_names: Vec::new(),
            normalization: Normalization {
                mean: vec![0.5, 0.2],
                std: vec![0.5, 0.1],
            },
            origins: None,
            masks: None,
        }
    }

    #[test]
    fn images_are_normalized_per_channel_in_the_order_asked_for() {
        let device = Device::flex();
        let images = set().inputs(&[1, 0], &device);
        assert_eq!(images.dims(), [2, 2, 1, 2]);
        let values: Vec<f32> = images.into_data().try_to_vec().unwrap();
        // By hand: 204 / 255 = 0.8, so (0.8 - 0.5) / 0.5 = 0.6 in channel 0; (0 - 0.2) / 0.1 = -2 in channel 1.
        let expected = [0.6, 1.0, -2.0, 8.0, -1.0, -0.6, 2.0, 4.0];
        // Three roundings of numbers up to 8.
        assert!(
            values
                .iter()
                .zip(expected)
                .all(|(value, expected)| (value - expected).abs() < 4e-6),
            "{values:?}"
        );
        let targets = set().targets(&[1, 0], &device);
        assert_eq!(
            targets.into_data().iter::<i64>().collect::<Vec<_>>(),
            [0, 2]
        );
    }

    #[test]
    fn augmentation_depends_on_key_and_image_not_on_the_batch() {
        let (set, device) = (set(), Device::flex());
        let values = |indices: &[usize], augmentation: Augmentation, key| -> Vec<f32> {
            set.augmented_inputs(indices, &augmentation, key, &device)
                .into_data()
                .try_to_vec()
                .unwrap()
        };
        let plain: Vec<f32> = set
            .inputs(&[0, 2], &device)
            .into_data()
            .try_to_vec()
            .unwrap();
        assert_eq!(values(&[0, 2], Augmentation::default(), 9), plain);
        let augmentation = Augmentation {
            crop_padding: 1,
            flip: true,
            ..Augmentation::default()
        };
        assert_eq!(
            values(&[0, 1, 2], augmentation, 9)[8..],
            values(&[2], augmentation, 9)
        );
        assert!(
            (0..20).any(|key| values(&[2], augmentation, key) != values(&[2], augmentation, 9))
        );
    }

    #[test]
    fn another_image_label_order_or_scale_has_another_digest() {
        let changed = |change: fn(&mut Samples)| {
            let mut set = set();
            change(&mut set);
            set.digest()
        };
        let same = set().digest();
        assert_eq!(changed(|_| {}), same);
        let others = [
            changed(|set| {
                if let Values::Bytes(bytes) = &mut set.values {
                    bytes[5] ^= 1;
                }
            }),
            changed(|set| set.values = Values::Floats(vec![1.0; 12])),
            changed(|set| {
                set.values = Values::Floats([vec![1.0; 11], vec![1.0 + f32::EPSILON]].concat());
            }),
            changed(|set| set.class_names = ["a", "b", "c"].map(String::from).to_vec()),
            changed(|set| set.class_names = ["a", "c", "b"].map(String::from).to_vec()),
            changed(|set| set.labels[0] = 1),
            changed(|set| set.labels.swap(0, 1)),
            changed(|set| set.shape = [1, 2, 2]),
            changed(|set| set.classes = 4),
            changed(|set| set.normalization.std[1] = 0.2),
            changed(|set| set.masks = Some(masks([1, 0, 1, 1, 0, 0]))),
            changed(|set| set.masks = Some(masks([1, 1, 1, 1, 0, 0]))),
            set().split_at(2).0.digest(),
        ];
        for (index, other) in others.iter().enumerate() {
            assert!(
                *other != same && !others[..index].contains(other),
                "{index}"
            );
        }
    }

    /// Masks of three images of two pixels.
    fn masks(brain: [u8; 6]) -> Masks {
        Masks {
            brain: brain.to_vec(),
            lesion: vec![0, 0, 0, 1, 0, 0],
            reversed: None,
        }
    }

    #[test]
    fn parts_hold_everything_once() {
        let (first, rest) = set().split_at(2);
        assert_eq!(
            (first.len(), rest.len(), rest.sample(0)),
            (2, 1, Sample::Bytes(vec![1, 2, 3, 4].into()))
        );
        assert_eq!(
            (first.sample(1), first.values.len()),
            (Sample::Bytes(vec![204, 255, 0, 255].into()), 8)
        );
        let (all, nothing) = set().split_at(7);
        assert!(all == set() && nothing.is_empty());
    }

    /// Two rows of three features.
    fn rows() -> Samples {
        Samples {
            shape: [1, 1, 3],
            values: Values::Floats(vec![1.0, -2.0, 30.0, 3.0, 2.0, 10.0]),
            labels: vec![0, 1],
            classes: 2,
            class_names: vec!["low".to_string(), "high".to_string()],
            normalization: Normalization {
                mean: vec![2.0, 0.0, 20.0],
                std: vec![1.0, 2.0, 10.0],
            },
            origins: None,
            masks: None,
        }
    }

    #[test]
    fn features_are_normalized_per_column_and_signals_per_channel() {
        let device = Device::flex();
        let values = |set: &Samples, indices: &[usize]| -> Vec<f32> {
            let inputs = set.inputs(indices, &device);
            inputs.into_data().try_to_vec().unwrap()
        };
        let features = [1.0, 1.0, -1.0, -1.0, -1.0, 1.0];
        assert_eq!(values(&rows(), &[1, 0]), features);
        let signals = Samples {
            shape: [2, 1, 1],
            values: Values::Floats(vec![5.0, 8.0]),
            labels: vec![0],
            normalization: Normalization {
                mean: vec![1.0, 2.0],
                std: vec![4.0, 3.0],
            },
            ..rows()
        };
        assert_eq!(values(&signals, &[0]), [1.0, 2.0]);
        // An augmentation without effect does not change floats.
        let augmented = rows().augmented_inputs(&[1, 0], &Augmentation::default(), 3, &device);
        assert_eq!(augmented.into_data().try_to_vec::<f32>().unwrap(), features);
    }

    #[test]
    fn parts_of_float_sets_keep_names_and_classes_without_names_have_numbers() {
        let (first, rest) = rows().split_at(1);
        assert_eq!(rest.sample(0), Sample::Floats(vec![3.0, 2.0, 10.0].into()));
        assert_eq!(
            (first.class_name(1), rest.class_name(0)),
            ("high".into(), "low".into())
        );
        assert_eq!(set().class_name(2), "2");
    }

    #[test]
    fn a_label_beyond_the_classes_needs_an_output_too() {
        assert_eq!(set().outputs_needed(), 3);
        let beyond = Samples {
            labels: vec![2, 6, 1],
            ..set()
        };
        assert_eq!(beyond.outputs_needed(), 7);
        assert_eq!(set().split_at(0).0.outputs_needed(), 3);
    }
}
