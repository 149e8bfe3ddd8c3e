//! Procedural electrograms: eight rhythms of any number of patients.

use std::sync::Arc;

use crossburn_noise::{Philox, path_hash};
use rayon::prelude::*;

use super::super::endless::Endless;
use super::super::reader::Kind;
use super::super::signal::{
    SEGMENT_CLASSES, SEGMENT_POINTS, SEGMENT_RATE, SegmentFilter, Segments,
};
use super::super::{Normalization, Samples};
use super::is_ventricular;
use super::waves::{Episode, Morphology};

/// Segments of each patient.
const OF_PATIENT: u64 = 40;
/// The episodes of a patient: the length of each in segments, and its possible rhythms with their probabilities.
const EPISODES: [(u64, &[(&str, f64)]); 4] = [
    (12, &[("SR", 1.0)]),
    (12, &[("VT", 0.7), ("VFb", 0.2), ("VFt", 0.1)]),
    (
        8,
        &[("SVT", 0.35), ("AFb", 0.25), ("AFt", 0.15), ("VPD", 0.25)],
    ),
    (8, &[("VT", 0.7), ("VFb", 0.2), ("VFt", 0.1)]),
];
/// Standard deviation of the noise of a sample before the filter, for beats of height 1. Each patient has a value between these two.
const NOISE: [f64; 2] = [0.05, 0.2];
/// Samples (one second) before and after a segment that are drawn, so that the filter settles.
const MARGIN: usize = 250;
/// The standard deviation by which values are normalized, measured after the zero-phase filter. After the causal filter it is larger.
const SPREAD: f32 = 0.14;

pub(in super::super) const KIND: Kind = Kind {
    name: "iegm",
    usage: "iegm",
    open: |_| Ok(Arc::new(IEGM)),
};

/// The same patients, filtered sample by sample as on a device.
pub(in super::super) const CAUSAL: Kind = Kind {
    name: IEGM_CAUSAL.name,
    usage: IEGM_CAUSAL.name,
    open: |_| Ok(Arc::new(IEGM_CAUSAL)),
};

/// The data source. By default it has 60 training patients and 16 test patients. It draws at most 2 GB of values at once.
const IEGM: Endless = Endless {
    name: "iegm",
    classes: SEGMENT_CLASSES.len(),
    usual: (60 * OF_PATIENT as usize, 16 * OF_PATIENT as usize),
    most: 400_000,
    first_test: (1 << 32) * OF_PATIENT,
    config: (),
    draw: |(), seed, first, count| iegm(seed, first, count),
    filter: Some(SegmentFilter::ZeroPhase),
    steps: |(), _| None,
    slices: |(), _| None,
};

/// The same data source with the causal filter.
const IEGM_CAUSAL: Endless = Endless {
    name: "iegm?filter=causal",
    draw: |(), seed, first, count| drawn(seed, first, count, SegmentFilter::Causal),
    filter: Some(SegmentFilter::Causal),
    ..IEGM
};

/// The segments `first..first + count` of the endless set `seed`, `[1, 1, 1250]` each: 40 of one patient, then 40 of the next. Each patient
/// has sinus rhythm, another rhythm that is no ventricular arrhythmia, and two episodes of ventricular arrhythmia.
///
/// A segment depends on (seed, patient, segment) alone. Every patient has their own morphology, a gain of 0.5 to 2 and their own noise. Ranges of
/// rates overlap: a supraventricular tachycardia has the rate of a ventricular one and the morphology of the sinus rhythm.
///
/// # Source
/// Rates and rhythms follow the data of the TinyML contest at ICCAD 2022; morphologies are invented. Like those data, signals are filtered to 15
/// to 55 Hz without a phase shift.
///
/// ```
/// use crossburn_training::data::{SEGMENT_POINTS, iegm};
///
/// let some = iegm(1, 0, 40);
/// assert_eq!(some.shape, [1, 1, SEGMENT_POINTS]);
/// assert_eq!(some.labels.iter().filter(|label| **label == 1).count(), 20);
/// ```
pub fn iegm(seed: u64, first: u64, count: usize) -> Samples {
    drawn(seed, first, count, SegmentFilter::ZeroPhase)
}

fn drawn(seed: u64, first: u64, count: usize, filter: SegmentFilter) -> Samples {
    let drawn: Vec<Segment> = (first..first + count as u64)
        .into_par_iter()
        .map(|number| segment(seed, number, filter))
        .collect();
    let mut all = Segments::default();
    for segment in drawn {
        all.values.extend(segment.values);
        all.labels
            .push(u16::from(is_ventricular(segment.rhythm) == Some(true)));
        all.patients.push(format!("P{}", segment.patient));
        all.episodes.push(segment.episode);
    }
    Samples {
        normalization: Normalization {
            mean: vec![0.0],
            std: vec![SPREAD],
        },
        ..all.samples()
    }
}

/// One segment, and its annotations.
struct Segment {
    patient: u64,
    episode: u32,
    rhythm: &'static str,
    values: Vec<f32>,
}

