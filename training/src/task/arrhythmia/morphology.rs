//! Segments as other patients could have them, to learn from.

use std::f64::consts::TAU;

use burn::tensor::{Tensor, TensorData};
use crossburn_noise::{Philox, path_hash};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{ArrhythmiaDetection, Labelled};
use crate::TrainingError;
use crate::data::signal::BandPass;
use crate::weight_gradients::values;

/// Taps of a random filter: 36 ms at 250 samples a second, about the width of a deflection.
const TAPS: usize = 9;
/// Periods of a modulation in a segment, at least and at most.
const PERIODS: [f64; 2] = [1.0, 10.0];

/// How a segment is changed each time that a network learns from it: patients differ in the shape of their beats, in the polarity of the
/// lead, in rate and in noise. In recipes the table `[task.morphology]`. Networks are judged on segments as they are.
///
/// Changes follow the order of the fields. All are drawn anew in every epoch, and all channels of a segment change alike, except that noise
/// is drawn for each channel.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MorphologyConfig {
    /// Time runs faster or slower by a factor between one over this number and this number, whose logarithm is uniform; 1 for none. Where
    /// time runs faster, the signal ends early and its mirror image follows.
    pub stretch: f64,
    /// The shape of the beats changes by a random filter of nine taps: 1 in the middle, plus normal numbers whose standard deviation is a
    /// third of this; 0 for none.
    pub filter: f64,
    /// Turns the sign of a segment with probability 1/2.
    pub invert: bool,
    /// Adds noise in the pass band of a detector, with a standard deviation between 0 and this part of that of the segment; 0 for none.
    pub noise: f64,
    /// Heights rise and fall like a sine of 1 to 10 periods in the segment, by a part of them between 0 and this number; 0 for none.
    pub modulation: f64,
    /// The segment begins at a random place. What stood before that place follows the end.
    pub rotate: bool,
}

impl Default for MorphologyConfig {
    fn default() -> Self {
        Self {
            stretch: 1.0,
            filter: 0.0,
            invert: false,
            noise: 0.0,
            modulation: 0.0,
            rotate: false,
        }
    }
}

/// The numbers of the draws of a segment. Its filter and its noise have streams of their own.
#[derive(Clone, Copy)]
enum Draw {
    Stretch,
    Invert,
    Noise,
    Depth,
    Periods,
    Phase,
    Rotate,
}

impl MorphologyConfig {
    /// Whether segments stay as they are.
    pub(super) fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`TrainingError::Setting`] with the first bad key.
    pub(super) fn check(&self) -> Result<(), TrainingError> {
        if !(1.0..=2.0).contains(&self.stretch) {
            return Err(TrainingError::setting(
                "task.morphology.stretch",
                self.stretch,
                "a factor from 1 to 2; 1 for none",
            ));
        }
        let to_ten = (10.0, "a number from 0 to 10; 0 for none");
        let to_one = (1.0, "a number from 0 to 1; 0 for none");
        for (key, value, (most, remedy)) in [
            ("task.morphology.filter", self.filter, to_ten),
            ("task.morphology.noise", self.noise, to_ten),
            ("task.morphology.modulation", self.modulation, to_one),
        ] {
            if !(0.0..=most).contains(&value) {
                return Err(TrainingError::setting(key, value, remedy));
            }
        }
        Ok(())
    }

    /// Changes the segment of item `item`, channels of `points` values one after the other, as the draws of `key` say.
    pub(super) fn change(&self, segment: &mut [f32], points: usize, key: u64, item: u64) {
        let stream = |purpose: &str| Philox::new(key ^ path_hash(purpose), item);
        let draws = stream("morphology");
        let uniform = |draw: Draw| draws.uniform(draw as u64);
        let factor = self.stretch.powf(2.0 * uniform(Draw::Stretch) - 1.0);
        let mut taps = [0.0; TAPS];
        stream("morphology filter").fill_normal(&mut taps);
        let mut taps = taps.map(|normal| self.filter / (TAPS as f64).sqrt() * f64::from(normal));
        taps[TAPS / 2] += 1.0;
        let inverted = self.invert && uniform(Draw::Invert) < 0.5;
        let noise = self.noise * uniform(Draw::Noise);
        let depth = self.modulation * uniform(Draw::Depth);
        let [fewest, most] = PERIODS;
        let periods = fewest + (most - fewest) * uniform(Draw::Periods);
        let phase = TAU * uniform(Draw::Phase);
        let first = match self.rotate {
            true => draws.below(Draw::Rotate as u64, points as u32) as usize,
            false => 0,
        };
        for (channel, values) in segment.chunks_mut(points.max(1)).enumerate() {
            if self.stretch > 1.0 {
                stretch(values, factor);
            }
            if self.filter > 0.0 {
                filter(values, &taps);
            }
            if inverted {
                values.iter_mut().for_each(|value| *value = -*value);
            }
            if self.noise > 0.0 {
                add_noise(
                    values,
                    noise,
                    &stream(&format!("morphology noise {channel}")),
                );
            }
            if self.modulation > 0.0 {
                for (index, value) in values.iter_mut().enumerate() {
                    let turn = TAU * periods * index as f64 / points as f64 + phase;
                    *value *= (1.0 + depth * turn.sin()) as f32;
                }
            }
            values.rotate_left(first);
        }
    }
}

