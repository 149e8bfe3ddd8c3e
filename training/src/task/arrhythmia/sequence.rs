//! Decisions in the order of the recording, with the diagnoses that they vote for.

use std::collections::BTreeMap;

use super::{Alarms, ArrhythmiaDetection, Diagnosis};

/// Segments that follow each other in one sequence of [`Origins`](crate::data::Origins): of one patient, of one label, and without a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecidedSequence {
    /// Whose they are.
    pub group: String,
    /// Whether they are ventricular arrhythmia.
    pub positive: bool,
    /// The place of the first one in the sequence, from 0.
    pub first: usize,
    /// The segments, from the first on.
    pub segments: Vec<DecidedSegment>,
}

/// A segment, and what was decided of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecidedSegment {
    /// The number of the item.
    pub item: usize,
    /// Whether the detector gave an alarm.
    pub alarm: bool,
    /// The diagnosis that is due after this segment, if any.
    pub diagnosis: Option<Diagnosis>,
}

impl ArrhythmiaDetection {
    /// What was decided, sequence by sequence; nothing where nobody knows whose segments these are.
    ///
    /// A part of a set may lack some segments of a sequence: what is left on either side does not vote together and is a
    /// sequence of its own here.
    pub fn sequences(&self, decided: &Alarms) -> Vec<DecidedSequence> {
        let Some(origins) = self.origins() else {
            return Vec::new();
        };
        let mut sequences: BTreeMap<u32, Vec<(u32, usize, bool)>> = BTreeMap::new();
        for (item, alarm) in &decided.0 {
            let origin = origins.samples[self.classes.place(*item)];
            let sequence = sequences.entry(origin.sequence).or_default();
            sequence.push((origin.place, *item, *alarm));
        }
        let mut found = Vec::new();
        for mut sequence in sequences.into_values() {
            sequence.sort_unstable();
            for part in sequence.chunk_by(|a, b| a.0 + 1 == b.0) {
                // All segments of a sequence have one label and one group.
                let (first, item, _) = part[0];
                let group = origins.samples[self.classes.place(item)].group;
                let mut voter = self.config.voting().begin();
                found.push(DecidedSequence {
                    group: origins.groups[group as usize].clone(),
                    positive: self.is_positive(item),
                    first: first as usize,
                    segments: part
                        .iter()
                        .map(|&(_, item, alarm)| DecidedSegment {
                            item,
                            alarm,
                            diagnosis: voter.hear(alarm),
                        })
                        .collect(),
                });
            }
        }
        found
    }

    /// How many diagnoses there are, and how many of them are right. Sequences that are too short for a vote have none.
    pub(super) fn votes(&self, decided: &Alarms) -> (usize, usize) {
        let (mut votes, mut right) = (0, 0);
        for sequence in self.sequences(decided) {
            let diagnoses = sequence.segments.iter().filter_map(|of| of.diagnosis);
            for diagnosis in diagnoses {
                votes += 1;
                right += usize::from(diagnosis.alarm == sequence.positive);
            }
        }
        (votes, right)
    }
}
