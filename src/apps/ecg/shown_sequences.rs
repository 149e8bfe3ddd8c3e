//! The sequences whose signal a report shows.

use anyhow::Result;
use burn::tensor::Device;
use crossburn_training::{Alarms, ArrhythmiaDetection, DecidedSegment, DecidedSequence, Task};

use super::IntegerDetector;
use crate::report::{MOST_SEGMENTS, MOST_SEQUENCES, ShownSegment, ShownSequence};

/// Number of stretches of a segment. The smallest and the largest code of each stretch are shown.
const STRETCHES: usize = 125;

/// Neighbouring segments of one sequence.
#[derive(Clone, Debug)]
struct Window<'a> {
    sequence: &'a DecidedSequence,
    /// The index of the first segment within the sequence.
    start: usize,
    segments: &'a [DecidedSegment],
}

impl Window<'_> {
    fn has_wrong(&self) -> bool {
        let mut segments = self.segments.iter();
        segments.any(|segment| segment.alarm != self.sequence.positive)
    }
}

/// A few sequences of `test`, with the signals that `detector` gets and the decisions in `decided`.
///
/// # Errors
/// If a segment cannot be read.
pub(super) fn shown_sequences(
    detector: &IntegerDetector,
    test: &ArrhythmiaDetection,
    decided: &Alarms,
    device: &Device,
) -> Result<Vec<ShownSequence>> {
    let sequences = test.sequences(decided);
    let windows = chosen(&sequences);
    let shown = windows.into_iter().map(|window| {
        let items: Vec<usize> = window.segments.iter().map(|of| of.item).collect();
        let codes = detector.codes(&test.batch(&items, device)?)?;
        let length = detector.network.signal().length;
        let segments = window.segments.iter().zip(codes);
        Ok(ShownSequence {
            patient: window.sequence.group.clone(),
            positive: window.sequence.positive,
            first: window.sequence.first + window.start,
            segments: segments
                .map(|(decided, codes)| ShownSegment {
                    alarm: decided.alarm,
                    diagnosis: decided.diagnosis,
                    trace: trace(&codes[..length]),
                })
                .collect(),
        })
    });
    shown.collect()
}

/// For each label, the first window with a wrong decision and the first without, among the longest ones.
fn chosen(sequences: &[DecidedSequence]) -> Vec<Window<'_>> {
    let windows = sequences.iter().flat_map(|sequence| {
        let parts = sequence.segments.chunks(MOST_SEGMENTS).enumerate();
        parts.map(move |(number, segments)| Window {
            sequence,
            start: number * MOST_SEGMENTS,
            segments,
        })
    });
    let windows: Vec<Window<'_>> = windows.collect();
    let kinds: [(bool, bool); MOST_SEQUENCES] =
        [(true, true), (false, true), (true, false), (false, false)];
    let first = |(positive, wrong)| {
        let fitting = windows
            .iter()
            .filter(|window| window.sequence.positive == positive && window.has_wrong() == wrong);
        // Of several windows of the same length, the first.
        fitting.min_by_key(|window| std::cmp::Reverse(window.segments.len()))
    };
    kinds.into_iter().filter_map(first).cloned().collect()
}

/// The smallest and the largest code of each stretch of a segment, in the order in which they occur.
fn trace(codes: &[i8]) -> Vec<i8> {
    let stretches = codes.chunks(codes.len().div_ceil(STRETCHES).max(1));
    stretches
        .flat_map(|stretch| {
            let places = || 0..stretch.len();
            let lowest = places().min_by_key(|place| stretch[*place]).unwrap_or(0);
            let highest = places()
                .min_by_key(|place| std::cmp::Reverse(stretch[*place]))
                .unwrap_or(0);
            [stretch[lowest.min(highest)], stretch[lowest.max(highest)]]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sequence; `wrong` says which of its segments are decided wrongly.
    fn sequence(group: &str, positive: bool, wrong: &[bool]) -> DecidedSequence {
        let segments = wrong.iter().enumerate();
        DecidedSequence {
            group: group.into(),
            positive,
            first: 0,
            segments: segments
                .map(|(item, wrong)| DecidedSegment {
                    item,
                    alarm: positive != *wrong,
                    diagnosis: None,
                })
                .collect(),
        }
    }

    #[test]
    fn of_each_label_one_with_a_wrong_decision_and_one_without() {
        let mut later = [false; 13];
        later[7] = true;
        let sequences = [
            // Short sequences come last, wherever they are in the list.
            sequence("short", true, &[true, false]),
            sequence("a", true, &later),
            sequence("b", true, &[true; 6]),
            sequence("c", false, &[false; 2]),
        ];
        let found: Vec<(&str, usize, usize)> = chosen(&sequences)
            .iter()
            .map(|window| {
                (
                    window.sequence.group.as_str(),
                    window.start,
                    window.segments.len(),
                )
            })
            .collect();
        assert_eq!(found, [("a", 6, 6), ("a", 0, 6), ("c", 0, 2)]);
        assert!(chosen(&[]).is_empty());
    }

    #[test]
    fn traces_keep_peaks_in_their_order() {
        // 251 codes make 84 stretches. All but the last have three codes.
        let mut codes = vec![0i8; 251];
        codes[..6].copy_from_slice(&[5, 1, -3, -7, 2, 9]);
        let found = trace(&codes);
        assert_eq!(found[..4], [5, -3, -7, 9]);
        assert_eq!(found.len(), 2 * 84);
        // In short segments every code is kept.
        assert_eq!(trace(&[4, -2]), [4, 4, -2, -2]);
    }
}