impl ArrhythmiaDetection {
    /// Segments of `items` as other patients could have them, by the draws of `key`.
    pub(super) fn changed(
        &self,
        labelled: Labelled,
        items: &[usize],
        key: u64,
    ) -> Result<Labelled, TrainingError> {
        let morphology = &self.config.morphology;
        if morphology.is_none() {
            return Ok(labelled);
        }
        let (shape, device) = (labelled.inputs.dims(), labelled.inputs.device());
        let [_, channels, height, width] = shape;
        let points = height * width;
        let mut segments = values(labelled.inputs)?;
        segments
            .par_chunks_mut((channels * points).max(1))
            .zip(items)
            .for_each(|(segment, item)| {
                let place = self.classes.place(*item) as u64;
                morphology.change(segment, points, key, place);
            });
        Ok(Labelled {
            inputs: Tensor::from_data(TensorData::new(segments, shape), &device),
            ..labelled
        })
    }
}

/// `values` with the value at `factor` times its time at each time, by cubic interpolation (Catmull and Rom).
fn stretch(values: &mut [f32], factor: f64) {
    let source = values.to_vec();
    let last = source.len() as isize - 1;
    // Mirrored at both ends; a factor of at most 2 reaches no further.
    let at = |index: isize| {
        let index = index.abs();
        let index = if index > last {
            2 * last - index
        } else {
            index
        };
        f64::from(source[index.clamp(0, last) as usize])
    };
    for (index, value) in values.iter_mut().enumerate() {
        let time = factor * index as f64;
        let before = time.floor();
        let (place, t) = (before as isize, time - before);
        let [a, b, c, d] = [at(place - 1), at(place), at(place + 1), at(place + 2)];
        let bent =
            t * (t * (t * (3.0 * (b - c) + d - a) + 2.0 * a - 5.0 * b + 4.0 * c - d) + c - a);
        *value = (b + 0.5 * bent) as f32;
    }
}

/// `values` through a filter with these taps, whose middle stands for the same time; before and after the segment there are zeros.
fn filter(values: &mut [f32], taps: &[f64]) {
    let source = values.to_vec();
    for (index, value) in values.iter_mut().enumerate() {
        let products = taps.iter().enumerate().filter_map(|(tap, weight)| {
            let place = (index + tap).checked_sub(taps.len() / 2)?;
            Some(weight * f64::from(*source.get(place)?))
        });
        *value = products.sum::<f64>() as f32;
    }
}

/// Adds noise in the pass band of a detector, of `part` of the standard deviation of `values`.
fn add_noise(values: &mut [f32], part: f64, draws: &Philox) {
    let mut noise = vec![0.0; values.len()];
    draws.fill_normal(&mut noise);
    let noise = BandPass::of_segments().zero_phase(&noise);
    let (spread, own) = (spread(values), spread(&noise));
    if own > 0.0 {
        let factor = (part * spread / own) as f32;
        for (value, noise) in values.iter_mut().zip(noise) {
            *value += factor * noise;
        }
    }
}

