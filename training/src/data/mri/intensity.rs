//! Intensities between 0 and 1, and their reversal.

use super::super::options::Options;
use crate::TrainingError;

/// The percentiles of a brain's intensities that become 0 and 1.
const PERCENTILES: [f64; 2] = [0.01, 0.99];

/// Whether intensities are reversed: `1 - x` inside the brain, 0 stays 0 outside.
///
/// # Source
/// Pan et al., "Rethinking Medical Anomaly Detection in Brain MRI: An Image Quality Assessment Perspective", arXiv 2408.08228: it raises the
/// ratio of the mean intensities of lesion and healthy brain, which the structural similarity depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reverse {
    /// They are.
    Yes,
    /// They are not.
    #[default]
    No,
    /// They are where that raises the ratio of the training samples: where the mean intensities of their healthy brain and of their lesions add
    /// up to more than 1.
    Auto,
}

impl Reverse {
    /// The name of the option that says it.
    pub(in super::super) const OPTION: &'static str = "reverse";

    /// Reads the option.
    ///
    /// # Errors
    /// [`TrainingError::SourceOption`].
    pub(in super::super) fn new(options: &Options) -> Result<Self, TrainingError> {
        match options.get(Self::OPTION) {
            None | Some("no") => Ok(Self::No),
            Some("yes") => Ok(Self::Yes),
            Some("auto") => Ok(Self::Auto),
            Some(text) => Err(options.refuse(format!(
                "{}={text} is not allowed: use yes, no or auto",
                Self::OPTION
            ))),
        }
    }

    /// Whether intensities are reversed: as `known` says where it does, as the option says otherwise. `decide` answers for [`Self::Auto`].
    ///
    /// # Errors
    /// Those of `decide`.
    pub(super) fn decided(
        self,
        known: Option<bool>,
        decide: impl FnOnce() -> Result<bool, TrainingError>,
    ) -> Result<bool, TrainingError> {
        match (known, self) {
            (Some(known), _) => Ok(known),
            (None, Self::Yes) => Ok(true),
            (None, Self::No) => Ok(false),
            (None, Self::Auto) => decide(),
        }
    }
}

/// The mean intensities of healthy brain and of lesions, of intensities between 0 and 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Means {
    healthy: (f64, usize),
    lesion: (f64, usize),
}

impl Means {
    /// Adds the pixels of images with their masks, one byte a pixel.
    pub fn add(&mut self, values: &[f32], brain: &[u8], lesion: &[u8]) {
        for ((value, brain), lesion) in values.iter().zip(brain).zip(lesion) {
            let sum = match (brain, lesion) {
                (0, _) => continue,
                (_, 0) => &mut self.healthy,
                _ => &mut self.lesion,
            };
            *sum = (sum.0 + f64::from(*value), sum.1 + 1);
        }
    }

    /// The mean of healthy brain; `None` where there is none.
    pub(super) fn healthy(&self) -> Option<f64> {
        mean(self.healthy)
    }

    /// The mean of lesions inside the brain; `None` where there is none.
    pub(super) fn lesion(&self) -> Option<f64> {
        mean(self.lesion)
    }

    /// The ratio of both, the larger by the smaller (average intensity ratio), of intensities as they are or reversed. Infinite where
    /// the smaller is 0.
    pub fn ratio(&self, reversed: bool) -> Option<f64> {
        let of = |mean: f64| if reversed { 1.0 - mean } else { mean };
        let (healthy, lesion) = (of(self.healthy()?), of(self.lesion()?));
        Some(healthy.max(lesion) / healthy.min(lesion))
    }

    /// Whether reversal raises the ratio: `(1 - min) / (1 - max) > max / min`, which is `healthy + lesion > 1`.
    pub(super) fn ask_for_reversal(&self) -> Option<bool> {
        Some(self.healthy()? + self.lesion()? > 1.0)
    }

