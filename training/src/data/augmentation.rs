//! Random crop and horizontal flip.

use crossburn_noise::Philox;
use serde::{Deserialize, Serialize};

/// Augmentation of training images, before normalization. An axis of one pixel is not shifted: a signal moves in time alone.
///
/// # Source
/// He et al. 2016 (arXiv 1512.03385), section 4.2: crop of the image padded by 4, and flip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augmentation {
    /// Black pixels, or values 0, added on every side before a crop of the original size; 0 for none. More than the image's longer
    /// side counts as that side.
    pub crop_padding: usize,
    /// Mirror every second image, at random.
    pub flip: bool,
}

impl Augmentation {
    /// Augments `image` of `shape` (`[channels, height, width]`) into `out` of the same length; the first three draws
    /// of `generator` decide.
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
mod tests {
    use super::*;

    #[test]
    fn every_result_is_a_shift_or_its_mirror() {
        let image: Vec<u8> = (1..=9).collect();
        let augmentation = Augmentation {
            crop_padding: 1,
            flip: true,
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
    fn unknown_keys_are_refused() {
        assert!(
            serde_json::from_str::<Augmentation>(r#"{"crop_padding": 4, "flip": true}"#).is_ok()
        );
        assert!(serde_json::from_str::<Augmentation>(r#"{"crop": 4}"#).is_err());
    }
}