/// The standard deviation of `values`.
fn spread(values: &[f32]) -> f64 {
    let count = values.len().max(1) as f64;
    let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
    let squares = values
        .iter()
        .map(|value| (f64::from(*value) - mean).powi(2));
    (squares.sum::<f64>() / count).sqrt()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    const POINTS: usize = 1250;

    /// A sine of `frequency` in Hz.
    fn sine(frequency: f64) -> Vec<f32> {
        let at = |index: usize| (TAU * frequency * index as f64 / 250.0).sin() as f32;
        (0..POINTS).map(at).collect()
    }

    fn changed(morphology: MorphologyConfig, segment: &[f32], item: u64) -> Vec<f32> {
        let mut segment = segment.to_vec();
        morphology.change(&mut segment, POINTS, 7, item);
        segment
    }

    #[test]
    fn time_runs_faster_and_slower() {
        for factor in [1.0, 0.83, 1.21] {
            let mut found = sine(10.0);
            stretch(&mut found, factor);
            let expected = sine(10.0 * factor);
            // Cubic interpolation of a sine with 25 samples in a period is off by less than 1e-3. At the first point the mirrored
            // neighbour is another than that of a sine; what lies after the end is mirrored.
            let end = (POINTS as f64 / factor.max(1.0)) as usize - 4;
            for (index, (a, b)) in found.iter().zip(expected).take(end).enumerate().skip(4) {
                assert!((a - b).abs() < 1e-3, "{factor} {index} {a} {b}");
            }
        }
        // Twice as fast: the second half is the first one backward.
        let mut ramp: Vec<f32> = (0..101).map(|index| index as f32).collect();
        stretch(&mut ramp, 2.0);
        assert_eq!((ramp[25], ramp[50], ramp[75]), (50.0, 100.0, 50.0));
    }

    #[test]
    fn a_filter_adds_up_shifted_signals() {
        let mut values = [1.0f32, 2.0, 4.0, 8.0];
        filter(&mut values, &[10.0, 1.0, 100.0]);
        // 10 times the value before, the value, 100 times the value after; zeros outside.
        assert_eq!(values, [201.0, 412.0, 824.0, 48.0]);
    }

    #[test]
    fn half_of_the_segments_are_turned_and_all_places_begin_them() {
        let segment: Vec<f32> = (0..POINTS).map(|index| index as f32 + 1.0).collect();
        let both = MorphologyConfig {
            invert: true,
            rotate: true,
            ..MorphologyConfig::default()
        };
        let (mut turned, mut early) = (0, 0);
        for item in 0..400 {
            let found = changed(both, &segment, item);
            let sign = found[0].signum();
            turned += usize::from(sign < 0.0);
            let first = (sign * found[0]) as usize - 1;
            early += usize::from(first < POINTS / 4);
            let expected = (0..POINTS).map(|index| sign * segment[(first + index) % POINTS]);
            assert!(found.iter().copied().eq(expected), "{item}");
        }
        // Four standard errors of 400 draws with probability 1/2 are 40, with 1/4 they are 35.
        assert!((160..=240).contains(&turned), "{turned}");
        assert!((65..=135).contains(&early), "{early}");
    }

    #[test]
    fn noise_has_its_part_of_the_spread_and_lies_in_the_band() {
        let segment = sine(30.0);
        let noisy = MorphologyConfig {
            noise: 0.5,
            ..MorphologyConfig::default()
        };
        let (mut mean, mut slow, mut all) = (0.0, 0.0, 0.0);
        for item in 0..200 {
            let found = changed(noisy, &segment, item);
            let noise: Vec<f32> = found.iter().zip(&segment).map(|(a, b)| a - b).collect();
            let part = spread(&noise) / spread(&segment);
            assert!(part <= 0.5 + 1e-5, "{part}");
            mean += part / 200.0;
            // Means over a quarter of a second hold what is slower than some 4 Hz.
            let slowly = noise
                .chunks_exact(62)
                .map(|few| few.iter().sum::<f32>() / few.len() as f32);
            slow += slowly.map(|x| f64::from(x * x) * 62.0).sum::<f64>();
            all += noise.iter().map(|x| f64::from(x * x)).sum::<f64>();
        }
        // Uniform from 0 to 0.5: mean 0.25, standard error 0.01.
        assert!((mean - 0.25).abs() < 0.04, "{mean}");
        // White noise would have 1/62 of its energy there, flat noise from 15 to 55 Hz a sixteenth of that.
        assert!(slow < 0.2 * all / 62.0, "{slow} {all}");
    }

    #[test]
    fn heights_rise_and_fall_within_the_depth() {
        let modulated = MorphologyConfig {
            modulation: 0.4,
            ..MorphologyConfig::default()
        };
        let mut most = 0.0f32;
        for item in 0..200 {
            for value in changed(modulated, &[1.0; POINTS], item) {
                most = most.max((value - 1.0).abs());
            }
        }
        // The largest of 200 uniform depths is above 0.95 of the range but for a chance of 4e-5.
        assert!(most <= 0.4 + 1e-6 && most > 0.38, "{most}");
    }

    #[test]
    fn nothing_is_changed_where_nothing_is_asked_for() {
        let segment = sine(17.0);
        assert_eq!(changed(MorphologyConfig::default(), &segment, 3), segment);
        // Of two channels, each keeps its place.
        let mut two = [sine(17.0), sine(23.0)].concat();
        let filtered = MorphologyConfig {
            filter: 0.6,
            stretch: 1.2,
            ..MorphologyConfig::default()
        };
        filtered.change(&mut two, POINTS, 7, 5);
        assert_eq!(two[..POINTS], changed(filtered, &sine(17.0), 5));
        assert_eq!(two[POINTS..], changed(filtered, &sine(23.0), 5));
    }

    #[test]
    fn numbers_that_cannot_be_used_are_refused() {
        let message = |text: &str| {
            let morphology: MorphologyConfig = toml::from_str(text).unwrap();
            morphology.check().unwrap_err().to_string()
        };
        for (text, key) in [
            ("stretch = 0.9", "task.morphology.stretch"),
            ("stretch = 2.5", "task.morphology.stretch"),
            ("filter = -1.0", "task.morphology.filter"),
            ("noise = nan", "task.morphology.noise"),
            ("modulation = 1.5", "task.morphology.modulation"),
        ] {
            let found = message(text);
            assert!(found.starts_with(key), "{found}");
        }
        assert!(MorphologyConfig::default().check().is_ok());
        assert!(toml::from_str::<MorphologyConfig>("shift = 1").is_err());
    }
}