fn segment(seed: u64, number: u64, filter: SegmentFilter) -> Segment {
    let stream = |purpose: &str, index: u64| Philox::new(seed ^ path_hash(purpose), index);
    let (patient, place) = (number / OF_PATIENT, number % OF_PATIENT);
    let of_patient = stream("iegm patient", patient);
    let heart = Morphology::draw(&of_patient);
    // Further draws of the patient, besides those of the morphology.
    let order = stream("iegm order of episodes", patient).permutation(EPISODES.len());
    let (gain, noise) = (of_patient.uniform(20), of_patient.uniform(21));
    let (mut start, mut episode) = (0, 0);
    for kind in order {
        episode = kind;
        if place < start + EPISODES[kind].0 {
            break;
        }
        start += EPISODES[kind].0;
    }
    let of_episode = stream(
        "iegm episode",
        patient * EPISODES.len() as u64 + episode as u64,
    );
    let rhythm = choose(EPISODES[episode].1, of_episode.uniform(1));
    let drawn = Episode::draw(rhythm, &heart, &of_episode);
    let length = SEGMENT_POINTS + 2 * MARGIN;
    let mut signal = vec![0.0f64; length];
    drawn.add_to(
        &mut signal,
        SEGMENT_RATE,
        &heart,
        &stream("iegm segment", number),
    );
    let mut hiss = vec![0.0f32; length];
    stream("iegm noise", number).fill_normal(&mut hiss);
    let [least, most] = NOISE;
    let noise = least * (most / least).powf(noise);
    let gain = 2f64.powf(2.0 * gain - 1.0);
    let raw: Vec<f32> = signal
        .iter()
        .zip(hiss)
        .map(|(value, hiss)| (gain * (value + noise * f64::from(hiss))) as f32)
        .collect();
    let filtered = filter.apply(raw);
    Segment {
        patient,
        episode: episode as u32,
        rhythm,
        values: filtered[MARGIN..][..SEGMENT_POINTS].to_vec(),
    }
}

/// The rhythm that `draw`, a number from 0 to 1, selects by its probability.
fn choose(rhythms: &[(&'static str, f64)], draw: f64) -> &'static str {
    let mut rest = draw;
    for (rhythm, share) in rhythms {
        rest -= share;
        if rest < 0.0 {
            return rhythm;
        }
    }
    // Because of rounding, the probabilities may add up to slightly less than 1.
    rhythms.last().map_or("SR", |(rhythm, _)| rhythm)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::data::DataSource;

    #[test]
    fn segments_are_drawn_one_by_one_and_patients_have_four_episodes() {
        let all = iegm(3, 0, 400);
        let later = iegm(3, 117, 9);
        assert_eq!(later.labels, all.labels[117..126]);
        assert_eq!(
            later.floats(),
            &all.floats()[117 * SEGMENT_POINTS..126 * SEGMENT_POINTS]
        );
        assert_ne!(iegm(4, 0, 3).values, iegm(3, 0, 3).values);
        let origins = all.origins.as_ref().unwrap();
        assert_eq!(origins.groups.len(), 10);
        let mut lengths = [0; 40];
        for origin in &origins.samples {
            lengths[origin.sequence as usize] += 1;
        }
        for patient in lengths.chunks_mut(4) {
            patient.sort_unstable();
            assert_eq!(patient, [8, 8, 12, 12]);
        }
    }

    #[test]
    fn values_have_the_spread_that_normalizes_them() {
        let all = iegm(1, 0, 60 * 40);
        let values = all.floats();
        let squares: f64 = values.iter().map(|x| f64::from(*x).powi(2)).sum();
        let spread = (squares / values.len() as f64).sqrt();
        // The spread over sixty patients of different gains varies by about 10 %.
        assert!((spread / f64::from(SPREAD) - 1.0).abs() < 0.1, "{spread}");
    }

    #[test]
    fn the_source_has_other_patients_in_each_part() {
        let source: DataSource = "iegm".parse().unwrap();
        let split = source.load(1, Some(80), Some(40)).unwrap();
        assert_eq!((split.train.len(), split.test.len()), (80, 40));
        let groups = |samples: &Samples| samples.origins.as_ref().unwrap().groups.clone();
        let train = groups(&split.train);
        assert!(groups(&split.test).iter().all(|name| !train.contains(name)));
        assert_eq!(split.train, iegm(1, 0, 80));
        assert!(source.load(1, Some(0), None).is_err());
    }

    #[test]
    fn a_causal_filter_leaves_more_of_the_same_segments() {
        let load = |text: &str| {
            let source: DataSource = text.parse().unwrap();
            (
                source.filter(),
                source.load(1, Some(40), Some(1)).unwrap().train,
            )
        };
        let (filter, plain) = load("iegm");
        assert_eq!(filter, Some(SegmentFilter::ZeroPhase));
        let (filter, causal) = load("iegm?filter=causal");
        assert_eq!(filter, Some(SegmentFilter::Causal));
        assert_eq!(
            (&causal.labels, &causal.origins),
            (&plain.labels, &plain.origins)
        );
        // Where a filter attenuates, |H(f)| of one pass is larger than |H(f)|² of two passes. The causal filter therefore leaves more energy.
        let energy = |segment: &[f32]| segment.iter().map(|x| x * x).sum::<f32>();
        let segments = plain.floats().chunks(SEGMENT_POINTS);
        for (plain, causal) in segments.zip(causal.floats().chunks(SEGMENT_POINTS)) {
            assert!(energy(causal) > 1.02 * energy(plain));
        }
    }
}
