//! A procedural set of signals: one to three periods of a sine, a triangle or a square wave, with noise.

use std::f64::consts::TAU;
use std::sync::Arc;

use crossburn_noise::{Philox, path_hash};

use super::endless::Endless;
use super::reader::Kind;
use super::{Normalization, Samples, Values};

/// Number of points of a signal.
const POINTS: usize = 128;
/// The classes, in the order of the labels.
const CLASSES: [&str; 3] = ["sine", "triangle", "square"];
/// Standard deviation of the noise. Waves are between -1 and 1.
const NOISE: f64 = 0.35;

pub(super) const KIND: Kind = Kind {
    name: "waveforms",
    usage: "waveforms",
    open: |_| Ok(Arc::new(WAVEFORMS)),
};

/// The data source. It draws at most 2 GB of values at once.
const WAVEFORMS: Endless = Endless {
    name: "waveforms",
    classes: CLASSES.len(),
    usual: (3000, 1000),
    most: 4_000_000,
    first_test: 1 << 40,
    config: (),
    draw: |(), seed, first, count| waveforms(seed, first, count),
    filter: None,
    steps: |(), _| None,
    slices: |(), _| None,
};

/// The signals `first..first + count` of the endless set `seed`, `[1, 1, 128]` each. The classes sine, triangle and square take turns.
///
/// Frequency (one to three periods), phase and height (0.5 to 1) are drawn for each signal. Noise of standard deviation 0.35 hides much of the
/// difference between a triangle and a sine, so that the task is not trivial.
///
/// ```
/// use crossburn_training::data::waveforms;
///
/// let some = waveforms(1, 0, 6);
/// assert_eq!((some.shape, some.labels.as_slice()), ([1, 1, 128], &[0, 1, 2, 0, 1, 2][..]));
/// assert_eq!(some.class_names, ["sine", "triangle", "square"]);
/// ```
pub fn waveforms(seed: u64, first: u64, count: usize) -> Samples {
    let numbers = first..first + count as u64;
    let label = |number: u64| (number % CLASSES.len() as u64) as u16;
    let signal = |number: u64| {
        let draws = Philox::new(seed ^ path_hash("waveforms"), number);
        let (periods, phase, height) = (
            1.0 + 2.0 * draws.uniform(0),
            draws.uniform(1),
            0.5 + 0.5 * draws.uniform(2),
        );
        let mut noise = vec![0.0f32; POINTS];
        Philox::new(seed ^ path_hash("noise of waveforms"), number).fill_normal(&mut noise);
        let points = noise.into_iter().enumerate().map(move |(point, noise)| {
            let turns = phase + periods * point as f64 / POINTS as f64;
            let wave = match label(number) {
                0 => (TAU * turns).sin(),
                1 => 1.0 - 4.0 * (turns - turns.floor() - 0.5).abs(),
                _ if turns - turns.floor() < 0.5 => 1.0,
                _ => -1.0,
            };
            (height * wave + NOISE * f64::from(noise)) as f32
        });
        points.collect::<Vec<f32>>()
    };
    Samples {
        shape: [1, 1, POINTS],
        values: Values::Floats(numbers.clone().flat_map(signal).collect()),
        labels: numbers.map(label).collect(),
        classes: CLASSES.len(),
        class_names: CLASSES.map(str::to_string).to_vec(),
        // The mean square of a wave of height 3/4 is between 0.19 and 0.56, that of the noise 0.12.
        normalization: Normalization {
            mean: vec![0.0],
            std: vec![0.7],
        },
        origins: None,
        masks: None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::data::DataSource;

    #[test]
    fn signals_have_the_power_of_their_waves_and_are_drawn_one_by_one() {
        let all = waveforms(3, 0, 3000);
        let Values::Floats(values) = &all.values else {
            panic!("floats");
        };
        // E[height²] = (1 - 1/8) / (3/2) = 7/12; mean squares of the waves are 1/2, 1/3 and 1.
        for (class, square) in [(0, 0.5), (1, 1.0 / 3.0), (2, 1.0)] {
            let signals = values.chunks(POINTS).skip(class).step_by(3);
            let power = |signal: &[f32]| {
                let squares = signal.iter().map(|v| f64::from(*v).powi(2));
                squares.sum::<f64>() / POINTS as f64
            };
            let mean = signals.map(power).sum::<f64>() / 1000.0;
            let expected = 7.0 / 12.0 * square + NOISE * NOISE;
            // The power of a signal depends on its height and on fractions of periods. For 1,000 signals it varies by 1 %.
            assert!(
                (mean - expected).abs() < 0.04 * expected,
                "{class} {mean} {expected}"
            );
        }
        let later = waveforms(3, 2000, 5);
        assert_eq!(later.labels, all.labels[2000..2005]);
        let Values::Floats(found) = later.values else {
            panic!("floats");
        };
        assert_eq!(found, values[2000 * POINTS..2005 * POINTS]);
        assert_ne!(waveforms(4, 0, 3), waveforms(3, 0, 3));
    }

    #[test]
    fn the_source_has_parts_of_its_own() {
        let source: DataSource = "waveforms".parse().unwrap();
        let split = source.load(1, Some(30), Some(12)).unwrap();
        assert_eq!((split.train.len(), split.test.len()), (30, 12));
        assert_eq!(split.train, waveforms(1, 0, 30));
        assert_ne!(split.test.values, waveforms(1, 0, 12).values);
        assert!(source.load(1, Some(0), None).is_err());
    }
}
