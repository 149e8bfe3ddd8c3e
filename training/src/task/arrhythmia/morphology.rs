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
    /// time runs faster, the segment is mirrored at its end.
    pub stretch: f64,
    /// The shape of the beats changes by a random filter of nine taps: 1 in the middle, plus normal numbers whose standard deviation is a
    /// third of this; 0 for none.
    pub filter: f64,
    /// Turns the sign of every second segment, at random.
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
        for (key, value, most) in [
            ("task.morphology.filter", self.filter, 10.0),
            ("task.morphology.noise", self.noise, 10.0),
            ("task.morphology.modulation", self.modulation, 1.0),
        ] {
            if !(0.0..=most).contains(&value) {
                return Err(TrainingError::setting(
                    key,
                    value,
                    if most > 1.0 {
                        "a number from 0 to 10; 0 for none"
                    } else {
                        "a number from 0 to 1; 0 for none"
                    },
                ));
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