    /// The same, and in words with the means, which are those of `whose`.
    pub(super) fn decision(&self, whose: &str) -> Option<(bool, String)> {
        let (healthy, lesion) = (self.healthy()?, self.lesion()?);
        let reversed = self.ask_for_reversal()?;
        let sum = if reversed { "more" } else { "not more" };
        let decision = in_words(reversed);
        Some((
            reversed,
            format!(
                "{decision} ({whose} means: healthy {healthy:.3} + lesion {lesion:.3} is {sum} than 1)"
            ),
        ))
    }
}

/// Whether intensities are reversed, in words.
pub fn in_words(reversed: bool) -> &'static str {
    match reversed {
        true => "reversed inside the brain",
        false => "not reversed",
    }
}

fn mean((sum, count): (f64, usize)) -> Option<f64> {
    (count > 0).then(|| sum / count as f64)
}

/// The 1st and the 99th percentile of `values`, which are finite, with linear interpolation between order statistics; `None` where all
/// of them are one value, or there is none.
pub(in super::super) fn range(mut values: Vec<f32>) -> Option<[f32; 2]> {
    values.sort_unstable_by(f32::total_cmp);
    let last = values.len().checked_sub(1)?;
    let range = PERCENTILES.map(|share| {
        let place = share * last as f64;
        let (low, high) = (
            values[place.floor() as usize],
            values[place.ceil() as usize],
        );
        (f64::from(low) + place.fract() * (f64::from(high) - f64::from(low))) as f32
    });
    (range[1] > range[0]).then_some(range)
}

/// `value` clipped to `range` and scaled to 0 to 1.
pub(in super::super) fn scaled(value: f32, [low, high]: [f32; 2]) -> f32 {
    let share = (f64::from(value) - f64::from(low)) / (f64::from(high) - f64::from(low));
    share.clamp(0.0, 1.0) as f32
}

/// Reverses intensities inside the brain.
pub(in super::super) fn reverse(values: &mut [f32], brain: &[u8]) {
    for (value, brain) in values.iter_mut().zip(brain) {
        if *brain == 1 {
            *value = 1.0 - *value;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn percentiles_lie_between_order_statistics() {
        // 0 to 100 out of order: the percentiles are 1 and 99; of 0 to 10 they are 0.1 and 9.9.
        let values: Vec<f32> = (0..101u16).map(|i| f32::from(i * 37 % 101)).collect();
        assert_eq!(range(values).unwrap(), [1.0, 99.0]);
        let found = range((0..11u8).map(f32::from).collect()).unwrap();
        assert_eq!(found, [0.1, 9.9]);
        assert_eq!(scaled(5.0, found), 0.5);
        assert_eq!([scaled(-3.0, found), scaled(10.0, found)], [0.0, 1.0]);
        assert_eq!(range(vec![2.0; 9]), None);
        assert_eq!(range(Vec::new()), None);
    }

    #[test]
    fn reversal_is_asked_for_where_it_raises_the_ratio() {
        for (healthy, lesion) in [(0.68f32, 0.77f32), (0.22, 0.33), (0.7, 0.2), (0.3, 0.75)] {
            let mut means = Means::default();
            // The last pixel lies outside the brain.
            means.add(&[healthy, lesion, 1.0], &[1, 1, 0], &[0, 1, 1]);
            let (raw, reversed) = (means.ratio(false).unwrap(), means.ratio(true).unwrap());
            assert_eq!(means.ask_for_reversal(), Some(reversed > raw));
        }
        let mut means = Means::default();
        means.add(&[0.5], &[1], &[0]);
        assert_eq!((means.healthy(), means.lesion()), (Some(0.5), None));
        assert_eq!(means.ask_for_reversal(), None);
        let mut values = [0.25, 0.0, 1.0];
        reverse(&mut values, &[1, 0, 1]);
        assert_eq!(values, [0.75, 0.0, 0.0]);
    }
}
