//! A labelled set of images in memory.

use burn::tensor::{Device, Int, Tensor, TensorData};
use crossburn_checkpoints::checksum;
use crossburn_noise::Philox;

use super::Augmentation;

/// Mean and standard deviation per channel, of pixels in 0..=1.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalization {
    /// Mean per channel.
    pub mean: Vec<f32>,
    /// Standard deviation per channel.
    pub std: Vec<f32>,
}

/// Images of one shape with their labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// `[channels, height, width]`.
    pub shape: [usize; 3],
    /// Pixels, image by image, channel by channel, row by row.
    pub pixels: Vec<u8>,
    /// One label per image, below `classes`.
    pub labels: Vec<u16>,
    /// Number of classes.
    pub classes: usize,
    /// What networks see: `(pixel / 255 - mean) / std`.
    pub normalization: Normalization,
}

impl Samples {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Bytes of one image.
    pub fn sample_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The pixels of image `index`.
    ///
    /// # Panics
    /// When `index` is not below [`len`](Self::len), as everywhere an image is asked for by its index.
    pub fn sample(&self, index: usize) -> &[u8] {
        let bytes = self.sample_len();
        &self.pixels[index * bytes..(index + 1) * bytes]
    }

    /// Outputs that a network needs for these images: one for every class, and for every label.
    pub fn outputs_needed(&self) -> usize {
        let largest = self.labels.iter().max();
        largest.map_or(self.classes, |label| {
            self.classes.max(usize::from(*label) + 1)
        })
    }

    /// A digest of everything that networks see of it: shape, classes, normalization, labels and pixels, in order. The same
    /// images have it wherever they lie; it finds a mistake, not an attack.
    pub fn digest(&self) -> String {
        let Normalization { mean, std } = &self.normalization;
        let numbers = |values: &[f32]| -> Vec<u32> { values.iter().map(|v| v.to_bits()).collect() };
        let labels: Vec<u8> = self
            .labels
            .iter()
            .flat_map(|label| label.to_le_bytes())
            .collect();
        let parts = format!(
            "{:?} {} {:?} {:?} {} {}",
            self.shape,
            self.classes,
            numbers(mean),
            numbers(std),
            checksum(&labels),
            checksum(&self.pixels)
        );
        checksum(parts.as_bytes())
    }

    /// The first `count` images and the rest.
    pub fn split_at(&self, count: usize) -> (Self, Self) {
        let count = count.min(self.len());
        let (pixels, other_pixels) = self.pixels.split_at(count * self.sample_len());
        let (labels, other_labels) = self.labels.split_at(count);
        let part = |pixels: &[u8], labels: &[u16]| Self {
            pixels: pixels.to_vec(),
            labels: labels.to_vec(),
            normalization: self.normalization.clone(),
            ..*self
        };
        (part(pixels, labels), part(other_pixels, other_labels))
    }

    /// The images at `indices`, normalized: `[indices, channels, height, width]`.
    pub fn inputs(&self, indices: &[usize], device: &Device) -> Tensor<4> {
        self.tensor(indices, device, |index, out| {
            out.copy_from_slice(self.sample(index))
        })
    }

    /// Like [`inputs`](Self::inputs), each image augmented by its own stream of `key`.
    pub fn augmented_inputs(
        &self,
        indices: &[usize],
        augmentation: &Augmentation,
        key: u64,
        device: &Device,
    ) -> Tensor<4> {
        self.tensor(indices, device, |index, out| {
            augmentation.apply(
                self.sample(index),
                self.shape,
                &Philox::new(key, index as u64),
                out,
            );
        })
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

    fn tensor(
        &self,
        indices: &[usize],
        device: &Device,
        pixels: impl Fn(usize, &mut [u8]),
    ) -> Tensor<4> {
        let [channels, height, width] = self.shape;
        let plane = height * width;
        let mut values = Vec::with_capacity(indices.len() * self.sample_len());
        let mut image = vec![0; self.sample_len()];
        for &index in indices {
            pixels(index, &mut image);
            for (channel, plane) in image.chunks(plane.max(1)).enumerate() {
                let (mean, std) = (
                    self.normalization.mean[channel],
                    self.normalization.std[channel],
                );
                values.extend(
                    plane
                        .iter()
                        .map(|pixel| (f32::from(*pixel) / 255.0 - mean) / std),
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
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    /// Three images of two channels, 1 x 2.
    fn set() -> Samples {
        Samples {
            shape: [2, 1, 2],
            pixels: vec![0, 51, 102, 153, 204, 255, 0, 255, 1, 2, 3, 4],
            labels: vec![2, 0, 1],
            classes: 3,
            normalization: Normalization {
                mean: vec![0.5, 0.2],
                std: vec![0.5, 0.1],
            },
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
            changed(|set| set.pixels[5] ^= 1),
            changed(|set| set.labels[0] = 1),
            changed(|set| set.labels.swap(0, 1)),
            changed(|set| set.shape = [1, 2, 2]),
            changed(|set| set.classes = 4),
            changed(|set| set.normalization.std[1] = 0.2),
            set().split_at(2).0.digest(),
        ];
        for (index, other) in others.iter().enumerate() {
            assert!(
                *other != same && !others[..index].contains(other),
                "{index}"
            );
        }
    }

    #[test]
    fn parts_hold_everything_once() {
        let (first, rest) = set().split_at(2);
        assert_eq!(
            (first.len(), rest.len(), rest.sample(0)),
            (2, 1, [1, 2, 3, 4].as_slice())
        );
        assert_eq!([first.pixels, rest.pixels].concat(), set().pixels);
        let (all, nothing) = set().split_at(7);
        assert!(all == set() && nothing.is_empty());
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
