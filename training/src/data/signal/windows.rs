//! Segments of one rhythm each, cut from a recording.

use std::fmt::{Display, Formatter};
use std::ops::Range;

use super::SEGMENT_POINTS;

/// A rhythm in a recording. It lasts until the next rhythm begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rhythm {
    /// Its first sample.
    pub start: usize,
    /// Its name, such as `VT`.
    pub name: String,
}

/// One lead of one patient, with its annotations.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Recording {
    /// The samples.
    pub signal: Vec<f32>,
    /// Ranges of samples without a value, in rising order.
    pub invalid: Vec<Range<usize>>,
    /// The rhythms, in rising order.
    pub rhythms: Vec<Rhythm>,
}

/// Numbers of segments that were not used, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// Segments in which the rhythm changes.
    pub across_rhythms: usize,
    /// Segments with a sample without a value.
    pub invalid: usize,
    /// Segments before the first known rhythm, and segments whose rhythm is marked as unknown.
    pub unlabelled: usize,
}

impl LeftOut {
    /// Adds the numbers of `other`.
    pub(crate) fn add(&mut self, other: Self) {
        self.across_rhythms += other.across_rhythms;
        self.invalid += other.invalid;
        self.unlabelled += other.unlabelled;
    }

    /// Whether every segment was used.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Display for LeftOut {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let reasons = [
            (self.across_rhythms, "across a change of rhythm"),
            (self.invalid, "with samples that hold no value"),
            (self.unlabelled, "without a rhythm that can be told"),
        ];
        let reasons = reasons.into_iter().filter(|(count, _)| *count > 0);
        let reasons: Vec<String> = reasons.map(|(n, why)| format!("{n} {why}")).collect();
        write!(f, "segments left out: {}", reasons.join(", "))
    }
}

/// A segment of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// Its first sample.
    pub start: usize,
    /// The label of its rhythm.
    pub label: u16,
    /// The index of its rhythm in the recording. Consecutive rhythms of one name count as one.
    pub rhythm: usize,
}

/// The segments of `recording`, [`SEGMENT_POINTS`] samples each. One begins every `hop` samples, from the first sample on, as on a device: a
/// segment does not wait for a rhythm to begin. `label` gives the label of a rhythm; `None` leaves its segments out.
///
/// Samples after the last whole segment are not used.
pub(crate) fn windows(
    recording: &Recording,
    hop: usize,
    label: impl Fn(&str) -> Option<u16>,
) -> (Vec<Window>, LeftOut) {
    let (mut found, mut left_out) = (Vec::new(), LeftOut::default());
    let starts = (0..)
        .map(|index| index * hop.max(1))
        .take_while(|start| start + SEGMENT_POINTS <= recording.signal.len());
    let rhythms = &recording.rhythms;
    for start in starts {
        let end = start + SEGMENT_POINTS;
        // The index of the last rhythm that begins at or before the first sample, and of the last that begins before the end.
        let first = rhythms.partition_point(|rhythm| rhythm.start <= start);
        let last = rhythms.partition_point(|rhythm| rhythm.start < end);
        let Some(rhythm) = first.checked_sub(1) else {
            left_out.unlabelled += 1;
            continue;
        };
        let changes = rhythms[first..last]
            .iter()
            .any(|other| other.name != rhythms[rhythm].name);
        let hole = recording
            .invalid
            .iter()
            .any(|hole| hole.start < end && start < hole.end);
        match label(&rhythms[rhythm].name) {
            _ if changes => left_out.across_rhythms += 1,
            None => left_out.unlabelled += 1,
            Some(_) if hole => left_out.invalid += 1,
            Some(label) => {
                let same = |place: &usize| rhythms[*place].name == rhythms[rhythm].name;
                let first = (0..=rhythm).rev().take_while(same).last();
                found.push(Window {
                    start,
                    label,
                    rhythm: first.unwrap_or(rhythm),
                });
            }
        }
    }
    (found, left_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rhythm(start: usize, name: &str) -> Rhythm {
        let name = name.to_string();
        Rhythm { start, name }
    }

    fn label(name: &str) -> Option<u16> {
        match name {
            "NOISE" => None,
            name => Some(u16::from(name == "VT")),
        }
    }

    #[test]
    fn segments_lie_in_one_rhythm_and_the_rest_is_counted() {
        // Segments 0 to 7 start at 0, 1250, ..., 8750. The last 100 samples are not used.
        let recording = Recording {
            signal: vec![0.0; 8 * SEGMENT_POINTS + 100],
            invalid: std::iter::once(7400..7401).collect(),
            rhythms: vec![
                rhythm(10, "N"),       // 0 has no rhythm at its first sample, 1 is N
                rhythm(2500, "VT"),    // 2 is VT from its first sample on
                rhythm(3000, "VT"),    // the same rhythm noted again
                rhythm(5000, "N"),     // 3 ends where N begins, 4 is N, 5 has a hole
                rhythm(8000, "NOISE"), // 6 changes, 7 cannot be told
            ],
        };
        let (found, left_out) = windows(&recording, SEGMENT_POINTS, label);
        let found: Vec<_> = found
            .iter()
            .map(|w| (w.start / 1250, w.label, w.rhythm))
            .collect();
        assert_eq!(found, [(1, 0, 0), (2, 1, 1), (3, 1, 1), (4, 0, 3)]);
        let expected = LeftOut {
            across_rhythms: 1,
            invalid: 1,
            unlabelled: 2,
        };
        assert_eq!(left_out, expected);
        assert_eq!(
            left_out.to_string(),
            "segments left out: 1 across a change of rhythm, 1 with samples that hold no value, 2 without a rhythm that can be told"
        );
        // Overlapping segments: twice as many, the last of which begins at 8750.
        let (all, none) = windows(&recording, SEGMENT_POINTS / 2, label);
        assert_eq!(
            all.len() + none.across_rhythms + none.invalid + none.unlabelled,
            15
        );
    }

    #[test]
    fn a_recording_shorter_than_a_segment_has_none() {
        let recording = Recording {
            signal: vec![0.0; SEGMENT_POINTS - 1],
            rhythms: vec![rhythm(0, "N")],
            ..Recording::default()
        };
        let (found, left_out) = windows(&recording, 1, label);
        assert!(found.is_empty() && left_out.is_empty());
    }
}
