//! Random crop, horizontal flip and gain.

use crossburn_noise::Philox;
use serde::{Deserialize, Serialize};

use crate::TrainingError;

/// Word of the stream that draws the gain. The words before it draw crop and flip.
const FACTOR: u64 = 8;

/// Augmentation of training images, before normalization. An axis of one pixel is not shifted: a signal moves in time alone.
///
/// # Source
/// He et al. 2016 (arXiv 1512.03385), section 4.2: crop of the image padded by 4, and flip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augmentation {
    /// Black pixels (values 0) added on every side before a crop of the original size; 0 for no crop. Numbers above the longer side of the
    /// image count as that side.
    pub crop_padding: usize,
    /// Mirror each image with probability 1/2.
    pub flip: bool,
    /// Multiply each sample by a factor from `1 / gain` to `gain`, whose logarithm is uniform; absent or 1 for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gain: Option<f64>,
}

impl Augmentation {
    /// The factor for one sample. It uses a draw of `generator` that no other augmentation uses.
    pub fn factor(&self, generator: &Philox) -> f32 {
        let gain = self.gain.unwrap_or(1.0);
        gain.powf(2.0 * generator.uniform(FACTOR) - 1.0) as f32
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`TrainingError::Setting`].
    pub fn check(&self) -> Result<(), TrainingError> {
        match self.gain {
            Some(gain) if !(gain.is_finite() && gain >= 1.0) => Err(TrainingError::setting(
                "training.augmentation.gain",
                gain,
                "a factor from 1, or leave it out",
            )),
            _ => Ok(()),
        }
    }

    /// Crops and mirrors `image` of `shape` (`[channels, height, width]`) into `out`, which has the same length, by the first three draws of
    /// `generator`.
    pub fn apply<T: Copy + Default>(
        &self,
        image: &[T],
        shape: [usize; 3],
        generator: &Philox,
        out: &mut [T],
    ) {
        let [_, height, width] = shape;
        let padding = self.crop_padding.min(height.max(width));
        let shift = |draw, length| match length {
            1 => 0,
            _ => generator.below(draw, 2 * padding as u32 + 1) as isize - padding as isize,
        };
        let (down, right) = (shift(0, height), shift(1, width));
        let mirrored = self.flip && generator.below(2, 2) == 1;
        for (plane, target) in image
            .chunks(height * width)
            .zip(out.chunks_mut(height * width))
        {
            for y in 0..height {
                for x in 0..width {
                    let column = if mirrored { width - 1 - x } else { x };
                    let from = (y.checked_add_signed(down), column.checked_add_signed(right));
                    target[y * width + x] = match from {
                        (Some(row), Some(column)) if row < height && column < width => {
                            plane[row * width + column]
                        }
                        _ => T::default(),
                    };
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn every_result_is_a_shift_or_its_mirror() {
        let image: Vec<u8> = (1..=9).collect();
        let augmentation = Augmentation {
            crop_padding: 1,
            flip: true,
            ..Augmentation::default()
        };
        let mut seen = std::collections::BTreeSet::new();
        for stream in 0..400 {
            let mut out = [0; 9];
            augmentation.apply(&image, [1, 3, 3], &Philox::new(1, stream), &mut out);
            seen.insert(out);
        }
        // Nine shifts, each plain and mirrored, are all different for this image.
        assert_eq!(seen.len(), 18);
        assert!(
            seen.contains(&[1, 2, 3, 4, 5, 6, 7, 8, 9])
                && seen.contains(&[3, 2, 1, 6, 5, 4, 9, 8, 7])
        );
        assert!(seen.contains(&[5, 6, 0, 8, 9, 0, 0, 0, 0]));
    }

    #[test]
    fn no_augmentation_changes_nothing_and_any_padding_is_safe() {
        let image: Vec<u8> = (1..=12).collect();
        let mut out = [0; 12];
        Augmentation::default().apply(&image, [2, 2, 3], &Philox::new(1, 0), &mut out);
        assert_eq!(out, image.as_slice());
        let endless = Augmentation {
            crop_padding: usize::MAX,
            flip: false,
            ..Augmentation::default()
        };
        for stream in 0..100 {
            endless.apply(&image, [2, 2, 3], &Philox::new(1, stream), &mut out);
        }
    }

    #[test]
    fn channels_move_together() {
        let image: Vec<u8> = (1..=9).chain(101..=109).collect();
        let mut out = [0; 18];
        for stream in 0..50 {
            let augmentation = Augmentation {
                crop_padding: 1,
                flip: true,
                ..Augmentation::default()
            };
            augmentation.apply(&image, [2, 3, 3], &Philox::new(3, stream), &mut out);
            let (first, second) = out.split_at(9);
            assert!(
                first
                    .iter()
                    .zip(second)
                    .all(|(a, b)| (*a == 0 && *b == 0) || a + 100 == *b),
                "{out:?}"
            );
        }
    }

    #[test]
    fn a_signal_is_shifted_in_time_alone() {
        let signal = [1.5f32, 2.5, 3.5];
        let augmentation = Augmentation {
            crop_padding: 1,
            flip: false,
            ..Augmentation::default()
        };
        let mut seen = std::collections::BTreeSet::new();
        for stream in 0..100 {
            let mut out = [0.0f32; 3];
            augmentation.apply(&signal, [1, 1, 3], &Philox::new(1, stream), &mut out);
            seen.insert(out.map(|value| (value * 2.0) as u32));
        }
        assert_eq!(
            seen.into_iter().collect::<Vec<_>>(),
            [[0, 3, 5], [3, 5, 7], [5, 7, 0]]
        );
    }

    #[test]
    fn factors_lie_around_one_and_none_is_exactly_one() {
        let gain = |gain| Augmentation {
            gain,
            ..Augmentation::default()
        };
        let factors: Vec<f32> = (0..2000)
            .map(|stream| gain(Some(2.0)).factor(&Philox::new(1, stream)))
            .collect();
        assert!(factors.iter().all(|factor| (0.5..=2.0).contains(factor)));
        let logs = factors.iter().map(|factor| f64::from(factor.log2()));
        // Uniform from -1 to 1: mean 0 with standard error 0.013.
        assert!((logs.sum::<f64>() / 2000.0).abs() < 0.05);
        for none in [None, Some(1.0)] {
            assert_eq!(gain(none).factor(&Philox::new(1, 2)), 1.0);
            assert!(gain(none).check().is_ok());
        }
        for bad in [0.5, -2.0, f64::NAN, f64::INFINITY] {
            let message = gain(Some(bad)).check().unwrap_err().to_string();
            assert!(
                message.starts_with("training.augmentation.gain = "),
                "{message}"
            );
        }
    }

    #[test]
    fn unknown_keys_are_refused() {
        assert!(
            serde_json::from_str::<Augmentation>(r#"{"crop_padding": 4, "flip": true}"#).is_ok()
        );
        assert!(serde_json::from_str::<Augmentation>(r#"{"crop": 4}"#).is_err());
    }
}
